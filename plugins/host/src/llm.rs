//! One generation of a language model.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::ResourceAny;

use crate::bindings::llm::{Provider, exports::trunkline::plugin::llm as wit};
use crate::error::SessionError;
use crate::plugin::{Plugin, World};
use crate::session::{IntoStep, Runner, SessionStart, Step, answer, stream_session};
use crate::vocabulary::{LlmEvent, LlmRequest};

/// A conversation in, a reply out; ends with [`LlmEvent::Finished`] or [`LlmEvent::Failed`].
pub struct LlmSession {
    runner: Runner<LlmEvent>,
    world: Provider,
    handle: ResourceAny,
}

stream_session!(LlmSession, LlmEvent, trunkline_plugin_llm, generation);

impl IntoStep<LlmEvent> for wit::Step {
    fn into_step(self) -> Step<LlmEvent> {
        Step { events: self.events.into_iter().map(Into::into).collect(), again: self.again }
    }
}

impl Plugin {
    /// Starts a generation. A generation hears of connections, timers and `resume` only, so one that has something to
    /// say at once is stepped right away: call `handle_wake` after this.
    ///
    /// # Errors
    /// [`SessionError`], among them `WrongCapability` when the plugin is none.
    pub fn llm(
        self: &Arc<Self>,
        settings: &Value,
        request: &LlmRequest,
        start: SessionStart,
    ) -> Result<LlmSession, SessionError> {
        let World::Llm(indices) = self.world() else { return Err(self.is_no("llm-provider")) };
        let now_us = start.now_us;
        let (mut runner, world) = self.open(settings, start, |store, instance| indices.load(store, instance))?;
        let request = request.into();
        let started =
            runner.call(now_us, |store| world.trunkline_plugin_llm().generation().call_start(store, &request))?;
        let handle = started.map_err(|error| runner.kill(SessionError::Provider(error.into())))?;
        runner.ask_again();
        Ok(LlmSession { runner, world, handle })
    }
}

impl LlmSession {
    /// Stops the generation; [`LlmEvent::Finished`] with `Cancelled` may follow.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn cancel(&mut self, now_us: u64) -> Result<(), SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_llm().generation(), self.handle);
        self.runner.step(now_us, |store, credit| answer(guest.call_cancel(store, handle, credit)))
    }
}
