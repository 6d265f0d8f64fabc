//! An engine speaks: lines that it is asked to say word by word, and what it says of its own, of which there is sound before
//! there are words. All of it is parts of utterances like any other.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_leg::Utterance;

use super::{Item, Line, Mouth, Speaker, Spoken, State, Voiced};
use crate::command::Command;
use crate::effects::Effects;
use crate::engine_speech::{ItemSpeech, MAX_ITEM_BYTES};
use crate::sentence::Sentences;
use crate::speech::{Piece, Words};
use crate::spoken::{self, Part, Synthesis, WHOLE};
use crate::{ENGINES, LINES};

impl Mouth {
    /// An engine speaks from now on, in that session, or none any more.
    /// While it is not there and `others_say`, synthesisers say the agent's lines, where there are any.
    pub(crate) fn by_engine(&mut self, session: Option<u32>, others_say: bool) {
        let says = (others_say && self.has_synthesiser()).then_some(false);
        self.lines.clear();
        self.engine = session.map(|session| Speaker { session, says });
    }

    /// The engine is gone, and with it the sound of what it was to say later. An answer that is still `owed` is made anew; the
    /// words of one that was whole are said by others.
    pub(crate) fn loses_later(&mut self, owed: bool) {
        self.later.retain_mut(|line| {
            let Some(item) = line.item.take() else { return true };
            let mut text = String::new();
            for (words, _) in &item.words {
                spoken::join(&mut text, words);
            }
            line.pieces = vec![Piece::Words(Words { written: text.clone(), spoken: None, language: String::new() })];
            (line.prompt, line.text) = (text.clone(), text);
            !owed && line.pieces.iter().any(Piece::is_speakable)
        });
        self.later_ended &= !self.later.is_empty();
    }

    /// The engine is there: lines that waited for it are said, by it or by a synthesiser.
    pub(crate) fn engine_opened(&mut self, fx: &mut Effects, says: bool) {
        if let Some(engine) = &mut self.engine {
            engine.says = Some(says);
        }
        let waits = |part: &Part| part.item.as_ref().is_some_and(|item| item.response == 0);
        if self.speech().is_some_and(|speech| speech.parts.iter().any(waits)) {
            self.carry_on(fx);
        }
    }

    /// Whether the engine in service is one that says a line of that kind: what is said because it is late it cannot say.
    pub(super) fn says_by_engine(&self, line: &Line) -> bool {
        let Some(engine) = self.engine else { return false };
        !line.aside && (engine.says != Some(false) || !self.has_synthesiser())
    }

    /// Whether a response is still wanted.
    pub(crate) fn wants_response(&self, response: u32) -> bool {
        let parts = self.speech().into_iter().flat_map(|speech| &speech.parts);
        let open = |part: &Part| part.synthesis != Synthesis::Done;
        parts.filter(|part| open(part)).filter_map(|part| part.item.as_ref()).any(|item| item.response == response)
            || self.later.iter().filter_map(|line| line.item.as_ref()).any(|item| item.response == response)
    }

    /// Lines of the agent's own that the engine has been asked for and has not begun.
    pub(crate) fn has_line(&self, response: u32) -> bool {
        let parts = self.speech().into_iter().flat_map(|speech| &speech.parts);
        let of = |part: &Part| part.item.as_ref().is_some_and(|item| item.response == response && item.item.is_none());
        response > LINES && parts.into_iter().any(of)
    }

    /// The first sound of a line is there; false when it is of none that is being said.
    pub(crate) fn line_sounds(&mut self, fx: &mut Effects, response: u32, item: u32) -> bool {
        let Some(speech) = self.speech_mut() else { return false };
        let of =
            |part: &&mut Part| part.item.as_ref().is_some_and(|item| item.response == response && item.item.is_none());
        let Some(part) = speech.parts.iter_mut().find(of) else { return false };
        let Some(known) = &mut part.item else { return false };
        known.item = Some(item);
        self.play_items(fx);
        true
    }

    /// Has items played, in their order: one that comes too soon waits for those before it.
    fn play_items(&mut self, fx: &mut Effects) {
        let Some(speech) = self.speech_mut() else { return };
        let utterance = speech.utterance;
        for part in &mut speech.parts {
            let (number, Some(known)) = (part.number, &mut part.item) else { continue };
            let Some(item) = known.item else { break };
            if !std::mem::replace(&mut known.is_played, true) {
                speech.known = true;
                fx.command(Command::PlayItem { utterance, part: number, session: known.session, item });
            }
        }
        self.send_end(fx);
    }

