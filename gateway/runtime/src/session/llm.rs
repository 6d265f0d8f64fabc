//! A language model's generation.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use trunkline_call::{Content, FinishReason, LlmEvent, Message, Role, ToolCall, ToolDefinition};
use trunkline_plugin_host::{
    Capability, ChatMessage, Content as HostContent, FinishReason as HostFinish, LlmEvent as HostEvent, LlmRequest,
    LlmSession, Plugin, Role as HostRole, SessionError, SessionStart, ToolCall as HostToolCall,
    ToolDefinition as HostTool,
};

use super::seat::{Body, Opener};
use super::units::{PluginTime, units};
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
        Ok(Box::new(LlmBody { session, outputs: VecDeque::new(), time: PluginTime::default(), over: false })
            as Box<dyn Body>)
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

struct LlmBody {
    session: LlmSession,
    outputs: VecDeque<Output>,
    time: PluginTime,
    over: bool,
}

impl LlmBody {
    fn check(&mut self, result: Result<(), SessionError>) {
        self.collect();
        if let Err(error) = result
            && !self.over
        {
            self.over = true;
            let failure = error.failure(Capability::Llm);
            self.last(Output::Failed { failure, detail: error.to_string() });
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                HostEvent::Started => self.outputs.push_back(Output::Llm(LlmEvent::Started)),
                HostEvent::TextDelta(text) => self.outputs.push_back(Output::Llm(LlmEvent::TextDelta(text))),
                HostEvent::ToolCall(call) => {
                    let call = ToolCall { id: call.id, name: call.name, arguments: call.arguments };
                    self.outputs.push_back(Output::Llm(LlmEvent::ToolCall(call)));
                }
                HostEvent::Usage(usage) => self.outputs.push_back(Output::Usage(units(&usage))),
                HostEvent::Finished(reason) => {
                    self.over = true;
                    self.last(Output::Llm(LlmEvent::Finished(finish(reason))));
                }
                HostEvent::Failed(error) => {
                    self.over = true;
                    let failure = error.failure(Capability::Llm);
                    self.last(Output::Failed { failure, detail: error.to_string() });
                }
            }
        }
    }

    /// Queues the last output, after the time the plugin took: nobody listens once it is out.
    fn last(&mut self, output: Output) {
        self.outputs.extend(self.time.report(self.session.plugin_us(), true));
        self.outputs.push_back(output);
    }
}

impl Body for LlmBody {
    fn handle(&mut self, now_us: u64, input: Input) {
        if matches!(input, Input::Cancel) {
            let result = self.session.cancel(now_us);
            self.check(result);
        }
    }

    fn wake(&mut self, now_us: u64) {
        let result = self.session.handle_wake(now_us);
        self.check(result);
    }

    fn step(&mut self, now_us: u64) {
        self.wake(now_us);
    }

    fn wants_step(&self) -> bool {
        !self.over && self.session.wants_step()
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn timeout_us(&self) -> Option<u64> {
        self.session.poll_timeout()
    }

    fn is_over(&self) -> bool {
        self.over && self.outputs.is_empty()
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
