//! One call is one state machine.
//!
//! [`Call`] is told what happened and when (`handle_*`), and says what to do ([`Call::poll_transmit`]), what to
//! write into the timeline ([`Call::poll_event`]) and when to be woken ([`Call::poll_timeout`]). It reads no clock,
//! opens no socket and knows neither SIP nor plugins, so a caller who interrupts, a recogniser that stalls and a tool
//! that never answers are unit tests on virtual time, and equal inputs give equal outputs bit for bit.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod call;
mod command;
mod dtmf;
mod ending;
mod failover;
mod failure;
mod hearing;
mod hold;
mod input;
mod interruption;
mod memory;
mod quality;
mod redaction;
mod sentence;
mod setup;
mod silence;
mod speech;
mod spoken;
mod thinking;
mod timeline;
mod timers;
mod tools;
mod turn;
mod waterfall;

pub use call::Call;
pub use command::{Channel, Command, Content, Message, Role, ToolBinding, ToolCall, ToolDefinition};
pub use input::{
    AsrEvent, FinishReason, LlmEvent, Operator, ProviderKind, RecordingFact, Redacted, ToolAction, ToolOutcome,
    TtsEvent, VoiceEdge,
};
pub use setup::CallSetup;
pub use timers::Reason;
