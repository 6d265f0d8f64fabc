//! Silero's network, version 6, every lane another call: the magnitudes of a short Fourier transform, four convolutions
//! over time, one LSTM cell (Hochreiter and Schmidhuber 1997) and a logistic output. It judges 32 ms at a time and
//! remembers what came before.
//!
//! The recipe is the graph of the published model. Its Fourier basis is a tensor like the others; what is equal in it on
//! both sides of a window's middle, but for the sign, is multiplied once.

#![allow(clippy::needless_range_loop, reason = "lanes are counted so that every array of a loop has the same one")]

use std::sync::LazyLock;

use crate::simd::{Common, Fused, Instruction, Simd, dispatched};
use crate::vad::math::exp2;

/// Outputs that share the registers: with sixteen lanes a weight that was read serves two registers, and what was read of
/// the lanes serves four outputs.
const TILE: usize = 4;
/// Frames of the transform in one judgement.
const FRAMES: usize = 4;
/// Most bins of the transform, and most samples it is made of.
const MAX_BINS: usize = 129;
const MAX_INPUT: usize = 640;
/// Channels behind the convolutions.
const CHANNELS: [usize; 4] = [128, 64, 64, 128];
/// Units of the recurrent cell.
pub(super) const UNITS: usize = 128;

/// The two networks, each for its rate.
static NARROW: LazyLock<Network> =
    LazyLock::new(|| Network::new(128, include_bytes!(concat!(env!("OUT_DIR"), "/silero_8k.f32"))));
static WIDE: LazyLock<Network> =
    LazyLock::new(|| Network::new(256, include_bytes!(concat!(env!("OUT_DIR"), "/silero_16k.f32"))));

/// A layer: the weights of a tile of outputs lie together, input after input.
#[derive(Debug)]
struct Dense {
    inputs: usize,
    tiles: Box<[[f32; TILE]]>,
    bias: Box<[f32]>,
}

impl Dense {
    fn new(inputs: usize, outputs: usize, weight: impl Fn(usize, usize) -> f32, bias: impl Fn(usize) -> f32) -> Self {
        let padded = outputs.next_multiple_of(TILE);
        let of = |output: usize, input: usize| if output < outputs { weight(output, input) } else { 0.0 };
        let tiles = (0..padded / TILE).flat_map(|tile| (0..inputs).map(move |input| (tile, input)).collect::<Vec<_>>());
        Self {
            inputs,
            tiles: tiles.map(|(tile, input)| std::array::from_fn(|n| of(TILE * tile + n, input))).collect(),
            bias: (0..padded).map(|output| if output < outputs { bias(output) } else { 0.0 }).collect(),
        }
    }

    /// Adds the products of inputs `from..from + input.len()` one after another to the bias of every output, each product
    /// and its addition in one rounding. Inputs that are left out count as zero. `out` has whole tiles.
    #[inline(always)]
    fn apply<const L: usize, F: Fused>(&self, from: usize, input: &[[f32; L]], out: &mut [[f32; L]]) {
        let outputs = out.chunks_exact_mut(TILE).zip(self.bias.chunks_exact(TILE));
        for (tile, (out, bias)) in self.tiles.chunks_exact(self.inputs).zip(outputs) {
            let mut sums: [[f32; L]; TILE] = std::array::from_fn(|n| [bias[n]; L]);
            for (weights, x) in tile[from..from + input.len()].iter().zip(input) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    for lane in 0..L {
                        sum[lane] = F::mul_add(*weight, x[lane], sum[lane]);
                    }
                }
            }
            out.copy_from_slice(&sums);
        }
    }
}

/// Numbers of a file, in order.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, numbers: usize) -> Vec<f32> {
        let (taken, rest) = self.0.split_at((4 * numbers).min(self.0.len()));
        self.0 = rest;
        taken.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
    }
}

/// One of the two networks.
#[derive(Debug)]
pub(super) struct Network {
    /// Samples of a frame of the transform.
    window: usize,
    /// Real parts, of what is the same on both sides of a frame's middle, and imaginary parts, of what is opposite.
    cosines: Dense,
    sines: Dense,
    convolutions: [Dense; 4],
    cell: Dense,
    output: Box<[f32]>,
    output_bias: f32,
}

