//! What a Trunkline plugin is written against.
//!
//! A plugin is one type that implements the trait of its world and one macro that exports it:
//!
//! ```ignore
//! use trunkline_plugin_kit::llm::{Generation, LlmEvent, Request, FinishReason};
//! use trunkline_plugin_kit::{Event, Host, Outbox, ProviderError};
//!
//! struct Parrot(String);
//!
//! impl Generation for Parrot {
//!     fn start(host: &mut dyn Host, request: Request) -> Result<Self, ProviderError> {
//!         host.set_timer(0);
//!         Ok(Self(trunkline_plugin_kit::llm::last_user_text(&request).to_owned()))
//!     }
//!     fn on_event(&mut self, _: &mut dyn Host, _: Event, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
//!         out.push(LlmEvent::TextDelta(std::mem::take(&mut self.0)));
//!         out.push(LlmEvent::Finished(FinishReason::Stop));
//!         Ok(())
//!     }
//! }
//!
//! trunkline_plugin_kit::export_llm_provider!(Parrot, name = "parrot");
//! ```
//!
//! Plugins are sans-IO: the host owns connections, the clock and secrets, and calls the plugin with what happened.
//! Everything the host offers is behind [`Host`], so the same logic runs against [`testing::Bench`] in an ordinary
//! `cargo test`, and the credit rules of the contract are kept by [`Outbox`].
//!
//! `unsafe` is denied except in the generated bindings and in the exports they expand to.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod asr;
#[doc(hidden)]
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::use_self,
    clippy::manual_let_else,
    reason = "generated from the contract"
)]
pub mod bindings;
mod error;
#[doc(hidden)]
#[allow(missing_docs, reason = "only the export macros use it")]
pub mod export;
mod host;
pub mod llm;
mod outbox;
pub mod redactor;
mod settings;
pub mod testing;
pub mod tool;
pub mod tts;

pub use bindings::host::trunkline::plugin::{
    clock::TimerId,
    events::Event,
    http::{BodyMode, HttpEvent, Request as HttpRequest, RequestId, ResponseHead, ServerSentEvent},
    log::Level,
    secrets::{Placement, SecretRef},
    types::{AudioFormat, AudioFrame, Encoding, ErrorCode, ProviderError, ToolDefinition, Usage, Word},
    websocket::{CloseFrame, ConnectRequest, ConnectionId, Message as WebSocketMessage, WebsocketEvent},
};
pub use host::{ComponentHost, Host};
pub use outbox::Outbox;
pub use settings::parse_settings;

/// Usage with nothing reported; set the units that apply.
pub const NO_USAGE: Usage = Usage {
    tokens_in: None,
    tokens_out: None,
    tokens_cached: None,
    audio_in_ms: None,
    audio_out_ms: None,
    characters: None,
};
