//! A leg's own part of the chains: places in the worker's banks, and state that moves with it.

use super::{ChainConfig, MAX_FRAME};
use crate::Slot;
use crate::echo::{BargeIn, EchoGate};
use crate::gain::{Agc, Limiter};
use crate::gate::NoiseGate;
use crate::tone::UnknownRate;

/// One leg's signal processing, both directions: made by [`UplinkChain::attach`](super::UplinkChain::attach), given
/// back by [`UplinkChain::detach`](super::UplinkChain::detach).
///
/// It is `Send` and moves between workers whole, at the end of a tick: detach it from the one chain and attach it to
/// the other. What the banks had learnt of its noise is learnt anew within a second.
#[derive(Debug)]
pub struct LegDsp {
    pub(super) rate: u32,
    pub(super) noise: Option<Slot>,
    pub(super) vad: Slot,
    pub(super) echo: Option<Box<EchoGate>>,
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

impl LegDsp {
    pub(super) fn new(config: &ChainConfig, rate: u32, noise: Option<Slot>, vad: Slot) -> Result<Self, UnknownRate> {
        Ok(Self {
            rate,
            noise,
            vad,
            echo: if config.echo_gate { Some(Box::new(EchoGate::new(rate)?)) } else { None },
            barge_in: BargeIn::new(config.barge_in_ms),
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
