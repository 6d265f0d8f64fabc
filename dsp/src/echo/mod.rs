//! Echo: keeps the agent from hearing itself.
//!
//! [`EchoGate`] is on by default: it cancels nothing, it says which frames of the uplink are explained by what was
//! played a while before, so that they count as no barge-in. [`SonoraAec`] cancels, allocates, and is opt-in.

mod bands;
mod barge_in;
mod delay;
mod gate;
mod path;
mod sonora;

pub use barge_in::{BargeIn, BargeInConfig, Interruption, Voice};
pub use gate::{EchoGate, Verdict};
pub use sonora::SonoraAec;

pub use crate::tone::UnknownRate;
