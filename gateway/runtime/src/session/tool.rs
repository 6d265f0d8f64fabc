//! A tool's invocation.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use trunkline_call::{ToolAction, ToolOutcome};
use trunkline_plugin_host::{
    Capability, Plugin, SessionError, SessionStart, ToolAction as HostAction, ToolContext, ToolSession,
};

use super::seat::{Body, Opener};
use super::units::PluginTime;
use super::{Input, Output, Wake};

/// Starts an invocation.
pub(crate) fn open_tool(
    plugin: Arc<Plugin>,
    settings: Value,
    name: String,
    arguments: String,
    context: ToolContext,
    wake: Wake,
) -> Opener {
    Box::new(move |now_us| {
        let start = SessionStart::new(now_us, now_us, wake.callback());
        let session = plugin
            .tool(&settings, &name, &arguments, &context, start)
            .map_err(|error| (error.failure(Capability::Tool), error.to_string()))?;
        Ok(Box::new(ToolBody { session, outputs: VecDeque::new(), time: PluginTime::default(), over: false })
            as Box<dyn Body>)
    })
}

struct ToolBody {
    session: ToolSession,
    outputs: VecDeque<Output>,
    time: PluginTime,
    over: bool,
}

impl ToolBody {
    fn check(&mut self, result: Result<(), SessionError>) {
        if self.over {
            return;
        }
        let last = match (self.session.poll_outcome(), result) {
            (Some(outcome), _) => Output::Tool(ToolOutcome {
                output: outcome.output,
                is_error: outcome.is_error,
                actions: outcome.actions.into_iter().map(action).collect(),
                failure: None,
            }),
            (None, Err(error)) => {
                Output::Failed { failure: error.failure(Capability::Tool), detail: error.to_string() }
            }
            (None, Ok(())) => return,
        };
        self.over = true;
        self.outputs.extend(self.time.report(self.session.plugin_us(), true));
        self.outputs.push_back(last);
    }
}

impl Body for ToolBody {
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

fn action(action: HostAction) -> ToolAction {
    match action {
        HostAction::Say(text) => ToolAction::Say(text),
        HostAction::Transfer(to) => ToolAction::Transfer(to),
        HostAction::HangUp(reason) => ToolAction::HangUp(reason),
        HostAction::SendDtmf(digits) => ToolAction::SendDtmf(digits),
        HostAction::SetVariable(name, value) => ToolAction::SetVariable(name, value),
    }
}
