//! A peak limiter that adds no delay and never overshoots.

use super::{UnknownRate, ratio};
use crate::simd::{Simd, dispatched};

/// Sub-blocks that the gain is planned for at a time.
const PLANNED: usize = 32;
/// How fast the gain recovers, dB per sub-block of 1 ms.
const RELEASE_DB: f32 = 0.1;

/// Keeps samples within a ceiling.
///
/// The gain is planned in sub-blocks of 1 ms and looks ahead within the frame only: it is down to what a peak needs at
/// the beginning of the peak's sub-block, along a ramp over the sub-block before. A peak in the first millisecond of a
/// frame has no sub-block before it, and the gain steps down there. Recovery is 100 dB a second. No sample ever leaves
/// above the ceiling.
#[derive(Debug, Clone)]
pub struct Limiter {
    simd: Simd,
    ceiling: f32,
    block: usize,
    release: f32,
    gain: f32,
}

impl Limiter {
    /// A limiter for sound at `rate` Hz (8000, 16000 or 48000) with its ceiling at `ceiling_dbfs`, -40..=0.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other rate.
    pub fn new(rate: u32, ceiling_dbfs: f32) -> Result<Self, UnknownRate> {
        Self::with_simd(rate, ceiling_dbfs, Simd::detect())
    }

    /// As [`Limiter::new`], with the instructions given; results are the same bit for bit.
    ///
    /// # Errors
    /// [`UnknownRate`] for a rate other than 8000, 16000 and 48000.
    pub fn with_simd(rate: u32, ceiling_dbfs: f32, simd: Simd) -> Result<Self, UnknownRate> {
        if !matches!(rate, 8000 | 16000 | 48000) {
            return Err(UnknownRate(rate));
        }
        Ok(Self {
            simd,
            ceiling: ceiling(ceiling_dbfs),
            block: rate as usize / 1000,
            release: ratio(RELEASE_DB),
            gain: 1.0,
        })
    }

    /// Another ceiling from the next frame on, in dBFS, -40..=0.
    pub fn set_ceiling(&mut self, ceiling_dbfs: f32) {
        self.ceiling = ceiling(ceiling_dbfs);
    }

    /// Forgets the frames before.
    pub const fn reset(&mut self) {
        self.gain = 1.0;
    }

    /// The ceiling as a magnitude of samples, 0..=1.
    #[must_use]
    pub const fn ceiling(&self) -> f32 {
        self.ceiling
    }

    /// Limits a frame in place; frames may have any length, the look-ahead ends with them. Samples that are not
    /// numbers become silence.
    pub fn process(&mut self, pcm: &mut [f32]) {
        for piece in pcm.chunks_mut(self.block * PLANNED) {
            self.plan_and_apply(piece);
        }
    }

    fn plan_and_apply(&mut self, piece: &mut [f32]) {
        let mut allowed = [1.0_f32; PLANNED];
        let blocks = piece.len().div_ceil(self.block);
        for (allowed, block) in allowed.iter_mut().zip(piece.chunks(self.block)) {
            let peak = peak(self.simd, block);
            if peak > self.ceiling {
                *allowed = self.ceiling / peak;
            }
        }
        let mut from = self.gain.min(allowed[0]);
        for (n, block) in piece.chunks_mut(self.block).enumerate() {
            // What the next block allows has to be reached by its beginning.
            let next = if n + 1 < blocks { allowed[n + 1] } else { 1.0 };
            let until = (from * self.release).min(1.0).min(allowed[n]).min(next);
            scale(self.simd, block, from, (until - from) / block.len() as f32, self.ceiling);
            from = until;
        }
        self.gain = from;
    }
}

fn ceiling(dbfs: f32) -> f32 {
    ratio(if dbfs.is_nan() { 0.0 } else { dbfs.clamp(-40.0, 0.0) })
}

dispatched!(fn peak(block: &[f32]) -> f32 = peak_kernel);
dispatched!(
    /// Scales by a ramp, clears what is not a number, and clips what rounding left above the ceiling.
    pub(super) fn scale(block: &mut [f32], from: f32, step: f32, ceiling: f32) = scale_kernel
);

#[inline(always)]
fn peak_kernel(block: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    for samples in block.chunks(8) {
        for (lane, sample) in lanes.iter_mut().zip(samples) {
            // `max` passes over what is not a number; infinity would make the gain 0.
            *lane = lane.max(sample.abs().min(f32::MAX));
        }
    }
    lanes.into_iter().fold(0.0, f32::max)
}

#[inline(always)]
fn scale_kernel(block: &mut [f32], from: f32, step: f32, ceiling: f32) {
    for (n, sample) in block.iter_mut().enumerate() {
        let scaled = *sample * (from + step * (n as f32 + 1.0));
        *sample = if scaled.is_nan() { 0.0 } else { scaled.clamp(-ceiling, ceiling) };
    }
}
