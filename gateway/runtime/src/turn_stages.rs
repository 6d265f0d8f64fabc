//! How long turns take, stage by stage, over all calls.

use serde_json::Value;
use trunkline_api::stages::Stage;

use crate::durations::{DurationCounts, Durations};

/// Counts since the start.
#[derive(Debug, Default)]
pub struct TurnStages([Durations; Stage::ALL.len()]);

impl TurnStages {
    /// Counts a turn by its `turn.waterfall` event.
    pub(crate) fn count(&self, waterfall: &Value) {
        for (stage, durations) in Stage::ALL.iter().zip(&self.0) {
            if let Some(ms) = waterfall[stage.field()].as_u64() {
                durations.count(ms);
            }
        }
    }

    /// Every stage's counts.
    pub fn each(&self) -> impl Iterator<Item = (Stage, DurationCounts)> + '_ {
        Stage::ALL.into_iter().zip(self.0.iter().map(Durations::counts))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::durations::DURATION_BOUNDS_MS;

    #[test]
    fn a_turn_is_counted_in_the_stages_it_reached() {
        let stages = TurnStages::default();
        stages.count(&json!({ "speech_end_ms": 9000, "endpoint_ms": 20, "asr_ms": 21, "total_ms": 60_000 }));
        let of = |wanted| stages.each().find(|(stage, _)| *stage == wanted).unwrap().1;
        assert_eq!((of(Stage::Endpoint).classes[0], of(Stage::Endpoint).sum_ms), (1, 20));
        assert_eq!((of(Stage::Asr).classes[1], of(Stage::Asr).classes[0]), (1, 0));
        assert_eq!(of(Stage::Total).classes[DURATION_BOUNDS_MS.len()], 1);
        assert_eq!(of(Stage::LlmFirstToken).classes.iter().sum::<u64>(), 0);
    }
}
