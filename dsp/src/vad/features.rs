//! What the fused detector looks at, every 10 ms of 8 kHz sound: bands above their own noise floor, their shape, and
//! how periodic the part is that stands above the floor.
//!
//! All lanes of a register do the same at the same time, each for another call; nothing branches on the sound.

#![allow(clippy::needless_range_loop, reason = "lanes are counted so that every array of a loop has the same one")]

use super::math::log2;
use crate::spectrum::{RealFft, Work};

/// Samples of one step: 10 ms at 8 kHz.
pub(crate) const HOP: usize = 80;
/// Values of one step.
pub(super) const FEATURES: usize = 2 * BANDS + 6;
/// Samples kept from before the step.
const PAST: usize = 176;
const POINTS: usize = PAST + HOP;
const HALF: usize = POINTS / 2;
const BANDS: usize = 18;
/// Bands whose floor is followed: those of the spectrum, and the newest 10 ms with the lows taken down.
const FOLLOWED: usize = BANDS + 1;
/// Edges of the bands in bins of 31.25 Hz.
const EDGES: [usize; BANDS + 1] = [3, 5, 7, 9, 11, 13, 15, 18, 21, 25, 29, 34, 40, 47, 56, 67, 81, 98, 120];
/// Pitch is looked for in the bands below this one (2.5 kHz).
const PITCH_BANDS: usize = 16;
/// Lags of the pitch: 400 Hz down to 70 Hz.
const LAGS: std::ops::Range<usize> = 20..114;
/// A band's floor is the minimum of this many spans of this many steps.
const SPANS: usize = 4;
const SPAN_STEPS: f32 = 36.0;
/// Levels are in powers of two; none is believed to lie below this (-72 dBFS).
const LOWEST: f32 = -23.9;
/// The minimum of a smoothed noise lies below its mean by about this much (3 dB).
const BIAS: f32 = 1.0;
/// Sound whose level and shape move less than this (3.2 dB) for this many steps is background.
const STEADY: f32 = 1.06;
const STEADY_STEPS: f32 = 40.0;
/// A band this far above its mean is not steady now.
const RISING: f32 = 0.5;

/// Tables, shared by all calls.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    fft: RealFft<HALF>,
    window: [f32; POINTS],
    /// One over the autocorrelation of the window, by lag.
    fade: [f32; LAGS.end],
    /// One over the width of each band, and what makes a full-scale sine -3 dB.
    scale: f32,
}

impl Tables {
    pub(super) fn new() -> Self {
        // Rises over the past and falls over the newest step, so that what is new counts soon.
        let window: [f32; POINTS] = std::array::from_fn(|n| {
            let x =
                if n < PAST { (n as f32 + 0.5) / PAST as f32 } else { (POINTS as f32 - n as f32 - 0.5) / HOP as f32 };
            (std::f32::consts::FRAC_PI_2 * x).sin()
        });
        let squares: f32 = window.iter().map(|w| w * w).sum();
        let correlation =
            |lag: usize| -> f32 { window.iter().zip(&window[lag..]).map(|(a, b)| a * b).sum::<f32>() / squares };
        Self {
            fft: RealFft::new(),
            window,
            fade: std::array::from_fn(|lag| 1.0 / correlation(lag).max(0.25)),
            scale: 2.0 / (POINTS as f32 * squares),
        }
    }
}

/// What is remembered of `L` calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory<const L: usize> {
    past: [[f32; L]; PAST],
    smooth: [[f32; L]; FOLLOWED],
    mean: [[f32; L]; FOLLOWED],
    minima: [[[f32; L]; FOLLOWED]; SPANS],
    /// Steps in the newest span; below zero before anything was heard.
    span_steps: [f32; L],
    deviation: [f32; L],
    steady: [f32; L],
    peak: [f32; L],
    lag: [f32; L],
}

impl<const L: usize> Memory<L> {
    pub(super) const fn new() -> Self {
        Self {
            past: [[0.0; L]; PAST],
            smooth: [[LOWEST; L]; FOLLOWED],
            mean: [[LOWEST; L]; FOLLOWED],
            minima: [[[LOWEST; L]; FOLLOWED]; SPANS],
            span_steps: [-1.0; L],
            deviation: [3.0; L],
            steady: [0.0; L],
            peak: [LOWEST; L],
            lag: [5.6; L],
        }
    }

