//! One call is one state machine.
//!
//! [`Call`] is told what happened and when ([`Call::handle`]), and says what to do ([`Call::poll_transmit`]), what to
//! write into the timeline ([`Call::poll_event`]) and when to be woken ([`Call::poll_timeout`]). It reads no clock,
//! opens no socket and knows neither SIP nor plugins, so a caller who interrupts, a recogniser that stalls and a tool
//! that never answers are unit tests on virtual time; and since everything it learns is a value of [`Input`], a log of
//! these replays the call bit for bit.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]
#![deny(clippy::wildcard_enum_match_arm)]

mod analysis;
mod call;
mod command;
mod dialogue;
mod effects;
mod engine_speech;
mod input;
pub mod knowledge;
mod legs;
mod life;
mod memory;
mod minutes;
mod providers;
mod quality;
mod redaction;
mod secret;
mod sentence;
mod setup;
mod slot;
pub mod speech;
mod spoken;
pub mod tape;
mod template;
mod timeline;
mod timers;
mod tokens;
mod waterfall;

pub use call::Call;
pub use command::{Command, ToolBinding};
pub use input::{
    AsrEvent, Input, LlmEvent, Operator, Passage, RealtimeEvent, RecordingFact, Redacted, ToolOutcome, TtsEvent,
    VoiceEdge,
};
pub use setup::{CallSetup, OtherAgent};
pub use timers::Reason;

/// Number of the first request to a model that belongs to the analysis of a call that is over.
pub const ANALYSIS: u32 = 1 << 31;

/// Sound that a driver keeps ahead of playback, in milliseconds: a synthesiser that is further ahead is not asked for
/// more.
pub const AHEAD_MS: u64 = 2000;

/// Stands for a provider's position in reports of lines that were rendered beforehand: no list is that long.
pub const PRERENDERED: usize = 1 << 20;

/// Added to the number of an engine's session, stands for a provider's position in reports of its sound.
pub const ENGINES: usize = 1 << 21;

/// Number of the first response of an engine that is a line of the agent's own, said word by word.
pub const LINES: u32 = 1 << 30;
