//! Whether signalling keeps up: how busy its threads are, measured once a second. Where they are too busy, new calls are
//! refused from the message alone, so that there is time left for those that are up.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::RuntimeMetrics;

/// Samples in a row beyond the limit after which calls are refused, so that one busy second refuses nobody.
const OVER: u32 = 2;
/// Samples in a row below what is calm after which they are taken again.
const CALM: u32 = 3;
/// What is calm, in thousandths of the limit.
const CALM_PERMILLE: u32 = 750;

/// How busy signalling is.
#[derive(Debug)]
pub(crate) struct Pressure {
    refuses: AtomicBool,
    busy_permille: AtomicU32,
    state: Mutex<(Instant, Vec<Duration>, Judge)>,
}

impl Pressure {
    /// Refuses when the busiest thread works for more than so many thousandths of its time; `None` never refuses.
    pub(crate) fn new(limit_permille: Option<u32>) -> Self {
        let state = (Instant::now(), Vec::new(), Judge::new(limit_permille));
        Self { refuses: AtomicBool::new(false), busy_permille: AtomicU32::new(0), state: Mutex::new(state) }
    }

    /// Looks how long each thread has worked since it was looked at last.
    pub(crate) fn sample(&self, metrics: &RuntimeMetrics) {
        let now = Instant::now();
        let worked: Vec<Duration> =
            (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, before, judge) = &mut *state;
        let took = now.saturating_duration_since(*then);
        let since = worked
            .iter()
            .enumerate()
            .map(|(worker, worked)| worked.saturating_sub(before.get(worker).copied().unwrap_or_default()));
        let permille = permille(since.max().unwrap_or_default(), took);
        self.busy_permille.store(permille, Ordering::Relaxed);
        let refused = self.refuses.swap(judge.sample(permille), Ordering::Relaxed);
        if refused != self.refuses() {
            let refuses = !refused;
            tracing::warn!(busy_permille = permille, refuses, "signalling is too busy for new calls, or no longer is");
        }
        (*then, *before) = (now, worked);
    }

    /// Whether new calls are refused.
    pub(crate) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// Share of its time that the busiest thread worked between the last two samples, in thousandths.
    pub(crate) fn busy_permille(&self) -> u32 {
        self.busy_permille.load(Ordering::Relaxed)
    }
}

fn permille(worked: Duration, took: Duration) -> u32 {
    let share = worked.as_micros().saturating_mul(1000).checked_div(took.as_micros()).unwrap_or(0);
    u32::try_from(share).unwrap_or(u32::MAX).min(1000)
}

/// What follows from the samples.
#[derive(Debug)]
struct Judge {
    limit_permille: Option<u32>,
    over: u32,
    calm: u32,
    refuses: bool,
}

impl Judge {
    const fn new(limit_permille: Option<u32>) -> Self {
        Self { limit_permille, over: 0, calm: 0, refuses: false }
    }

    fn sample(&mut self, busy_permille: u32) -> bool {
        let Some(limit) = self.limit_permille else { return false };
        self.over = if busy_permille > limit { self.over.saturating_add(1) } else { 0 };
        let is_calm = busy_permille <= limit.saturating_mul(CALM_PERMILLE) / 1000;
        self.calm = if is_calm { self.calm.saturating_add(1) } else { 0 };
        self.refuses = (self.refuses || self.over >= OVER) && self.calm < CALM;
        self.refuses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_refused_from_the_second_busy_second_on_until_three_calm_ones() {
        let mut judge = Judge::new(Some(900));
        let mut after = |samples: &[u32]| samples.iter().map(|busy| judge.sample(*busy)).collect::<Vec<_>>();
        assert_eq!(after(&[950, 200, 950, 950]), [false, false, false, true]);
        assert_eq!(after(&[700, 600, 675]), [true, true, true], "the first of them was not calm");
        assert_eq!(after(&[676, 0, 0, 0]), [true, true, true, false]);
        assert_eq!(after(&[900, 900, 901]), [false, false, false]);
    }

    #[test]
    fn without_a_limit_nobody_is_refused() {
        let mut judge = Judge::new(None);
        assert!((0..10).all(|_| !judge.sample(1000)));
    }

    #[test]
    fn a_share_is_of_the_time_that_passed() {
        assert_eq!(permille(Duration::from_millis(450), Duration::from_millis(500)), 900);
        assert_eq!(permille(Duration::from_secs(3), Duration::from_secs(1)), 1000, "what was counted late");
        assert_eq!(permille(Duration::from_secs(1), Duration::ZERO), 0);
    }
}
