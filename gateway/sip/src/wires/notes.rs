//! What is kept of everything that is sent: a count, and its place in the trace of its call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ladder::{Crossing, Ladder, TraceDirection};
use crate::sight::{Crossed, HepExport, HepTransport};
use crate::stats::Counters;
use crate::transport::Hop;

pub(crate) struct Notes {
    pub(crate) counters: Arc<Counters>,
    pub(crate) ladder: Arc<Ladder>,
    /// The capture server that every message is shown to.
    pub(crate) hep: Option<HepExport>,
}

impl Notes {
    /// Shows a message that crosses a socket to the capture server, when there is one.
    pub(crate) fn show(&self, direction: TraceDirection, far: Hop, local: SocketAddr, bytes: &[u8]) {
        let Some(hep) = &self.hep else { return };
        let (from, to) = match direction {
            TraceDirection::Received => (far.address, local),
            TraceDirection::Sent => (local, far.address),
        };
        let transport = if far.transport.is_reliable() { HepTransport::Tcp } else { HepTransport::Udp };
        hep.show(Crossed { at_us: wall_us(), from, to, transport, bytes: bytes.to_vec() });
    }

    /// Counts and traces what is about to be sent; it is our own text, so it is well-formed.
    pub(crate) fn note(&self, bytes: &[u8], to: Hop, local: SocketAddr) {
        self.show(TraceDirection::Sent, to, local, bytes);
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
        let (direction, peer) = (TraceDirection::Sent, to.address);
        self.ladder.add(call_id, &Crossing { at_us: wall_us(), direction, peer, local, line, cseq, bytes });
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
