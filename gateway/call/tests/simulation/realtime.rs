//! Speech-to-speech engines by seed: they open or do not, hear late or never, speak, call tools, stall, break off, say things
//! twice, out of order, late and of nothing that was asked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use trunkline_api::Failure;
use trunkline_api::usage::Units;
use trunkline_api::words::{FinishReason, ProviderKind, ToolCall};
use trunkline_call::{Command, ENGINES, Input, LINES, LlmEvent, RealtimeEvent};
use trunkline_leg::CallTime;

use crate::leg::Sound;
use crate::providers;
use crate::random::Random;
use crate::thinking;
use crate::world::{Due, MS_PER_CHAR, World};

/// Apart from the calls' own randomness, so that those of other agents stay what they were.
const APART: u64 = 0x0e06_11e5_0000_0001;
/// Of the specs that calls take turns with, those that are of engines.
const OF_ENGINES: std::ops::Range<u64> = 60..84;

/// Makes an agent one of engines, where its turn has come.
pub(crate) fn choose(spec: &mut Value, seed: u64) {
    if !OF_ENGINES.contains(&seed) {
        return;
    }
    let mut random = Random::new(seed ^ APART);
    let engines: Vec<Value> =
        (0..random.between(1, 3)).map(|index| json!({ "provider": format!("engine-{index}") })).collect();
    let cascade = spec["pipeline"]["cascade"].clone();
    spec["pipeline"] = json!({ "realtime": { "engines": engines } });
    if random.percent(60) {
        spec["pipeline"]["realtime"]["cascade"] = cascade;
    }
    let spec = spec.as_object_mut().unwrap();
    for with_words in ["guardrails", "handoff"] {
        spec.remove(with_words);
    }
    if let Some(context) = spec.get_mut("context") {
        context["summarize"] = json!(false);
    }
    if let Some(lookup) = spec.get_mut("lookup") {
        lookup["mode"] = json!("on_demand");
    }
    let channels = spec["redaction"]["channels"].as_array_mut().unwrap();
    channels.retain(|channel| channel == "transcript");
}

/// A step of a session.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Opens,
    Says(RealtimeEvent),
    /// So much sound of an item there is, and no more when it is complete.
    Made {
        response: u32,
        item: u32,
        ms: u64,
        done: bool,
    },
    /// What it is asked for it does not do: it dies.
    Dies,
}

/// A session.
#[derive(Debug)]
struct Session {
    ill: bool,
    opens: bool,
    says: bool,
    open: bool,
    responses: BTreeSet<u32>,
    cancelled: BTreeSet<u32>,
    /// Items that were told of, and those that are played.
    items: BTreeMap<u32, Item>,
    begun: Option<(u32, CallTime)>,
    last_item: u32,
}

#[derive(Debug, Default)]
struct Item {
    ms: u64,
    done: bool,
    plays: Option<(u32, u32)>,
}

/// All of a call's sessions.
#[derive(Debug)]
pub(crate) struct Engines {
    ill: Vec<bool>,
    sessions: BTreeMap<u32, Session>,
    /// Where parts of utterances end sooner than their sound.
    pub(crate) ends: BTreeMap<(u32, u32), u64>,
}

impl Engines {
    /// One call in three meets engines that are ill.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ APART);
        let sick = random.percent(35);
        let ill = (0..8).map(|_| sick && random.percent(60)).collect();
        Self { ill, sessions: BTreeMap::new(), ends: BTreeMap::new() }
    }

    /// Whether any owes a response.
    pub(crate) fn think(&self) -> bool {
        self.sessions.values().any(|session| session.open && !session.responses.is_empty())
    }

    pub(crate) fn are_closed(&self) {
        let open: Vec<&u32> = self.sessions.iter().filter(|(_, session)| session.open).map(|(id, _)| id).collect();
        assert!(open.is_empty(), "sessions with engines were left open: {open:?}");
    }

    fn of(&mut self, session: u32) -> &mut Session {
        let session = self.sessions.get_mut(&session).expect("a session that was never opened");
        assert!(session.open, "a session that is closed is asked");
        session
    }
}

