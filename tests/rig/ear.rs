//! The product's own recogniser, listening to what a caller heard: a voice is proven by its words, not by its loudness.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use trunkline_plugin_host::{
    AsrConfig, AsrEvent, AsrSession, AudioFormat, AudioFrame, HostConfig, Plugin, PluginHost, SessionStart, TrustedKeys,
};

use crate::process::from_environment;

/// Samples of 20 ms at 8 kHz.
const FRAME: usize = 160;

/// The `grammar` plugin in a host of its own.
pub struct Ear {
    recogniser: Arc<Plugin>,
    // The deadlines of the plugin's sessions pass as long as these live.
    _host: PluginHost,
    _runtime: tokio::runtime::Runtime,
}

impl Ear {
    /// Loads the recogniser; its compiled code is shared with the gateways of the rig.
    pub fn open() -> anyhow::Result<Self> {
        let plugins = from_environment("TRUNKLINE_PLUGINS")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut trusted = TrustedKeys::default();
        trusted.add_folder(&from_environment("TRUNKLINE_TRUSTED_KEYS")?)?;
        let host = PluginHost::new(HostConfig {
            trusted_keys: trusted,
            ..HostConfig::new(cache(&plugins), runtime.handle().clone())
        })?;
        let recogniser = host.load(&plugins.join("grammar")).context("the recogniser")?;
        Ok(Self { recogniser, _host: host, _runtime: runtime })
    }

    /// The words in 8 kHz samples, an entry for each utterance of which there were any; `grammar` is JSGF.
    pub fn hear(&self, grammar: &str, samples: &[i16]) -> anyhow::Result<Vec<String>> {
        let config = AsrConfig {
            format: AudioFormat::l16(8000),
            languages: vec!["en".to_owned()],
            interim_results: false,
            keyterms: Vec::new(),
        };
        let start = SessionStart::new(1, 0, Arc::new(|| {}));
        let mut session = self.recogniser.asr(&json!({ "grammar": grammar }), &config, start)?;
        let mut heard = Vec::new();
        let mut now_us = 0;
        for frame in samples.chunks(FRAME) {
            session.push_audio(now_us, &[AudioFrame::from_samples(now_us, frame)])?;
            now_us += frame.len() as u64 * 125;
            take(&mut session, now_us, &mut heard)?;
        }
        session.finalize(now_us)?;
        take(&mut session, now_us, &mut heard)?;
        Ok(heard)
    }
}

/// Where compiled plugins lie: shared by everything of one build, because the keys are their digests.
pub fn cache(plugins: &Path) -> std::path::PathBuf {
    plugins.with_file_name("plugin-cache")
}

fn take(session: &mut AsrSession, now_us: u64, heard: &mut Vec<String>) -> anyhow::Result<()> {
    loop {
        while let Some(event) = session.poll_event() {
            if let AsrEvent::Transcript(transcript) = event
                && transcript.is_final
                && !transcript.text.is_empty()
            {
                heard.push(transcript.text);
            }
        }
        if !session.wants_step() {
            return Ok(());
        }
        session.handle_wake(now_us)?;
    }
}
