//! Speaking: one utterance at a time, made of parts that are synthesised one by one. It is silent, speaks, is paused, or
//! waits to be told what of it was sent before it was cut; it is never two of these.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_api::agent::ProviderRef;
use trunkline_api::survival::MOST_FIXED_LINES as MAX_PROMPTS;
use trunkline_api::{EventType, Failure};
use trunkline_leg::{CallTime, PlayoutPosition, Utterance};

use serde_json::json;

use crate::command::Command;
use crate::effects::Effects;
use crate::input::TtsEvent;
use crate::speech::{Piece, Words};
use crate::spoken::{self, Pace, Part, Synthesis, WHOLE, heard};
use crate::timers::{Reason, Still};
use crate::{AHEAD_MS, PRERENDERED};

use super::voices::Voices;

/// Most parts of one utterance; more text is dropped.
const MAX_PARTS: usize = 256;
/// Most lines that wait for the utterance before theirs.
const MAX_LATER: usize = 64;
/// Silence in the middle of a part after which a synthesiser has stopped.
const STALL_MS: u64 = 1500;
/// How much later than expected the leg may report the end of an utterance.
const PLAYBACK_SLACK_MS: u64 = 3000;
/// Longest wait for the leg to say what it cut.
const CUT_WAIT_MS: u64 = 150;

/// A text to be said.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// As it is written.
    pub(crate) text: String,
    /// As the agent has it, by which it was rendered beforehand if it was.
    pub(crate) prompt: String,
    /// As it is spoken.
    pub(crate) pieces: Vec<Piece>,
    /// The language of the conversation.
    pub(crate) language: String,
    /// The agent should not remember it.
    pub(crate) aside: bool,
    /// It is said to the end whoever speaks.
    pub(crate) protected: bool,
}

/// The utterance being spoken.
#[derive(Debug)]
struct Speech {
    utterance: Utterance,
    /// Its synthesisers by their lists.
    voices: Vec<(usize, usize)>,
    parts: Vec<Part>,
    /// Parts that will not be heard after all, though the conversation may hold them already.
    dropped: Vec<Part>,
    next_part: u32,
    protected: bool,
    /// No part follows.
    ended: bool,
    /// When its first packet went out.
    started: Option<CallTime>,
    /// The turn it belongs to.
    turn: u32,
    /// Part whose first sound is being waited for.
    watched: Option<u32>,
    /// Until when there is sound to be heard.
    until: CallTime,
    /// When its synthesiser was asked.
    asked: CallTime,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Silent,
    Speaking(Speech),
    Paused(Speech, CallTime),
    /// Cleared; the leg has not said yet how much of it was sent. The time is that of the decision.
    Cutting(Speech, CallTime),
}

/// What became of an utterance.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) at: CallTime,
    /// It was stopped before its end.
    pub(crate) cut: bool,
    /// Its parts, each with the share of it that was heard, in thousandths.
    pub(crate) parts: Vec<(Part, u32)>,
}

/// What came of something that the mouth was told.
#[derive(Debug)]
pub(crate) enum Voiced {
    /// Nothing that concerns others.
    Nothing,
    /// The first sound of what is no aside.
    FirstSound { turn: u32 },
    /// The synthesiser failed; the mouth waits for [`Mouth::carry_on`] or [`Mouth::give_up`].
    Lost { index: usize, failure: Failure, detail: String },
    /// A line that was rendered beforehand is not there after all; the mouth waits as it does then.
    Missing,
}

/// Lines that were rendered beforehand.
#[derive(Debug, Default)]
struct Prompts {
    texts: BTreeSet<String>,
    /// They are played although there is a synthesiser.
    always: bool,
    /// Nothing else is said.
    only: bool,
}

/// The agent's side of the conversation.
#[derive(Debug)]
pub(crate) struct Mouth {
    voices: Voices,
    first_byte_ms: u64,
    state: State,
    last_utterance: Utterance,
    /// Said as an utterance of its own once the one in work is over.
    later: Vec<Line>,
    later_ended: bool,
    playout: PlayoutPosition,
    /// What had left the far speaker when playback was paused or cleared last.
    heard: PlayoutPosition,
    prompts: Prompts,
    /// How quickly voices speak, by their lists and numbers.
    paces: BTreeMap<(usize, usize), Pace>,
}

