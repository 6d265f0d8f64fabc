//! Speaking: one utterance at a time, made of parts that are synthesised one by one, with fail-over in the middle.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_leg::{CallTime, Utterance};

use crate::call::{Call, Life};
use crate::command::Command;
use crate::failure::Verdict;
use crate::input::{ProviderKind, TtsEvent};
use crate::spoken::{self, Part, Synthesis, WHOLE};
use crate::timers::Reason;

/// Most parts of one utterance; more text is dropped.
const MAX_PARTS: usize = 256;
/// Longest pause of a synthesiser in the middle of a part. Sound waits its turn in the leg's ring, so this is generous.
const STALL_MS: u64 = 8000;
/// How much later than expected the leg may report the end of an utterance.
const PLAYBACK_SLACK_MS: u64 = 5000;

/// The utterance being spoken.
#[derive(Debug)]
pub(crate) struct Speech {
    pub(crate) utterance: Utterance,
    pub(crate) parts: Vec<Part>,
    /// No part follows.
    pub(crate) ended: bool,
    /// When its first packet went out.
    pub(crate) started: Option<CallTime>,
    /// The turn it belongs to.
    pub(crate) turn: u32,
    /// Part whose sound is being waited for.
    watched: Option<usize>,
}

impl Speech {
    /// Text of the parts that the agent should remember and that are in no message yet.
    pub(crate) fn unremembered(&self) -> String {
        let mut text = String::new();
        for part in self.parts.iter().filter(|part| !part.aside && part.message.is_none()) {
            spoken::join(&mut text, &part.text);
        }
        text
    }

    /// The whole text, as words of an event.
    fn words(&self) -> Vec<(String, u32)> {
        self.parts.iter().filter(|part| !part.aside).map(|part| (part.text.clone(), WHOLE)).collect()
    }
}

impl Call {
    /// A synthesiser reported something of an utterance that it was given as number `index` of the agent's list.
    pub fn handle_tts(&mut self, now: CallTime, utterance: Utterance, index: usize, event: TtsEvent) {
        self.at(now);
        let current = self.tts.current().map(|(current, _)| current) == Some(index);
        if self.life == Life::Live && current && self.speech.as_ref().is_some_and(|now| now.utterance == utterance) {
            match event {
                TtsEvent::Audio { part, audio_ms } => self.sound(part, audio_ms, false),
                TtsEvent::PartDone { part, audio_ms } => self.sound(part, audio_ms, true),
                TtsEvent::Failed { failure, detail } => self.tts_failed(failure, detail),
            }
        }
        self.settle();
    }

    /// Says `text` behind what is being said already. An `aside` is not remembered. Text without a letter or digit is
    /// nothing to say.
    pub(crate) fn say(&mut self, text: &str, aside: bool) {
        let text = text.trim();
        if !text.chars().any(char::is_alphanumeric) || self.life != Life::Live {
            return;
        }
        if self.cutting.is_some() {
            self.cut_unanswered();
        }
        let Some((index, provider)) = self.tts.current().map(|(index, provider)| (index, provider.clone())) else {
            return;
        };
        let utterance = match &self.speech {
            Some(speech) if speech.parts.len() >= MAX_PARTS || speech.ended => return,
            Some(speech) => speech.utterance,
            None => {
                self.last_utterance += 1;
                let (utterance, turn) = (self.last_utterance, self.turn);
                self.speech =
                    Some(Speech { utterance, parts: Vec::new(), ended: false, started: None, turn, watched: None });
                utterance
            }
        };
        let Some(speech) = &mut self.speech else { return };
        let part = u32::try_from(speech.parts.len()).unwrap_or(u32::MAX);
        speech.parts.push(Part::new(text.to_owned(), aside));
        self.command(Command::Speak { utterance, part, index, provider, text: text.to_owned() });
        let words = vec![(text.to_owned(), WHOLE)];
        self.words_event(EventType::AgentSaid, json!({ "utterance": utterance }), "text", words);
        self.watch_synthesis();
    }

