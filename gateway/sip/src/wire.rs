//! The socket as the stack sees it: it may only send, and everything it sends is counted and traced. Receiving is
//! ours ([`crate::receive`]).

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rsipstack::platform::net::UdpSocket as StackSocket;
use tokio::net::UdpSocket;

use crate::ladder::{Crossing, Ladder, TraceDirection};
use crate::sight::{Crossed, HepExport, HepTransport};
use crate::stats::Counters;

/// The sending half.
pub(crate) struct Wire {
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) advertised: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ladder: Arc<Ladder>,
    /// The capture server that every message is shown to.
    pub(crate) hep: Option<HepExport>,
}

impl Wire {
    /// Sends.
    pub(crate) async fn send(&self, bytes: &[u8], peer: SocketAddr) -> std::io::Result<()> {
        self.note(bytes, peer);
        self.socket.send_to(bytes, peer).await.map(drop)
    }

    /// Shows a message that crosses the socket to the capture server, when there is one.
    pub(crate) fn show(&self, direction: TraceDirection, peer: SocketAddr, bytes: &[u8]) {
        let Some(hep) = &self.hep else { return };
        let (from, to) = match direction {
            TraceDirection::Received => (peer, self.advertised),
            TraceDirection::Sent => (self.advertised, peer),
        };
        hep.show(Crossed { at_us: wall_us(), from, to, transport: HepTransport::Udp, bytes: bytes.to_vec() });
    }

    /// Counts and traces what is about to be sent; it is our own text, so it is well-formed.
    pub(crate) fn note(&self, bytes: &[u8], peer: SocketAddr) {
        self.show(TraceDirection::Sent, peer, bytes);
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes, |end| &bytes[..end]);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or("");
        let (mut call_id, mut cseq) = ("", "");
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("call-id") {
                call_id = value.trim();
            } else if name.eq_ignore_ascii_case("cseq") {
                cseq = value.trim();
            }
        }
        if let Some(status) = line.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok()) {
            self.counters.response(cseq.rsplit(' ').next().unwrap_or(""), status);
        }
        let (direction, local) = (TraceDirection::Sent, self.advertised);
        self.ladder.add(call_id, &Crossing { at_us: wall_us(), direction, peer, local, line, cseq, bytes });
    }
}

impl StackSocket for Wire {
    fn recv_from<'life0, 'life1, 'async_trait>(
        &'life0 self,
        _buffer: &'life1 mut [u8],
    ) -> Pin<Box<dyn Future<Output = Result<(usize, SocketAddr), rsipstack::Error>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(std::future::pending())
    }

    fn send_to<'life0, 'life1, 'async_trait>(
        &'life0 self,
        bytes: &'life1 [u8],
        peer: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = Result<usize, rsipstack::Error>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            self.note(bytes, peer);
            Ok(self.socket.send_to(bytes, peer).await?)
        })
    }

    fn local_addr(&self) -> Result<SocketAddr, rsipstack::Error> {
        Ok(self.advertised)
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
