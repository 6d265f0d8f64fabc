//! A voice for tests that every detector takes for one: pulses of a larynx through two formants that glide.

use std::f32::consts::{PI, TAU};

/// Vowels that run into each other, at 8 kHz.
pub(crate) struct Voice {
    peak: f32,
    at: usize,
    phase: f32,
    formants: [[f32; 2]; 2],
}

const RATE: f32 = 8000.0;

impl Voice {
    /// One whose peaks are about this high.
    pub(crate) fn new(peak: f32) -> Self {
        Self { peak, at: 0, phase: 0.0, formants: [[0.0; 2]; 2] }
    }

    /// The next 20 ms.
    pub(crate) fn frame(&mut self) -> [i16; 160] {
        std::array::from_fn(|_| self.sample())
    }

    fn sample(&mut self) -> i16 {
        let t = self.at as f32 / RATE;
        self.at += 1;
        self.phase = (self.phase + (120.0 + 20.0 * (TAU * 2.3 * t).sin()) / RATE).fract();
        let larynx = if self.phase < 0.1 { 1.0 } else { -0.11 };
        let tuned = [(500.0 + 250.0 * (TAU * 1.7 * t).sin(), 80.0), (1500.0 + 600.0 * (TAU * 1.3 * t).cos(), 120.0)];
        let mut sum = 0.0;
        for ((state, (hertz, width)), share) in self.formants.iter_mut().zip(tuned).zip([1.0, 0.5]) {
            let radius = (-PI * width / RATE).exp();
            let out = larynx + 2.0 * radius * (TAU * hertz / RATE).cos() * state[0] - radius * radius * state[1];
            *state = [out, state[0]];
            sum += share * out;
        }
        // What the resonators make of a larynx of one, at its loudest.
        (sum / 16.0 * self.peak).clamp(-32_000.0, 32_000.0) as i16
    }
}
