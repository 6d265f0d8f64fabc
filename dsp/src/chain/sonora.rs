//! The opt-in chain of WebRTC's own echo canceller and gain control, for speakerphones in bad rooms.

use crate::echo::SonoraAec;
use crate::gain::SonoraAgc;
use crate::tone::UnknownRate;

/// AEC3 and AGC2 for one leg.
///
/// Both allocate for every frame (`cargo xtask bench dsp` says how often) and cost some ten times what the default
/// chain does, so that they have no place on a media worker: run the chain on a thread of its own, between the jitter
/// buffer and the uplink.
pub struct SonoraChain {
    aec: SonoraAec,
    agc: SonoraAgc,
}

impl std::fmt::Debug for SonoraChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SonoraChain").finish_non_exhaustive()
    }
}

impl SonoraChain {
    /// A chain for sound at `rate` Hz: 8000 or 16000.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other.
    pub fn new(rate: u32) -> Result<Self, UnknownRate> {
        Ok(Self { aec: SonoraAec::new(rate)?, agc: SonoraAgc::new(rate)? })
    }

    /// Takes the echo of `reference` (what was played in this tick) out of `uplink` and brings it to a level. Both are
    /// 20 ms of samples of -1..1; `confidence` is that of voice activity, 0..=1.
    pub fn process(&mut self, reference: &[f32], uplink: &mut [f32], confidence: f32) {
        self.aec.process(reference, uplink);
        self.agc.process(uplink, confidence);
    }
}
