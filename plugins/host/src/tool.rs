//! One invocation of a tool.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::ResourceAny;

use crate::bindings::host::types::ProviderError as GuestError;
use crate::bindings::tool::{Provider, exports::trunkline::plugin::tool as wit};
use crate::error::SessionError;
use crate::plugin::{Plugin, World};
use crate::session::{Runner, SessionStart};
use crate::vocabulary::{ToolContext, ToolOutcome};

/// Arguments in, an outcome out.
pub struct ToolSession {
    runner: Runner<ToolOutcome>,
    world: Provider,
    handle: ResourceAny,
    done: bool,
}

impl Plugin {
    /// Starts a tool. The outcome may be there at once.
    ///
    /// # Errors
    /// [`SessionError`], among them `WrongCapability` when the plugin is none.
    pub fn tool(
        self: &Arc<Self>,
        settings: &Value,
        name: &str,
        arguments: &str,
        context: &ToolContext,
        start: SessionStart,
    ) -> Result<ToolSession, SessionError> {
        let World::Tool(indices) = self.world() else { return Err(self.is_no("tool-provider")) };
        let now_us = start.now_us;
        let (mut runner, world) = self.open(settings, start, |store, instance| indices.load(store, instance))?;
        let context = context.into();
        let started = runner.call(now_us, |store| {
            world.trunkline_plugin_tool().invocation().call_start(store, name, arguments, &context)
        })?;
        let handle = started.map_err(|error| runner.kill(SessionError::Provider(error.into())))?;
        let mut session = ToolSession { runner, world, handle, done: false };
        session.poll_guest(now_us)?;
        Ok(session)
    }
}

impl ToolSession {
    fn poll_guest(&mut self, now_us: u64) -> Result<(), SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_tool().invocation(), self.handle);
        let answer = self.runner.call(now_us, |store| guest.call_poll(store, handle))?;
        self.take(answer)
    }

    fn take(&mut self, answer: Result<wit::Step, GuestError>) -> Result<(), SessionError> {
        match answer {
            Err(error) => Err(self.runner.kill(SessionError::Provider(error.into()))),
            Ok(wit::Step::Pending) => Ok(()),
            Ok(wit::Step::Done(outcome)) => {
                let outcome: ToolOutcome = outcome.into();
                let granted = &self.runner.plugin.manifest().actions;
                if let Some(action) =
                    outcome.actions.iter().find(|action| !granted.iter().any(|name| name == action.name()))
                {
                    let what = format!("it asked for the action `{}`, which its manifest does not list", action.name());
                    let plugin = self.runner.plugin.name().to_owned();
                    return Err(self.runner.kill(SessionError::Contract { plugin, what }));
                }
                self.done = true;
                self.runner.queue.push_back(outcome);
                Ok(())
            }
        }
    }

    /// Delivers due timers and what connections brought; when there was nothing of the kind, polls the guest.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn handle_wake(&mut self, now_us: u64) -> Result<(), SessionError> {
        let mut delivered = false;
        while !self.done
            && let Some(event) = self.runner.next_event(now_us)
        {
            delivered = true;
            let (guest, handle) = (self.world.trunkline_plugin_tool().invocation(), self.handle);
            let answer = self.runner.call(now_us, |store| guest.call_on_event(store, handle, &event))?;
            self.take(answer)?;
        }
        if delivered || self.done { Ok(()) } else { self.poll_guest(now_us) }
    }

    /// The outcome, once.
    pub fn poll_outcome(&mut self) -> Option<ToolOutcome> {
        self.runner.queue.pop_front()
    }

    /// Tells the tool to stop; the session is over after it.
    ///
    /// # Errors
    /// [`SessionError`] when the guest misbehaves at it.
    pub fn cancel(&mut self, now_us: u64) -> Result<(), SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_tool().invocation(), self.handle);
        self.runner.call(now_us, |store| guest.call_cancel(store, handle))?;
        self.runner.end();
        Ok(())
    }

    /// When the guest's next timer is due, in microseconds of the caller's clock.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.runner.next_timer_us()
    }

    /// Whether `handle_wake` has work now, without any wake or timer.
    #[must_use]
    pub fn wants_step(&self) -> bool {
        !self.done && self.runner.has_mail()
    }

    /// Time spent inside the guest, in microseconds.
    #[must_use]
    pub fn plugin_us(&self) -> u64 {
        self.runner.plugin_us()
    }

    /// Whether the session has ended.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.runner.is_dead()
    }
}
