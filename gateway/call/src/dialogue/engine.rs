//! A speech-to-speech engine in the place of ears, mind and mouth: it hears what the caller says, answers it and speaks. When
//! somebody has finished, who has the floor and what was heard is decided here as for any other agent, and the engine is
//! told; its tools are the call's own.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::Failure;
use trunkline_api::agent::{Limits, ProviderRef};
use trunkline_api::words::{Content, FinishReason, Message, Role, ToolDefinition};

use super::mouth::{Item, Line, Spoken};
use super::{Dialogue, Effects};
use crate::LINES;
use crate::command::Command;
use crate::input::{LlmEvent, RealtimeEvent};
use crate::providers::Providers;
use crate::spoken::{self, Synthesis, WHOLE, cut};
use crate::timers::Reason;
use crate::tokens;

/// Told to the engine that goes on with another's reply.
const GO_ON: &str = "Your reply broke off there. Go on with it and repeat nothing of it.";
/// Most items of one response.
const MAX_ITEMS: usize = 64;
/// Most inputs whose words are still waited for although they were answered.
const MAX_WORDLESS: usize = 16;
/// Most notes that an engine is given before it is asked.
const MAX_NOTES: usize = 16;

/// The agent's engines and the one in service.
#[derive(Debug)]
pub(super) struct Engine {
    engines: Providers,
    open_ms: u64,
    session: Option<Session>,
    last_session: u32,
    /// What it is to be told before it is asked.
    notes: Vec<String>,
    /// The session whose response called the tools of this round.
    caller: Option<u32>,
    /// Inputs that were answered and whose words are not known.
    pub(super) wordless: Vec<u32>,
    /// One is to be opened as soon as nothing is concealed.
    pub(super) waits: bool,
    /// The item that was heard whole last.
    last_whole: Option<u32>,
    /// The cascade stands in for engines that have failed.
    pub(super) cascade: bool,
}

/// A session with an engine.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u32,
    pub(super) index: usize,
    is_open: bool,
    /// What it was told of itself last.
    language: String,
    instructions: String,
    tools: Vec<ToolDefinition>,
    responses: Vec<Response>,
}

impl Session {
    /// Whether there is sound that was not played yet, since the caller spoke on.
    pub(super) fn holds_back(&self) -> bool {
        let items = self.responses.iter().flat_map(|response| &response.items);
        items.into_iter().any(|(_, stage)| *stage == Stage::Held)
    }
}

/// A response to what the caller said.
#[derive(Debug)]
struct Response {
    id: u32,
    done: bool,
    items: Vec<(Item, Stage)>,
}

impl Response {
    /// It is over: what of it was cut is told.
    fn tell_cut(&mut self, fx: &mut Effects, session: u32) {
        for (item, stage) in &mut self.items {
            if let Stage::Cut(heard_ms) = stage
                && let Some(heard_ms) = heard_ms.take()
            {
                fx.command(Command::Truncate { session, item: item.item, heard_ms });
            }
        }
    }
}

/// Where an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There are words of it and no sound.
    Silent,
    /// The caller speaks on: it is held back.
    Held,
    Played,
    /// It was stopped while the response was being made. The engine is told of it when that is over, since an item that
    /// still grows cannot be cut: it was heard for so long.
    Cut(Option<u32>),
}

impl Engine {
    pub(super) fn new(engines: &[ProviderRef], limits: &Limits) -> Self {
        Self {
            engines: Providers::new(engines),
            open_ms: u64::from(limits.llm_first_token_ms).max(100),
            session: None,
            last_session: 0,
            notes: Vec::new(),
            caller: None,
            wordless: Vec::new(),
            waits: false,
            last_whole: None,
            cascade: false,
        }
    }

    /// Whether the agent has none.
    pub(super) fn is_empty(&self) -> bool {
        self.engines.is_empty()
    }

    pub(super) const fn engines(&mut self) -> &mut Providers {
        &mut self.engines
    }

    /// Whether one is in service, or about to be.
    pub(super) const fn serves(&self) -> bool {
        self.session.is_some()
    }

