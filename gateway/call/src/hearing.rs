//! Hearing: when the caller speaks, when a turn is over, and what was said.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use crate::call::{Call, Life};
use crate::command::{Channel, Command};
use crate::failure::Verdict;
use crate::input::{AsrEvent, ProviderKind, VoiceEdge};
use crate::spoken::{self, WHOLE};
use crate::timers::Reason;

/// Longest stretch of speech of one turn.
const MAX_SPEECH_MS: u64 = 60_000;
/// Most bytes of words of one turn.
pub(crate) const MAX_WORDS_BYTES: usize = 8 * 1024;

/// Where the caller's turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hearing {
    /// Nothing that counts as a turn.
    #[default]
    Quiet,
    /// The caller speaks.
    Speaking,
    /// The caller has stopped, perhaps to breathe.
    Trailing,
    /// The turn is over; the recogniser owes its last words.
    Finalizing,
}

/// When a turn was spoken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// Arrival of its first speech.
    pub(crate) first: Option<CallTime>,
    /// Arrival of the first packet behind it.
    pub(crate) end: CallTime,
    /// The decision that it was over.
    pub(crate) endpoint: CallTime,
}

/// The caller's side of the conversation.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    pub(crate) session: Option<u32>,
    pub(crate) hearing: Hearing,
    /// Voice activity right now.
    pub(crate) speech_on: bool,
    pub(crate) timing: Timing,
    /// When voice activity began.
    since: CallTime,
    words: String,
    pub(crate) partial: String,
    /// Sound from here on is not in `words` yet.
    pub(crate) words_until: CallTime,
    /// When the caller began or stopped speaking last.
    pub(crate) edge: CallTime,
    /// Finalisations the session has not answered.
    pub(crate) owed: u32,
}

impl Call {
    /// The caller began or stopped speaking.
    pub fn handle_voice(&mut self, now: CallTime, edge: VoiceEdge) {
        self.at(now);
        if self.life == Life::Live && edge.speech != self.ears.speech_on {
            // It may be clear late that somebody speaks, but no word begins before the last one has ended.
            let at = edge.at.max(self.ears.edge).min(self.now);
            self.ears.edge = at;
            if edge.speech { self.speech_began(at, edge.level_dbfs) } else { self.speech_stopped(at) }
        }
        self.settle();
    }

    /// The caller interrupts: there is evidence enough, `interruption.min_speech_ms` after it began, that somebody speaks.
    pub fn handle_interruption(&mut self, now: CallTime) {
        self.at(now);
        if self.life == Life::Live {
            self.caller_interrupts();
        }
        self.settle();
    }

    /// A recogniser session reported something.
    pub fn handle_asr(&mut self, now: CallTime, session: u32, event: AsrEvent) {
        self.at(now);
        if self.life == Life::Live && self.ears.session == Some(session) {
            match event {
                AsrEvent::Ready => {}
                AsrEvent::Partial { text } => self.partial(text),
                AsrEvent::Final { text, confidence, finalized } => self.final_words(&text, confidence, finalized),
                AsrEvent::Failed { .. } | AsrEvent::Ended if self.hold_ends_session() => {}
                AsrEvent::Failed { failure, detail } => self.asr_failed(failure, detail, false),
                AsrEvent::Ended => {
                    self.asr_failed(Failure::AsrUnavailable, "the session ended by itself".to_owned(), false);
                }
            }
        }
        self.settle();
    }

    pub(crate) fn open_asr(&mut self, replay_from: Option<CallTime>) {
        let Some((index, provider)) = self.asr.current().map(|(index, provider)| (index, provider.clone())) else {
            return;
        };
        self.last_session += 1;
        let (session, language) = (self.last_session, self.setup.spec.language.clone());
        self.ears.session = Some(session);
        self.ears.owed = 0;
        self.command(Command::OpenAsr { session, index, provider, language, replay_from });
    }

    /// The speech that goes on right now counts as a turn.
    pub(crate) fn listen(&mut self) {
        if self.asr.is_empty() || self.closing.is_some() {
            return;
        }
        let since = self.ears.since;
        self.ears.hearing = Hearing::Speaking;
        self.ears.timing = Timing { first: Some(since), end: since, endpoint: since };
        self.ears.words_until = since;
        self.ears.words.clear();
        self.timers.set(Reason::LongSpeech, self.now.plus_ms(MAX_SPEECH_MS));
        if self.ears.session.is_none() {
            self.open_asr(Some(since));
        }
    }

