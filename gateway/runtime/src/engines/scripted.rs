//! An engine for tests: it says what it was set to, a tone of 50 ms a character, and notes what is asked of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use trunkline_api::usage::Units;
use trunkline_api::words::{FinishReason, ToolCall};
use trunkline_call::{Command, RealtimeEvent};
use trunkline_leg::CallTime;

use super::{Engine, Said};

/// Samples a second of its voice, and milliseconds of a character.
const RATE: u32 = 16_000;
const MS_PER_CHAR: u32 = 50;

/// What was asked of engines, by the name they were set to.
static NOTES: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// What was asked of the engine of that name.
pub(crate) fn notes(name: &str) -> Vec<String> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
}

/// A session.
pub(crate) struct Scripted {
    name: String,
    replies: VecDeque<Value>,
    heard: VecDeque<String>,
    says: VecDeque<Said>,
    items: u32,
    samples: usize,
}

impl Scripted {
    /// `name`, `replies` (each `{"say"}` or `{"tool", "arguments"}`) and `heard`, what it makes of inputs.
    pub(crate) fn new(settings: &Value) -> Self {
        let list = |key: &str| settings[key].as_array().cloned().unwrap_or_default();
        let heard = list("heard").iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect();
        Self {
            name: settings["name"].as_str().unwrap_or_default().to_owned(),
            replies: list("replies").into(),
            heard,
            says: VecDeque::new(),
            items: 0,
            samples: 0,
        }
    }

    fn note(&self, what: String) {
        NOTES.lock().unwrap_or_else(PoisonError::into_inner).entry(self.name.clone()).or_default().push(what);
    }

    fn speak(&mut self, response: u32, text: &str) {
        self.items += 1;
        let (item, ms) = (self.items, text.chars().count() as u32 * MS_PER_CHAR);
        self.says.push_back(Said::Event(RealtimeEvent::Item { response, item }));
        let text = text.to_owned();
        self.says.push_back(Said::Event(RealtimeEvent::Text { response, item, text, until_ms: Some(ms) }));
        for _ in 0..ms / 50 {
            let tone = (0..RATE / 20).map(|n| if n / 20 % 2 == 0 { 4000 } else { -4000 }).collect();
            self.says.push_back(Said::Sound { item, pcm: tone, rate: RATE });
        }
        self.says.push_back(Said::Complete { item });
    }

    fn respond(&mut self, response: u32, say: Option<String>) {
        self.note(format!("respond {}", say.as_deref().unwrap_or("-")));
        let reply = if say.is_some() { None } else { self.replies.pop_front() };
        let line = say.or_else(|| reply.as_ref().and_then(|reply| reply["say"].as_str().map(str::to_owned)));
        if let Some(line) = line {
            self.speak(response, &line);
        }
        if let Some(name) = reply.as_ref().and_then(|reply| reply["tool"].as_str()) {
            let arguments = reply.as_ref().map(|reply| reply["arguments"].to_string()).unwrap_or_default();
            let call = ToolCall { id: format!("c-{name}"), name: name.to_owned(), arguments };
            self.says.push_back(Said::Event(RealtimeEvent::ToolCall { response, call }));
        }
        self.says.push_back(Said::Used(Units { tokens_out: 5, ..Units::default() }));
        self.says.push_back(Said::Event(RealtimeEvent::Done { response, reason: FinishReason::Stop }));
    }
}

impl Engine for Scripted {
    fn ask(&mut self, _: CallTime, command: Command) {
        match command {
            Command::OpenRealtime { instructions, .. } => {
                self.note(format!("open: {instructions}"));
                self.says.push_back(Said::Event(RealtimeEvent::Opened { says: true }));
            }
            Command::BeginInput { .. } => self.samples = 0,
            Command::CommitInput { input, .. } => {
                self.note(format!("heard {} ms", self.samples / 8));
                if let Some(text) = self.heard.pop_front() {
                    self.says.push_back(Said::Event(RealtimeEvent::Heard { input, text, is_final: true }));
                }
            }
            Command::CreateResponse { response, say, .. } => self.respond(response, say),
            Command::ToolResult { call_id, output, .. } => self.note(format!("result {call_id}: {output}")),
            Command::Truncate { item, heard_ms, .. } => self.note(format!("truncate {item} {heard_ms}")),
            Command::CloseRealtime { .. } => self.note("close".to_owned()),
            other => self.note(format!("{other:?}")),
        }
    }

    fn hear(&mut self, _: CallTime, pcm: &[i16], rate: u32) {
        self.samples += pcm.len() * 8000 / rate as usize;
    }

    fn poll(&mut self, _: CallTime) -> Option<Said> {
        self.says.pop_front()
    }

    fn due(&self) -> Option<CallTime> {
        (!self.says.is_empty()).then_some(CallTime::ZERO)
    }
}
