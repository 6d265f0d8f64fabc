//! What an engine understood of the caller. It hears sound and needs no words to answer it, so nobody waits for them where
//! somebody has surely spoken; where words decide (whether the caller interrupts, in a menu), they are waited for. Words that
//! come later take the place of the mark that stands for them.

use super::ears::{transcript, truncate};
use super::{Dialogue, Effects};
use crate::input::AsrEvent;
use crate::spoken;

/// Stands for words that the engine made nothing of.
const INAUDIBLE: &str = "[inaudible]";

/// Stands for words that are not known yet.
fn mark(input: u32) -> String {
    format!("[speech {input}]")
}

impl Dialogue {
    /// The caller's turn is over: the engine answers it, whatever its words are.
    pub(super) fn answer_at_once(&mut self, fx: &mut Effects) {
        let plain = self.overlap.is_none() && !self.keypad.is_away() && self.keys.are_none();
        let telephones = self.tel.transfer.is_some() || self.tel.answering.is_some();
        if !self.engine.serves() || !plain || telephones || self.closing || !self.tel.hears() {
            return;
        }
        let inputs = self.ears.take_inputs(fx);
        if !inputs.is_empty() {
            self.wordless(fx, &inputs);
        }
    }

    /// The turn is over, and its words are not known.
    pub(super) fn wordless(&mut self, fx: &mut Effects, inputs: &[u32]) {
        if self.closing || !self.tel.hears() {
            return;
        }
        let mut marks = String::new();
        for input in inputs {
            self.engine.owes_words(*input);
            spoken::join(&mut marks, &mark(*input));
        }
        let Some(text) = self.keys.complete(fx, &marks) else { return };
        if self.overlap.is_some() {
            self.yield_floor(fx);
        }
        if text == marks { self.spoken_input(fx, &text) } else { self.input(fx, &text) }
    }

    /// What the engine understood of an input.
    pub(super) fn engine_heard(&mut self, fx: &mut Effects, input: u32, mut text: String, is_final: bool) {
        truncate(&mut text);
        if self.ears.is_input(input) {
            let finalized = self.ears.is_committed(input);
            let event = if is_final {
                self.ears.has_words_of(input);
                AsrEvent::Final { text, confidence: None, finalized }
            } else {
                AsrEvent::Partial { text }
            };
            self.answering_hears(fx, &event);
            let heard = self.ears.asr(fx, event);
            self.heard(fx, heard);
            self.nothing_yet(fx);
        } else if is_final && self.engine.wordless.contains(&input) {
            self.engine.wordless.retain(|other| *other != input);
            self.fill_in(fx, input, text.trim());
        }
    }

    /// Whether the turn that is being answered is known to the engine alone.
    pub(super) fn is_wordless(&self) -> bool {
        let Some(reply) = self.mind.reply() else { return false };
        self.engine.wordless.last().is_some_and(|input| reply.input.ends_with(&mark(*input)))
    }

    fn fill_in(&mut self, fx: &mut Effects, input: u32, text: &str) {
        let mark = mark(input);
        let words = if text.is_empty() { INAUDIBLE } else { text };
        if !text.is_empty() {
            transcript(fx, text, None);
        }
        let rejoin = self.rejoin.as_mut().map(|rejoin| &mut rejoin.text);
        let reply = self.mind.reply_mut().map(|reply| [&mut reply.input, &mut reply.shown]);
        for place in [&mut self.pending].into_iter().chain(rejoin).chain(reply.into_iter().flatten()) {
            *place = place.replacen(&mark, words, 1);
            truncate(place);
        }
        self.memory.fill_in(&mark, words);
        if let Some(memory) = &mut self.tel.set_aside {
            memory.fill_in(&mark, words);
        }
        self.minutes.fill_in(&mark, words);
    }
}
