//! The `earshot` network: separates speech well after noise suppression, at several times the cost; a baseline.
//!
//! It knows 16 ms at 16 kHz only, so that a call has a small buffer and, at 8 kHz, a resampler; its score is up to
//! 16 ms old.

use super::decide::Verdict;
use super::{Activity, Slot, VadBank, VadConfig, VadFrame};
use crate::level::{NoiseFloor, mean_square, power_dbfs};
use crate::resample::Resampler;

/// What the network takes at once.
const FRAME: usize = 256;
/// 10 ms at 16 kHz, and what a resampler may give beyond.
const STEP: usize = 160;
const MAX_RESAMPLED: usize = 2 * STEP;

/// Runs earshot for up to a fixed number of calls at 8 or 16 kHz, in steps of 10 ms.
#[derive(Debug)]
pub struct EarshotBank {
    config: VadConfig,
    calls: Box<[Call]>,
}

impl EarshotBank {
    /// A bank for at most `slots` calls; all memory (about 12 kB a call) is taken here.
    #[must_use]
    pub fn new(slots: usize, config: VadConfig) -> Self {
        Self { config, calls: (0..slots).map(|_| Call::new()).collect() }
    }
}

impl VadBank for EarshotBank {
    fn attach(&mut self, rate: u32) -> Option<Slot> {
        if !matches!(rate, 8000 | 16000) {
            return None;
        }
        let free = self.calls.iter().position(|call| call.rate == 0)?;
        let call = &mut self.calls[free];
        if rate == 8000 && call.up.is_none() {
            return None;
        }
        call.reset(rate);
        Some(Slot(u32::try_from(free).ok()?))
    }

    fn detach(&mut self, slot: Slot) {
        if let Some(call) = self.calls.get_mut(slot.index()) {
            call.rate = 0;
        }
    }

    fn process(&mut self, batch: &mut [VadFrame<'_>]) {
        for frame in batch {
            if let Some(call) = self.calls.get_mut(frame.slot.index()).filter(|call| call.rate != 0) {
                call.judge(&self.config, frame);
            }
        }
    }
}

struct Call {
    /// 0 when the slot is free.
    rate: u32,
    engine: Box<earshot::Detector>,
    up: Option<Resampler>,
    waiting: [f32; FRAME],
    held: usize,
    score: f32,
    floor: NoiseFloor,
    verdict: Verdict,
}

impl Call {
    fn new() -> Self {
        Self {
            rate: 0,
            engine: Box::default(),
            up: Resampler::new(8000, 16000).ok(),
            waiting: [0.0; FRAME],
            held: 0,
            score: 0.0,
            floor: NoiseFloor::new(),
            verdict: Verdict::default(),
        }
    }

    fn reset(&mut self, rate: u32) {
        self.rate = rate;
        self.engine.reset();
        if let Some(up) = &mut self.up {
            up.reset();
        }
        self.held = 0;
        self.score = 0.0;
        self.floor = NoiseFloor::new();
        self.verdict = Verdict::default();
    }

    fn judge(&mut self, config: &VadConfig, frame: &mut VadFrame<'_>) {
        let samples = (self.rate / 100) as usize;
        let steps = frame.pcm.len() / samples;
        if steps == 0 {
            return;
        }
        let (mut score, mut speech, mut noise) = (0.0, false, 0.0);
        for piece in frame.pcm.chunks_exact(samples) {
            self.hear(piece);
            score += self.score;
            speech |= self.verdict.step(config, self.score, 10);
            noise = self.floor.update(power_dbfs(mean_square(piece)));
        }
        frame.activity = Activity {
            speech,
            confidence: score / steps as f32,
            level_dbfs: power_dbfs(mean_square(frame.pcm)),
            noise_dbfs: noise,
        };
    }

    fn hear(&mut self, piece: &[f32]) {
        let mut clean = [0.0; STEP];
        // Beyond full scale the network asserts.
        clean.iter_mut().zip(piece).for_each(|(to, from)| *to = if from.is_finite() { *from } else { 0.0 });
        let clean = &clean[..piece.len().min(STEP)];
        let mut up = [0.0; MAX_RESAMPLED];
        let wide = match &mut self.up {
            Some(resampler) if self.rate == 8000 => {
                let written = resampler.process_f32(clean, &mut up);
                &up[..written]
            }
            _ => clean,
        };
        for sample in wide {
            self.waiting[self.held] = sample.clamp(-1.0, 1.0);
            self.held += 1;
            if self.held == FRAME {
                self.held = 0;
                let score = self.engine.predict_f32(&self.waiting);
                self.score = if score.is_finite() { score.clamp(0.0, 1.0) } else { 0.0 };
            }
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("rate", &self.rate).field("score", &self.score).finish_non_exhaustive()
    }
}
