//! The ban list: bounded, expiring, without a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use trunkline_api::cidr::Cidr;

use super::BanCounts;
use super::spared::Spared;
use crate::config::{Bans as BansConfig, Rate};
use crate::guard::RateTable;

/// Most sources that are banned, or remembered as having been; the one whose time is over first makes room.
const MOST: usize = 4096;
/// Sources whose refused messages are counted.
const COUNTED: usize = 8192;
/// Most sources remembered for a right password.
const MOST_PROVEN: usize = 1024;
/// For how long they are: a day.
const PROVEN_US: u64 = 86_400_000_000;
/// The longest ban: a day.
const LONGEST_US: u64 = 86_400_000_000;
/// Messages are counted over a minute.
const MINUTE: u64 = 60;
/// As so many refused messages counts a wrong password.
const PASSWORD_WEIGHT: u32 = 4;

/// Why a source is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanReason {
    /// A message of it bears the name of a scanner.
    Scanner,
    /// It belongs to no trunk and went on after refusals.
    Persistence,
    /// It tried wrong passwords.
    Password,
}

impl BanReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Scanner, Self::Persistence, Self::Password];

    /// Its stable name, a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scanner => "scanner",
            Self::Persistence => "persistence",
            Self::Password => "password",
        }
    }
}

/// A banned source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Its address; of IPv6 the network of 64 bits that the sender has to itself.
    pub source: IpAddr,
    /// How many bits of the address are banned: 32 of IPv4, 64 of IPv6.
    pub bits: u8,
    /// Why.
    pub reason: BanReason,
    /// For how long still.
    pub left: Duration,
    /// How often it was banned so far, without having been quiet for as long as its ban between.
    pub times: u32,
    /// Datagrams that were kept out by this ban.
    pub kept_out: u64,
}

#[derive(Debug)]
struct Entry {
    reason: BanReason,
    until_us: u64,
    /// Until then another ban lasts twice as long as this one.
    remembered_us: u64,
    times: u32,
    kept_out: u64,
}

/// Who is banned.
#[derive(Debug)]
pub(super) struct BanList {
    hasher: RandomState,
    length_us: u64,
    /// What a source may send that is refused, in a minute.
    allowance: RateTable,
    entries: BTreeMap<IpAddr, Entry>,
    by_end: BTreeSet<(u64, IpAddr)>,
    spared: Spared,
    proven: BTreeMap<IpAddr, u64>,
    begun: [u64; BanReason::ALL.len()],
}

impl BanList {
    pub(super) fn new(config: &BansConfig) -> Self {
        let rate = Rate { per_second: config.after.max(1), burst: config.after.max(1) };
        Self {
            hasher: RandomState::new(),
            length_us: u64::from(config.for_s) * 1_000_000,
            allowance: RateTable::new(rate, if config.for_s == 0 { 1 } else { COUNTED }),
            entries: BTreeMap::new(),
            by_end: BTreeSet::new(),
            spared: Spared::default(),
            proven: BTreeMap::new(),
            begun: [0; BanReason::ALL.len()],
        }
    }

    /// Why a source is banned, when it is.
    pub(super) fn is_banned(&self, now_us: u64, source: IpAddr) -> Option<BanReason> {
        self.entries.get(&sender(source)).filter(|entry| entry.until_us > now_us).map(|entry| entry.reason)
    }

