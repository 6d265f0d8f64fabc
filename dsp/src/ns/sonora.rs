//! The economy engine: WebRTC's spectral suppressor from the `sonora-ns` crate, one call at a time at 16 kHz.

use sonora_ns::config::{NS_FRAME_SIZE, NsConfig, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor;

use super::activity::{Activity, CLOSED_GAIN, Gate, mean_square};
use super::slots::Slots;
use super::{FULL_SCALE, bounded, steps};
use crate::resample::Resampler;
use crate::{NoiseBank, Slot};

const RATE: u32 = 16000;
/// Samples of one step that overlap with the next, and so the engine's delay.
const OVERLAP_US: u64 = 6000;

/// A [`NoiseBank`] of `sonora-ns` states for sound at 8 or 16 kHz, suppressing by 18 dB. The engine knows 16 kHz
/// only, so that 8 kHz is resampled and back. Cheaper than the network and weaker on noise that changes.
///
/// [`attach`](NoiseBank::attach) makes the call's state, some 20 kB, and is the only method that allocates.
#[derive(Debug)]
pub struct SonoraBank {
    calls: Slots<Box<Call>>,
    gate: Gate,
}

#[derive(Debug)]
struct Call {
    rate: u32,
    state: NoiseSuppressor,
    up: Resampler,
    down: Resampler,
    activity: Activity,
}

impl SonoraBank {
    /// A bank for at most `slots` calls, with [`Gate::Auto`].
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { calls: Slots::new(slots), gate: Gate::Auto }
    }

    /// The same bank with a gate of the caller's choice.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }
}

impl NoiseBank for SonoraBank {
    fn attach(&mut self, rate: u32) -> Option<Slot> {
        self.calls.insert(|| Call::new(rate).map(Box::new))
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
        matches!(rate, 8000 | 16000).then_some(OVERLAP_US + 2 * resampling)
    }
}

impl Call {
    fn new(rate: u32) -> Option<Self> {
        if !matches!(rate, 8000 | 16000) {
            return None;
        }
        Some(Self {
            rate,
            state: NoiseSuppressor::new(NsConfig { target_level: SuppressionLevel::K18dB }),
            up: Resampler::new(rate, RATE).ok()?,
            down: Resampler::new(RATE, rate).ok()?,
            activity: Activity::default(),
        })
    }

    fn process(&mut self, gate: Gate, frame: &mut [f32]) {
        if steps(self.rate, frame.len()).is_none() {
            return;
        }
        for step in frame.chunks_exact_mut(self.rate as usize / 100) {
            step.iter_mut().for_each(|sample| *sample = bounded(*sample));
            if self.activity.is_open(gate, mean_square(step)) {
                self.clean(step);
            } else {
                step.iter_mut().for_each(|sample| *sample *= CLOSED_GAIN);
            }
        }
    }

    fn clean(&mut self, step: &mut [f32]) {
        let mut work = [0.0; NS_FRAME_SIZE];
        self.up.process_f32(step, &mut work);
        work.iter_mut().for_each(|sample| *sample *= FULL_SCALE);
        self.state.analyze(&work);
        self.state.process(&mut work);
        work.iter_mut().for_each(|sample| *sample *= 1.0 / FULL_SCALE);
        self.down.process_f32(&work, step);
    }
}
