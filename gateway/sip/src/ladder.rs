//! Keeps the signalling of recent calls, so that an operator can see what was said without a packet capture.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crate::sight::{Pcap, PcapPacket, redact};

/// Most messages kept for a call; the first ones stay.
const MAX_ENTRIES: usize = 96;
/// Longest start line kept, in characters.
const MAX_LINE: usize = 160;
/// Most bytes of whole messages kept for a call; those beyond have their start line alone.
const MAX_BYTES: usize = 64 * 1024;

/// The signalling of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTrace {
    /// The Call-ID.
    pub call_id: String,
    /// Messages in the order they crossed the socket.
    pub entries: Vec<TraceEntry>,
    /// Messages beyond those kept.
    pub cut: u64,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEntry {
    /// Microseconds since the Unix epoch.
    pub at_us: u64,
    /// Which way.
    pub direction: TraceDirection,
    /// The far end.
    pub peer: SocketAddr,
    /// The start line.
    pub start_line: String,
    /// The CSeq value.
    pub cseq: String,
    /// Our end.
    pub local: SocketAddr,
    /// The whole message with its keys crossed out; empty when there was no room for it.
    pub message: Vec<u8>,
}

/// A message that crosses the socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crossing<'a> {
    /// Microseconds since the Unix epoch.
    pub(crate) at_us: u64,
    /// Which way.
    pub(crate) direction: TraceDirection,
    /// The far end.
    pub(crate) peer: SocketAddr,
    /// Our end.
    pub(crate) local: SocketAddr,
    /// The start line.
    pub(crate) line: &'a str,
    /// The CSeq value.
    pub(crate) cseq: &'a str,
    /// The message.
    pub(crate) bytes: &'a [u8],
}

impl CallTrace {
    /// The messages as a pcap file; those that there was no room for are missing.
    #[must_use]
    pub fn pcap(&self) -> Vec<u8> {
        let mut pcap = Pcap::new();
        for entry in self.entries.iter().filter(|entry| !entry.message.is_empty()) {
            let (from, to) = match entry.direction {
                TraceDirection::Received => (entry.peer, entry.local),
                TraceDirection::Sent => (entry.local, entry.peer),
            };
            let (payload, length) = (entry.message.as_slice(), entry.message.len());
            pcap.add(&PcapPacket { at_us: entry.at_us, from, to, payload, length });
        }
        pcap.into_bytes()
    }
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceDirection {
    /// To the gateway.
    Received,
    /// From the gateway.
    Sent,
}

impl fmt::Display for CallTrace {
    /// A ladder: time since the first message in milliseconds, arrow, start line and CSeq.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first_us = self.entries.first().map_or(0, |entry| entry.at_us);
        for entry in &self.entries {
            let since_us = entry.at_us.saturating_sub(first_us);
            let arrow = match entry.direction {
                TraceDirection::Received => "-->",
                TraceDirection::Sent => "<--",
            };
            let (ms, rest) = (since_us / 1000, since_us % 1000);
            writeln!(f, "{ms:>8}.{rest:03} ms  {} {arrow} {}  [{}]", entry.peer, entry.start_line, entry.cseq)?;
        }
        if self.cut > 0 {
            writeln!(f, "             and {} more", self.cut)?;
        }
        Ok(())
    }
}

/// Traces of the most recent calls.
#[derive(Debug)]
pub(crate) struct Ladder {
    max_calls: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    traces: BTreeMap<String, CallTrace>,
    order: VecDeque<String>,
}

impl Ladder {
    pub(crate) fn new(max_calls: usize) -> Self {
        Self { max_calls, kept: Mutex::default() }
    }

    /// Begins to keep a call; the oldest goes when there is no room.
    pub(crate) fn begin(&self, call_id: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if self.max_calls == 0 || kept.traces.contains_key(call_id) {
            return;
        }
        while kept.order.len() >= self.max_calls
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.traces.remove(&oldest);
        }
        kept.order.push_back(call_id.to_owned());
        let trace = CallTrace { call_id: call_id.to_owned(), entries: Vec::new(), cut: 0 };
        kept.traces.insert(call_id.to_owned(), trace);
    }

    /// Adds a message to its call, if that is kept.
    pub(crate) fn add(&self, call_id: &str, crossing: &Crossing<'_>) {
        let Crossing { at_us, direction, peer, local, line, cseq, bytes } = *crossing;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(trace) = kept.traces.get_mut(call_id) else { return };
        if trace.entries.len() >= MAX_ENTRIES {
            trace.cut += 1;
            return;
        }
        let start_line = line.chars().take(MAX_LINE).collect();
        let cseq = cseq.chars().take(MAX_LINE).collect();
        let kept: usize = trace.entries.iter().map(|entry| entry.message.len()).sum();
        let message = if kept + bytes.len() <= MAX_BYTES { redact(bytes) } else { Vec::new() };
        trace.entries.push(TraceEntry { at_us, direction, peer, start_line, cseq, local, message });
    }

    /// A call's trace.
    pub(crate) fn trace(&self, call_id: &str) -> Option<CallTrace> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).traces.get(call_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossing(at_us: u64, bytes: &[u8]) -> Crossing<'_> {
        let (peer, local) = (SocketAddr::from(([192, 0, 2, 1], 5060)), SocketAddr::from(([192, 0, 2, 2], 5070)));
        let (line, cseq) = ("OPTIONS sip:x SIP/2.0", "1 OPTIONS");
        Crossing { at_us, direction: TraceDirection::Received, peer, local, line, cseq, bytes }
    }

    #[test]
    fn whole_messages_are_kept_while_there_is_room_and_without_their_keys() {
        let ladder = Ladder::new(1);
        ladder.begin("a");
        let long = vec![b'x'; 20_000];
        for at_us in 0..4 {
            ladder.add("a", &crossing(at_us, &long));
        }
        ladder.add("a", &crossing(4, b"SIP\r\n\r\na=crypto:1 AES inline:c2VjcmV0\r\n"));
        let trace = ladder.trace("a").unwrap();
        let kept: Vec<usize> = trace.entries.iter().map(|entry| entry.message.len()).collect();
        assert_eq!(kept, [20_000, 20_000, 20_000, 0, 39]);
        let pcap = trace.pcap();
        assert_eq!(pcap.len(), 24 + 3 * (16 + 28 + 20_000) + 16 + 28 + 39);
        assert!(!pcap.windows(8).any(|window| window == b"c2VjcmV0"));
    }

    #[test]
    fn only_the_most_recent_calls_and_their_first_messages_are_kept() {
        let ladder = Ladder::new(2);
        for call in ["a", "b", "c"] {
            ladder.begin(call);
            for at_us in 0..100 {
                ladder.add(call, &crossing(at_us, b""));
            }
        }
        assert_eq!(ladder.trace("a"), None);
        let trace = ladder.trace("c").unwrap();
        assert_eq!((trace.entries.len(), trace.cut), (MAX_ENTRIES, 4));
        assert!(trace.to_string().contains("192.0.2.1:5060 --> OPTIONS sip:x SIP/2.0  [1 OPTIONS]"));
    }
}
