//! Levels of eight bands of the telephone band, every 10 ms.

use crate::Simd;
use crate::tone::Fourier;

/// Bands.
pub(super) const BANDS: usize = 8;
/// Samples of 8 kHz in a window, and between windows.
const WINDOW: usize = 128;
pub(super) const HOP: usize = 80;
/// Edges in bins of 62.5 Hz: 250 to 3500 Hz, wider towards the top.
const EDGES: [usize; BANDS + 1] = [4, 7, 10, 14, 19, 25, 32, 42, 56];
/// Power below which nothing is told apart: -78 dBFS, the rounding of G.711.
pub(super) const SILENCE: f32 = 1.6e-8;

/// Cuts a stream into windows.
#[derive(Debug, Clone)]
pub(super) struct Bands {
    window: [f32; WINDOW],
    filled: usize,
}

impl Bands {
    pub(super) fn new() -> Self {
        let _ = Fourier::of_128();
        Self { window: [0.0; WINDOW], filled: WINDOW - HOP }
    }

    /// Takes a sample; `true` when a window is whole and has to be taken out by [`Bands::powers`].
    pub(super) fn push(&mut self, sample: f32) -> bool {
        if self.filled < WINDOW {
            self.window[self.filled] = sample;
            self.filled += 1;
        }
        self.filled == WINDOW
    }

    /// Mean square of each band of the window, at least [`SILENCE`]; then the window moves on by a hop.
    pub(super) fn powers(&mut self, simd: Simd) -> [f32; BANDS] {
        let mut power = [0.0; WINDOW / 2];
        Fourier::of_128().power(simd, &self.window, &mut power);
        self.window.copy_within(HOP.., 0);
        self.filled = WINDOW - HOP;
        // A tone shows one and a half times its amplitude squared, which is twice its mean square.
        std::array::from_fn(|band| {
            let sum: f32 = power[EDGES[band]..EDGES[band + 1]].iter().sum();
            (sum / 3.0).max(SILENCE)
        })
    }
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