    /// Lines that the engine was asked for and that nobody wants any more.
    pub(crate) fn unwanted_lines(&mut self) -> Vec<u32> {
        let lines = std::mem::take(&mut self.lines);
        let of = |part: &Part, line: u32| part.item.as_ref().is_some_and(|item| item.response == line);
        let said = |line: u32| self.speech().is_some_and(|speech| speech.parts.iter().any(|part| of(part, line)));
        let (wanted, unwanted) = lines.into_iter().partition(|line| said(*line));
        self.lines = wanted;
        unwanted
    }

    /// Others go on with what an engine that is gone has not said. What becomes of an utterance of which nothing is left.
    pub(crate) fn goes_on(&mut self, fx: &mut Effects) -> Option<Spoken> {
        let is_known = self.speech().is_some_and(|speech| speech.known);
        if !is_known || self.engine.is_none_or(|engine| engine.says.is_some()) {
            self.carry_on(fx);
        } else if let Some(missing) = self.break_off(fx) {
            // The leg may have come to the end of what it has before the next engine is there.
            let lines = missing.into_iter().filter(|part| !part.pause).map(|part| self.line_of(part));
            let ended = self.has_ended();
            let mut later: Vec<Line> = lines.collect();
            if !later.is_empty() {
                (self.later_ended, later) = (ended || self.later_ended, {
                    later.append(&mut self.later);
                    later
                });
                self.later = later;
                self.end_utterance(fx);
            }
            self.send_end(fx);
            self.watch_synthesis(fx);
        }
        if self.speech().is_none_or(|speech| !speech.parts.is_empty()) {
            return None;
        }
        if let Some(speech) = self.speech_mut() {
            speech.ended = true;
        }
        self.send_end(fx);
        let now = fx.now();
        self.whole(fx, now)
    }

    /// What a part says, to be said as a line.
    fn line_of(&self, part: Part) -> Line {
        let words = Words { written: part.text.clone(), spoken: None, language: String::new() };
        Line {
            prompt: part.prompt.unwrap_or_else(|| part.text.clone()),
            text: part.text,
            pieces: vec![Piece::Words(words)],
            language: self.voices.language(part.list).to_owned(),
            aside: part.aside,
            protected: self.is_protected(),
            item: None,
        }
    }

    /// The engine has made a line; without sound that is a failure.
    pub(crate) fn line_done(&mut self, response: u32) -> Voiced {
        self.lines.retain(|line| *line != response);
        let session = self.engine.map_or(0, |engine| engine.session);
        if !self.has_line(response) {
            return Voiced::Nothing;
        }
        let detail = "a line was made without sound".to_owned();
        Voiced::Lost { index: ENGINES + session as usize, failure: trunkline_api::Failure::EngineUnavailable, detail }
    }

    /// More of what the engine says; false when nothing of that item is being said or to be said.
    pub(crate) fn engine_words(&mut self, fx: &mut Effects, item: u32, text: &str, until_ms: Option<u32>) -> bool {
        let session = self.engine.map_or(0, |engine| engine.session);
        if let Some(line) = self.later.iter_mut().find_map(|line| line.item.as_mut().filter(|known| known.item == item))
        {
            line.words.push((text.to_owned(), until_ms));
            return true;
        }
        let Some(speech) = self.speech_mut() else { return false };
        let utterance = speech.utterance;
        let of =
            |part: &&mut Part| part.item.as_ref().is_some_and(|known| known.is_of(session) && known.item == Some(item));
        let Some(part) = speech.parts.iter_mut().find(of) else { return false };
        let Some(known) = part.item.as_mut() else { return false };
        if known.is_line() || known.shortened || part.text.len() + text.len() > MAX_ITEM_BYTES {
            return true;
        }
        part.text.push_str(text);
        known.told(part.text.len(), until_ms);
        let mut whole = Vec::new();
        known.untold.push(text, |sentence| whole.push(sentence));
        for sentence in whole {
            self.tell_said(fx, utterance, sentence.trim().to_owned());
        }
        true
    }

    /// What is being said must be heard to its end.
    pub(crate) const fn protect(&mut self) {
        if let Some(speech) = self.speech_mut() {
            speech.protected = true;
        }
    }

    /// Whether more of an item is heard when there is more.
    pub(crate) fn says_item(&self, item: u32) -> bool {
        let (State::Speaking(speech) | State::Paused(speech, _)) = &self.state else { return false };
        let mut items = speech.parts.iter().filter_map(|part| part.item.as_ref());
        items.any(|known| known.item == Some(item) && !known.shortened)
    }

