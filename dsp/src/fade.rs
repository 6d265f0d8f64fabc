//! Ramps: short ones, so that cutting or starting sound in mid-wave makes no click, and ducking, which turns one sound
//! down while another speaks.

use crate::simd::{Simd, dispatched};

/// Ramps from full level to silence over the whole of `pcm`.
pub fn fade_out(pcm: &mut [i16]) {
    let length = pcm.len() as i32;
    for (sample, left) in pcm.iter_mut().zip((0..length).rev()) {
        *sample = (i32::from(*sample) * left / length) as i16;
    }
}

/// Ramps from silence to full level over the whole of `pcm`.
pub fn fade_in(pcm: &mut [i16]) {
    let length = pcm.len() as i32;
    for (sample, done) in pcm.iter_mut().zip(0..length) {
        *sample = (i32::from(*sample) * done / length) as i16;
    }
}

/// Replaces `pcm` by a mix that starts as `pcm` and ends as `next`, over the shorter of the two.
pub fn cross_fade(pcm: &mut [i16], next: &[i16]) {
    let length = pcm.len().min(next.len()) as i32;
    for ((sample, next), done) in pcm.iter_mut().zip(next).zip(1..) {
        *sample = ((i32::from(*sample) * (length - done) + i32::from(*next) * done) / length) as i16;
    }
}

/// How a [`Ducker`] turns a sound down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DuckSettings {
    /// How far, in dB, 0..=60.
    pub depth_db: f32,
    /// Time from full level to the lower one, in milliseconds.
    pub attack_ms: u32,
    /// Time that the level stays low after the other sound has ended, in milliseconds.
    pub hold_ms: u32,
    /// Time back to full level, in milliseconds.
    pub release_ms: u32,
}

impl Default for DuckSettings {
    /// 12 dB within 30 ms, back within 400 ms after a hold of 300 ms: music under an announcement.
    fn default() -> Self {
        Self { depth_db: 12.0, attack_ms: 30, hold_ms: 300, release_ms: 400 }
    }
}

/// Turns one sound down while another speaks, by a gain that moves in straight lines and never jumps.
#[derive(Debug, Clone)]
pub struct Ducker {
    simd: Simd,
    /// Gain at the end of the last frame, `low..=1`.
    gain: f32,
    low: f32,
    /// Change of the gain per sample on the way down and up.
    fall: f32,
    rise: f32,
    /// Samples of the hold, and those left of it.
    hold: usize,
    held: usize,
}

impl Ducker {
    /// For sound at `rate` Hz. A depth out of range is held to it, not-a-number is 0 dB.
    #[must_use]
    pub fn new(rate: u32, settings: DuckSettings) -> Self {
        Self::with_simd(Simd::detect(), rate, settings)
    }

    /// As [`Ducker::new`], with the given instructions; every set gives the same bits.
    #[must_use]
    pub fn with_simd(simd: Simd, rate: u32, settings: DuckSettings) -> Self {
        let samples = |ms: u32| u64::from(rate) * u64::from(ms) / 1000;
        let depth = if settings.depth_db.is_nan() { 0.0 } else { settings.depth_db.clamp(0.0, 60.0) };
        let low = 10.0_f32.powf(depth / -20.0);
        let slope = |ms| (1.0 - low) / samples(ms).max(1) as f32;
        Self {
            simd,
            gain: 1.0,
            low,
            fall: -slope(settings.attack_ms),
            rise: slope(settings.release_ms),
            hold: usize::try_from(samples(settings.hold_ms)).unwrap_or(usize::MAX),
            held: 0,
        }
    }

    /// Applies the gain to a frame of 16-bit samples of any length; `speaking` says whether the other sound speaks
    /// during it.
    pub fn process(&mut self, speaking: bool, pcm: &mut [i16]) {
        if let Some((from, slope)) = self.advance(speaking, pcm.len()) {
            duck(self.simd, from, slope, self.low, pcm);
        }
    }

    /// As [`Ducker::process`], for samples of -1..1.
    pub fn process_f32(&mut self, speaking: bool, pcm: &mut [f32]) {
        if let Some((from, slope)) = self.advance(speaking, pcm.len()) {
            duck_f32(self.simd, from, slope, self.low, pcm);
        }
    }

    /// The gain at the end of the last frame.
    #[must_use]
    pub const fn gain(&self) -> f32 {
        self.gain
    }

