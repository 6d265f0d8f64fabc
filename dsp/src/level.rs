//! How loud a frame is, in dB relative to full scale: level, peak, background, distance between them, eight bands.

use crate::Simd;
use crate::spectrum::{BANDS, BandSpectrum};

/// What digital silence measures: the floor of every level in dBFS.
pub const SILENCE_DBFS: f32 = -96.0;

/// Root-mean-square level in dBFS, -96..=0, where a full-scale square wave is 0 and a full-scale sine -3.
#[must_use]
pub fn rms_dbfs(pcm: &[i16]) -> f32 {
    if pcm.is_empty() {
        return SILENCE_DBFS;
    }
    let sum: i64 = pcm.iter().map(|sample| i64::from(*sample) * i64::from(*sample)).sum();
    power_dbfs(sum as f32 / pcm.len() as f32 / (32768.0 * 32768.0))
}

/// Largest magnitude in dBFS, -96..=0.
#[must_use]
pub fn peak_dbfs(pcm: &[i16]) -> f32 {
    let peak = pcm.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let ratio = f32::from(peak) / 32768.0;
    power_dbfs(ratio * ratio)
}

/// A mean square of samples in -1..1 as dBFS, clamped to -96..=0.
#[must_use]
pub fn power_dbfs(mean_square: f32) -> f32 {
    // Not-a-number and zero fail the comparison and are silence.
    if mean_square > 2.5e-10 { (10.0 * mean_square.log10()).clamp(SILENCE_DBFS, 0.0) } else { SILENCE_DBFS }
}

/// Mean of the squared samples; samples that are not finite count as silence, and nothing counts beyond 4.
#[must_use]
pub(crate) fn mean_square(pcm: &[f32]) -> f32 {
    let sum: f32 = pcm.iter().map(|sample| finite(*sample)).map(|sample| sample * sample).sum();
    sum / pcm.len().max(1) as f32
}

/// A sample as it may enter a filter: not-a-number and infinities are silence, and nothing is absurdly loud.
#[inline(always)]
pub(crate) fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 }
}

/// What [`LevelMeter`] says of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// Root-mean-square level in dBFS, -96..=0.
    pub rms_dbfs: f32,
    /// Largest magnitude in dBFS, -96..=0.
    pub peak_dbfs: f32,
    /// Background in dBFS, -96..=0: see [`NoiseFloor`].
    pub noise_dbfs: f32,
    /// How far the frame stands above the background in dB, at least 0.
    pub snr_db: f32,
    /// Level of each band of [`crate::spectrum::EDGES_HZ`] in dBFS, -96..=0: a full-scale sine is -3 in its band.
    pub bands_dbfs: [f32; BANDS],
}

/// Measures one call's frames.
#[derive(Debug, Clone)]
pub struct LevelMeter {
    spectrum: BandSpectrum,
    floor: NoiseFloor,
    step: usize,
}

impl LevelMeter {
    /// A meter for sound at `rate` Hz: 8000, 16000 or 48000; `None` for another rate.
    #[must_use]
    pub fn new(rate: u32) -> Option<Self> {
        Self::with_simd(rate, Simd::detect())
    }

    /// The same with a given instruction set; results do not depend on it.
    #[must_use]
    pub fn with_simd(rate: u32, simd: Simd) -> Option<Self> {
        let spectrum = BandSpectrum::with_simd(rate, simd)?;
        Some(Self { spectrum, floor: NoiseFloor::new(), step: (rate / 100) as usize })
    }

    /// Measures the next frame: samples of -1..1, any number of them; the background is followed in whole steps of
    /// 10 ms. An empty frame is silence.
    pub fn measure(&mut self, pcm: &[f32]) -> Levels {
        let mut noise = self.floor.level_dbfs();
        for piece in pcm.chunks_exact(self.step) {
            noise = self.floor.update(power_dbfs(mean_square(piece)));
        }
        let rms = power_dbfs(mean_square(pcm));
        let peak = pcm.iter().fold(0.0_f32, |peak, sample| peak.max(finite(*sample).abs()));
        Levels {
            rms_dbfs: rms,
            peak_dbfs: power_dbfs(peak * peak),
            noise_dbfs: noise,
            snr_db: (rms - noise).max(0.0),
            bands_dbfs: self.spectrum.measure(pcm),
        }
    }
}

