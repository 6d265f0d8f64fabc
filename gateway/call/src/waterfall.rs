//! Where a turn's time went.
//!
//! The stages and their names are those of [`trunkline_api::stages`].
//!
//! | Field | From | To |
//! |---|---|---|
//! | `first_packet_ms` | begin of the call | arrival of the packet with the first speech of the turn |
//! | `speech_end_ms` | begin of the call | arrival of the first packet without speech, or the last key |
//! | `endpoint_ms` | speech end | the decision that the caller has finished |
//! | `asr_ms` | speech end | the final words were there |
//! | `llm_first_token_ms` | speech end | the first text or tool call of the model |
//! | `tts_first_byte_ms` | speech end | the first sound of the reply's first sentence |
//! | `first_packet_out_ms`, `total_ms` | speech end | the reply's first packet was sent |
//!
//! Stages that did not happen are absent. When a bridge line was said first, the reply's first packet is the first
//! behind it.

use serde_json::{Map, Value, json};
use trunkline_api::stages::{Stage, StageTimes};
use trunkline_leg::CallTime;

/// Turns of a call that its record counts: the last ones, more than anybody talks to a machine.
const KEPT_TURNS: usize = 256;

/// The times of one turn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waterfall {
    pub(crate) first_packet: Option<CallTime>,
    pub(crate) speech_end: CallTime,
    pub(crate) endpoint: Option<CallTime>,
    pub(crate) asr: Option<CallTime>,
    pub(crate) llm_first_token: Option<CallTime>,
    pub(crate) tts_first_byte: Option<CallTime>,
    pub(crate) first_packet_out: Option<CallTime>,
}

impl Waterfall {
    /// The event's data.
    pub(crate) fn data(&self) -> Value {
        let mut data = Map::new();
        if let Some(first) = self.first_packet {
            data.insert("first_packet_ms".to_owned(), json!(first.as_ms()));
        }
        data.insert("speech_end_ms".to_owned(), json!(self.speech_end.as_ms()));
        for stage in Stage::ALL {
            if let Some(ms) = self.stage_ms(stage) {
                data.insert(stage.field().to_owned(), json!(ms));
            }
        }
        Value::Object(data)
    }

    /// When a stage was reached, in milliseconds from the end of speech.
    fn stage_ms(&self, stage: Stage) -> Option<u64> {
        let at = match stage {
            Stage::Endpoint => self.endpoint,
            Stage::Asr => self.asr,
            Stage::LlmFirstToken => self.llm_first_token,
            Stage::TtsFirstByte => self.tts_first_byte,
            Stage::FirstPacketOut | Stage::Total => self.first_packet_out,
        };
        at.map(|at| at.since_ms(self.speech_end))
    }
}

/// The waterfalls of a call's turns, for its record.
#[derive(Debug, Default)]
pub(crate) struct Waterfalls {
    /// Milliseconds to each stage, by its place in [`Stage::ALL`]; the oldest are written over.
    reached: [Vec<u32>; Stage::ALL.len()],
    /// Turns that reached each.
    turns: [u32; Stage::ALL.len()],
    changed: bool,
}

impl Waterfalls {
    /// A turn is over.
    pub(crate) fn add(&mut self, waterfall: &Waterfall) {
        for ((stage, reached), turns) in Stage::ALL.into_iter().zip(&mut self.reached).zip(&mut self.turns) {
            let Some(ms) = waterfall.stage_ms(stage) else { continue };
            let ms = u32::try_from(ms).unwrap_or(u32::MAX);
            match reached.get_mut(*turns as usize % KEPT_TURNS) {
                Some(oldest) => *oldest = ms,
                None => reached.push(ms),
            }
            *turns = turns.saturating_add(1);
            self.changed = true;
        }
    }

    /// A row for each stage that was reached, when there is anything new.
    pub(crate) fn news(&mut self) -> Option<Vec<StageTimes>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let row = |((stage, reached), turns): ((Stage, &Vec<u32>), &u32)| {
            let mut sorted = reached.clone();
            sorted.sort_unstable();
            let share = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
            Some(StageTimes { stage, turns: *turns, p50_ms: share(50)?, p95_ms: share(95)?, max_ms: share(100)? })
        };
        Some(Stage::ALL.into_iter().zip(&self.reached).zip(&self.turns).filter_map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(endpoint_ms: u64, out_ms: Option<u64>) -> Waterfall {
        let speech_end = CallTime::from_ms(1000);
        let at = |ms| Some(speech_end.plus_ms(ms));
        Waterfall {
            speech_end,
            endpoint: at(endpoint_ms),
            first_packet_out: out_ms.and_then(at),
            ..Waterfall::default()
        }
    }

    #[test]
    fn a_calls_turns_come_down_to_a_row_a_stage() {
        let mut turns = Waterfalls::default();
        assert_eq!(turns.news(), None);
        (1..=20).for_each(|n| turns.add(&turn(n * 10, (n % 2 == 0).then_some(n * 100))));
        let row = |stage, turns, p50_ms, p95_ms, max_ms| StageTimes { stage, turns, p50_ms, p95_ms, max_ms };
        let rows = turns.news().unwrap();
        assert_eq!(rows[0], row(Stage::Endpoint, 20, 100, 190, 200));
        assert_eq!(rows[1..], [Stage::FirstPacketOut, Stage::Total].map(|stage| row(stage, 10, 1000, 2000, 2000)));
        assert_eq!(turns.news(), None, "told once");
    }

    #[test]
    fn a_call_that_never_ends_costs_no_more_memory() {
        let mut turns = Waterfalls::default();
        (0..3 * KEPT_TURNS as u64).for_each(|n| turns.add(&turn(n, None)));
        assert_eq!(turns.reached[0].len(), KEPT_TURNS);
        let row = turns.news().unwrap()[0];
        assert_eq!((row.turns, row.max_ms), (3 * KEPT_TURNS as u32, 3 * KEPT_TURNS as u32 - 1));
    }
}