    /// Whatever the caller says is no turn any more.
    pub(crate) fn stop_hearing(&mut self) {
        self.ears.hearing = Hearing::Quiet;
        self.ears.words.clear();
        self.ears.partial.clear();
        self.keys = Default::default();
        self.pending_input.clear();
        for reason in [Reason::GoesOn, Reason::EndSilence, Reason::LongSpeech, Reason::FinalWords, Reason::DtmfGap] {
            self.timers.clear(reason);
        }
    }

    /// The turn is over, by silence or by its length: the recogniser is asked for its last words.
    pub(crate) fn end_of_speech(&mut self) {
        match self.ears.hearing {
            Hearing::Quiet | Hearing::Finalizing => return,
            Hearing::Speaking => self.ears.timing.end = self.now,
            Hearing::Trailing => {}
        }
        self.timers.clear(Reason::EndSilence);
        self.timers.clear(Reason::LongSpeech);
        self.ears.timing.endpoint = self.now;
        self.ears.hearing = Hearing::Finalizing;
        if !self.finalize() {
            self.words_complete();
        }
    }

    pub(crate) fn final_words_overdue(&mut self) {
        if self.ears.hearing != Hearing::Finalizing {
            return;
        }
        self.ears.owed = 0;
        let partial = std::mem::take(&mut self.ears.partial);
        if !partial.is_empty() {
            self.transcript(&partial, None);
            spoken::join(&mut self.ears.words, &partial);
        }
        if self.ears.words.is_empty() {
            let wait_ms = self.setup.spec.turn.final_wait_ms;
            self.asr_failed(Failure::AsrTimeout, format!("no words within turn.final_wait_ms = {wait_ms}"), true);
        } else {
            self.words_complete();
        }
    }

    fn speech_began(&mut self, at: CallTime, level_dbfs: f32) {
        self.ears.speech_on = true;
        self.ears.since = at;
        let turn = Some(self.turn);
        let level = serde_json::Number::from_f64(f64::from(level_dbfs));
        self.event_at(at, EventType::SpeechStarted, turn, json!({ "level_dbfs": level }));
        if self.closing.is_some() {
            return;
        }
        let lasted = at.plus_ms(u64::from(self.setup.spec.interruption.min_speech_ms));
        self.timers.set(Reason::GoesOn, lasted.max(self.now));
        match self.ears.hearing {
            Hearing::Quiet if self.thinking.is_none() && self.speech.is_none() && self.cutting.is_none() => {
                self.listen();
            }
            Hearing::Quiet | Hearing::Speaking => {}
            Hearing::Trailing | Hearing::Finalizing => {
                self.timers.clear(Reason::EndSilence);
                self.timers.clear(Reason::FinalWords);
                self.timers.set(Reason::LongSpeech, self.now.plus_ms(MAX_SPEECH_MS));
                self.ears.hearing = Hearing::Speaking;
            }
        }
    }

    fn speech_stopped(&mut self, at: CallTime) {
        self.ears.speech_on = false;
        self.timers.clear(Reason::GoesOn);
        let data = json!({ "duration_ms": at.since_ms(self.ears.since) });
        self.event_at(at, EventType::SpeechEnded, Some(self.turn), data);
        if self.ears.hearing == Hearing::Speaking {
            self.trail(at);
        }
    }

    fn trail(&mut self, end: CallTime) {
        self.ears.hearing = Hearing::Trailing;
        self.ears.timing.end = end;
        let silent = end.plus_ms(u64::from(self.setup.spec.turn.end_silence_ms));
        self.timers.set(Reason::EndSilence, silent.max(self.now));
    }

    fn partial(&mut self, mut text: String) {
        truncate(&mut text);
        if text == self.ears.partial {
            return;
        }
        if !text.trim().is_empty() {
            if !self.redactions.covers(Channel::Transcript) {
                self.turn_event(EventType::TranscriptPartial, json!({ "text": text }));
            }
            // Words are surer than voice activity: no need to wait until it has lasted.
            let interrupts = self.setup.spec.interruption.barge_in && self.closing.is_none();
            if interrupts && self.ears.speech_on && self.speech.is_some() && self.ears.hearing == Hearing::Quiet {
                self.interrupt();
                self.listen();
            }
        }
        self.ears.partial = text;
    }