/// Follows the level of the background, in steps of 10 ms.
///
/// The floor is the least that the smoothed level was in about 1.5 s, as in minimum statistics (Martin 2001), and sound
/// that has not changed for 0.4 s is taken for background at once: after a step the floor is there within a second.
#[derive(Debug, Clone, Copy)]
pub struct NoiseFloor {
    smooth: f32,
    mean: f32,
    deviation: f32,
    steady: u32,
    minima: [f32; SPANS],
    steps: u32,
    heard: bool,
}

const SPANS: usize = 4;
const SPAN_STEPS: u32 = 36;
/// Sound that moves less than this (mean deviation of the smoothed level, dB) for this many steps is background.
const STEADY_DB: f32 = 1.5;
const STEADY_STEPS: u32 = 40;
/// A level this far above its mean is not steady now.
const RISING_DB: f32 = 1.5;
/// The minimum of a smoothed noise lies below its mean by about this much.
const BIAS_DB: f32 = 1.0;

impl NoiseFloor {
    /// Nothing heard yet: silence.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            smooth: SILENCE_DBFS,
            mean: SILENCE_DBFS,
            deviation: 10.0,
            steady: 0,
            minima: [SILENCE_DBFS; SPANS],
            steps: 0,
            heard: false,
        }
    }

    /// Takes in the level of the next 10 ms and returns the floor, both in dBFS, -96..=0.
    pub fn update(&mut self, level_dbfs: f32) -> f32 {
        let level = if level_dbfs.is_nan() { SILENCE_DBFS } else { level_dbfs.clamp(SILENCE_DBFS, 0.0) };
        if !self.heard {
            *self = Self { smooth: level, mean: level, minima: [level; SPANS], heard: true, ..*self };
        }
        self.smooth += (level - self.smooth) * 0.25;
        self.mean += (level - self.mean) * 0.08;
        self.deviation += ((self.smooth - self.mean).abs() - self.deviation) * 0.08;
        self.steady = if self.deviation < STEADY_DB { (self.steady + 1).min(STEADY_STEPS) } else { 0 };
        self.minima[0] = self.minima[0].min(self.smooth);
        // A level that is just rising may be the beginning of a word.
        if self.steady == STEADY_STEPS && self.smooth - self.mean < RISING_DB {
            // While the mean still comes down from something loud, the smoothed level is the better guess.
            let settled = self.mean.min(self.smooth) - BIAS_DB;
            for minimum in &mut self.minima {
                *minimum = minimum.max(settled);
            }
        }
        let floor = self.level_dbfs();
        self.steps += 1;
        if self.steps == SPAN_STEPS {
            self.steps = 0;
            self.minima.rotate_right(1);
            self.minima[0] = self.smooth;
        }
        floor
    }

    /// The floor in dBFS, -96..=0.
    #[must_use]
    pub fn level_dbfs(&self) -> f32 {
        let least = self.minima.iter().fold(f32::MAX, |least, minimum| least.min(*minimum));
        if least > SILENCE_DBFS { (least + BIAS_DB).min(0.0) } else { SILENCE_DBFS }
    }
}

impl Default for NoiseFloor {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_known_signals() {
        assert!((rms_dbfs(&[-32768; 160])).abs() < 1e-3);
        assert!((rms_dbfs(&[3277, -3277]) + 20.0).abs() < 0.01);
        assert!((peak_dbfs(&[0, 16384, -3]) + 6.02).abs() < 0.01);
        assert_eq!(rms_dbfs(&[]), SILENCE_DBFS);
        assert_eq!(rms_dbfs(&[0; 10]), SILENCE_DBFS);
        assert_eq!(peak_dbfs(&[]), SILENCE_DBFS);
    }
}
