//! What connections have for a session: a queue that network tasks fill and the session's own thread empties, with
//! the bytes in it bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::bindings::host::{http::HttpEvent, websocket::WebsocketEvent};

/// Called from network threads when a session has something to handle. It must be quick and must not call the session.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Most bytes waiting for one session.
const MAX_BYTES: usize = 4 << 20;

#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    Http(HttpEvent),
    WebSocket(WebsocketEvent),
}

impl Delivery {
    /// Nothing follows on this connection.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            Self::Http(event) => matches!(event, HttpEvent::End | HttpEvent::Failed(_)),
            Self::WebSocket(event) => matches!(event, WebsocketEvent::Closed(_) | WebsocketEvent::Failed(_)),
        }
    }
}

struct Waiting {
    connection: u32,
    bytes: u32,
    delivery: Delivery,
}

pub(crate) struct Inbox {
    queue: Mutex<VecDeque<Waiting>>,
    bytes: Semaphore,
    wake: Wake,
}

impl Inbox {
    pub(crate) fn new(wake: Wake) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), bytes: Semaphore::new(MAX_BYTES), wake })
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        // A poisoned queue is still a queue: pushing and popping cannot leave it half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a piece of `size` bytes, waiting until there is room for them.
    pub(crate) async fn put(&self, connection: u32, size: usize, delivery: Delivery) {
        let bytes = u32::try_from(size.min(MAX_BYTES)).unwrap_or(u32::MAX);
        if let Ok(room) = self.bytes.acquire_many(bytes).await {
            room.forget();
            self.put_now(connection, bytes, delivery);
        }
    }

    fn put_now(&self, connection: u32, bytes: u32, delivery: Delivery) {
        let first = {
            let mut queue = self.queue();
            queue.push_back(Waiting { connection, bytes, delivery });
            queue.len() == 1
        };
        if first {
            (self.wake)();
        }
    }

    pub(crate) fn take(&self) -> Option<(u32, Delivery)> {
        let waiting = self.queue().pop_front()?;
        self.bytes.add_permits(waiting.bytes as usize);
        Some((waiting.connection, waiting.delivery))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue().is_empty()
    }

    /// Drops what a connection had queued.
    pub(crate) fn forget(&self, connection: u32) {
        let mut freed = 0;
        self.queue().retain(|waiting| {
            let keep = waiting.connection != connection;
            freed += if keep { 0 } else { waiting.bytes as usize };
            keep
        });
        self.bytes.add_permits(freed);
    }
}
