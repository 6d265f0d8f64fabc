//! Tools: two are built in (`hang_up`, `transfer`), the others are plugins that the driver runs.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use crate::call::{Call, Life};
use crate::command::{Channel, Command, Content, Message, Role, ToolCall, ToolDefinition};
use crate::failure::action_name;
use crate::input::{ToolAction, ToolOutcome};
use crate::spoken::WHOLE;
use crate::timers::Reason;

/// What a tool has before the model is told that it did not answer.
const DEADLINE_MS: u32 = 10_000;
/// How long a tool may take before the caller hears a line meanwhile.
const BRIDGE_MS: u64 = 1500;
/// Most bytes of a tool's output that the model reads.
const MAX_OUTPUT_BYTES: usize = 8 * 1024;
/// Most variables, and most bytes of a value, that tools may set.
const MAX_VARIABLES: usize = 256;

/// A tool call being carried out.
#[derive(Debug)]
pub(crate) struct ToolRun {
    call: ToolCall,
    invocation: Option<u32>,
    /// The redaction its output waits for.
    ticket: Option<u64>,
    output: Option<String>,
}

impl Call {
    /// A tool answered.
    pub fn handle_tool(&mut self, now: CallTime, invocation: u32, outcome: ToolOutcome) {
        self.at(now);
        let run = self
            .thinking
            .as_ref()
            .and_then(|thinking| thinking.tools.iter().position(|run| run.invocation == Some(invocation)));
        if self.life == Life::Live
            && let Some(run) = run
        {
            self.tool_answered(run, outcome);
        }
        self.settle();
    }

