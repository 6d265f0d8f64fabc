//! A recogniser's session.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use trunkline_api::Failure;
use trunkline_call::AsrEvent;
use trunkline_dsp::resample::Resampler;
use trunkline_plugin_host::{
    AsrConfig, AsrEvent as HostEvent, AsrSession, AudioFrame, Capability, Encoding, Plugin, SessionError, SessionStart,
};

use super::seat::{Body, Opener};
use super::units::{PluginTime, units};
use super::{Input, Output, Wake};

/// Opens a recogniser for `language`.
pub(crate) fn open_asr(plugin: Arc<Plugin>, settings: Value, language: String, wake: Wake) -> Opener {
    Box::new(move |now_us| {
        let failed = |error: SessionError| (error.failure(Capability::Asr), error.to_string());
        let format = plugin
            .asr_formats()
            .iter()
            .copied()
            .find(|format| {
                format.encoding == Encoding::L16 && format.channels == 1 && matches!(format.sample_rate, 8000 | 16000)
            })
            .ok_or_else(|| (Failure::PluginRefused, format!("{} takes no 8 or 16 kHz l16", plugin.name())))?;
        let config = AsrConfig { format, languages: vec![language], interim_results: true, keyterms: Vec::new() };
        let start = SessionStart::new(now_us, now_us, wake.callback());
        let session = plugin.asr(&settings, &config, start).map_err(failed)?;
        Ok(Box::new(AsrBody {
            session,
            online: is_online(&plugin),
            rate: format.sample_rate,
            resampler: None,
            finalizing: false,
            outputs: VecDeque::new(),
            time: PluginTime::default(),
            over: false,
        }) as Box<dyn Body>)
    })
}

/// Whether a plugin has connections of its own.
pub(crate) fn is_online(plugin: &Plugin) -> bool {
    !plugin.manifest().hosts.is_empty()
}

struct AsrBody {
    session: AsrSession,
    online: bool,
    rate: u32,
    resampler: Option<(u32, Box<Resampler>)>,
    finalizing: bool,
    outputs: VecDeque<Output>,
    time: PluginTime,
    over: bool,
}

impl AsrBody {
    fn check(&mut self, result: Result<(), SessionError>) {
        self.collect();
        if let Err(error) = result {
            self.over = true;
            let failure = error.failure(Capability::Asr);
            self.outputs.push_back(Output::Failed { failure, detail: error.to_string() });
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.session.poll_event() {
            let output = match event {
                HostEvent::Ready => Output::Asr(AsrEvent::Ready),
                HostEvent::SpeechStarted(_) => continue,
                HostEvent::Transcript(transcript) if transcript.is_final => {
                    let finalized = std::mem::take(&mut self.finalizing);
                    let (text, confidence) = (transcript.text, transcript.confidence);
                    Output::Asr(AsrEvent::Final { text, confidence, finalized })
                }
                HostEvent::Transcript(transcript) => Output::Asr(AsrEvent::Partial { text: transcript.text }),
                HostEvent::Usage(usage) => Output::Usage(units(&usage)),
                HostEvent::Failed(error) => {
                    self.over = true;
                    Output::Failed { failure: error.failure(Capability::Asr), detail: error.to_string() }
                }
                HostEvent::Ended => {
                    self.over = true;
                    Output::Asr(AsrEvent::Ended)
                }
            };
            self.outputs.push_back(output);
        }
        // One without connections has said all it has: no words were in the sound.
        if self.finalizing && !self.online && !self.session.wants_step() {
            self.finalizing = false;
            self.outputs.push_back(Output::Asr(AsrEvent::Final {
                text: String::new(),
                confidence: None,
                finalized: true,
            }));
        }
    }

    /// Samples at the session's rate; sound of a rate that cannot be converted is left out.
    fn converted(&mut self, pcm: Vec<i16>, rate: u32) -> Vec<i16> {
        if rate == self.rate {
            return pcm;
        }
        if self.resampler.as_ref().is_none_or(|(from, _)| *from != rate) {
            self.resampler = Resampler::new(rate, self.rate).ok().map(|resampler| (rate, Box::new(resampler)));
        }
        let Some((_, resampler)) = &mut self.resampler else { return Vec::new() };
        let most = pcm.len() * self.rate as usize / rate.max(1) as usize + 2;
        let mut out = vec![0; most];
        let made = resampler.process(&pcm, &mut out);
        out.truncate(made);
        out
    }
}

impl Body for AsrBody {
    fn handle(&mut self, now_us: u64, input: Input) {
        let result = match input {
            Input::Sound { pcm, rate, position_us } => {
                let samples = self.converted(pcm, rate);
                self.session.push_audio(now_us, &[AudioFrame::from_samples(position_us, &samples)])
            }
            Input::Finalize => {
                self.finalizing = true;
                self.session.finalize(now_us)
            }
            Input::Cancel => self.session.close(now_us),
            Input::Synthesize { .. } | Input::CancelContext { .. } => Ok(()),
        };
        self.check(result);
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
        self.outputs.pop_front().or_else(|| self.time.report(self.session.plugin_us(), self.over))
    }

    fn timeout_us(&self) -> Option<u64> {
        self.session.poll_timeout()
    }

    fn is_over(&self) -> bool {
        self.over && self.outputs.is_empty()
    }
}
