//! What came of the calls: counts, and how times are spread.

use std::collections::BTreeMap;

use crate::pauses::Pauses;

/// Width of a step in milliseconds.
const STEP_MS: f64 = 0.05;
/// Steps kept; what is beyond (500 ms) is counted in the last one.
const STEPS: usize = 10_000;

/// Times in milliseconds, counted in steps of 50 us up to 500 ms.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    steps: Vec<u64>,
    count: u64,
    highest: f64,
}

impl Histogram {
    pub(crate) fn add(&mut self, ms: f64) {
        if self.steps.is_empty() {
            self.steps = vec![0; STEPS];
        }
        let step = (ms.max(0.0) / STEP_MS) as usize;
        self.steps[step.min(STEPS - 1)] += 1;
        self.count += 1;
        self.highest = self.highest.max(ms);
    }

    /// How many were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    #[must_use]
    pub const fn highest(&self) -> f64 {
        self.highest
    }

    /// How many were longer than `ms`.
    #[must_use]
    pub fn above(&self, ms: f64) -> u64 {
        self.steps.iter().skip((ms / STEP_MS) as usize + 1).sum()
    }

    /// The time that a share of them (0..=1) do not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.steps.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return if step == STEPS - 1 { self.highest } else { (step + 1) as f64 * STEP_MS };
            }
        }
        0.0
    }
}

/// The value that a share of `values` (0..=1) do not exceed; 0 of none.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// What came of the calls of a generator.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Calls placed.
    pub placed: u64,
    /// Calls answered.
    pub answered: u64,
    /// Calls that ended otherwise than as planned, by reason.
    pub failed: BTreeMap<String, u64>,
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets that the operating system refused to send.
    pub send_errors: u64,
    /// RTP packets that the shaper lost on the way out.
    pub shaped_away: u64,
    /// RTP packets that came, each counted once.
    pub received: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Packets that came again.
    pub duplicate: u64,
    /// Packets that came after their successor.
    pub reordered: u64,
    /// Frames that the other side never made: its timestamps went on further than its packets.
    pub skipped: u64,
    /// Packets of ours that the other side says it has lost (RTCP), by the last report of each call.
    pub reported_lost: u64,
    /// Calls of which a report came.
    pub reporting: u64,
    /// Marks that went out and had a second to come back.
    pub marks: u64,
    /// Those that came back.
    pub marks_heard: u64,
    /// INVITE to 200, each call, in milliseconds.
    pub setup_ms: Vec<f64>,
    /// Mark out to mark in, in milliseconds.
    pub delay_ms: Vec<f64>,
    /// How late the other side's packets left.
    pub late: Histogram,
    /// How late this generator was itself.
    pub own_late: Histogram,
    /// When the machine stood still meanwhile.
    pub pauses: Pauses,
    /// Sound that came, in PCMU with silence for what did not, when it was to be kept; of the calls as they ended.
    pub heard: Vec<Vec<u8>>,
}

impl Figures {
    pub(crate) fn fail(&mut self, reason: impl Into<String>) {
        *self.failed.entry(reason.into()).or_default() += 1;
    }

    /// Frames that a program which gives up what is more than 100 ms late may have left out in `calls` calls for the
    /// machine's pauses alone.
    #[must_use]
    pub fn forgiven(&self, calls: usize) -> u64 {
        if self.pauses.longest_ms() < 80.0 { 0 } else { (self.pauses.total_ms() / 20.0).ceil() as u64 * calls as u64 }
    }

    /// Calls that failed, whatever the reason.
    #[must_use]
    pub fn calls_failed(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Frames that went astray: the other side's that never came or were never made, and ours that it says it lost.
    #[must_use]
    pub const fn frames_lost(&self) -> u64 {
        self.lost + self.skipped + self.reported_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_both_kinds_agree() {
        let values: Vec<f64> = (1..=1000).map(|n| f64::from(n) / 10.0 - 0.01).collect();
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.add(*value));
        for share in [0.01, 0.5, 0.99, 0.999, 1.0] {
            let (exact, counted) = (quantile(&values, share), histogram.quantile(share));
            assert!((exact - counted).abs() <= STEP_MS, "{share}: {exact} {counted}");
        }
        assert_eq!((histogram.above(99.0), histogram.highest()), (10, 99.99));
        assert_eq!((quantile(&[], 0.5), Histogram::default().quantile(0.5)), (0.0, 0.0));
    }
}
