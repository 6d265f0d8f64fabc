//! The gate: does the echo of what we played explain what the caller's side sent?

use super::bands::{self, BANDS, Bands, HOP, SILENCE, TOGETHER, decibels};
use super::delay::{DELAYS, DelayFinder};
use super::path::{EchoPath, UplinkNoise};
use crate::simd::{Simd, dispatched};
use crate::tone::{Narrowband, UnknownRate};
use crate::{to_f32, to_i16};

/// Playout louder than this in any band may come back, in power: -60 dBFS.
const PLAYED: f32 = 1e-6;
/// Echo below this in every band is left where it is, in power: -58 dBFS. Nobody hears it, and what soft sound a word
/// begins with would be turned down with it.
const HEARD: f32 = 1.6e-6;
/// A band stands out when it is this much above the expected echo and noise, and counts for at most so much.
const MARGIN_DB: f32 = 4.0;
const COUNTS_DB: f32 = 15.0;
/// Mean of what the bands stand out by, above which somebody speaks.
const SPEAKS_DB: f32 = 1.1;
/// Steepness of the likelihood, per dB.
const STEEPNESS: f32 = 1.5;
/// Hops of which the loudest is kept, so that not all are looked through for every hop.
const BLOCK: usize = 8;
/// Gain of a frame that is all echo, and how far a gain moves in a hop.
const SUPPRESSED: f32 = 0.1;
const GAIN_DOWN: f32 = 0.5;
const GAIN_UP: f32 = 0.7;

/// What the gate says of a frame of the uplink.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What the frame holds above its noise is echo of what was played: no barge-in. Never set when nothing was played
    /// within the last 640 ms.
    pub echo: bool,
    /// How sure that is, 0..=1; 0 when nothing was played.
    pub likelihood: f32,
    /// Gain that takes the echo away: 0.1 (20 dB down) while there is nothing else, 1 while the caller speaks, while
    /// nothing was played or what comes back is too soft to be heard (-58 dBFS), and smooth in between. Applied by
    /// [`EchoGate::suppress`].
    pub residual_gain: f32,
}

/// Tells the agent's own voice, come back by a speakerphone or a hybrid, from the caller's.
///
/// Give it the frame that was sent to the caller in a tick together with the frame that came from the caller in the
/// same tick. Every 10 ms it compares levels in eight bands (250 to 3500 Hz): the delay is where envelopes correlate
/// best, 0 to 630 ms; the path's loss is learnt per band; and what stands out above expected echo plus noise is the
/// caller. Until the delay is known the echo could come from anything played within the last 640 ms, with no loss;
/// where nothing comes back, this assumption fades within two seconds of playout. No memory beyond the struct
/// (12 kB); sound of 16 and 48 kHz is judged by its telephone band.
#[derive(Debug, Clone)]
pub struct EchoGate {
    simd: Simd,
    reference_narrowband: Narrowband,
    uplink_narrowband: Narrowband,
    judge: Judge,
    last_gain: f32,
}

impl EchoGate {
    /// A gate for sound at `rate` Hz: 8000, 16000 or 48000, both directions alike.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other.
    pub fn new(rate: u32) -> Result<Self, UnknownRate> {
        Self::with_simd(rate, Simd::detect())
    }

    /// As [`EchoGate::new`], with the instructions given; verdicts are the same bit for bit.
    ///
    /// # Errors
    /// [`UnknownRate`] for a rate other than 8000, 16000 and 48000.
    pub fn with_simd(rate: u32, simd: Simd) -> Result<Self, UnknownRate> {
        Ok(Self {
            simd,
            reference_narrowband: Narrowband::new(rate)?,
            uplink_narrowband: Narrowband::new(rate)?,
            judge: Judge::new(),
            last_gain: 1.0,
        })
    }

