//! A minimal host for one recogniser session, to listen to recordings with the built component and to time it.

use anyhow::{Context, Result, anyhow, bail};
use std::path::Path;
use std::time::{Duration, Instant};
use wasmtime::component::{Component, HasSelf, Linker, ResourceAny};
use wasmtime::{Config, Engine, Store};

#[expect(missing_docs, reason = "generated from the contract, which documents itself")]
mod bindings {
    wasmtime::component::bindgen!({ path: "../../../wit/0.1.0", world: "asr-provider" });
}
use bindings::AsrProvider;
use bindings::exports::trunkline::plugin::asr::{AsrEvent, AudioFrame, SessionConfig, Step};
pub use bindings::exports::trunkline::plugin::asr::{Transcript, Usage};
use bindings::trunkline::plugin::types::ProviderError;

/// Events the host takes per call.
const CREDIT: u32 = 4;
/// 20 ms of 8 kHz samples.
const FRAME: usize = 160;

/// A compiled component.
pub struct Recogniser {
    engine: Engine,
    component: Component,
    linker: Linker<Host>,
}

struct Host {
    settings: String,
    said: Vec<String>,
}

impl bindings::trunkline::plugin::log::Host for Host {
    fn log(&mut self, _: bindings::trunkline::plugin::log::Level, message: String) {
        self.said.push(message);
    }
}

impl Recogniser {
    /// Compiles `plugin.wasm` of a plugin folder. Imports other than settings and log trap when called.
    pub fn load(folder: &Path) -> Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        let engine = Engine::new(&config).map_err(foreign)?;
        let component = Component::from_file(&engine, folder.join("plugin.wasm")).map_err(foreign)?;
        let mut linker = Linker::<Host>::new(&engine);
        linker
            .instance("trunkline:plugin/settings@0.1.0")
            .and_then(|mut i| i.func_wrap("get", |store, ()| Ok((store.data().settings.clone(),))))
            .map_err(foreign)?;
        bindings::trunkline::plugin::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host).map_err(foreign)?;
        linker.define_unknown_imports_as_traps(&component).map_err(foreign)?;
        Ok(Self { engine, component, linker })
    }

    /// Names of every import of the component.
    pub fn imports(&self) -> Vec<String> {
        self.component.component_type().imports(&self.engine).map(|(name, _)| name.to_owned()).collect()
    }

    /// Instantiates the component and opens a session with `settings` (JSON).
    pub fn open(&self, settings: &str, interim: bool, keyterms: &[&str]) -> Result<Session> {
        let mut store = Store::new(&self.engine, Host { settings: settings.to_owned(), said: Vec::new() });
        let world = AsrProvider::instantiate(&mut store, &self.component, &self.linker).map_err(foreign)?;
        let init = world.trunkline_plugin_lifecycle().call_init(&mut store).map_err(foreign)?;
        init.map_err(|why| anyhow!("init: {why}"))?;
        let formats = world.trunkline_plugin_asr().call_formats(&mut store).map_err(foreign)?;
        let config = SessionConfig {
            format: *formats.first().context("the recogniser names no format")?,
            languages: vec!["en-GB".to_owned()],
            interim_results: interim,
            keyterms: keyterms.iter().map(|k| (*k).to_owned()).collect(),
        };
        let opened = world.trunkline_plugin_asr().session().call_open(&mut store, &config).map_err(foreign)?;
        let session = opened.map_err(refused)?;
        Ok(Session { store, world, session, position: 0, slowest: Duration::ZERO, busy: Duration::ZERO, more: false })
    }
}

/// What the session reported, in order.
#[derive(Default)]
pub struct Heard {
    /// Interim and final transcripts.
    pub transcripts: Vec<Transcript>,
    /// Milliseconds of audio billed.
    pub audio_in_ms: u64,
    /// `ready` events.
    pub ready: usize,
    /// `ended` events.
    pub ended: usize,
}

/// One open session.
pub struct Session {
    store: Store<Host>,
    world: AsrProvider,
    session: ResourceAny,
    /// Samples pushed.
    position: u64,
    more: bool,
    /// The longest any one call took.
    pub slowest: Duration,
    /// Processor time spent inside the component.
    pub busy: Duration,
}

impl Session {
    /// What the component logged.
    pub fn logged(&self) -> &[String] {
        &self.store.data().said
    }

