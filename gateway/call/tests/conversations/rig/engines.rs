//! Scripted speech-to-speech engines: each opens or does not, says what its script has, and may lie.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use trunkline_api::Failure;
use trunkline_api::agent::AgentSpec;
use trunkline_api::words::{FinishReason, Message, ToolCall};
use trunkline_call::{Command, ENGINES, Input, RealtimeEvent};
use trunkline_leg::CallTime;

use super::{Due, MS_PER_CHAR, Rig};

/// How an engine behaves.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    /// When it is there; never when there is none.
    pub(crate) opens: Option<u64>,
    /// It refuses at once.
    pub(crate) refuses: bool,
    /// It says lines word by word.
    pub(crate) says: bool,
    /// How late the words of an input come; never when there is none.
    pub(crate) hears: Option<u64>,
    /// One script a response; it is silent when there is none left.
    pub(crate) scripts: VecDeque<Vec<(u64, Say)>>,
}

impl Default for Engine {
    fn default() -> Self {
        Self { opens: Some(100), refuses: false, says: true, hears: Some(300), scripts: VecDeque::new() }
    }
}

/// A step of a response; each comes so many milliseconds after the one before.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// An item begins to sound.
    Item,
    /// Words of the item, and where they end in its sound.
    Text(&'static str, Option<u32>),
    /// So much sound of the item there is.
    Sound(u32),
    /// All its sound is there.
    Complete,
    Tool(&'static str, &'static str),
    Done,
    Fails,
    Closes,
    /// Whatever; the response's number is put in.
    Lies(fn(u32) -> RealtimeEvent),
}

/// A step that is due.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    session: u32,
    response: u32,
    item: u32,
    say: Say,
}

#[derive(Debug, Default)]
struct Made {
    ms: u32,
    done: bool,
    plays: Option<(u32, u32)>,
}

/// The engines' side of the world.
#[derive(Debug, Default)]
pub(crate) struct Engines {
    pub(crate) list: Vec<Engine>,
    sessions: BTreeMap<u32, usize>,
    closed: Vec<u32>,
    cancelled: Vec<u32>,
    begun: BTreeMap<u32, CallTime>,
    items: BTreeMap<(u32, u32), Made>,
    last_item: u32,
}

/// A script: the text, aligned, with all its sound after 200 ms.
pub(crate) fn says(text: &'static str) -> Vec<(u64, Say)> {
    let ms = text.chars().count() as u32 * MS_PER_CHAR;
    let steps = [Say::Item, Say::Sound(20), Say::Text(text, Some(ms)), Say::Sound(ms), Say::Complete, Say::Done];
    steps.into_iter().enumerate().map(|(at, say)| (if at == 0 { 200 } else { 0 }, say)).collect()
}

/// A script: a tool is called.
pub(crate) fn calls(name: &'static str, arguments: &'static str) -> Vec<(u64, Say)> {
    vec![(200, Say::Tool(name, arguments)), (10, Say::Done)]
}

/// An agent of so many engines, without a cascade; `more` is merged over it.
pub(crate) fn realtime(engines: usize, more: Value) -> AgentSpec {
    let engines: Vec<Value> = (0..engines).map(|index| json!({ "provider": format!("engine-{index}") })).collect();
    let mut all = json!({ "pipeline": { "realtime": { "engines": engines } } });
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    super::agent(0, 0, 0, all)
}

/// The same with a cascade behind.
pub(crate) fn with_cascade(engines: usize, more: Value) -> AgentSpec {
    let mut spec = realtime(engines, more);
    let list = |kind: &str| serde_json::from_value(json!([{ "provider": format!("{kind}-0") }])).unwrap();
    if let trunkline_api::agent::Pipeline::Realtime { cascade, .. } = &mut spec.pipeline {
        let (asr, llm, tts) = (list("asr"), list("llm"), list("tts"));
        *cascade = Some(trunkline_api::agent::CascadeLists { asr, llm, tts });
    }
    assert_eq!((spec.problems(), spec.unsupported()), (vec![], vec![]));
    spec
}

