//! How long after it was played the echo comes back: correlation of the bands' envelopes over all delays at once.

use super::bands::BANDS;
use crate::simd::{Simd, dispatched};

/// Delays that are looked at, in hops of 10 ms: 0 to 630 ms.
pub(super) const DELAYS: usize = 64;
/// The correlation forgets in about two seconds of playout.
const KEEP: f32 = 0.995;
/// The mean of an envelope follows in about a second.
const MEAN_STEP: f32 = 0.01;
/// Correlation at which a delay is believed. It stays until another is: when the echo vanishes, its path does.
const BELIEVED: f32 = 0.45;
/// Hops with playout before anything is believed, between looks, and looks in a row that must agree.
const FIRST_HOPS: u32 = 60;
const LOOK_HOPS: u32 = 4;
const AGREEING_LOOKS: u32 = 3;

/// Finds the delay of the echo.
#[derive(Debug, Clone)]
pub(super) struct DelayFinder {
    /// Envelopes of the reference in dB about their mean, newest at `at`.
    past: [[f32; BANDS]; DELAYS],
    at: usize,
    products: [[f32; BANDS]; DELAYS],
    reference_squares: [f32; BANDS],
    uplink_squares: [f32; BANDS],
    reference_mean: [f32; BANDS],
    uplink_mean: [f32; BANDS],
    hops: u32,
    candidate: usize,
    agreed: u32,
    found: Option<usize>,
}

impl DelayFinder {
    pub(super) fn new() -> Self {
        Self {
            past: [[0.0; BANDS]; DELAYS],
            at: 0,
            products: [[0.0; BANDS]; DELAYS],
            reference_squares: [0.0; BANDS],
            uplink_squares: [0.0; BANDS],
            reference_mean: [-50.0; BANDS],
            uplink_mean: [-60.0; BANDS],
            hops: 0,
            candidate: 0,
            agreed: 0,
            found: None,
        }
    }

    /// The delay in hops, once it is known.
    pub(super) const fn found(&self) -> Option<usize> {
        self.found
    }

    /// Takes a hop of both directions in dB; `playing` says that the reference was heard within the longest delay.
    pub(super) fn step(&mut self, simd: Simd, reference: &[f32; BANDS], uplink: &[f32; BANDS], playing: bool) {
        let centre = |levels: &[f32; BANDS], mean: &mut [f32; BANDS]| {
            let mut centred = [0.0; BANDS];
            for ((centred, level), mean) in centred.iter_mut().zip(levels).zip(mean) {
                // What lies deep in the noise says nothing.
                let level = level.max(-65.0);
                *mean += (level - *mean) * MEAN_STEP;
                *centred = level - *mean;
            }
            centred
        };
        let reference = if playing { centre(reference, &mut self.reference_mean) } else { [0.0; BANDS] };
        self.at = (self.at + 1) % DELAYS;
        self.past[self.at] = reference;
        if !playing {
            return;
        }
        let uplink = centre(uplink, &mut self.uplink_mean);
        for band in 0..BANDS {
            let square = |of: f32, sum: &mut f32| *sum = *sum * KEEP + of * of;
            square(reference[band], &mut self.reference_squares[band]);
            square(uplink[band], &mut self.uplink_squares[band]);
        }
        correlate(simd, &uplink, &self.past, self.at, &mut self.products);
        self.hops = self.hops.saturating_add(1);
        if self.hops.is_multiple_of(LOOK_HOPS) {
            self.choose();
        }
    }

    fn choose(&mut self) {
        let scale: [f32; BANDS] = std::array::from_fn(|band| {
            1.0 / ((self.reference_squares[band] * self.uplink_squares[band]).sqrt() + 50.0) / BANDS as f32
        });
        let score = |delay: usize| -> f32 {
            self.products[delay].iter().zip(&scale).map(|(product, scale)| product * scale).sum()
        };
        let mut best = (0, f32::MIN);
        for delay in 0..DELAYS {
            let score = score(delay);
            if score > best.1 {
                best = (delay, score);
            }
        }
        self.agreed = if best.0.abs_diff(self.candidate) <= 1 { self.agreed.saturating_add(1) } else { 0 };
        self.candidate = best.0;
        if best.1 >= BELIEVED && self.agreed >= AGREEING_LOOKS && self.hops >= FIRST_HOPS {
            self.found = Some(best.0);
        }
    }
}

dispatched!(
    fn correlate(
        uplink: &[f32; BANDS],
        past: &[[f32; BANDS]; DELAYS],
        at: usize,
        products: &mut [[f32; BANDS]; DELAYS],
    ) = correlate_kernel
);

#[inline(always)]
fn correlate_kernel(
    uplink: &[f32; BANDS],
    past: &[[f32; BANDS]; DELAYS],
    at: usize,
    products: &mut [[f32; BANDS]; DELAYS],
) {
    for (delay, products) in products.iter_mut().enumerate() {
        let reference = &past[(at + DELAYS - delay) % DELAYS];
        for band in 0..BANDS {
            products[band] = products[band] * KEEP + uplink[band] * reference[band];
        }
    }
}
