//! What the host offers, as a trait, so that a plugin's logic runs in an ordinary test as well as in the sandbox.

use crate::bindings::host::trunkline::plugin as imports;
use crate::{ConnectRequest, ConnectionId, HttpRequest, Level, ProviderError, RequestId, TimerId, WebSocketMessage};

/// Services of the host. Every call returns at once; what comes of it arrives later as an [`crate::Event`].
pub trait Host {
    /// Writes a line to the plugin's log. Never put a caller's words above [`Level::Debug`].
    fn log(&mut self, level: Level, message: &str);
    /// Microseconds since the session was opened.
    fn now_us(&mut self) -> u64;
    /// Arms a timer that arrives as `Event::Timer` after `delay_ms`.
    fn set_timer(&mut self, delay_ms: u32) -> TimerId;
    /// Disarms a timer; one that already fired is ignored.
    fn cancel_timer(&mut self, id: TimerId);
    /// Random bytes, seeded per session so that a recorded session replays.
    fn random(&mut self, len: u32) -> Vec<u8>;
    /// The agent's settings for this plugin as JSON text.
    fn settings(&mut self) -> String;
    /// Whether the operator configured a secret of that name for this plugin.
    fn secret_exists(&mut self, name: &str) -> bool;
    /// Sends an HTTP request.
    ///
    /// # Errors
    /// Refused at once when the manifest does not allow the host, the secret is unknown or a limit is reached.
    fn http_send(&mut self, request: HttpRequest) -> Result<RequestId, ProviderError>;
    /// Lets the host deliver `more` pieces of the response body.
    fn http_grant(&mut self, id: RequestId, more: u32);
    /// Drops a request; no further event of it arrives.
    fn http_abort(&mut self, id: RequestId);
    /// Opens a WebSocket (RFC 6455).
    ///
    /// # Errors
    /// Refused at once for the same reasons as [`Host::http_send`].
    fn websocket_connect(&mut self, request: ConnectRequest) -> Result<ConnectionId, ProviderError>;
    /// Queues a message and returns the bytes queued after it.
    ///
    /// # Errors
    /// Refused when the host's bounded queue is full.
    fn websocket_send(&mut self, id: ConnectionId, message: WebSocketMessage) -> Result<u32, ProviderError>;
    /// Lets the host deliver `more` messages.
    fn websocket_grant(&mut self, id: ConnectionId, more: u32);
    /// Closes with a status code (RFC 6455 section 7.4).
    fn websocket_close(&mut self, id: ConnectionId, code: u16, reason: &str);
}

/// The real host, reached through the component's imports.
#[derive(Debug, Clone, Copy, Default)]
pub struct ComponentHost;

impl Host for ComponentHost {
    fn log(&mut self, level: Level, message: &str) {
        imports::log::log(level, message);
    }
    fn now_us(&mut self) -> u64 {
        imports::clock::now_us()
    }
    fn set_timer(&mut self, delay_ms: u32) -> TimerId {
        imports::clock::set_timer(delay_ms)
    }
    fn cancel_timer(&mut self, id: TimerId) {
        imports::clock::cancel_timer(id);
    }
    fn random(&mut self, len: u32) -> Vec<u8> {
        imports::random::get_bytes(len)
    }
    fn settings(&mut self) -> String {
        imports::settings::get()
    }
    fn secret_exists(&mut self, name: &str) -> bool {
        imports::secrets::exists(name)
    }
    fn http_send(&mut self, request: HttpRequest) -> Result<RequestId, ProviderError> {
        imports::http::send(&request)
    }
    fn http_grant(&mut self, id: RequestId, more: u32) {
        imports::http::grant(id, more);
    }
    fn http_abort(&mut self, id: RequestId) {
        imports::http::abort(id);
    }
    fn websocket_connect(&mut self, request: ConnectRequest) -> Result<ConnectionId, ProviderError> {
        imports::websocket::connect(&request)
    }
    fn websocket_send(&mut self, id: ConnectionId, message: WebSocketMessage) -> Result<u32, ProviderError> {
        imports::websocket::send(id, &message)
    }
    fn websocket_grant(&mut self, id: ConnectionId, more: u32) {
        imports::websocket::grant(id, more);
    }
    fn websocket_close(&mut self, id: ConnectionId, code: u16, reason: &str) {
        imports::websocket::close(id, code, reason);
    }
}
