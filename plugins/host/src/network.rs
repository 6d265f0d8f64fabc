//! The connections of one session. The guest's calls return at once; tasks on the host's runtime do the work and put
//! what happens into the session's inbox, as far as the guest's window lets them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use trunkline_egress::{Egress, EgressError, HostPattern, Message, Redirects, Request, Timeouts, WebSocketRequest};

use crate::bindings::host::http::Request as HttpRequest;
use crate::bindings::host::types::{ErrorCode, ProviderError};
use crate::bindings::host::websocket::{CloseFrame, ConnectRequest, Message as GuestMessage};
use crate::inbox::{Delivery, Inbox};
use crate::outgoing::{self, Draft, SessionSecret, refusal};
use crate::{http_task, websocket_task};

/// Most connections of one session at a time.
pub(crate) const MAX_CONNECTIONS: usize = 8;
/// Most pieces a window may hold.
const MAX_WINDOW: u32 = 1024;
/// Most bytes waiting to be sent on one WebSocket.
const MAX_UNSENT: usize = 1 << 20;
/// Most bytes of one WebSocket message.
const MAX_MESSAGE: usize = 1 << 20;

/// What a session may reach.
pub(crate) struct Reach {
    pub(crate) egress: Egress,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) allow: Arc<[HostPattern]>,
    pub(crate) secrets: Arc<[SessionSecret]>,
}

struct Connection {
    window: Arc<Semaphore>,
    task: AbortHandle,
    sender: Option<mpsc::UnboundedSender<Message>>,
    unsent: Arc<AtomicUsize>,
}

pub(crate) struct Network {
    reach: Reach,
    pub(crate) inbox: Arc<Inbox>,
    open: BTreeMap<u32, Connection>,
    next: u32,
}

/// What a guest's `timeout-ms` bounds is the whole exchange; 0 is 10 s, and 10 minutes is the most.
fn limit(timeout_ms: u32) -> Duration {
    Duration::from_millis(match timeout_ms {
        0 => 10_000,
        given => u64::from(given.min(600_000)),
    })
}

impl Network {
    pub(crate) fn new(reach: Reach, inbox: Arc<Inbox>) -> Self {
        Self { reach, inbox, open: BTreeMap::new(), next: 0 }
    }

    pub(crate) fn has_secret(&self, name: &str) -> bool {
        self.reach.secrets.iter().any(|secret| secret.name == name)
    }

    fn room(&mut self) -> Result<u32, ProviderError> {
        if self.open.len() >= MAX_CONNECTIONS {
            return Err(ProviderError {
                retryable: true,
                ..refusal(ErrorCode::RateLimited, format!("more than {MAX_CONNECTIONS} connections are open"))
            });
        }
        self.next = self.next.wrapping_add(1);
        Ok(self.next)
    }

    pub(crate) fn send_request(&mut self, request: HttpRequest) -> Result<u32, ProviderError> {
        let method = http::Method::from_bytes(request.method.as_bytes()).ok();
        let known = [
            http::Method::GET,
            http::Method::HEAD,
            http::Method::POST,
            http::Method::PUT,
            http::Method::PATCH,
            http::Method::DELETE,
        ];
        let method = method.filter(|method| known.contains(method));
        let method = method.ok_or_else(|| {
            refusal(ErrorCode::InvalidSettings, "the method must be GET, HEAD, POST, PUT, PATCH or DELETE")
        })?;
        let draft =
            Draft { url: &request.url, headers: &request.headers, secrets: &request.secrets, body: Some(request.body) };
        let checked = outgoing::check(draft, ["http", "https"], &self.reach.allow, &self.reach.secrets)?;
        let id = self.room()?;
        let mut outgoing = Request::new(method, checked.url);
        outgoing.headers = checked.headers;
        outgoing.body = checked.body.into();
        outgoing.allow = Some(Arc::clone(&self.reach.allow));
        outgoing.redirects = Redirects::Return;
        outgoing.timeouts = Timeouts {
            head: limit(request.timeout_ms),
            idle: limit(request.timeout_ms),
            total: Some(limit(request.timeout_ms)),
        };
        outgoing.max_body = Some(http_task::MAX_BODY);
        let window = Arc::new(Semaphore::new(request.window.min(MAX_WINDOW) as usize));
        let exchange = http_task::Exchange {
            connection: id,
            egress: self.reach.egress.clone(),
            request: outgoing,
            mode: request.body_mode,
            window: Arc::clone(&window),
            inbox: Arc::clone(&self.inbox),
            secrets: Arc::clone(&self.reach.secrets),
        };
        let task = self.reach.runtime.spawn(exchange.run()).abort_handle();
        self.open.insert(id, Connection { window, task, sender: None, unsent: Arc::default() });
        Ok(id)
    }

