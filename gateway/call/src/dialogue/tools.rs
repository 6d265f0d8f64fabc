//! Tools: some are built in (`hang_up`, those of the telephone, `hand_off`, `search_knowledge` and more), the others are plugins that the driver
//! runs, all at once or one after the other, each with a time of its own.

use serde_json::json;
use trunkline_api::agent::{OnInterrupt, ToolPolicy};
use trunkline_api::words::{Content, Message, RedactionChannel, Role, ToolAction, ToolCall, ToolDefinition};
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use super::failure::action_name;
use super::kept_tools::Kept;
use super::language::{self, SET_LANGUAGE};
use super::mind::Then;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::input::ToolOutcome;
use crate::spoken::WHOLE;
use crate::timers::Reason;

/// Most bytes of a tool's output that the model reads, and of a variable's value.
const MAX_OUTPUT_BYTES: usize = 8 * 1024;
/// Most variables that tools may set.
const MAX_VARIABLES: usize = 256;
/// What the model reads of a tool that did not answer.
pub(super) const TIMED_OUT: &str = "tool_timeout: the tool did not answer in time";

/// A tool call being carried out.
#[derive(Debug)]
pub(crate) struct ToolRun {
    pub(super) call: ToolCall,
    pub(super) policy: ToolPolicy,
    pub(super) invocation: Option<u32>,
    /// It was begun; calls of an agent whose tools do not run at once wait for those before them.
    begun: bool,
    /// An earlier run of the same round that is the same call.
    same_as: Option<usize>,
    /// Until when it may run.
    pub(super) deadline: Option<CallTime>,
    /// When its line is said.
    say_at: Option<CallTime>,
    /// The search of knowledge bases it waits for.
    pub(super) lookup: Option<u64>,
    /// The redaction its output waits for.
    ticket: Option<u64>,
    pub(super) output: Option<String>,
}

impl ToolRun {
    fn new(call: ToolCall) -> Self {
        Self {
            call,
            policy: ToolPolicy::default(),
            invocation: None,
            begun: false,
            same_as: None,
            deadline: None,
            say_at: None,
            lookup: None,
            ticket: None,
            output: None,
        }
    }

    /// Whether its answer is still to come.
    const fn is_open(&self) -> bool {
        self.output.is_none() && self.ticket.is_none()
    }

    const fn runs(&self) -> bool {
        self.begun && self.is_open()
    }
}

impl Dialogue {
    /// What the model may call.
    pub(super) fn tool_definitions(&self) -> Vec<ToolDefinition> {
        if self.mind.may_call() { self.all_definitions() } else { Vec::new() }
    }

    /// What a model may call as long as there is no limit to it.
    pub(super) fn all_definitions(&self) -> Vec<ToolDefinition> {
        let mut definitions = Vec::new();
        if self.has_built_in("hang_up") {
            definitions.push(ToolDefinition {
                name: "hang_up".to_owned(),
                description: "Ends the call once everything you have said was heard. Say goodbye first.".to_owned(),
                parameters: r#"{"type":"object","properties":{},"additionalProperties":false}"#.to_owned(),
            });
        }
        definitions.extend(self.telephone_tools());
        definitions.extend(self.own_definitions());
        if self.has_built_in(SET_LANGUAGE) {
            definitions.push(language::definition());
        }
        definitions.extend(self.hand_off_definition());
        definitions.extend(self.search_definition());
        definitions.extend(self.bindings.iter().map(|tool| tool.definition.clone()));
        definitions
    }

    fn has_built_in(&self, name: &str) -> bool {
        self.spec.tools.iter().any(|tool| tool.name == name)
    }

    /// Starts the tools the model called.
    pub(super) fn run_tools(&mut self, fx: &mut Effects, calls: Vec<ToolCall>) {
        self.keypad.leaves = None;
        let Some(reply) = self.mind.reply_mut() else { return };
        reply.tools = calls.into_iter().map(ToolRun::new).collect();
        let count = reply.tools.len();
        for run in 0..count {
            let Some(call) = self.tool_run(run).map(|tool| tool.call.clone()) else { return };
            let data = json!({ "name": call.name, "id": call.id });
            fx.words_event(EventType::ToolCalled, data, "arguments", vec![(call.arguments.clone(), WHOLE)]);
            if self.spec.tool_use.parallel || !self.runs().iter().any(ToolRun::runs) {
                self.start_tool(fx, run, call);
            }
        }
        self.tools_done(fx);
    }

