//! A turn: from the caller's words to the moment nobody speaks or thinks any more.

use serde_json::json;
use trunkline_api::EventType;

use crate::call::{Call, Life};
use crate::command::{Channel, Message, Role};
use crate::hearing::{Hearing, truncate};
use crate::interruption::Interrupted;
use crate::spoken::{self, WHOLE};
use crate::thinking::{Stage, Thinking};
use crate::waterfall::Waterfall;

impl Call {
    /// The caller said or pressed something. It is answered as soon as the agent is not speaking.
    pub(crate) fn input(&mut self, text: String) {
        self.silence_prompts = 0;
        spoken::join(&mut self.pending_input, &text);
        truncate(&mut self.pending_input);
        if self.cutting.is_some() {
            // Resolving the cut ends the interrupted turn and begins the next.
            self.cut_unanswered();
            return;
        }
        if self.speech.as_ref().is_some_and(|speech| speech.ended || self.thinking.is_some()) {
            return;
        }
        self.retract();
        self.begin_pending();
    }

    /// The caller's turn held no words: noise, or a breath.
    pub(crate) fn nothing_said(&mut self) {
        if self.cutting.is_some() {
            self.cut_unanswered();
        }
        match self.interrupted.take() {
            Some(Interrupted { rest, .. }) if !rest.is_empty() => {
                self.say(&rest, false);
                self.finish_speech();
            }
            Some(Interrupted { rejoin: Some(rejoin), .. }) => self.think(rejoin.text, rejoin.written),
            // A line may have been begun while the words were being waited for.
            _ if self.thinking.is_none() => self.finish_speech(),
            _ => {}
        }
        self.turn_over();
    }

    /// Whatever was being said or thought has ended: the next thing, if there is one.
    pub(crate) fn turn_over(&mut self) {
        let busy = self.thinking.is_some() || self.speech.is_some() || self.cutting.is_some();
        if busy || self.life != Life::Live {
            return;
        }
        self.waterfall_done();
        if self.close_if_due() || self.begin_pending() {
            return;
        }
        if self.ears.speech_on && self.ears.hearing == Hearing::Quiet {
            self.listen();
        }
    }

    /// Writes the turn's waterfall, once.
    pub(crate) fn waterfall_done(&mut self) {
        if let Some(waterfall) = self.waterfall.take() {
            self.turn_event(EventType::TurnWaterfall, waterfall.data());
        }
    }

    /// Begins the turn that the pending input makes; false when there is none.
    fn begin_pending(&mut self) -> bool {
        if self.pending_input.is_empty() {
            return false;
        }
        let mut text = std::mem::take(&mut self.pending_input);
        if let Some(Interrupted { rejoin: Some(rejoin), .. }) = self.interrupted.take() {
            if rejoin.written {
                self.memory.take_back();
            }
            let mut whole = rejoin.text;
            spoken::join(&mut whole, &text);
            truncate(&mut whole);
            text = whole;
        }
        self.turn += 1;
        self.record.turns = self.turn;
        if let Some(speech) = &mut self.speech {
            speech.turn = self.turn;
        }
        let timing = self.ears.timing;
        self.waterfall = Some(Waterfall {
            first_packet: timing.first,
            speech_end: timing.end,
            endpoint: Some(timing.endpoint),
            asr: timing.first.map(|_| self.now),
            ..Waterfall::default()
        });
        self.words_event(EventType::TurnStarted, json!({}), "input", vec![(text.clone(), WHOLE)]);
        self.think(text, false);
        true
    }

    /// Has the model answer `text`; `written` says that the conversation holds it already.
    fn think(&mut self, text: String, written: bool) {
        if self.llm.is_empty() {
            self.finish_speech();
            self.turn_over();
            return;
        }
        let ticket = if written { None } else { self.redact(Channel::LlmInput, &text) };
        let stage = ticket.map_or(Stage::Asking, Stage::Redacting);
        self.thinking = Some(Thinking::new(text.clone(), stage));
        if ticket.is_none() {
            self.ask((!written).then_some(text));
        }
    }

    /// Writes the caller's words into the conversation and starts the request.
    pub(crate) fn ask(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.memory.push(Message::text(Role::User, text));
        }
        if let Some(thinking) = &mut self.thinking {
            thinking.written = true;
            thinking.stage = Stage::Asking;
        }
        self.start_request();
    }
}