    /// Gain before a frame and its change per sample; `None` when the frame stays as it is.
    fn advance(&mut self, speaking: bool, samples: usize) -> Option<(f32, f32)> {
        let low = speaking || self.held > 0;
        self.held = if speaking { self.hold } else { self.held.saturating_sub(samples) };
        let slope = if low { self.fall } else { self.rise };
        let from = self.gain;
        self.gain = (from + slope * samples as f32).clamp(self.low, 1.0);
        (from < 1.0 || self.gain < 1.0).then_some((from, slope))
    }
}

#[inline(always)]
fn duck_kernel(from: f32, slope: f32, low: f32, pcm: &mut [i16]) {
    for (n, sample) in pcm.iter_mut().enumerate() {
        let gain = (from + slope * (n as i32 + 1) as f32).max(low).min(1.0);
        // The gain is at most 1, so that the product fits.
        *sample = (f32::from(*sample) * gain) as i32 as i16;
    }
}
dispatched!(fn duck(from: f32, slope: f32, low: f32, pcm: &mut [i16]) = duck_kernel);

#[inline(always)]
fn duck_f32_kernel(from: f32, slope: f32, low: f32, pcm: &mut [f32]) {
    for (n, sample) in pcm.iter_mut().enumerate() {
        *sample *= (from + slope * (n as i32 + 1) as f32).max(low).min(1.0);
    }
}
dispatched!(fn duck_f32(from: f32, slope: f32, low: f32, pcm: &mut [f32]) = duck_f32_kernel);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_end_where_they_say() {
        let mut out = [1000; 40];
        fade_out(&mut out);
        assert_eq!((out[0], out[39]), (975, 0));
        let mut inward = [-1000; 40];
        fade_in(&mut inward);
        assert_eq!((inward[0], inward[39]), (0, -975));
        let mut mix = [1000; 4];
        cross_fade(&mut mix, &[0; 4]);
        assert_eq!(mix, [750, 500, 250, 0]);
        fade_out(&mut []);
    }

    #[test]
    fn ducking_falls_holds_and_rises_as_set_without_a_step() {
        let settings = DuckSettings { depth_db: 20.0, attack_ms: 40, hold_ms: 60, release_ms: 100 };
        let mut ducker = Ducker::new(8000, settings);
        let (mut sound, mut gains) = (Vec::new(), Vec::new());
        for frame in 0..20 {
            let mut pcm = [10_000; 160];
            ducker.process((2..5).contains(&frame), &mut pcm);
            sound.extend_from_slice(&pcm);
            gains.push(ducker.gain());
        }
        assert_eq!(sound[..320], [10_000; 320], "nobody else speaks");
        assert!((gains[3] - 0.1).abs() < 1e-6, "down after 40 ms");
        assert!((gains[7] - 0.1).abs() < 1e-6, "held for 60 ms after the last word");
        assert!((gains[9] - 0.46).abs() < 0.01 && gains[12] == 1.0, "back after 100 ms: {gains:?}");
        assert!(sound.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= 30), "no step");
        assert_eq!(sound[13 * 160..], [10_000; 7 * 160]);
    }

    #[test]
    fn ducking_gives_the_same_bits_on_every_level_and_stands_any_setting() {
        for (depth_db, ms) in [(12.0, 30), (f32::NAN, 0), (-5.0, 0), (f32::INFINITY, u32::MAX)] {
            let settings = DuckSettings { depth_db, attack_ms: ms, hold_ms: ms, release_ms: ms };
            let mut narrow = Ducker::with_simd(Simd::BASELINE, 48000, settings);
            let mut wide = Ducker::new(48000, settings);
            for frame in 0..40_usize {
                let pcm: Vec<i16> = (0..frame * 25).map(|n| (n * 7919) as i16).collect();
                let (mut a, mut b) = (pcm.clone(), pcm.clone());
                narrow.process(frame % 16 < 8, &mut a);
                wide.process(frame % 16 < 8, &mut b);
                assert_eq!(a, b);
                let mut a: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample)).collect();
                let mut b = a.clone();
                narrow.process_f32(false, &mut a);
                wide.process_f32(false, &mut b);
                assert_eq!(a, b);
                assert!((0.0..=1.0).contains(&wide.gain()));
            }
        }
    }
}