    /// No part follows.
    pub(crate) fn finish_speech(&mut self) {
        if let Some(speech) = &mut self.speech
            && !speech.ended
        {
            speech.ended = true;
            let utterance = speech.utterance;
            self.command(Command::EndUtterance { utterance });
            self.watch_playback();
        }
    }

    pub(crate) fn playback_started(&mut self, utterance: Utterance, at: CallTime) {
        let speech = match (&mut self.speech, &mut self.cutting) {
            (Some(speech), _) if speech.utterance == utterance => speech,
            (_, Some(cutting)) if cutting.speech.utterance == utterance => &mut cutting.speech,
            _ => return,
        };
        if speech.started.is_some() {
            return;
        }
        speech.started = Some(at);
        let turn = speech.turn;
        self.event_at(at, EventType::PlaybackStarted, Some(turn), json!({ "utterance": utterance }));
        self.first_packet_out();
    }

    pub(crate) fn playback_finished(&mut self, utterance: Utterance, at: CallTime) {
        let cutting = self.cutting.as_ref().is_some_and(|cutting| cutting.speech.utterance == utterance);
        if cutting {
            // The clear came too late: everything was heard.
            self.cut_too_late(at);
            return;
        }
        if self.speech.as_ref().is_none_or(|speech| speech.utterance != utterance || !speech.ended) {
            return;
        }
        let Some(speech) = self.speech.take() else { return };
        self.clear_speech_timers();
        self.spoken_to_the_end(&speech, at);
        self.turn_over();
    }

    /// Writes down an utterance that was heard whole.
    pub(crate) fn spoken_to_the_end(&mut self, speech: &Speech, at: CallTime) {
        let data = json!({ "utterance": speech.utterance });
        self.memory.push_said(&speech.unremembered());
        let entry = crate::timeline::Entry {
            at: at.min(self.now),
            kind: EventType::PlaybackFinished,
            turn: Some(speech.turn),
            data,
        };
        let (redactions, commands, now) = (&mut self.redactions, &mut self.commands, self.now);
        let words = speech.words();
        self.timeline.push_words(entry, "text", words, |text| redactions.for_timeline(now, text, commands));
        self.watch_redactor();
    }

    /// The leg never said that an utterance ended; the conversation goes on without it.
    pub(crate) fn playback_lost(&mut self) {
        if let Some(speech) = self.speech.take() {
            self.clear_speech_timers();
            self.raise(
                Failure::Internal,
                None,
                format!("the leg did not report the end of utterance {}", speech.utterance),
                "record",
            );
            self.spoken_to_the_end(&speech, self.now);
            self.turn_over();
        }
    }

    pub(crate) fn tts_overdue(&mut self, detail: &str) {
        self.tts_failed(Failure::TtsZeroBytes, detail.to_owned());
    }

    pub(crate) fn clear_speech_timers(&mut self) {
        for reason in [Reason::TtsFirstByte, Reason::TtsStall, Reason::Playback, Reason::ToolBridge] {
            self.timers.clear(reason);
        }
    }

    fn sound(&mut self, part: u32, audio_ms: u32, done: bool) {
        let now = self.now;
        let Some(speech) = &mut self.speech else { return };
        let index = part as usize;
        let Some(part) = speech.parts.get_mut(index) else { return };
        if part.synthesis == Synthesis::Done {
            return;
        }
        part.audio_ms = part.audio_ms.max(audio_ms);
        if part.audio_ms == 0 {
            if done {
                self.tts_failed(Failure::TtsZeroBytes, "a part ended without sound".to_owned());
            }
            return;
        }
        part.synthesis = if done { Synthesis::Done } else { Synthesis::Sounding };
        if speech.watched == Some(index) {
            speech.watched = None;
        }
        let (aside, turn) = (part.aside, speech.turn);
        if done {
            self.tts.succeeded();
        }
        if !aside
            && turn == self.turn
            && let Some(waterfall) = &mut self.waterfall
            && waterfall.tts_first_byte.is_none()
        {
            waterfall.tts_first_byte = Some(now);
            self.first_packet_out();
        }
        self.watch_synthesis();
        self.watch_playback();
    }

