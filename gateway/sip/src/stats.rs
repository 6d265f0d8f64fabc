//! Counters of the endpoint, for metrics: what came, what was answered, what was dropped and why.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::bans::BanCounts;
use crate::guard::METHODS;
use crate::sight::HepCounts;

macro_rules! dropped {
    ($($variant:ident $name:literal $doc:literal),+ $(,)?) => {
        /// Why a datagram did not reach a call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Dropped { $(#[doc = $doc] $variant),+ }

        impl Dropped {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Its stable name, a metric label.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name),+ } }
        }
    };
}

dropped! {
    TooLarge "too_large" "Larger than `max_message`; a request of a trunk is answered 513.",
    KeepAlive "keep_alive" "White space only: a NAT keep-alive.",
    Rate "rate" "Beyond the source's rate.",
    Unparsable "unparsable" "Not a SIP message.",
    Unframed "unframed" "A stream that cannot be divided into messages; its connection is closed.",
    UnknownPeer "unknown_peer" "From an address of no trunk.",
    Scanner "scanner" "From an address of no trunk, with the name of a scanner in it; never answered.",
    Banned "banned" "From a banned source; not even read.",
    Malformed "malformed" "Breaks a rule of RFC 3261; answered 400.",
    Unsupported "unsupported" "A version, method or URI scheme that is not served; answered 505, 501 or 416.",
    StrayResponse "stray_response" "A response to nothing we sent.",
    NoCall "no_call" "Within a call that is not up; answered 481.",
    OtherPeer "other_peer" "Within a call of somebody else; answered 481.",
    Full "full" "Calls or transactions at their limit; answered 503.",
    Overloaded "overloaded" "A new call while signalling is too busy; answered 503.",
    Draining "draining" "A new call while draining; answered 503.",
    Unproven "unproven" "An INVITE whose password is wrong or came before, of a trunk that asks for one; answered 401.",
    Stack "stack" "Refused by the SIP parser after our own rules; answered 400.",
}

/// A snapshot of the counters, all since start but the two gauges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SipStats {
    /// Admitted requests by method.
    pub requests: BTreeMap<&'static str, u64>,
    /// Responses sent by method and status.
    pub responses: BTreeMap<(&'static str, u16), u64>,
    /// Datagrams that were read as SIP, whatever became of them: all but those dropped for their size or their source's rate,
    /// and keep-alives.
    pub parsed: u64,
    /// Datagrams that went no further, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Calls now, ringing, up, or waiting for the end of a BYE.
    pub calls: usize,
    /// Transactions now.
    pub transactions: usize,
    /// Connections now.
    pub connections: usize,
    /// Transactions that ended and are kept for what is sent again.
    pub ended: usize,
    /// Sources that are not listened to.
    pub bans: BanCounts,
    /// Share of its time that the busiest of the endpoint's threads worked in the last second, in thousandths.
    pub busy_permille: u32,
    /// What became of messages for the capture server, when there is one.
    pub hep: Option<HepCounts>,
}

impl SipStats {
    /// Responses sent with a status, whatever the method.
    #[must_use]
    pub fn answered(&self, status: u16) -> u64 {
        self.responses.iter().filter(|((_, other), _)| *other == status).map(|(_, count)| count).sum()
    }
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: Mutex<BTreeMap<&'static str, u64>>,
    responses: Mutex<BTreeMap<(&'static str, u16), u64>>,
    dropped: [AtomicU64; Dropped::ALL.len()],
    /// Datagrams that came to the parser.
    pub(crate) parsed: AtomicU64,
    /// Rounds of the sweep, at least one a second while the runtime is served.
    pub(crate) sweeps: AtomicU64,
}

impl Counters {
    pub(crate) fn request(&self, method: &str) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(known(method)).or_default() += 1;
    }

    pub(crate) fn response(&self, method: &str, status: u16) {
        let mut responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        *responses.entry((known(method), status)).or_default() += 1;
    }

    pub(crate) fn dropped(&self, reason: Dropped) {
        if let Some(count) = self.dropped.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything but the gauges.
    pub(crate) fn snapshot(&self) -> SipStats {
        SipStats {
            requests: self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            responses: self.responses.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            parsed: self.parsed.load(Ordering::Relaxed),
            dropped: Dropped::ALL
                .iter()
                .zip(&self.dropped)
                .map(|(reason, count)| (reason.name(), count.load(Ordering::Relaxed)))
                .collect(),
            calls: 0,
            transactions: 0,
            connections: 0,
            ended: 0,
            bans: BanCounts::default(),
            busy_permille: 0,
            hep: None,
        }
    }
}

/// Keeps a peer from inventing labels.
fn known(method: &str) -> &'static str {
    METHODS.iter().copied().find(|known| *known == method).unwrap_or("other")
}
