//! What stands in front of the SIP stack: every datagram is judged here, from its bytes and its source alone, before
//! any parser, table or timer of the stack sees it.
//!
//! The guard is pure (time is an argument, its secrets come from its maker), bounded (constant memory whatever comes)
//! and stateless towards the sender: a refusal leaves nothing behind but a fingerprint in a fixed table.

mod check;
mod once;
mod plain;
mod rate;
mod refusal;
mod scan;

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

pub(crate) use check::{ALLOW, METHODS};
pub(crate) use rate::{Bucket, RateTable};
pub(crate) use refusal::{Refused, refusal};
#[cfg(test)]
pub(crate) use scan::scan;
pub(crate) use scan::{Message, Name, StartLine};

use crate::admission::TrunkToken;
use crate::bans::Scanners;
use crate::config::{SipLimits, UnknownPeer};
use crate::stats::Dropped;
use crate::transport::{Hop, Transport};
use once::AnsweredOnce;

/// Strangers remembered by their rate table.
const SOURCES: usize = 8192;
/// Trunks remembered by theirs.
const TRUNKS: usize = 8192;
/// Requests of unknown sources remembered as answered.
const ANSWERED: usize = 16_384;

/// Judges messages, whatever they came over.
#[derive(Debug)]
pub struct Guard {
    hasher: RandomState,
    max_message: usize,
    unknown_peer: UnknownPeer,
    trunk_rate: Option<RateTable>,
    /// What a trunk has on top for messages of its calls, so that junk with its forged source cannot keep them from ending.
    reserve: Option<RateTable>,
    unknown_rate: RateTable,
    unknown_total: Bucket,
    answered: AnsweredOnce,
    /// What the branches of our own requests begin with; responses to anything else are not ours.
    branch_prefix: String,
    scanners: Scanners,
}

/// What to do with a datagram.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// Well-formed and from a trunk (or a response to a request of ours).
    Pass(Admitted<'a>),
    /// Refused: send these bytes back to the source, once.
    Answer {
        /// The response.
        bytes: Vec<u8>,
        /// Its status.
        status: u16,
        /// Why, for the counters.
        reason: Dropped,
    },
    /// Not worth an answer.
    Drop(Dropped),
}

/// A datagram that may go on.
#[derive(Debug)]
pub struct Admitted<'a> {
    /// The datagram, without folds and with a Content-Length if it had none.
    pub bytes: Cow<'a, [u8]>,
    /// Its trunk; `None` for a response.
    pub trunk: Option<TrunkToken>,
    pub(crate) message: Message<'a>,
}

impl Guard {
    /// A guard with its secrets: a keyed hasher for tags and fingerprints, and the prefix of our own branches.
    #[must_use]
    pub fn new(hasher: RandomState, branch_prefix: String, limits: &SipLimits, unknown_peer: UnknownPeer) -> Self {
        Self {
            hasher,
            max_message: limits.max_message,
            unknown_peer,
            trunk_rate: limits.trunk_rate.map(|rate| RateTable::new(rate, TRUNKS)),
            reserve: limits.trunk_rate.map(|rate| RateTable::new(rate, TRUNKS)),
            unknown_rate: RateTable::new(limits.unknown_rate, SOURCES),
            unknown_total: Bucket::full(limits.unknown_total_rate),
            answered: AnsweredOnce::new(ANSWERED),
            branch_prefix,
            scanners: Scanners::new(&[]),
        }
    }

    /// The same that gives no answer to strangers whose messages bear one of these names.
    #[must_use]
    pub fn looking_for(self, scanners: &[String]) -> Self {
        Self { scanners: Scanners::new(scanners), ..self }
    }

