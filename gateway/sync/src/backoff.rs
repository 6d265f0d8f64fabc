//! How long to wait after a failure: doubling and jittered, 1 to 60 s, so that a fleet does not come back as one.

/// Shortest wait, microseconds.
pub(crate) const SHORTEST_US: u64 = 1_000_000;
/// Longest wait of its own, microseconds.
pub(crate) const LONGEST_US: u64 = 60_000_000;
/// Longest wait a server may ask for, microseconds.
const LONGEST_ASKED_US: u64 = 600_000_000;

/// Failures in a row and the randomness for the next wait.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { failures: 0, random: seed }
    }

    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure and says how long to wait. What the server asked for is waited at least, plus jitter.
    pub(crate) fn failed(&mut self, asked_us: Option<u64>) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let ceiling = (SHORTEST_US << self.failures.min(6)).min(LONGEST_US);
        let jittered = SHORTEST_US + self.next() % (ceiling - SHORTEST_US + 1);
        match asked_us {
            Some(asked) => asked.min(LONGEST_ASKED_US).saturating_add(self.next() % SHORTEST_US).max(jittered),
            None => jittered,
        }
    }

    /// splitmix64.
    pub(crate) const fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_within_bounds_and_honour_the_server(seed: u64, failures in 1_usize..40, asked in proptest::option::of(0_u64..2_000_000_000)) {
            let mut backoff = Backoff::new(seed);
            for _ in 0..failures {
                let own = backoff.failed(None);
                prop_assert!((SHORTEST_US..=LONGEST_US).contains(&own));
                if let Some(asked) = asked {
                    let wait = backoff.failed(Some(asked));
                    prop_assert!(wait >= asked.min(LONGEST_ASKED_US));
                    prop_assert!(wait <= LONGEST_ASKED_US + SHORTEST_US);
                }
            }
        }
    }

    #[test]
    fn two_gateways_do_not_come_back_together() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..10).map(|_| backoff.failed(None)).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
    }
}
