//! One connection: what is to be sent over it waits in a bounded queue, so that a peer that reads nothing delays nobody,
//! and is given up on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rsipstack::sip::HostWithPort;
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::notes::Notes;
use crate::transport::Hop;

/// Messages that may wait for a peer to read.
const QUEUE: usize = 256;
/// How long a peer may take to read one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that is open.
pub(crate) struct Flow {
    pub(crate) hop: Hop,
    /// Our address as peers are told of it.
    pub(crate) local: SocketAddr,
    /// DNS names that the far end has proven by a certificate.
    pub(crate) names: Vec<String>,
    /// Whether we opened it, and so keep it open.
    pub(crate) is_ours: bool,
    /// The stack's end of it: reliable, so that nothing is sent again.
    pub(crate) stack: SipConnection,
    out: mpsc::Sender<Bytes>,
    pub(crate) closed: CancellationToken,
}

/// What of a flow belongs to the task that writes.
pub(crate) struct Outgoing {
    out: mpsc::Receiver<Bytes>,
    from_stack: mpsc::UnboundedReceiver<TransportEvent>,
}

impl Flow {
    pub(crate) async fn new(
        hop: Hop,
        local: SocketAddr,
        names: Vec<String>,
        is_ours: bool,
        stop: &CancellationToken,
    ) -> io::Result<(Arc<Self>, Outgoing)> {
        // The stack's queue has no bound of its own: it is emptied into ours, which has, as soon as anything is in it.
        let (to_us, from_stack) = mpsc::unbounded_channel();
        let (_, nothing) = mpsc::unbounded_channel();
        let address = SipAddr { r#type: None, addr: HostWithPort::from(hop.address) };
        let channel = ChannelConnection::create_connection(nothing, to_us, address, None).await;
        let channel = channel.map_err(|error| io::Error::other(error.to_string()))?;
        let (sender, out) = mpsc::channel(QUEUE);
        let closed = stop.child_token();
        let stack = SipConnection::Channel(channel);
        Ok((Arc::new(Self { hop, local, names, is_ours, stack, out: sender, closed }), Outgoing { out, from_stack }))
    }

    /// Has bytes sent behind what waits already.
    pub(crate) fn push(&self, bytes: Bytes) -> io::Result<()> {
        self.out.try_send(bytes).map_err(|error| {
            // Whoever does not read is not worth waiting for: what is lost now would be missed later.
            self.closed.cancel();
            match error {
                mpsc::error::TrySendError::Full(_) => io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing"),
                mpsc::error::TrySendError::Closed(_) => io::ErrorKind::NotConnected.into(),
            }
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.closed.is_cancelled()
    }
}

impl Outgoing {
    /// The next bytes to write; `None` once the connection is closed.
    pub(crate) async fn next(&mut self, flow: &Flow, notes: &Notes) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                () = flow.closed.cancelled() => return None,
                event = self.from_stack.recv() => {
                    let Some(TransportEvent::Incoming(message, _, _)) = event else { continue };
                    let bytes = Bytes::from(message.to_bytes());
                    notes.note(&bytes, flow.hop, flow.local);
                    // An error has closed the flow, which is looked at next.
                    let _ = flow.push(bytes);
                }
                bytes = self.out.recv() => return bytes,
            }
        }
    }

    /// Writes to a stream until the connection ends.
    pub(crate) async fn write_to(mut self, flow: &Flow, notes: &Notes, mut stream: impl AsyncWrite + Unpin) {
        while let Some(bytes) = self.next(flow, notes).await {
            let written = async {
                stream.write_all(&bytes).await?;
                stream.flush().await
            };
            match tokio::time::timeout(PATIENCE, written).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(peer = %flow.hop, %error, "a connection could not be written to");
                    break;
                }
                Err(_) => {
                    tracing::info!(peer = %flow.hop, "a peer reads nothing; its connection is closed");
                    break;
                }
            }
        }
        flow.closed.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.shutdown()).await;
    }
}