    /// Whether it is there.
    pub(super) fn is_open(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_open)
    }

    /// Its place in the list.
    pub(super) fn index(&self) -> Option<usize> {
        self.session.as_ref().map(|session| session.index)
    }

    /// Nobody asks it any more. Returns its session.
    pub(super) fn take(&mut self) -> Option<Session> {
        self.last_whole = None;
        self.session.take()
    }

    /// Its response has called the tools that are about to run.
    pub(super) fn calls_tools(&mut self) {
        self.caller = self.session.as_ref().map(|session| session.id);
    }

    /// The words of an input are to be filled in once they are known.
    pub(super) fn owes_words(&mut self, input: u32) {
        if self.wordless.len() >= MAX_WORDLESS {
            self.wordless.remove(0);
        }
        self.wordless.push(input);
    }

    fn id(&self) -> u32 {
        self.session.as_ref().map_or(0, |session| session.id)
    }

    fn response(&mut self, response: u32) -> Option<&mut Response> {
        self.session.as_mut()?.responses.iter_mut().find(|known| known.id == response)
    }

    fn item(&mut self, item: u32) -> Option<&mut (Item, Stage)> {
        let responses = self.session.as_mut().into_iter().flat_map(|session| &mut session.responses);
        responses.flat_map(|response| &mut response.items).find(|(known, _)| known.item == item)
    }

    /// An item of a response that is still made.
    fn unfinished(&mut self, item: u32) -> Option<&mut (Item, Stage)> {
        let responses = self.session.as_mut().into_iter().flat_map(|session| &mut session.responses);
        let items = responses.filter(|response| !response.done).flat_map(|response| &mut response.items);
        items.into_iter().find(|(known, _)| known.item == item)
    }
}

impl Dialogue {
    /// Opens a session with the engine that should be in service, when there is one. After a failure the agent's lines need
    /// not wait for it.
    pub(super) fn open_engine(&mut self, fx: &mut Effects, after_failure: bool) {
        if self.engine.is_empty() || self.engine.serves() {
            return;
        }
        if self.is_concealed() {
            self.engine.waits = true;
            return;
        }
        self.engine.waits = false;
        let Some((index, provider)) = self.engine.engines.choose(fx.now()) else { return };
        let (language, instructions, tools) = self.told_of_itself(fx);
        let mut room = u64::from(self.spec.context.max_tokens).saturating_sub(tokens::of_text(&instructions));
        room = room.saturating_sub(tools.iter().map(tokens::of_tool).sum());
        self.memory.fit(room);
        let mut messages = self.memory.answered();
        if let Some(reply) = self.mind.reply().filter(|reply| !reply.broke_off.is_empty()) {
            messages.push(Message::text(Role::Assistant, reply.broke_off.clone()));
            messages.push(Message::text(Role::System, GO_ON));
        }
        self.engine.notes.clear();
        self.engine.last_session += 1;
        let session = self.engine.last_session;
        self.engine.session = Some(Session {
            id: session,
            index,
            is_open: false,
            language: language.clone(),
            instructions: instructions.clone(),
            tools: tools.clone(),
            responses: Vec::new(),
        });
        fx.command(Command::OpenRealtime { session, index, provider, language, instructions, messages, tools });
        fx.set_in(Reason::EngineOpen, self.engine.open_ms);
        self.mouth.by_engine(Some(session), after_failure);
    }

    /// An engine that could not be opened while something was concealed is opened now.
    pub(super) fn open_engine_that_waits(&mut self, fx: &mut Effects) {
        if std::mem::take(&mut self.engine.waits) {
            self.open_engine(fx, true);
            self.ears.by_engine(fx, self.engine.session.as_ref().map(|session| session.id), false);
        }
    }

    /// The caller's sound goes to the engine that was opened; `hears` says that it is to hear what is being said.
    pub(super) fn engine_hears(&mut self, fx: &mut Effects, hears: bool) {
        let session = self.engine.session.as_ref().map(|session| session.id);
        self.ears.by_engine(fx, session, hears);
    }

    /// Lets go of the engine: the call ends.
    pub(super) fn close_engine(&mut self, fx: &mut Effects) {
        self.engine.waits = false;
        fx.clear(Reason::EngineOpen);
        if let Some(session) = self.engine.take() {
            self.ears.by_engine(fx, None, false);
            self.mouth.by_engine(None, false);
            fx.command(Command::CloseRealtime { session: session.id });
        }
    }

