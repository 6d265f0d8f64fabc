//! The eight DTMF frequencies measured at once: one frequency to a lane.

use std::sync::LazyLock;

use super::{HIGH_HZ, LOW_HZ};
use crate::simd::{Simd, dispatched};

/// Samples of 8 kHz in a window, 16 ms: two neighbours of a group are told apart by phase, not by length.
pub(super) const WINDOW: usize = 128;
/// Samples between windows, 5 ms.
pub(super) const HOP: usize = 40;
const HALF: usize = WINDOW / 2;
/// Sum of the window's weights, and of their squares.
const WEIGHT: f32 = 64.0;
const WEIGHT_SQUARED: f32 = 48.0;

/// Eight complex correlations, four of the low group first, and the power of the frame under the same window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Correlation {
    pub(super) re: [f32; 8],
    pub(super) im: [f32; 8],
    /// Mean square of the windowed frame, as of an unwindowed one.
    pub(super) power: f32,
}

impl Correlation {
    /// Mean square of the tone at lane `at`, were it exactly at its frequency.
    pub(super) fn tone(&self, at: usize) -> f32 {
        (self.re[at] * self.re[at] + self.im[at] * self.im[at]) * (2.0 / (WEIGHT * WEIGHT))
    }

    /// How far, in Hz, the tone at lane `at` lies from its nominal frequency, by its phase one [`HOP`] before.
    pub(super) fn offset_hz(&self, before: &Self, at: usize) -> f32 {
        let turn = HOPS.turns[at];
        let re = self.re[at] * before.re[at] + self.im[at] * before.im[at];
        let im = self.im[at] * before.re[at] - self.re[at] * before.im[at];
        let (re, im) = (re * turn.0 + im * turn.1, im * turn.0 - re * turn.1);
        im.atan2(re) * (8000.0 / (std::f32::consts::TAU * HOP as f32))
    }
}

/// What share of its power a tone shows when it lies `offset_hz` from where it is measured.
pub(super) fn response(offset_hz: f32) -> f32 {
    let bins = offset_hz * (WINDOW as f32 / 8000.0);
    if bins.abs() < 1e-3 {
        return 1.0;
    }
    let angle = std::f32::consts::PI * bins;
    // A Hann window's transform; at one bin, where this form has no value, it is a half.
    let gap = 1.0 - bins * bins;
    let amplitude = if gap.abs() < 1e-3 { 0.5 } else { angle.sin() / (angle * gap) };
    amplitude * amplitude
}

/// Windowed cosines and sines about the middle of the window, eight frequencies beside each other. The second half of
/// the window is the mirror of the first.
struct Bank {
    cos: [[f32; 8]; HALF],
    sin: [[f32; 8]; HALF],
}

struct Hops {
    /// Cosine and sine of each frequency's advance over a hop.
    turns: [(f32, f32); 8],
}

fn angle(frequency: usize, sample: f64, harmonic: f64) -> f64 {
    let hz = if frequency < 4 { LOW_HZ[frequency] } else { HIGH_HZ[frequency - 4] };
    std::f64::consts::TAU * f64::from(hz) * harmonic * sample / 8000.0
}

