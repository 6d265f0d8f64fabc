//! What becomes of what was said: the conversation remembers what was heard of it, and synthesisers that fail are
//! followed by others.

use trunkline_api::Failure;
use trunkline_api::words::ProviderKind;
use trunkline_leg::CallTime;

use super::failure::Verdict;
use super::floor::Overlap;
use super::mouth::{Spoken, Voiced};
use super::question;
use super::{Dialogue, Effects};
use crate::ENGINES;
use crate::spoken::{self, cut};

impl Dialogue {
    /// What came of something that a synthesiser reported.
    pub(super) fn voiced(&mut self, fx: &mut Effects, voiced: Voiced) {
        match voiced {
            Voiced::Nothing => {}
            Voiced::FirstSound { turn } => {
                if turn == fx.turn()
                    && let Some(waterfall) = &mut self.waterfall
                {
                    waterfall.tts_first_byte.get_or_insert(fx.now());
                }
                if let Some(started) = self.mouth.has_started() {
                    self.first_packet_out(fx, turn, started);
                }
            }
            Voiced::Missing => {
                if self.mouth.has_voice() {
                    self.mouth.carry_on(fx);
                } else {
                    let spoken = self.mouth.give_up(fx);
                    self.spoken(fx, spoken);
                }
            }
            Voiced::Lost { index, failure, detail } if index < ENGINES => self.voice_lost(fx, index, failure, &detail),
            Voiced::Lost { failure: Failure::TtsZeroBytes, detail, .. } => self.engine_overdue(fx, &detail),
            Voiced::Lost { failure, detail, .. } => self.engine_lost(fx, failure, &detail, true),
        }
    }

    fn voice_lost(&mut self, fx: &mut Effects, index: usize, failure: Failure, detail: &str) {
        match self.provider_failed(fx, ProviderKind::Tts, index, failure, detail) {
            // A line said meanwhile would itself need the synthesiser, so what was to be said is said instead.
            Verdict::Switched(_) | Verdict::Abandoned(_) if self.mouth.leaves_asides(fx) => {}
            Verdict::Switched(_) => self.mouth.carry_on(fx),
            Verdict::Abandoned(_) => {
                let spoken = self.mouth.give_up(fx);
                self.spoken(fx, spoken);
            }
            Verdict::Ending => {}
        }
    }

    /// An utterance is over, heard whole or cut.
    pub(super) fn spoken(&mut self, fx: &mut Effects, spoken: Option<Spoken>) {
        let Some(spoken) = spoken else { return };
        self.quiet_since = self.quiet_since.max(spoken.at);
        let stopped = self.overlap == Some(Overlap::Stopped);
        if spoken.cut {
            self.remember_cut(fx, Some(spoken));
            if !stopped {
                // The caller has the floor.
                self.rest.clear();
            }
        } else {
            let said = last_words(&spoken);
            let asked_for = said.and_then(question::digits);
            self.ears.answers(said.is_some_and(|said| question::asks_yes_or_no(said, &self.language)), asked_for);
            self.remember(fx, &spoken);
            match self.overlap {
                // All was said before it was clear whether the caller interrupts.
                Some(Overlap::Speaking | Overlap::Paused) => self.overlap = None,
                Some(Overlap::Stopped | Overlap::Finishing | Overlap::Thinking) | None => {}
            }
            if self.overlap.is_none() && self.mind.is_held() && self.mind.is_thinking() {
                self.overlap = Some(Overlap::Thinking);
            }
        }
        self.turn_over(fx);
    }

    /// Remembers what was heard of an utterance that was cut, and keeps the rest.
    pub(super) fn remember_cut(&mut self, fx: &mut Effects, spoken: Option<Spoken>) {
        let Some(spoken) = spoken else { return };
        let (said, mut rest) = self.remember(fx, &spoken);
        if !said.is_empty() {
            self.rejoin = None;
        }
        spoken::join(&mut rest, &std::mem::take(&mut self.rest));
        self.rest = rest;
    }

    /// Writes what was heard of an utterance into the conversation; returns it and the rest.
    pub(super) fn remember(&mut self, fx: &mut Effects, spoken: &Spoken) -> (String, String) {
        self.tell_engine(fx, spoken);
        let (mut said, mut rest, mut unremembered) = (String::new(), String::new(), String::new());
        let mut messages: Vec<(u64, String)> = Vec::new();
        for (part, share) in spoken.parts.iter().filter(|(part, _)| !part.aside) {
            let (before, after) = cut(&part.text, *share);
            spoken::join(&mut said, before);
            spoken::join(&mut rest, after);
            match part.message {
                None => spoken::join(&mut unremembered, before),
                Some(serial) => match messages.iter_mut().find(|(number, _)| *number == serial) {
                    Some((_, text)) => spoken::join(text, before),
                    None => messages.push((serial, before.to_owned())),
                },
            }
        }
        for (serial, text) in messages {
            self.memory.correct(serial, &text);
        }
        self.memory.push_said(&unremembered);
        self.minutes.agent(&said);
        (said, rest)
    }

    /// Completes the waterfall once both the sound and the packet of the reply are known.
    pub(super) fn first_packet_out(&mut self, fx: &mut Effects, turn: u32, started: CallTime) {
        let Some(waterfall) = &mut self.waterfall else { return };
        let Some(first_byte) = waterfall.tts_first_byte else { return };
        if turn != fx.turn() || waterfall.first_packet_out.is_some() {
            return;
        }
        let meanwhile = self.mouth.asides_first_ms();
        waterfall.first_packet_out = Some(started.plus_ms(meanwhile).max(first_byte));
        self.waterfall_done(fx);
    }
}

/// The last thing that was said.
fn last_words(spoken: &Spoken) -> Option<&str> {
    let last = spoken.parts.iter().rev().find(|(part, _)| !part.aside && !part.text.is_empty());
    last.map(|(part, _)| part.text.as_str())
}
