//! A leg's own part of the chains: state that is its own and moves with it, and its places in a worker's banks.

use super::calm::Calm;
use super::pumping::Pumping;
use super::steady::Steady;
use super::{MAX_FRAME, Sound, SoundChange};
use crate::Slot;
use crate::echo::{BargeIn, EchoGate, Verdict};
use crate::endpoint::Endpointer;
use crate::gain::{Agc, Limiter};
use crate::gate::NoiseGate;
use crate::level::SILENCE_DBFS;
use crate::ns::{LaneState, ReferenceCall};
use crate::tone::UnknownRate;
use crate::vad::{FusedState, SileroState, Verdict as Speech};

/// One leg's signal processing, both directions.
///
/// Made off the worker's thread and without places; [`UplinkChain::adopt`](super::UplinkChain::adopt) gives it places
/// in a worker's banks and [`UplinkChain::detach`](super::UplinkChain::detach) takes them away again, which a leg must
/// not be dropped without. It is `Send` and moves between workers whole, at the end of a tick: the one chain detaches it
/// and the other adopts it, and nothing that was learnt of its sound is forgotten. Some 35 kB, and 50 more with
/// [`Denoiser::Reference`](super::Denoiser::Reference).
#[derive(Debug)]
pub struct LegDsp {
    pub(super) rate: u32,
    pub(super) sound: Sound,
    /// `None` between two chains.
    pub(super) places: Option<Places>,
    /// What the banks knew of it when it was detached.
    pub(super) noise: LaneState,
    pub(super) activity: FusedState,
    pub(super) certainty: SileroState,
    /// Whether its noise is worth taking out.
    pub(super) calm: Calm,
    /// Whether it is let through in turns.
    pub(super) pumping: Pumping,
    /// Whether it stays as it is.
    pub(super) steady: Steady,
    /// For how long the sure detector is still asked, in ms.
    pub(super) asked_ms: u32,
    /// For how long something that may be speech has been heard, in ms.
    pub(super) onset_ms: u32,
    /// Whether there is speech, by the sure detector.
    pub(super) speech: Speech,
    pub(super) engine: Option<Box<ReferenceCall>>,
    pub(super) echo: Option<Box<EchoGate>>,
    /// On the frame in work.
    pub(super) verdict: Option<Verdict>,
    pub(super) barge_in: BargeIn,
    pub(super) endpointer: Endpointer,
    /// Ticks the leg was in a batch, in microseconds: the clock of its end point timers.
    pub(super) clock_us: u64,
    pub(super) agc: Option<Agc>,
    pub(super) gate: Option<NoiseGate>,
    pub(super) limiter: Limiter,
    /// What the downlink plays in this tick; silence when it plays nothing.
    pub(super) reference: Box<[f32]>,
    /// The frame heard before this one: raw sound is delayed as the denoiser delays the cleaned.
    pub(super) before: Box<[i16]>,
    /// Confidence and background of the frame before, for what runs ahead of the detector.
    pub(super) confidence: f32,
    pub(super) noise_dbfs: f32,
}

/// A leg's places in the banks of the chain that has adopted it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// Which chain it is.
    pub(super) chain: u64,
    /// `None` while its noise is not taken out in lanes.
    pub(super) noise: Option<Slot>,
    pub(super) vad: Slot,
    pub(super) sure: Slot,
}