    /// Takes a call in as lane `lane`.
    pub(super) fn gather(&mut self, lane: usize, call: &Memory<1>) {
        copy(&mut self.past, &call.past, lane, 0);
        copy(&mut self.smooth, &call.smooth, lane, 0);
        copy(&mut self.mean, &call.mean, lane, 0);
        for (to, from) in self.minima.iter_mut().zip(&call.minima) {
            copy(to, from, lane, 0);
        }
        self.span_steps[lane] = call.span_steps[0];
        self.deviation[lane] = call.deviation[0];
        self.steady[lane] = call.steady[0];
        self.peak[lane] = call.peak[0];
        self.lag[lane] = call.lag[0];
    }

    /// Gives lane `lane` back to its call.
    pub(super) fn scatter(&self, lane: usize, call: &mut Memory<1>) {
        copy(&mut call.past, &self.past, 0, lane);
        copy(&mut call.smooth, &self.smooth, 0, lane);
        copy(&mut call.mean, &self.mean, 0, lane);
        for (to, from) in call.minima.iter_mut().zip(&self.minima) {
            copy(to, from, 0, lane);
        }
        call.span_steps[0] = self.span_steps[lane];
        call.deviation[0] = self.deviation[lane];
        call.steady[0] = self.steady[lane];
        call.peak[0] = self.peak[lane];
        call.lag[0] = self.lag[lane];
    }
}

/// Copies one lane of an array into a lane of another.
#[inline(always)]
pub(super) fn copy<const T: usize, const F: usize, const N: usize>(
    to: &mut [[f32; T]; N],
    from: &[[f32; F]; N],
    to_lane: usize,
    from_lane: usize,
) {
    for (to, from) in to.iter_mut().zip(from) {
        to[to_lane] = from[from_lane];
    }
}

/// One step's result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<const L: usize> {
    /// Input of the network, each of about -2..3.
    pub(super) features: [[f32; L]; FEATURES],
    /// Mean square of the 10 ms.
    pub(super) power: [f32; L],
    /// Mean square of the background.
    pub(super) noise: [f32; L],
}

/// Looks at the next 10 ms of every lane. Samples must be finite.
#[inline(always)]
pub(super) fn step<const L: usize>(tables: &Tables, memory: &mut Memory<L>, hop: &[[f32; L]; HOP]) -> Step<L> {
    let (newest, power) = energies(memory.past[PAST - 1], hop);
    let mut work = Work::<HALF, L>::new();
    let window = &tables.window;
    {
        let past = &memory.past;
        let sample = |n: usize| -> [f32; L] {
            let x = if n < PAST { past[n] } else { hop[n - PAST] };
            std::array::from_fn(|lane| x[lane] * window[n])
        };
        tables.fft.run(&mut work, |n| (sample(2 * n), sample(2 * n + 1)));
    }
    let mut bins = [[0.0; L]; HALF + 1];
    tables.fft.power(&work, &mut bins);
    memory.past.copy_within(HOP.., 0);
    memory.past[PAST - HOP..].copy_from_slice(hop);

    let mut levels = [[0.0; L]; FOLLOWED];
    let mut sums = [[0.0; L]; BANDS];
    for (band, sum) in sums.iter_mut().enumerate() {
        for bin in &bins[EDGES[band]..EDGES[band + 1]] {
            for lane in 0..L {
                sum[lane] += bin[lane];
            }
        }
        for lane in 0..L {
            levels[band][lane] = log2(sum[lane] * tables.scale + 1e-9).max(LOWEST);
        }
    }
    for lane in 0..L {
        levels[BANDS][lane] = log2(newest[lane] + 1e-9).max(LOWEST);
    }
    let floor = follow(memory, &levels);

    let mut features = [[0.0; L]; FEATURES];
    let mut shape = [0.0; L];
    for level in &levels[..BANDS] {
        for lane in 0..L {
            shape[lane] += level[lane];
        }
    }
    for band in 0..BANDS {
        for lane in 0..L {
            features[band][lane] = (levels[band][lane] - floor[band][lane]).clamp(-2.0, 10.0) * 0.25;
            features[BANDS + band][lane] =
                (levels[band][lane] - shape[lane] * (1.0 / BANDS as f32)).clamp(-8.0, 8.0) * 0.25;
        }
    }
    let (strength, lag) = pitch(tables, &mut work, &bins, &sums, &levels, &floor);
    let mut noise = [0.0; L];
    for band in &floor[..BANDS] {
        for lane in 0..L {
            noise[lane] += super::math::exp2(band[lane]);
        }
    }
    for lane in 0..L {
        let level = levels[BANDS][lane];
        memory.peak[lane] = (memory.peak[lane] - 0.007).max(memory.smooth[BANDS][lane]);
        let moved = (lag[lane] - memory.lag[lane]).abs();
        memory.lag[lane] = lag[lane];
        features[2 * BANDS][lane] = (level - floor[BANDS][lane]).clamp(-2.0, 10.0) * 0.25;
        features[2 * BANDS + 1][lane] = (level - memory.peak[lane]).clamp(-12.0, 4.0) * 0.25;
        features[2 * BANDS + 2][lane] = strength[lane] * 2.0;
        features[2 * BANDS + 3][lane] = lag[lane] - 5.6;
        features[2 * BANDS + 4][lane] = moved.min(1.0) * 2.0;
        features[2 * BANDS + 5][lane] = memory.deviation[lane].min(4.0) * 0.5;
    }
    Step { features, power, noise }
}

