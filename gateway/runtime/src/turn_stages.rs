//! How long turns take, stage by stage, over all calls: what the metrics page makes a histogram of.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use trunkline_api::stages::Stage;

/// Upper bounds of the classes, in milliseconds; what takes longer is counted beside them.
pub const STAGE_BOUNDS_MS: [u64; 14] = [20, 50, 100, 150, 200, 300, 400, 500, 700, 1000, 1500, 2500, 5000, 10_000];

/// Counts since the start.
#[derive(Debug)]
pub struct TurnStages([Classes; Stage::ALL.len()]);

#[derive(Debug)]
struct Classes {
    up_to: [AtomicU64; STAGE_BOUNDS_MS.len()],
    longer: AtomicU64,
    sum_ms: AtomicU64,
}

/// A stage's counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageCounts {
    /// Which.
    pub stage: Stage,
    /// Turns by class, not cumulative, those above the last bound behind them.
    pub classes: [u64; STAGE_BOUNDS_MS.len() + 1],
    /// Milliseconds of all of them.
    pub sum_ms: u64,
}

impl Default for TurnStages {
    fn default() -> Self {
        Self(
            [const {
                Classes {
                    up_to: [const { AtomicU64::new(0) }; STAGE_BOUNDS_MS.len()],
                    longer: AtomicU64::new(0),
                    sum_ms: AtomicU64::new(0),
                }
            }; Stage::ALL.len()],
        )
    }
}

impl TurnStages {
    /// Counts a turn by its `turn.waterfall` event.
    pub(crate) fn count(&self, waterfall: &Value) {
        for (stage, classes) in Stage::ALL.iter().zip(&self.0) {
            if let Some(ms) = waterfall[stage.field()].as_u64() {
                let class = STAGE_BOUNDS_MS.iter().zip(&classes.up_to).find(|(bound, _)| ms <= **bound);
                class.map_or(&classes.longer, |(_, counter)| counter).fetch_add(1, Ordering::Relaxed);
                classes.sum_ms.fetch_add(ms, Ordering::Relaxed);
            }
        }
    }

    /// Every stage's counts.
    pub fn each(&self) -> impl Iterator<Item = StageCounts> + '_ {
        Stage::ALL.into_iter().zip(&self.0).map(|(stage, counts)| {
            let mut classes = [0; STAGE_BOUNDS_MS.len() + 1];
            for (class, counter) in classes.iter_mut().zip(counts.up_to.iter().chain([&counts.longer])) {
                *class = counter.load(Ordering::Relaxed);
            }
            StageCounts { stage, classes, sum_ms: counts.sum_ms.load(Ordering::Relaxed) }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_turn_is_counted_in_the_stages_it_reached() {
        let stages = TurnStages::default();
        stages.count(&json!({ "speech_end_ms": 9000, "endpoint_ms": 20, "asr_ms": 21, "total_ms": 60_000 }));
        let counts: Vec<StageCounts> = stages.each().collect();
        let of = |stage| *counts.iter().find(|counts| counts.stage == stage).unwrap();
        assert_eq!((of(Stage::Endpoint).classes[0], of(Stage::Endpoint).sum_ms), (1, 20));
        assert_eq!((of(Stage::Asr).classes[1], of(Stage::Asr).classes[0]), (1, 0));
        assert_eq!(of(Stage::Total).classes[STAGE_BOUNDS_MS.len()], 1);
        assert_eq!(of(Stage::LlmFirstToken).classes.iter().sum::<u64>(), 0);
    }
}