    /// Pushes 8 kHz samples as 20 ms frames, resuming whenever the recogniser has more.
    pub fn push(&mut self, samples: &[i16], heard: &mut Heard) -> Result<()> {
        for chunk in samples.chunks(FRAME) {
            let payload = chunk.iter().flat_map(|s| s.to_le_bytes()).collect();
            let frame = AudioFrame { position_us: self.position * 125, payload };
            self.position += chunk.len() as u64;
            self.call(heard, |s| {
                s.world.trunkline_plugin_asr().session().call_push_audio(&mut s.store, s.session, &[frame], CREDIT)
            })?;
            self.drain(heard)?;
        }
        Ok(())
    }

    /// Pushes all samples in one call, as a host that was held up would.
    pub fn push_at_once(&mut self, samples: &[i16], heard: &mut Heard) -> Result<()> {
        let frames: Vec<AudioFrame> = samples
            .chunks(FRAME)
            .map(|chunk| {
                let payload = chunk.iter().flat_map(|s| s.to_le_bytes()).collect();
                let frame = AudioFrame { position_us: self.position * 125, payload };
                self.position += chunk.len() as u64;
                frame
            })
            .collect();
        self.call(heard, |s| {
            s.world.trunkline_plugin_asr().session().call_push_audio(&mut s.store, s.session, &frames, CREDIT)
        })?;
        self.drain(heard)
    }

    /// Ends the utterance.
    pub fn finalize(&mut self, heard: &mut Heard) -> Result<()> {
        self.call(heard, |s| s.world.trunkline_plugin_asr().session().call_finalize(&mut s.store, s.session, CREDIT))?;
        self.drain(heard)
    }

    /// Closes the session.
    pub fn close(&mut self, heard: &mut Heard) -> Result<()> {
        self.call(heard, |s| s.world.trunkline_plugin_asr().session().call_close(&mut s.store, s.session, CREDIT))?;
        self.drain(heard)
    }

    fn drain(&mut self, heard: &mut Heard) -> Result<()> {
        let mut left = 10_000;
        while self.more {
            if left == 0 {
                bail!("the recogniser asks for more for ever");
            }
            left -= 1;
            self.call(heard, |s| {
                s.world.trunkline_plugin_asr().session().call_resume(&mut s.store, s.session, CREDIT)
            })?;
        }
        Ok(())
    }

    fn call(
        &mut self,
        heard: &mut Heard,
        run: impl FnOnce(&mut Self) -> wasmtime::Result<Result<Step, ProviderError>>,
    ) -> Result<()> {
        let (started, cpu) = (Instant::now(), thread_cpu()?);
        let step = run(self).map_err(foreign)?.map_err(refused)?;
        self.slowest = self.slowest.max(started.elapsed());
        self.busy += thread_cpu()?.saturating_sub(cpu);
        self.more = step.again;
        if step.events.len() > CREDIT as usize {
            bail!("{} events for a credit of {CREDIT}", step.events.len());
        }
        for event in step.events {
            match event {
                AsrEvent::Transcript(t) => heard.transcripts.push(t),
                AsrEvent::Usage(Usage { audio_in_ms, .. }) => heard.audio_in_ms += audio_in_ms.unwrap_or(0),
                AsrEvent::Ready => heard.ready += 1,
                AsrEvent::Ended => heard.ended += 1,
                AsrEvent::SpeechStarted(_) => {}
                AsrEvent::Failed(error) => return Err(refused(error)),
            }
        }
        Ok(())
    }
}

/// Processor time of this thread: the first figure of its scheduler statistics, in nanoseconds.
fn thread_cpu() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("read schedstat")?;
    let nanoseconds = text.split_whitespace().next().context("an empty schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn refused(error: ProviderError) -> anyhow::Error {
    anyhow!("{:?}: {}", error.code, error.message)
}

/// Samples of an 8 kHz, 16-bit, one-channel WAV file.
pub fn wav(path: &Path) -> Result<Vec<i16>> {
    let mut reader = hound::WavReader::open(path).with_context(|| format!("open {}", path.display()))?;
    let spec = reader.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (8000, 1, 16) {
        bail!("{}: expected 8000 Hz, one channel, 16 bits, found {spec:?}", path.display());
    }
    Ok(reader.samples::<i16>().collect::<Result<_, _>>()?)
}

/// wasmtime's error, with its chain, as ours.
fn foreign(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}
