//! Types that the control plane and the gateways share.
//!
//! Everything that is stored or synced between the two lives here once: identifiers, [`AgentSpec`], the event
//! registry, usage records, desired state, the failure table and the signatures over desired state. Formats begin
//! with a format number or schema name, keep unknown optional fields, and refuse an unknown `requires`.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod agent;
pub mod ambience;
pub mod analysis;
pub mod answering;
pub mod cidr;
pub mod dialled;
pub mod dialogue;
pub mod e164;
pub mod enrolment;
pub mod event;
pub mod failure;
mod guardrails;
pub mod hours;
pub mod id;
pub mod menu;
pub mod object;
pub mod outbound;
mod pattern;
pub mod routing;
pub mod signature;
pub mod slots;
pub mod sound;
pub mod speech;
pub mod stages;
pub mod survival;
pub mod sync;
mod thinking;
pub mod time_zone;
pub mod transfer;
pub mod trunk;
pub mod usage;
pub mod words;

pub use agent::AgentSpec;
pub use event::{Event, EventType};
pub use failure::Failure;
pub use id::{Id, Prefix};
pub use sound::SoundPolicy;