    /// What an item says so far, when it is being said.
    pub(crate) fn words_of(&self, item: u32) -> Option<&str> {
        let mut parts = self.speech().into_iter().flat_map(|speech| &speech.parts);
        let of = |part: &&Part| part.item.as_ref().is_some_and(|known| known.item == Some(item));
        parts.find(of).map(|part| part.text.as_str())
    }

    /// Asks the engine for a line, or has it wait for one that is not there yet.
    pub(super) fn ask_for_line(&mut self, fx: &mut Effects, mut part: Part) {
        let ready = self.engine.filter(|engine| engine.says.is_some());
        let mut speech = ItemSpeech::line(0, 0);
        if let Some(Speaker { session, .. }) = ready {
            self.last_line += 1;
            speech = ItemSpeech::line(session, self.last_line);
            self.lines.push(self.last_line);
            part.index = ENGINES + session as usize;
            let say = Some(part.words().to_owned());
            fx.command(Command::CreateResponse { session, response: speech.response, say, tools: false });
        } else {
            part.index = usize::MAX;
        }
        part.item = Some(Box::new(speech));
        if let Some(speech) = self.speech_mut() {
            speech.parts.push(part);
        }
    }

    /// Has the sound of an item played behind what is being said.
    pub(super) fn play_item(&mut self, fx: &mut Effects, item: Item) {
        let Some(Speaker { session, .. }) = self.engine else { return };
        let Some(speech) = self.speech_mut() else { return };
        let Item { response, item, words } = item;
        let number = speech.next_part;
        speech.next_part += 1;
        let index = ENGINES + session as usize;
        let known = Some(Box::new(ItemSpeech::reply(session, response, item)));
        speech.parts.push(Part { index, item: known, ..Part::new(number, String::new(), false) });
        self.play_items(fx);
        for (text, until_ms) in words {
            self.engine_words(fx, item, &text, until_ms);
        }
        self.watch_synthesis(fx);
    }

    /// Tells the timeline of words that are being said.
    pub(super) fn tell_said(&mut self, fx: &mut Effects, utterance: Utterance, text: String) {
        if let Some(speech) = self.speech_mut() {
            speech.told = true;
        }
        fx.words_event(EventType::AgentSaid, json!({ "utterance": utterance }), "text", vec![(text, WHOLE)]);
    }

    /// The utterance is over: tells of the words that were no whole sentence, or that there were none.
    pub(super) fn tell_rest(&mut self, fx: &mut Effects) {
        let (State::Speaking(speech) | State::Paused(speech, _) | State::Cutting(speech, _)) = &mut self.state else {
            return;
        };
        let (utterance, turn) = (speech.utterance, speech.turn);
        let items = speech.parts.iter_mut().filter_map(|part| part.item.as_mut());
        let mut rests: Vec<String> = items.filter_map(|item| item.untold.flush()).collect();
        if rests.is_empty() && !std::mem::replace(&mut speech.told, true) {
            rests.push(String::new());
        }
        for rest in rests {
            let (now, data) = (fx.now(), json!({ "utterance": utterance }));
            fx.words_event_at(now, turn, EventType::AgentSaid, data, "text", vec![(rest.trim().to_owned(), WHOLE)]);
        }
    }
}

/// Lets the speech of an engine end with the sentence that is being said, as far as its words are known; returns those that
/// are not said then.
pub(super) fn end_with_sentence(fx: &mut Effects, utterance: Utterance, part: &mut Part, sent_ms: u32) -> String {
    let ends = |text: &str| {
        let (mut sentences, mut whole) = (Sentences::new(false), 0);
        let mut ends = Vec::new();
        for (at, letter) in text.char_indices() {
            sentences.push(&text[at..at + letter.len_utf8()], |_| whole += 1);
            if whole > ends.len() {
                ends.push(at);
            }
        }
        ends
    };
    let end = ends(&part.text).into_iter().find(|end| part.ms_of(*end) > sent_ms);
    let Some(end) = end else { return String::new() };
    let at_ms = part.ms_of(end);
    if part.synthesis == Synthesis::Done && at_ms >= part.audio_ms {
        return String::new();
    }
    let rest = part.text.split_off(end).trim().to_owned();
    part.audio_ms = part.audio_ms.min(at_ms);
    if let Some(item) = &mut part.item {
        item.shortened = true;
        item.untold.flush();
    }
    fx.command(Command::EndPart { utterance, part: part.number, at_ms });
    rest
}
