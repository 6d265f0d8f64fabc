//! Sources that are not listened to for a while: scanners, strangers who go on after refusals, and whoever tries
//! passwords.
//!
//! A source address over UDP may be forged, so a ban only silences what would not be served anyway: requests from an
//! address that is neither a trunk's nor a trunk's server nor an end of a call that is up. Answers to our own requests
//! pass whoever sends them. Wrong passwords are the one reason for which an address of a trunk is banned: of a trunk that
//! asks for one, whose calls are nobody's until they have proven it, and only once the source has shown by a nonce of ours
//! that it gets what we send to it.

mod list;
mod scanner;
mod spared;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

pub use list::{Ban, BanReason};
pub(crate) use scanner::Scanners;
pub use scanner::{DEFAULT_SCANNERS, is_pattern};

use crate::config::{Bans as BansConfig, Rate};
use crate::guard::{Bucket, Verdict};
use crate::shared::Shared;
use crate::stats::Dropped;
use list::BanList;
use spared::Spared;

/// Lines in the log about bans: so many at once, and then one a second.
const LINES: Rate = Rate { per_second: 1, burst: 10 };

/// The ban list of an endpoint.
#[derive(Debug)]
pub(crate) struct Bans {
    began: Instant,
    branch_prefix: String,
    /// Whether anybody is banned, so that whoever is not costs nothing.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    list: BanList,
    lines: Bucket,
    /// Bans that the log was not told of.
    untold: u64,
}

/// What is counted of bans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BanCounts {
    /// Sources that are banned now.
    pub now: usize,
    /// Bans since the start, in the order of [`BanReason::ALL`].
    pub begun: [u64; BanReason::ALL.len()],
}

impl Bans {
    pub(crate) fn new(config: &BansConfig, branch_prefix: String) -> Self {
        let state = State { list: BanList::new(config), lines: Bucket::full(LINES), untold: 0 };
        Self { began: Instant::now(), branch_prefix, any: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Whether a datagram goes no further because its source is banned. It is asked before anything of it is read; an
    /// answer to a request of ours passes.
    pub(crate) fn keep_out(&self, source: IpAddr, of_a_trunk: bool, datagram: &[u8]) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let now_us = self.now_us();
        let mut state = self.state();
        let Some(reason) = state.list.is_banned(now_us, source) else { return false };
        if (of_a_trunk && reason != BanReason::Password) || self.answers_us(datagram) {
            return false;
        }
        state.list.kept_out(source);
        true
    }

    /// Heeds what became of a datagram from an address of no trunk.
    pub(crate) fn heed(&self, source: SocketAddr, verdict: &Verdict<'_>) {
        let reason = match verdict {
            Verdict::Drop(Dropped::Scanner) => BanReason::Scanner,
            Verdict::Drop(Dropped::KeepAlive) | Verdict::Pass(_) => return,
            Verdict::Drop(_) | Verdict::Answer { .. } => BanReason::Persistence,
        };
        self.strike(source.ip(), reason);
    }

    /// A source that has a nonce of ours gave a wrong password with it.
    pub(crate) fn wrong_password(&self, source: IpAddr) {
        self.strike(source, BanReason::Password);
    }

    /// A source gave the right password.
    pub(crate) fn right_password(&self, source: IpAddr) {
        let now_us = self.now_us();
        self.state().list.prove(now_us, source);
    }

    /// Whether it did so within a day.
    pub(crate) fn is_proven(&self, source: IpAddr) -> bool {
        let now_us = self.now_us();
        self.state().list.is_proven(now_us, source)
    }

    /// Who is banned now, those first whose ban ends last.
    pub(crate) fn list(&self) -> Vec<Ban> {
        let now_us = self.now_us();
        self.state().list.list(now_us)
    }

    /// Forgets that a source was banned; false when it is not.
    pub(crate) fn lift(&self, source: IpAddr) -> bool {
        let now_us = self.now_us();
        let lifted = self.state().list.lift(now_us, source);
        if lifted {
            tracing::info!(network = %list::shown(source), "a ban was lifted by an operator");
        }
        lifted
    }

    pub(crate) fn counts(&self) -> BanCounts {
        let now_us = self.now_us();
        self.state().list.counts(now_us)
    }

    /// Spares whoever calls are up with now, and servers of trunks: once a second.
    pub(crate) fn spare(&self, shared: &Shared) {
        let spared = Spared::of(shared);
        let now_us = self.now_us();
        let mut state = self.state();
        for lifted in state.list.spare(now_us, spared) {
            tracing::info!(network = %list::shown(lifted), "a ban ends: the address belongs to a call or a trunk now");
        }
        self.any.store(state.list.counts(now_us).now > 0, Ordering::Relaxed);
    }

    fn strike(&self, source: IpAddr, reason: BanReason) {
        let now_us = self.now_us();
        let mut state = self.state();
        let Some(ban) = state.list.strike(now_us, source, reason) else { return };
        self.any.store(true, Ordering::Relaxed);
        if !state.lines.take(now_us) {
            state.untold += 1;
            return;
        }
        let untold = std::mem::take(&mut state.untold);
        drop(state);
        let Ban { reason, left, times, .. } = &ban;
        let (reason, for_s) = (reason.name(), left.as_secs());
        tracing::warn!(network = %list::shown(ban.source), reason, for_s, times, untold, "a source is banned");
        tracing::debug!(source = %ban.source, reason, "the source that is banned");
    }

    /// Whether it answers a request of ours: nobody else knows its branch.
    fn answers_us(&self, datagram: &[u8]) -> bool {
        let prefix = self.branch_prefix.as_bytes();
        datagram.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/"))
            && datagram.windows(prefix.len()).any(|window| window == prefix)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