    /// The conversation is another one than the engine knows.
    pub(super) fn engine_begins_anew(&mut self, fx: &mut Effects) {
        if self.engine.serves() {
            self.close_engine(fx);
            self.open_engine(fx, false);
            self.engine_hears(fx, false);
        }
    }

    /// The engine is to know something before it is asked next.
    pub(super) fn engine_learns(&mut self, what: &str) {
        if self.engine.serves() && self.engine.notes.len() < MAX_NOTES {
            self.engine.notes.push(what.to_owned());
        }
    }

    /// Has the engine answer.
    pub(super) fn ask_engine(&mut self, fx: &mut Effects) {
        self.settle_engine(fx);
        self.update_engine(fx);
        let session = self.engine.id();
        for note in std::mem::take(&mut self.engine.notes) {
            let message = Message::text(Role::User, note);
            fx.command(Command::AppendMessage { session, message });
        }
        let Some((response, tools)) = self.mind.ask_engine(fx, self.engine.is_open()) else { return };
        if let Some(session) = &mut self.engine.session {
            session.responses.push(Response { id: response, done: false, items: Vec::new() });
        }
        fx.command(Command::CreateResponse { session, response, say: None, tools });
        let provider = self.engine.index().map_or("", |index| self.engine.engines.name_of(index));
        let input = self.mind.reply().map(|reply| reply.shown.clone()).unwrap_or_default();
        let data = json!({ "provider": provider, "messages": self.memory.messages().count() });
        fx.words_event(EventType::LlmRequest, data, "input", vec![(input, WHOLE)]);
    }

    /// The engine reports something.
    pub(super) fn engine_told(&mut self, fx: &mut Effects, session: u32, event: RealtimeEvent) {
        if self.engine.id() != session || session == 0 {
            return;
        }
        match event {
            RealtimeEvent::Opened { says } => self.engine_opened(fx, says),
            RealtimeEvent::Heard { input, text, is_final } => self.engine_heard(fx, input, text, is_final),
            RealtimeEvent::Started { .. } => {}
            RealtimeEvent::Item { response, item } => self.engine_speaks(fx, response, item),
            RealtimeEvent::Text { response, item, text, until_ms } => {
                self.engine_words(fx, response, item, text, until_ms);
            }
            RealtimeEvent::ToolCall { response, call } => {
                let thought = self.mind.llm(fx, response, LlmEvent::ToolCall(call));
                self.thought(fx, thought);
            }
            RealtimeEvent::Done { response, reason } => self.engine_done(fx, response, reason),
            RealtimeEvent::Failed { failure, detail } => self.engine_lost(fx, failure, &detail, false),
            RealtimeEvent::Closed => {
                self.engine_lost(fx, Failure::EngineUnavailable, "the session ended by itself", false);
            }
        }
    }

    /// After every input: the engine is told of what nobody wants any more.
    pub(super) fn settle_engine(&mut self, fx: &mut Effects) {
        let Some(session) = &mut self.engine.session else { return };
        let (id, mind, mouth) = (session.id, &self.mind, &self.mouth);
        session.responses.retain_mut(|response| {
            let held = response.items.iter().any(|(_, stage)| *stage == Stage::Held);
            let wanted = if response.done {
                held && mind.is_held()
            } else {
                mind.wants_response(response.id) || mouth.wants_response(response.id)
            };
            if !wanted {
                if !response.done {
                    fx.command(Command::CancelResponse { session: id, response: response.id });
                }
                response.tell_cut(fx, id);
                for (item, _) in response.items.iter().filter(|(_, stage)| *stage == Stage::Held) {
                    fx.command(Command::Truncate { session: id, item: item.item, heard_ms: 0 });
                }
            }
            wanted
        });
        for response in self.mouth.unwanted_lines() {
            fx.command(Command::CancelResponse { session: id, response });
        }
    }

    /// The caller has nothing to say after all: what was held back is said.
    pub(super) fn play_held(&mut self, fx: &mut Effects) {
        let responses = self.engine.session.iter_mut().flat_map(|session| &mut session.responses);
        let items = responses.flat_map(|response| &mut response.items).filter(|(_, stage)| *stage == Stage::Held);
        let held: Vec<Item> = items
            .map(|(item, stage)| {
                *stage = Stage::Played;
                item.clone()
            })
            .collect();
        for item in held {
            self.play_item(fx, item);
        }
    }

