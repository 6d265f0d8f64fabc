//! When to try again: exponential back-off with full jitter, time and randomness from outside.

/// The bounds of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; 1 means never again.
    pub max_attempts: u32,
    /// The ceiling of the first delay in ms; it doubles with every attempt.
    pub base_ms: u64,
    /// The ceiling no delay passes, in ms. A server's `Retry-After` is honoured up to ten times this.
    pub cap_ms: u64,
}

impl Default for RetryPolicy {
    /// 3 attempts, 100 ms, 5 s.
    fn default() -> Self {
        Self { max_attempts: 3, base_ms: 100, cap_ms: 5_000 }
    }
}

/// The attempts of one request.
#[derive(Debug, Clone)]
pub struct Backoff {
    policy: RetryPolicy,
    failed: u32,
}

impl Backoff {
    /// Nothing tried yet.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, failed: 0 }
    }

    /// An attempt failed. The delay before the next one in ms, or `None` when there is none. `random` is uniform over
    /// all of `u64`; a `Retry-After` of the server is the least delay.
    pub fn failed(&mut self, random: u64, retry_after_ms: Option<u64>) -> Option<u64> {
        self.failed = self.failed.saturating_add(1);
        if self.failed >= self.policy.max_attempts {
            return None;
        }
        let doubled = self.policy.base_ms.saturating_mul(1u64.checked_shl(self.failed - 1).unwrap_or(u64::MAX));
        let ceiling = doubled.min(self.policy.cap_ms);
        let jittered = random % ceiling.saturating_add(1).max(1);
        match retry_after_ms {
            Some(wait) if wait > self.policy.cap_ms.saturating_mul(10) => None,
            Some(wait) => Some(wait.saturating_add(jittered)),
            None => Some(jittered),
        }
    }

    /// It worked: the next failure counts from the beginning.
    pub fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failed
    }
}

/// Whether an HTTP status promises that the same request may succeed later.
#[must_use]
pub fn retryable_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// A `Retry-After` given in seconds (RFC 9110 10.2.3) as ms; the date form is not read.
#[must_use]
pub fn retry_after_ms(value: &str) -> Option<u64> {
    value.trim().parse::<u64>().ok()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wait_the_server_asks_for_is_kept_and_an_absurd_one_gives_up() {
        let policy = RetryPolicy { max_attempts: 9, base_ms: 10, cap_ms: 100 };
        assert!((1000..=1010).contains(&Backoff::new(policy).failed(u64::MAX, Some(1000)).unwrap()));
        assert_eq!(Backoff::new(policy).failed(7, Some(1001)), None);
        assert_eq!(retry_after_ms(" 7 "), Some(7000));
        assert_eq!(retry_after_ms("Fri, 31 Dec 1999 23:59:59 GMT"), None);
    }

    proptest! {
        #[test]
        fn delays_stay_under_their_doubling_ceiling_and_end(max in 1u32..80, base in 0u64..10_000, cap in 0u64..100_000, randoms in proptest::collection::vec(any::<u64>(), 80)) {
            let mut backoff = Backoff::new(RetryPolicy { max_attempts: max, base_ms: base, cap_ms: cap });
            let mut delays = 0;
            for random in randoms {
                let Some(delay) = backoff.failed(random, None) else { break };
                delays += 1;
                prop_assert!(delay <= cap && u128::from(delay) <= u128::from(base) << (delays - 1).min(64));
            }
            prop_assert_eq!(delays, max.saturating_sub(1));
        }
    }
}