    /// Arms the deadline for the first part that is not complete.
    fn watch_synthesis(&mut self) {
        let (now, first_byte_ms) = (self.now, u64::from(self.setup.spec.limits.tts_first_byte_ms).max(100));
        let Some(speech) = &mut self.speech else { return };
        let open = speech.parts.iter().position(|part| part.synthesis != Synthesis::Done);
        match open {
            None => {
                speech.watched = None;
                self.timers.clear(Reason::TtsFirstByte);
                self.timers.clear(Reason::TtsStall);
            }
            Some(index) if speech.parts[index].synthesis == Synthesis::Sounding => {
                self.timers.clear(Reason::TtsFirstByte);
                self.timers.set(Reason::TtsStall, now.plus_ms(STALL_MS));
            }
            Some(index) if speech.watched != Some(index) => {
                speech.watched = Some(index);
                self.timers.clear(Reason::TtsStall);
                self.timers.set(Reason::TtsFirstByte, now.plus_ms(first_byte_ms));
            }
            Some(_) => {}
        }
    }

    /// Arms the deadline for the end of playback, once all sound is there.
    fn watch_playback(&mut self) {
        let Some(speech) = &self.speech else { return };
        if speech.ended && speech.parts.iter().all(|part| part.synthesis == Synthesis::Done) {
            let total = speech.parts.iter().map(|part| u64::from(part.audio_ms) + u64::from(part.abandoned_ms));
            let until = self.now.plus_ms(total.sum::<u64>() + PLAYBACK_SLACK_MS);
            self.timers.set(Reason::Playback, until);
        }
    }

    fn tts_failed(&mut self, failure: Failure, detail: String) {
        let Some(speech) = &mut self.speech else { return };
        speech.watched = None;
        let utterance = speech.utterance;
        let Some(index) = self.tts.current().map(|(index, _)| index) else { return };
        self.timers.clear(Reason::TtsFirstByte);
        self.timers.clear(Reason::TtsStall);
        self.command(Command::StopSpeaking { utterance, index });
        match self.provider_failed(ProviderKind::Tts, failure, detail) {
            // A line said meanwhile would itself need the synthesiser, so what was to be said is said instead.
            Verdict::Switched(_) => self.speak_rest(),
            Verdict::Abandoned(_) => {
                if let Some(speech) = &mut self.speech {
                    for part in speech.parts.iter_mut().filter(|part| part.synthesis != Synthesis::Done) {
                        part.synthesis = Synthesis::Done;
                    }
                }
                self.watch_playback();
            }
            Verdict::Ending => {}
        }
    }

    /// Gives every part that is not complete to the provider now in service.
    fn speak_rest(&mut self) {
        let Some((index, provider)) = self.tts.current().map(|(index, provider)| (index, provider.clone())) else {
            return;
        };
        let Some(speech) = &mut self.speech else { return };
        let utterance = speech.utterance;
        for (number, part) in speech.parts.iter_mut().enumerate() {
            if part.synthesis != Synthesis::Done {
                part.synthesis = Synthesis::Waiting;
                part.abandoned_ms = part.abandoned_ms.saturating_add(std::mem::take(&mut part.audio_ms));
                let (text, provider) = (part.text.clone(), provider.clone());
                let part = u32::try_from(number).unwrap_or(u32::MAX);
                self.commands.push_back(Command::Speak { utterance, part, index, provider, text });
            }
        }
        self.watch_synthesis();
    }

    /// Completes the waterfall once both the sound and the packet of the reply are known.
    fn first_packet_out(&mut self) {
        let Some(speech) = &self.speech else { return };
        let (Some(started), Some(waterfall)) = (speech.started, &mut self.waterfall) else { return };
        let Some(first_byte) = waterfall.tts_first_byte else { return };
        if speech.turn != self.turn || waterfall.first_packet_out.is_some() {
            return;
        }
        let meanwhile = speech.parts.iter().take_while(|part| part.aside).map(|part| u64::from(part.audio_ms)).sum();
        waterfall.first_packet_out = Some(started.plus_ms(meanwhile).max(first_byte));
        self.waterfall_done();
    }
}