impl World {
    pub(crate) fn carry_out_engine(&mut self, command: Command) {
        match command {
            Command::OpenRealtime { session, index, messages, .. } => {
                assert!(self.engines.sessions.values().all(|session| !session.open), "two engines at once");
                assert!(messages.iter().all(|message| !message.content.is_empty()), "an empty message");
                let ill = self.engines.ill[index];
                let fate = self.random.below(10);
                let says = self.random.percent(75);
                let opened = Session {
                    ill,
                    opens: true,
                    says,
                    open: true,
                    responses: BTreeSet::new(),
                    cancelled: BTreeSet::new(),
                    items: BTreeMap::new(),
                    begun: None,
                    last_item: 1000 * session,
                };
                self.engines.sessions.insert(session, opened);
                match fate {
                    0..=1 if ill => {}
                    2..=3 if ill => self.engine_in(10, session, Step::Dies),
                    4..=6 if ill => {
                        let (opens, dies) = (self.random.between(20, 900), self.random.between(300, 20_000));
                        self.engine_in(opens, session, Step::Opens);
                        self.engine_in(dies.max(opens), session, Step::Dies);
                    }
                    _ => {
                        let opens = self.random.between(20, 600);
                        self.engine_in(opens, session, Step::Opens);
                        if self.random.percent(3) {
                            self.engine_in(opens + 50, session, Step::Opens);
                        }
                    }
                }
            }
            Command::Update { session, .. } | Command::AppendMessage { session, .. } => {
                self.engines.of(session);
            }
            Command::ToolResult { session, .. } => {
                self.engines.of(session);
            }
            Command::BeginInput { session, input, from } => {
                let now = self.now;
                let session = self.engines.of(session);
                assert!(session.begun.is_none() && from <= now, "two inputs at once");
                session.begun = Some((input, from));
            }
            Command::DropInput { session, input } => {
                let begun = self.engines.of(session).begun.take();
                assert_eq!(begun.map(|(begun, _)| begun), Some(input), "an input that was not begun is dropped");
            }
            Command::CommitInput { session, input } => self.commit(session, input),
            Command::CreateResponse { session, response, say, tools } => self.respond(session, response, say, tools),
            Command::CancelResponse { session, response } => {
                let session = self.engines.of(session);
                assert!(session.cancelled.insert(response), "cancelled twice");
                session.responses.remove(&response);
            }
            Command::PlayItem { utterance, part, session, item } => {
                if self.leg.utterance != utterance {
                    let now = self.now;
                    self.leg.begin(now, utterance);
                }
                let known = self.engines.of(session).items.get_mut(&item).expect("sound that nobody told of is played");
                assert!(known.plays.replace((utterance, part)).is_none(), "an item is played twice");
                let (made_ms, done) = (known.ms, known.done);
                let index = ENGINES + session as usize;
                self.leg.sounds.push_back(Sound { part, index, made_ms: 0, done: false, pause: false });
                if made_ms > 0 || done {
                    self.push_in(0, Due::Sound { utterance, part, index, made_ms, done });
                }
            }
            Command::EndPart { utterance, part, at_ms } => {
                self.engines.ends.insert((utterance, part), u64::from(at_ms));
                if self.leg.utterance == utterance
                    && let Some(sound) = self.leg.sounds.iter_mut().find(|sound| sound.part == part)
                    && sound.made_ms >= u64::from(at_ms)
                {
                    let (index, was_done) = (sound.index, sound.done);
                    (sound.made_ms, sound.done) = (u64::from(at_ms), was_done);
                    if !was_done {
                        let (made_ms, done) = (u64::from(at_ms), true);
                        self.push_in(0, Due::Sound { utterance, part, index, made_ms, done });
                    }
                    self.look();
                }
            }
            Command::Truncate { session, item, heard_ms } => self.truncated(session, item, u64::from(heard_ms)),
            Command::CloseRealtime { session } => self.engines.of(session).open = false,
            command => panic!("no command of an engine: {command:?}"),
        }
    }

