//! A recogniser session.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::ResourceAny;

use crate::bindings::asr::{Provider, exports::trunkline::plugin::asr as wit};
use crate::bindings::host::types::AudioFrame as WitFrame;
use crate::error::SessionError;
use crate::plugin::{Plugin, World};
use crate::session::{IntoStep, Runner, SessionStart, Step, answer, stream_session};
use crate::vocabulary::{AsrConfig, AsrEvent, AudioFrame};

/// Speech in, words out.
pub struct AsrSession {
    runner: Runner<AsrEvent>,
    world: Provider,
    handle: ResourceAny,
}

stream_session!(AsrSession, AsrEvent, trunkline_plugin_asr, session);

impl IntoStep<AsrEvent> for wit::Step {
    fn into_step(self) -> Step<AsrEvent> {
        Step { events: self.events.into_iter().map(Into::into).collect(), again: self.again }
    }
}

impl Plugin {
    /// Opens a recogniser.
    ///
    /// # Errors
    /// [`SessionError`], among them `WrongCapability` when the plugin is none.
    pub fn asr(
        self: &Arc<Self>,
        settings: &Value,
        config: &AsrConfig,
        start: SessionStart,
    ) -> Result<AsrSession, SessionError> {
        let World::Asr(indices) = self.world() else { return Err(self.is_no("asr-provider")) };
        let now_us = start.now_us;
        let (mut runner, world) = self.open(settings, start, |store, instance| indices.load(store, instance))?;
        let config = config.into();
        let opened = runner.call(now_us, |store| world.trunkline_plugin_asr().session().call_open(store, &config))?;
        let handle = opened.map_err(|error| runner.kill(SessionError::Provider(error.into())))?;
        runner.ask_again();
        Ok(AsrSession { runner, world, handle })
    }
}

impl AsrSession {
    /// Hands over audio in the session's format.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn push_audio(&mut self, now_us: u64, frames: &[AudioFrame]) -> Result<(), SessionError> {
        let frames: Vec<WitFrame> = frames.iter().map(Into::into).collect();
        let (guest, handle) = (self.world.trunkline_plugin_asr().session(), self.handle);
        self.runner.step(now_us, |store, credit| answer(guest.call_push_audio(store, handle, &frames, credit)))
    }

    /// Says that the caller's utterance is over: pending words come back as final.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn finalize(&mut self, now_us: u64) -> Result<(), SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_asr().session(), self.handle);
        self.runner.step(now_us, |store, credit| answer(guest.call_finalize(store, handle, credit)))
    }

    /// Asks it to end; keep polling and waking until [`AsrEvent::Ended`], or drop the session.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn close(&mut self, now_us: u64) -> Result<(), SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_asr().session(), self.handle);
        self.runner.step(now_us, |store, credit| answer(guest.call_close(store, handle, credit)))
    }
}
