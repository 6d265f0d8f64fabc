//! Counts of how long things took, in classes: what the metrics page makes a histogram of.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the classes, in milliseconds; what takes longer is counted beside them.
pub const DURATION_BOUNDS_MS: [u64; 14] = [20, 50, 100, 150, 200, 300, 400, 500, 700, 1000, 1500, 2500, 5000, 10_000];

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    up_to: [AtomicU64; DURATION_BOUNDS_MS.len()],
    longer: AtomicU64,
    sum_ms: AtomicU64,
}

/// The same at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationCounts {
    /// By class, not cumulative, those above the last bound behind them.
    pub classes: [u64; DURATION_BOUNDS_MS.len() + 1],
    /// Milliseconds of all of them.
    pub sum_ms: u64,
}

impl Durations {
    /// Counts one.
    pub(crate) fn count(&self, ms: u64) {
        let class = DURATION_BOUNDS_MS.iter().zip(&self.up_to).find(|(bound, _)| ms <= **bound);
        class.map_or(&self.longer, |(_, counter)| counter).fetch_add(1, Ordering::Relaxed);
        self.sum_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> DurationCounts {
        let mut classes = [0; DURATION_BOUNDS_MS.len() + 1];
        for (class, counter) in classes.iter_mut().zip(self.up_to.iter().chain([&self.longer])) {
            *class = counter.load(Ordering::Relaxed);
        }
        DurationCounts { classes, sum_ms: self.sum_ms.load(Ordering::Relaxed) }
    }
}
