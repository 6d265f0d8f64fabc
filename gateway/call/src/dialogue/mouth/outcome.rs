//! What became of an utterance: how far it was played, what of it was heard, and where it was cut.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_leg::{CallTime, PlayoutPosition, Utterance};

use super::{Mouth, Speech, Spoken, State};
use crate::command::Command;
use crate::effects::Effects;
use crate::spoken::{Part, WHOLE, heard};
use crate::timers::Reason;

impl Mouth {
    /// Whether what was heard of it so far ends in a question.
    pub(crate) fn asked(&self) -> bool {
        let Some(speech) = self.speech() else { return false };
        let shares = heard(&speech.parts, self.sent_ms(speech.utterance));
        let last = speech
            .parts
            .iter()
            .zip(shares)
            .rev()
            .find(|(part, share)| !part.aside && !part.text.is_empty() && *share >= WHOLE / 2);
        last.is_some_and(|(part, _)| part.text.trim_end().ends_with(['?', '？']))
    }

    /// Playback has come that far.
    pub(crate) const fn played(&mut self, position: PlayoutPosition) {
        if position.utterance >= self.playout.utterance {
            self.playout = position;
        }
    }

    /// So much had left the far speaker when playback was paused or cleared.
    pub(crate) const fn left_the_speaker(&mut self, heard: PlayoutPosition) {
        self.heard = heard;
    }

    /// The first packet of an utterance went out; its turn, when that is news.
    pub(crate) fn started(&mut self, fx: &mut Effects, utterance: Utterance, at: CallTime) -> Option<u32> {
        let speech = match &mut self.state {
            State::Speaking(speech) | State::Paused(speech, _) | State::Cutting(speech, _) => speech,
            State::Silent => return None,
        };
        if speech.utterance != utterance || speech.started.is_some() {
            return None;
        }
        speech.started = Some(at);
        let turn = speech.turn;
        fx.event_at(at, EventType::PlaybackStarted, Some(turn), json!({ "utterance": utterance }));
        Some(turn)
    }

    /// An utterance was played to its last frame.
    pub(crate) fn finished(&mut self, fx: &mut Effects, utterance: Utterance, at: CallTime) -> Option<Spoken> {
        let ours = match &self.state {
            State::Speaking(speech) | State::Paused(speech, _) => speech.utterance == utterance && speech.ended,
            // The clear came too late: everything was heard.
            State::Cutting(speech, _) => speech.utterance == utterance,
            State::Silent => false,
        };
        if ours { self.whole(fx, at) } else { None }
    }

    /// The leg never said that an utterance ended; the conversation goes on without it, and with what is known to have been
    /// sent.
    pub(crate) fn lost_track(&mut self, fx: &mut Effects) -> Option<Spoken> {
        let utterance = self.speech()?.utterance;
        let detail = format!("the leg did not report the end of utterance {utterance}");
        fx.raise(Failure::Internal, "", &detail, "record");
        fx.command(Command::ClearPlayback);
        let (sent_ms, now) = (self.sent_ms(utterance), fx.now());
        Some(self.cut_at(fx, sent_ms, now, now))
    }

    /// Playback was cut, by order or by the leg itself.
    pub(crate) fn was_cut(
        &mut self,
        fx: &mut Effects,
        utterance: Utterance,
        sent_ms: u32,
        at: CallTime,
    ) -> Option<Spoken> {
        let decided = match &self.state {
            State::Cutting(speech, decided) if speech.utterance == utterance => *decided,
            State::Speaking(speech) | State::Paused(speech, _) if speech.utterance == utterance => {
                speech.stop_voices(fx);
                at
            }
            State::Silent | State::Speaking(_) | State::Paused(..) | State::Cutting(..) => return None,
        };
        Some(self.cut_at(fx, sent_ms, at, decided))
    }

    /// The leg did not say what it cut: the last known position has to do.
    pub(crate) fn cut_unanswered(&mut self, fx: &mut Effects) -> Option<Spoken> {
        let State::Cutting(speech, decided) = &self.state else { return None };
        let (sent_ms, decided, now) = (self.sent_ms(speech.utterance), *decided, fx.now());
        Some(self.cut_at(fx, sent_ms, now, decided))
    }

