//! Puts an answer together from its deltas: words at once, tool calls when they are whole, the counts at the end.

use std::collections::BTreeMap;

use serde::Deserialize;
use trunkline_plugin_kit::llm::{FinishReason, LlmEvent, ToolCall};
use trunkline_plugin_kit::{NO_USAGE, ProviderError, Usage};

use crate::failure::{ApiError, midway};

/// More tool calls than this in one answer are a defect of the server.
const MOST_CALLS: usize = 64;
/// Longest arguments of one call, in bytes.
const LONGEST_ARGUMENTS: usize = 256 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Counts>,
    error: Option<ApiError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    index: Option<u32>,
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CallDelta {
    index: Option<u32>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

/// An answer under way.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    calls: BTreeMap<u32, ToolCall>,
    called: bool,
    reason: Option<FinishReason>,
    usage: Option<Usage>,
}

impl Completion {
    /// Takes the JSON of one event.
    ///
    /// # Errors
    /// When it is not JSON, or the server reports an error in it.
    pub(crate) fn take(&mut self, data: &str) -> Result<Vec<LlmEvent>, ProviderError> {
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| {
            ProviderError::protocol(format!("the server sent an event that is not a chat completion: {error}"))
        })?;
        if let Some(error) = &chunk.error {
            return Err(midway(error));
        }
        if let Some(counts) = chunk.usage {
            self.usage = Some(Usage {
                tokens_in: counts.prompt_tokens,
                tokens_out: counts.completion_tokens,
                tokens_cached: counts.prompt_tokens_details.and_then(|details| details.cached_tokens),
                ..NO_USAGE
            });
        }
        let mut events = Vec::new();
        for choice in chunk.choices.unwrap_or_default() {
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            let delta = choice.delta.unwrap_or_default();
            if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
                events.push(LlmEvent::TextDelta(text));
            }
            for call in delta.tool_calls.unwrap_or_default() {
                self.add(call)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.reason = Some(finish_reason(&reason));
                events.extend(self.give_calls());
            }
        }
        Ok(events)
    }

    /// Whether the server said why it stopped.
    pub(crate) const fn has_ended(&self) -> bool {
        self.reason.is_some()
    }

    /// The last events of a complete answer.
    pub(crate) fn end(&mut self) -> Vec<LlmEvent> {
        let mut events: Vec<LlmEvent> = self.give_calls().collect();
        events.extend(self.usage.take().map(LlmEvent::Usage));
        // Some servers say `stop` after a tool call.
        let reason = match self.reason {
            Some(FinishReason::Stop) | None if self.called => FinishReason::ToolCalls,
            Some(reason) => reason,
            None => FinishReason::Stop,
        };
        events.push(LlmEvent::Finished(reason));
        events
    }

    fn add(&mut self, delta: CallDelta) -> Result<(), ProviderError> {
        // Servers that number nothing begin a new call with a new id.
        let last = self.calls.last_key_value().map(|(index, call)| (*index, call.id.clone()));
        let index = delta.index.unwrap_or_else(|| match (&last, &delta.id) {
            (Some((index, id)), Some(new)) if !new.is_empty() && new != id => index.saturating_add(1),
            (Some((index, _)), _) => *index,
            (None, _) => 0,
        });
        if !self.calls.contains_key(&index) && self.calls.len() >= MOST_CALLS {
            return Err(ProviderError::protocol(format!("the server wants more than {MOST_CALLS} tool calls at once")));
        }
        let call = self.calls.entry(index).or_insert_with(|| ToolCall {
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
        if let Some(id) = delta.id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        let function = delta.function.unwrap_or_default();
        if let Some(name) = function.name.filter(|name| !name.is_empty()) {
            call.name = name;
        }
        call.arguments.push_str(&function.arguments.unwrap_or_default());
        if call.arguments.len() > LONGEST_ARGUMENTS {
            return Err(ProviderError::protocol("the server sends a tool call that does not end"));
        }
        Ok(())
    }

    fn give_calls(&mut self) -> impl Iterator<Item = LlmEvent> + use<> {
        let calls = std::mem::take(&mut self.calls);
        let named = calls.into_iter().filter(|(_, call)| !call.name.is_empty());
        let whole: Vec<ToolCall> = named
            .map(|(index, mut call)| {
                if call.id.is_empty() {
                    call.id = format!("call-{index}");
                }
                if call.arguments.trim().is_empty() {
                    call.arguments = "{}".to_owned();
                }
                call
            })
            .collect();
        self.called |= !whole.is_empty();
        whole.into_iter().map(LlmEvent::ToolCall)
    }
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}
