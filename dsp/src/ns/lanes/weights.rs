//! The network's weights, read once from what the build script copied, and laid out for one pass over memory.

use std::sync::OnceLock;

use super::vector::Lanes;
use crate::simd::Fused;

/// The licence under which the weights are published, to be shipped with every binary.
pub const WEIGHTS_LICENCE: &str = include_str!(concat!(env!("OUT_DIR"), "/weights.licence.txt"));

const BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weights.rnn"));

/// Outputs computed together: as many as fit into half the vector registers.
pub(super) const BLOCK: usize = 8;

/// A matrix and its bias: `outputs` sums over `inputs`.
#[derive(Debug)]
pub(super) struct Matrix {
    inputs: usize,
    /// One per output, padded to whole blocks.
    bias: Vec<f32>,
    /// Block by block, within it input by input, within that output by output.
    weights: Vec<f32>,
}

impl Matrix {
    fn new(inputs: usize, outputs: usize, bias: impl Fn(usize) -> i8, weight: impl Fn(usize, usize) -> i8) -> Self {
        let padded = outputs.next_multiple_of(BLOCK);
        let number = |output: usize, value: &dyn Fn() -> i8| if output < outputs { f32::from(value()) } else { 0.0 };
        let mut weights = Vec::with_capacity(padded * inputs);
        for block in (0..padded).step_by(BLOCK) {
            for input in 0..inputs {
                weights.extend((block..block + BLOCK).map(|output| number(output, &|| weight(input, output))));
            }
        }
        Self { inputs, bias: (0..padded).map(|output| number(output, &|| bias(output))).collect(), weights }
    }

    /// Each sum starts at its bias and takes the inputs in order, as the reference does, a product and its addition in one
    /// rounding.
    /// `out` has room for whole blocks.
    #[inline(always)]
    pub(super) fn multiply<const L: usize, F: Fused>(&self, input: &[Lanes<L>], out: &mut [Lanes<L>]) {
        let input = &input[..self.inputs];
        let blocks = self.weights.chunks_exact(self.inputs * BLOCK).zip(self.bias.chunks_exact(BLOCK));
        for ((weights, bias), out) in blocks.zip(out.chunks_exact_mut(BLOCK)) {
            let mut sums = [Lanes::ZERO; BLOCK];
            for (sum, bias) in sums.iter_mut().zip(bias) {
                *sum = Lanes::splat(*bias);
            }
            for (value, weights) in input.iter().zip(weights.chunks_exact(BLOCK)) {
                for output in 0..BLOCK {
                    sums[output] = sums[output].plus::<F>(*value, weights[output]);
                }
            }
            out.copy_from_slice(&sums);
        }
    }
}

/// How a layer bends its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Tanh,
    Sigmoid,
    Relu,
}

/// A layer whose outputs are bent sums of its inputs.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) matrix: Matrix,
    pub(super) activation: Activation,
}

/// A gated recurrent layer. Inputs of both matrices are the layer's inputs, then its state.
#[derive(Debug)]
pub(super) struct Gru {
    pub(super) inputs: usize,
    pub(super) neurons: usize,
    /// Update gate, then reset gate.
    pub(super) gates: Matrix,
    pub(super) candidate: Matrix,
    pub(super) activation: Activation,
}

/// RNNoise's six layers.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) input: Dense,
    pub(super) voice_gru: Gru,
    pub(super) noise_gru: Gru,
    pub(super) denoise_gru: Gru,
    pub(super) denoise_output: Dense,
    pub(super) voice_output: Dense,
}

impl Weights {
    /// The weights, parsed at first use.
    pub(super) fn shared() -> &'static Self {
        static WEIGHTS: OnceLock<Weights> = OnceLock::new();
        WEIGHTS.get_or_init(|| {
            let mut reader = Reader(BYTES);
            Self {
                input: reader.dense(),
                voice_gru: reader.gru(),
                noise_gru: reader.gru(),
                denoise_gru: reader.gru(),
                denoise_output: reader.dense(),
                voice_output: reader.dense(),
            }
        })
    }
}

/// Reads the crate's format: per layer its inputs, neurons and activation, then weights input by input, then biases.
/// The build checked the file's hash, so that its sizes are known to be right.
struct Reader(&'static [u8]);

impl Reader {
    fn take(&mut self, length: usize) -> &'static [u8] {
        let (head, tail) = self.0.split_at(length);
        self.0 = tail;
        head
    }

    fn head(&mut self) -> (usize, usize, Activation) {
        let head = self.take(3);
        let activation = match head[2] {
            0 => Activation::Tanh,
            1 => Activation::Sigmoid,
            _ => Activation::Relu,
        };
        (usize::from(head[0]), usize::from(head[1]), activation)
    }

    fn dense(&mut self) -> Dense {
        let (inputs, neurons, activation) = self.head();
        let weights = self.take(inputs * neurons);
        let bias = self.take(neurons);
        let matrix = Matrix::new(
            inputs,
            neurons,
            |output| bias[output] as i8,
            |input, output| weights[input * neurons + output] as i8,
        );
        Dense { matrix, activation }
    }

    fn gru(&mut self) -> Gru {
        let (inputs, neurons, activation) = self.head();
        let width = 3 * neurons;
        let direct = self.take(inputs * width);
        let recurrent = self.take(neurons * width);
        let bias = self.take(width);
        let part = |first: usize, outputs: usize| {
            Matrix::new(
                inputs + neurons,
                outputs,
                |output| bias[first + output] as i8,
                |input, output| match input.checked_sub(inputs) {
                    None => direct[input * width + first + output] as i8,
                    Some(state) => recurrent[state * width + first + output] as i8,
                },
            )
        };
        Gru { inputs, neurons, gates: part(0, 2 * neurons), candidate: part(2 * neurons, neurons), activation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_fit_each_other_and_use_up_the_file() {
        let weights = Weights::shared();
        let (voice, noise) = (&weights.voice_gru, &weights.noise_gru);
        assert_eq!((weights.input.matrix.inputs, weights.input.matrix.bias.len()), (42, 24));
        assert_eq!((voice.inputs, voice.neurons), (24, 24));
        assert_eq!((noise.inputs, noise.neurons), (24 + 24 + 42, 48));
        assert_eq!((weights.denoise_gru.inputs, weights.denoise_gru.neurons), (24 + 48 + 42, 96));
        assert_eq!((weights.denoise_output.matrix.inputs, weights.denoise_output.matrix.bias.len()), (96, 24));
        assert_eq!((weights.voice_output.matrix.inputs, weights.voice_output.matrix.bias.len()), (24, 8));
        assert!(WEIGHTS_LICENCE.contains("Jean-Marc Valin"));
    }
}
