//! The 42 features of a step: band cepstra and their changes, pitch correlation, pitch, and how much the spectrum varies.

use super::bands::{Bands, Cosines};
use super::elementary::log10;
use super::network::{FEATURES, GAINS};
use super::vector::{Lanes, Mask};
use crate::simd::Fused;

/// Steps of cepstra that are remembered.
pub(super) const STEPS: usize = 8;
/// Cepstra whose changes are features.
const CHANGES: usize = 6;
/// Sum of band energies below which the reference leaves a step as it is.
const SILENCE: f32 = 0.04;

/// Where the step is not silent.
#[inline(always)]
pub(super) fn audible<const L: usize>(energy: &Bands<L>) -> Mask<L> {
    let mut sum = Lanes::ZERO;
    for band in energy {
        sum += *band;
    }
    Mask::of(|lane| sum.0[lane] >= SILENCE)
}

/// Fills in the features. `cepstra` holds the last steps' band by band, newest first, and moves on where `run` is set;
/// features elsewhere mean nothing. `period` is in samples at 48 kHz.
#[inline(always)]
pub(super) fn compute<const L: usize, F: Fused>(
    cosines: &Cosines,
    energy: &Bands<L>,
    correlation: &Bands<L>,
    period: Lanes<L>,
    run: Mask<L>,
    cepstra: &mut [Lanes<L>],
) -> [Lanes<L>; FEATURES] {
    let mut out = [Lanes::ZERO; FEATURES];
    cosines.transform(correlation, &mut out[GAINS + 2 * CHANGES..GAINS + 3 * CHANGES]);
    out[34] = out[34] - 1.3;
    out[35] = out[35] - 0.9;
    out[40] = (period - 300.0) * 0.01;

    cosines.transform(&loudness::<L, F>(energy), &mut out[..GAINS]);
    out[0] = out[0] - 12.0;
    out[1] = out[1] - 4.0;
    for step in (1..STEPS).rev() {
        for order in 0..GAINS {
            let at = step * GAINS + order;
            cepstra[at] = cepstra[at - GAINS].or(run, cepstra[at]);
        }
    }
    for order in 0..GAINS {
        cepstra[order] = out[order].or(run, cepstra[order]);
    }
    for order in 0..CHANGES {
        let [now, before, earlier] = [0, GAINS, 2 * GAINS].map(|step| cepstra[step + order]);
        out[order] = now + before + earlier;
        out[GAINS + order] = now - earlier;
        out[GAINS + CHANGES + order] = now - before * 2.0 + earlier;
    }
    out[41] = variability(cepstra) * (1.0 / STEPS as f32) - 2.1;
    out
}

/// The logarithm of the band energies, never far below the loudest and falling slowly.
#[inline(always)]
fn loudness<const L: usize, F: Fused>(energy: &Bands<L>) -> Bands<L> {
    let (mut loudest, mut follow) = (Lanes::splat(-2.0), Lanes::splat(-2.0));
    energy.map(|energy| {
        let value = log10::<L, F>(energy + 1e-2).max(loudest - 7.0).max(follow - 1.5);
        loudest = loudest.max(value);
        follow = (follow - 1.5).max(value);
        value
    })
}

/// How far each remembered spectrum is from the one most like it, summed.
#[inline(always)]
fn variability<const L: usize>(cepstra: &[Lanes<L>]) -> Lanes<L> {
    let mut nearest = [Lanes::splat(1e15); STEPS];
    for a in 0..STEPS {
        for b in a + 1..STEPS {
            let mut distance = Lanes::ZERO;
            for order in 0..GAINS {
                let difference = cepstra[a * GAINS + order] - cepstra[b * GAINS + order];
                distance += difference * difference;
            }
            nearest[a] = nearest[a].min(distance);
            nearest[b] = nearest[b].min(distance);
        }
    }
    let mut sum = Lanes::ZERO;
    for distance in nearest {
        sum += distance;
    }
    sum
}
