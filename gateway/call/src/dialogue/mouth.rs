//! Speaking: one utterance at a time, made of parts that are synthesised one by one. It is silent, speaks, is paused, or
//! waits to be told what of it was sent before it was cut; it is never two of these.

mod by_engine;
mod outcome;
mod synthesis;

use std::collections::{BTreeMap, BTreeSet};

use trunkline_api::Failure;
use trunkline_api::agent::ProviderRef;
use trunkline_api::survival::MOST_FIXED_LINES as MAX_PROMPTS;
use trunkline_leg::{CallTime, PlayoutPosition, Utterance};

use super::voices::Voices;
use crate::LINES;
use crate::command::Command;
use crate::effects::Effects;
use crate::engine_speech::ItemSpeech;
use crate::speech::{Piece, Words};
use crate::spoken::{self, Pace, Part, Synthesis};
use crate::timers::{Reason, Still};

/// Most parts of one utterance; more text is dropped.
const MAX_PARTS: usize = 256;
/// Most lines that wait for the utterance before theirs.
const MAX_LATER: usize = 64;
/// What is left of sound that is as good as heard, since what is sent is not known to the millisecond.
const LAST_MS: u64 = 100;
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
    /// It is what an engine says.
    pub(crate) item: Option<Item>,
}

impl Line {
    /// What is said, as far as it is known.
    fn words(&self) -> String {
        let mut words = self.text.clone();
        for (text, _) in self.item.iter().flat_map(|item| &item.words) {
            words.push_str(text);
        }
        words
    }
}

/// What an engine says, of which there is sound before there are words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Item {
    pub(crate) response: u32,
    pub(crate) item: u32,
    /// Words that are known already, each with the end of its sound where that is known.
    pub(crate) words: Vec<(String, Option<u32>)>,
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
    /// The timeline was told some of its words.
    told: bool,
    /// The leg was told some of its parts.
    known: bool,
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
    /// The engine that speaks.
    engine: Option<Speaker>,
    last_line: u32,
    /// Lines that it was asked for and has not made.
    lines: Vec<u32>,
}

/// An engine that speaks.
#[derive(Debug, Clone, Copy)]
struct Speaker {
    session: u32,
    /// It is there, and says lines word by word or does not.
    says: Option<bool>,
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
            engine: None,
            last_line: LINES,
            lines: Vec::new(),
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
        self.engine.is_some() || self.has_synthesiser()
    }

    /// Whether there is one beside an engine.
    pub(crate) fn has_synthesiser(&self) -> bool {
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
        let silent = !self.has_synthesiser() || !self.voices.any_up(now);
        self.prompts.texts.contains(text) && (self.prompts.always || silent)
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
        let silent = speech.parts.iter().all(|part| (part.audio_ms == 0 && part.item.is_none()) || part.pause);
        let list = speech.parts.iter().find(|part| part.synthesis != Synthesis::Done).map_or(0, |part| part.list);
        (silent && self.voices.has_next(list, now)).then_some(speech.asked)
    }

    /// Whether it should be speaking and has no sound left.
    pub(crate) fn is_mute(&self, now: CallTime) -> bool {
        let over = |speech: &Speech| speech.until <= now && self.sound_until(speech, now) <= now.plus_ms(LAST_MS);
        self.owes_sound() && self.speech().is_some_and(over)
    }

    /// When a voice was asked for what there is no sound of yet.
    pub(crate) fn asked_for_sound(&self) -> Option<CallTime> {
        self.speech().filter(|_| self.owes_sound()).map(|speech| speech.asked)
    }

    /// Whether there is something to be said of which there is no sound yet.
    pub(crate) fn owes_sound(&self) -> bool {
        let owes = |speech: &Speech| speech.parts.iter().any(|part| part.synthesis != Synthesis::Done);
        matches!(&self.state, State::Speaking(speech) if owes(speech))
    }

    /// What waited, for whatever was in front of it, is heard from now on.
    pub(crate) fn is_heard_again(&mut self, now: CallTime) {
        let until = self.speech().map(|speech| self.sound_until(speech, now));
        if let (Some(until), Some(speech)) = (until, self.speech_mut()) {
            speech.until = until;
        }
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

    /// Says a line behind what is being said already. Text without a letter or digit is nothing to say, and silence is
    /// none before the first word.
    pub(crate) fn say(&mut self, fx: &mut Effects, line: Line) {
        let pauses = !self.is_silent() && !line.pieces.is_empty();
        if line.item.is_none() && !line.pieces.iter().any(Piece::is_speakable) && !pauses {
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
            spoken::join(&mut unsaid, &line.words());
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
            if let Some(current) = current {
                let begin_ms: u32 = speech.parts[..current].iter().map(|part| part.audio_ms).sum();
                let utterance = speech.utterance;
                if let Some(part) = speech.parts.get_mut(current).filter(|part| part.item.is_some()) {
                    rest = by_engine::end_with_sentence(fx, utterance, part, sent_ms.saturating_sub(begin_ms));
                }
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
            spoken::join(&mut rest, &line.words());
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

    fn speak(&mut self, fx: &mut Effects, line: Line) {
        let by_engine = line.item.is_none() && self.says_by_engine(&line);
        let plays = !by_engine && line.item.is_none() && self.plays(fx.now(), &line.prompt);
        if !plays && !by_engine && line.item.is_none() && !self.has_synthesiser() {
            return;
        }
        if self.is_silent() {
            if line.item.is_none() && !line.pieces.iter().any(Piece::is_speakable) {
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
                told: false,
                known: false,
                started: None,
                turn: fx.turn(),
                watched: None,
                until: CallTime::ZERO,
                asked: fx.now(),
            });
        }
        let Line { text, prompt, pieces, language, aside, item, .. } = line;
        let Some(speech) = self.speech().filter(|speech| speech.parts.len() < MAX_PARTS) else { return };
        let utterance = speech.utterance;
        let unfinished = text.ends_with([',', ';', ':', '–', '—']);
        let last = pieces.iter().rposition(|piece| matches!(piece, Piece::Words(_)));
        let speaks = pieces.iter().any(Piece::is_speakable);
        if let Some(item) = item {
            self.play_item(fx, item);
            return;
        }
        if plays || by_engine {
            let list = self.voices.list(&language);
            let item = by_engine.then(|| Box::new(ItemSpeech::line(0, 0)));
            self.hand_over(fx, Part { list, prompt: Some(prompt), item, ..Part::new(0, text.clone(), aside) });
            self.tell_said(fx, utterance, text);
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
            self.tell_said(fx, utterance, text);
        }
        self.watch_synthesis(fx);
    }

    fn end_utterance(&mut self, fx: &mut Effects) {
        if let State::Speaking(speech) | State::Paused(speech, _) = &mut self.state
            && !speech.ended
        {
            speech.ended = true;
            self.send_end(fx);
            self.watch_playback(fx);
        }
    }

    /// Tells that no part follows, once the leg has been told of every part.
    fn send_end(&self, fx: &mut Effects) {
        let told = |part: &Part| part.item.as_ref().is_none_or(|item| item.is_played);
        if let Some(speech) = self.speech().filter(|speech| speech.ended && speech.parts.iter().all(told)) {
            fx.command(Command::EndUtterance { utterance: speech.utterance });
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
