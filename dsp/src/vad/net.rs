//! The fused detector's network: one dense layer, one gated recurrent unit, one output; float, every lane another call.
//!
//! The recurrent unit is the one of Cho et al. 2014 with the reset gate applied after the matrix, as trained.

#![allow(clippy::needless_range_loop, reason = "lanes are counted so that every array of a loop has the same one")]

use super::features::{FEATURES, copy};
use super::math::{logistic, tanh};
use super::weights::{GATES, INPUT, OUTPUT, RECURRENT, WIDTH};
use crate::simd::Fused;

/// A layer as it is kept in the source: 8-bit weights by input, with one scale and one bias per output.
pub(super) struct Layer<const IN: usize, const OUT: usize> {
    pub(super) weights: [[i8; OUT]; IN],
    pub(super) scale: [f32; OUT],
    pub(super) bias: [f32; OUT],
}

/// A layer as it runs.
#[derive(Debug, Clone)]
struct Dense<const IN: usize, const OUT: usize> {
    weights: [[f32; OUT]; IN],
    bias: [f32; OUT],
}

impl<const IN: usize, const OUT: usize> Dense<IN, OUT> {
    fn new(layer: &Layer<IN, OUT>) -> Self {
        let row = |n: usize| std::array::from_fn(|out| f32::from(layer.weights[n][out]) * layer.scale[out]);
        Self { weights: std::array::from_fn(row), bias: layer.bias }
    }

    /// Inputs are added one after another for every output, a product and its addition in one rounding, whatever `L` is;
    /// eight outputs share the registers.
    #[inline(always)]
    fn apply<const L: usize, F: Fused>(&self, input: &[[f32; L]; IN]) -> [[f32; L]; OUT] {
        let mut out = [[0.0; L]; OUT];
        let mut first = 0;
        while first + TILE <= OUT {
            let mut sums = [[0.0; L]; TILE];
            for (row, x) in self.weights.iter().zip(input) {
                for (sum, weight) in sums.iter_mut().zip(&row[first..first + TILE]) {
                    for lane in 0..L {
                        sum[lane] = F::mul_add(*weight, x[lane], sum[lane]);
                    }
                }
            }
            for ((out, sum), bias) in out[first..].iter_mut().zip(&sums).zip(&self.bias[first..]) {
                for lane in 0..L {
                    out[lane] = sum[lane] + bias;
                }
            }
            first += TILE;
        }
        for n in first..OUT {
            for (row, x) in self.weights.iter().zip(input) {
                for lane in 0..L {
                    out[n][lane] = F::mul_add(row[n], x[lane], out[n][lane]);
                }
            }
            for lane in 0..L {
                out[n][lane] += self.bias[n];
            }
        }
        out
    }
}

const TILE: usize = 8;
/// What is taken from the log odds, so that a confidence of a half is where misses and false alarms cost the same with
/// talkers that were never trained on, with and without noise suppression in front.
const CALIBRATION: f32 = 0.7;

/// The network, shared by all calls.
#[derive(Debug, Clone)]
pub(super) struct Net {
    input: Dense<FEATURES, WIDTH>,
    gates: Dense<WIDTH, { 3 * WIDTH }>,
    recurrent: Dense<WIDTH, { 3 * WIDTH }>,
    output: Dense<WIDTH, 1>,
}

/// What the network remembers of `L` calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hidden<const L: usize>([[f32; L]; WIDTH]);

impl<const L: usize> Hidden<L> {
    pub(super) const fn new() -> Self {
        Self([[0.0; L]; WIDTH])
    }

    pub(super) fn gather(&mut self, lane: usize, call: &Hidden<1>) {
        copy(&mut self.0, &call.0, lane, 0);
    }

    pub(super) fn scatter(&self, lane: usize, call: &mut Hidden<1>) {
        copy(&mut call.0, &self.0, 0, lane);
    }
}

impl Net {
    pub(super) fn new() -> Self {
        Self {
            input: Dense::new(&INPUT),
            gates: Dense::new(&GATES),
            recurrent: Dense::new(&RECURRENT),
            output: Dense::new(&OUTPUT),
        }
    }

    /// How likely it is that this step is speech, when both are as likely beforehand: 0..=1.
    #[inline(always)]
    pub(super) fn step<const L: usize, F: Fused>(
        &self,
        hidden: &mut Hidden<L>,
        features: &[[f32; L]; FEATURES],
    ) -> [f32; L] {
        let mut x = self.input.apply::<L, F>(features);
        for unit in &mut x {
            for value in unit {
                *value = tanh(*value);
            }
        }
        let (now, past) = (self.gates.apply::<L, F>(&x), self.recurrent.apply::<L, F>(&hidden.0));
        for unit in 0..WIDTH {
            for lane in 0..L {
                let reset = logistic(now[unit][lane] + past[unit][lane]);
                let keep = logistic(now[WIDTH + unit][lane] + past[WIDTH + unit][lane]);
                let new = tanh(now[2 * WIDTH + unit][lane] + reset * past[2 * WIDTH + unit][lane]);
                hidden.0[unit][lane] = new + keep * (hidden.0[unit][lane] - new);
            }
        }
        let mut out = self.output.apply::<L, F>(&hidden.0)[0];
        for value in &mut out {
            *value = logistic(*value - CALIBRATION);
        }
        out
    }
}
