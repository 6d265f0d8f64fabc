//! One call is one state machine.
//!
//! [`Call`] is told what happened and when ([`Call::handle`]), and says what to do ([`Call::poll_transmit`]), what to
//! write into the timeline ([`Call::poll_event`]) and when to be woken ([`Call::poll_timeout`]). It reads no clock,
//! opens no socket and knows neither SIP nor plugins, so a caller who interrupts, a recogniser that stalls and a tool
//! that never answers are unit tests on virtual time; and since everything it learns is a value of [`Input`], a log of
//! these replays the call bit for bit.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]
#![deny(clippy::wildcard_enum_match_arm)]

mod call;
mod command;
mod dialogue;
mod effects;
mod input;
mod life;
mod memory;
mod providers;
mod quality;
mod redaction;
mod sentence;
mod setup;
mod spoken;
mod timeline;
mod timers;
mod waterfall;

pub use call::Call;
pub use command::{Command, ToolBinding};
pub use input::{AsrEvent, Input, LlmEvent, Operator, RecordingFact, Redacted, ToolOutcome, TtsEvent, VoiceEdge};
pub use setup::CallSetup;
pub use timers::Reason;

/// Sound that a driver keeps ahead of playback, in milliseconds: a synthesiser that is further ahead is not asked for
/// more.
pub const AHEAD_MS: u64 = 2000;