impl Rig {
    /// A world with engines, of which each has its scripts.
    pub(crate) fn engines(spec: AgentSpec, scripts: Vec<Vec<Vec<(u64, Say)>>>) -> Self {
        let mut rig = Self::new(spec, &[]);
        let engine = |scripts: Vec<_>| Engine { scripts: scripts.into(), ..Engine::default() };
        rig.engines.list = scripts.into_iter().map(engine).collect();
        rig
    }

    /// Commands for engines, in short.
    pub(crate) fn asked_engines(&self) -> Vec<String> {
        self.commands.iter().filter_map(|(_, command)| short(command)).collect()
    }

    /// When a command of that short form was given first.
    pub(crate) fn asked_at(&self, wanted: &str) -> u64 {
        let found = self.commands.iter().find(|(_, command)| short(command).is_some_and(|text| text == wanted));
        found.unwrap_or_else(|| panic!("{wanted} of {:#?}", self.asked_engines())).0.as_ms()
    }

    /// What an engine was told of the conversation when it was opened last, as `role: text`.
    pub(crate) fn opened_with(&self) -> Vec<String> {
        let opened = self.commands.iter().rev().find_map(|(_, command)| match command {
            Command::OpenRealtime { messages, .. } => Some(messages),
            _ => None,
        });
        opened.unwrap().iter().map(|message| format!("{:?}: {}", message.role, super::text(message))).collect()
    }

    pub(super) fn carry_out_engine(&mut self, command: Command) {
        match command {
            Command::OpenRealtime { session, index, .. } => {
                self.engines.sessions.insert(session, index);
                let Engine { opens, refuses, says, .. } = &self.engines.list[index];
                let (opens, says) = (*opens, *says);
                if *refuses {
                    let detail = "refused".to_owned();
                    self.engine_says(5, session, RealtimeEvent::Failed { failure: Failure::EngineUnavailable, detail });
                } else if let Some(ms) = opens {
                    self.engine_says(ms, session, RealtimeEvent::Opened { says });
                }
            }
            Command::BeginInput { input, from, .. } => {
                self.engines.begun.insert(input, from);
            }
            Command::CommitInput { session, input } => {
                let (from, now, mut words) = (self.engines.begun.remove(&input).unwrap(), self.now, Vec::new());
                self.spoken.retain(|(begin, end, text)| {
                    let heard = *begin >= from && *end <= now;
                    if heard && !text.is_empty() {
                        words.push(text.clone());
                    }
                    // Another engine may have to hear it again.
                    true
                });
                if let Some(ms) = self.engine_of(session).hears {
                    let text = words.join(" ");
                    self.engine_says(ms, session, RealtimeEvent::Heard { input, text, is_final: true });
                }
            }
            Command::DropInput { input, .. } => {
                self.engines.begun.remove(&input).expect("an input that was not begun is dropped");
            }
            Command::CreateResponse { session, response, say, .. } => {
                let script = match say {
                    Some(line) => {
                        let ms = line.chars().count() as u32 * MS_PER_CHAR;
                        vec![(200, Say::Item), (0, Say::Sound(ms)), (0, Say::Complete), (0, Say::Done)]
                    }
                    None => self.engine_of(session).scripts.pop_front().unwrap_or_default(),
                };
                let (mut ms, mut item) = (0, self.engines.last_item);
                for (wait, say) in script {
                    ms += wait;
                    if matches!(say, Say::Item) {
                        item += 1;
                    }
                    self.push_in(ms, Due::Engine(Step { session, response, item, say }));
                }
                self.engines.last_item = item;
            }
            Command::CancelResponse { response, .. } => self.engines.cancelled.push(response),
            Command::PlayItem { utterance, part, session, item } => {
                self.begin_utterance(utterance);
                let index = ENGINES + session as usize;
                assert!(self.leg.voices.insert(part, index).is_none(), "a part was used twice");
                self.leg.parts.insert(part, (0, false));
                let made = self.engines.items.entry((session, item)).or_default();
                assert!(made.plays.replace((utterance, part)).is_none(), "an item is played twice");
                let (audio_ms, done) = (made.ms, made.done);
                if audio_ms > 0 {
                    self.push_in(0, Due::Sound { utterance, part, index, audio_ms, done });
                }
            }
            Command::EndPart { utterance, part, at_ms } => {
                if self.leg.utterance == utterance {
                    self.leg.ends.insert(part, at_ms);
                    let (audio_ms, index) = (self.leg.parts[&part].0, self.leg.voices[&part]);
                    if audio_ms >= at_ms {
                        self.push_in(0, Due::Sound { utterance, part, index, audio_ms, done: true });
                    }
                }
            }
            Command::CloseRealtime { session } => self.engines.closed.push(session),
            Command::Update { .. }
            | Command::AppendMessage { .. }
            | Command::ToolResult { .. }
            | Command::Truncate { .. } => {}
            command => panic!("no command of an engine: {command:?}"),
        }
    }