    /// A tool answered.
    pub(super) fn tool_answered(&mut self, fx: &mut Effects, invocation: u32, mut outcome: ToolOutcome) {
        self.without_secrets(&mut outcome.output);
        let Some(run) = self.runs().iter().position(|run| run.invocation == Some(invocation)) else {
            self.kept_answered(fx, invocation, outcome);
            return;
        };
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

    /// The time of a tool is up.
    pub(super) fn tools_overdue(&mut self, fx: &mut Effects) {
        let now = fx.now();
        let overdue = |run: &ToolRun| run.runs() && run.deadline.is_some_and(|deadline| deadline <= now);
        let runs: Vec<usize> = (0..self.runs().len()).filter(|&run| overdue(&self.runs()[run])).collect();
        for run in runs {
            let Some(tool) = self.tool_run(run) else { return };
            (tool.deadline, tool.lookup) = (None, None);
            let (name, timeout_ms) = (tool.call.name.clone(), tool.policy.timeout_ms);
            if let Some(invocation) = tool.invocation.take() {
                let open = tool.policy.on_interrupt == OnInterrupt::Keep;
                let kept = Kept::late(invocation, tool.call.clone(), open, now);
                if !open {
                    fx.command(Command::CancelTool { invocation });
                }
                self.keep_tool(fx, kept);
            }
            self.tool_failed(fx, Failure::ToolTimeout, &name, &format!("no answer within {timeout_ms} ms"));
            self.tool_output(fx, run, TIMED_OUT.to_owned(), true);
        }
        self.kept_overdue(fx);
        self.tools_done(fx);
        self.watch_tools(fx);
    }

    /// Says the lines of tools that have run for long enough, one at a time.
    pub(super) fn tools_say(&mut self, fx: &mut Effects) {
        let now = fx.now();
        let mut line = String::new();
        for tool in self.mind.reply_mut().into_iter().flat_map(|reply| &mut reply.tools) {
            if tool.say_at.is_some_and(|at| at <= now) {
                tool.say_at = None;
                if tool.runs() && line.is_empty() {
                    line.clone_from(&tool.policy.say);
                }
            }
        }
        if !self.mind.is_held() {
            self.meanwhile(fx, &line);
        }
        self.watch_tools(fx);
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

    /// The turn is dropped: every call gets a result all the same, because a model refuses a conversation without. Tools
    /// that must not be stopped half way run on.
    pub(super) fn abandon_tools(&mut self, fx: &mut Effects, runs: Vec<ToolRun>) {
        if runs.is_empty() {
            return;
        }
        let (mut content, mut kept) = (Vec::new(), Vec::new());
        let outputs: Vec<Option<String>> = runs.iter().map(|run| run.output.clone()).collect();
        for run in runs {
            let keeps = run.policy.on_interrupt == OnInterrupt::Keep;
            let mut otherwise = "cancelled: the caller interrupted";
            if let Some(invocation) = run.invocation {
                if keeps {
                    otherwise = "running: the caller went on meanwhile. It is being carried out and its result follows \
                                 here; do not call it again";
                    kept.push(Kept::interrupted(invocation, run.call.clone(), run.deadline));
                } else {
                    fx.command(Command::CancelTool { invocation });
                }
            }
            let output = run.output.or_else(|| run.same_as.and_then(|same| outputs.get(same).cloned().flatten()));
            let output = output.unwrap_or_else(|| otherwise.to_owned());
            content.push(Content::ToolResult { call_id: run.call.id, output });
        }
        let serial = self.memory.push(Message { role: Role::Tool, content });
        self.tell_results(fx);
        self.kept_stand_in(serial);
        for kept in kept {
            self.keep_tool(fx, kept.standing_in(serial));
        }
        self.watch_tools(fx);
    }

    /// Arms the next deadline of the tools that run, and the next line to be said.
    pub(super) fn watch_tools(&self, fx: &mut Effects) {
        let running = || self.runs().iter().filter(|run| run.runs());
        let due = running().filter_map(|run| run.deadline).chain(self.kept_until()).min();
        let say = running().filter_map(|run| run.say_at).min();
        for (reason, at) in [(Reason::ToolDeadline, due), (Reason::ToolSay, say)] {
            match at {
                Some(at) => fx.timers().set(reason, at),
                None => fx.clear(reason),
            }
        }
    }

    /// This host kept tools waiting for so long: that was not their time.
    pub(super) fn excuse_tools(&mut self, fx: &mut Effects, us: u64) {
        for run in self.mind.reply_mut().into_iter().flat_map(|reply| &mut reply.tools) {
            run.deadline = run.deadline.map(|deadline| deadline + us);
        }
        self.watch_tools(fx);
    }

    /// Whether nothing is to be said while the tools that run do.
    pub(super) fn tools_want_silence(&self) -> bool {
        self.runs().iter().any(|run| run.runs() && !run.policy.speak_while_waiting)
    }

    pub(super) fn runs(&self) -> &[ToolRun] {
        self.mind.reply().map_or(&[][..], |reply| &reply.tools)
    }

    pub(super) fn tool_run(&mut self, run: usize) -> Option<&mut ToolRun> {
        self.mind.reply_mut().and_then(|reply| reply.tools.get_mut(run))
    }

    fn start_tool(&mut self, fx: &mut Effects, run: usize, call: ToolCall) {
        if let Some(tool) = self.tool_run(run) {
            tool.begun = true;
        }
        if let Some((output, is_error)) = self.telephone_tool(fx, &call) {
            self.tool_output(fx, run, output, is_error);
            return;
        }
        match call.name.as_str() {
            "hang_up" if self.has_built_in("hang_up") => {
                self.then(Then::HangUp);
                self.tool_output(fx, run, "The call ends now.".to_owned(), false);
            }
            _ if let Some((output, is_error)) = self.own_tool(fx, &call) => self.tool_output(fx, run, output, is_error),
            SET_LANGUAGE if self.has_built_in(SET_LANGUAGE) => {
                let (output, is_error) = self.language_tool(fx, &call.arguments);
                self.tool_output(fx, run, output, is_error);
            }
            "hand_off" if self.hand_off_definition().is_some() => {
                let (output, is_error) = match self.wants_hand_off(&call.arguments) {
                    Ok(output) => (output, false),
                    Err(why) => (why, true),
                };
                self.tool_output(fx, run, output, is_error);
            }
            "search_knowledge" if self.search_definition().is_some() => self.search(fx, run, &call.arguments),
            _ => self.start_plugin(fx, run, call),
        }
    }

    fn start_plugin(&mut self, fx: &mut Effects, run: usize, call: ToolCall) {
        let Some(tool) = self.bindings.iter().find(|tool| tool.definition.name == call.name).cloned() else {
            self.tool_output(fx, run, format!("there is no tool named {}", call.name), true);
            return;
        };
        let (now, policy) = (fx.now(), tool.policy.clone());
        let same = |other: &ToolRun| other.call.name == call.name && other.call.arguments == call.arguments;
        let same_as = self.runs()[..run].iter().position(|other| policy.idempotent && same(other));
        let taken_up = if same_as.is_none() { self.take_up_kept(&call) } else { None };
        let Some(started) = self.tool_run(run) else { return };
        started.policy = policy.clone();
        if same_as.is_some() {
            started.same_as = same_as;
            return;
        }
        if !policy.say.is_empty() {
            started.say_at = Some(now.plus_ms(u64::from(policy.say_after_ms)));
        }
        if let Some((invocation, deadline)) = taken_up {
            (started.invocation, started.deadline) = (Some(invocation), deadline);
            return;
        }
        started.deadline = Some(now.plus_ms(u64::from(policy.timeout_ms)));
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
            deadline_ms: policy.timeout_ms,
        });
    }