impl LegDsp {
    /// A leg at `rate` Hz, 8000 or 16000, without places. Takes all the memory it will ever need; sound of other rates
    /// is resampled to 16 kHz before it gets here.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other rate.
    pub fn new(sound: &Sound, rate: u32) -> Result<Self, UnknownRate> {
        let noise = LaneState::new(rate).filter(|_| matches!(rate, 8000 | 16_000)).ok_or(UnknownRate(rate))?;
        let frame = (rate as usize / 50).min(MAX_FRAME);
        let SoundChange { echo, engine, .. } = SoundChange::new(sound, rate)?;
        Ok(Self {
            rate,
            sound: *sound,
            places: None,
            noise,
            activity: FusedState::new(),
            certainty: SileroState::new(),
            calm: Calm::new(),
            pumping: Pumping::new(),
            steady: Steady::new(),
            asked_ms: 0,
            onset_ms: 0,
            speech: Speech::default(),
            engine,
            echo,
            verdict: None,
            barge_in: BargeIn::new(sound.barge_in),
            endpointer: Endpointer::new(sound.endpoint, 0),
            clock_us: 0,
            agc: sound.agc.map(|agc| Agc::new(rate, agc)).transpose()?,
            gate: sound.noise_gate.map(|gate| NoiseGate::new(rate, gate)),
            limiter: Limiter::new(rate, sound.ceiling_dbfs)?,
            reference: vec![0.0; frame].into_boxed_slice(),
            before: vec![0; frame].into_boxed_slice(),
            confidence: 0.0,
            noise_dbfs: SILENCE_DBFS,
        })
    }

    /// What is done to it.
    #[must_use]
    pub const fn sound(&self) -> &Sound {
        &self.sound
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

    /// Whether a chain has adopted it.
    #[must_use]
    pub const fn is_adopted(&self) -> bool {
        self.places.is_some()
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

    /// [`SoundChange::new`] for a leg at hand. Allocates.
    ///
    /// # Errors
    /// Never: the leg's rate is a known one.
    pub fn prepare(&self, sound: &Sound) -> Result<SoundChange, UnknownRate> {
        SoundChange::new(sound, self.rate)
    }

    /// Takes up a changed sound; what was made for it and is not needed, and what is needed no more, stays in `change`.
    pub(super) fn change(&mut self, change: &mut SoundChange) {
        let (old, new) = (self.sound, change.sound);
        self.sound = new;
        if new.echo_gate != self.echo.is_some() {
            std::mem::swap(&mut self.echo, &mut change.echo);
            self.verdict = None;
        }
        if change.engine.is_some() != self.engine.is_some() {
            std::mem::swap(&mut self.engine, &mut change.engine);
        }
        if old.barge_in != new.barge_in {
            self.barge_in.set_config(new.barge_in);
        }
        if old.endpoint != new.endpoint {
            self.endpointer.set_config(new.endpoint);
        }
        match (&mut self.agc, new.agc) {
            (Some(agc), Some(config)) if old.agc != new.agc => agc.set_config(config),
            (Some(_), Some(_)) | (None, None) => {}
            (agc, config) => *agc = config.and_then(|config| Agc::new(self.rate, config).ok()),
        }
        match (&mut self.gate, new.noise_gate) {
            (Some(gate), Some(config)) if old.noise_gate != new.noise_gate => gate.set_config(self.rate, config),
            (Some(_), Some(_)) | (None, None) => {}
            (gate, config) => *gate = config.map(|config| NoiseGate::new(self.rate, config)),
        }
        if old.ceiling_dbfs != new.ceiling_dbfs {
            self.limiter.set_ceiling(new.ceiling_dbfs);
        }
    }

    /// Forgets what was learnt of the sound, without allocating.
    pub(super) fn clear(&mut self) {
        if let Some(echo) = &mut self.echo {
            echo.reset();
        }
        if let Some(agc) = &mut self.agc {
            agc.reset();
        }
        if let Some(config) = self.sound.noise_gate {
            self.gate = Some(NoiseGate::new(self.rate, config));
        }
        self.limiter.reset();
        self.barge_in.reset();
        (self.asked_ms, self.onset_ms, self.speech, self.calm) = (0, 0, Speech::default(), Calm::new());
        self.pumping = Pumping::new();
        self.steady.clear();
        self.verdict = None;
        self.reference.fill(0.0);
        self.before.fill(0);
        (self.confidence, self.noise_dbfs) = (0.0, SILENCE_DBFS);
    }
}
