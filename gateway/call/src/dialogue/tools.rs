//! Tools: two are built in (`hang_up`, `transfer`), the others are plugins that the driver runs, all at once.

use serde_json::json;
use trunkline_api::words::{Content, Message, RedactionChannel, Role, ToolAction, ToolCall, ToolDefinition};
use trunkline_api::{EventType, Failure};

use super::failure::action_name;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::input::ToolOutcome;
use crate::spoken::WHOLE;
use crate::timers::Reason;

/// What a tool has before the model is told that it did not answer.
const DEADLINE_MS: u32 = 10_000;
/// Most bytes of a tool's output that the model reads, and of a variable's value.
const MAX_OUTPUT_BYTES: usize = 8 * 1024;
/// Most variables that tools may set.
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

impl Dialogue {
    /// What the model may call.
    pub(super) fn tool_definitions(&self) -> Vec<ToolDefinition> {
        if !self.mind.may_call() {
            return Vec::new();
        }
        let configured = |name: &str| self.spec.tools.iter().any(|tool| tool.name == name);
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
        definitions.extend(self.bindings.iter().map(|tool| tool.definition.clone()));
        definitions
    }

    /// Starts every tool the model called.
    pub(super) fn run_tools(&mut self, fx: &mut Effects, calls: Vec<ToolCall>) {
        let run = |call| ToolRun { call, invocation: None, ticket: None, output: None };
        if let Some(reply) = self.mind.reply_mut() {
            reply.tools = calls.iter().cloned().map(run).collect();
        }
        fx.set_in(Reason::ToolDeadline, u64::from(DEADLINE_MS));
        for (run, call) in calls.into_iter().enumerate() {
            let data = json!({ "name": call.name, "id": call.id });
            fx.words_event(EventType::ToolCalled, data, "arguments", vec![(call.arguments.clone(), WHOLE)]);
            self.start_tool(fx, run, call);
        }
        self.tools_done(fx);
    }

    /// A tool answered.
    pub(super) fn tool_answered(&mut self, fx: &mut Effects, invocation: u32, outcome: ToolOutcome) {
        let tools = self.mind.reply().map_or(&[][..], |reply| &reply.tools);
        let Some(run) = tools.iter().position(|run| run.invocation == Some(invocation)) else { return };
        let Some(tool) = self.tool_run(run) else { return };
        tool.invocation = None;
        let name = tool.call.name.clone();
        // What a tool says of its fault may hold what the caller said: it goes by the ways of its output only.
        let failure = outcome.failure.or_else(|| outcome.is_error.then_some(Failure::ToolFailed));
        if let Some(failure) = failure {
            self.tool_failed(fx, failure, &name, "the tool answered with an error; see `tool.returned`");
        }
        for action in outcome.actions {
            self.tool_action(fx, action);
        }
        self.tool_output(fx, run, outcome.output, outcome.is_error);
        self.tools_done(fx);
    }

    /// Every tool's time is up.
    pub(super) fn tools_overdue(&mut self, fx: &mut Effects) {
        let open = |run: &ToolRun| run.output.is_none() && run.ticket.is_none();
        let tools = self.mind.reply().map_or(&[][..], |reply| &reply.tools);
        let runs: Vec<usize> = (0..tools.len()).filter(|&run| open(&tools[run])).collect();
        for run in runs {
            let Some(tool) = self.tool_run(run) else { return };
            let name = tool.call.name.clone();
            if let Some(invocation) = tool.invocation.take() {
                fx.command(Command::CancelTool { invocation });
            }
            self.tool_failed(fx, Failure::ToolTimeout, &name, &format!("no answer within {DEADLINE_MS} ms"));
            self.tool_output(fx, run, "tool_timeout: the tool did not answer in time".to_owned(), true);
        }
        self.tools_done(fx);
    }

    /// A tool's output is back from the redactor.
    pub(super) fn tool_output_redacted(&mut self, fx: &mut Effects, ticket: u64, text: String) {
        let tools = self.mind.reply_mut().map(|reply| &mut reply.tools);
        let run = tools.into_iter().flatten().find(|run| run.ticket == Some(ticket));
        if let Some(run) = run {
            run.ticket = None;
            run.output = Some(text);
            self.tools_done(fx);
        }
    }

