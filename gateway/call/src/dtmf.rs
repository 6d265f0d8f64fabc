//! Keys: collected until `#` or a pause, then a turn such as `[DTMF 5]`.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_leg::{CallTime, DtmfDigit};

use crate::call::{Call, Life};
use crate::hearing::Hearing;
use crate::spoken;
use crate::timers::Reason;

/// Most keys of one turn; further ones are reported but not collected.
const MAX_KEYS: usize = 64;

/// Keys pressed since the last turn.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pressed: String,
    /// Words that were complete while keys were still being pressed.
    words: String,
    last: CallTime,
}

impl Call {
    pub(crate) fn digit(&mut self, digit: DtmfDigit, at: CallTime) {
        let turn = Some(self.turn);
        self.event_at(at, EventType::DtmfReceived, turn, json!({ "digit": digit.as_char().to_string() }));
        if self.life != Life::Live || self.closing.is_some() {
            return;
        }
        self.silence_prompts = 0;
        self.keys.last = at;
        if self.setup.spec.interruption.dtmf && self.speech.is_some() {
            self.interrupt();
        }
        if digit.as_char() == '#' && !self.keys.pressed.is_empty() {
            self.timers.clear(Reason::DtmfGap);
            self.digits_complete();
            return;
        }
        if self.keys.pressed.len() < MAX_KEYS {
            self.keys.pressed.push(digit.as_char());
        }
        self.timers.set(Reason::DtmfGap, self.now.plus_ms(u64::from(self.setup.spec.turn.dtmf_gap_ms)));
    }

    /// No further key belongs to this turn.
    pub(crate) fn digits_complete(&mut self) {
        // While the caller speaks, keys wait for the words: both make one turn.
        if self.ears.hearing != Hearing::Quiet {
            return;
        }
        let words = std::mem::take(&mut self.keys.words);
        let text = self.with_keys(words);
        if !text.is_empty() {
            let at = self.keys.last;
            self.ears.timing = crate::hearing::Timing { end: at, endpoint: self.now, ..Default::default() };
            self.input(text);
        }
    }

    /// Words are complete: adds the keys, or keeps the words while keys are still being pressed.
    pub(crate) fn words_with_keys(&mut self, words: &str) -> Option<String> {
        spoken::join(&mut self.keys.words, words);
        if self.timers.is_set(Reason::DtmfGap) {
            return None;
        }
        let words = std::mem::take(&mut self.keys.words);
        Some(self.with_keys(words))
    }

    fn with_keys(&mut self, mut words: String) -> String {
        let keys = std::mem::take(&mut self.keys.pressed);
        if !keys.is_empty() {
            spoken::join(&mut words, &format!("[DTMF {keys}]"));
        }
        words
    }
}
