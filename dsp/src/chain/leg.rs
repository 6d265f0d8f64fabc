//! A leg's own part of the chains: places in the worker's banks, and state that moves with it.

use super::{ChainConfig, MAX_FRAME};
use crate::Slot;
use crate::echo::{BargeIn, EchoGate, Verdict};
use crate::gain::{Agc, Limiter};
use crate::gate::NoiseGate;
use crate::tone::UnknownRate;

/// One leg's signal processing, both directions: made by [`UplinkChain::attach`](super::UplinkChain::attach), its
/// places given back by [`UplinkChain::detach`](super::UplinkChain::detach), which a leg must not be dropped without.
///
/// It is `Send` and moves between workers whole, at the end of a tick: the one chain detaches it and the other
/// [adopts](super::UplinkChain::adopt) it. Echo path, gain and limiter move with it; what the banks had learnt of its
/// noise is learnt anew within a second.
#[derive(Debug)]
pub struct LegDsp {
    pub(super) rate: u32,
    pub(super) noise: Option<Slot>,
    /// `None` between two chains.
    pub(super) vad: Option<Slot>,
    pub(super) echo: Option<Box<EchoGate>>,
    /// On the frame in work.
    pub(super) verdict: Option<Verdict>,
    pub(super) barge_in: BargeIn,
    pub(super) agc: Option<Agc>,
    pub(super) gate: Option<NoiseGate>,
    pub(super) limiter: Limiter,
    /// What the downlink plays in this tick; silence when it plays nothing.
    pub(super) reference: Box<[f32]>,
    /// Confidence and background of the frame before, for what runs ahead of the detector.
    pub(super) confidence: f32,
    pub(super) noise_dbfs: f32,
}

/// A leg's places in a worker's banks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) noise: Option<Slot>,
    pub(super) vad: Slot,
}

impl LegDsp {
    pub(super) fn new(config: &ChainConfig, rate: u32, places: Places) -> Result<Self, UnknownRate> {
        Ok(Self {
            rate,
            noise: places.noise,
            vad: Some(places.vad),
            echo: if config.echo_gate { Some(Box::new(EchoGate::new(rate)?)) } else { None },
            verdict: None,
            barge_in: BargeIn::new(config.barge_in_ms).with_confidence(config.barge_in_confidence),
            agc: config.agc.map(|agc| Agc::new(rate, agc)).transpose()?,
            gate: config.noise_gate.map(|gate| NoiseGate::new(rate, gate)),
            limiter: Limiter::new(rate, config.ceiling_dbfs)?,
            reference: vec![0.0; (rate as usize / 50).min(MAX_FRAME)].into_boxed_slice(),
            confidence: 0.0,
            noise_dbfs: crate::level::SILENCE_DBFS,
        })
    }

    /// The leg's rate in Hz: 8000 or 16000.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Samples of a frame: 20 ms.
    #[must_use]
    pub fn frame(&self) -> usize {
        self.reference.len()
    }

    /// Delay of the agent's echo as far as it is known, in ms.
    #[must_use]
    pub fn echo_delay_ms(&self) -> Option<u32> {
        self.echo.as_ref().and_then(|echo| echo.delay_ms())
    }

    /// Arms the interruption anew: the agent begins another utterance.
    pub const fn rearm(&mut self) {
        self.barge_in.reset();
    }
}