    /// Judges a frame of the uplink (-1..1, usually 10 or 20 ms) by what was played in the same tick; a shorter or
    /// empty `reference` is silence from its end on, and what is longer than the uplink is left out.
    pub fn process(&mut self, reference: &[f32], uplink: &[f32]) -> Verdict {
        const PIECE: usize = 4 * HOP;
        let mut from = 0;
        while from < uplink.len() {
            let until = (from + PIECE).min(uplink.len());
            let mut played = [0.0; PIECE];
            if let Some(reference) = reference.get(from..) {
                for (played, sample) in played.iter_mut().zip(reference) {
                    *played = *sample;
                }
            }
            // Both streams are as long as each other from the first sample on, and so come out in step.
            let (mut far, mut far_count) = ([0.0; PIECE + 1], 0);
            self.reference_narrowband.process(&played[..until - from], |piece| {
                far[..piece.len()].copy_from_slice(piece);
                far_count = piece.len();
            });
            let (simd, judge) = (self.simd, &mut self.judge);
            self.uplink_narrowband.process(&uplink[from..until], |piece| {
                let count = piece.len().min(far_count);
                judge.push(simd, &far[..count], &piece[..count]);
            });
            from = until;
        }
        self.judge.verdict
    }

    /// Scales the frame that `verdict` was given for by its residual gain, ramped from the frame before.
    pub fn suppress(&mut self, uplink: &mut [f32], verdict: &Verdict) {
        self.gains(verdict, uplink.len()).scale(uplink);
    }

    /// The ramp from the frame before to the residual gain of `verdict` over `samples`; once for each frame.
    pub(crate) fn gains(&mut self, verdict: &Verdict, samples: usize) -> Gains {
        let from = std::mem::replace(&mut self.last_gain, verdict.residual_gain);
        Gains { from, step: (verdict.residual_gain - from) / samples.max(1) as f32 }
    }

    /// Forgets all that was heard. Does not allocate.
    pub fn reset(&mut self) {
        self.reference_narrowband.reset();
        self.uplink_narrowband.reset();
        self.judge = Judge::new();
        self.last_gain = 1.0;
    }

    /// Delay of the echo in milliseconds, within 10, once it is known.
    #[must_use]
    pub fn delay_ms(&self) -> Option<u32> {
        self.judge.delay.found().map(|hops| hops as u32 * 10)
    }

    /// Echo return loss in dB, mean of the bands: 60 where nothing comes back.
    #[must_use]
    pub fn return_loss_db(&self) -> f32 {
        match self.judge.delay.found() {
            Some(_) => -self.judge.aligned.gain_db(),
            None => -self.judge.unaligned.gain_db(),
        }
    }
}

/// Gains of the samples of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gains {
    from: f32,
    step: f32,
}

impl Gains {
    fn at(self, sample: usize) -> f32 {
        self.from + self.step * (sample + 1) as f32
    }

    /// Scales a frame of samples of -1..1.
    pub(crate) fn scale(self, pcm: &mut [f32]) {
        for (n, sample) in pcm.iter_mut().enumerate() {
            *sample *= self.at(n);
        }
    }

    /// Scales a frame of 16-bit samples.
    pub(crate) fn scale_i16(self, pcm: &mut [i16]) {
        if self.from == 1.0 && self.step == 0.0 {
            return;
        }
        for (n, sample) in pcm.iter_mut().enumerate() {
            *sample = to_i16(to_f32(*sample) * self.at(n));
        }
    }
}

#[derive(Debug, Clone)]
struct Judge {
    reference: Bands,
    uplink: Bands,
    delay: DelayFinder,
    /// Powers of the reference, newest at `at`.
    played: [[f32; BANDS]; DELAYS],
    at: usize,
    /// The largest of each block of them.
    loudest: [[f32; BANDS]; DELAYS / BLOCK],
    noise: UplinkNoise,
    /// The path at the delay that was found, and for whatever was loudest within all delays.
    aligned: EchoPath,
    unaligned: EchoPath,
    stands_out_db: f32,
    verdict: Verdict,
}

impl Judge {
    fn new() -> Self {
        Self {
            reference: Bands::new(),
            uplink: Bands::new(),
            delay: DelayFinder::new(),
            played: [[SILENCE; BANDS]; DELAYS],
            at: 0,
            loudest: [[SILENCE; BANDS]; DELAYS / BLOCK],
            noise: UplinkNoise::new(),
            aligned: EchoPath::new(),
            unaligned: EchoPath::new(),
            stands_out_db: 0.0,
            verdict: Verdict { echo: false, likelihood: 0.0, residual_gain: 1.0 },
        }
    }