/// Mean squares of the 10 ms: with the lows taken down by a first difference, and as it is.
#[inline(always)]
fn energies<const L: usize>(before: [f32; L], hop: &[[f32; L]; HOP]) -> ([f32; L], [f32; L]) {
    let (mut last, mut newest, mut power) = (before, [0.0; L], [0.0; L]);
    for sample in hop {
        for lane in 0..L {
            let difference = sample[lane] - 0.9 * last[lane];
            newest[lane] += difference * difference;
            power[lane] += sample[lane] * sample[lane];
        }
        last = *sample;
    }
    for lane in 0..L {
        newest[lane] *= 1.0 / HOP as f32;
        power[lane] *= 1.0 / HOP as f32;
    }
    (newest, power)
}

/// Follows levels, steadiness and floors; returns the floors. Masks are numbers, 0 or 1, so that lanes do not branch.
#[inline(always)]
fn follow<const L: usize>(memory: &mut Memory<L>, levels: &[[f32; L]; FOLLOWED]) -> [[f32; L]; FOLLOWED] {
    let mut moved = [0.0; L];
    for (band, level) in levels.iter().enumerate() {
        for lane in 0..L {
            let first = memory.span_steps[lane] < 0.0;
            let smooth = if first { level[lane] } else { memory.smooth[band][lane] };
            let mean = if first { level[lane] } else { memory.mean[band][lane] };
            memory.smooth[band][lane] = smooth + (level[lane] - smooth) * 0.25;
            memory.mean[band][lane] = mean + (level[lane] - mean) * 0.08;
            moved[lane] += (memory.smooth[band][lane] - memory.mean[band][lane]).abs();
        }
    }
    let mut turn = [false; L];
    for lane in 0..L {
        let now = moved[lane] * (1.0 / FOLLOWED as f32);
        memory.deviation[lane] += (now - memory.deviation[lane]) * 0.08;
        memory.steady[lane] =
            if memory.deviation[lane] < STEADY { (memory.steady[lane] + 1.0).min(STEADY_STEPS) } else { 0.0 };
        let steps = memory.span_steps[lane].max(0.0) + 1.0;
        turn[lane] = steps >= SPAN_STEPS;
        memory.span_steps[lane] = if turn[lane] { 0.0 } else { steps };
    }
    let mut floor = [[0.0; L]; FOLLOWED];
    for band in 0..FOLLOWED {
        for lane in 0..L {
            let (smooth, mean) = (memory.smooth[band][lane], memory.mean[band][lane]);
            let mut spans: [f32; SPANS] = std::array::from_fn(|span| memory.minima[span][band][lane]);
            spans[0] = spans[0].min(smooth);
            // What does not change is background, however loud: believe it now rather than when the spans have passed.
            // A band that is just rising may be the beginning of a word.
            let settled = memory.steady[lane] >= STEADY_STEPS && smooth - mean < RISING;
            let least = if settled { mean - BIAS } else { LOWEST - BIAS };
            let mut lowest = f32::MAX;
            for span in &mut spans {
                *span = span.max(least);
                lowest = lowest.min(*span);
            }
            for span in (1..SPANS).rev() {
                memory.minima[span][band][lane] = if turn[lane] { spans[span - 1] } else { spans[span] };
            }
            memory.minima[0][band][lane] = if turn[lane] { smooth } else { spans[0] };
            floor[band][lane] = (lowest + BIAS).max(LOWEST);
        }
    }
    floor
}