impl Mouth {
    pub(crate) fn new(voices: Voices, first_byte_ms: u32) -> Self {
        Self {
            voices,
            first_byte_ms: u64::from(first_byte_ms).max(100),
            state: State::Silent,
            last_utterance: 0,
            later: Vec::new(),
            later_ended: false,
            playout: PlayoutPosition::default(),
            heard: PlayoutPosition::default(),
            prompts: Prompts::default(),
            paces: BTreeMap::new(),
        }
    }

    /// With synthesisers that are asked when all of the list have failed; lines that were rendered beforehand are `always`
    /// played.
    pub(crate) fn and_engines(mut self, engines: &[ProviderRef], always: bool) -> Self {
        self.voices.and_engines(engines);
        self.prompts.always = always;
        self
    }

    /// These lines were rendered beforehand.
    pub(crate) fn knows(&mut self, texts: Vec<String>) {
        self.prompts.texts = texts.into_iter().take(MAX_PROMPTS).collect();
    }

    /// Whether any line was.
    pub(crate) fn has_prompts(&self) -> bool {
        !self.prompts.texts.is_empty()
    }

    /// Whether there is a synthesiser that may be asked.
    pub(crate) fn has_voice(&self) -> bool {
        !self.prompts.only && !self.voices.is_empty()
    }

    /// Nothing is said but what was rendered beforehand, or anything again.
    pub(crate) const fn plays_only(&mut self, only: bool) {
        self.prompts.only = only;
    }

    /// Whether somebody could say that.
    pub(crate) fn can_say(&self, text: &str) -> bool {
        self.has_voice() || self.prompts.texts.contains(text.trim())
    }

    /// Whether that is played rather than synthesised.
    fn plays(&self, now: CallTime, text: &str) -> bool {
        self.prompts.texts.contains(text) && (self.prompts.always || !self.has_voice() || !self.voices.any_up(now))
    }

    /// Another agent speaks from now on, with other voices or the same. Nothing is being said.
    pub(crate) fn becomes(&mut self, voices: Voices, first_byte_ms: u32, same: bool) {
        self.first_byte_ms = u64::from(first_byte_ms).max(100);
        if !same {
            self.voices = voices;
            self.paces.clear();
            // They were rendered in another voice.
            self.prompts.texts.clear();
        }
    }

    pub(crate) const fn voices(&mut self) -> &mut Voices {
        &mut self.voices
    }

    /// Whether the agent has no synthesiser.
    pub(crate) fn is_dumb(&self) -> bool {
        self.voices.is_empty() && !self.has_prompts()
    }

    pub(crate) const fn is_silent(&self) -> bool {
        matches!(self.state, State::Silent)
    }

    /// Whether it speaks, or would if it were not paused.
    pub(crate) const fn is_speaking(&self) -> bool {
        matches!(self.state, State::Speaking(_) | State::Paused(..))
    }

    pub(crate) const fn is_cutting(&self) -> bool {
        matches!(self.state, State::Cutting(..))
    }

    /// Whether what is being said must not be interrupted.
    pub(crate) fn is_protected(&self) -> bool {
        self.speech().is_some_and(|speech| speech.protected)
    }

    /// Whether nothing can be added to what is being said.
    pub(crate) fn has_ended(&self) -> bool {
        self.speech().is_some_and(|speech| speech.ended)
    }

    /// Whether there is sound to be heard, or has just been.
    pub(crate) fn has_sound(&self) -> bool {
        self.speech().is_some_and(|speech| speech.parts.iter().any(|part| part.audio_ms > 0 && !part.pause))
    }

    /// Whether all that it was given is sound and more may come.
    pub(crate) fn waits_for_more(&self) -> bool {
        let done = |speech: &Speech| !speech.ended && speech.parts.iter().all(|part| part.synthesis == Synthesis::Done);
        matches!(&self.state, State::Speaking(speech) if done(speech))
    }