    pub(crate) fn connect(&mut self, request: ConnectRequest) -> Result<u32, ProviderError> {
        let draft = Draft { url: &request.url, headers: &request.headers, secrets: &request.secrets, body: None };
        let checked = outgoing::check(draft, ["ws", "wss"], &self.reach.allow, &self.reach.secrets)?;
        let token =
            |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        if request.subprotocols.len() > 8 || !request.subprotocols.iter().all(token) {
            return Err(refusal(ErrorCode::InvalidSettings, "a subprotocol is not a token"));
        }
        let id = self.room()?;
        let mut outgoing = WebSocketRequest::new(checked.url);
        outgoing.headers = checked.headers;
        outgoing.subprotocols = request.subprotocols;
        outgoing.allow = Some(Arc::clone(&self.reach.allow));
        outgoing.timeout = limit(request.timeout_ms);
        outgoing.max_message = MAX_MESSAGE;
        let window = Arc::new(Semaphore::new(request.window.min(MAX_WINDOW) as usize));
        let (sender, outbox) = mpsc::unbounded_channel();
        let unsent = Arc::new(AtomicUsize::new(0));
        let conversation = websocket_task::Conversation {
            connection: id,
            egress: self.reach.egress.clone(),
            request: outgoing,
            window: Arc::clone(&window),
            inbox: Arc::clone(&self.inbox),
            secrets: Arc::clone(&self.reach.secrets),
            outbox,
            unsent: Arc::clone(&unsent),
        };
        let task = self.reach.runtime.spawn(conversation.run()).abort_handle();
        self.open.insert(id, Connection { window, task, sender: Some(sender), unsent });
        Ok(id)
    }

    pub(crate) fn send_message(&self, id: u32, message: GuestMessage) -> Result<u32, ProviderError> {
        let closed = || refusal(ErrorCode::Unavailable, "the connection is closed");
        let connection = self.open.get(&id).ok_or_else(closed)?;
        let sender = connection.sender.as_ref().ok_or_else(closed)?;
        let (size, message) = match message {
            GuestMessage::Text(text) => (text.len(), Message::Text(text)),
            GuestMessage::Binary(bytes) => (bytes.len(), Message::Binary(bytes.into())),
        };
        // Every message costs something beside its bytes, so that empty ones are bounded too.
        let cost = size + 64;
        let queued = connection.unsent.load(Ordering::Relaxed).saturating_add(cost);
        if size > MAX_MESSAGE || queued > MAX_UNSENT {
            return Err(ProviderError {
                retryable: true,
                ..refusal(ErrorCode::RateLimited, format!("more than {MAX_UNSENT} bytes wait to be sent"))
            });
        }
        connection.unsent.fetch_add(cost, Ordering::Relaxed);
        sender.send(message).map_err(|_| closed())?;
        Ok(u32::try_from(queued).unwrap_or(u32::MAX))
    }

    pub(crate) fn close(&mut self, id: u32, frame: CloseFrame) {
        if let Some(sender) = self.open.get_mut(&id).and_then(|connection| connection.sender.take()) {
            let code = if frame.code == 1000 || (3000..=4999).contains(&frame.code) { frame.code } else { 1000 };
            let end =
                frame.reason.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|&end| end <= 123).last();
            // A task that is gone has closed already.
            drop(sender.send(Message::Close(code, frame.reason[..end.unwrap_or(0)].to_owned())));
        }
    }

    pub(crate) fn grant(&self, id: u32, more: u32) {
        if let Some(connection) = self.open.get(&id) {
            let room = (MAX_WINDOW as usize).saturating_sub(connection.window.available_permits());
            connection.window.add_permits((more as usize).min(room));
        }
    }

    pub(crate) fn abort(&mut self, id: u32) {
        if let Some(connection) = self.open.remove(&id) {
            connection.task.abort();
            self.inbox.forget(id);
        }
    }

    /// The next thing that happened on a connection the guest still holds.
    pub(crate) fn take(&mut self) -> Option<(u32, Delivery)> {
        loop {
            let (id, delivery) = self.inbox.take()?;
            if !self.open.contains_key(&id) {
                continue;
            }
            if delivery.is_last() {
                self.open.remove(&id);
            }
            return Some((id, delivery));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.open.values().for_each(|connection| connection.task.abort());
    }
}

/// What a guest is told about a connection that failed.
pub(crate) fn failure(error: &EgressError) -> ProviderError {
    let (code, retry_after_ms) = match error {
        EgressError::Timeout { .. } => (ErrorCode::Timeout, None),
        EgressError::NotAllowed { .. } | EgressError::PrivateAddress { .. } => (ErrorCode::Unauthorized, None),
        EgressError::Refused { status: 401 | 403, .. } => (ErrorCode::Unauthorized, None),
        EgressError::Refused { status: 429, retry_after_ms } => (ErrorCode::RateLimited, *retry_after_ms),
        EgressError::Refused { retry_after_ms, .. } => (ErrorCode::Unavailable, *retry_after_ms),
        EgressError::Url { .. } | EgressError::Redirect(_) | EgressError::Setup(_) => {
            (ErrorCode::InvalidSettings, None)
        }
        EgressError::TooLarge { .. }
        | EgressError::Protocol(_)
        | EgressError::NotPinned { .. }
        | EgressError::Certificate { .. }
        | EgressError::NotTls { .. } => (ErrorCode::Protocol, None),
        EgressError::Resolve { .. } | EgressError::Connect { .. } => (ErrorCode::Unavailable, None),
    };
    let vendor_code = match error {
        EgressError::Refused { status, .. } => Some(status.to_string()),
        _ => None,
    };
    ProviderError {
        code,
        message: error.to_string(),
        retryable: error.retryable(),
        retry_after_ms: retry_after_ms.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)),
        vendor_code,
    }
}