    /// What an engine was saying is not said to its end, although the caller may have said nothing. Its response goes on
    /// unheard, for the tools that it may call: what would have been said yet is kept as text, further items are held back.
    pub(super) fn engine_goes_on_unheard(&mut self, fx: &mut Effects) {
        if !self.engine.serves() || !self.mind.waits_for_engine() {
            return;
        }
        let responses = self.engine.session.iter_mut().flat_map(|session| &mut session.responses);
        for (item, stage) in responses.filter(|response| !response.done).flat_map(|response| &mut response.items) {
            if *stage == Stage::Played && !self.mouth.says_item(item.item) {
                *stage = Stage::Cut(None);
            }
        }
        self.mind.engine_goes_on(fx);
    }

    /// An utterance is over: the engine is told what of it was not heard, and what others have said.
    pub(super) fn tell_engine(&mut self, fx: &mut Effects, spoken: &Spoken) {
        let session = self.engine.id();
        if session == 0 {
            return;
        }
        self.settle_engine(fx);
        let concealed = self.is_concealed();
        for (part, share) in &spoken.parts {
            match &part.item {
                Some(known) if known.is_of(session) => {
                    let Some(item) = known.item else { continue };
                    let all = part.synthesis == Synthesis::Done && known.heard_ms >= part.audio_ms;
                    if all && *share == WHOLE && !known.shortened {
                        self.engine.last_whole = Some(item);
                    } else if let Some((_, Stage::Cut(heard_ms))) = self.engine.unfinished(item) {
                        *heard_ms = Some(known.heard_ms);
                    } else {
                        fx.command(Command::Truncate { session, item, heard_ms: known.heard_ms });
                    }
                }
                Some(_) => {}
                None if part.aside || part.pause || concealed => {}
                None => {
                    let (said, _) = cut(&part.text, *share);
                    if !said.is_empty() {
                        let message = Message::text(Role::Assistant, said);
                        fx.command(Command::AppendMessage { session, message });
                    }
                }
            }
        }
    }

    /// The tools of a round have answered, and the conversation holds it: the engine is told.
    pub(super) fn tell_results(&mut self, fx: &mut Effects) {
        let session = self.engine.id();
        let ours = self.engine.caller.take() == Some(session);
        if session == 0 {
            return;
        }
        for mut message in self.memory.last_round() {
            if !ours {
                // It is not the engine that called them.
                message.content.retain(|content| !matches!(content, Content::Text(_)));
                fx.command(Command::AppendMessage { session, message });
                continue;
            }
            for content in message.content {
                if let Content::ToolResult { call_id, output } = content {
                    fx.command(Command::ToolResult { session, call_id, output });
                }
            }
        }
    }

    fn engine_opened(&mut self, fx: &mut Effects, says: bool) {
        let Some(session) = self.engine.session.as_mut().filter(|session| !session.is_open) else { return };
        session.is_open = true;
        fx.clear(Reason::EngineOpen);
        self.mouth.engine_opened(fx, says);
        self.mind.engine_opened(fx);
    }

    /// The first sound of an item is there.
    fn engine_speaks(&mut self, fx: &mut Effects, response: u32, item: u32) {
        let index = self.engine.index().unwrap_or_default();
        if response > LINES {
            if self.mouth.line_sounds(fx, response, item) {
                self.engine.engines.succeeded(index);
            }
            return;
        }
        let wanted = self.mind.wants_response(response);
        let held = self.mind.is_held();
        let Some(known) = self.engine.response(response).filter(|known| wanted && !known.done) else {
            // Nobody hears it.
            if self.engine.item(item).is_none() && self.mouth.words_of(item).is_none() {
                let session = self.engine.id();
                fx.command(Command::Truncate { session, item, heard_ms: 0 });
            }
            return;
        };
        let at = match known.items.iter().position(|(known, _)| known.item == item) {
            Some(at) if known.items[at].1 != Stage::Silent => return,
            Some(at) => at,
            None if known.items.len() >= MAX_ITEMS => return,
            None => {
                known.items.push((Item { response, item, words: Vec::new() }, Stage::Silent));
                known.items.len() - 1
            }
        };
        let (item, stage) = &mut known.items[at];
        *stage = if held { Stage::Held } else { Stage::Played };
        let item = item.clone();
        self.engine.engines.succeeded(index);
        self.mind.engine_speaks(fx, response);
        self.model_is_alive(fx);
        if !held {
            self.play_item(fx, item);
        }
    }

