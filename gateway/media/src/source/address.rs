//! The far end's address: strict, learned, or one of a list, and what it takes to change it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::SourcePolicy;

/// How long after the start, or after new signalling, a mere neighbour may be learned, in microseconds.
pub(super) const LEARN_WINDOW_US: u64 = 3_000_000;
/// A source that was not heard for this long may be followed by another that goes on with its stream, in microseconds:
/// five packets of 20 ms.
pub(super) const SILENT_US: u64 = 100_000;
/// The same for another of the list that begins a stream of its own: pauses of speech are not as long.
pub(super) const GONE_US: u64 = 2_000_000;

/// Whether an address is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    /// It is not, or not yet.
    No,
    /// It is, and its streams follow each other.
    Yes,
    /// It is from now on, in place of one that was not as well placed.
    Moved,
}

/// How sure it is that an address is the far end's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// In the network of a known address.
    Neighbour,
    /// The signalled or the signalling address with another port, or one on the list.
    Host,
    /// Signalled to the port.
    Signalled,
}

#[derive(Debug, Clone, Copy)]
struct Locked {
    source: SocketAddr,
    rank: Rank,
    heard: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    seq: u16,
}

#[derive(Debug)]
pub(super) struct AddressGate {
    policy: SourcePolicy,
    signalled: SocketAddr,
    signalling_ip: Option<IpAddr>,
    learn_until: u64,
    locked: Option<Locked>,
    /// Who would be locked with the next packet in sequence.
    candidate: Option<Candidate>,
}

impl AddressGate {
    pub(super) fn new(policy: SourcePolicy, signalled: SocketAddr, signalling_ip: Option<IpAddr>, now: u64) -> Self {
        Self {
            policy,
            signalled: canonical(signalled),
            signalling_ip: signalling_ip.map(|ip| ip.to_canonical()),
            learn_until: now.saturating_add(LEARN_WINDOW_US),
            locked: None,
            candidate: None,
        }
    }

    /// It may learn from `now` on.
    pub(super) const fn begin(&mut self, now: u64) {
        self.learn_until = now.saturating_add(LEARN_WINDOW_US);
    }

    /// True when the address is another, and what was locked is forgotten.
    pub(super) fn signal(&mut self, signalled: SocketAddr, now: u64) -> bool {
        let signalled = canonical(signalled);
        let other = signalled != self.signalled;
        if other {
            self.signalled = signalled;
            self.locked = None;
            self.candidate = None;
            self.learn_until = now.saturating_add(LEARN_WINDOW_US);
        }
        other
    }

    pub(super) fn destination(&self) -> Option<SocketAddr> {
        let to = match self.locked {
            Some(locked) => locked.source,
            None => self.first_destination(),
        };
        (to.port() != 0 && !to.ip().is_unspecified()).then_some(to)
    }

    /// Whether `ip` is where RTP comes from now.
    pub(super) fn is_current(&self, ip: IpAddr) -> bool {
        match self.locked {
            Some(locked) => locked.source.ip() == ip,
            None => self.signalled.ip() == ip || self.first_destination().ip() == ip,
        }
    }

    /// Whether anything but signalling may say where to send.
    pub(super) fn learns(&self) -> bool {
        self.policy != SourcePolicy::Strict
    }

    /// Judges the address of a packet; `continues` says that it goes on with the stream being played.
    pub(super) fn believe(&mut self, now: u64, source: SocketAddr, ssrc: u32, seq: u16, continues: bool) -> Belief {
        if let Some(locked) = &mut self.locked
            && locked.source == source
        {
            locked.heard = now;
            return Belief::Yes;
        }
        let Some(rank) = self.rank(source) else {
            // Another binding at a NAT: nobody else knows the stream's number and place.
            let rebound = continues && self.policy == SourcePolicy::Learn && self.is_silent(now, SILENT_US);
            if rebound && self.confirmed(source, ssrc, seq) {
                self.lock(source, Rank::Host, now);
                return Belief::Yes;
            }
            return Belief::No;
        };
        let may = match self.locked {
            None => rank > Rank::Neighbour || now <= self.learn_until,
            Some(locked) if rank > locked.rank => true,
            Some(_) if continues => self.is_silent(now, SILENT_US),
            Some(_) => matches!(self.policy, SourcePolicy::Acl(_)) && self.is_silent(now, GONE_US),
        };
        // The signalled address is believed at once while nothing is locked; everybody else needs two packets in
        // sequence, so that a single stray one does not take the leg over.
        if may && ((rank == Rank::Signalled && self.locked.is_none()) || self.confirmed(source, ssrc, seq)) {
            let moved = self.locked.is_some() && !continues;
            self.lock(source, rank, now);
            return if moved { Belief::Moved } else { Belief::Yes };
        }
        Belief::No
    }

    fn lock(&mut self, source: SocketAddr, rank: Rank, now: u64) {
        self.locked = Some(Locked { source, rank, heard: now });
        self.candidate = None;
    }

    fn is_silent(&self, now: u64, for_us: u64) -> bool {
        self.locked.is_some_and(|locked| now.saturating_sub(locked.heard) >= for_us)
    }

    fn confirmed(&mut self, source: SocketAddr, ssrc: u32, seq: u16) -> bool {
        let before = Candidate { source, ssrc, seq: seq.wrapping_sub(1) };
        let confirmed = self.candidate == Some(before);
        self.candidate = Some(Candidate { source, ssrc, seq });
        confirmed
    }

    fn rank(&self, source: SocketAddr) -> Option<Rank> {
        if source == self.signalled {
            return Some(Rank::Signalled);
        }
        let known = || [Some(self.signalled.ip()), self.signalling_ip].into_iter().flatten();
        match &self.policy {
            SourcePolicy::Strict => None,
            SourcePolicy::Acl(ranges) => ranges.iter().any(|range| range.contains(source.ip())).then_some(Rank::Host),
            SourcePolicy::Learn => {
                if known().any(|ip| ip == source.ip()) {
                    Some(Rank::Host)
                } else {
                    known().any(|ip| same_network(ip, source.ip())).then_some(Rank::Neighbour)
                }
            }
        }
    }

    /// Where to send before anything was heard: a private address that was signalled from a public one cannot be
    /// reached, and the router in front of it mostly keeps the port.
    fn first_destination(&self) -> SocketAddr {
        let hidden = self.policy == SourcePolicy::Learn && is_private(self.signalled.ip());
        match self.signalling_ip.filter(|ip| hidden && !is_private(*ip)) {
            Some(ip) => SocketAddr::new(ip, self.signalled.port()),
            None => self.signalled,
        }
    }
}

pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn same_network(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets()[..8] == b.octets()[..8],
        _ => false,
    }
}

/// Addresses that are not routed on the Internet: RFC 1918, 6598, 3927, 4193, 4291 and loopback.
fn is_private(ip: IpAddr) -> bool {
    let shared = |ip: Ipv4Addr| ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback() || shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}
