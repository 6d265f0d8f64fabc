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

/// Powers in dB.
pub(super) fn decibels(powers: &[f32; BANDS]) -> [f32; BANDS] {
    powers.map(|power| 10.0 * power.log10())
}
