//! A turn: from the caller's words to the moment nobody speaks or thinks any more.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::words::{Message, Role};

use super::ears::{Hearing, truncate};
use super::{Dialogue, Effects};
use crate::spoken::{self, WHOLE};
use crate::waterfall::Waterfall;

impl Dialogue {
    /// The caller pressed something, or something happened that the agent is to know. It is answered as soon as the agent is
    /// not speaking.
    pub(super) fn input(&mut self, fx: &mut Effects, text: &str) {
        self.take_input(fx, text, false);
    }

    /// The caller said something. An engine has heard it.
    pub(super) fn spoken_input(&mut self, fx: &mut Effects, text: &str) {
        self.take_input(fx, text, true);
    }

    fn take_input(&mut self, fx: &mut Effects, text: &str, spoken: bool) {
        self.silence_prompts = 0;
        self.fillers_said = 0;
        self.overheard = false;
        if self.keypad.is_away() {
            self.menu_words(fx, text);
            return;
        }
        if self.telephone_input(fx, text) {
            return;
        }
        if !spoken {
            self.engine_learns(text);
        }
        spoken::join(&mut self.pending, text);
        truncate(&mut self.pending);
        if self.mouth.is_cutting() {
            // Resolving the cut ends the interrupted turn and begins the next.
            let spoken = self.mouth.cut_unanswered(fx);
            self.spoken(fx, spoken);
            return;
        }
        if self.mouth.is_speaking() && (self.mouth.has_ended() || self.mind.is_thinking()) {
            return;
        }
        if !self.pending_is_guessed() {
            self.stop_thinking(fx);
        }
        self.begin_pending(fx);
    }

    /// Whatever was being said or thought has ended: the next thing, if there is one.
    pub(super) fn turn_over(&mut self, fx: &mut Effects) {
        self.mouth.say_later(fx);
        if self.mind.is_thinking() || !self.mouth.is_silent() {
            return;
        }
        self.waterfall_done(fx);
        if self.closing || self.hand_off(fx) || self.begin_pending(fx) {
            return;
        }
        self.sum_up(fx);
        // Whoever is to be passed on is, whatever is to be heard beside the caller.
        self.transfer_settles(fx);
        if self.ears.hearing() == Hearing::Quiet
            && self.ears.speech_on()
            && self.listens()
            && !self.ears.pushes_to_talk()
        {
            self.ears.listen(fx);
        }
        self.ears.return_to_first(fx);
        self.return_to_engine(fx);
    }

    /// Writes the turn's waterfall, once.
    pub(super) fn waterfall_done(&mut self, fx: &mut Effects) {
        if let Some(waterfall) = self.waterfall.take() {
            fx.turn_event(EventType::TurnWaterfall, waterfall.data());
            self.waterfalls.add(&waterfall);
        }
    }

    /// Begins the turn that the pending input makes; false when there is none.
    fn begin_pending(&mut self, fx: &mut Effects) -> bool {
        if self.pending.is_empty() || self.keypad.is_away() {
            self.pending.clear();
            return false;
        }
        if self.has_had_its_turns(fx) {
            return false;
        }
        let guessed = self.pending_is_guessed();
        let mut text = std::mem::take(&mut self.pending);
        if let Some(rejoin) = self.rejoin.take() {
            if rejoin.written {
                self.memory.take_back();
                self.minutes.take_back();
            }
            let mut whole = rejoin.text;
            self.ears.was_not_over(&whole);
            spoken::join(&mut whole, &text);
            truncate(&mut whole);
            text = whole;
        }
        let turn = fx.next_turn();
        self.minutes.turn(turn);
        let (timing, now) = (self.ears.timing(), fx.now());
        self.waterfall = Some(Waterfall {
            first_packet: timing.first,
            speech_end: timing.end,
            endpoint: Some(timing.endpoint),
            asr: timing.first.map(|_| now),
            ..Waterfall::default()
        });
        fx.words_event(EventType::TurnStarted, json!({}), "input", vec![(text.clone(), WHOLE)]);
        if guessed {
            self.guess_was_right(fx)
        } else {
            self.think(fx, text, false)
        }
        true
    }

    /// Writes the caller's words into the conversation.
    pub(super) fn write_input(&mut self) {
        if let Some(reply) = self.mind.reply_mut().filter(|reply| !reply.written && !reply.speculative) {
            reply.written = true;
            self.minutes.caller(&reply.shown);
            let message = Message::text(Role::User, reply.shown.clone());
            self.memory.push(message);
        }
    }
}