    pub(super) fn then(&mut self, then: Then) {
        if let Some(reply) = self.mind.reply_mut()
            && reply.then == Then::Listen
        {
            reply.then = then;
        }
    }

    pub(super) fn tool_action(&mut self, fx: &mut Effects, action: ToolAction) {
        match action {
            ToolAction::Say(mut text) => {
                self.without_secrets(&mut text);
                self.sentence(fx, text);
            }
            ToolAction::HangUp(_) => self.then(Then::HangUp),
            ToolAction::SetVariable(name, mut value) => {
                self.without_secrets(&mut value);
                let room = self.variables.len() < MAX_VARIABLES || self.variables.contains_key(&name);
                if room && name.len() <= 100 && value.len() <= MAX_OUTPUT_BYTES {
                    self.set_variable(fx, name, value);
                }
            }
            ToolAction::Transfer(to) => self.tool_transfers(fx, &to),
            ToolAction::SendDtmf(digits) => {
                if let Err(why) = self.send_keys(fx, &digits) {
                    self.tool_failed(fx, Failure::ToolFailed, "", &why);
                }
            }
        }
    }

    pub(super) fn tool_failed(&mut self, fx: &mut Effects, failure: Failure, name: &str, detail: &str) {
        let action = self.action_without_next(failure);
        fx.raise(failure, name, detail, action_name(&action));
        self.act(fx, failure, action);
    }

