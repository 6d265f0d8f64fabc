//! Token buckets in constant memory: a fixed table of sources, so that a flood of addresses costs nothing to remember.

use crate::config::Rate;

/// One token bucket. Tokens are counted in millionths, so that a rate per second and a clock in microseconds need no
/// division.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    rate: Rate,
    microtokens: u64,
    at_us: u64,
}

const TOKEN: u64 = 1_000_000;

impl Bucket {
    /// A bucket with all its burst.
    pub(crate) const fn full(rate: Rate) -> Self {
        Self { rate, microtokens: rate.burst as u64 * TOKEN, at_us: 0 }
    }

    /// Millionths of tokens at a time.
    fn at(&self, now_us: u64) -> u64 {
        let gained = now_us.saturating_sub(self.at_us).saturating_mul(u64::from(self.rate.per_second));
        self.microtokens.saturating_add(gained).min(u64::from(self.rate.burst) * TOKEN)
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now_us: u64) -> bool {
        self.microtokens = self.at(now_us);
        self.at_us = self.at_us.max(now_us);
        let Some(left) = self.microtokens.checked_sub(TOKEN) else { return false };
        self.microtokens = left;
        true
    }
}

/// Sources whose hashes may fall on one place of the table before one takes the place of another.
const WAYS: usize = 8;

/// A bucket per source. A source that finds its place full of others takes over the fullest of their buckets with what is in
/// it, so that nobody gains by pushing others out; the hash is keyed, so nobody outside can aim.
#[derive(Debug)]
pub(crate) struct RateTable {
    sets: Vec<[(u64, Bucket); WAYS]>,
}

impl RateTable {
    /// A table of `slots` sources.
    pub(crate) fn new(rate: Rate, slots: usize) -> Self {
        Self { sets: vec![[(0, Bucket::full(rate)); WAYS]; slots.div_ceil(WAYS).max(1)] }
    }

    /// Takes a token of a source, named by a keyed hash.
    pub(crate) fn take(&mut self, owner: u64, now_us: u64) -> bool {
        let len = self.sets.len() as u64;
        let Some(set) = usize::try_from(owner % len).ok().and_then(|index| self.sets.get_mut(index)) else {
            return false;
        };
        let own = set.iter().position(|(other, _)| *other == owner);
        let way = own.or_else(|| (0..WAYS).max_by_key(|way| set[*way].1.at(now_us)));
        let Some((named, bucket)) = way.and_then(|way| set.get_mut(way)) else { return false };
        *named = owner;
        bucket.take(now_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let mut table = RateTable::new(Rate { per_second: 10, burst: 3 }, 16);
        let taken = |table: &mut RateTable, now| (0..10).filter(|_| table.take(7, now)).count();
        assert_eq!(taken(&mut table, 0), 3);
        assert_eq!(taken(&mut table, 99_999), 0);
        assert_eq!(taken(&mut table, 100_000), 1);
        assert_eq!(taken(&mut table, 60_000_000), 3, "no more than the burst is saved up");
        assert_eq!(taken(&mut table, 0), 0, "a clock that goes back gives nothing");
    }

    #[test]
    fn sources_that_push_each_other_out_gain_nothing() {
        let mut table = RateTable::new(Rate { per_second: 10, burst: 3 }, WAYS);
        let sources = 1..=10 * WAYS as u64;
        let taken = |table: &mut RateTable, now| {
            (0..20).flat_map(|_| sources.clone()).filter(|owner| table.take(*owner, now)).count()
        };
        assert_eq!(taken(&mut table, 0), 3 * WAYS, "no more than the buckets there are");
        assert_eq!(taken(&mut table, 0), 0);
        assert_eq!(taken(&mut table, 100_000), WAYS);
    }

    #[test]
    fn a_source_that_was_silent_long_enough_makes_room() {
        let mut table = RateTable::new(Rate { per_second: 1, burst: 2 }, WAYS);
        for owner in 1..=WAYS as u64 {
            assert!(table.take(owner, 0) && table.take(owner, 0) && !table.take(owner, 0));
        }
        assert!(!table.take(99, 0), "everybody has spent everything");
        assert!(table.take(99, 2_000_000) && table.take(99, 2_000_000), "the bucket would be full by now");
        assert!(!table.take(99, 2_000_000));
    }

    #[test]
    fn sources_do_not_spend_each_others_tokens() {
        let mut table = RateTable::new(Rate { per_second: 1, burst: 1 }, 16);
        assert!(table.take(1, 0) && table.take(2, 0));
        assert!(!table.take(1, 0) && !table.take(2, 0));
    }
}
