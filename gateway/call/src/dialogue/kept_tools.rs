//! Tools that nobody waits for any more and that still matter: those that must not be stopped half way because the caller
//! went on, and those whose time was up. What they answer takes the place of what the model was told in their stead.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::words::{RedactionChannel, ToolAction, ToolCall};
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use super::tools::{TIMED_OUT, shorten};
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::input::ToolOutcome;
use crate::spoken::WHOLE;

/// Most of them; the oldest is stopped for another.
const MOST: usize = 8;
/// How long after its time was up an answer is still of interest.
const LATE_MS: u64 = 60_000;

/// A tool that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Kept {
    invocation: u32,
    call: ToolCall,
    /// The driver still runs it.
    open: bool,
    /// Its time was up, and the model knows.
    late: bool,
    until: CallTime,
    /// The message in which something stands for its result, once there is one.
    serial: Option<u64>,
    /// The redaction its answer waits for.
    ticket: Option<u64>,
    /// It is of an agent that handed the call over: a tool of that name is another now.
    anothers: bool,
}

impl Kept {
    /// One that goes on because it must not be stopped half way.
    pub(super) fn interrupted(invocation: u32, call: ToolCall, deadline: Option<CallTime>) -> Self {
        let until = deadline.unwrap_or_default();
        Self { invocation, call, open: true, late: false, until, serial: None, ticket: None, anothers: false }
    }

    /// One whose time is up.
    pub(super) const fn late(invocation: u32, call: ToolCall, open: bool, now: CallTime) -> Self {
        Self {
            invocation,
            call,
            open,
            late: true,
            until: now.plus_ms(LATE_MS),
            serial: None,
            ticket: None,
            anothers: false,
        }
    }

    /// What the model was told stands in that message.
    pub(super) fn standing_in(self, serial: u64) -> Self {
        Self { serial: Some(serial), ..self }
    }
}

impl Dialogue {
    /// Keeps a tool in mind.
    pub(super) fn keep_tool(&mut self, fx: &mut Effects, kept: Kept) {
        if self.kept.len() >= MOST {
            let oldest = self.kept.remove(0);
            if oldest.open {
                fx.command(Command::CancelTool { invocation: oldest.invocation });
            }
        }
        self.kept.push(kept);
    }

    /// The results of the tools of this round stand in that message.
    pub(super) fn kept_stand_in(&mut self, serial: u64) {
        for kept in self.kept.iter_mut().filter(|kept| kept.serial.is_none()) {
            kept.serial = Some(serial);
        }
    }

    /// Another agent goes on: what runs runs on.
    pub(super) fn kept_are_anothers(&mut self) {
        for kept in &mut self.kept {
            kept.anothers = true;
        }
    }

    /// Deadlines of tools that are kept in mind.
    pub(super) fn kept_until(&self) -> impl Iterator<Item = CallTime> {
        self.kept.iter().filter(|kept| kept.ticket.is_none()).map(|kept| kept.until)
    }

    /// The model calls again what still runs: it is the same run.
    pub(super) fn take_up_kept(&mut self, call: &ToolCall) -> Option<(u32, Option<CallTime>)> {
        let same = |kept: &Kept| kept.call.name == call.name && kept.call.arguments == call.arguments;
        let at =
            self.kept.iter().position(|kept| !kept.late && !kept.anothers && kept.ticket.is_none() && same(kept))?;
        let kept = self.kept.remove(at);
        Some((kept.invocation, Some(kept.until)))
    }

