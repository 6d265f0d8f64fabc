//! The polyphase filters' inner loops, written so that they vectorise without changing a single bit.
//!
//! Ratios of small numbers (8 to 48 kHz and their like) run many outputs of one phase side by side: a coefficient
//! meets a run of neighbouring inputs, one output in each lane, so that each output is summed in the order of its taps
//! whatever the width of a vector. For that, the input of a decimator is first dealt out into its `down` residues.
//! Ratios of 441 have too many phases for runs; there each output is a product in eight partial sums.

use super::filter::{Filter, MAX_TAPS};
use crate::simd::dispatched;

/// The most input samples and outputs of one go; a frame is converted in as many goes as it takes.
const INPUTS: usize = 480;
const OUTPUTS: usize = 576;
/// Room for the outputs of one go, with one more for what was carried over.
pub(super) const MAX_OUTPUT: usize = OUTPUTS + 8;
/// Outputs computed side by side.
const RUN: usize = 32;
/// History, the inputs of one go, and what a last run that is not full reads beyond them.
pub(super) const WINDOW: usize = MAX_TAPS + INPUTS + RUN;
/// Interpolation and decimation factors up to this one run side by side.
const MAX_FACTOR: usize = 6;
/// Room for the window dealt out by residues, each rounded up and read up to a run beyond its end.
const DEALT: usize = WINDOW + MAX_FACTOR * (RUN + 1);

/// Inputs of one go.
pub(super) fn inputs_at_once(filter: &Filter) -> usize {
    (OUTPUTS * filter.down / filter.up).clamp(1, INPUTS)
}

/// Where the next output lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Phase of the next output, 0..up.
    pub(super) phase: usize,
    /// Inputs to pass over before its newest input.
    pub(super) skip: usize,
}

impl Place {
    /// The place `outputs` further on.
    fn after(self, outputs: usize, filter: &Filter) -> Self {
        let phase = self.phase + outputs * filter.down;
        Self { phase: phase % filter.up, skip: self.skip + phase / filter.up }
    }

    /// Outputs whose newest input lies within the next `inputs`.
    fn outputs(self, inputs: usize, filter: &Filter) -> usize {
        // The n-th output's newest input is skip + (phase + n * down) / up.
        let room = (inputs.saturating_sub(self.skip) * filter.up).saturating_sub(self.phase);
        room.div_ceil(filter.down)
    }
}

/// Makes every output whose newest input lies within the `inputs` samples after the history of `window` (`taps - 1`
/// samples), and returns how many. `place` moves on to the next piece.
#[inline(always)]
fn convert_kernel(
    filter: &Filter,
    window: &[f32; WINDOW],
    inputs: usize,
    place: &mut Place,
    out: &mut [f32; MAX_OUTPUT],
) -> usize {
    let count = place.outputs(inputs, filter).min(MAX_OUTPUT);
    if filter.up <= MAX_FACTOR && filter.down <= MAX_FACTOR {
        side_by_side(filter, window, *place, &mut out[..count]);
    } else {
        one_by_one(filter, window, *place, &mut out[..count]);
    }
    let next = place.after(count, filter);
    *place = Place { phase: next.phase, skip: next.skip.saturating_sub(inputs) };
    count
}
dispatched!(
    pub(super) fn convert(
        filter: &Filter,
        window: &[f32; WINDOW],
        inputs: usize,
        place: &mut Place,
        out: &mut [f32; MAX_OUTPUT],
    ) -> usize = convert_kernel
);

#[inline(always)]
fn side_by_side(filter: &Filter, window: &[f32; WINDOW], place: Place, out: &mut [f32]) {
    if filter.down == 1 {
        return runs(filter, window, WINDOW, place, out);
    }
    // Residue r of the window, every `down`-th sample from r on, begins at r * stride.
    let stride = WINDOW / filter.down + 1 + RUN;
    let mut dealt = [0.0_f32; DEALT];
    for residue in 0..filter.down {
        let slots = &mut dealt[residue * stride..][..stride];
        for (slot, sample) in slots.iter_mut().zip(window[residue..].iter().step_by(filter.down)) {
            *slot = *sample;
        }
    }
    runs(filter, &dealt, stride, place, out);
}

#[inline(always)]
fn runs(filter: &Filter, dealt: &[f32], stride: usize, place: Place, out: &mut [f32]) {
    let (up, down) = (filter.up, filter.down);
    // Outputs `up` apart share a phase, and their inputs are `down` apart.
    for first in 0..up.min(out.len()) {
        let place = place.after(first, filter);
        let coefficients = filter.phase(place.phase);
        let outputs = (out.len() - first).div_ceil(up);
        for run in 0..outputs.div_ceil(RUN) {
            let (mut residue, mut offset) = (place.skip % down, place.skip / down + run * RUN);
            let mut sums = [0.0_f32; RUN];
            for coefficient in coefficients {
                let Some(inputs) = dealt[residue * stride + offset..].first_chunk::<RUN>() else { break };
                for (sum, input) in sums.iter_mut().zip(inputs) {
                    *sum += coefficient * input;
                }
                residue += 1;
                if residue == down {
                    (residue, offset) = (0, offset + 1);
                }
            }
            let slots = out[first + run * RUN * up..].iter_mut().step_by(up);
            for (slot, sum) in slots.zip(sums) {
                *slot = sum;
            }
        }
    }
}

#[inline(always)]
fn one_by_one(filter: &Filter, window: &[f32; WINDOW], mut place: Place, out: &mut [f32]) {
    for slot in out {
        let (coefficients, _) = filter.phase(place.phase).as_chunks::<8>();
        let (inputs, _) = window[place.skip..].as_chunks::<8>();
        *slot = dot(coefficients, inputs);
        place = place.after(1, filter);
    }
}

/// A product in eight partial sums, whose number is part of the result's bits.
#[inline(always)]
pub(super) fn dot(a: &[[f32; 8]], b: &[[f32; 8]]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))
}

/// Samples of -1..1 as 16 bits, rounded to the nearest even and saturated as [`crate::to_i16`] does, without the call
/// that rounding is on processors that cannot round.
#[inline(always)]
fn store_kernel(pcm: &[f32], out: &mut [i16]) {
    /// Added to a number below 2^22 it leaves its rounded value in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    for (out, sample) in out.iter_mut().zip(pcm) {
        let number = if sample.is_nan() { 0.0 } else { *sample };
        let scaled = (number * 32768.0).clamp(-32768.0, 32767.0);
        *out = (scaled + ROUND).to_bits() as i16;
    }
}
dispatched!(pub(super) fn store(pcm: &[f32], out: &mut [i16]) = store_kernel);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Simd;

    #[test]
    fn storing_rounds_and_saturates_as_one_sample_at_a_time() {
        let mut pcm: Vec<f32> = (-140_000..140_000).map(|n| n as f32 / 131_072.0).collect();
        pcm.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 1e-30, -0.0]);
        for simd in [Simd::BASELINE, Simd::detect()] {
            let mut out = vec![0; pcm.len()];
            store(simd, &pcm, &mut out);
            for (out, sample) in out.iter().zip(&pcm) {
                assert_eq!(*out, crate::to_i16(*sample), "{sample}");
            }
        }
    }
}
