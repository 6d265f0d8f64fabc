//! When a caller who was refused is told to come again: once as many calls are likely to have ended as callers wait, each
//! at another time, so that they do not come back together.

use super::SAMPLE_EVERY_US;

/// The least and the most that anybody is told, in seconds.
const LEAST_S: f64 = 3.0;
const MOST_S: f64 = 120.0;
/// How long a call lasts while nothing better is known, in seconds.
const CALL_S: f64 = 180.0;
/// Who was refused is thought to wait for about this long, and ends are counted over it, in seconds.
const MEMORY_S: f64 = 30.0;

/// Who comes, who goes and who waits.
#[derive(Debug, Default)]
pub(super) struct Retry {
    calls: u32,
    admitted: u32,
    ends_a_second: f64,
    waiting: f64,
    waiting_as_of_us: u64,
}

impl Retry {
    /// There are so many calls now.
    pub(super) fn sample(&mut self, now_us: u64, took_us: u64, calls: u32) {
        let ended = (self.calls + std::mem::take(&mut self.admitted)).saturating_sub(calls);
        self.calls = calls;
        let took_s = took_us.max(SAMPLE_EVERY_US / 2) as f64 / 1e6;
        let share = (took_s / MEMORY_S).min(1.0);
        self.ends_a_second += (f64::from(ended) / took_s - self.ends_a_second) * share;
        self.forget(now_us);
    }

    /// A call was taken.
    pub(super) const fn admitted(&mut self) {
        self.admitted = self.admitted.saturating_add(1);
    }

    /// Seconds after which another caller is to come again.
    pub(super) fn after_s(&mut self, now_us: u64, random: u32) -> u32 {
        self.forget(now_us);
        self.waiting += 1.0;
        let ends_a_second = self.ends_a_second.max(f64::from(self.calls.max(1)) / CALL_S);
        let mean_s = (self.waiting / ends_a_second).clamp(2.0 * LEAST_S, MOST_S / 1.5);
        // From half of it to half more.
        let spread = 0.5 + f64::from(random) / f64::from(u32::MAX);
        (mean_s * spread).round() as u32
    }

    fn forget(&mut self, now_us: u64) {
        let since_s = now_us.saturating_sub(self.waiting_as_of_us) as f64 / 1e6;
        self.waiting *= (-since_s / MEMORY_S).exp();
        self.waiting_as_of_us = now_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A minute with 60 calls, of which one ends and one begins every `every` quarters of a second.
    fn steady(every: u64) -> Retry {
        let mut retry = Retry { calls: 60, ..Retry::default() };
        for n in 1..=480_u64 {
            if n % every == 0 {
                retry.admitted();
            }
            retry.sample(n * SAMPLE_EVERY_US, SAMPLE_EVERY_US, 60);
        }
        retry
    }

    #[test]
    fn the_more_wait_and_the_fewer_end_the_later_is_the_next_try() {
        let ask = |mut retry: Retry, times: u32| {
            let told: Vec<u32> = (0..times).map(|_| retry.after_s(480 * SAMPLE_EVERY_US, u32::MAX / 2)).collect();
            (told[0], *told.last().unwrap())
        };
        // Two calls a second end.
        assert_eq!(ask(steady(2), 30), (6, 15));
        // One in eight seconds, less than calls of three minutes would: those are what is expected.
        assert_eq!(ask(steady(32), 30), (6, 80));
    }

    proptest! {
        /// Whatever was before, the answer is within bounds, and two callers are told two times.
        #[test]
        fn callers_are_spread(
            past in proptest::collection::vec((0_u32..100, 0_u64..1_000_000, any::<bool>()), 0..100),
            random in any::<u32>(),
        ) {
            let (mut retry, mut now_us) = (Retry::default(), 0);
            for (calls, passes_us, refuses) in past {
                now_us += passes_us;
                retry.sample(now_us, passes_us, calls);
                if refuses {
                    let told = retry.after_s(now_us, random);
                    prop_assert!(f64::from(told) >= LEAST_S && f64::from(told) <= MOST_S, "{told}");
                }
            }
            let (soon, late) = (retry.after_s(now_us, 0), retry.after_s(now_us, u32::MAX));
            prop_assert!(late >= 2 * soon, "{soon} {late}");
        }
    }
}
