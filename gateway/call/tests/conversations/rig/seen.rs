//! What tests look at: what was said, heard and told.

use serde_json::Value;
use trunkline_api::words::{Content, Message};
use trunkline_api::{EventType, Failure};
use trunkline_call::Command;

use super::Rig;

impl Rig {
    /// The longest silence of the agent's between two moments, in milliseconds, and when it begins.
    pub(crate) fn longest_silence(&self, from_ms: u64, to_ms: u64) -> (u64, u64) {
        let (mut longest, mut quiet_since) = ((0, from_ms), from_ms);
        for (from, to) in self.leg.audible.iter().filter(|(_, to)| *to > from_ms).chain(&[(to_ms, to_ms)]) {
            longest = longest.max((from.min(&to_ms).saturating_sub(quiet_since), quiet_since));
            quiet_since = quiet_since.max(*to);
        }
        longest
    }

    /// When the agent is heard next, in milliseconds.
    pub(crate) fn next_sound(&self, from_ms: u64) -> Option<u64> {
        let sounds = self.leg.audible.iter().chain(&self.leg.knocks).filter(|(_, to)| *to > from_ms);
        sounds.map(|(from, _)| (*from).max(from_ms)).min()
    }

    /// When the agent's voice is.
    pub(crate) fn next_words(&self, from_ms: u64) -> Option<u64> {
        self.leg.audible.iter().find(|(_, to)| *to > from_ms).map(|(from, _)| (*from).max(from_ms))
    }

    /// Names of the events so far.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.events.iter().map(|event| event.kind.as_str()).collect()
    }

    /// Data of every event of a type.
    pub(crate) fn all(&self, kind: EventType) -> Vec<&Value> {
        self.events.iter().filter(|event| event.kind == kind.name()).map(|event| &event.data).collect()
    }

    /// Data of the only event of a type.
    pub(crate) fn only(&self, kind: EventType) -> &Value {
        let all = self.all(kind);
        assert_eq!(all.len(), 1, "{}: {all:?}", kind.name());
        all[0]
    }

    /// Milliseconds of call time of the first event of a type.
    pub(crate) fn first_ms(&self, kind: EventType) -> u64 {
        self.events.iter().find(|event| event.kind == kind.name()).unwrap().at.call_us / 1000
    }

    /// Everything the agent said, in order.
    pub(crate) fn said(&self) -> Vec<&str> {
        self.all(EventType::AgentSaid).into_iter().map(|data| data["text"].as_str().unwrap()).collect()
    }

    /// Failures raised, with their actions.
    pub(crate) fn failures(&self) -> Vec<(Failure, &str)> {
        let failure = |data: &'_ Value| data["failure"].as_str().unwrap().parse().unwrap();
        self.all(EventType::FailureRaised)
            .into_iter()
            .map(|data| (failure(data), data["action"].as_str().unwrap()))
            .collect()
    }

    /// Messages of the last request to a model.
    pub(crate) fn last_messages(&self) -> &[Message] {
        self.commands
            .iter()
            .rev()
            .find_map(|(_, command)| match command {
                Command::StartLlm { messages, .. } => Some(messages.as_slice()),
                _ => None,
            })
            .unwrap()
    }

    /// Texts of the last request's messages, as `role: text`.
    pub(crate) fn conversation(&self) -> Vec<String> {
        self.last_messages().iter().map(|message| format!("{:?}: {}", message.role, text(message))).collect()
    }
}

pub(super) fn text(message: &Message) -> String {
    let piece = |content: &Content| match content {
        Content::Text(text) => text.clone(),
        Content::ToolCall(call) => format!("{}({})", call.name, call.arguments),
        Content::ToolResult { output, .. } => format!("-> {output}"),
    };
    message.content.iter().map(piece).collect::<Vec<_>>().join(" ")
}
