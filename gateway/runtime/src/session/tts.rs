//! A synthesiser's session.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use trunkline_plugin_host::{
    Capability, Plugin, SessionError, SessionStart, TtsConfig, TtsEvent as HostEvent, TtsSession,
};

use super::seat::{Body, Opener};
use super::units::{PluginTime, units};
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
        Ok(Box::new(TtsBody { session, rate, outputs: VecDeque::new(), time: PluginTime::default(), over: false })
            as Box<dyn Body>)
    })
}

struct TtsBody {
    session: TtsSession,
    rate: u32,
    outputs: VecDeque<Output>,
    time: PluginTime,
    over: bool,
}

impl TtsBody {
    fn check(&mut self, result: Result<(), SessionError>) {
        self.collect();
        if let Err(error) = result
            && !self.over
        {
            self.over = true;
            let failure = error.failure(Capability::Tts);
            self.outputs.push_back(Output::Failed { failure, detail: error.to_string() });
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                HostEvent::Ready => {}
                HostEvent::Audio { context, frame } => {
                    let pcm = frame.samples().collect();
                    self.outputs.push_back(Output::Sound { context, pcm, rate: self.rate });
                }
                HostEvent::ContextDone(context) => self.outputs.push_back(Output::ContextDone { context }),
                HostEvent::Usage(usage) => self.outputs.push_back(Output::Usage(units(&usage))),
                HostEvent::Failed(error) => {
                    self.over = true;
                    let failure = error.failure(Capability::Tts);
                    self.outputs.push_back(Output::Failed { failure, detail: error.to_string() });
                }
                HostEvent::Ended => {
                    self.over = true;
                    let failure = Capability::Tts.unavailable();
                    self.outputs.push_back(Output::Failed { failure, detail: "the session ended".to_owned() });
                }
            }
        }
    }
}

impl Body for TtsBody {
    fn handle(&mut self, now_us: u64, input: Input) {
        let result = match input {
            Input::Synthesize { context, text } => self.session.synthesize(now_us, context, &text, true),
            Input::CancelContext { context } => self.session.cancel(now_us, context),
            Input::Cancel => self.session.close(now_us),
            Input::Sound { .. } | Input::Finalize => Ok(()),
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
