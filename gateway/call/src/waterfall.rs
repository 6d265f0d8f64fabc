//! Where a turn's time went.
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
use trunkline_leg::CallTime;

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
        let stages = [
            ("endpoint_ms", self.endpoint),
            ("asr_ms", self.asr),
            ("llm_first_token_ms", self.llm_first_token),
            ("tts_first_byte_ms", self.tts_first_byte),
            ("first_packet_out_ms", self.first_packet_out),
            ("total_ms", self.first_packet_out),
        ];
        for (name, at) in stages {
            if let Some(at) = at {
                data.insert(name.to_owned(), json!(at.since_ms(self.speech_end)));
            }
        }
        Value::Object(data)
    }
}
