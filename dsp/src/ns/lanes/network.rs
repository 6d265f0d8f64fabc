//! RNNoise's recurrent network for eight calls at once: 42 features in, 22 band gains and the odds of speech out.

use super::elementary::{sigmoid, tanh};
use super::vector::{Lanes, Mask};
use super::weights::{Activation, Dense, Gru, Weights};
use crate::simd::Fused;

/// Numbers of each call that the network carries from step to step.
pub(super) const STATE: usize = 24 + 48 + 96;
/// Features a step.
pub(super) const FEATURES: usize = 42;
/// Gains a step.
pub(super) const GAINS: usize = 22;

/// The weights are stored in steps of 1/256.
const SCALE: f32 = 1.0 / 256.0;

/// Room for the network's inner values.
#[derive(Debug)]
pub(super) struct Room<const L: usize> {
    dense: [Lanes<L>; 24],
    /// A layer's inputs, then its state.
    inputs: [Lanes<L>; 256],
    sums: [Lanes<L>; 192],
    candidates: [Lanes<L>; 96],
}

impl<const L: usize> Room<L> {
    pub(super) fn new() -> Self {
        Self {
            dense: [Lanes::ZERO; 24],
            inputs: [Lanes::ZERO; 256],
            sums: [Lanes::ZERO; 192],
            candidates: [Lanes::ZERO; 96],
        }
    }
}

/// Runs one step: `state` moves on where `run` is set. Returns the odds of speech, 0..1.
#[inline(always)]
pub(super) fn step<const L: usize, F: Fused>(
    weights: &Weights,
    room: &mut Room<L>,
    state: &mut [Lanes<L>],
    run: Mask<L>,
    features: &[Lanes<L>; FEATURES],
    gains: &mut [Lanes<L>; GAINS],
) -> Lanes<L> {
    let (voice, rest) = state.split_at_mut(24);
    let (noise, denoise) = rest.split_at_mut(48);
    let Room { dense, inputs, sums, candidates } = room;

    layer::<L, F>(&weights.input, features, dense, sums);
    inputs[..24].copy_from_slice(dense);
    recur::<L, F>(&weights.voice_gru, inputs, sums, candidates, voice, run);
    let mut odds = [Lanes::ZERO; 1];
    layer::<L, F>(&weights.voice_output, voice, &mut odds, sums);

    inputs[..24].copy_from_slice(dense);
    inputs[24..48].copy_from_slice(voice);
    inputs[48..90].copy_from_slice(features);
    recur::<L, F>(&weights.noise_gru, inputs, sums, candidates, noise, run);

    inputs[..24].copy_from_slice(voice);
    inputs[24..72].copy_from_slice(noise);
    inputs[72..114].copy_from_slice(features);
    recur::<L, F>(&weights.denoise_gru, inputs, sums, candidates, denoise, run);
    layer::<L, F>(&weights.denoise_output, denoise, gains, sums);
    odds[0]
}

#[inline(always)]
fn layer<const L: usize, F: Fused>(layer: &Dense, input: &[Lanes<L>], out: &mut [Lanes<L>], sums: &mut [Lanes<L>]) {
    layer.matrix.multiply::<L, F>(input, sums);
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = activate::<L, F>(layer.activation, *sum * SCALE);
    }
}

/// One step of a gated recurrent layer whose inputs stand at the head of `inputs`.
#[inline(always)]
fn recur<const L: usize, F: Fused>(
    layer: &Gru,
    inputs: &mut [Lanes<L>],
    sums: &mut [Lanes<L>],
    candidates: &mut [Lanes<L>],
    state: &mut [Lanes<L>],
    run: Mask<L>,
) {
    let neurons = layer.neurons;
    let past = &mut inputs[layer.inputs..layer.inputs + neurons];
    past.copy_from_slice(state);
    layer.gates.multiply::<L, F>(inputs, sums);
    let (update, reset) = sums.split_at_mut(neurons);
    for (past, reset) in inputs[layer.inputs..].iter_mut().zip(&reset[..neurons]) {
        *past *= sigmoid::<L, F>(*reset * SCALE);
    }
    layer.candidate.multiply::<L, F>(inputs, candidates);
    for ((state, update), candidate) in state.iter_mut().zip(update).zip(candidates) {
        let update = sigmoid::<L, F>(*update * SCALE);
        let candidate = activate::<L, F>(layer.activation, *candidate * SCALE);
        let next = update * *state + (Lanes::splat(1.0) - update) * candidate;
        *state = next.or(run, *state);
    }
}

#[inline(always)]
fn activate<const L: usize, F: Fused>(activation: Activation, x: Lanes<L>) -> Lanes<L> {
    match activation {
        Activation::Tanh => tanh::<L, F>(x),
        Activation::Sigmoid => sigmoid::<L, F>(x),
        Activation::Relu => x.map(|x| if x > 0.0 { x } else { 0.0 }),
    }
}
