//! The control plane as its users meet it: a real server on a free port, a real database file, real HTTP.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod agents;
mod bad_input;
mod calls;
mod costs;
mod crash;
mod desired_state;
mod enrolment;
mod envelope;
mod harness;
mod installation;
mod keys;
mod pages;
mod telephony;
mod tenants;
mod tls;
mod uploads;
