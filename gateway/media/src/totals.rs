//! Sums over all legs, for whoever watches the gateway rather than a call. Legs are taken on and let go of by threads
//! that may wait for each other; media workers count as they always do and know nothing of it.

use std::sync::Arc;

use crate::leg::LegShared;
use crate::stats::LegStats;

/// Upper bounds of the classes of opinion, in hundredths of a point: what callers hear as bad, poor, fair, good and
/// excellent (ITU-T G.107 annex B).
pub const OPINION_BOUNDS: [u64; 5] = [258, 310, 360, 403, 450];

/// Sums over legs since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegTotals {
    /// Legs that have ended.
    pub legs: u64,
    /// Of them, by the mean opinion score of what was heard: those up to each of [`OPINION_BOUNDS`], without those below.
    pub opinion_in: [u64; 5],
    /// The same of what the far ends reported to have heard.
    pub opinion_out: [u64; 5],
    counts: [u64; LegStats::FIELDS],
}

impl Default for LegTotals {
    fn default() -> Self {
        Self { legs: 0, opinion_in: [0; 5], opinion_out: [0; 5], counts: [0; LegStats::FIELDS] }
    }
}

impl LegTotals {
    /// Each counter with what it counts, over legs that have ended and those that go on.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        let named = LegStats::default().each().into_iter().zip(self.counts);
        named.filter(|((name, ..), _)| is_count(name)).map(|((name, says, _), count)| (name, says, count))
    }

    /// Adds what a leg has counted.
    fn count(&mut self, stats: &LegStats) {
        for (sum, (_, _, count)) in self.counts.iter_mut().zip(stats.each()) {
            *sum += count;
        }
    }

    /// Adds a leg that is over.
    fn end(&mut self, stats: &LegStats) {
        self.legs += 1;
        self.count(stats);
        for (classes, mos) in [(&mut self.opinion_in, stats.mos_in), (&mut self.opinion_out, stats.mos_out)] {
            let class = OPINION_BOUNDS.iter().position(|bound| mos <= *bound);
            if let Some(class) = class.filter(|_| mos > 0) {
                classes[class] += 1;
            }
        }
    }
}

/// Whether a figure of a leg only ever grows. A delay, a score or what the far end last reported has no sum.
fn is_count(name: &str) -> bool {
    !(name.ends_with("_us") || name.starts_with("mos_") || matches!(name, "remote_lost" | "unprocessed"))
}

/// The legs there are, and the sums over those there were.
#[derive(Debug, Default)]
pub(crate) struct Census {
    ended: LegTotals,
    live: Vec<Arc<LegShared>>,
}

impl Census {
    /// A leg is attached.
    pub(crate) fn begin(&mut self, leg: Arc<LegShared>) {
        self.live.push(leg);
    }

    /// A leg is over and counts no more.
    pub(crate) fn end(&mut self, leg: &Arc<LegShared>) {
        self.live.retain(|live| !Arc::ptr_eq(live, leg));
        self.ended.end(&leg.stats.load());
    }

    /// Sums as of every leg's last tick.
    pub(crate) fn totals(&self) -> LegTotals {
        let mut totals = self.ended;
        for leg in &self.live {
            totals.count(&leg.stats.load());
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(stats: &LegStats) -> Arc<LegShared> {
        let (shared, _digits) = LegShared::new();
        shared.stats.store(stats);
        Arc::new(shared)
    }

    #[test]
    fn legs_are_summed_while_they_go_on_and_count_once_when_they_end() {
        let mut census = Census::default();
        let stats = LegStats { packets_in: 5, dropped_ssrc: 1, jitter_us: 900, ..LegStats::default() };
        let (first, second) = (leg(&stats), leg(&stats));
        census.begin(Arc::clone(&first));
        census.begin(Arc::clone(&second));
        let of = |census: &Census, wanted| {
            census.totals().each().find(|(name, ..)| *name == wanted).map(|(.., count)| count)
        };
        assert_eq!((of(&census, "packets_in"), of(&census, "dropped_ssrc")), (Some(10), Some(2)));
        first.stats.store(&LegStats { packets_in: 9, ..stats });
        census.end(&first);
        assert_eq!((of(&census, "packets_in"), of(&census, "late")), (Some(14), Some(0)));
        census.end(&second);
        assert_eq!((of(&census, "packets_in"), census.totals().legs, census.live.len()), (Some(14), 2, 0));
        assert_eq!((of(&census, "jitter_us"), of(&census, "mos_in")), (None, None), "they have no sum");
        assert!(census.totals().each().all(|(_, says, _)| says.trim().ends_with('.')));
    }

    #[test]
    fn opinions_fall_into_their_classes() {
        let mut totals = LegTotals::default();
        for mos_in in [0, 100, 258, 259, 441, 450] {
            totals.end(&LegStats { mos_in, mos_out: 431, ..LegStats::default() });
        }
        assert_eq!((totals.legs, totals.opinion_in, totals.opinion_out), (6, [2, 1, 0, 0, 2], [0, 0, 0, 0, 6]));
    }
}
