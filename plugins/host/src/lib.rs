//! The plugin host: verifies, loads, limits, meters and swaps WebAssembly components, and speaks to their sessions in
//! plain Rust types.
//!
//! A session is a synchronous object that its owner's thread drives: `handle_*` calls go in, `poll_event` takes out,
//! `poll_timeout` says when the next timer is due. Connections run on a tokio runtime given at the start; what they
//! bring waits in a bounded queue and a callback wakes the owner. A trap, a missed deadline or a memory overrun ends
//! that session with a named error and touches nothing else. The host knows no call and no gateway.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use trunkline_plugin_host::*;
//!
//! let runtime = tokio::runtime::Runtime::new()?;
//! let host = PluginHost::new(HostConfig::new("/var/cache/trunkline/plugins", runtime.handle().clone()))?;
//! let plugin = host.load("/usr/lib/trunkline/plugins/pii".as_ref())?;
//! let start = SessionStart::new(1, 0, Arc::new(|| {}));
//! let mut redactor = plugin.redactor(&serde_json::json!({}), &RedactionPolicy::default(), start)?;
//! let redaction = redactor.redact(0, RedactionChannel::Transcript, "call me at +44 20 7946 0958")?;
//! println!("{}", redaction.text);
//! # Ok(()) }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod asr;
mod bindings;
mod cache;
mod convert;
mod engine;
mod error;
mod files;
mod host;
mod http_task;
mod inbox;
mod llm;
mod manifest;
mod network;
mod null_wasi;
mod outgoing;
mod plugin;
mod redactor;
mod registry;
mod session;
mod state;
mod text;
mod timers;
mod tool;
mod trust;
mod tts;
mod vocabulary;
mod websocket_task;
mod world;

pub use asr::AsrSession;
pub use cache::Compiled;
pub use engine::Allocation;
pub use error::{HostError, LoadError, SessionError};
pub use host::{HostConfig, HostLimits, NoSecrets, OnCompile, PluginHost, SecretSource};
pub use inbox::Wake;
pub use llm::LlmSession;
pub use manifest::{HostGrant, Manifest, SecretGrant, SettingsSchema};
pub use plugin::Plugin;
pub use redactor::RedactorSession;
pub use registry::PluginRegistry;
pub use session::SessionStart;
pub use tool::ToolSession;
pub use trunkline_egress::{EgressConfig, HostPattern};
pub use trust::{TrustError, TrustedKeys};
pub use tts::TtsSession;
pub use vocabulary::*;
