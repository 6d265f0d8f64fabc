//! Registration with a PBX or carrier, so that calls reach a gateway that no inbound port leads to (RFC 3261 10, and of
//! RFC 5626 what works without the registrar's help: several bindings, told apart by `reg-id`).
//!
//! A [`Registration`] is one binding: it registers, refreshes before the binding expires, goes to the next registrar when
//! one fails, waits longer and longer when all do, and unregisters at the end. [`Bindings`] are several of the same
//! address, each beginning with another registrar. No clock, no socket: [`Registration::poll_transmit`] says what to send.

mod bindings;
mod config;
mod machine;

pub use bindings::Bindings;
pub use config::{RegistrationConfig, RegistrationTimers};
pub use machine::{RegisterAnswer, RegisterRequest, Registration, RegistrationEvent, RegistrationState, WhyNot};
