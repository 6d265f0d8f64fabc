//! Whose packets a leg believes, and where it may send: the guard against RTP injection and RTP bleed.
//!
//! A packet must come from an address that the trunk's policy believes (`address`), and belong to the stream that is
//! being played or to one that may follow it (`stream`). Both end what they believed when it falls silent, never
//! while it is heard: who joins in is counted, not played.

use std::net::{IpAddr, SocketAddr};

use trunkline_leg::{MediaSpec, RtcpPath};

use crate::config::SourcePolicy;

mod address;
mod stream;

use address::{AddressGate, Belief, canonical};
use stream::{Stream, StreamGate};

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

/// What signalling says of the far end's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signalled {
    /// The connection address and port of the `m=` line.
    pub(crate) rtp: SocketAddr,
    /// `a=rtcp` (RFC 3605), when it was given.
    pub(crate) rtcp: Option<SocketAddr>,
    /// RTP and RTCP on one port (RFC 5761).
    pub(crate) mux: bool,
}

impl Signalled {
    /// What was negotiated.
    pub(crate) const fn of(spec: &MediaSpec) -> Self {
        let rtcp = if let RtcpPath::At(address) = spec.rtcp { Some(address) } else { None };
        Self { rtp: spec.remote, rtcp, mux: matches!(spec.rtcp, RtcpPath::Multiplexed) }
    }
}

/// Judges packets of one leg.
#[derive(Debug)]
pub(crate) struct SourceGate {
    addresses: AddressGate,
    streams: StreamGate,
    signalled: Signalled,
    /// Where the far end's RTCP comes from, while it is not multiplexed.
    rtcp_source: Option<SocketAddr>,
}

impl SourceGate {
    /// A gate at `now`; `signalling_ip` is where the call was signalled from.
    pub(crate) fn new(policy: SourcePolicy, signalled: Signalled, signalling_ip: Option<IpAddr>, now: u64) -> Self {
        Self {
            addresses: AddressGate::new(policy, signalled.rtp, signalling_ip, now),
            streams: StreamGate::new(now),
            signalled,
            rtcp_source: None,
        }
    }

    /// It judges from `now` on, in the place of another.
    pub(crate) fn begin(&mut self, now: u64) {
        self.addresses.begin(now);
        self.streams = StreamGate::behind(now);
    }

    /// A new description of the far end: if its address is another, forget what was locked and learn again.
    pub(crate) fn signal(&mut self, signalled: Signalled, now: u64) {
        if self.addresses.signal(signalled.rtp, now) {
            self.streams.open();
            self.rtcp_source = None;
        } else if signalled.rtcp != self.signalled.rtcp {
            self.rtcp_source = None;
        }
        self.signalled = signalled;
    }

    /// Where to send RTP: the locked source, before that the signalled one. `None` when that is no address (port 0 or
    /// the unspecified address, which is how old equipment says hold).
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.addresses.destination()
    }

    /// Where to send RTCP, and whether that is the RTP socket: the RTP destination when multiplexed, else where the
    /// far end's RTCP comes from, else what `a=rtcp` says, else the next port (RFC 3550 11).
    pub(crate) fn rtcp_destination(&self) -> Option<(SocketAddr, bool)> {
        let rtp = self.destination()?;
        if self.signalled.mux {
            return Some((rtp, true));
        }
        let next = || Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?));
        let signalled = self.signalled.rtcp.filter(|to| to.port() != 0 && !to.ip().is_unspecified()).map(|to| {
            // Behind NAT the signalled address is as wrong for RTCP as it was for RTP.
            if to.ip() == self.signalled.rtp.ip() { SocketAddr::new(rtp.ip(), to.port()) } else { to }
        });
        self.rtcp_source.or(signalled).or_else(next).map(|to| (to, false))
    }

    /// Whether RTCP from `source` may be believed: its address must be RTP's or the one of `a=rtcp`, the port may
    /// differ. Remembers where RTCP is to be answered.
    pub(crate) fn believes_rtcp(&mut self, source: SocketAddr, on_rtp_socket: bool) -> bool {
        let source = canonical(source);
        let believed = self.addresses.is_current(source.ip())
            || self.signalled.rtcp.is_some_and(|rtcp| canonical(rtcp).ip() == source.ip());
        if believed && !on_rtp_socket && self.addresses.learns() {
            self.rtcp_source = Some(source);
        }
        believed
    }

    /// The synchronisation source being played.
    pub(crate) const fn ssrc(&self) -> Option<u32> {
        self.streams.playing()
    }

    /// The far end ended a source (RTCP BYE): another may follow it at once.
    pub(crate) fn end_source(&mut self, ssrc: u32) {
        self.streams.end(ssrc);
    }

    /// Judges a well-formed packet that arrived at `now`.
    pub(crate) fn judge(&mut self, now: u64, source: SocketAddr, ssrc: u32, seq: u16) -> Verdict {
        let continues = self.streams.continues(ssrc, seq);
        match self.addresses.believe(now, canonical(source), ssrc, seq, continues) {
            Belief::No => return Verdict::WrongSource,
            Belief::Yes => {}
            // Somebody better placed took the leg over: what was played came from elsewhere.
            Belief::Moved => self.streams.open(),
        }
        match self.streams.judge(now, ssrc, seq) {
            Stream::Same => Verdict::Accept,
            Stream::New => Verdict::AcceptNewStream,
            Stream::Other => Verdict::WrongSsrc,
        }
    }
}

#[cfg(test)]
mod tests;
