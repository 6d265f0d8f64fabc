//! Keys: collected until `#` or a pause, then a turn such as `[DTMF 5]`; or one key that begins and ends what is said.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::words::RedactionChannel;
use trunkline_leg::{CallTime, DtmfDigit};

use super::ears::Hearing;
use super::{Dialogue, Effects};
use crate::spoken;
use crate::timers::Reason;

/// Most keys of one turn; further ones are reported but not collected.
const MAX_KEYS: usize = 64;
/// Stands for a key in a timeline whose words are redacted: nobody can tell by one key what the others make of it.
const HIDDEN: &str = "x";

/// Keys pressed since the last turn.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pressed: String,
    /// Words that were complete while keys were still being pressed.
    words: String,
    last: CallTime,
}

impl Keys {
    pub(super) fn are_none(&self) -> bool {
        self.pressed.is_empty()
    }

    pub(super) fn forget(&mut self, fx: &mut Effects) {
        *self = Self::default();
        fx.clear(Reason::DtmfGap);
    }

    /// Words are complete: adds the keys, or keeps the words while keys are still being pressed.
    pub(super) fn complete(&mut self, fx: &mut Effects, words: &str) -> Option<String> {
        spoken::join(&mut self.words, words);
        if fx.timers().is_set(Reason::DtmfGap) {
            return None;
        }
        Some(self.take())
    }

    fn take(&mut self) -> String {
        let mut words = std::mem::take(&mut self.words);
        let keys = std::mem::take(&mut self.pressed);
        if !keys.is_empty() {
            spoken::join(&mut words, &format!("[DTMF {keys}]"));
        }
        words
    }
}

impl Dialogue {
    /// The caller pressed a key.
    pub(super) fn key(&mut self, fx: &mut Effects, digit: DtmfDigit, at: CallTime) {
        if self.conceals(at) {
            if !self.hidden_key(fx) && !self.closing {
                self.touched(fx, at);
                self.keypad_key(fx, digit);
            }
            return;
        }
        let key = digit.as_char();
        let turn = Some(fx.turn());
        let shown = if fx.redacts(RedactionChannel::Transcript) { HIDDEN.to_owned() } else { key.to_string() };
        fx.event_at(at, EventType::DtmfReceived, turn, json!({ "digit": shown }));
        if self.closing {
            return;
        }
        self.touched(fx, at);
        if self.keypad.is_away() {
            self.keypad_key(fx, digit);
            return;
        }
        if self.ears.is_talk_key(key) {
            self.talk_key(fx);
            return;
        }
        self.keys.last = at;
        if self.spec.interruption.dtmf && self.mouth.is_speaking() && !self.mouth.is_protected() {
            self.yield_floor(fx);
        }
        if key == '#' && !self.keys.pressed.is_empty() {
            fx.clear(Reason::DtmfGap);
            self.keys_complete(fx);
            return;
        }
        if self.keys.pressed.len() < MAX_KEYS {
            self.keys.pressed.push(key);
        }
        fx.set_in(Reason::DtmfGap, u64::from(self.spec.turn.dtmf_gap_ms));
    }

    /// No further key belongs to this turn.
    pub(super) fn keys_complete(&mut self, fx: &mut Effects) {
        // While the caller speaks, keys wait for the words: both make one turn.
        if !self.ears.is_quiet() {
            return;
        }
        let text = self.keys.take();
        if !text.is_empty() {
            let (at, now) = (self.keys.last, fx.now());
            self.ears.keyed(at, now);
            self.input(fx, &text);
        }
    }

    /// The key that begins and ends what is said.
    fn talk_key(&mut self, fx: &mut Effects) {
        if self.ears.hearing() == Hearing::Speaking {
            let heard = self.ears.end_of_speech(fx);
            self.heard(fx, heard);
            self.answer_at_once(fx);
        } else if self.ears.is_quiet() && self.listens() {
            if !self.mouth.is_protected() {
                self.yield_floor(fx);
            }
            self.ears.listen(fx);
        }
    }
}
