//! Resampling by a hair: two clocks that should run alike drift apart by some parts per million, and a stream between
//! them must gain or lose a sample now and then without being heard.
//!
//! A bank of fractional delays: 256 phases of a 32-tap windowed sinc, and a straight line between two neighbouring ones.
//! At this density the line adds less noise than 16-bit samples have. `rubato`'s adjustable resamplers were considered:
//! they choose fused multiply-adds by themselves, so that their bits differ between machines and cannot be forced, and
//! they want chunks of one size.

use std::sync::LazyLock;

use super::filter::windowed_sinc;
use super::kernel::{dot, store};
use crate::simd::{Simd, dispatched};
use crate::to_f32;

/// The largest drift corrected, in parts per million either way.
pub const MAX_PPM: f32 = 1000.0;

const TAPS: usize = 32;
const PHASES: usize = 256;
/// Kaiser window for 60 dB at 44 % of the rate.
const KAISER_BETA: f64 = 6.0;
/// Inputs taken in one go, and the most outputs they make.
const PIECE: usize = 480;
const MAX_OUTPUT: usize = PIECE + 8;
/// One input sample in units of the position.
const ONE: u64 = 1 << 32;

type Row = [[f32; 8]; TAPS / 8];

/// Coefficients of each phase and of the one after the last, oldest input first.
static ROWS: LazyLock<Box<[Row]>> = LazyLock::new(|| {
    (0..=PHASES)
        .map(|phase| {
            let delay = phase as f64 / PHASES as f64;
            let mut taps = [0.0; TAPS];
            for (n, tap) in taps.iter_mut().enumerate() {
                // The output lies `delay` after the middle one of the inputs.
                let position = n as f64 - (TAPS / 2 - 1) as f64 - delay;
                *tap = windowed_sinc(position, TAPS as f64 / 2.0, 0.5, KAISER_BETA);
            }
            let sum: f64 = taps.iter().sum();
            let mut row = Row::default();
            for (slot, tap) in row.as_flattened_mut().iter_mut().zip(taps) {
                *slot = (tap / sum) as f32;
            }
            row
        })
        .collect()
});

/// Stretches or squeezes a stream by up to [`MAX_PPM`] parts per million, changeable at every frame.
///
/// Works at any rate; the band up to 42 % of it is kept within 0.05 dB and noise stays 65 dB below a tone. Frames may
/// have any length, and each makes about as many outputs as it has inputs.
#[derive(Debug, Clone)]
pub struct DriftResampler {
    simd: Simd,
    rows: &'static [Row],
    /// The newest `TAPS - 1` inputs, then the piece in work.
    window: [f32; TAPS + PIECE],
    /// Where the next output lies after the first output of the piece, in units of `ONE`.
    position: u64,
    step: u64,
}

impl Default for DriftResampler {
    fn default() -> Self {
        Self::new()
    }
}

impl DriftResampler {
    /// A resampler without drift and with silence before its first sample. The first one made in a process computes
    /// and keeps the filters of all.
    #[must_use]
    pub fn new() -> Self {
        Self::with_simd(Simd::detect())
    }

    /// As [`DriftResampler::new`], with the given instructions; every set gives the same bits.
    #[must_use]
    pub fn with_simd(simd: Simd) -> Self {
        Self { simd, rows: &ROWS, window: [0.0; TAPS + PIECE], position: 0, step: ONE }
    }

    /// From the next sample on, makes `1 + ppm / 1e6` outputs for an input: more than 0 lengthens the stream. Held to
    /// +-[`MAX_PPM`]; not-a-number is 0.
    pub fn set_ppm(&mut self, ppm: f32) {
        let ppm = if ppm.is_nan() { 0.0 } else { ppm.clamp(-MAX_PPM, MAX_PPM) };
        self.step = (ONE as f64 / (1.0 + f64::from(ppm) * 1e-6)).round() as u64;
    }

    /// The most outputs that `inputs` samples can make: room to give to [`DriftResampler::process`].
    #[must_use]
    pub const fn max_output(inputs: usize) -> usize {
        inputs + inputs / 500 + 2
    }

    /// Delay in samples.
    #[must_use]
    pub const fn delay() -> usize {
        TAPS / 2
    }

    /// Back to silence; the drift stays.
    pub fn reset(&mut self) {
        self.window.fill(0.0);
        self.position = 0;
    }

    /// Converts 16-bit samples and returns how many were written to `out`. Give it room for
    /// [`DriftResampler::max_output`]: outputs beyond `out` are lost.
    pub fn process(&mut self, pcm: &[i16], out: &mut [i16]) -> usize {
        self.convert(pcm, out, to_f32, store)
    }

    /// As [`DriftResampler::process`], for samples of -1..1.
    pub fn process_f32(&mut self, pcm: &[f32], out: &mut [f32]) -> usize {
        self.convert(pcm, out, |sample| sample, |_, made, out| out.copy_from_slice(made))
    }

    fn convert<T: Copy>(
        &mut self,
        pcm: &[T],
        out: &mut [T],
        load: impl Fn(T) -> f32,
        store: impl Fn(Simd, &[f32], &mut [T]),
    ) -> usize {
        let past = TAPS - 1;
        let mut written = 0;
        for piece in pcm.chunks(PIECE) {
            for (slot, sample) in self.window[past..].iter_mut().zip(piece) {
                *slot = load(*sample);
            }
            let mut made = [0.0; MAX_OUTPUT];
            let end = piece.len() as u64 * ONE;
            let count = end.saturating_sub(self.position).div_ceil(self.step) as usize;
            let made = &mut made[..count.min(MAX_OUTPUT)];
            interpolate(self.simd, self.rows, &self.window, self.position, self.step, made);
            self.position = (self.position + made.len() as u64 * self.step).saturating_sub(end);
            let kept = made.len().min(out.len() - written);
            store(self.simd, &made[..kept], &mut out[written..written + kept]);
            written += kept;
            self.window.copy_within(piece.len()..piece.len() + past, 0);
        }
        written
    }
}

#[inline(always)]
fn interpolate_kernel(rows: &[Row], window: &[f32], mut position: u64, step: u64, out: &mut [f32]) {
    for slot in out {
        let (whole, part) = ((position >> 32) as usize, position as u32);
        let (inputs, _) = window[whole..].as_chunks::<8>();
        let phase = (part >> 24) as usize;
        let (before, after) = (dot(&rows[phase], inputs), dot(&rows[phase + 1], inputs));
        *slot = before + (after - before) * ((part & 0x00ff_ffff) as f32 / (1 << 24) as f32);
        position += step;
    }
}
dispatched!(
    fn interpolate(rows: &[Row], window: &[f32], position: u64, step: u64, out: &mut [f32]) = interpolate_kernel
);
