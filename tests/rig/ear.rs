//! Which of several sentences a caller heard: what arrived is compared with how the agent's voice says each of them.
//!
//! The product's recogniser knows recorded voices and hears nothing in eSpeak's, so this one knows that voice and nothing
//! else: a tone, noise, another sentence or half of the right one resembles none of the candidates.

use std::f64::consts::PI;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::json;
use trunkline_caller::resample_to_8k;
use trunkline_plugin_host::{HostConfig, Plugin, PluginHost, SessionStart, TrustedKeys, TtsConfig, TtsEvent};

use crate::process::from_environment;

/// Samples at 8 kHz between two frames, and in one.
const HOP: usize = 80;
const WINDOW: usize = 160;
/// Bands of a frame, evenly from 250 to 3500 Hz.
const BANDS: usize = 14;
/// Power below which a band counts as silent, so that silence resembles silence.
const FLOOR: f64 = 1e4;

type Frame = [f64; BANDS];

/// The `espeak` plugin in a host of its own, to compare with.
pub struct Ear {
    voice: Arc<Plugin>,
    // The deadlines of the plugin's sessions pass as long as these live.
    _host: PluginHost,
    _runtime: tokio::runtime::Runtime,
}

/// A sentence and how much what was heard resembles it, from 0 (nothing like it) to 1 (exactly so).
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    /// The sentence.
    pub sentence: String,
    /// How much.
    pub score: f64,
}

impl Ear {
    /// Loads the voice; its compiled code is shared with the gateways of the rig.
    pub fn open() -> anyhow::Result<Self> {
        let plugins = from_environment("TRUNKLINE_PLUGINS")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut trusted = TrustedKeys::default();
        trusted.add_folder(&from_environment("TRUNKLINE_TRUSTED_KEYS")?)?;
        let host = PluginHost::new(HostConfig {
            trusted_keys: trusted,
            ..HostConfig::new(cache(&plugins), runtime.handle().clone())
        })?;
        let voice = host.load(&plugins.join("espeak")).context("the voice to compare with")?;
        Ok(Self { voice, _host: host, _runtime: runtime })
    }

    /// How much the best-fitting piece of `heard`, 8 kHz samples, resembles each sentence; the likeliest first.
    pub fn compare(&self, sentences: &[String], heard: &[i16]) -> anyhow::Result<Vec<Likeness>> {
        let heard = frames(heard);
        let mut likenesses = Vec::new();
        for sentence in sentences {
            let score = best_fit(&frames(&self.say(sentence)?), &heard);
            likenesses.push(Likeness { sentence: sentence.clone(), score });
        }
        likenesses.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(likenesses)
    }

    /// A sentence in the agent's voice, 8 kHz.
    pub fn say(&self, sentence: &str) -> anyhow::Result<Vec<i16>> {
        let config = TtsConfig {
            voice: String::new(),
            language: Some("en".to_owned()),
            preferred_rate: 8000,
            speaking_rate: None,
        };
        let mut session = self.voice.tts(&json!({}), &config, SessionStart::new(1, 0, Arc::new(|| {})))?;
        let rate = session.format().sample_rate;
        session.synthesize(0, 1, sentence, true)?;
        let mut pcm = Vec::new();
        loop {
            while let Some(event) = session.poll_event() {
                match event {
                    TtsEvent::Audio { frame, .. } => {
                        pcm.extend(frame.payload.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
                    }
                    TtsEvent::ContextDone(_) => return resample_to_8k(&pcm, rate).context("the voice's rate"),
                    TtsEvent::Failed(error) => bail!("the voice failed: {error}"),
                    _ => {}
                }
            }
            if !session.wants_step() {
                bail!("the voice stopped in the middle of \"{sentence}\"");
            }
            session.handle_wake(0)?;
        }
    }
}

/// Where compiled plugins lie: shared by everything of one build, because the keys are their digests.
#[must_use]
pub fn cache(plugins: &Path) -> PathBuf {
    plugins.with_file_name("plugin-cache")
}

/// The logarithm of the power in each band, a frame every 10 ms.
fn frames(pcm: &[i16]) -> Vec<Frame> {
    pcm.windows(WINDOW)
        .step_by(HOP)
        .map(|window| std::array::from_fn(|band| power(window, band).max(FLOOR).ln()))
        .collect()
}

/// Goertzel's algorithm at the centre of a band, over a Hann window.
fn power(window: &[i16], band: usize) -> f64 {
    let coefficient = 2.0 * (2.0 * PI * (250.0 + 250.0 * band as f64) / 8000.0).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for (index, sample) in window.iter().enumerate() {
        let hann = 0.5 - 0.5 * (2.0 * PI * index as f64 / WINDOW as f64).cos();
        (before, last) = (last, f64::from(*sample) * hann + coefficient * last - before);
    }
    before * before + last * last - coefficient * before * last
}

/// The highest correlation of a sentence with any piece of the same length, 0 when there is none.
fn best_fit(sentence: &[Frame], heard: &[Frame]) -> f64 {
    if sentence.is_empty() {
        return 0.0;
    }
    heard.windows(sentence.len()).map(|piece| correlation(sentence, piece)).fold(0.0, f64::max)
}

/// Pearson's correlation over all bands of all frames.
fn correlation(a: &[Frame], b: &[Frame]) -> f64 {
    let count = (a.len() * BANDS) as f64;
    let mean = |frames: &[Frame]| frames.iter().flatten().sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut only_a, mut only_b) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
        let (x, y) = (x - mean_a, y - mean_b);
        both += x * y;
        only_a += x * x;
        only_b += y * y;
    }
    let scale = (only_a * only_b).sqrt();
    if scale > 0.0 { both / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sweep that begins at `hertz`.
    fn sweep(hertz: f64, samples: usize) -> Vec<i16> {
        let at = |n: usize| (2.0 * PI * (hertz + n as f64 / 8.0) * n as f64 / 8000.0).sin() * 8000.0;
        (0..samples).map(|n| at(n) as i16).collect()
    }

    #[test]
    fn a_sound_is_found_where_it_is_and_others_resemble_it_less() {
        let heard = [vec![0; 3333], sweep(400.0, 8000), vec![0; 4000]].concat();
        let heard = frames(&heard);
        assert!(best_fit(&frames(&sweep(400.0, 8000)), &heard) > 0.9);
        let (other, tone) = (sweep(1500.0, 8000), vec![0; 8000]);
        assert!(best_fit(&frames(&other), &heard) < 0.7);
        assert!(best_fit(&frames(&tone), &heard) < 0.1);
        assert_eq!(best_fit(&[], &heard), 0.0);
        assert_eq!(best_fit(&frames(&sweep(400.0, 8000)), &frames(&[0; 400])), 0.0, "too short to hold it");
    }
}
