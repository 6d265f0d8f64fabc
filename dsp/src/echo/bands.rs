//! Levels of eight bands of the telephone band, every 10 ms.

use std::sync::LazyLock;

use crate::Simd;
use crate::simd::dispatched;
use crate::spectrum::{RealFft, Work};

/// Bands.
pub(super) const BANDS: usize = 8;
/// Samples of 8 kHz in a window, and between windows.
const WINDOW: usize = 128;
pub(super) const HOP: usize = 80;
/// Windows transformed at a time: of both directions, from the two hops of a frame.
pub(super) const TOGETHER: usize = 4;
/// Edges in bins of 62.5 Hz: 250 to 3500 Hz, wider towards the top.
const EDGES: [usize; BANDS + 1] = [4, 7, 10, 14, 19, 25, 32, 42, 56];
/// Power below which nothing is told apart: -78 dBFS, the rounding of G.711.
pub(super) const SILENCE: f32 = 1.6e-8;

/// Samples of one window.
pub(super) type Window = [f32; WINDOW];
/// Room for those that are transformed together.
pub(super) const NO_WINDOWS: [Window; TOGETHER] = [[0.0; WINDOW]; TOGETHER];

/// Cuts a stream into windows.
#[derive(Debug, Clone)]
pub(super) struct Bands {
    window: Window,
    filled: usize,
}

impl Bands {
    pub(super) fn new() -> Self {
        let _ = &*TABLES;
        Self { window: [0.0; WINDOW], filled: WINDOW - HOP }
    }

    /// Samples until the next window is whole.
    pub(super) const fn missing(&self) -> usize {
        WINDOW - self.filled
    }

    /// Takes samples, at most as many as are missing. When the window is whole it is copied to `whole`, and moves on by
    /// a hop; says whether it was.
    pub(super) fn take(&mut self, samples: &[f32], whole: &mut Window) -> bool {
        let room = &mut self.window[self.filled..];
        let count = samples.len().min(room.len());
        room[..count].copy_from_slice(&samples[..count]);
        self.filled += count;
        if self.filled < WINDOW {
            return false;
        }
        *whole = self.window;
        self.window.copy_within(HOP.., 0);
        self.filled = WINDOW - HOP;
        true
    }
}

/// What all gates share.
struct Tables {
    fft: RealFft<{ WINDOW / 2 }>,
    hann: Window,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables {
    fft: RealFft::new(),
    hann: std::array::from_fn(|n| {
        (0.5 - 0.5 * (std::f64::consts::TAU * (n as f64 + 0.5) / WINDOW as f64).cos()) as f32
    }),
});

/// Mean square of each band of each window, at least [`SILENCE`].
pub(super) fn powers(simd: Simd, windows: &[Window; TOGETHER]) -> [[f32; BANDS]; TOGETHER] {
    transform(simd, &TABLES, windows)
}

dispatched!(
    fn transform(tables: &Tables, windows: &[Window; TOGETHER]) -> [[f32; BANDS]; TOGETHER] = transform_kernel
);

#[inline(always)]
fn transform_kernel(tables: &Tables, windows: &[Window; TOGETHER]) -> [[f32; BANDS]; TOGETHER] {
    let mut work = Work::<{ WINDOW / 2 }, TOGETHER>::new();
    let sample = |n: usize| -> [f32; TOGETHER] { std::array::from_fn(|lane| windows[lane][n] * tables.hann[n]) };
    tables.fft.run(&mut work, |n| (sample(2 * n), sample(2 * n + 1)));
    let mut bins = [[0.0; TOGETHER]; WINDOW / 2 + 1];
    tables.fft.power(&work, &mut bins);
    // A tone shows one and a half times its amplitude squared, which is twice its mean square.
    const SCALE: f32 = (4.0 / WINDOW as f32) * (4.0 / WINDOW as f32) / 3.0;
    let mut out = [[0.0; BANDS]; TOGETHER];
    for band in 0..BANDS {
        let mut sums = [0.0; TOGETHER];
        for bin in &bins[EDGES[band]..EDGES[band + 1]] {
            for lane in 0..TOGETHER {
                sums[lane] += bin[lane];
            }
        }
        for lane in 0..TOGETHER {
            out[lane][band] = (sums[lane] * SCALE).max(SILENCE);
        }
    }
    out
}

/// Powers (above 0) in dB, within 0.03: the logarithm of the mantissa is taken for a parabola.
pub(super) fn decibels(powers: &[f32; BANDS]) -> [f32; BANDS] {
    powers.map(|power| {
        let bits = power.to_bits();
        let exponent = (bits >> 23) as i32 - 127;
        let mantissa = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000);
        let log2 = exponent as f32 + ((mantissa * (-1.0 / 3.0) + 2.0) * mantissa - 5.0 / 3.0);
        log2 * 3.010_3
    })
}

/// A level in dB, -300..=300, as a power, within 0.4 %.
pub(super) fn from_decibels(level_db: f32) -> f32 {
    let log2 = level_db * 0.332_192_8 + 128.0;
    let whole = log2 as i32;
    let rest = log2 - whole as f32;
    f32::from_bits(((whole - 1).clamp(1, 254) as u32) << 23) * (1.0 + rest * (0.656_5 + 0.343_5 * rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_logarithm_and_its_inverse_are_close() {
        for step in -800..200 {
            let level_db = step as f32 * 0.1;
            let power = 10_f32.powf(level_db / 10.0);
            assert!((decibels(&[power; BANDS])[0] - level_db).abs() < 0.03, "{level_db}");
            assert!((from_decibels(level_db) / power - 1.0).abs() < 0.004, "{level_db}");
        }
    }
}