    pub(super) fn engine_step(&mut self, step: Step) {
        let Step { session, response, item, say } = step;
        if self.engines.closed.contains(&session) {
            return;
        }
        let lies = matches!(say, Say::Lies(_));
        if self.engines.cancelled.contains(&response) && !lies {
            return;
        }
        let event = match say {
            Say::Item => RealtimeEvent::Item { response, item },
            Say::Text(text, until_ms) => RealtimeEvent::Text { response, item, text: text.to_owned(), until_ms },
            Say::Sound(ms) => return self.made(session, item, ms, false),
            Say::Complete => return self.made(session, item, 0, true),
            Say::Tool(name, arguments) => {
                let id = format!("c-{name}");
                let call = ToolCall { id, name: name.to_owned(), arguments: arguments.to_owned() };
                RealtimeEvent::ToolCall { response, call }
            }
            Say::Done => RealtimeEvent::Done { response, reason: FinishReason::Stop },
            Say::Fails => {
                self.engines.closed.push(session);
                let detail = "broke".to_owned();
                RealtimeEvent::Failed { failure: Failure::EngineUnavailable, detail }
            }
            Say::Closes => {
                self.engines.closed.push(session);
                RealtimeEvent::Closed
            }
            Say::Lies(event) => event(response),
        };
        self.handle(Input::Realtime { session, event });
    }

    fn made(&mut self, session: u32, item: u32, ms: u32, done: bool) {
        let made = self.engines.items.entry((session, item)).or_default();
        made.ms = made.ms.max(ms);
        made.done |= done;
        let (audio_ms, done) = (made.ms, made.done);
        if let Some((utterance, part)) = made.plays {
            let index = ENGINES + session as usize;
            self.push_in(0, Due::Sound { utterance, part, index, audio_ms, done });
        }
    }

    fn engine_of(&mut self, session: u32) -> &mut Engine {
        let index = self.engines.sessions[&session];
        &mut self.engines.list[index]
    }

    fn engine_says(&mut self, ms: u64, session: u32, event: RealtimeEvent) {
        self.tell_in(ms, Input::Realtime { session, event });
    }
}

fn short(command: &Command) -> Option<String> {
    let words = |message: &Message| format!("{:?}: {}", message.role, super::text(message));
    Some(match command {
        Command::OpenRealtime { session, index, .. } => format!("open {session} engine-{index}"),
        Command::Update { .. } => "update".to_owned(),
        Command::BeginInput { input, .. } => format!("begin {input}"),
        Command::CommitInput { input, .. } => format!("commit {input}"),
        Command::DropInput { input, .. } => format!("drop {input}"),
        Command::AppendMessage { message, .. } => format!("append {}", words(message)),
        Command::ToolResult { call_id, output, .. } => format!("result {call_id}: {output}"),
        Command::CreateResponse { say: Some(line), .. } => format!("say {line}"),
        Command::CreateResponse { response, .. } => format!("respond {response}"),
        Command::CancelResponse { response, .. } => format!("cancel {response}"),
        Command::PlayItem { item, .. } => format!("play {item}"),
        Command::EndPart { at_ms, .. } => format!("end at {at_ms}"),
        Command::Truncate { item, heard_ms, .. } => format!("truncate {item} at {heard_ms}"),
        Command::CloseRealtime { session } => format!("close {session}"),
        _ => return None,
    })
}
