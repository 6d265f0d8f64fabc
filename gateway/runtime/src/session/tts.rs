//! A synthesiser's session.

use std::sync::Arc;

use serde_json::Value;
use trunkline_plugin_host::{
    Capability, Plugin, SessionError, SessionStart, TtsConfig, TtsEvent as HostEvent, TtsSession,
};

use super::body::{Said, World, WorldBody, failed};
use super::seat::{Body, Opener};
use super::units::units;
use super::{Input, Output, Wake};

/// The rate a synthesiser should prefer, in Hz: that of a telephone leg.
const PREFERRED_RATE: u32 = 8000;

/// Opens a voice for `language`; `voice` and `speaking_rate` come from the settings.
pub(crate) fn open_tts(plugin: Arc<Plugin>, settings: Value, language: String, wake: Wake) -> Opener {
    Box::new(move |now_us| {
        let config = TtsConfig {
            voice: settings["voice"].as_str().unwrap_or_default().to_owned(),
            language: Some(language),
            preferred_rate: PREFERRED_RATE,
            speaking_rate: settings["speaking_rate"].as_f64().map(|rate| rate as f32),
        };
        let session = plugin
            .tts(&settings, &config, SessionStart::new(now_us, now_us, wake.callback()))
            .map_err(|error| (error.failure(Capability::Tts), error.to_string()))?;
        let rate = session.format().sample_rate;
        Ok(Box::new(WorldBody::new(session, Voice { rate })) as Box<dyn Body>)
    })
}

/// A voice's own state.
struct Voice {
    rate: u32,
}

impl World<TtsSession> for Voice {
    const CAPABILITY: Capability = Capability::Tts;

    fn handle(&mut self, session: &mut TtsSession, now_us: u64, input: Input) -> Result<(), SessionError> {
        match input {
            Input::Synthesize { context, text } => session.synthesize(now_us, context, &text, true),
            Input::CancelContext { context } => session.cancel(now_us, context),
            Input::Cancel => session.close(now_us),
            Input::Finalize | Input::Redact { .. } => Ok(()),
        }
    }

    fn collect(&mut self, session: &mut TtsSession, said: &mut Said) {
        while let Some(event) = session.poll_event() {
            match event {
                HostEvent::Ready => {}
                HostEvent::Audio { context, frame } => {
                    said.push(Output::Sound { context, pcm: frame.samples().collect(), rate: self.rate });
                }
                HostEvent::ContextDone(context) => said.push(Output::ContextDone { context }),
                HostEvent::Usage(usage) => said.push(Output::Usage(units(&usage))),
                HostEvent::Failed(error) => said.end(failed(&error, Self::CAPABILITY)),
                HostEvent::Ended => {
                    let failure = Self::CAPABILITY.unavailable();
                    said.end(Output::Failed { failure, detail: "the session ended".to_owned() });
                }
            }
        }
    }
}