    /// Takes as many samples of both directions.
    fn push(&mut self, simd: Simd, mut far: &[f32], mut near: &[f32]) {
        let mut windows = bands::NO_WINDOWS;
        let mut whole = 0;
        while !near.is_empty() {
            let count = self.uplink.missing().min(near.len());
            let (far_piece, far_rest) = far.split_at(count);
            let (near_piece, near_rest) = near.split_at(count);
            (far, near) = (far_rest, near_rest);
            self.reference.take(far_piece, &mut windows[whole]);
            whole += if self.uplink.take(near_piece, &mut windows[whole + 1]) { 2 } else { 0 };
            if whole == TOGETHER || (whole > 0 && near.is_empty()) {
                let powers = bands::powers(simd, &windows);
                for pair in powers[..whole].chunks_exact(2) {
                    self.hop(simd, &pair[0], &pair[1]);
                }
                whole = 0;
            }
        }
    }

    fn hop(&mut self, simd: Simd, far: &[f32; BANDS], near: &[f32; BANDS]) {
        self.at = (self.at + 1) % DELAYS;
        self.played[self.at] = *far;
        let block = self.at / BLOCK;
        self.loudest[block] = loudest(simd, &self.played[block * BLOCK..(block + 1) * BLOCK]);
        let loudest = loudest(simd, &self.loudest);
        let playing = loudest.iter().any(|power| *power > PLAYED);
        let near_db = decibels(near);
        self.delay.step(simd, &decibels(far), &near_db, playing);
        let noise = self.noise.step(near);

        // Half a hop either way, and what the window smears, may fall into the neighbours.
        let candidate = self.delay.found();
        let aligned = candidate.map_or(loudest, |delay| {
            let mut around = [SILENCE; BANDS];
            for hop in delay.saturating_sub(1)..=(delay + 1).min(DELAYS - 1) {
                let powers = &self.played[(self.at + DELAYS - hop) % DELAYS];
                for (around, power) in around.iter_mut().zip(powers) {
                    *around = around.max(*power);
                }
            }
            around
        });
        let by_delay = self.aligned.expect(&aligned);
        let by_any = self.unaligned.expect(&loudest);
        let echo = if candidate.is_some() { by_delay } else { by_any };

        let expected: [f32; BANDS] = std::array::from_fn(|band| echo[band] + noise[band]);
        let expected_db = decibels(&expected);
        let mut stands_out = 0.0;
        for band in 0..BANDS {
            stands_out += (near_db[band] - expected_db[band] - MARGIN_DB).clamp(0.0, COUNTS_DB);
        }
        stands_out /= BANDS as f32;
        // One loud hop is a click of the path, two are a voice.
        self.stands_out_db += (stands_out - self.stands_out_db) * 0.5;
        let explained = self.stands_out_db < SPEAKS_DB;
        let noise_db = decibels(&noise);
        self.unaligned.learn(&near_db, &noise_db, explained);
        if candidate.is_some() {
            self.aligned.learn(&near_db, &noise_db, explained);
        }
        // Echo too weak to stand out of the noise is none.
        let audible = (0..BANDS).any(|band| echo[band] * 4.0 > noise[band]);
        let likelihood =
            if playing && audible { 1.0 / (1.0 + ((self.stands_out_db - SPEAKS_DB) * STEEPNESS).exp()) } else { 0.0 };
        let heard = echo.iter().any(|power| *power > HEARD);
        let echo = likelihood > 0.5;
        let gain = self.verdict.residual_gain;
        let residual_gain =
            if echo && heard { (gain * GAIN_DOWN).max(SUPPRESSED) } else { 1.0 - (1.0 - gain) * (1.0 - GAIN_UP) };
        self.verdict = Verdict { echo, likelihood, residual_gain };
    }
}

dispatched!(fn loudest(played: &[[f32; BANDS]]) -> [f32; BANDS] = loudest_kernel);

#[inline(always)]
fn loudest_kernel(played: &[[f32; BANDS]]) -> [f32; BANDS] {
    let mut loudest = [SILENCE; BANDS];
    for hop in played {
        for band in 0..BANDS {
            // One instruction, unlike `max`: powers are numbers.
            loudest[band] = if hop[band] > loudest[band] { hop[band] } else { loudest[band] };
        }
    }
    loudest
}
