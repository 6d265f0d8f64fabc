//! The stages of a turn, from the end of what the caller said to the first packet of the answer: one table of names for the
//! timeline (`turn.waterfall`), the metrics (`trunkline_turn_stage_seconds`) and the call's record.

use serde::{Deserialize, Serialize};

/// A stage of a turn. All are counted from the end of the caller's speech, or the last key.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It was decided that the caller has finished.
    Endpoint,
    /// The recogniser's last words were there.
    Asr,
    /// The model's first text or tool call came.
    LlmFirstToken,
    /// The first sound of the reply's first sentence came.
    TtsFirstByte,
    /// The reply's first packet was sent.
    FirstPacketOut,
    /// The same: what the caller waited.
    Total,
}

impl Stage {
    /// Every stage, in the order in which they are reached.
    pub const ALL: [Self; 6] =
        [Self::Endpoint, Self::Asr, Self::LlmFirstToken, Self::TtsFirstByte, Self::FirstPacketOut, Self::Total];

    /// Its name: the label of the metric, and in the call's record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Asr => "asr",
            Self::LlmFirstToken => "llm_first_token",
            Self::TtsFirstByte => "tts_first_byte",
            Self::FirstPacketOut => "first_packet_out",
            Self::Total => "total",
        }
    }

    /// Its field of a `turn.waterfall` event: the name with the unit.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint_ms",
            Self::Asr => "asr_ms",
            Self::LlmFirstToken => "llm_first_token_ms",
            Self::TtsFirstByte => "tts_first_byte_ms",
            Self::FirstPacketOut => "first_packet_out_ms",
            Self::Total => "total_ms",
        }
    }
}

/// How long a stage took to reach in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct StageTimes {
    /// Which.
    pub stage: Stage,
    /// Turns that reached it.
    pub turns: u32,
    /// Half of them in no more than so many milliseconds.
    pub p50_ms: u32,
    /// Nineteen of twenty.
    pub p95_ms: u32,
    /// All.
    pub max_ms: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::EventType;

    #[test]
    fn a_stage_has_one_name_everywhere() {
        for stage in Stage::ALL {
            assert_eq!(format!("{}_ms", stage.name()), stage.field());
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.name());
        }
    }

    #[test]
    fn the_timeline_knows_every_stage_and_no_other() {
        let with = |value: Value| {
            let fields = Stage::ALL.map(|stage| (stage.field().to_owned(), value.clone()));
            EventType::TurnWaterfall.violations(&Value::Object(Map::from_iter(fields)))
        };
        assert_eq!(with(json!(1)), Vec::<String>::new());
        assert_eq!(with(json!("1")).len(), Stage::ALL.len());
    }
}