    /// Judges one datagram. `now_us` is any clock that only goes forward, in microseconds; `trunk` is what the
    /// admission policy said about the source address.
    pub fn judge<'a>(
        &mut self,
        now_us: u64,
        datagram: &'a [u8],
        source: SocketAddr,
        trunk: Option<TrunkToken>,
    ) -> Verdict<'a> {
        self.judge_beside(now_us, datagram, Hop::udp(source), trunk, |_| None)
    }

    /// The same beside calls that are up: `call` says whose call a request is within, when that takes requests from this
    /// source. Such a request has a budget of its own, and is served also when its trunk is no more.
    pub(crate) fn judge_beside<'a>(
        &mut self,
        now_us: u64,
        datagram: &'a [u8],
        source: Hop,
        trunk: Option<TrunkToken>,
        call: impl Fn(&Message<'_>) -> Option<TrunkToken>,
    ) -> Verdict<'a> {
        if trunk.is_none() && datagram.len() > self.max_message {
            return Verdict::Drop(Dropped::TooLarge);
        }
        if datagram.iter().all(u8::is_ascii_whitespace) {
            return Verdict::Drop(Dropped::KeepAlive);
        }
        let in_budget = trunk.as_ref().is_none_or(|trunk| self.in_budget(trunk, now_us));
        let message = match scan::scan(datagram) {
            Ok(message) => message,
            Err(_) if !in_budget => return Verdict::Drop(Dropped::Rate),
            Err(_) if trunk.is_none() => return Verdict::Drop(Dropped::UnknownPeer),
            Err(_) if datagram.len() > self.max_message => return Verdict::Drop(Dropped::TooLarge),
            Err(reason) => return Verdict::Drop(reason),
        };
        let is_response = matches!(message.start, StartLine::Response { .. });
        if is_response {
            let verdict = if datagram.len() > self.max_message {
                Verdict::Drop(Dropped::TooLarge)
            } else {
                self.response(datagram, message, source.transport)
            };
            // What answers a request of ours needs no budget: there are no more of it than we sent.
            return match verdict {
                Verdict::Drop(_) if !in_budget => Verdict::Drop(Dropped::Rate),
                verdict => verdict,
            };
        }
        match trunk {
            Some(trunk) if in_budget => self.request(datagram, message, source, trunk),
            Some(_) => match call(&message) {
                Some(trunk) if self.in_reserve(&trunk, now_us) => self.request(datagram, message, source, trunk),
                _ => Verdict::Drop(Dropped::Rate),
            },
            None => match call(&message) {
                Some(trunk) if self.in_budget(&trunk, now_us) || self.in_reserve(&trunk, now_us) => {
                    self.request(datagram, message, source, trunk)
                }
                Some(_) => Verdict::Drop(Dropped::Rate),
                None => self.stranger(now_us, (datagram, &message), source.address),
            },
        }
    }

    fn in_budget(&mut self, trunk: &TrunkToken, now_us: u64) -> bool {
        let owner = self.hasher.hash_one(trunk);
        self.trunk_rate.as_mut().is_none_or(|table| table.take(owner, now_us))
    }

    fn in_reserve(&mut self, trunk: &TrunkToken, now_us: u64) -> bool {
        let owner = self.hasher.hash_one(trunk);
        self.reserve.as_mut().is_none_or(|table| table.take(owner, now_us))
    }

    /// Statelessly refuses an admitted request, for reasons the guard does not know (full, draining).
    pub(crate) fn refuse(&self, message: &Message<'_>, source: SocketAddr, refused: &Refused<'_>) -> Option<Vec<u8>> {
        refusal(message, source, &self.tag(message), refused)
    }

    /// Asks for a password: a request that was so long when it came is answered 401 with these lines. Until it is given the
    /// source may be somebody else, so that what is longer than the request is within the strangers' budget or not said.
    pub(crate) fn challenge(
        &mut self,
        now_us: u64,
        message: &Message<'_>,
        (length, source): (usize, Hop),
        lines: &str,
    ) -> Option<Vec<u8>> {
        let refused = Refused { status: 401, phrase: "Unauthorized", extra: lines };
        let bytes = self.refuse(message, source.address, &refused)?;
        let fits = source.transport.is_reliable() || bytes.len() <= length;
        (fits || self.answers_stranger(now_us, source.address.ip())).then_some(bytes)
    }

    /// Whether one more answer goes to somebody whose address proves nothing.
    pub(crate) fn answers_stranger(&mut self, now_us: u64, source: IpAddr) -> bool {
        let owner = self.hasher.hash_one(network(source));
        self.unknown_rate.take(owner, now_us) && self.unknown_total.take(now_us)
    }

    /// A number in `0..n` that is the same for the same request: jitter without state.
    pub(crate) fn jitter(&self, message: &Message<'_>, n: u64) -> u64 {
        self.fingerprint(message) % n.max(1)
    }

    fn request<'a>(&self, datagram: &'a [u8], message: Message<'a>, source: Hop, trunk: TrunkToken) -> Verdict<'a> {
        let checked = if datagram.len() > self.max_message {
            Err(check::TOO_LARGE)
        } else {
            check::check(&message, source.transport)
        };
        match checked {
            Ok(()) => Verdict::Pass(Admitted { bytes: plain::plain(datagram, &message), trunk: Some(trunk), message }),
            Err(fault) => {
                let refused = Refused { status: fault.status, phrase: fault.phrase, extra: fault.extra };
                match refusal(&message, source.address, &self.tag(&message), &refused) {
                    Some(bytes) => Verdict::Answer { bytes, status: fault.status, reason: fault.reason },
                    None => Verdict::Drop(fault.reason),
                }
            }
        }
    }

    /// A request of no trunk: the same short 403 whatever it asks, at most once per request, and never more bytes than came:
    /// its source may be somebody else.
    fn stranger(
        &mut self,
        now_us: u64,
        (datagram, message): (&[u8], &Message<'_>),
        source: SocketAddr,
    ) -> Verdict<'static> {
        if self.scanners.sent(message) {
            return Verdict::Drop(Dropped::Scanner);
        }
        let owner = self.hasher.hash_one(network(source.ip()));
        let dropped = Verdict::Drop(Dropped::UnknownPeer);
        if self.unknown_peer == UnknownPeer::Drop || message.method() == Some("ACK") {
            return dropped;
        }
        let refused = Refused { status: 403, phrase: "Forbidden", extra: "" };
        let Some(bytes) = refusal::compact(message, source, &self.tag(message), &refused) else {
            return dropped;
        };
        if bytes.len() > datagram.len() {
            return dropped;
        }
        if !self.answers_stranger(now_us, source.ip()) {
            return Verdict::Drop(Dropped::Rate);
        }
        let fingerprint = self.hasher.hash_one((owner, self.fingerprint(message)));
        if !self.answered.first(fingerprint, now_us) {
            return dropped;
        }
        Verdict::Answer { bytes, status: 403, reason: Dropped::UnknownPeer }
    }

    /// A response goes on only when it answers a request of ours: nobody else can know the branch.
    fn response<'a>(&self, datagram: &'a [u8], message: Message<'a>, transport: Transport) -> Verdict<'a> {
        let ours = message.top_via_branch().is_some_and(|branch| branch.starts_with(&self.branch_prefix));
        if !ours || check::check(&message, transport).is_err() {
            return Verdict::Drop(Dropped::StrayResponse);
        }
        Verdict::Pass(Admitted { bytes: plain::plain(datagram, &message), trunk: None, message })
    }

    /// What identifies the request, whatever its retransmission.
    fn fingerprint(&self, message: &Message<'_>) -> u64 {
        self.hasher.hash_one((
            message.top_via_branch(),
            message.value(Name::CallId),
            message.value(Name::CSeq),
            message.value(Name::From),
        ))
    }

    /// The To tag of a stateless answer: the same for each retransmission (RFC 3261 8.2.7).
    fn tag(&self, message: &Message<'_>) -> String {
        format!("{:016x}", self.fingerprint(message))
    }
}

/// The part of an address that one sender cannot easily leave: all of IPv4, the first 64 bits of IPv6.
pub(crate) const fn network(ip: IpAddr) -> u128 {
    // `::ffff:192.0.2.1` is an IPv4 sender on a socket for both families.
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_bits() as u128,
        IpAddr::V6(ip) => ip.to_bits() >> 64 | 1 << 127,
    }
}

#[cfg(test)]
mod tests;
