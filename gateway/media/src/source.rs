//! Whose packets a leg believes, and where it may send: the guard against RTP injection and RTP bleed.

use std::net::{IpAddr, SocketAddr};

use crate::config::SourcePolicy;

/// How long after the start a source may be learned, in microseconds.
const LEARN_WINDOW_US: u64 = 3_000_000;
/// Synchronisation source changes: shortest time between two in microseconds, and how many a leg accepts.
const SSRC_CHANGE_EVERY_US: u64 = 2_000_000;
const SSRC_CHANGES_MAX: u8 = 8;

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Use it.
    Accept,
    /// Use it; it begins another stream.
    AcceptNewStream,
    /// From someone else, or not yet believed.
    WrongSource,
    /// A new synchronisation source on probation, or one change too many.
    WrongSsrc,
}

#[derive(Debug)]
pub(crate) struct SourceGate {
    policy: SourcePolicy,
    signalled: SocketAddr,
    signalling_ip: Option<IpAddr>,
    learn_until: u64,
    locked: Option<SocketAddr>,
    candidate: Option<(SocketAddr, u32, u16)>,
    ssrc: Option<u32>,
    next_ssrc: Option<(u32, u16)>,
    changes: u8,
    last_change: Option<u64>,
}

impl SourceGate {
    pub(crate) fn new(policy: SourcePolicy, signalled: SocketAddr, signalling_ip: Option<IpAddr>, now: u64) -> Self {
        Self {
            policy,
            signalled: canonical(signalled),
            signalling_ip: signalling_ip.map(|ip| ip.to_canonical()),
            learn_until: now.saturating_add(LEARN_WINDOW_US),
            locked: None,
            candidate: None,
            ssrc: None,
            next_ssrc: None,
            changes: 0,
            last_change: None,
        }
    }

    /// A new description of the far end: forget what was locked and learn again.
    pub(crate) fn signal(&mut self, signalled: SocketAddr, now: u64) {
        let signalled = canonical(signalled);
        if signalled != self.signalled {
            self.signalled = signalled;
            self.locked = None;
            self.candidate = None;
            self.learn_until = now.saturating_add(LEARN_WINDOW_US);
        }
    }

