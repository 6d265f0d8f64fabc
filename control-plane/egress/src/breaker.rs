//! A circuit breaker: after failures in a row nothing is tried for a while, then one probe decides.

/// The bounds of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open it, at least 1.
    pub threshold: u32,
    /// Microseconds it stays open the first time; doubled whenever a probe fails.
    pub open_us: u64,
    /// The longest it stays open, in microseconds.
    pub max_open_us: u64,
}

impl Default for BreakerConfig {
    /// 5 failures, 1 s, 60 s.
    fn default() -> Self {
        Self { threshold: 5, open_us: 1_000_000, max_open_us: 60_000_000 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until_us: u64, open_us: u64 },
    Probing { until_us: u64, open_us: u64 },
}

/// The breaker. Times are microseconds of any clock that does not go back.
#[derive(Debug, Clone)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, state: State::Closed { failures: 0 } }
    }

    /// Whether a request may be made now. While open, the first request after the pause is the probe; a probe that
    /// never reports counts as lost after another pause.
    pub fn allow(&mut self, now_us: u64) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until_us, open_us } | State::Probing { until_us, open_us } if now_us >= until_us => {
                self.state = State::Probing { until_us: now_us.saturating_add(open_us), open_us };
                true
            }
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    /// A request succeeded.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// A request failed.
    pub fn failed(&mut self, now_us: u64) {
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < self.config.threshold => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } => {
                State::Open { until_us: now_us.saturating_add(self.config.open_us), open_us: self.config.open_us }
            }
            State::Probing { open_us, .. } => {
                let open_us = open_us.saturating_mul(2).min(self.config.max_open_us);
                State::Open { until_us: now_us.saturating_add(open_us), open_us }
            }
            // A request from before it opened: nothing new.
            open @ State::Open { .. } => open,
        };
    }

    /// When the next probe is due; `None` while closed.
    #[must_use]
    pub fn open_until_us(&self) -> Option<u64> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until_us, .. } | State::Probing { until_us, .. } => Some(until_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig { threshold: 3, open_us: 100, max_open_us: 300 };

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_closes_it() {
        let mut breaker = Breaker::new(CONFIG);
        breaker.failed(0);
        breaker.failed(0);
        breaker.succeeded();
        for _ in 0..3 {
            assert!(breaker.allow(10));
            breaker.failed(10);
        }
        assert!(!breaker.allow(109));
        assert!(breaker.allow(110));
        assert!(!breaker.allow(111), "only one probe at a time");
        breaker.succeeded();
        assert!(breaker.allow(111));
    }

    #[test]
    fn failed_probes_lengthen_the_pause_up_to_its_limit_and_a_lost_probe_is_repeated() {
        let mut breaker = Breaker::new(CONFIG);
        for _ in 0..3 {
            breaker.failed(0);
        }
        assert!(breaker.allow(100));
        breaker.failed(100);
        assert_eq!(breaker.open_until_us(), Some(300));
        assert!(breaker.allow(300));
        breaker.failed(300);
        assert_eq!(breaker.open_until_us(), Some(600));
        assert!(breaker.allow(600), "probe that will be lost");
        assert!(!breaker.allow(899));
        assert!(breaker.allow(900));
    }
}
