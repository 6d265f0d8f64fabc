//! One HTTP exchange: sends, then cuts the body into the pieces the guest asked for, one for each permit of its window.

use std::sync::Arc;

use tokio::sync::Semaphore;
use trunkline_egress::{Body, Egress, EgressError, LineEnding, Lines, Request, ServerSentEvents};

use crate::bindings::host::http::{BodyMode, HttpEvent, ResponseHead, ServerSentEvent};
use crate::inbox::{Delivery, Inbox};
use crate::network::failure;
use crate::outgoing::{SessionSecret, scrub, scrub_text};

/// Most bytes of a whole response body.
pub(crate) const MAX_BODY: usize = 16 << 20;
/// Most bytes of a buffered body.
const MAX_BUFFERED: usize = 1 << 20;
/// Most bytes of one chunk.
const MAX_CHUNK: usize = 64 << 10;
/// Most bytes of one line or server-sent event.
const MAX_LINE: usize = 256 << 10;

pub(crate) struct Exchange {
    pub(crate) connection: u32,
    pub(crate) egress: Egress,
    pub(crate) request: Request,
    pub(crate) mode: BodyMode,
    pub(crate) window: Arc<Semaphore>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) secrets: Arc<[SessionSecret]>,
}

impl Exchange {
    pub(crate) async fn run(self) {
        let last = match self.exchange().await {
            Ok(()) => HttpEvent::End,
            Err(error) => HttpEvent::Failed(failure(&error)),
        };
        self.inbox.put(self.connection, 0, Delivery::Http(last)).await;
    }

    async fn exchange(&self) -> Result<(), EgressError> {
        let response = self.egress.request(self.request.clone()).await?;
        let headers = response.headers.iter().filter_map(|(name, value)| {
            let value = scrub_text(String::from_utf8_lossy(value.as_bytes()).into_owned(), &self.secrets);
            // A session cookie is a credential the guest has no use for.
            (name != http::header::SET_COOKIE).then(|| (name.as_str().to_owned(), value))
        });
        let head = ResponseHead { status: response.status.as_u16(), headers: headers.collect() };
        let size = head.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.inbox.put(self.connection, size, Delivery::Http(HttpEvent::Head(head))).await;
        match self.mode {
            BodyMode::Buffered => self.buffered(response.body).await,
            BodyMode::Chunks => self.chunks(response.body).await,
            BodyMode::Lines => self.lines(response.body).await,
            BodyMode::ServerSentEvents => self.server_sent_events(response.body).await,
        }
    }

    async fn piece(&self, size: usize, event: HttpEvent) {
        if let Ok(permit) = self.window.acquire().await {
            permit.forget();
            self.inbox.put(self.connection, size, Delivery::Http(event)).await;
        }
    }

    async fn buffered(&self, mut body: Body) -> Result<(), EgressError> {
        let mut whole = Vec::new();
        while let Some(chunk) = body.chunk().await? {
            if whole.len() + chunk.len() > MAX_BUFFERED {
                return Err(EgressError::TooLarge { what: "a buffered body", limit: MAX_BUFFERED });
            }
            whole.extend_from_slice(&chunk);
        }
        self.piece(whole.len(), HttpEvent::Chunk(scrub(whole, &self.secrets))).await;
        Ok(())
    }

    async fn chunks(&self, mut body: Body) -> Result<(), EgressError> {
        while let Some(chunk) = body.chunk().await? {
            for piece in chunk.chunks(MAX_CHUNK) {
                self.piece(piece.len(), HttpEvent::Chunk(scrub(piece.to_vec(), &self.secrets))).await;
            }
        }
        Ok(())
    }

    async fn line(&self, line: Vec<u8>) {
        let line = scrub_text(String::from_utf8_lossy(&line).into_owned(), &self.secrets);
        self.piece(line.len(), HttpEvent::Line(line)).await;
    }

    async fn lines(&self, mut body: Body) -> Result<(), EgressError> {
        let too_long = |_| EgressError::TooLarge { what: "a line", limit: MAX_LINE };
        let mut lines = Lines::new(LineEnding::Newline, MAX_LINE);
        while let Some(chunk) = body.chunk().await? {
            let pushed = lines.push(&chunk);
            while let Some(line) = lines.next_line() {
                self.line(line).await;
            }
            pushed.map_err(too_long)?;
        }
        if let Some(rest) = lines.finish() {
            self.line(rest).await;
        }
        Ok(())
    }

    async fn server_sent_events(&self, mut body: Body) -> Result<(), EgressError> {
        let too_long = |_| EgressError::TooLarge { what: "a server-sent event", limit: MAX_LINE };
        let mut events = ServerSentEvents::new(MAX_LINE);
        while let Some(chunk) = body.chunk().await? {
            let pushed = events.push(&chunk);
            while let Some(event) = events.next_event().map_err(too_long)? {
                let data = scrub_text(event.data, &self.secrets);
                let size = data.len();
                self.piece(size, HttpEvent::Sse(ServerSentEvent { event: event.event, data, id: event.id })).await;
            }
            pushed.map_err(too_long)?;
        }
        Ok(())
    }
}
