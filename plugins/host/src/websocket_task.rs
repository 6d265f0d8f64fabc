//! One WebSocket connection: opens, sends what the session queued, delivers what comes within the guest's window.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use trunkline_egress::{Egress, EgressError, Message, WebSocketReceiver, WebSocketRequest, WebSocketSender};

use crate::bindings::host::websocket::{CloseFrame, Message as GuestMessage, WebsocketEvent};
use crate::inbox::{Delivery, Inbox};
use crate::network::failure;
use crate::outgoing::{SessionSecret, scrub, scrub_text};

/// How long the other side may take to answer a close.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

pub(crate) struct Conversation {
    pub(crate) connection: u32,
    pub(crate) egress: Egress,
    pub(crate) request: WebSocketRequest,
    pub(crate) window: Arc<Semaphore>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) secrets: Arc<[SessionSecret]>,
    pub(crate) outbox: mpsc::UnboundedReceiver<Message>,
    pub(crate) unsent: Arc<AtomicUsize>,
}

impl Conversation {
    pub(crate) async fn run(mut self) {
        let last = match self.converse().await {
            Ok(frame) => WebsocketEvent::Closed(frame),
            Err(error) => WebsocketEvent::Failed(failure(&error)),
        };
        self.inbox.put(self.connection, 0, Delivery::WebSocket(last)).await;
    }

    async fn converse(&mut self) -> Result<CloseFrame, EgressError> {
        let socket = self.egress.connect_websocket(self.request.clone()).await?;
        let opened = WebsocketEvent::Opened(socket.subprotocol.clone());
        self.inbox.put(self.connection, 0, Delivery::WebSocket(opened)).await;
        let (sender, receiver) = socket.split();
        let incoming =
            Incoming { connection: self.connection, window: &self.window, inbox: &self.inbox, secrets: &self.secrets };
        let receiving = incoming.receive(receiver);
        tokio::pin!(receiving);
        tokio::select! {
            closed = &mut receiving => closed,
            sent = send(sender, &mut self.outbox, &self.unsent) => {
                let own = sent?;
                match tokio::time::timeout(CLOSE_WAIT, receiving).await {
                    Ok(closed) => closed,
                    Err(_) => Ok(own),
                }
            }
        }
    }
}

/// Sends until the session closes, and gives the frame it closed with.
async fn send(
    mut sender: WebSocketSender,
    outbox: &mut mpsc::UnboundedReceiver<Message>,
    unsent: &AtomicUsize,
) -> Result<CloseFrame, EgressError> {
    while let Some(message) = outbox.recv().await {
        let (cost, close) = match &message {
            Message::Text(text) => (text.len() + 64, None),
            Message::Binary(bytes) => (bytes.len() + 64, None),
            Message::Close(code, reason) => (0, Some(CloseFrame { code: *code, reason: reason.clone() })),
        };
        let sent = sender.send(message).await;
        unsent.fetch_sub(cost, Ordering::Relaxed);
        if let Some(frame) = close {
            return sent.map(|()| frame);
        }
        sent?;
    }
    Ok(CloseFrame { code: 1000, reason: String::new() })
}

struct Incoming<'a> {
    connection: u32,
    window: &'a Semaphore,
    inbox: &'a Inbox,
    secrets: &'a [SessionSecret],
}

impl Incoming<'_> {
    async fn receive(&self, mut receiver: WebSocketReceiver) -> Result<CloseFrame, EgressError> {
        let mut closing = None;
        loop {
            // The permit comes first, so that a guest that takes nothing holds the sender back.
            let Ok(permit) = self.window.acquire().await else { break };
            let message = receiver.receive().await;
            let event = match message {
                Ok(None) => break,
                Ok(Some(Message::Close(code, reason))) => {
                    closing = Some(CloseFrame { code, reason });
                    continue;
                }
                Err(_) if closing.is_some() => break,
                Err(error) => return Err(error),
                Ok(Some(Message::Text(text))) => (text.len(), GuestMessage::Text(scrub_text(text, self.secrets))),
                Ok(Some(Message::Binary(bytes))) => {
                    (bytes.len(), GuestMessage::Binary(scrub(bytes.to_vec(), self.secrets)))
                }
            };
            permit.forget();
            self.inbox.put(self.connection, event.0, Delivery::WebSocket(WebsocketEvent::Message(event.1))).await;
        }
        // 1006: it ended without a close frame (RFC 6455 7.1.5).
        Ok(closing.unwrap_or(CloseFrame { code: 1006, reason: String::new() }))
    }
}
