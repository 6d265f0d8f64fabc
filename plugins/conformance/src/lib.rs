//! The harness behind `trunkline plugin test`: loads a plugin folder as a gateway would, replays a recorded session
//! against it with a clock of its own and scripted peers, bends the peers (429, stall, half-closed socket), holds what
//! the plugin said against the grammar of its world, and tells what the host saw.
//!
//! A recording is JSON lines: a header, then steps in time order. See [`recording`].
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod fault;
pub mod grammar;
pub mod peer;
pub mod recording;
pub mod replay;

pub use fault::Fault;
pub use recording::Recording;
pub use replay::{HostSetup, Report, Stage, replay};