    fn play_item(&mut self, fx: &mut Effects, item: Item) {
        let protected = item.words.iter().any(|(text, _)| self.is_protected(text));
        let line = Line {
            text: String::new(),
            prompt: String::new(),
            pieces: Vec::new(),
            language: self.language.clone(),
            aside: false,
            protected: false,
            item: Some(item),
        };
        self.mouth.say(fx, line);
        if protected {
            self.mouth.protect();
        }
    }

    /// More of what the engine says.
    fn engine_words(&mut self, fx: &mut Effects, response: u32, item: u32, text: String, until_ms: Option<u32>) {
        if let Some((_, Stage::Cut(_))) = self.engine.item(item) {
            // What would have been heard of it is said as text, if the caller has said nothing.
            let thought = self.mind.llm(fx, response, LlmEvent::TextDelta(text));
            self.thought(fx, thought);
            return;
        }
        if let Some((known, stage)) = self.engine.item(item)
            && *stage != Stage::Played
        {
            let bytes: usize = known.words.iter().map(|(text, _)| text.len()).sum();
            if bytes + text.len() <= crate::engine_speech::MAX_ITEM_BYTES {
                known.words.push((text, until_ms));
            }
            return;
        }
        if self.mouth.engine_words(fx, item, &text, until_ms) {
            if self.mouth.words_of(item).is_some_and(|words| self.is_protected(words)) {
                self.mouth.protect();
            }
            return;
        }
        if self.engine.last_whole == Some(item) {
            // All of its sound was heard.
            if self.memory.goes_on_saying(&text) {
                self.minutes.agent(text.trim());
            }
            return;
        }
        if response < LINES
            && let Some(known) = self.engine.response(response).filter(|known| !known.done)
            && known.items.len() < MAX_ITEMS
        {
            // Its sound follows.
            known.items.push((Item { response, item, words: vec![(text, until_ms)] }, Stage::Silent));
        }
    }

    fn engine_done(&mut self, fx: &mut Effects, response: u32, reason: FinishReason) {
        if response > LINES {
            let voiced = self.mouth.line_done(response);
            self.voiced(fx, voiced);
            return;
        }
        let (wanted, session) = (self.mind.wants_response(response), self.engine.id());
        match self.engine.response(response) {
            Some(known) if !known.done => {
                known.done = true;
                known.tell_cut(fx, session);
            }
            Some(_) | None => return,
        }
        if !wanted {
            return;
        }
        if self.mind.is_unanswered(response) && reason != FinishReason::Stop {
            let detail = format!("an empty response ({reason:?})");
            self.engine_lost(fx, Failure::EngineUnavailable, &detail, true);
            return;
        }
        if let Some(index) = self.engine.index() {
            self.engine.engines.succeeded(index);
        }
        let thought = self.mind.llm(fx, response, LlmEvent::Finished(reason));
        self.thought(fx, thought);
    }

    /// Tells the engine what it is to know of itself, where that has changed.
    fn update_engine(&mut self, fx: &mut Effects) {
        let told = self.told_of_itself(fx);
        let Some(session) = &mut self.engine.session else { return };
        if (&session.language, &session.instructions, &session.tools) == (&told.0, &told.1, &told.2) {
            return;
        }
        (session.language, session.instructions, session.tools) = told.clone();
        let (session, (language, instructions, tools)) = (session.id, told);
        fx.command(Command::Update { session, language, instructions, tools });
    }

    fn told_of_itself(&self, fx: &Effects) -> (String, String, Vec<ToolDefinition>) {
        let mut instructions = self.with_variables(fx.now(), &self.spec.prompt);
        spoken::join(&mut instructions, &self.memory.preface());
        (self.language.clone(), instructions, self.all_definitions())
    }
}