impl Network {
    /// The network for sound at `rate` Hz, 8000 or 16000.
    pub(super) fn of(rate: u32) -> Option<&'static Self> {
        match rate {
            8000 => Some(&NARROW),
            16_000 => Some(&WIDE),
            _ => None,
        }
    }

    fn new(window: usize, file: &[u8]) -> Self {
        let mut file = Reader(file);
        let bins = window / 2 + 1;
        let basis = file.take(2 * bins * window);
        // The first sample of a frame weighs nothing.
        let cosines = Dense::new(window / 2, bins, |output, input| basis[output * window + input + 1], |_| 0.0);
        let sines =
            Dense::new(window / 2 - 1, bins, |output, input| basis[(bins + output) * window + input + 1], |_| 0.0);
        let mut before = bins;
        let convolutions = CHANNELS.map(|channels| {
            let (weights, bias) = (file.take(channels * before * 3), file.take(channels));
            // In the file by output, input and time; here an input of a time follows another of the same time.
            let weight = |output: usize, input: usize| weights[(output * before + input % before) * 3 + input / before];
            let layer = Dense::new(3 * before, channels, weight, |output| bias[output]);
            before = channels;
            layer
        });
        let (input, state) = (file.take(4 * UNITS * UNITS), file.take(4 * UNITS * UNITS));
        let (input_bias, state_bias) = (file.take(4 * UNITS), file.take(4 * UNITS));
        let weight = |output: usize, from: usize| match from.checked_sub(UNITS) {
            None => input[output * UNITS + from],
            Some(from) => state[output * UNITS + from],
        };
        let cell = Dense::new(2 * UNITS, 4 * UNITS, weight, |output| input_bias[output] + state_bias[output]);
        let output = file.take(UNITS).into_boxed_slice();
        let output_bias = file.take(1).first().copied().unwrap_or_default();
        Self { window, cosines, sines, convolutions, cell, output, output_bias }
    }

    /// Samples that are judged at once: 32 ms.
    pub(super) const fn samples(&self) -> usize {
        2 * self.window
    }

    /// Samples before them that the transform wants to see: 4 ms.
    pub(super) const fn context(&self) -> usize {
        self.window / 4
    }
}

/// What the network remembers of `L` calls.
#[derive(Debug, Clone)]
pub(super) struct Memory<const L: usize> {
    hidden: [[f32; L]; UNITS],
    cell: [[f32; L]; UNITS],
}

impl<const L: usize> Memory<L> {
    pub(super) const fn new() -> Self {
        Self { hidden: [[0.0; L]; UNITS], cell: [[0.0; L]; UNITS] }
    }

    fn gather(&mut self, lane: usize, call: &Memory<1>) {
        let pairs = self.hidden.iter_mut().zip(&call.hidden).chain(self.cell.iter_mut().zip(&call.cell));
        for (to, from) in pairs {
            to[lane] = from[0];
        }
    }

    fn scatter(&self, lane: usize, call: &mut Memory<1>) {
        let pairs = call.hidden.iter_mut().zip(&self.hidden).chain(call.cell.iter_mut().zip(&self.cell));
        for (to, from) in pairs {
            to[0] = from[lane];
        }
    }
}

/// Numbers on their way through the network.
#[derive(Debug)]
struct Work<const L: usize> {
    /// Context, the samples that are judged, and a mirror image of their end.
    input: [[f32; L]; MAX_INPUT],
    /// Both sides of a frame's middle added, and one less the other.
    even: [[f32; L]; MAX_BINS - 1],
    odd: [[f32; L]; MAX_BINS - 1],
    real: [[f32; L]; MAX_BINS.next_multiple_of(TILE)],
    imaginary: [[f32; L]; MAX_BINS.next_multiple_of(TILE)],
    magnitudes: [[f32; L]; FRAMES * MAX_BINS],
    first: [[f32; L]; FRAMES * CHANNELS[0]],
    second: [[f32; L]; 2 * CHANNELS[1]],
    third: [[f32; L]; CHANNELS[2]],
    /// What the convolutions found, and the cell's hidden state.
    found: [[f32; L]; 2 * UNITS],
    gates: [[f32; L]; 4 * UNITS],
}

impl<const L: usize> Work<L> {
    const fn new() -> Self {
        Self {
            input: [[0.0; L]; MAX_INPUT],
            even: [[0.0; L]; MAX_BINS - 1],
            odd: [[0.0; L]; MAX_BINS - 1],
            real: [[0.0; L]; MAX_BINS.next_multiple_of(TILE)],
            imaginary: [[0.0; L]; MAX_BINS.next_multiple_of(TILE)],
            magnitudes: [[0.0; L]; FRAMES * MAX_BINS],
            first: [[0.0; L]; FRAMES * CHANNELS[0]],
            second: [[0.0; L]; 2 * CHANNELS[1]],
            third: [[0.0; L]; CHANNELS[2]],
            found: [[0.0; L]; 2 * UNITS],
            gates: [[0.0; L]; 4 * UNITS],
        }
    }

    /// Lays a call's samples in a lane: context and what is to be judged.
    fn lay(&mut self, lane: usize, samples: impl Iterator<Item = f32>) {
        for (to, sample) in self.input.iter_mut().zip(samples) {
            to[lane] = sample;
        }
    }
}

