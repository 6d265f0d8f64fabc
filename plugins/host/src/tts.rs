//! A voice.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::ResourceAny;

use crate::bindings::tts::{Provider, exports::trunkline::plugin::tts as wit};
use crate::error::SessionError;
use crate::plugin::{Plugin, World};
use crate::session::{IntoStep, Runner, SessionStart, Step, answer, stream_session};
use crate::vocabulary::{AudioFormat, Encoding, TtsConfig, TtsEvent};

/// Text in, sound out.
pub struct TtsSession {
    runner: Runner<TtsEvent>,
    world: Provider,
    handle: ResourceAny,
    format: AudioFormat,
}

stream_session!(TtsSession, TtsEvent, trunkline_plugin_tts, session);

impl IntoStep<TtsEvent> for wit::Step {
    fn into_step(self) -> Step<TtsEvent> {
        Step { events: self.events.into_iter().map(Into::into).collect(), again: self.again }
    }
}

impl Plugin {
    /// Opens a voice.
    ///
    /// # Errors
    /// [`SessionError`], among them `WrongCapability` when the plugin is none and `Contract` when its format is not
    /// mono `l16` of 8000..=48000 Hz.
    pub fn tts(
        self: &Arc<Self>,
        settings: &Value,
        config: &TtsConfig,
        start: SessionStart,
    ) -> Result<TtsSession, SessionError> {
        let World::Tts(indices) = self.world() else { return Err(self.is_no("tts-provider")) };
        let now_us = start.now_us;
        let (mut runner, world) = self.open(settings, start, |store, instance| indices.load(store, instance))?;
        let config = config.into();
        let opened = runner.call(now_us, |store| world.trunkline_plugin_tts().session().call_open(store, &config))?;
        let handle = opened.map_err(|error| runner.kill(SessionError::Provider(error.into())))?;
        let format: AudioFormat =
            runner.call(now_us, |store| world.trunkline_plugin_tts().session().call_format(store, handle))?.into();
        if format.encoding != Encoding::L16 || format.channels != 1 || !(8000..=48_000).contains(&format.sample_rate) {
            let what = format!("its format is {format:?}, not mono l16 of 8000 to 48000 Hz");
            return Err(runner.kill(SessionError::Contract { plugin: self.name().to_owned(), what }));
        }
        runner.ask_again();
        Ok(TtsSession { runner, world, handle, format })
    }
}

impl TtsSession {
    /// The format of every piece of audio.
    #[must_use]
    pub fn format(&self) -> AudioFormat {
        self.format
    }

    /// Adds text to a context; `end_of_input` says that no more comes, [`TtsEvent::ContextDone`] follows its last audio.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn synthesize(
        &mut self,
        now_us: u64,
        context: u32,
        text: &str,
        end_of_input: bool,
    ) -> Result<(), SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_tts().session(), self.handle);
        self.runner.step(now_us, |store, credit| {
            answer(guest.call_synthesize(store, handle, context, text, end_of_input, credit))
        })
    }

    /// Drops everything pending of a context, here and in the plugin.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn cancel(&mut self, now_us: u64, context: u32) -> Result<(), SessionError> {
        self.runner.queue.retain(|event| !matches!(event, TtsEvent::Audio { context: own, .. } if *own == context));
        let (guest, handle) = (self.world.trunkline_plugin_tts().session(), self.handle);
        self.runner.step(now_us, |store, credit| answer(guest.call_cancel(store, handle, context, credit)))
    }

    /// Asks it to end; keep polling and waking until [`TtsEvent::Ended`], or drop the session.
    ///
    /// # Errors
    /// [`SessionError`] ends the session.
    pub fn close(&mut self, now_us: u64) -> Result<(), SessionError> {
        let (guest, handle) = (self.world.trunkline_plugin_tts().session(), self.handle);
        self.runner.step(now_us, |store, credit| answer(guest.call_close(store, handle, credit)))
    }
}