    /// Since when the first sound of all has been waited for, when another synthesiser could give it.
    pub(crate) fn waits_for_sound(&self, now: CallTime) -> Option<CallTime> {
        let State::Speaking(speech) = &self.state else { return None };
        let silent = speech.parts.iter().all(|part| part.audio_ms == 0 || part.pause);
        let list = speech.parts.iter().find(|part| part.synthesis != Synthesis::Done).map_or(0, |part| part.list);
        (silent && self.voices.has_next(list, now)).then_some(speech.asked)
    }

    /// Until when there is sound to be heard, as far as is known.
    pub(crate) fn sounds_until(&self) -> CallTime {
        self.speech().map_or(CallTime::ZERO, |speech| speech.until)
    }

    /// When the first packet of what is being said went out.
    pub(crate) fn has_started(&self) -> Option<CallTime> {
        self.speech().and_then(|speech| speech.started)
    }

    /// Milliseconds of the lines said meanwhile that come before anything else.
    pub(crate) fn asides_first_ms(&self) -> u64 {
        let parts = self.speech().into_iter().flat_map(|speech| &speech.parts);
        parts.take_while(|part| part.aside).map(|part| u64::from(part.audio_ms)).sum()
    }

    /// Text of the parts that the agent should remember and that are in no message yet.
    pub(crate) fn unremembered(&self) -> String {
        let mut text = String::new();
        for part in self.speech().into_iter().flat_map(|speech| &speech.parts) {
            if !part.aside && part.message.is_none() {
                spoken::join(&mut text, &part.text);
            }
        }
        text
    }

    /// What is being said stands in that message.
    pub(crate) fn remembered_as(&mut self, message: u64) {
        for part in self.speech_mut().into_iter().flat_map(|speech| &mut speech.parts) {
            if !part.aside && part.message.is_none() {
                part.message = Some(message);
            }
        }
    }

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

    /// Says a line behind what is being said already. Text without a letter or digit is nothing to say, and silence is
    /// none before the first word.
    pub(crate) fn say(&mut self, fx: &mut Effects, line: Line) {
        let pauses = !self.is_silent() && !line.pieces.is_empty();
        if !line.pieces.iter().any(Piece::is_speakable) && !pauses {
            return;
        }
        let joins = match &self.state {
            State::Silent => true,
            State::Speaking(speech) | State::Paused(speech, _) => !speech.ended && speech.protected == line.protected,
            State::Cutting(..) => false,
        };
        if joins && self.later.is_empty() {
            self.speak(fx, line);
        } else if self.later.len() < MAX_LATER {
            // A line of another kind ends what is being said, and is an utterance of its own.
            if self.later.is_empty() {
                self.end_utterance(fx);
            }
            self.later.push(line);
            self.later_ended = false;
        }
    }

    /// No line follows.
    pub(crate) fn finish(&mut self, fx: &mut Effects) {
        if self.later.is_empty() { self.end_utterance(fx) } else { self.later_ended = true }
    }

    /// Stops sending and keeps all there is.
    pub(crate) fn pause(&mut self, fx: &mut Effects) {
        let state = std::mem::take(&mut self.state);
        let State::Speaking(speech) = state else {
            self.state = state;
            return;
        };
        fx.command(Command::PausePlayback);
        for reason in [Reason::TtsFirstByte, Reason::TtsStall, Reason::Playback] {
            fx.timers().stand_still(reason, Still::Pause, true);
        }
        self.state = State::Paused(speech, fx.now());
    }

    /// Goes on with what was paused.
    pub(crate) fn resume(&mut self, fx: &mut Effects) {
        let state = std::mem::take(&mut self.state);
        let State::Paused(mut speech, since) = state else {
            self.state = state;
            return;
        };
        self.go_on(fx);
        speech.until = speech.until + fx.now().since_us(since);
        self.state = State::Speaking(speech);
    }

