//! The media plane: RTP and RTCP, the 20 ms tick, and the taps that listeners have both voices from.
//!
//! A few operating-system threads own all the sockets of their calls. Every 5 ms a worker serves a quarter of them:
//! receive, check, buffer, decode and judge on the way up; clear, resample, encode and send on the way down. Nothing
//! on that path allocates, locks, logs or waits. What a leg is made of has no socket and no clock (`leg`), so that
//! its rules can be tested packet by packet.
//!
//! Start a [`MediaPlane`], [`allocate`](MediaPlane::allocate) ports while the call is being answered, and
//! [`attach`](MediaPlane::attach) the leg when the far end's description is known.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod burst;
mod codec;
mod conference;
mod config;
pub mod dtmf;
mod error;
mod facts;
mod foreground;
mod handle;
mod leg;
mod link;
mod marks;
mod plane;
mod playback;
mod ports;
mod quality;
mod reports;
pub mod rtcp;
mod signal;
mod source;
mod srtp;
mod stats;
mod stream;
mod sys;
mod tapping;
mod tones;
mod totals;
mod worker;

pub use conference::{Conference, MAX_CONFERENCE};
pub use config::{AddressRange, Feed, HeldSound, Idle, LegAmbience, LegSound, LegStart, MediaConfig, SourcePolicy};
pub use error::MediaError;
pub use handle::LegHandle;
pub use leg::{DETECTOR, check_change};
pub use link::Link;
pub use marks::SpeechMarks;
pub use plane::MediaPlane;
pub use ports::LegSocket;
pub use signal::PhaseSignal;
pub use stats::{LegStats, WorkerStats};
pub use stream::StreamLink;
pub use totals::{LegTotals, OPINION_BOUNDS};