    pub(crate) fn engine_step(&mut self, id: u32, step: Step) {
        let Some(session) = self.engines.sessions.get_mut(&id).filter(|session| session.open) else { return };
        let event = match step {
            Step::Opens => {
                let opened = RealtimeEvent::Opened { says: session.says };
                session.opens = true;
                opened
            }
            Step::Dies => {
                session.open = false;
                if id.is_multiple_of(2) {
                    RealtimeEvent::Closed
                } else {
                    RealtimeEvent::Failed { failure: Failure::ProviderProtocol, detail: "no".to_owned() }
                }
            }
            Step::Made { response, item, ms, done } => {
                if session.cancelled.contains(&response) {
                    return;
                }
                let known = session.items.entry(item).or_default();
                (known.ms, known.done) = (known.ms.max(ms), known.done || done);
                if let Some((utterance, part)) = known.plays {
                    let (made_ms, done, index) = (known.ms, known.done, ENGINES + id as usize);
                    self.sound(utterance, part, index, made_ms, done);
                }
                return;
            }
            Step::Says(event) => {
                match &event {
                    RealtimeEvent::Item { item, .. } => {
                        session.items.entry(*item).or_default();
                    }
                    RealtimeEvent::Done { response, .. } if session.responses.remove(response) => {
                        let units = Units { tokens_out: 9, ..Units::default() };
                        let provider = "engine".to_owned();
                        self.tell(Input::Usage { kind: ProviderKind::Realtime, provider, units });
                    }
                    _ => {}
                }
                event
            }
        };
        self.tell(Input::Realtime { session: id, event });
    }

    fn commit(&mut self, id: u32, input: u32) {
        let now = self.now;
        let session = self.engines.of(id);
        let (begun, from) = session.begun.take().expect("an input that was not begun is committed");
        assert_eq!(begun, input, "another input is committed");
        let deaf = session.ill && !session.says;
        let said = self.spoken.iter().filter(|(begin, end, text)| *begin >= from && *end <= now && !text.is_empty());
        let text = said.map(|(_, _, text)| *text).collect::<Vec<_>>().join(" ");
        let heard = |text: String, is_final| Step::Says(RealtimeEvent::Heard { input, text, is_final });
        let late_ms = self.random.between(30, 1800);
        if self.random.percent(40) && !text.is_empty() {
            let first = text.split(' ').next().unwrap_or_default().to_owned();
            self.engine_in(late_ms / 2, id, heard(first, false));
        }
        if deaf || self.random.percent(8) {
            return;
        }
        self.engine_in(late_ms, id, heard(text.clone(), true));
        if self.random.percent(5) {
            self.engine_in(late_ms + 60, id, heard(text, true));
        }
    }

    fn respond(&mut self, id: u32, response: u32, say: Option<String>, tools: bool) {
        let session = self.engines.of(id);
        assert!(session.opens && session.responses.insert(response), "a response is asked for twice");
        assert_eq!(response > LINES, say.is_some(), "lines have numbers of their own");
        let ill = session.ill && self.random.percent(45);
        if ill && self.random.percent(40) {
            // Nothing comes of it.
            return;
        }
        if let Some(line) = say {
            let wait = self.random.between(60, 400);
            let item = self.next_item(id);
            let whole_ms = (line.chars().count() as u64 * MS_PER_CHAR).max(1);
            self.says_in(wait, id, RealtimeEvent::Item { response, item });
            self.engine_in(wait, id, Step::Made { response, item, ms: whole_ms.min(100), done: false });
            if ill {
                return;
            }
            let rest = wait + self.random.between(0, 500);
            self.engine_in(rest, id, Step::Made { response, item, ms: whole_ms, done: true });
            self.says_in(rest, id, RealtimeEvent::Done { response, reason: FinishReason::Stop });
            return;
        }
        self.replies(id, response, tools, ill);
    }

