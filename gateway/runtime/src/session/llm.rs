//! A language model's generation.

use std::sync::Arc;

use serde_json::Value;
use trunkline_api::words::{Message, ToolDefinition};
use trunkline_call::LlmEvent;
use trunkline_plugin_host::{
    Capability, LlmEvent as HostEvent, LlmRequest, LlmSession, Plugin, SessionError, SessionStart,
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
        let request = LlmRequest { messages, tools, max_tokens: Some(max_tokens), temperature: None };
        let session = plugin
            .llm(&settings, &request, SessionStart::new(now_us, now_us, wake.callback()))
            .map_err(|error| (error.failure(Capability::Llm), error.to_string()))?;
        Ok(Box::new(WorldBody::new(session, Model)) as Box<dyn Body>)
    })
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
                HostEvent::ToolCall(call) => said.push(Output::Llm(LlmEvent::ToolCall(call))),
                HostEvent::Usage(usage) => said.push(Output::Usage(units(&usage))),
                HostEvent::Finished(reason) => said.end(Output::Llm(LlmEvent::Finished(reason))),
                HostEvent::Failed(error) => said.end(failed(&error, Self::CAPABILITY)),
            }
        }
    }
}
