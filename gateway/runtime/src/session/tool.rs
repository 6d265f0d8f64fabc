//! A tool's invocation.

use std::sync::Arc;

use serde_json::Value;
use trunkline_call::ToolOutcome;
use trunkline_plugin_host::{Capability, Plugin, SessionError, SessionStart, ToolContext, ToolSession};

use super::body::{Said, World, WorldBody};
use super::seat::{Body, Opener};
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
        Ok(Box::new(WorldBody::new(session, Invocation)) as Box<dyn Body>)
    })
}

/// An invocation has nothing of its own to remember.
struct Invocation;

impl World<ToolSession> for Invocation {
    const CAPABILITY: Capability = Capability::Tool;

    fn handle(&mut self, session: &mut ToolSession, now_us: u64, input: Input) -> Result<(), SessionError> {
        if matches!(input, Input::Cancel) { session.cancel(now_us) } else { Ok(()) }
    }

    fn collect(&mut self, session: &mut ToolSession, said: &mut Said) {
        let Some(outcome) = session.poll_outcome() else { return };
        said.end(Output::Tool(ToolOutcome {
            output: outcome.output,
            is_error: outcome.is_error,
            actions: outcome.actions,
            failure: None,
        }));
    }
}