    pub(super) fn tool_output(&mut self, fx: &mut Effects, run: usize, mut output: String, is_error: bool) {
        shorten(&mut output);
        let Some(tool) = self.tool_run(run) else { return };
        let data = json!({ "name": tool.call.name, "id": tool.call.id, "is_error": is_error });
        fx.words_event(EventType::ToolReturned, data, "output", vec![(output.clone(), WHOLE)]);
        let ticket = fx.redact(RedactionChannel::LlmInput, &output);
        if let Some(tool) = self.tool_run(run) {
            tool.ticket = ticket;
            tool.output = ticket.is_none().then_some(output);
        }
    }

    /// Begins the next tool, or goes on once every tool has answered.
    pub(super) fn tools_done(&mut self, fx: &mut Effects) {
        self.share_outputs();
        while !self.runs().iter().any(ToolRun::runs)
            && let Some(next) = self.runs().iter().position(|run| !run.begun)
            && let Some(call) = self.tool_run(next).map(|tool| tool.call.clone())
        {
            self.start_tool(fx, next, call);
            self.share_outputs();
        }
        // What is due at once is said at once.
        if self.runs().iter().any(|run| run.runs() && run.say_at.is_some_and(|at| at <= fx.now())) {
            self.tools_say(fx);
        }
        self.watch_tools(fx);
        let Some(reply) = self.mind.reply_mut() else { return };
        if reply.tools.is_empty() || reply.tools.iter().any(|run| run.output.is_none()) {
            return;
        }
        if reply.tools.iter().any(|run| !run.policy.speak_while_waiting) {
            // The caller's wait for words begins here.
            self.quiet_since = fx.now();
        }
        let result =
            |run: ToolRun| Content::ToolResult { call_id: run.call.id, output: run.output.unwrap_or_default() };
        let content = std::mem::take(&mut reply.tools).into_iter().map(result).collect();
        let goes_on = reply.then == Then::Listen;
        let serial = self.memory.push(Message { role: Role::Tool, content });
        self.tell_results(fx);
        self.kept_stand_in(serial);
        self.watch_tools(fx);
        self.mind.next_round();
        match self.keypad.leaves.take() {
            _ if !goes_on || self.tel.asked.is_some() => self.reply_over(fx),
            Some(leave) => self.leave(fx, leave),
            None => self.ask(fx),
        }
    }

    /// What a tool answered is the answer to equal calls, too.
    fn share_outputs(&mut self) {
        let tools = self.mind.reply_mut().map(|reply| &mut reply.tools);
        let Some(tools) = tools else { return };
        for run in 0..tools.len() {
            if tools[run].output.is_none()
                && let Some(output) =
                    tools[run].same_as.and_then(|same| tools.get(same)).and_then(|same| same.output.clone())
            {
                tools[run].output = Some(output);
            }
        }
    }
}

/// Cuts an output to the longest that the model reads.
pub(super) fn shorten(output: &mut String) {
    let end = MAX_OUTPUT_BYTES.min(output.len());
    output.truncate((0..=end).rev().find(|&at| output.is_char_boundary(at)).unwrap_or(0));
}
