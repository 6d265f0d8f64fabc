//! A language model's generation.

use std::sync::Arc;

use serde_json::Value;
use trunkline_call::{Content, FinishReason, LlmEvent, Message, Role, ToolCall, ToolDefinition};
use trunkline_plugin_host::{
    Capability, ChatMessage, Content as HostContent, FinishReason as HostFinish, LlmEvent as HostEvent, LlmRequest,
    LlmSession, Plugin, Role as HostRole, SessionError, SessionStart, ToolCall as HostToolCall,
    ToolDefinition as HostTool,
};

use super::body::{Said, World, WorldBody, failed};
use super::seat::{Body, Opener};
use super::units::units;
use super::{Input, Output, Wake};

/// Starts a generation.
pub(crate) fn open_llm(
    plugin: Arc<Plugin>,
    settings: Value,
    messages: Vec<Message>,
    tools: Vec<ToolDefinition>,
    max_tokens: u32,
    wake: Wake,
) -> Opener {
    Box::new(move |now_us| {
        let request = LlmRequest {
            messages: messages.into_iter().map(message).collect(),
            tools: tools
                .into_iter()
                .map(|tool| HostTool { name: tool.name, description: tool.description, parameters: tool.parameters })
                .collect(),
            max_tokens: Some(max_tokens),
            temperature: None,
        };
        let session = plugin
            .llm(&settings, &request, SessionStart::new(now_us, now_us, wake.callback()))
            .map_err(|error| (error.failure(Capability::Llm), error.to_string()))?;
        Ok(Box::new(WorldBody::new(session, Model)) as Box<dyn Body>)
    })
}

fn message(message: Message) -> ChatMessage {
    let role = match message.role {
        Role::System => HostRole::System,
        Role::User => HostRole::User,
        Role::Assistant => HostRole::Assistant,
        Role::Tool => HostRole::Tool,
    };
    let content = message
        .content
        .into_iter()
        .map(|content| match content {
            Content::Text(text) => HostContent::Text(text),
            Content::ToolCall(call) => {
                HostContent::ToolCall(HostToolCall { id: call.id, name: call.name, arguments: call.arguments })
            }
            Content::ToolResult { call_id, output } => HostContent::ToolResult { call_id, output },
        })
        .collect();
    ChatMessage { role, content }
}

/// A model has nothing of its own to remember.
struct Model;

impl World<LlmSession> for Model {
    const CAPABILITY: Capability = Capability::Llm;

    fn handle(&mut self, session: &mut LlmSession, now_us: u64, input: Input) -> Result<(), SessionError> {
        if matches!(input, Input::Cancel) { session.cancel(now_us) } else { Ok(()) }
    }

    fn collect(&mut self, session: &mut LlmSession, said: &mut Said) {
        while let Some(event) = session.poll_event() {
            match event {
                HostEvent::Started => said.push(Output::Llm(LlmEvent::Started)),
                HostEvent::TextDelta(text) => said.push(Output::Llm(LlmEvent::TextDelta(text))),
                HostEvent::ToolCall(call) => {
                    let call = ToolCall { id: call.id, name: call.name, arguments: call.arguments };
                    said.push(Output::Llm(LlmEvent::ToolCall(call)));
                }
                HostEvent::Usage(usage) => said.push(Output::Usage(units(&usage))),
                HostEvent::Finished(reason) => said.end(Output::Llm(LlmEvent::Finished(finish(reason)))),
                HostEvent::Failed(error) => said.end(failed(&error, Self::CAPABILITY)),
            }
        }
    }
}

const fn finish(reason: HostFinish) -> FinishReason {
    match reason {
        HostFinish::Stop => FinishReason::Stop,
        HostFinish::Length => FinishReason::Length,
        HostFinish::ToolCalls => FinishReason::ToolCalls,
        HostFinish::ContentFilter => FinishReason::ContentFilter,
        HostFinish::Cancelled => FinishReason::Cancelled,
    }
}
