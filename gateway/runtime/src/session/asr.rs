//! A recogniser's session.

use std::sync::Arc;

use serde_json::Value;
use trunkline_api::Failure;
use trunkline_call::AsrEvent;
use trunkline_dsp::resample::Resampler;
use trunkline_plugin_host::{
    AsrConfig, AsrEvent as HostEvent, AsrSession, AudioFormat, AudioFrame, Capability, Encoding, Plugin, SessionError,
    SessionStart,
};

use super::body::{Said, World, WorldBody, failed};
use super::seat::{Body, Opener};
use super::units::units;
use super::{Input, Output, Sound, Wake};

/// Opens a recogniser for `language`.
pub(crate) fn open_asr(plugin: Arc<Plugin>, settings: Value, language: String, wake: Wake) -> Opener {
    Box::new(move |now_us| {
        let failed = |error: SessionError| (error.failure(Capability::Asr), error.to_string());
        let format = our_format(&plugin)
            .ok_or_else(|| (Failure::PluginRefused, format!("{} takes no 8 or 16 kHz l16", plugin.name())))?;
        let config = AsrConfig { format, languages: vec![language], interim_results: true, keyterms: Vec::new() };
        let start = SessionStart::new(now_us, now_us, wake.callback());
        let session = plugin.asr(&settings, &config, start).map_err(failed)?;
        let online = is_online(&plugin);
        let world =
            Recogniser { online, rate: format.sample_rate, resampler: None, converted: Vec::new(), finalizing: false };
        Ok(Box::new(WorldBody::new(session, world)) as Box<dyn Body>)
    })
}

fn our_format(plugin: &Plugin) -> Option<AudioFormat> {
    let ours = |format: &AudioFormat| {
        format.encoding == Encoding::L16 && format.channels == 1 && matches!(format.sample_rate, 8000 | 16000)
    };
    plugin.asr_formats().iter().copied().find(ours)
}

/// Whether a recogniser takes a format this gateway can send.
pub(crate) fn takes_our_sound(plugin: &Plugin) -> bool {
    our_format(plugin).is_some()
}

/// Whether a plugin has connections of its own.
pub(crate) fn is_online(plugin: &Plugin) -> bool {
    !plugin.manifest().hosts.is_empty()
}

/// A recogniser's own state.
struct Recogniser {
    online: bool,
    rate: u32,
    resampler: Option<(u32, Box<Resampler>)>,
    converted: Vec<i16>,
    finalizing: bool,
}

impl Recogniser {
    /// Samples at the session's rate; sound of a rate that cannot be converted is left out.
    fn convert<'a>(&'a mut self, pcm: &'a [i16], rate: u32) -> &'a [i16] {
        if rate == self.rate {
            return pcm;
        }
        if self.resampler.as_ref().is_none_or(|(from, _)| *from != rate) {
            self.resampler = Resampler::new(rate, self.rate).ok().map(|resampler| (rate, Box::new(resampler)));
        }
        let Some((_, resampler)) = &mut self.resampler else { return &[] };
        let most = pcm.len() * self.rate as usize / rate.max(1) as usize + 2;
        self.converted.resize(most, 0);
        let made = resampler.process(pcm, &mut self.converted);
        &self.converted[..made]
    }
}

impl World<AsrSession> for Recogniser {
    const CAPABILITY: Capability = Capability::Asr;

    fn handle(&mut self, session: &mut AsrSession, now_us: u64, input: Input) -> Result<(), SessionError> {
        match input {
            Input::Finalize => {
                self.finalizing = true;
                session.finalize(now_us)
            }
            Input::Cancel => session.close(now_us),
            Input::Synthesize { .. } | Input::CancelContext { .. } | Input::Redact { .. } => Ok(()),
        }
    }

    fn hear(&mut self, session: &mut AsrSession, now_us: u64, sound: Sound<'_>) -> Result<(), SessionError> {
        let samples = self.convert(sound.pcm, sound.rate);
        session.push_audio(now_us, &[AudioFrame::from_samples(sound.position_us, samples)])
    }

    fn collect(&mut self, session: &mut AsrSession, said: &mut Said) {
        while let Some(event) = session.poll_event() {
            match event {
                HostEvent::Ready => said.push(Output::Asr(AsrEvent::Ready)),
                HostEvent::SpeechStarted(_) => {}
                HostEvent::Transcript(transcript) if transcript.is_final => {
                    let finalized = std::mem::take(&mut self.finalizing);
                    let (text, confidence) = (transcript.text, transcript.confidence);
                    said.push(Output::Asr(AsrEvent::Final { text, confidence, finalized }));
                }
                HostEvent::Transcript(transcript) => {
                    said.push(Output::Asr(AsrEvent::Partial { text: transcript.text }));
                }
                HostEvent::Usage(usage) => said.push(Output::Usage(units(&usage))),
                HostEvent::Failed(error) => said.end(failed(&error, Self::CAPABILITY)),
                HostEvent::Ended => said.end(Output::Asr(AsrEvent::Ended)),
            }
        }
        // One without connections that waits for no timer has said all it has: no words were in the sound.
        if self.finalizing && !self.online && !session.wants_step() && session.poll_timeout().is_none() {
            self.finalizing = false;
            said.push(Output::Asr(AsrEvent::Final { text: String::new(), confidence: None, finalized: true }));
        }
    }
}
