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

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now_us: u64) -> bool {
        let gained = now_us.saturating_sub(self.at_us).saturating_mul(u64::from(self.rate.per_second));
        self.at_us = self.at_us.max(now_us);
        self.microtokens = self.microtokens.saturating_add(gained).min(u64::from(self.rate.burst) * TOKEN);
        let Some(left) = self.microtokens.checked_sub(TOKEN) else { return false };
        self.microtokens = left;
        true
    }
}

/// A bucket per source. Two sources whose hashes fall on one slot push each other out, which resets a bucket; the
/// hash is keyed, so nobody outside can aim.
#[derive(Debug)]
pub(crate) struct RateTable {
    rate: Rate,
    slots: Vec<(u64, Bucket)>,
}

impl RateTable {
    /// A table of `slots` sources.
    pub(crate) fn new(rate: Rate, slots: usize) -> Self {
        Self { rate, slots: vec![(0, Bucket::full(rate)); slots.max(1)] }
    }

    /// Takes a token of a source, named by a keyed hash.
    pub(crate) fn take(&mut self, owner: u64, now_us: u64) -> bool {
        let len = self.slots.len() as u64;
        let Some(slot) = usize::try_from(owner % len).ok().and_then(|index| self.slots.get_mut(index)) else {
            return false;
        };
        if slot.0 != owner {
            *slot = (owner, Bucket { at_us: now_us, ..Bucket::full(self.rate) });
        }
        slot.1.take(now_us)
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
    fn sources_do_not_spend_each_others_tokens() {
        let mut table = RateTable::new(Rate { per_second: 1, burst: 1 }, 16);
        assert!(table.take(1, 0) && table.take(2, 0));
        assert!(!table.take(1, 0) && !table.take(2, 0));
    }
}