    /// The turn is dropped: every call gets a result all the same, because a model refuses a conversation without.
    pub(super) fn abandon_tools(&mut self, fx: &mut Effects, runs: Vec<ToolRun>) {
        if runs.is_empty() {
            return;
        }
        let mut content = Vec::new();
        for run in runs {
            if let Some(invocation) = run.invocation {
                fx.command(Command::CancelTool { invocation });
            }
            let output = run.output.unwrap_or_else(|| "cancelled: the caller interrupted".to_owned());
            content.push(Content::ToolResult { call_id: run.call.id, output });
        }
        self.memory.push(Message { role: Role::Tool, content });
    }

    fn tool_run(&mut self, run: usize) -> Option<&mut ToolRun> {
        self.mind.reply_mut().and_then(|reply| reply.tools.get_mut(run))
    }

    fn start_tool(&mut self, fx: &mut Effects, run: usize, call: ToolCall) {
        let configured = self.spec.tools.iter().any(|tool| tool.name == call.name);
        match call.name.as_str() {
            "hang_up" if configured => {
                if let Some(reply) = self.mind.reply_mut() {
                    reply.hang_up = true;
                }
                self.tool_output(fx, run, "The call ends now.".to_owned(), false);
            }
            "transfer" if configured => {
                fx.raise(Failure::UnsupportedFeature, "", "transfer is not available in this version", "record");
                let output = "unsupported_feature: calls cannot be transferred; offer something else";
                self.tool_output(fx, run, output.to_owned(), true);
            }
            name => match self.bindings.iter().find(|tool| tool.definition.name == name).cloned() {
                Some(tool) => {
                    self.last_invocation += 1;
                    let invocation = self.last_invocation;
                    if let Some(started) = self.tool_run(run) {
                        started.invocation = Some(invocation);
                    }
                    fx.command(Command::StartTool {
                        invocation,
                        plugin: tool.plugin,
                        settings: tool.settings,
                        name: call.name,
                        arguments: call.arguments,
                        deadline_ms: DEADLINE_MS,
                    });
                }
                None => self.tool_output(fx, run, format!("there is no tool named {name}"), true),
            },
        }
    }

    fn tool_action(&mut self, fx: &mut Effects, action: ToolAction) {
        let unsupported = match action {
            ToolAction::Say(text) => return self.sentence(fx, text),
            ToolAction::HangUp(_) => {
                if let Some(reply) = self.mind.reply_mut() {
                    reply.hang_up = true;
                }
                return;
            }
            ToolAction::SetVariable(name, value) => {
                let room = self.variables.len() < MAX_VARIABLES || self.variables.contains_key(&name);
                if room && name.len() <= 100 && value.len() <= MAX_OUTPUT_BYTES {
                    self.set_variable(fx, name, value);
                }
                return;
            }
            ToolAction::Transfer(_) => "transfer",
            ToolAction::SendDtmf(_) => "send-dtmf",
        };
        let detail = format!("the action {unsupported} is not available in this version");
        fx.raise(Failure::UnsupportedFeature, "", &detail, "record");
    }

    fn tool_failed(&mut self, fx: &mut Effects, failure: Failure, name: &str, detail: &str) {
        let action = self.action_without_next(failure);
        fx.raise(failure, name, detail, action_name(&action));
        self.act(fx, failure, action);
    }

    fn tool_output(&mut self, fx: &mut Effects, run: usize, mut output: String, is_error: bool) {
        let end = MAX_OUTPUT_BYTES.min(output.len());
        output.truncate((0..=end).rev().find(|&at| output.is_char_boundary(at)).unwrap_or(0));
        let Some(tool) = self.tool_run(run) else { return };
        let data = json!({ "name": tool.call.name, "id": tool.call.id, "is_error": is_error });
        fx.words_event(EventType::ToolReturned, data, "output", vec![(output.clone(), WHOLE)]);
        let ticket = fx.redact(RedactionChannel::LlmInput, &output);
        if let Some(tool) = self.tool_run(run) {
            tool.ticket = ticket;
            tool.output = ticket.is_none().then_some(output);
        }
    }

    /// Goes on once every tool has answered.
    fn tools_done(&mut self, fx: &mut Effects) {
        let Some(reply) = self.mind.reply_mut() else { return };
        if reply.tools.is_empty() || reply.tools.iter().any(|run| run.output.is_none()) {
            return;
        }
        let result =
            |run: ToolRun| Content::ToolResult { call_id: run.call.id, output: run.output.unwrap_or_default() };
        let content = std::mem::take(&mut reply.tools).into_iter().map(result).collect();
        let hang_up = reply.hang_up;
        fx.clear(Reason::ToolDeadline);
        self.memory.push(Message { role: Role::Tool, content });
        self.mind.next_round();
        if hang_up { self.reply_over(fx) } else { self.ask(fx) }
    }
}
