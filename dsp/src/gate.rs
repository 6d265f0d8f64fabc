//! A noise gate with hysteresis: what is not clearly above the background is turned down, without chatter.
//!
//! The gate opens at one threshold and closes at a lower one; between them it stays as it is. Both follow the
//! background that the caller measures, and never lie below fixed levels.

use crate::level::{finite, mean_square, power_dbfs};

/// How a gate opens and closes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateConfig {
    /// The gate never opens below this level in dBFS.
    pub open_dbfs: f32,
    /// The gate opens this far above the background, in dB.
    pub open_above_noise_db: f32,
    /// The gate closes this far below where it opens, in dB.
    pub hysteresis_db: f32,
    /// From closed to open, in ms.
    pub attack_ms: u32,
    /// The gate stays open for this long after the last sound above the lower threshold, in ms.
    pub hold_ms: u32,
    /// From open to closed, in ms.
    pub release_ms: u32,
    /// What a closed gate takes away, in dB, at least 0.
    pub depth_db: f32,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            open_dbfs: -50.0,
            open_above_noise_db: 9.0,
            hysteresis_db: 4.0,
            attack_ms: 3,
            hold_ms: 150,
            release_ms: 80,
            depth_db: 18.0,
        }
    }
}

/// One call's gate.
#[derive(Debug, Clone)]
pub struct NoiseGate {
    config: GateConfig,
    /// Samples of the 5 ms that are judged at once.
    block: usize,
    /// What a sample adds to the gain while opening, and takes from it while closing.
    rise: f32,
    fall: f32,
    least: f32,
    gain: f32,
    open: bool,
    /// Blocks for which the gate is still held open.
    held: u32,
}

impl NoiseGate {
    /// A closed gate for sound at `rate` Hz, any from 8000 to 48000; other rates are taken for the nearest.
    #[must_use]
    pub fn new(rate: u32, config: GateConfig) -> Self {
        let mut gate = Self { config, block: 0, rise: 0.0, fall: 0.0, least: 0.0, gain: 0.0, open: false, held: 0 };
        gate.set_config(rate, config);
        gate.gain = gate.least;
        gate
    }

    /// Works by other settings from now on, for sound at `rate` Hz as in [`NoiseGate::new`]; it stays as open as it is.
    pub fn set_config(&mut self, rate: u32, config: GateConfig) {
        let rate = rate.clamp(8000, 48000);
        self.config = config;
        self.block = (rate / 200) as usize;
        self.least = 10_f32.powf(-config.depth_db.clamp(0.0, 96.0) / 20.0);
        let per_sample = |ms: u32| (1.0 - self.least) / (ms.max(1) as f32 * rate as f32 / 1000.0);
        (self.rise, self.fall) = (per_sample(config.attack_ms), per_sample(config.release_ms));
    }

    /// Whether the gate is open or held open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Gates a frame of any length in place. `noise_dbfs` is the background, of a [`crate::level::LevelMeter`] or an
    /// [`crate::vad::Activity`]. Samples of -1..1; those that are not finite become silence.
    pub fn process(&mut self, pcm: &mut [f32], noise_dbfs: f32) {
        let above = if noise_dbfs.is_finite() { noise_dbfs + self.config.open_above_noise_db } else { f32::MIN };
        let opens = self.config.open_dbfs.max(above);
        for block in pcm.chunks_mut(self.block) {
            self.judge(power_dbfs(mean_square(block)), opens);
            let (step, goal) = if self.open { (self.rise, 1.0) } else { (-self.fall, self.least) };
            for sample in block {
                self.gain = if self.open { (self.gain + step).min(goal) } else { (self.gain + step).max(goal) };
                *sample = finite(*sample) * self.gain;
            }
        }
    }

    fn judge(&mut self, level: f32, opens: f32) {
        if level >= opens || (self.open && level >= opens - self.config.hysteresis_db) {
            self.open = true;
            self.held = self.config.hold_ms.div_ceil(5);
        } else {
            self.open = self.open && self.held > 0;
            self.held = self.held.saturating_sub(1);
        }
    }
}