    /// Counts a datagram of a banned source.
    pub(super) fn kept_out(&mut self, source: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&sender(source)) {
            entry.kept_out = entry.kept_out.saturating_add(1);
        }
    }

    /// Notes that a source did what it should not; the ban, if that makes one.
    pub(super) fn strike(&mut self, now_us: u64, source: IpAddr, reason: BanReason) -> Option<Ban> {
        let source = sender(source);
        if self.length_us == 0 || self.is_banned(now_us, source).is_some() || self.spared.holds(source, reason) {
            return None;
        }
        let proven = self.is_proven(now_us, source);
        let weight = match reason {
            BanReason::Scanner => 0,
            BanReason::Persistence => 1,
            BanReason::Password if proven => return None,
            BanReason::Password => PASSWORD_WEIGHT,
        };
        let owner = self.hasher.hash_one(source);
        // A clock that goes a sixtieth as fast makes a rate a minute of a rate a second.
        if weight > 0 && (0..weight).all(|_| self.allowance.take(owner, now_us / MINUTE)) {
            return None;
        }
        Some(self.ban(now_us, source, reason))
    }

    fn ban(&mut self, now_us: u64, source: IpAddr, reason: BanReason) -> Ban {
        let times = match self.remove(source) {
            Some(before) if before.remembered_us > now_us => before.times.saturating_add(1),
            _ => 1,
        };
        while self.entries.len() >= MOST {
            let Some((_, first)) = self.by_end.pop_first() else { break };
            self.entries.remove(&first);
        }
        let length_us = self.length_us.saturating_mul(1 << (times - 1).min(20)).min(LONGEST_US.max(self.length_us));
        let until_us = now_us.saturating_add(length_us);
        let remembered_us = until_us.saturating_add(length_us);
        self.by_end.insert((remembered_us, source));
        self.entries.insert(source, Entry { reason, until_us, remembered_us, times, kept_out: 0 });
        self.begun[reason as usize] += 1;
        Ban { source, bits: bits(source), reason, left: Duration::from_micros(length_us), times, kept_out: 0 }
    }

    /// A source gave the right password: wrong ones from there are a neighbour's.
    pub(super) fn prove(&mut self, now_us: u64, source: IpAddr) {
        let source = sender(source);
        if self.proven.len() >= MOST_PROVEN && !self.proven.contains_key(&source) {
            let first = self.proven.iter().min_by_key(|(_, until_us)| **until_us).map(|(source, _)| *source);
            first.and_then(|first| self.proven.remove(&first));
        }
        self.proven.insert(source, now_us.saturating_add(PROVEN_US));
    }

    /// Whether it did so within a day.
    pub(super) fn is_proven(&self, now_us: u64, source: IpAddr) -> bool {
        self.proven.get(&sender(source)).is_some_and(|until_us| *until_us > now_us)
    }

    /// From now on these are spared; the bans that end by it.
    pub(super) fn spare(&mut self, now_us: u64, spared: Spared) -> Vec<IpAddr> {
        while let Some((end_us, source)) = self.by_end.first().copied().filter(|(end_us, _)| *end_us <= now_us) {
            self.by_end.remove(&(end_us, source));
            self.entries.remove(&source);
        }
        let held = |(source, entry): &(&IpAddr, &Entry)| spared.holds(**source, entry.reason);
        let lifted: Vec<IpAddr> = self.entries.iter().filter(held).map(|(source, _)| *source).collect();
        for source in &lifted {
            self.remove(*source);
        }
        self.spared = spared;
        lifted
    }

    /// Forgets a source; false when it was not banned.
    pub(super) fn lift(&mut self, now_us: u64, source: IpAddr) -> bool {
        self.remove(sender(source)).is_some_and(|entry| entry.until_us > now_us)
    }

    /// Who is banned, those first whose ban ends last.
    pub(super) fn list(&self, now_us: u64) -> Vec<Ban> {
        let of = |(source, entry): (&IpAddr, &Entry)| {
            let left_us = entry.until_us.checked_sub(now_us).filter(|left_us| *left_us > 0)?;
            let Entry { reason, times, kept_out, .. } = *entry;
            Some(Ban {
                source: *source,
                bits: bits(*source),
                reason,
                left: Duration::from_micros(left_us),
                times,
                kept_out,
            })
        };
        let mut bans: Vec<Ban> = self.entries.iter().filter_map(of).collect();
        bans.sort_by_key(|ban| std::cmp::Reverse(ban.left));
        bans
    }

    pub(super) fn counts(&self, now_us: u64) -> BanCounts {
        let now = self.entries.values().filter(|entry| entry.until_us > now_us).count();
        BanCounts { now, begun: self.begun }
    }

    fn remove(&mut self, source: IpAddr) -> Option<Entry> {
        let entry = self.entries.remove(&source)?;
        self.by_end.remove(&(entry.remembered_us, source));
        Some(entry)
    }
}

