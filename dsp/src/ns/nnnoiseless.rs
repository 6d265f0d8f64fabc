//! The reference: RNNoise as the `nnnoiseless` crate has it, one call at a time at 48 kHz.

use ::nnnoiseless::DenoiseState;

use super::activity::{Activity, CLOSED_GAIN, Gate, mean_square};
use super::slots::Slots;
use super::{FULL_SCALE, bounded, steps};
use crate::resample::Resampler;
use crate::{NoiseBank, Slot};

const RATE: u32 = 48000;
const STEP: usize = DenoiseState::FRAME_SIZE;

/// A [`NoiseBank`] of `nnnoiseless` states for sound at 8, 16 or 48 kHz; the first two are resampled to 48 kHz and
/// back.
///
/// [`attach`](NoiseBank::attach) makes the call's state, some 40 kB, and is the only method that allocates. The
/// crate's Fourier transform keeps its plan per thread: the first frame on another thread makes it once.
#[derive(Debug)]
pub struct NnnoiselessBank {
    calls: Slots<ReferenceCall>,
    gate: Gate,
}

/// One call of the reference.
pub(crate) struct ReferenceCall {
    rate: u32,
    state: Box<DenoiseState<'static>>,
    up: Resampler,
    down: Resampler,
    activity: Activity,
    voice: f32,
}

impl std::fmt::Debug for ReferenceCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReferenceCall").field("rate", &self.rate).field("voice", &self.voice).finish_non_exhaustive()
    }
}

impl NnnoiselessBank {
    /// A bank for at most `slots` calls, with [`Gate::Auto`].
    #[must_use]
    pub fn new(slots: usize) -> Self {
        warm_up();
        Self { calls: Slots::new(slots), gate: Gate::Auto }
    }

    /// The same bank with a gate of the caller's choice.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }
}

/// One step of overlap, and the two resamplers.
const fn delay_us(resampling_us: u64) -> u64 {
    10_000 + 2 * resampling_us
}

/// Makes this thread's plan of the transform now rather than at the first frame.
pub(crate) fn warm_up() {
    let mut out = [0.0; STEP];
    DenoiseState::new().process_frame(&mut out, &[1.0; STEP]);
}

impl NoiseBank for NnnoiselessBank {
    fn attach(&mut self, rate: u32) -> Option<Slot> {
        self.calls.insert(|| ReferenceCall::new(rate))
    }

    fn detach(&mut self, slot: Slot) {
        self.calls.remove(slot);
    }

    fn process(&mut self, batch: &mut [(Slot, &mut [f32])]) {
        for (slot, frame) in batch {
            if let Some(call) = self.calls.get_mut(*slot) {
                call.process(self.gate, frame);
            }
        }
    }

    fn delay_us(&self, rate: u32) -> Option<u64> {
        let resampling = Resampler::new(rate, RATE).ok()?.delay_us();
        matches!(rate, 8000 | 16000 | 48000).then_some(delay_us(resampling))
    }

    fn voice_probability(&self, slot: Slot) -> Option<f32> {
        self.calls.get(slot).map(|call| call.voice)
    }
}

impl ReferenceCall {
    /// For sound at 8, 16 or 48 kHz.
    pub(crate) fn new(rate: u32) -> Option<Self> {
        if !matches!(rate, 8000 | 16000 | 48000) {
            return None;
        }
        Some(Self {
            rate,
            state: DenoiseState::new(),
            up: Resampler::new(rate, RATE).ok()?,
            down: Resampler::new(RATE, rate).ok()?,
            activity: Activity::default(),
            voice: 0.0,
        })
    }

    /// By how many microseconds sound leaves later than it entered.
    pub(crate) fn delay_us(&self) -> u64 {
        delay_us(self.up.delay_us())
    }

    /// Cleans 10 or 20 ms in place.
    pub(crate) fn process(&mut self, gate: Gate, frame: &mut [f32]) {
        if steps(self.rate, frame.len()).is_none() {
            return;
        }
        for step in frame.chunks_exact_mut(self.rate as usize / 100) {
            step.iter_mut().for_each(|sample| *sample = bounded(*sample));
            if self.activity.is_open(gate, mean_square(step)) {
                self.clean(step);
            } else {
                step.iter_mut().for_each(|sample| *sample *= CLOSED_GAIN);
                self.voice = 0.0;
            }
        }
    }

    fn clean(&mut self, step: &mut [f32]) {
        let (mut input, mut output) = ([0.0; STEP], [0.0; STEP]);
        self.up.process_f32(step, &mut input);
        input.iter_mut().for_each(|sample| *sample *= FULL_SCALE);
        self.voice = self.state.process_frame(&mut output, &input);
        output.iter_mut().for_each(|sample| *sample *= 1.0 / FULL_SCALE);
        self.down.process_f32(&output, step);
    }
}
