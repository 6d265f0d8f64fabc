//! Words as a recogniser or an engine gives them, and when a turn's words are all there.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::words::RedactionChannel;
use trunkline_leg::CallTime;

use super::{Ears, Heard, Hearing, MAX_WORDS_BYTES, Timing};
use crate::command::Command;
use crate::effects::Effects;
use crate::spoken::{self, WHOLE};
use crate::timers::Reason;

impl Ears {
    pub(super) fn partial(&mut self, fx: &mut Effects, mut text: String) -> Option<Heard> {
        truncate(&mut text);
        if text == self.partial || fx.now() < self.stale_until {
            return None;
        }
        let words = text.trim().to_owned();
        self.partial = text;
        self.interim |= !words.is_empty();
        self.watch_words(fx);
        self.wait_for_more(fx);
        if words.is_empty() {
            return None;
        }
        if !fx.redacts(RedactionChannel::Transcript) {
            fx.turn_event(EventType::TranscriptPartial, json!({ "text": self.partial }));
        }
        Some(Heard::Partial(words))
    }

    pub(super) fn final_words(
        &mut self,
        fx: &mut Effects,
        text: &str,
        confidence: Option<f32>,
        finalized: bool,
    ) -> Option<Heard> {
        self.partial.clear();
        self.unanswered = 0;
        if fx.now() < self.stale_until && self.owed == 0 {
            if finalized {
                self.stale_until = CallTime::ZERO;
            }
            return None;
        }
        if finalized {
            self.owed = self.owed.saturating_sub(1);
        }
        if !text.is_empty() {
            if self.engine.session.is_none() {
                self.recognisers.succeeded(self.index);
            }
            transcript(fx, text, confidence);
        }
        if self.is_quiet() {
            return (!text.is_empty()).then(|| Heard::Late(text.to_owned()));
        }
        if self.words.len() + text.len() <= MAX_WORDS_BYTES && !text.is_empty() {
            spoken::join(&mut self.words, text);
            self.words_until = fx.now();
        }
        if self.hearing == Hearing::Finalizing && finalized && self.owed == 0 {
            return Some(self.complete(fx));
        }
        self.watch_words(fx);
        self.wait_for_more(fx);
        None
    }

    /// Words that came too late are a turn of their own.
    pub(crate) fn late_turn(&mut self, fx: &mut Effects, text: &str) {
        self.words.clear();
        spoken::join(&mut self.words, text);
        self.timing = Timing { first: None, end: fx.now(), endpoint: fx.now() };
        self.trail(fx, fx.now());
    }

    /// Asks the session for its last words; false when there is none.
    pub(super) fn finalize(&mut self, fx: &mut Effects) -> bool {
        if let Some(session) = self.engine.session {
            let Some(input) = self.engine.begun.take() else { return false };
            self.engine.committed.push(input);
            self.owed = u32::try_from(self.engine.committed.len()).unwrap_or(u32::MAX);
            self.stale_until = CallTime::ZERO;
            fx.command(Command::CommitInput { session, input });
            fx.set_in(Reason::FinalWords, u64::from(self.policy.final_wait_ms));
            return true;
        }
        let Some(session) = self.session else { return false };
        self.owed += 1;
        self.stale_until = CallTime::ZERO;
        fx.command(Command::FinalizeAsr { session, goes_on: self.speech_on });
        fx.set_in(Reason::FinalWords, u64::from(self.policy.final_wait_ms));
        true
    }

    pub(super) fn complete(&mut self, fx: &mut Effects) -> Heard {
        self.hearing = Hearing::Quiet;
        self.engine.committed.clear();
        fx.clear(Reason::FinalWords);
        if self.pushes_to_talk() {
            // What is said besides is for nobody.
            self.close(fx);
        }
        Heard::Words(std::mem::take(&mut self.words))
    }
}

/// Tells of words that are final.
pub(crate) fn transcript(fx: &mut Effects, text: &str, confidence: Option<f32>) {
    let confidence = confidence.and_then(|value| serde_json::Number::from_f64(f64::from(value)));
    let words = vec![(text.to_owned(), WHOLE)];
    fx.words_event(EventType::TranscriptFinal, json!({ "confidence": confidence }), "text", words);
}

/// Cuts a text to the longest a turn may have.
pub(crate) fn truncate(text: &mut String) {
    if text.len() > MAX_WORDS_BYTES {
        let end = (0..=MAX_WORDS_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}
