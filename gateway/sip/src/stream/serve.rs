//! A connection of bytes, from its first to its last: what comes is divided into messages, and each goes the way of a
//! datagram.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::Instant;

use super::framer::{Framer, Piece};
use crate::receive::{Arrived, Way, arrive};
use crate::shared::Shared;
use crate::transport::Hop;
use crate::wires::Flow;

/// Bytes that are read at once.
const READ: usize = 16 * 1024;
/// How long a far end that nobody knows has to show that it belongs to a trunk.
pub(crate) const STRANGER: Duration = Duration::from_secs(10);
/// How long a message may be on its way.
const MESSAGE: Duration = Duration::from_secs(20);
/// How long a connection may be silent.
pub(crate) const SILENT: Duration = Duration::from_secs(2 * 3600);
/// Between two signs of life over a connection that we opened (RFC 5626 4.4.1: at most 120 s behind what is no NAT).
const ALIVE: Duration = Duration::from_secs(30);
/// How long the answer to one may take, of a far end that has answered before.
const ANSWER: Duration = Duration::from_secs(10);

/// Serves a connection that we opened, for as long as it lasts; returns once messages can be sent over it.
pub(crate) async fn serve_ours<S>(shared: &Arc<Shared>, stream: S, hop: Hop) -> io::Result<Arc<Flow>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let local = shared.locals().advertised(hop);
    let (flow, outgoing) = Flow::new(hop, local, Vec::new(), true, &shared.stop).await?;
    if !shared.wires.flows.add(&flow) {
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "there are as many connections as there may be"));
    }
    let (reading, writing) = tokio::io::split(stream);
    let (shared, serving) = (Arc::clone(shared), Arc::clone(&flow));
    tokio::spawn(async move {
        let notes = Arc::clone(&shared.wires.notes);
        let write = outgoing.write_to(&serving, &notes, writing);
        tokio::join!(read(&shared, &serving, reading, true), write);
        shared.wires.flows.remove(&serving);
    });
    Ok(flow)
}

/// Serves a connection that was opened to us, to its end.
pub(crate) async fn serve_theirs<S>(shared: &Arc<Shared>, stream: S, hop: Hop, names: Vec<String>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let local = shared.locals().advertised(hop);
    let Ok((flow, outgoing)) = Flow::new(hop, local, names, false, &shared.stop).await else { return };
    if !shared.wires.flows.add(&flow) {
        return;
    }
    let known = shared.is_known(&flow);
    let stranger = if known { None } else { shared.wires.flows.stranger(hop.address.ip(), false) };
    if known || stranger.is_some() {
        let (reading, writing) = tokio::io::split(stream);
        let notes = Arc::clone(&shared.wires.notes);
        tokio::join!(read(shared, &flow, reading, known), outgoing.write_to(&flow, &notes, writing));
    }
    shared.wires.flows.remove(&flow);
}

/// Reads until the far end, or we, have had enough.
async fn read(shared: &Arc<Shared>, flow: &Arc<Flow>, mut stream: impl AsyncRead + Unpin, mut known: bool) {
    let way = Way::flow(flow);
    let mut framer = Framer::new(shared.config.limits.max_message);
    let mut buffer = vec![0; READ];
    let mut life = Life::new();
    loop {
        let read = tokio::select! {
            () = flow.closed.cancelled() => break,
            () = tokio::time::sleep_until(life.until(flow, known)) => {
                if life.is_due(flow) {
                    let _ = flow.push(Bytes::from_static(b"\r\n\r\n"));
                    continue;
                }
                tracing::debug!(peer = %flow.hop, "a connection was silent for too long and is closed");
                break;
            }
            read = stream.read(&mut buffer) => read,
        };
        let Some(bytes) = read.ok().filter(|read| *read > 0).and_then(|read| buffer.get(..read)) else { break };
        framer.handle_bytes(bytes);
        life.heard();
        let mut divided = false;
        let going_on = loop {
            let piece = framer.poll_piece();
            divided |= matches!(piece, Ok(Some(_)));
            match piece {
                Ok(Some(Piece::Message(message))) => match arrive(shared, &way, &message).await {
                    Arrived::Served => known = true,
                    // Nobody whom we know: what else comes is not read.
                    Arrived::Stranger => break false,
                    Arrived::Refused => {}
                },
                Ok(Some(Piece::Ping)) => {
                    let _ = flow.push(Bytes::from_static(b"\r\n"));
                }
                Ok(Some(Piece::Pong)) => life.answered = true,
                Ok(None) => break true,
                Err(why) => {
                    shared.counters.dropped(crate::stats::Dropped::Unframed);
                    tracing::debug!(peer = %flow.hop, %why, "a connection is closed");
                    break false;
                }
            }
        };
        if !going_on {
            // What is still to be said to the far end has a moment.
            tokio::time::sleep(Duration::from_millis(50)).await;
            break;
        }
        life.within(framer.is_within(), divided);
    }
    flow.closed.cancel();
}

/// How long the far end may be silent.
struct Life {
    began: Instant,
    heard: Instant,
    /// When the message began that is on its way.
    message: Option<Instant>,
    asked: Option<Instant>,
    /// Whether the far end answers signs of life at all: not all do.
    answered: bool,
}

impl Life {
    fn new() -> Self {
        let now = Instant::now();
        Self { began: now, heard: now, message: None, asked: None, answered: false }
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
        self.asked = None;
    }

    /// Whether the stream stands within a message now, and whether one ended meanwhile: what it stands within began behind that.
    fn within(&mut self, within: bool, ended: bool) {
        self.message = match self.message.filter(|_| !ended) {
            _ if !within => None,
            began => began.or_else(|| Some(Instant::now())),
        };
    }

    /// When something is due: the end, or a sign of life.
    fn until(&self, flow: &Flow, known: bool) -> Instant {
        let mut until = self.heard + SILENT;
        if !known {
            until = until.min(self.began + STRANGER);
        }
        if let Some(message) = self.message {
            until = until.min(message + MESSAGE);
        }
        if flow.is_ours {
            until = until.min(match self.asked {
                Some(asked) if self.answered => asked + ANSWER,
                Some(asked) => asked + ALIVE,
                None => self.heard + ALIVE,
            });
        }
        until
    }

    /// Whether what is due now is a sign of life.
    fn is_due(&mut self, flow: &Flow) -> bool {
        let now = Instant::now();
        let owed = self.asked.is_some() && self.answered;
        let stuck = self.message.is_some_and(|message| message + MESSAGE <= now);
        let due = flow.is_ours && !owed && !stuck && self.heard + SILENT > now;
        if due {
            self.asked = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_may_take_so_long_and_a_stream_of_messages_as_long_as_it_likes() {
        let mut life = Life::new();
        life.within(true, false);
        let earlier = Instant::now().checked_sub(MESSAGE / 2).unwrap();
        life.message = Some(earlier);
        life.within(true, false);
        assert_eq!(life.message, Some(earlier), "it is still on its way");
        life.within(true, true);
        assert!(life.message.is_some_and(|began| began > earlier), "that one came, and another began");
        life.within(false, true);
        assert_eq!(life.message, None);
    }
}