    /// Stops for good, now. Returns what was to be said afterwards and is not.
    pub(crate) fn stop(&mut self, fx: &mut Effects) -> String {
        let mut unsaid = String::new();
        for line in self.later.drain(..).filter(|line| !line.aside) {
            spoken::join(&mut unsaid, &line.text);
        }
        let (paused, decided, speech) = match std::mem::take(&mut self.state) {
            State::Speaking(speech) => (false, fx.now(), speech),
            State::Paused(speech, since) => (true, since, speech),
            state @ (State::Silent | State::Cutting(..)) => {
                self.state = state;
                return unsaid;
            }
        };
        Self::clear_timers(fx);
        fx.command(Command::ClearPlayback);
        if paused {
            self.go_on(fx);
        }
        speech.stop_voices(fx);
        self.state = State::Cutting(speech, decided);
        fx.set_in(Reason::Cut, CUT_WAIT_MS);
        unsaid
    }

    /// Finishes the sentence that is being said and drops what would have followed; returns that.
    pub(crate) fn finish_sentence(&mut self, fx: &mut Effects) -> String {
        let sent_ms = self.speech().map_or(0, |speech| self.sent_ms(speech.utterance));
        let mut rest = String::new();
        if let State::Speaking(speech) = &mut self.state {
            let mut begin = 0_u32;
            let current = speech.parts.iter().position(|part| {
                begin = begin.saturating_add(part.audio_ms);
                part.synthesis != Synthesis::Done || sent_ms < begin
            });
            let mut from = current.map_or(speech.parts.len(), |current| current + 1);
            // A sentence may be of several parts.
            while from > 0 && speech.parts.get(from - 1).is_some_and(|part| part.goes_on) && from < speech.parts.len() {
                from += 1;
            }
            let dropped = speech.parts.split_off(from.min(speech.parts.len()));
            for part in dropped.iter().filter(|part| !part.aside) {
                spoken::join(&mut rest, &part.text);
            }
            speech.dropped.extend(dropped);
            let (utterance, from) = (speech.utterance, speech.parts.last().map_or(0, |part| part.number + 1));
            fx.command(Command::DropParts { utterance, from, cut: false });
        }
        for line in self.later.drain(..).filter(|line| !line.aside) {
            spoken::join(&mut rest, &line.text);
        }
        self.end_utterance(fx);
        self.watch_synthesis(fx);
        rest
    }