/// How likely it is that the samples in `work` hold speech, by lane, 0..=1.
#[inline(always)]
fn judge<const L: usize, F: Fused>(network: &Network, memory: &mut Memory<L>, work: &mut Work<L>) -> [f32; L] {
    let Work { input, even, odd, real, imaginary, magnitudes, first, second, third, found, gates } = work;
    let (window, bins) = (network.window, network.window / 2 + 1);
    let end = network.context() + network.samples();
    for n in 0..network.context() {
        input[end + n] = input[end - 2 - n];
    }
    let (even, odd) = (&mut even[..window / 2], &mut odd[..window / 2 - 1]);
    let (real, imaginary) = (&mut real[..bins.next_multiple_of(TILE)], &mut imaginary[..bins.next_multiple_of(TILE)]);
    for (frame, magnitudes) in magnitudes.chunks_exact_mut(bins).take(FRAMES).enumerate() {
        let input = &input[frame * window / 2..][..window];
        for n in 0..window / 2 - 1 {
            for lane in 0..L {
                let (left, right) = (input[1 + n][lane], input[window - 1 - n][lane]);
                (even[n][lane], odd[n][lane]) = (left + right, left - right);
            }
        }
        even[window / 2 - 1] = input[window / 2];
        network.cosines.apply::<L, F>(0, even, real);
        network.sines.apply::<L, F>(0, odd, imaginary);
        for (bin, magnitude) in magnitudes.iter_mut().enumerate() {
            for lane in 0..L {
                let (real, imaginary) = (real[bin][lane], imaginary[bin][lane]);
                magnitude[lane] = (real * real + imaginary * imaginary).sqrt();
            }
        }
    }
    let [one, two, three, four] = &network.convolutions;
    // Frames beyond either end are zero, so that what multiplies them is left out.
    let magnitudes = &magnitudes[..FRAMES * bins];
    for (frame, out) in first.chunks_exact_mut(CHANNELS[0]).enumerate() {
        let (from, to) = (frame.saturating_sub(1), (frame + 2).min(FRAMES));
        one.apply::<L, F>((from + 1 - frame) * bins, &magnitudes[from * bins..to * bins], out);
    }
    rectify(first);
    two.apply::<L, F>(CHANNELS[0], &first[..2 * CHANNELS[0]], &mut second[..CHANNELS[1]]);
    two.apply::<L, F>(0, &first[CHANNELS[0]..], &mut second[CHANNELS[1]..]);
    rectify(second);
    three.apply::<L, F>(CHANNELS[1], second, third);
    rectify(third);
    let (here, hidden) = found.split_at_mut(UNITS);
    four.apply::<L, F>(CHANNELS[2], third, here);
    rectify(here);
    hidden.copy_from_slice(&memory.hidden);
    network.cell.apply::<L, F>(0, found, gates);
    let mut sums = [network.output_bias; L];
    for unit in 0..UNITS {
        for lane in 0..L {
            let gate = |n: usize| gates[n * UNITS + unit][lane];
            let (enters, stays, new, leaves) = (logistic(gate(0)), logistic(gate(1)), tanh(gate(2)), logistic(gate(3)));
            let cell = stays * memory.cell[unit][lane] + enters * new;
            memory.cell[unit][lane] = cell;
            memory.hidden[unit][lane] = leaves * tanh(cell);
            sums[lane] = F::mul_add(network.output[unit], memory.hidden[unit][lane].max(0.0), sums[lane]);
        }
    }
    sums.map(logistic)
}

#[inline(always)]
fn rectify<const L: usize>(values: &mut [[f32; L]]) {
    for value in values {
        for lane in value {
            *lane = lane.max(0.0);
        }
    }
}

/// The logistic function within 1e-6; the detector's own approximations are too coarse to be fed back for minutes.
#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp2(-std::f32::consts::LOG2_E * x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 * logistic(2.0 * x) - 1.0
}

dispatched!(
    fn judge_sixteen(network: &Network, memory: &mut Memory<16>, work: &mut Work<16>) -> [f32; 16] =
        judge::<16, Common>, judge::<16, Instruction>
);
dispatched!(
    fn judge_eight(network: &Network, memory: &mut Memory<8>, work: &mut Work<8>) -> [f32; 8] =
        judge::<8, Common>, judge::<8, Instruction>
);

/// Calls that go through the network together.
#[derive(Debug)]
pub(super) struct Lanes<const L: usize> {
    memory: Memory<L>,
    work: Work<L>,
}

impl<const L: usize> Lanes<L> {
    pub(super) const fn new() -> Self {
        Self { memory: Memory::new(), work: Work::new() }
    }

    /// Takes a call in: what is remembered of it and its samples, context and what is to be judged.
    pub(super) fn seat(&mut self, lane: usize, memory: &Memory<1>, samples: impl Iterator<Item = f32>) {
        self.memory.gather(lane, memory);
        self.work.lay(lane, samples);
    }

    /// Gives back what is remembered of a call.
    pub(super) fn leave(&self, lane: usize, memory: &mut Memory<1>) {
        self.memory.scatter(lane, memory);
    }
}

impl Lanes<16> {
    /// Judges its calls.
    pub(super) fn judge(&mut self, simd: Simd, network: &Network) -> [f32; 16] {
        judge_sixteen(simd, network, &mut self.memory, &mut self.work)
    }
}

impl Lanes<8> {
    /// Judges its calls.
    pub(super) fn judge(&mut self, simd: Simd, network: &Network) -> [f32; 8] {
        judge_eight(simd, network, &mut self.memory, &mut self.work)
    }
}