    /// A tool that is kept in mind has answered.
    pub(super) fn kept_answered(&mut self, fx: &mut Effects, invocation: u32, outcome: ToolOutcome) {
        let Some(at) = self.kept.iter().position(|kept| kept.invocation == invocation && kept.ticket.is_none()) else {
            return;
        };
        self.kept[at].open = false;
        let name = self.kept[at].call.name.clone();
        let data = json!({
            "name": name, "id": self.kept[at].call.id, "is_error": outcome.is_error, "late": true,
        });
        let mut output = outcome.output;
        shorten(&mut output);
        fx.words_event(EventType::ToolReturned, data, "output", vec![(output.clone(), WHOLE)]);
        let ticket = fx.redact(RedactionChannel::LlmInput, &output);
        self.kept[at].ticket = ticket;
        if ticket.is_none() {
            self.kept_is_known(at, &output);
        }
        let failure = outcome.failure.or_else(|| outcome.is_error.then_some(Failure::ToolFailed));
        if let Some(failure) = failure {
            self.tool_failed(fx, failure, &name, "the tool answered with an error; see `tool.returned`");
        }
        for action in outcome.actions {
            self.late_action(fx, action);
        }
        self.watch_tools(fx);
    }

    /// The answer of a tool that is kept in mind is back from the redactor; false when it is another text.
    pub(super) fn kept_redacted(&mut self, ticket: u64, text: &str) -> bool {
        let Some(at) = self.kept.iter().position(|kept| kept.ticket == Some(ticket)) else { return false };
        self.kept_is_known(at, text);
        true
    }

    /// Tools that are kept in mind and whose time is up.
    pub(super) fn kept_overdue(&mut self, fx: &mut Effects) {
        let now = fx.now();
        let overdue = |kept: &Kept| kept.until <= now && kept.ticket.is_none();
        while let Some(at) = self.kept.iter().position(overdue) {
            if self.kept[at].late {
                let kept = self.kept.remove(at);
                if kept.open {
                    fx.command(Command::CancelTool { invocation: kept.invocation });
                }
                continue;
            }
            self.stand_in(at, TIMED_OUT);
            let kept = &mut self.kept[at];
            (kept.late, kept.until) = (true, now.plus_ms(LATE_MS));
            let name = kept.call.name.clone();
            self.tool_failed(
                fx,
                Failure::ToolTimeout,
                &name,
                "no answer in its time, which the caller did not wait for",
            );
        }
    }

    /// The call ends: whatever still runs is stopped.
    pub(super) fn stop_kept(&mut self, fx: &mut Effects) {
        for kept in self.kept.drain(..).filter(|kept| kept.open) {
            fx.command(Command::CancelTool { invocation: kept.invocation });
        }
    }

    fn kept_is_known(&mut self, at: usize, output: &str) {
        let output = if self.kept[at].late { format!("late: {output}") } else { output.to_owned() };
        self.stand_in(at, &output);
        self.kept.remove(at);
    }

    /// Puts a text in the place of what the model was told of the result.
    fn stand_in(&mut self, at: usize, output: &str) {
        let Kept { serial, call, .. } = &self.kept[at];
        match serial {
            Some(serial) => {
                let note = format!("[{} has answered: {output}]", call.name);
                if self.memory.answer(*serial, &call.id, output) {
                    self.engine_learns(&note);
                }
            }
            // The round is not over yet.
            None => {
                let id = call.id.clone();
                let runs = self.mind.reply_mut().into_iter().flat_map(|reply| &mut reply.tools);
                for run in runs.filter(|run| run.call.id == id) {
                    run.output = Some(output.to_owned());
                }
            }
        }
    }

    /// An action of a tool that no turn waits for.
    fn late_action(&mut self, fx: &mut Effects, action: ToolAction) {
        match action {
            ToolAction::Say(mut text) if !self.mind.is_thinking() && !self.closing => {
                self.without_secrets(&mut text);
                // There is no reply whose sentences the redactor sees: what it would have to see is not said.
                if !fx.redacts(RedactionChannel::LlmOutput)
                    && let Some(text) = self.may_say(fx, text)
                {
                    self.say(fx, &text, false);
                    self.mouth.finish(fx);
                }
            }
            ToolAction::HangUp(_) if !self.mind.is_thinking() => {
                fx.close("", EndReason::AgentHungUp, None, false);
            }
            ToolAction::Say(_)
            | ToolAction::HangUp(_)
            | ToolAction::SetVariable(..)
            | ToolAction::Transfer(_)
            | ToolAction::SendDtmf(_) => self.tool_action(fx, action),
        }
    }
}
