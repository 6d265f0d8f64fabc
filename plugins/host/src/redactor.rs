//! A redactor: pure, synchronous, and the only thing that sees the original beside the caller.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::ResourceAny;

use crate::bindings::redactor::{Provider, exports::trunkline::plugin::redactor as wit};
use crate::error::SessionError;
use crate::plugin::{Plugin, World};
use crate::session::{Runner, SessionStart};
use crate::text::plain;
use crate::vocabulary::{Redaction, RedactionChannel, RedactionPolicy};

/// Text in, text without personal data out. On any error the caller withholds the whole text.
pub struct RedactorSession {
    runner: Runner<()>,
    world: Provider,
    handle: ResourceAny,
}

impl Plugin {
    /// Opens a redactor.
    ///
    /// # Errors
    /// [`SessionError`], among them `WrongCapability` when the plugin is none.
    pub fn redactor(
        self: &Arc<Self>,
        settings: &Value,
        policy: &RedactionPolicy,
        start: SessionStart,
    ) -> Result<RedactorSession, SessionError> {
        let World::Redactor(indices) = self.world() else { return Err(self.is_no("pii-redactor")) };
        let now_us = start.now_us;
        let (mut runner, world) = self.open(settings, start, |store, instance| indices.load(store, instance))?;
        let policy: wit::Policy = policy.into();
        let opened =
            runner.call(now_us, |store| world.trunkline_plugin_redactor().session().call_open(store, &policy))?;
        let plugin = self.name().to_owned();
        let handle = opened.map_err(|why| runner.kill(SessionError::Init { plugin, why: plain(why) }))?;
        Ok(RedactorSession { runner, world, handle })
    }
}

impl RedactorSession {
    fn take(&mut self, answer: Result<wit::Redaction, String>) -> Result<Redaction, SessionError> {
        answer.map(Into::into).map_err(|what| {
            let plugin = self.runner.plugin.name().to_owned();
            self.runner.kill(SessionError::Contract { plugin, what: plain(what) })
        })
    }

    /// Redacts a whole text.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn redact(&mut self, now_us: u64, channel: RedactionChannel, text: &str) -> Result<Redaction, SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_redactor().session(), self.handle);
        let answer = self.runner.call(now_us, |store| guest.call_redact(store, handle, channel.into(), text))?;
        self.take(answer)
    }

    /// Redacts a stream piece by piece; what may still turn into an entity is held back until `end`.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn redact_delta(
        &mut self,
        now_us: u64,
        channel: RedactionChannel,
        delta: &str,
        end: bool,
    ) -> Result<Redaction, SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_redactor().session(), self.handle);
        let answer =
            self.runner.call(now_us, |store| guest.call_redact_delta(store, handle, channel.into(), delta, end))?;
        self.take(answer)
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