    /// What the model may call.
    pub(crate) fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let configured = |name: &str| self.setup.spec.tools.iter().any(|tool| tool.name == name);
        let mut definitions = Vec::new();
        if configured("hang_up") {
            definitions.push(ToolDefinition {
                name: "hang_up".to_owned(),
                description: "Ends the call once everything you have said was heard. Say goodbye first.".to_owned(),
                parameters: r#"{"type":"object","properties":{},"additionalProperties":false}"#.to_owned(),
            });
        }
        if configured("transfer") {
            definitions.push(ToolDefinition {
                name: "transfer".to_owned(),
                description: "Transfers the caller to a human.".to_owned(),
                parameters: r#"{"type":"object","properties":{"to":{"type":"string"}},"required":["to"]}"#.to_owned(),
            });
        }
        definitions.extend(self.setup.tools.iter().map(|tool| tool.definition.clone()));
        definitions
    }

    /// Starts every tool the model called.
    pub(crate) fn run_tools(&mut self, calls: Vec<ToolCall>) {
        let run = |call| ToolRun { call, invocation: None, ticket: None, output: None };
        if let Some(thinking) = &mut self.thinking {
            thinking.tools = calls.iter().cloned().map(run).collect();
        }
        self.timers.set(Reason::ToolDeadline, self.now.plus_ms(u64::from(DEADLINE_MS)));
        self.timers.set(Reason::ToolBridge, self.now.plus_ms(BRIDGE_MS));
        for (run, call) in calls.into_iter().enumerate() {
            let data = json!({ "name": call.name, "id": call.id });
            self.words_event(EventType::ToolCalled, data, "arguments", vec![(call.arguments.clone(), WHOLE)]);
            self.start_tool(run, call);
        }
        self.tools_done();
    }

    /// Every tool's time is up.
    pub(crate) fn tools_overdue(&mut self) {
        let open = |run: &ToolRun| run.output.is_none() && run.ticket.is_none();
        let Some(thinking) = &self.thinking else { return };
        let runs: Vec<usize> = (0..thinking.tools.len()).filter(|&run| open(&thinking.tools[run])).collect();
        for run in runs {
            let Some(tool) = self.thinking.as_mut().and_then(|thinking| thinking.tools.get_mut(run)) else { return };
            let name = tool.call.name.clone();
            if let Some(invocation) = tool.invocation.take() {
                self.command(Command::CancelTool { invocation });
            }
            self.tool_failed(Failure::ToolTimeout, name, format!("no answer within {DEADLINE_MS} ms"));
            self.tool_output(run, "tool_timeout: the tool did not answer in time".to_owned(), true);
        }
        self.tools_done();
    }

    /// A tool takes its time: the caller should not hear nothing.
    pub(crate) fn tool_slow(&mut self) {
        if self.thinking.is_some() && self.speech.is_none() {
            let line = self.setup.spec.survival.bridge.clone();
            self.say(&line, true);
        }
    }

    pub(crate) fn tool_output_redacted(&mut self, ticket: u64, text: String) {
        let run = self
            .thinking
            .as_mut()
            .and_then(|thinking| thinking.tools.iter_mut().find(|run| run.ticket == Some(ticket)));
        if let Some(run) = run {
            run.ticket = None;
            run.output = Some(text);
            self.tools_done();
        }
    }

    /// The turn is dropped: every call gets a result all the same, because a model refuses a conversation without.
    pub(crate) fn abandon_tools(&mut self, runs: Vec<ToolRun>) {
        let mut content = Vec::new();
        for run in runs {
            if let Some(invocation) = run.invocation {
                self.command(Command::CancelTool { invocation });
            }
            let output = run.output.unwrap_or_else(|| "cancelled: the caller interrupted".to_owned());
            content.push(Content::ToolResult { call_id: run.call.id, output });
        }
        self.memory.push(Message { role: Role::Tool, content });
    }

    fn start_tool(&mut self, run: usize, call: ToolCall) {
        let configured = self.setup.spec.tools.iter().any(|tool| tool.name == call.name);
        match call.name.as_str() {
            "hang_up" if configured => {
                if let Some(thinking) = &mut self.thinking {
                    thinking.hang_up = true;
                }
                self.tool_output(run, "The call ends now.".to_owned(), false);
            }
            "transfer" if configured => {
                self.raise(
                    Failure::UnsupportedFeature,
                    None,
                    "transfer is not available in this version".to_owned(),
                    "record",
                );
                let output = "unsupported_feature: calls cannot be transferred; offer something else";
                self.tool_output(run, output.to_owned(), true);
            }
            name => match self.setup.tools.iter().find(|tool| tool.definition.name == name).cloned() {
                Some(tool) => {
                    self.last_invocation += 1;
                    let invocation = self.last_invocation;
                    if let Some(started) = self.thinking.as_mut().and_then(|thinking| thinking.tools.get_mut(run)) {
                        started.invocation = Some(invocation);
                    }
                    self.command(Command::StartTool {
                        invocation,
                        plugin: tool.plugin,
                        settings: tool.settings,
                        name: call.name,
                        arguments: call.arguments,
                        deadline_ms: DEADLINE_MS,
                    });
                }
                None => self.tool_output(run, format!("there is no tool named {name}"), true),
            },
        }
    }

    fn tool_answered(&mut self, run: usize, outcome: ToolOutcome) {
        let Some(tool) = self.thinking.as_mut().and_then(|thinking| thinking.tools.get_mut(run)) else { return };
        tool.invocation = None;
        let name = tool.call.name.clone();
        match (outcome.failure, outcome.is_error) {
            (Some(failure), _) => self.tool_failed(failure, name, outcome.output.clone()),
            (None, true) => self.tool_failed(Failure::ToolFailed, name, outcome.output.clone()),
            (None, false) => {}
        }
        for action in outcome.actions {
            self.tool_action(action);
        }
        self.tool_output(run, outcome.output, outcome.is_error);
        self.tools_done();
    }

    fn tool_action(&mut self, action: ToolAction) {
        let unsupported = match action {
            ToolAction::Say(text) => return self.sentence(text),
            ToolAction::HangUp(_) => {
                if let Some(thinking) = &mut self.thinking {
                    thinking.hang_up = true;
                }
                return;
            }
            ToolAction::SetVariable(name, value) => {
                let room = self.variables.len() < MAX_VARIABLES || self.variables.contains_key(&name);
                if room && name.len() <= 100 && value.len() <= MAX_OUTPUT_BYTES {
                    self.variables.insert(name, value);
                }
                return;
            }
            ToolAction::Transfer(_) => "transfer",
            ToolAction::SendDtmf(_) => "send-dtmf",
        };
        let detail = format!("the action {unsupported} is not available in this version");
        self.raise(Failure::UnsupportedFeature, None, detail, "record");
    }

    fn tool_failed(&mut self, failure: Failure, name: String, detail: String) {
        let action = match self.action_for(failure) {
            trunkline_api::agent::FailureAction::NextProvider { .. } => trunkline_api::agent::FailureAction::Record,
            action => action,
        };
        self.raise(failure, Some(name), detail, action_name(&action));
        self.act(failure, action);
    }

    fn tool_output(&mut self, run: usize, mut output: String, is_error: bool) {
        if output.len() > MAX_OUTPUT_BYTES {
            let end = (0..=MAX_OUTPUT_BYTES).rev().find(|&at| output.is_char_boundary(at)).unwrap_or(0);
            output.truncate(end);
        }
        let Some(tool) = self.thinking.as_ref().and_then(|thinking| thinking.tools.get(run)) else { return };
        let data = json!({ "name": tool.call.name, "id": tool.call.id, "is_error": is_error });
        self.words_event(EventType::ToolReturned, data, "output", vec![(output.clone(), WHOLE)]);
        let ticket = self.redact(Channel::LlmInput, &output);
        if let Some(tool) = self.thinking.as_mut().and_then(|thinking| thinking.tools.get_mut(run)) {
            tool.ticket = ticket;
            tool.output = ticket.is_none().then_some(output);
        }
    }

    /// Goes on once every tool has answered.
    fn tools_done(&mut self) {
        let Some(thinking) = &mut self.thinking else { return };
        if thinking.tools.is_empty() || thinking.tools.iter().any(|run| run.output.is_none()) {
            return;
        }
        let result =
            |run: ToolRun| Content::ToolResult { call_id: run.call.id, output: run.output.unwrap_or_default() };
        let content = std::mem::take(&mut thinking.tools).into_iter().map(result).collect();
        self.timers.clear(Reason::ToolDeadline);
        self.timers.clear(Reason::ToolBridge);
        self.memory.push(Message { role: Role::Tool, content });
        self.next_round();
    }
}