    /// The call is over in the middle of an utterance.
    pub(crate) fn broken_off(&mut self, fx: &mut Effects, at: CallTime) -> Option<Spoken> {
        let (speech, decided) = match std::mem::take(&mut self.state) {
            State::Speaking(speech) => (speech, at),
            State::Paused(speech, decided) | State::Cutting(speech, decided) => (speech, decided),
            State::Silent => return None,
        };
        let sent_ms = self.sent_ms(speech.utterance);
        self.state = State::Cutting(speech, decided);
        Some(self.cut_at(fx, sent_ms, at, decided))
    }

    /// The utterance in work was heard whole.
    pub(super) fn whole(&mut self, fx: &mut Effects, at: CallTime) -> Option<Spoken> {
        self.tell_rest(fx);
        let state = std::mem::take(&mut self.state);
        if matches!(state, State::Paused(..)) {
            self.go_on(fx);
        }
        let (State::Speaking(speech) | State::Paused(speech, _) | State::Cutting(speech, _)) = state else {
            return None;
        };
        Self::clear_timers(fx);
        fx.clear(Reason::Cut);
        let Speech { utterance, turn, parts, dropped, .. } = speech;
        let mut parts = parts;
        for part in &mut parts {
            if let Some(item) = &mut part.item {
                item.heard_ms = part.audio_ms;
            }
        }
        let words = parts.iter().filter(|part| part.is_remembered()).map(|part| (part.text.clone(), WHOLE)).collect();
        let data = json!({ "utterance": utterance });
        fx.words_event_at(at, turn, EventType::PlaybackFinished, data, "text", words);
        let unheard = dropped.into_iter().map(|part| (part, 0));
        let parts = parts.into_iter().map(|part| (part, WHOLE)).chain(unheard).collect();
        Some(Spoken { at, cut: false, parts })
    }

    pub(super) fn cut_at(&mut self, fx: &mut Effects, sent_ms: u32, at: CallTime, decided: CallTime) -> Spoken {
        self.tell_rest(fx);
        let state = std::mem::take(&mut self.state);
        if matches!(state, State::Paused(..)) {
            self.go_on(fx);
        }
        Self::clear_timers(fx);
        fx.clear(Reason::Cut);
        let (utterance, turn, parts, dropped) = match state {
            State::Speaking(speech) | State::Paused(speech, _) | State::Cutting(speech, _) => {
                (speech.utterance, speech.turn, speech.parts, speech.dropped)
            }
            State::Silent => (0, fx.turn(), Vec::new(), Vec::new()),
        };
        let heard_ms = (self.heard.utterance == utterance && utterance > 0).then(|| self.heard.sent_ms.min(sent_ms));
        // What was under way when it was decided is heard, too.
        let shares = heard(&parts, sent_ms);
        let (mut parts, mut begin) = (parts, 0_u32);
        for part in &mut parts {
            if let Some(item) = &mut part.item {
                item.heard_ms = sent_ms.saturating_sub(begin).min(part.audio_ms);
            }
            begin = begin.saturating_add(part.audio_ms);
        }
        let parts: Vec<(Part, u32)> = parts.into_iter().zip(shares).collect();
        let words = parts.iter().filter(|(part, _)| part.is_remembered());
        let words = words.map(|(part, share)| (part.text.clone(), *share)).collect();
        let mut data = json!({ "utterance": utterance, "sent_ms": sent_ms, "decided_ms": decided.min(at).as_ms() });
        if let Some(heard_ms) = heard_ms {
            data["heard_ms"] = heard_ms.into();
        }
        fx.words_event_at(at, turn, EventType::PlaybackCut, data, "heard", words);
        let parts = parts.into_iter().chain(dropped.into_iter().map(|part| (part, 0))).collect();
        Spoken { at, cut: true, parts }
    }

    /// Milliseconds of an utterance that were sent, as far as is known.
    pub(super) fn sent_ms(&self, utterance: Utterance) -> u32 {
        if self.playout.utterance == utterance { self.playout.sent_ms } else { 0 }
    }
}