    fn replies(&mut self, id: u32, response: u32, tools: bool, ill: bool) {
        let own = self.spec.slots.iter().any(|slot| slot.secure.is_some());
        let mut script = providers::reply(&mut self.random, ill, tools, own);
        let offered: Vec<trunkline_api::words::ToolDefinition> =
            if self.spec.knowledge.is_empty() { Vec::new() } else { vec![tool("search_knowledge")] };
        thinking::also_calls(&mut self.random, &offered, &mut script);
        let aligned = self.random.percent(60);
        let early = self.random.percent(8);
        let (mut at, mut item, mut ms) = (0, 0, 0);
        for (wait, event) in script {
            at += wait;
            match event {
                LlmEvent::TextDelta(text) => {
                    // Engines write no tags.
                    let text = without_tags(&text);
                    let begins = item == 0 || self.random.percent(10);
                    if begins {
                        if item > 0 {
                            self.engine_in(at, id, Step::Made { response, item, ms, done: true });
                        }
                        (item, ms) = (self.next_item(id), 0);
                    }
                    ms += text.chars().count() as u64 * MS_PER_CHAR;
                    let until_ms = aligned.then_some(ms as u32);
                    let words = RealtimeEvent::Text { response, item, text, until_ms };
                    if begins && early {
                        self.says_in(at, id, words.clone());
                        self.says_in(at + 20, id, RealtimeEvent::Item { response, item });
                    } else if begins {
                        self.says_in(at, id, RealtimeEvent::Item { response, item });
                    }
                    self.engine_in(at + 20, id, Step::Made { response, item, ms: ms.min(200), done: false });
                    if !(begins && early) {
                        self.says_in(at + 20, id, words);
                    }
                    self.engine_in(at + 40, id, Step::Made { response, item, ms, done: false });
                }
                LlmEvent::ToolCall(call) => self.says_in(at, id, RealtimeEvent::ToolCall { response, call }),
                LlmEvent::Finished(reason) => {
                    if item > 0 {
                        self.engine_in(at, id, Step::Made { response, item, ms, done: true });
                    }
                    self.says_in(at + 45, id, RealtimeEvent::Done { response, reason });
                }
                LlmEvent::Failed { .. } => self.engine_in(at + 45, id, Step::Dies),
                LlmEvent::Started => {}
            }
        }
        self.lies(id, response, at);
    }

    /// What an engine says now and then besides.
    fn lies(&mut self, id: u32, response: u32, at: u64) {
        let item = 1000 * id + 900 + self.random.below(90) as u32;
        let call = ToolCall { id: "x".to_owned(), name: "weather".to_owned(), arguments: "{}".to_owned() };
        let lie = match self.random.below(40) {
            0 => RealtimeEvent::Done { response, reason: FinishReason::Stop },
            1 => RealtimeEvent::Item { response, item },
            2 => RealtimeEvent::Item { response: 4711, item },
            3 => RealtimeEvent::ToolCall { response, call },
            4 => RealtimeEvent::Text { response, item, text: "Never said.".to_owned(), until_ms: None },
            5 => RealtimeEvent::Heard { input: 99, text: "never said".to_owned(), is_final: true },
            6 => RealtimeEvent::Started { response },
            _ => return,
        };
        let late = at + 60 + self.random.below(3000);
        self.says_in(late, id, lie);
    }

    /// No more is held to be heard than was.
    fn truncated(&mut self, id: u32, item: u32, heard_ms: u64) {
        let known = self.engines.of(id).items.get(&item);
        let Some(Item { plays, .. }) = known else {
            assert_eq!(heard_ms, 0, "something was heard of what nobody said");
            return;
        };
        let Some((utterance, part)) = *plays else {
            assert_eq!(heard_ms, 0, "something was heard of what was not played");
            return;
        };
        if self.leg.utterance != utterance {
            return;
        }
        let Some(at) = self.leg.sounds.iter().position(|sound| sound.part == part) else {
            assert_eq!(heard_ms, 0, "something was heard of what was dropped");
            return;
        };
        let before: u64 = self.leg.sounds.iter().take(at).map(|sound| sound.made_ms).sum();
        let truth = self.leg.played_ms.saturating_sub(before).min(self.leg.sounds[at].made_ms);
        assert!(heard_ms <= truth, "{heard_ms} ms are held to be heard of {truth} ms");
        if self.leg.over {
            assert_eq!(heard_ms, truth, "less is held to be heard than was");
        }
    }

    fn next_item(&mut self, id: u32) -> u32 {
        let session = self.engines.of(id);
        session.last_item += 1;
        session.last_item
    }

    fn says_in(&mut self, ms: u64, session: u32, event: RealtimeEvent) {
        self.engine_in(ms, session, Step::Says(event));
    }

    fn engine_in(&mut self, ms: u64, session: u32, step: Step) {
        self.push_in(ms, Due::Engine(session, step));
    }
}

fn tool(name: &str) -> trunkline_api::words::ToolDefinition {
    trunkline_api::words::ToolDefinition {
        name: name.to_owned(),
        description: String::new(),
        parameters: "{}".to_owned(),
    }
}

/// A text as it is said.
fn without_tags(text: &str) -> String {
    let mut plain = text.replace("**", "");
    while let (Some(from), Some(to)) = (plain.find('<'), plain.find('>')) {
        plain.replace_range(from..=to, "");
    }
    plain
}
