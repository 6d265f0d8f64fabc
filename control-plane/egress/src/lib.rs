//! The one outgoing HTTP and WebSocket client, so that what may be reached, how long it may take and how much it may
//! say is decided in one place.
//!
//! Every connection goes to an address that was resolved, checked and then used as it was checked: a name that
//! resolves to a private, loopback or link-local address is refused unless the operator allowed exactly that host.
//! Redirects are not followed unless the request asks for it, and then each hop is checked anew. Sizes, times and
//! header counts are bounded. [`Lines`] and [`ServerSentEvents`] are sans-IO parsers; [`Backoff`] and [`Breaker`] are
//! state machines whose time and randomness are arguments.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod address;
mod body;
mod breaker;
mod client;
mod connect;
mod error;
mod lines;
mod pattern;
mod pin;
mod request;
mod retry;
mod sse;
mod websocket;

pub use address::{AddressClass, classify};
pub use body::Body;
pub use breaker::{Breaker, BreakerConfig};
pub use client::{Egress, EgressConfig};
pub use error::EgressError;
pub use lines::{LineEnding, Lines, TooLong};
pub use pattern::{HostPattern, PatternError};
pub use pin::{PinnedAuthority, key_sha256};
pub use request::{Redirects, Request, Response, Timeouts};
pub use retry::{Backoff, RetryPolicy, retry_after_ms, retryable_status};
pub use sse::{ServerSentEvent, ServerSentEvents};
pub use websocket::{Message, WebSocket, WebSocketReceiver, WebSocketRequest, WebSocketSender};