/// What one sender has to itself: an address of IPv4, a network of 64 bits of IPv6.
fn sender(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

const fn bits(source: IpAddr) -> u8 {
    if source.is_ipv4() { 32 } else { 64 }
}

/// A source as the log may have it: the network around it.
pub(super) fn shown(source: IpAddr) -> Cidr {
    match source.to_canonical() {
        IpAddr::V4(_) => Cidr::around(source, 24),
        IpAddr::V6(_) => Cidr::around(source, 48),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000;

    fn list() -> BanList {
        BanList::new(&BansConfig { after: 20, for_s: 600, ..BansConfig::default() })
    }

    fn source(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0xc633_6400 + n).into()
    }

    fn strikes(list: &mut BanList, now_us: u64, reason: BanReason) -> Option<u32> {
        (1..=100).find(|_| list.strike(now_us, source(1), reason).is_some())
    }

    #[test]
    fn a_scanner_is_banned_at_once_and_others_when_they_go_on() {
        assert_eq!(strikes(&mut list(), 0, BanReason::Scanner), Some(1));
        assert_eq!(strikes(&mut list(), 0, BanReason::Persistence), Some(21));
        assert_eq!(strikes(&mut list(), 0, BanReason::Password), Some(6));
        let mut slow = list();
        for minute in 0..600 {
            for second in [0, 30] {
                let now_us = (minute * 60 + second) * S;
                assert_eq!(slow.strike(now_us, source(1), BanReason::Persistence), None, "a ping twice a minute");
            }
        }
    }

    #[test]
    fn a_ban_ends_and_the_next_of_the_same_source_lasts_twice_as_long() {
        let mut list = list();
        let mut now_us = 0;
        for (times, for_s) in [(1, 600), (2, 1200), (3, 2400), (4, 4800)] {
            let ban = list.strike(now_us, source(1), BanReason::Scanner).unwrap();
            assert_eq!((ban.times, ban.left.as_secs()), (times, for_s));
            assert_eq!(list.strike(now_us, source(1), BanReason::Scanner), None, "it is banned already");
            now_us += for_s * S - 1;
            assert_eq!(list.is_banned(now_us, source(1)), Some(BanReason::Scanner));
            now_us += 1;
            assert_eq!(list.is_banned(now_us, source(1)), None);
        }
        now_us += 9600 * S;
        let ban = list.strike(now_us, source(1), BanReason::Scanner).unwrap();
        assert_eq!(ban.times, 1, "it was quiet for as long as it had been banned");
    }

    #[test]
    fn no_ban_is_longer_than_a_day_and_without_a_length_there_is_none() {
        let mut bans = list();
        let mut now_us = 0;
        for _ in 0..40 {
            let ban = bans.strike(now_us, source(1), BanReason::Scanner).unwrap();
            assert!(ban.left <= Duration::from_secs(86_400));
            now_us += u64::try_from(ban.left.as_micros()).unwrap();
        }
        let mut off = BanList::new(&BansConfig { for_s: 0, ..BansConfig::default() });
        assert_eq!(strikes(&mut off, 0, BanReason::Scanner), None);
    }

    #[test]
    fn the_list_is_bounded_and_who_is_banned_longest_stays() {
        let mut list = list();
        list.strike(0, source(0), BanReason::Scanner);
        list.strike(600 * S, source(0), BanReason::Scanner);
        for n in 1..10_000 {
            list.strike(600 * S + u64::from(n), source(n), BanReason::Scanner);
        }
        assert_eq!((list.entries.len(), list.by_end.len()), (MOST, MOST));
        let now_us = 600 * S + 10_000;
        assert!(list.is_banned(now_us, source(0)).is_some() && list.is_banned(now_us, source(9999)).is_some());
        assert!(list.is_banned(now_us, source(1)).is_none());
        assert_eq!(list.list(now_us).len(), MOST);
        assert_eq!(list.list(now_us)[0].source, source(0));
        list.spare(u64::MAX, Spared::default());
        assert_eq!((list.entries.len(), list.by_end.len()), (0, 0), "nothing is kept for ever");
    }

    #[test]
    fn who_has_given_the_right_password_is_not_banned_for_a_wrong_one() {
        let mut list = list();
        list.prove(0, source(1));
        assert_eq!(strikes(&mut list, 0, BanReason::Password), None);
        assert_eq!(strikes(&mut list, PROVEN_US, BanReason::Password), Some(6), "after a day it is anybody");
        for n in 0..10_000 {
            list.prove(u64::from(n), source(n));
        }
        assert_eq!(list.proven.len(), MOST_PROVEN);
        assert!(list.proven.contains_key(&source(9999)));
    }

    #[test]
    fn whoever_is_spared_is_not_banned_and_banned_no_longer() {
        let mut list = list();
        assert!(list.strike(0, source(1), BanReason::Scanner).is_some());
        let spared = || Spared::new([source(1)], [Cidr::around(source(0x20), 28)]);
        assert_eq!(list.spare(0, spared()), [source(1)]);
        assert_eq!(list.is_banned(0, source(1)), None);
        for n in [1, 0x20, 0x2f] {
            assert_eq!(list.strike(0, source(n), BanReason::Scanner), None);
        }
        assert!(list.strike(0, source(0x30), BanReason::Scanner).is_some());
        assert!(list.spare(0, Spared::default()).is_empty());
        assert!(list.strike(0, source(1), BanReason::Scanner).is_some(), "its call is over");
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_so_is_an_address_of_ipv4_however_it_is_written() {
        let mut list = list();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let ban = list.strike(0, ip("2001:db8::1"), BanReason::Scanner).unwrap();
        assert_eq!((ban.source, ban.bits), (ip("2001:db8::"), 64));
        assert!(list.is_banned(0, ip("2001:db8::ffff:1")).is_some());
        assert!(list.is_banned(0, ip("2001:db8:0:1::1")).is_none());
        list.strike(0, ip("::ffff:192.0.2.1"), BanReason::Scanner);
        assert!(list.is_banned(0, ip("192.0.2.1")).is_some());
        assert!(list.lift(0, ip("192.0.2.1")) && !list.lift(0, ip("192.0.2.1")));
        assert_eq!(shown(ip("192.0.2.77")).to_string(), "192.0.2.0/24");
        assert_eq!(shown(ip("2001:db8:1:2::3")).to_string(), "2001:db8:1::/48");
    }

    proptest! {
        /// Whatever happens in whatever order, both tables say the same and keep their bound, and a spared source is free.
        #[test]
        fn the_tables_agree(steps in proptest::collection::vec((0_u64..100_000_000, 0_u32..40, 0_u8..6), 0..300)) {
            let (mut list, mut now_us) = (list(), 0);
            for (passes_us, n, what) in steps {
                now_us += passes_us * 10;
                match what {
                    0 => drop(list.strike(now_us, source(n), BanReason::Scanner)),
                    1 => drop(list.strike(now_us, source(n), BanReason::Persistence)),
                    2 => drop(list.strike(now_us, source(n), BanReason::Password)),
                    3 => drop(list.lift(now_us, source(n))),
                    4 => drop(list.spare(now_us, Spared::new([source(n)], []))),
                    _ => list.prove(now_us, source(n)),
                }
                prop_assert_eq!(list.entries.len(), list.by_end.len());
                for (source, entry) in &list.entries {
                    prop_assert!(list.by_end.contains(&(entry.remembered_us, *source)));
                    prop_assert!(!list.spared.holds(*source, entry.reason));
                }
                prop_assert_eq!(list.counts(now_us).now, list.list(now_us).len());
            }
        }
    }
}
