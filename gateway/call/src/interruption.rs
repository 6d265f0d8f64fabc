//! Interruption: the agent stops at once and remembers only what was sent; noise without words lets it go on.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_leg::{CallTime, PlayoutPosition, Utterance};

use crate::call::{Call, Life};
use crate::command::Command;
use crate::hearing::Hearing;
use crate::speech::Speech;
use crate::spoken::{self, WHOLE, cut, heard};
use crate::timers::Reason;

/// Longest wait for the leg to say what it cut.
const CUT_WAIT_MS: u64 = 150;

/// An utterance that was cleared; the leg has not said yet how much of it was sent.
#[derive(Debug)]
pub(crate) struct Cutting {
    pub(crate) speech: Speech,
    /// When it was decided to stop.
    decided: CallTime,
    /// What the model had said and no synthesiser had been given.
    unsaid: String,
    /// The caller's words that the utterance was the answer to, unless a tool has acted on them.
    rejoin: Option<Rejoin>,
}

/// The caller's words of a turn that nothing was heard of yet.
#[derive(Debug)]
pub(crate) struct Rejoin {
    pub(crate) text: String,
    /// Whether the conversation holds them already.
    pub(crate) written: bool,
}

/// What the agent was doing when the caller spoke up: needed when it turns out that the caller said nothing, and
/// when the caller had only paused.
#[derive(Debug, Default)]
pub(crate) struct Interrupted {
    /// What was not heard.
    pub(crate) rest: String,
    /// Caller's words that were not answered audibly; they and the next words are one turn.
    pub(crate) rejoin: Option<Rejoin>,
}

impl Call {
    /// The caller speaks up while the agent does.
    pub(crate) fn caller_interrupts(&mut self) {
        if self.speech.is_none() {
            self.speech_goes_on();
        } else if self.ears.speech_on
            && self.closing.is_none()
            && self.ears.hearing == Hearing::Quiet
            && self.setup.spec.interruption.barge_in
        {
            self.interrupt();
            self.listen();
        }
    }

    /// Speech has lasted as long as the agent's policy asks for: the caller has more to say before the agent speaks.
    /// While it does, only what signal processing calls an interruption stops it, because speech may be its own echo.
    pub(crate) fn speech_goes_on(&mut self) {
        if !self.ears.speech_on
            || self.closing.is_some()
            || self.ears.hearing != Hearing::Quiet
            || self.speech.is_some()
        {
            return;
        }
        if self.cutting.is_some() {
            self.listen();
        } else if self.thinking.is_some() {
            self.retract();
            self.listen();
        }
    }

    /// Stops what is being said, now.
    pub(crate) fn interrupt(&mut self) {
        let Some(speech) = self.speech.take() else { return };
        self.clear_speech_timers();
        self.command(Command::ClearPlayback);
        if let Some((index, _)) = self.tts.current() {
            self.command(Command::StopSpeaking { utterance: speech.utterance, index });
        }
        let (unsaid, rejoin) = self.stop_thinking();
        self.cutting = Some(Cutting { speech, decided: self.now, unsaid, rejoin });
        self.timers.set(Reason::Cut, self.now.plus_ms(CUT_WAIT_MS));
    }

    /// Takes back a turn that nothing was said to yet: the caller goes on speaking.
    pub(crate) fn retract(&mut self) {
        if self.thinking.is_some() {
            let (unsaid, rejoin) = self.stop_thinking();
            self.interrupted = Some(Interrupted { rest: unsaid, rejoin });
            self.waterfall = None;
        }
    }

    pub(crate) fn playback_cut(&mut self, utterance: Utterance, sent_ms: u32, at: CallTime) {
        if self.cutting.as_ref().is_some_and(|cutting| cutting.speech.utterance == utterance) {
            self.cut_at(sent_ms, at);
        } else if self.life == Life::Live && self.speech.as_ref().is_some_and(|now| now.utterance == utterance) {
            // The leg cut it by itself.
            self.interrupt();
            self.cut_at(sent_ms, at);
        } else if self.speech.as_ref().is_some_and(|now| now.utterance == utterance) {
            self.playout = PlayoutPosition { utterance, sent_ms };
        }
    }

    /// The leg did not say what it cut: the last known position has to do.
    pub(crate) fn cut_unanswered(&mut self) {
        if let Some(cutting) = &self.cutting {
            let sent_ms = self.sent_ms(cutting.speech.utterance);
            self.cut_at(sent_ms, self.now);
        }
    }

    /// The utterance had ended before the clear reached the leg.
    pub(crate) fn cut_too_late(&mut self, at: CallTime) {
        if let Some(Cutting { speech, unsaid, .. }) = self.cutting.take() {
            self.timers.clear(Reason::Cut);
            self.spoken_to_the_end(&speech, at);
            self.interrupted = Some(Interrupted { rest: unsaid, rejoin: None });
            self.turn_over();
        }
    }

    /// Milliseconds of an utterance that were sent, as far as is known.
    pub(crate) fn sent_ms(&self, utterance: Utterance) -> u32 {
        if self.playout.utterance == utterance { self.playout.sent_ms } else { 0 }
    }

    fn cut_at(&mut self, sent_ms: u32, at: CallTime) {
        let Some(Cutting { speech, decided, unsaid, rejoin }) = self.cutting.take() else { return };
        self.timers.clear(Reason::Cut);
        let (said, rest) = self.remember_heard(&speech, sent_ms, at, decided);
        let mut unheard = rest;
        spoken::join(&mut unheard, &unsaid);
        self.interrupted = Some(Interrupted { rest: unheard, rejoin: rejoin.filter(|_| said.is_empty()) });
        self.turn_over();
    }

    /// Writes down how much of an utterance was heard; returns it and the rest. It was stopped `at` by a decision that
    /// may have been made a little earlier.
    pub(crate) fn remember_heard(
        &mut self,
        speech: &Speech,
        sent_ms: u32,
        at: CallTime,
        decided: CallTime,
    ) -> (String, String) {
        let shares = heard(&speech.parts, sent_ms);
        let (mut said, mut rest, mut unremembered) = (String::new(), String::new(), String::new());
        let mut words = Vec::new();
        let mut messages: Vec<(u64, String)> = Vec::new();
        for (part, &share) in speech.parts.iter().zip(&shares).filter(|(part, _)| !part.aside) {
            let (before, after) = cut(&part.text, share);
            spoken::join(&mut said, before);
            spoken::join(&mut rest, after);
            words.push((part.text.clone(), share.min(WHOLE)));
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
        let mut data =
            json!({ "utterance": speech.utterance, "sent_ms": sent_ms, "decided_ms": decided.min(at).as_ms() });
        if self.heard.utterance == speech.utterance {
            data["heard_ms"] = self.heard.sent_ms.min(sent_ms).into();
        }
        let entry = crate::timeline::Entry {
            at: at.min(self.now),
            kind: EventType::PlaybackCut,
            turn: Some(speech.turn),
            data,
        };
        let (redactions, commands, now) = (&mut self.redactions, &mut self.commands, self.now);
        self.timeline.push_words(entry, "heard", words, |text| redactions.for_timeline(now, text, commands));
        self.watch_redactor();
        (said, rest)
    }
}