/// How periodic the sound above the floor is, 0..=1, and the lag in powers of two of samples.
///
/// The spectrum is whitened by bands, each weighted with the share of it that is not background, and its
/// autocorrelation taken by the second transform (Wiener-Khinchin).
#[inline(always)]
fn pitch<const L: usize>(
    tables: &Tables,
    work: &mut Work<HALF, L>,
    bins: &[[f32; L]; HALF + 1],
    sums: &[[f32; L]; BANDS],
    levels: &[[f32; L]; FOLLOWED],
    floor: &[[f32; L]; FOLLOWED],
) -> ([f32; L], [f32; L]) {
    let mut white = [[0.0; L]; HALF + 1];
    for band in 0..PITCH_BANDS {
        let mut weight = [0.0; L];
        for lane in 0..L {
            let share = ((levels[band][lane] - floor[band][lane]) * 0.25 - 0.25).clamp(0.0, 1.0);
            let width = (EDGES[band + 1] - EDGES[band]) as f32;
            weight[lane] = share * width / (sums[band][lane] + 1e-12);
        }
        for bin in EDGES[band]..EDGES[band + 1] {
            for lane in 0..L {
                white[bin][lane] = bins[bin][lane] * weight[lane];
            }
        }
    }
    let mirrored = |n: usize| white[if n > HALF { POINTS - n } else { n }];
    tables.fft.run(work, |n| (mirrored(2 * n), mirrored(2 * n + 1)));
    let mut correlation = [[0.0; L]; LAGS.end];
    tables.fft.real(work, &mut correlation);
    let mut best = [0.0; L];
    let mut at = [48.0; L];
    for lag in LAGS {
        for lane in 0..L {
            let value = correlation[lag][lane] * tables.fade[lag];
            let better = value > best[lane];
            best[lane] = if better { value } else { best[lane] };
            at[lane] = if better { lag as f32 } else { at[lane] };
        }
    }
    let mut strength = [0.0; L];
    for lane in 0..L {
        // Little sound above the floor proves nothing: its periodicity fades out.
        strength[lane] = (best[lane] / (correlation[0][lane] + 4.0)).min(1.0);
        at[lane] = log2(at[lane]);
    }
    (strength, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoiseBank;

    /// Writes the features of raw 8 kHz samples for the training script, and behind noise suppression once more: see
    /// `dsp/train/vad.py`.
    #[test]
    #[ignore = "tool: dsp/train/vad.py"]
    fn dump_features() {
        let directory = std::path::PathBuf::from(std::env::var("TRUNKLINE_VAD_TRAIN").unwrap());
        let tables = Tables::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "raw") {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let pcm: Vec<f32> =
                bytes.chunks_exact(2).map(|b| crate::to_f32(i16::from_le_bytes([b[0], b[1]]))).collect();
            std::fs::write(path.with_extension("features"), features(&tables, &pcm)).unwrap();
            std::fs::write(path.with_extension("suppressed"), features(&tables, &suppressed(&pcm))).unwrap();
        }
    }

    fn features(tables: &Tables, pcm: &[f32]) -> Vec<u8> {
        let mut memory = Memory::<1>::new();
        let mut out = Vec::with_capacity(pcm.len() / HOP * FEATURES * 4);
        for piece in pcm.chunks_exact(HOP) {
            let hop = std::array::from_fn(|n| [piece[n]]);
            let step = step(tables, &mut memory, &hop);
            for [feature] in step.features {
                out.extend_from_slice(&feature.to_le_bytes());
            }
        }
        out
    }

    /// Without noise, as far as `LanesBank` takes it out, and without that bank's delay.
    fn suppressed(pcm: &[f32]) -> Vec<f32> {
        let mut bank = crate::ns::LanesBank::new(1);
        let slot = bank.attach(8000).unwrap();
        let late = usize::try_from(bank.delay_us(8000).unwrap()).unwrap() * 8 / 1000;
        let mut out = pcm.to_vec();
        out.resize((pcm.len() + late).next_multiple_of(2 * HOP), 0.0);
        for frame in out.chunks_exact_mut(2 * HOP) {
            bank.process(&mut [(slot, frame)]);
        }
        out[late..late + pcm.len()].to_vec()
    }
}