    /// Lets go of the synthesiser: the call ends.
    pub(crate) fn release(&mut self, fx: &mut Effects) {
        self.later.clear();
        if let State::Speaking(speech) | State::Paused(speech, _) = &self.state {
            speech.stop_voices(fx);
        }
        Self::clear_timers(fx);
        fx.clear(Reason::Cut);
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

    /// The leg never said that an utterance ended; the conversation goes on without it.
    pub(crate) fn lost_track(&mut self, fx: &mut Effects) -> Option<Spoken> {
        let utterance = self.speech()?.utterance;
        let detail = format!("the leg did not report the end of utterance {utterance}");
        fx.raise(Failure::Internal, "", &detail, "record");
        let now = fx.now();
        self.whole(fx, now)
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

    /// Says what waited for the utterance before it.
    pub(crate) fn say_later(&mut self, fx: &mut Effects) {
        if !self.is_silent() || self.later.is_empty() {
            return;
        }
        let mut lines = std::mem::take(&mut self.later).into_iter();
        let protected = lines.as_slice().first().is_some_and(|line| line.protected);
        while lines.as_slice().first().is_some_and(|line| line.protected == protected) {
            if let Some(line) = lines.next() {
                self.speak(fx, line);
            }
        }
        self.later = lines.collect();
        if !self.later.is_empty() || std::mem::take(&mut self.later_ended) {
            self.end_utterance(fx);
        }
    }

    /// A synthesiser reports something of an utterance that it was given as number `index`.
    pub(crate) fn tts(&mut self, fx: &mut Effects, utterance: Utterance, index: usize, event: TtsEvent) -> Voiced {
        let speaks = |speech: &Speech| match event {
            TtsEvent::Failed { .. } => speech.voices.iter().any(|(_, at)| *at == index),
            TtsEvent::Audio { .. } | TtsEvent::PartDone { .. } => true,
        };
        if !self.speech().is_some_and(|speech| speech.utterance == utterance && speaks(speech)) {
            return Voiced::Nothing;
        }
        match event {
            TtsEvent::Audio { part, audio_ms } => self.sound(fx, (part, index), audio_ms, false),
            TtsEvent::PartDone { part, audio_ms } => self.sound(fx, (part, index), audio_ms, true),
            TtsEvent::Failed { failure, detail } => Voiced::Lost { index, failure, detail },
        }
    }

    /// The synthesiser owed sound for too long.
    pub(crate) fn overdue(&mut self, detail: &str) -> Voiced {
        let open = self.speech().and_then(|speech| {
            speech.parts.iter().find(|part| part.synthesis != Synthesis::Done).map(|part| part.number)
        });
        if open.is_some_and(|open| self.forget_prompt(open)) {
            return Voiced::Missing;
        }
        let owes = |speech: &Speech| {
            let open = speech.parts.iter().find(|part| part.synthesis != Synthesis::Done).map(|part| part.index);
            open.or_else(|| speech.voices.first().map(|(_, index)| *index))
        };
        self.speech().and_then(owes).map_or(Voiced::Nothing, |index| Voiced::Lost {
            index,
            failure: Failure::TtsZeroBytes,
            detail: detail.to_owned(),
        })
    }

    /// Another synthesiser says what the one before has not: of a part in the making only what there is no sound of.
    pub(crate) fn carry_on(&mut self, fx: &mut Effects) {
        let Some(missing) = self.break_off(fx) else { return };
        let now = fx.now();
        if let Some(speech) = self.speech_mut() {
            // Whoever is in service now speaks, of each language.
            speech.voices.clear();
            speech.asked = now;
        }
        for part in missing {
            self.hand_over(fx, part);
        }
        if self.has_ended() {
            let utterance = self.speech().map_or(0, |speech| speech.utterance);
            fx.command(Command::EndUtterance { utterance });
        }
        self.watch_synthesis(fx);
    }

    /// Nobody says what is missing: it is not said, and what there is sound of is the whole utterance. When there is
    /// none, nothing was said.
    pub(crate) fn give_up(&mut self, fx: &mut Effects) -> Option<Spoken> {
        self.later.clear();
        let missing = self.break_off(fx)?;
        if let Some(speech) = self.speech_mut() {
            speech.dropped.extend(missing.into_iter().map(|part| Part { number: 0, ..part }));
        }
        self.end_utterance(fx);
        self.watch_synthesis(fx);
        if self.speech().is_some_and(|speech| !speech.parts.is_empty()) {
            self.watch_playback(fx);
            return None;
        }
        let now = fx.now();
        self.whole(fx, now)
    }

    /// Takes the parts that there is no sound of out of the utterance, and stops its synthesisers.
    fn break_off(&mut self, fx: &mut Effects) -> Option<Vec<Part>> {
        let (State::Speaking(speech) | State::Paused(speech, _)) = &mut self.state else { return None };
        fx.clear(Reason::TtsFirstByte);
        fx.clear(Reason::TtsStall);
        speech.watched = None;
        let mut parts = Vec::new();
        if let Some(open) = speech.parts.iter().position(|part| part.synthesis != Synthesis::Done) {
            let mut missing = speech.parts.split_off(open);
            if let Some(first) = missing.first_mut().filter(|first| first.audio_ms > 0) {
                let rest = first.break_off();
                if rest.words().chars().any(char::is_alphanumeric) {
                    parts.push(rest);
                }
                speech.parts.push(missing.remove(0));
            }
            // Sound that is behind what is missing goes with it.
            let anew = |part: Part| Part { audio_ms: 0, synthesis: Synthesis::Waiting, ..part };
            parts.extend(missing.into_iter().map(|part| if part.pause { part } else { anew(part) }));
        }
        let utterance = speech.utterance;
        let from = speech.parts.last().map_or(0, |part| part.number + 1);
        fx.command(Command::DropParts { utterance, from, cut: true });
        speech.stop_voices(fx);
        Some(parts)
    }

    fn speak(&mut self, fx: &mut Effects, line: Line) {
        let plays = self.plays(fx.now(), &line.prompt);
        if !plays && !self.has_voice() {
            return;
        }
        if self.is_silent() {
            if !line.pieces.iter().any(Piece::is_speakable) {
                return;
            }
            self.last_utterance += 1;
            self.state = State::Speaking(Speech {
                utterance: self.last_utterance,
                voices: Vec::new(),
                parts: Vec::new(),
                dropped: Vec::new(),
                next_part: 0,
                protected: line.protected,
                ended: false,
                started: None,
                turn: fx.turn(),
                watched: None,
                until: CallTime::ZERO,
                asked: fx.now(),
            });
        }
        let Line { text, prompt, pieces, language, aside, .. } = line;
        let Some(speech) = self.speech().filter(|speech| speech.parts.len() < MAX_PARTS) else { return };
        let utterance = speech.utterance;
        let unfinished = text.ends_with([',', ';', ':', '–', '—']);
        let last = pieces.iter().rposition(|piece| matches!(piece, Piece::Words(_)));
        let speaks = pieces.iter().any(Piece::is_speakable);
        if plays {
            let list = self.voices.list(&language);
            self.hand_over(fx, Part { list, prompt: Some(prompt), ..Part::new(0, text.clone(), aside) });
            fx.words_event(EventType::AgentSaid, json!({ "utterance": utterance }), "text", vec![(text, WHOLE)]);
            self.watch_synthesis(fx);
            return;
        }
        // A line that is one part may be played later, should its synthesiser fail.
        let mut prompt = (pieces.len() == 1).then_some(prompt);
        for (at, piece) in pieces.into_iter().enumerate() {
            let goes_on = last.is_some_and(|last| at < last) || unfinished;
            match piece {
                Piece::Pause(ms) => self.hand_over(fx, Part { goes_on, ..Part::pause(0, ms, aside) }),
                Piece::Words(words) if !words.is_speakable() => {}
                Piece::Words(Words { written, spoken, language: own }) => {
                    let list = self.voices.list(if own.is_empty() { &language } else { &own });
                    let spoken = spoken.map(Box::new);
                    let prompt = prompt.take();
                    self.hand_over(fx, Part { spoken, list, goes_on, prompt, ..Part::new(0, written, aside) });
                }
            }
        }
        if speaks {
            fx.words_event(EventType::AgentSaid, json!({ "utterance": utterance }), "text", vec![(text, WHOLE)]);
        }
        self.watch_synthesis(fx);
    }

    /// Gives a part to whoever speaks its language, or to the leg when it is silence.
    fn hand_over(&mut self, fx: &mut Effects, mut part: Part) {
        let (State::Speaking(speech) | State::Paused(speech, _)) = &mut self.state else { return };
        let utterance = speech.utterance;
        part.number = speech.next_part;
        speech.next_part += 1;
        if part.pause {
            fx.command(Command::Silence { utterance, part: part.number, ms: part.audio_ms });
            speech.parts.push(part);
            return;
        }
        if part.prompt.as_ref().is_some_and(|prompt| self.plays(fx.now(), prompt)) {
            self.play(fx, part);
            return;
        }
        if !self.has_voice() {
            // Nobody says it.
            self.drop_part(part);
            return;
        }
        let (State::Speaking(speech) | State::Paused(speech, _)) = &mut self.state else { return };
        let known = speech.voices.iter().find(|(list, _)| *list == part.list).map(|(_, index)| *index);
        let chosen = known.or_else(|| {
            // Of a list that failed in mid-utterance whoever took over stays in service.
            let begun = speech.parts.iter().any(|other| other.list == part.list && !other.pause);
            if begun { self.voices.current(part.list) } else { self.voices.choose(part.list, fx.now()) }
        });
        let Some((index, provider)) = chosen.and_then(|index| Some((index, self.voices.get(index)?.clone()))) else {
            return;
        };
        if known.is_none() {
            speech.voices.push((part.list, index));
        }
        part.index = index;
        part.us_per_character = self.paces.get(&(part.list, index)).copied().unwrap_or_default().us_per_character();
        let document = part.spoken.as_ref().and_then(|spoken| spoken.ssml.clone());
        let document = document.filter(|_| self.voices.takes_ssml(index));
        let text = document.unwrap_or_else(|| part.words().to_owned());
        let language = self.voices.language(part.list).to_owned();
        fx.command(Command::Speak { utterance, part: part.number, index, provider, language, text });
        speech.parts.push(part);
    }

    /// Has a part played that was rendered beforehand.
    fn play(&mut self, fx: &mut Effects, mut part: Part) {
        let Some(speech) = self.speech_mut() else { return };
        let Some(text) = part.prompt.clone() else { return };
        part.index = PRERENDERED;
        fx.command(Command::Play { utterance: speech.utterance, part: part.number, text });
        speech.parts.push(part);
    }

    fn drop_part(&mut self, part: Part) {
        if let Some(speech) = self.speech_mut() {
            speech.dropped.push(part);
        }
    }

    fn end_utterance(&mut self, fx: &mut Effects) {
        if let State::Speaking(speech) | State::Paused(speech, _) = &mut self.state
            && !speech.ended
        {
            speech.ended = true;
            fx.command(Command::EndUtterance { utterance: speech.utterance });
            self.watch_playback(fx);
        }
    }

    fn go_on(&self, fx: &mut Effects) {
        fx.command(Command::ResumePlayback);
        for reason in [Reason::TtsFirstByte, Reason::TtsStall, Reason::Playback] {
            fx.timers().stand_still(reason, Still::Pause, false);
        }
    }

    fn clear_timers(fx: &mut Effects) {
        for reason in [Reason::TtsFirstByte, Reason::TtsStall, Reason::Playback] {
            fx.clear(reason);
        }
    }

    /// The utterance in work was heard whole.
    fn whole(&mut self, fx: &mut Effects, at: CallTime) -> Option<Spoken> {
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
        let words = parts.iter().filter(|part| part.is_remembered()).map(|part| (part.text.clone(), WHOLE)).collect();
        let data = json!({ "utterance": utterance });
        fx.words_event_at(at, turn, EventType::PlaybackFinished, data, "text", words);
        let unheard = dropped.into_iter().map(|part| (part, 0));
        let parts = parts.into_iter().map(|part| (part, WHOLE)).chain(unheard).collect();
        Some(Spoken { at, cut: false, parts })
    }

    fn cut_at(&mut self, fx: &mut Effects, sent_ms: u32, at: CallTime, decided: CallTime) -> Spoken {
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
        let shares = heard(&parts, heard_ms.unwrap_or(sent_ms));
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

    fn sound(&mut self, fx: &mut Effects, (number, index): (u32, usize), audio_ms: u32, done: bool) -> Voiced {
        let Some(speech) = self.speech_mut() else { return Voiced::Nothing };
        let turn = speech.turn;
        let ours = |part: &&mut Part| part.number == number && part.index == index && !part.pause;
        let Some(part) = speech.parts.iter_mut().find(ours) else { return Voiced::Nothing };
        if part.synthesis == Synthesis::Done {
            return Voiced::Nothing;
        }
        let first = part.audio_ms == 0;
        part.audio_ms = part.audio_ms.max(audio_ms);
        if part.audio_ms == 0 {
            if done && self.forget_prompt(number) {
                return Voiced::Missing;
            }
            let detail = "a part ended without sound".to_owned();
            return if done { Voiced::Lost { index, failure: Failure::TtsZeroBytes, detail } } else { Voiced::Nothing };
        }
        part.synthesis = if done { Synthesis::Done } else { Synthesis::Sounding };
        let aside = part.aside;
        let whole = done.then(|| part.clone());
        if speech.watched == Some(number) {
            speech.watched = None;
        }
        if let Some(part) = whole.filter(|_| index != PRERENDERED) {
            self.voices.succeeded(index);
            self.paces.entry((part.list, index)).or_default().said(&part);
        }
        let until = self.speech().map(|speech| self.sound_until(speech, fx.now()));
        if let (Some(until), Some(speech)) = (until, self.speech_mut()) {
            speech.until = until;
        }
        self.watch_synthesis(fx);
        self.watch_playback(fx);
        if first && !aside { Voiced::FirstSound { turn } } else { Voiced::Nothing }
    }

    /// A line that was rendered beforehand has no sound: it is not played again. False when it was not rendered.
    fn forget_prompt(&mut self, number: u32) -> bool {
        let played = |part: &&Part| part.number == number && part.index == PRERENDERED;
        let Some(part) = self.speech().and_then(|speech| speech.parts.iter().find(played)) else { return false };
        if let Some(prompt) = part.prompt.clone() {
            self.prompts.texts.remove(&prompt);
        }
        true
    }

    /// Until when what there is sound of will be heard: up to the first part that is not complete, which holds back those
    /// behind it. What is sent is not always known to the millisecond, so this is late rather than early.
    fn sound_until(&self, speech: &Speech, now: CallTime) -> CallTime {
        let open = speech.parts.iter().position(|part| part.synthesis != Synthesis::Done);
        let heard = open.map_or(speech.parts.len(), |open| open + 1);
        let made: u64 = speech.parts.iter().take(heard).map(|part| u64::from(part.audio_ms)).sum();
        now.plus_ms(made.saturating_sub(u64::from(self.sent_ms(speech.utterance))))
    }

    /// Arms the deadline for the first part that is not complete. A synthesiser that is ahead is not asked for more, so
    /// that it owes nothing until what there is has nearly been heard.
    fn watch_synthesis(&mut self, fx: &mut Effects) {
        let now = fx.now();
        let Some(speech) = self.speech() else { return };
        let until = self.sound_until(speech, now);
        let asked = CallTime(until.as_us().saturating_sub(AHEAD_MS * 1000)).max(now);
        let first_byte = asked.plus_ms(self.first_byte_ms);
        let Some(speech) = self.speech_mut() else { return };
        match speech.parts.iter().find(|part| part.synthesis != Synthesis::Done) {
            None => {
                speech.watched = None;
                fx.clear(Reason::TtsFirstByte);
                fx.clear(Reason::TtsStall);
            }
            Some(part) if part.synthesis == Synthesis::Sounding => {
                fx.clear(Reason::TtsFirstByte);
                fx.timers().set(Reason::TtsStall, until.max(now).plus_ms(STALL_MS));
            }
            Some(part) if speech.watched != Some(part.number) => {
                speech.watched = Some(part.number);
                fx.clear(Reason::TtsStall);
                fx.timers().set(Reason::TtsFirstByte, first_byte);
            }
            Some(_) => {}
        }
    }

    /// Arms the deadline for the end of playback, once all sound is there.
    fn watch_playback(&self, fx: &mut Effects) {
        let Some(speech) = self.speech() else { return };
        if speech.ended && speech.parts.iter().all(|part| part.synthesis == Synthesis::Done) {
            let until = self.sound_until(speech, fx.now()).plus_ms(PLAYBACK_SLACK_MS);
            fx.timers().set(Reason::Playback, until);
        }
    }

    /// Milliseconds of an utterance that were sent, as far as is known.
    fn sent_ms(&self, utterance: Utterance) -> u32 {
        if self.playout.utterance == utterance { self.playout.sent_ms } else { 0 }
    }

    const fn speech(&self) -> Option<&Speech> {
        match &self.state {
            State::Speaking(speech) | State::Paused(speech, _) => Some(speech),
            State::Silent | State::Cutting(..) => None,
        }
    }

    const fn speech_mut(&mut self) -> Option<&mut Speech> {
        match &mut self.state {
            State::Speaking(speech) | State::Paused(speech, _) => Some(speech),
            State::Silent | State::Cutting(..) => None,
        }
    }
}

impl Speech {
    /// Whoever synthesises for it need not go on.
    fn stop_voices(&self, fx: &mut Effects) {
        for (_, index) in &self.voices {
            fx.command(Command::StopSpeaking { utterance: self.utterance, index: *index });
        }
    }
}