impl Bank {
    fn new(harmonic: f64) -> Self {
        let weight = |n: usize| 0.5 - 0.5 * (std::f64::consts::TAU * (n as f64 + 0.5) / WINDOW as f64).cos();
        let table = |part: fn(f64) -> f64| {
            let place = |n: usize| n as f64 - (HALF as f64 - 0.5);
            std::array::from_fn(|n| std::array::from_fn(|f| (weight(n) * part(angle(f, place(n), harmonic))) as f32))
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }
}

static FUNDAMENTALS: LazyLock<Bank> = LazyLock::new(|| Bank::new(1.0));
static SECOND_HARMONICS: LazyLock<Bank> = LazyLock::new(|| Bank::new(2.0));
static WEIGHTS: LazyLock<[f32; WINDOW]> = LazyLock::new(|| {
    std::array::from_fn(|n| (0.5 - 0.5 * (std::f64::consts::TAU * (n as f64 + 0.5) / WINDOW as f64).cos()) as f32)
});
static HOPS: LazyLock<Hops> = LazyLock::new(|| Hops {
    turns: std::array::from_fn(|f| {
        let advance = angle(f, HOP as f64, 1.0);
        (advance.cos() as f32, advance.sin() as f32)
    }),
});

/// Makes the tables, so that nothing later does.
pub(super) fn prepare() {
    let _ = (&*FUNDAMENTALS, &*SECOND_HARMONICS, &*WEIGHTS, &*HOPS);
}

/// Measures the eight frequencies in a window.
pub(super) fn fundamentals(simd: Simd, frame: &[f32; WINDOW]) -> Correlation {
    correlate(simd, &FUNDAMENTALS, &WEIGHTS, frame)
}

/// Measures twice the eight frequencies in a window.
pub(super) fn second_harmonics(simd: Simd, frame: &[f32; WINDOW]) -> Correlation {
    correlate(simd, &SECOND_HARMONICS, &WEIGHTS, frame)
}

dispatched!(
    fn correlate(bank: &Bank, weights: &[f32; WINDOW], frame: &[f32; WINDOW]) -> Correlation = correlate_kernel
);

#[inline(always)]
fn correlate_kernel(bank: &Bank, weights: &[f32; WINDOW], frame: &[f32; WINDOW]) -> Correlation {
    // Two sums per value hide the latency of an addition.
    let (mut re, mut im) = ([[0.0_f32; 8]; 2], [[0.0_f32; 8]; 2]);
    for n in (0..HALF).step_by(2) {
        for part in 0..2 {
            let (early, late) = (frame[n + part], frame[WINDOW - 1 - n - part]);
            let (even, odd) = (early + late, early - late);
            for lane in 0..8 {
                re[part][lane] += even * bank.cos[n + part][lane];
                im[part][lane] -= odd * bank.sin[n + part][lane];
            }
        }
    }
    let mut squares = [0.0_f32; 8];
    for (samples, weights) in frame.chunks_exact(8).zip(weights.chunks_exact(8)) {
        for lane in 0..8 {
            let weighted = samples[lane] * weights[lane];
            squares[lane] += weighted * weighted;
        }
    }
    let total = ((squares[0] + squares[4]) + (squares[1] + squares[5]))
        + ((squares[2] + squares[6]) + (squares[3] + squares[7]));
    Correlation {
        re: std::array::from_fn(|lane| re[0][lane] + re[1][lane]),
        im: std::array::from_fn(|lane| im[0][lane] + im[1][lane]),
        power: total / WEIGHT_SQUARED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f32, from: usize) -> [f32; WINDOW] {
        std::array::from_fn(|n| 0.3 * (std::f32::consts::TAU * hz * (n + from) as f32 / 8000.0 + 0.4).sin())
    }

    #[test]
    fn power_and_frequency_of_a_lone_tone_are_measured() {
        for (lane, hz) in LOW_HZ.iter().chain(&HIGH_HZ).enumerate() {
            for offset in [-0.03, -0.015, 0.0, 0.015, 0.03] {
                let actual = hz * (1.0 + offset);
                let before = fundamentals(Simd::BASELINE, &sine(actual, 0));
                let now = fundamentals(Simd::BASELINE, &sine(actual, HOP));
                let found = now.offset_hz(&before, lane);
                assert!((found - (actual - hz)).abs() < 1.0, "{actual}: {found}");
                let power = now.tone(lane) / response(found);
                assert!((power / 0.045 - 1.0).abs() < 0.05, "{actual}: {power}");
                assert!((now.power / 0.045 - 1.0).abs() < 0.05);
            }
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let frame = std::array::from_fn(|n| ((n * n * 7 + n * 3) % 101) as f32 / 50.0 - 1.0);
        let (narrow, wide) = (fundamentals(Simd::BASELINE, &frame), fundamentals(Simd::detect(), &frame));
        assert_eq!((narrow.re, narrow.im, narrow.power), (wide.re, wide.im, wide.power));
    }
}
