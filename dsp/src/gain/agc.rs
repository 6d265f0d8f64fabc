//! Automatic gain control that listens to speech only.

use super::limiter::{Limiter, scale};
use super::{UnknownRate, ratio};
use crate::Simd;
use crate::level::power_dbfs;

/// Frames of at least this confidence are speech; frames below the other are background.
const SPEECH: f32 = 0.5;
const BACKGROUND: f32 = 0.2;
/// Speech is measured over about this long, in ms; the first of it counts at once.
const MEASURED_MS: f32 = 600.0;
/// Speech this far below its mean is the tail of a word.
const TAIL_DB: f32 = 15.0;
/// How fast the background is followed, per second of it: down quickly, up slowly.
const BACKGROUND_UP_DB: f32 = 6.0;
/// Speech before the gain moves up at all, in ms: a cough is no speaker.
const SPOKEN_MS: f32 = 120.0;

/// The background before anything was heard.
const FIRST_NOISE_DBFS: f32 = -70.0;

/// How an [`Agc`] works. Values out of range are taken as the nearest within.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgcConfig {
    /// Level that speech is brought to: root mean square in dBFS, -40..=-6.
    pub target_dbfs: f32,
    /// Largest amplification in dB, 0..=40.
    pub max_gain_db: f32,
    /// Largest attenuation in dB, 0..=40.
    pub max_attenuation_db: f32,
    /// How fast the gain falls when speech is too loud, in dB a second of speech, 1..=200.
    pub attack_db_per_s: f32,
    /// How fast the gain rises when speech is too quiet, in dB a second of speech, 0.5..=200.
    pub release_db_per_s: f32,
    /// The background is not amplified above this level in dBFS, -80..=-20, whatever speech asks for.
    pub max_noise_dbfs: f32,
    /// Ceiling of the limiter in dBFS, -40..=0.
    pub ceiling_dbfs: f32,
}

impl Default for AgcConfig {
    /// -20 dBFS, +24 to -12 dB, 40 dB a second down and 10 up, background at most -50 dBFS, ceiling -1 dBFS.
    fn default() -> Self {
        Self {
            target_dbfs: -20.0,
            max_gain_db: 24.0,
            max_attenuation_db: 12.0,
            attack_db_per_s: 40.0,
            release_db_per_s: 10.0,
            max_noise_dbfs: -50.0,
            ceiling_dbfs: -1.0,
        }
    }
}

impl AgcConfig {
    fn within_limits(self) -> Self {
        let or = |value: f32, other: f32| if value.is_nan() { other } else { value };
        let usual = Self::default();
        Self {
            target_dbfs: or(self.target_dbfs, usual.target_dbfs).clamp(-40.0, -6.0),
            max_gain_db: or(self.max_gain_db, usual.max_gain_db).clamp(0.0, 40.0),
            max_attenuation_db: or(self.max_attenuation_db, usual.max_attenuation_db).clamp(0.0, 40.0),
            attack_db_per_s: or(self.attack_db_per_s, usual.attack_db_per_s).clamp(1.0, 200.0),
            release_db_per_s: or(self.release_db_per_s, usual.release_db_per_s).clamp(0.5, 200.0),
            max_noise_dbfs: or(self.max_noise_dbfs, usual.max_noise_dbfs).clamp(-80.0, -20.0),
            ceiling_dbfs: self.ceiling_dbfs,
        }
    }
}

/// Brings one direction of a call to a level.
///
/// The level of speech is measured while the voice activity detector is sure of it, and the gain moves only then:
/// pauses and background keep the gain they have, so that noise is not pumped up. The gain of a frame is ramped from
/// that of the frame before, and a [`Limiter`] follows. No delay, no memory beyond the struct.
#[derive(Debug, Clone)]
pub struct Agc {
    config: AgcConfig,
    simd: Simd,
    rate: f32,
    limiter: Limiter,
    speech_dbfs: f32,
    noise_dbfs: f32,
    spoken_ms: f32,
    gain_db: f32,
    gain: f32,
}

impl Agc {
    /// Control of sound at `rate` Hz: 8000, 16000 or 48000.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other.
    pub fn new(rate: u32, config: AgcConfig) -> Result<Self, UnknownRate> {
        Self::with_simd(rate, config, Simd::detect())
    }