    /// Where to send: the locked source, before that the signalled one. `None` when that is no address (port 0 or
    /// the unspecified address, which is how old equipment says hold).
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        let to = self.locked.unwrap_or(self.signalled);
        (to.port() != 0 && !to.ip().is_unspecified()).then_some(to)
    }

    /// Whether RTCP from `source` may be believed: the port may differ, the address not.
    pub(crate) fn believes_rtcp(&self, source: SocketAddr) -> bool {
        source.ip().to_canonical() == self.locked.unwrap_or(self.signalled).ip()
    }

    /// The synchronisation source being played.
    pub(crate) const fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Judges a well-formed packet.
    pub(crate) fn judge(&mut self, now: u64, source: SocketAddr, ssrc: u32, seq: u16) -> Verdict {
        if !self.believes(now, canonical(source), ssrc, seq) {
            return Verdict::WrongSource;
        }
        match self.ssrc {
            Some(known) if known == ssrc => {
                self.next_ssrc = None;
                Verdict::Accept
            }
            None => {
                self.ssrc = Some(ssrc);
                Verdict::Accept
            }
            Some(_) => self.probation(now, ssrc, seq),
        }
    }

    fn believes(&mut self, now: u64, source: SocketAddr, ssrc: u32, seq: u16) -> bool {
        if let Some(locked) = self.locked {
            return source == locked;
        }
        if source == self.signalled {
            self.locked = Some(source);
            return true;
        }
        if self.policy == SourcePolicy::Strict || now > self.learn_until || !self.is_near(source.ip()) {
            return false;
        }
        // Two packets in sequence: a single stray one does not take the leg over.
        if self.candidate == Some((source, ssrc, seq.wrapping_sub(1))) {
            self.locked = Some(source);
            return true;
        }
        self.candidate = Some((source, ssrc, seq));
        false
    }

    fn is_near(&self, ip: IpAddr) -> bool {
        [Some(self.signalled.ip()), self.signalling_ip].into_iter().flatten().any(|known| same_network(known, ip))
    }

    /// RFC 3550 A.1: two packets in sequence before another source is played.
    fn probation(&mut self, now: u64, ssrc: u32, seq: u16) -> Verdict {
        let settled = self.last_change.is_none_or(|last| now.saturating_sub(last) >= SSRC_CHANGE_EVERY_US);
        if !settled || self.changes >= SSRC_CHANGES_MAX {
            return Verdict::WrongSsrc;
        }
        if self.next_ssrc != Some((ssrc, seq.wrapping_sub(1))) {
            self.next_ssrc = Some((ssrc, seq));
            return Verdict::WrongSsrc;
        }
        self.ssrc = Some(ssrc);
        self.next_ssrc = None;
        self.changes += 1;
        self.last_change = Some(now);
        Verdict::AcceptNewStream
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn same_network(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets()[..8] == b.octets()[..8],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Accept, AcceptNewStream, WrongSource, WrongSsrc};

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn gate(policy: SourcePolicy) -> SourceGate {
        SourceGate::new(policy, addr("192.0.2.10:4000"), Some("198.51.100.7".parse().unwrap()), 0)
    }

    #[test]
    fn strict_believes_only_the_signalled_address_and_port() {
        let mut gate = gate(SourcePolicy::Strict);
        for other in ["192.0.2.10:4002", "192.0.2.11:4000", "198.51.100.7:4000"] {
            assert_eq!((0..5).map(|seq| gate.judge(0, addr(other), 1, seq)).collect::<Vec<_>>(), [WrongSource; 5]);
        }
        assert_eq!(gate.judge(0, addr("192.0.2.10:4000"), 1, 0), Accept);
        assert_eq!(gate.judge(0, addr("[::ffff:192.0.2.10]:4000"), 1, 1), Accept);
    }

    #[test]
    fn learning_locks_the_second_packet_in_sequence_from_a_near_source() {
        let mut gate = gate(SourcePolicy::Learn);
        assert_eq!(gate.judge(10, addr("203.0.113.5:9"), 1, 0), WrongSource);
        assert_eq!(gate.judge(10, addr("203.0.113.5:9"), 1, 1), WrongSource);
        assert_eq!(gate.judge(10, addr("198.51.100.99:7000"), 5, 8), WrongSource);
        assert_eq!(gate.judge(10, addr("198.51.100.99:7000"), 5, 9), Accept);
        assert_eq!(gate.destination(), Some(addr("198.51.100.99:7000")));
        assert_eq!(gate.judge(10, addr("192.0.2.10:4000"), 5, 10), WrongSource, "locked is locked");
    }

    #[test]
    fn nothing_is_learned_after_the_window_until_signalled_anew() {
        let mut gate = gate(SourcePolicy::Learn);
        let near = addr("192.0.2.20:6000");
        assert_eq!(gate.judge(LEARN_WINDOW_US + 1, near, 1, 1), WrongSource);
        assert_eq!(gate.judge(LEARN_WINDOW_US + 1, near, 1, 2), WrongSource);
        gate.signal(addr("192.0.2.30:4000"), 10_000_000);
        assert_eq!(gate.judge(10_000_000, near, 1, 3), WrongSource);
        assert_eq!(gate.judge(10_000_000, near, 1, 4), Accept);
    }

    #[test]
    fn another_stream_needs_two_packets_in_sequence_and_time_between_changes() {
        let mut gate = gate(SourcePolicy::Strict);
        let from = addr("192.0.2.10:4000");
        assert_eq!(gate.judge(0, from, 1, 10), Accept);
        assert_eq!(gate.judge(0, from, 2, 500), WrongSsrc);
        assert_eq!(gate.judge(0, from, 2, 502), WrongSsrc);
        assert_eq!(gate.judge(0, from, 2, 503), AcceptNewStream);
        assert_eq!(gate.judge(1_000_000, from, 3, 1), WrongSsrc);
        assert_eq!(gate.judge(1_000_000, from, 3, 2), WrongSsrc);
        let mut now = 0;
        let changes = (10..100_u32).filter(|ssrc| {
            now += SSRC_CHANGE_EVERY_US;
            gate.judge(now, from, *ssrc, 1);
            gate.judge(now, from, *ssrc, 2) == AcceptNewStream
        });
        assert_eq!(changes.count(), usize::from(SSRC_CHANGES_MAX) - 1);
    }

    #[test]
    fn an_address_that_is_none_is_not_sent_to() {
        for none in ["0.0.0.0:4000", "192.0.2.1:0"] {
            assert_eq!(SourceGate::new(SourcePolicy::Strict, addr(none), None, 0).destination(), None);
        }
        assert!(!gate(SourcePolicy::Strict).believes_rtcp(addr("192.0.2.11:4001")));
        assert!(gate(SourcePolicy::Strict).believes_rtcp(addr("192.0.2.10:4999")));
    }
}
