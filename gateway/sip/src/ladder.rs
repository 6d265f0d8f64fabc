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

/// Traces of the most recent calls. A call that is refused takes no answered one's place: until its INVITE has a final
/// response it waits in a place of its own, of which there are as many again.
#[derive(Debug)]
pub(crate) struct Ladder {
    max_calls: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    traces: BTreeMap<String, CallTrace>,
    /// In the order of their INVITEs.
    undecided: VecDeque<String>,
    /// In the order of their answers.
    answered: VecDeque<String>,
    /// In the order of their refusals.
    refused: VecDeque<String>,
}

impl Kept {
    /// Forgets the oldest of one kind.
    fn evict(&mut self, of: fn(&mut Self) -> &mut VecDeque<String>) -> bool {
        let oldest = of(self).pop_front();
        oldest.is_some_and(|oldest| self.traces.remove(&oldest).is_some())
    }

    /// The INVITE has its final response.
    fn decide(&mut self, call_id: &str, answered: bool, most: usize) {
        let Some(at) = self.undecided.iter().position(|waiting| waiting == call_id) else { return };
        let Some(call_id) = self.undecided.remove(at) else { return };
        if self.answered.len() + self.refused.len() >= most
            && !self.evict(|kept| &mut kept.refused)
            && !(answered && self.evict(|kept| &mut kept.answered))
        {
            self.traces.remove(&call_id);
            return;
        }
        if answered { &mut self.answered } else { &mut self.refused }.push_back(call_id);
    }
}

impl Ladder {
    pub(crate) fn new(max_calls: usize) -> Self {
        Self { max_calls, kept: Mutex::default() }
    }

    /// Begins to keep a call; the oldest of those that wait for their answer goes when there is no room.
    pub(crate) fn begin(&self, call_id: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if self.max_calls == 0 || kept.traces.contains_key(call_id) {
            return;
        }
        while kept.undecided.len() >= self.max_calls && kept.evict(|kept| &mut kept.undecided) {}
        kept.undecided.push_back(call_id.to_owned());
        let trace = CallTrace { call_id: call_id.to_owned(), entries: Vec::new(), cut: 0 };
        kept.traces.insert(call_id.to_owned(), trace);
    }

    /// Adds a message to its call, if that is kept.
    pub(crate) fn add(&self, call_id: &str, crossing: &Crossing<'_>) {
        let Crossing { line, cseq, .. } = *crossing;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.note(&mut kept, call_id, crossing);
        if let Some(answered) = decision(line, cseq) {
            kept.decide(call_id, answered, self.max_calls);
        }
    }

    fn note(&self, kept: &mut Kept, call_id: &str, crossing: &Crossing<'_>) {
        let Crossing { at_us, direction, peer, local, line, cseq, bytes } = *crossing;
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

/// Whether a message is the final response to an INVITE, and then whether it accepts the call. That an INVITE came by two
/// ways (482) decides nothing about the call.
fn decision(line: &str, cseq: &str) -> Option<bool> {
    let status: u16 = line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
    (cseq.ends_with(" INVITE") && status >= 200 && status != 482).then_some(status < 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(ladder: &Ladder, call_id: &str, line: &str, cseq: &str) {
        ladder.add(call_id, &Crossing { line, cseq, ..crossing(0, b"") });
    }

    #[test]
    fn a_call_that_is_refused_takes_no_others_place() {
        let ladder = Ladder::new(2);
        for call in ["a", "b"] {
            ladder.begin(call);
            says(&ladder, call, "SIP/2.0 200 OK", "1 INVITE");
        }
        for number in 0..100 {
            let call = format!("refused{number}");
            ladder.begin(&call);
            says(&ladder, &call, "SIP/2.0 482 Loop Detected", "1 INVITE");
            says(&ladder, &call, "SIP/2.0 200 OK", "1 OPTIONS");
            assert!(ladder.trace(&call).is_some(), "it is not decided");
            says(&ladder, &call, "SIP/2.0 403 Forbidden", "1 INVITE");
            assert_eq!(ladder.trace(&call), None, "no room for one that was refused");
        }
        assert!(ladder.trace("a").is_some() && ladder.trace("b").is_some());
        ladder.begin("c");
        says(&ladder, "c", "SIP/2.0 200 OK", "1 INVITE");
        says(&ladder, "c", "SIP/2.0 488 Not Acceptable Here", "2 INVITE");
        assert!(ladder.trace("a").is_none() && ladder.trace("b").is_some() && ladder.trace("c").is_some());
        let kept = ladder.kept.lock().unwrap();
        assert_eq!((kept.traces.len(), kept.undecided.len()), (2, 0));
    }

    #[test]
    fn a_refused_call_is_kept_while_there_is_room_and_goes_before_an_answered_one() {
        let ladder = Ladder::new(2);
        for (call, line) in [("a", "SIP/2.0 200 OK"), ("b", "SIP/2.0 486 Busy Here"), ("c", "SIP/2.0 200 OK")] {
            ladder.begin(call);
            says(&ladder, call, line, "1 INVITE");
            assert!(ladder.trace(call).is_some(), "{call}");
        }
        assert!(ladder.trace("a").is_some() && ladder.trace("b").is_none());
    }

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