    /// As [`Agc::new`], with the instructions given; results are the same bit for bit.
    ///
    /// # Errors
    /// [`UnknownRate`] for a rate other than 8000, 16000 and 48000.
    pub fn with_simd(rate: u32, config: AgcConfig, simd: Simd) -> Result<Self, UnknownRate> {
        let config = config.within_limits();
        Ok(Self {
            config,
            simd,
            rate: rate as f32,
            limiter: Limiter::with_simd(rate, config.ceiling_dbfs, simd)?,
            speech_dbfs: config.target_dbfs,
            noise_dbfs: FIRST_NOISE_DBFS,
            spoken_ms: 0.0,
            gain_db: 0.0,
            gain: 1.0,
        })
    }

    /// Works by other settings from now on; what was learnt of speech and background stays.
    pub fn set_config(&mut self, config: AgcConfig) {
        self.config = config.within_limits();
        self.limiter.set_ceiling(self.config.ceiling_dbfs);
    }

    /// Forgets all that was heard.
    pub fn reset(&mut self) {
        self.limiter.reset();
        (self.speech_dbfs, self.noise_dbfs, self.spoken_ms) = (self.config.target_dbfs, FIRST_NOISE_DBFS, 0.0);
        (self.gain_db, self.gain) = (0.0, 1.0);
    }

    /// The gain in dB at the end of the last frame, before the limiter.
    #[must_use]
    pub const fn gain_db(&self) -> f32 {
        self.gain_db
    }

    /// Controls a frame in place: samples of -1..1, usually 10 or 20 ms. `confidence` is that of the voice activity
    /// detector for this very frame (0..=1, before hang-over); what is not a number counts as 0.
    pub fn process(&mut self, pcm: &mut [f32], confidence: f32) {
        if pcm.is_empty() {
            return;
        }
        let ms = pcm.len() as f32 * 1000.0 / self.rate;
        let level = power_dbfs(mean_square(pcm));
        if confidence >= SPEECH {
            self.hear_speech(level, ms);
            self.adapt(ms);
        } else if confidence < BACKGROUND || confidence.is_nan() {
            let rise = BACKGROUND_UP_DB * ms / 1000.0;
            let fall = (level - self.noise_dbfs) * (ms / 100.0).min(1.0);
            self.noise_dbfs += if level < self.noise_dbfs { fall } else { (level - self.noise_dbfs).min(rise) };
        }
        let until = ratio(self.gain_db);
        let step = (until - self.gain) / pcm.len() as f32;
        scale(self.simd, pcm, self.gain, step, f32::MAX);
        self.gain = until;
        self.limiter.process(pcm);
    }

    fn hear_speech(&mut self, level: f32, ms: f32) {
        if level < self.speech_dbfs - TAIL_DB && self.spoken_ms > MEASURED_MS && level < self.config.target_dbfs {
            // A caller who really became this quiet is followed, only slowly.
            self.speech_dbfs -= ms * 0.01;
            return;
        }
        self.spoken_ms = (self.spoken_ms + ms).min(MEASURED_MS * 4.0);
        let memory = self.spoken_ms.min(MEASURED_MS);
        self.speech_dbfs += (level - self.speech_dbfs) * (ms / memory).min(1.0);
    }

    fn adapt(&mut self, ms: f32) {
        let config = &self.config;
        let room = (config.max_noise_dbfs - self.noise_dbfs).max(0.0);
        let wanted =
            (config.target_dbfs - self.speech_dbfs).clamp(-config.max_attenuation_db, config.max_gain_db).min(room);
        let seconds = ms / 1000.0;
        let up = if self.spoken_ms < SPOKEN_MS { 0.0 } else { config.release_db_per_s * seconds };
        self.gain_db += (wanted - self.gain_db).clamp(-config.attack_db_per_s * seconds, up);
    }
}

fn mean_square(pcm: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    for samples in pcm.chunks(8) {
        for (lane, sample) in lanes.iter_mut().zip(samples) {
            let sample = crate::tone::numeric(*sample);
            *lane += sample * sample;
        }
    }
    lanes.into_iter().sum::<f32>() / pcm.len() as f32
}