    fn final_words(&mut self, text: &str, confidence: Option<f32>, finalized: bool) {
        let text = text.trim();
        self.ears.partial.clear();
        if finalized {
            self.ears.owed = self.ears.owed.saturating_sub(1);
        }
        if !text.is_empty() {
            self.asr.succeeded();
            self.transcript(text, confidence);
        }
        if self.closing.is_some() {
            return;
        }
        if self.ears.hearing == Hearing::Quiet && !text.is_empty() && !self.late_words() {
            return;
        }
        if self.ears.words.len() + text.len() <= MAX_WORDS_BYTES {
            spoken::join(&mut self.ears.words, text);
            if !text.is_empty() {
                self.ears.words_until = self.now;
            }
        }
        if self.ears.hearing == Hearing::Finalizing && finalized && self.ears.owed == 0 {
            self.words_complete();
        }
    }

    /// Words came while nobody was being listened to. False when they do not count: the agent speaks, and voice
    /// activity was not enough to interrupt it.
    fn late_words(&mut self) -> bool {
        if self.speech.is_some() || self.cutting.is_some() {
            return false;
        }
        self.retract();
        self.ears.words.clear();
        self.ears.timing = Timing { first: None, end: self.now, endpoint: self.now };
        self.trail(self.now);
        true
    }

    fn transcript(&mut self, text: &str, confidence: Option<f32>) {
        let confidence = confidence.and_then(|value| serde_json::Number::from_f64(f64::from(value)));
        let words = vec![(text.to_owned(), WHOLE)];
        self.words_event(EventType::TranscriptFinal, json!({ "confidence": confidence }), "text", words);
    }

    /// Asks the session for its last words; false when there is none.
    fn finalize(&mut self) -> bool {
        let Some(session) = self.ears.session else { return false };
        self.ears.owed += 1;
        self.command(Command::FinalizeAsr { session });
        self.timers.set(Reason::FinalWords, self.now.plus_ms(u64::from(self.setup.spec.turn.final_wait_ms)));
        true
    }

    fn words_complete(&mut self) {
        self.ears.hearing = Hearing::Quiet;
        self.timers.clear(Reason::FinalWords);
        let words = std::mem::take(&mut self.ears.words);
        match self.words_with_keys(&words) {
            Some(text) if text.is_empty() => self.nothing_said(),
            Some(text) => self.input(text),
            None => {}
        }
    }

    fn asr_failed(&mut self, failure: Failure, detail: String, still_open: bool) {
        let Some(session) = self.ears.session.take() else { return };
        if still_open {
            self.command(Command::CloseAsr { session });
        }
        self.ears.owed = 0;
        self.ears.partial.clear();
        self.timers.clear(Reason::FinalWords);
        let hearing = self.ears.hearing;
        match self.provider_failed(ProviderKind::Asr, failure, detail) {
            Verdict::Switched(bridge) => {
                let unheard = if hearing == Hearing::Quiet { self.ears.since } else { self.ears.words_until };
                let owes_words = hearing != Hearing::Quiet || self.ears.speech_on;
                self.open_asr(owes_words.then_some(unheard));
                if hearing == Hearing::Finalizing {
                    self.finalize();
                    if self.speech.is_none() {
                        self.say(&bridge, true);
                    }
                }
            }
            Verdict::Abandoned(line) => {
                self.ears.hearing = Hearing::Quiet;
                self.ears.words.clear();
                self.timers.clear(Reason::EndSilence);
                self.timers.clear(Reason::LongSpeech);
                self.say(&line, false);
                if self.thinking.is_none() {
                    self.finish_speech();
                }
                self.turn_over();
            }
            Verdict::Ending => {}
        }
    }
}

/// Cuts a text to the longest a turn may have.
pub(crate) fn truncate(text: &mut String) {
    if text.len() > MAX_WORDS_BYTES {
        let end = (0..=MAX_WORDS_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}
