//! The first detector: how far each of nine bands stands above its own noise floor.
//!
//! Frames of 10 ms, windowed with the 6 ms before them. Each band keeps its floor as the minimum of its smoothed
//! level over about 1.6 s (speech has gaps in every band; noise has not), and quickly learns sound that does not
//! change. The score is the mean of the bands' distances above their floors, each capped (or most of what
//! the two strongest reach); speech begins after two
//! frames above the upper threshold and ends 200 ms after the last one above the lower.

use super::{Activity, Slot, VadBank, VadFrame};
use crate::level::power_dbfs;
use crate::spectrum::{RealFft, Work};

/// Largest transform, at 16 kHz.
const MAX_POINTS: usize = 256;
/// Edges of the bands in Hz; fricatives need the top of the telephone band.
const EDGES_HZ: [u32; BANDS + 1] = [125, 250, 437, 625, 875, 1187, 1625, 2187, 2812, 3900];
const BANDS: usize = 9;
/// Frames quieter than this are never speech.
const GATE_DBFS: f32 = -52.0;
/// A floor is never believed to lie below this, per band: the rounding noise of G.711 is there.
const LOWEST_FLOOR_DBFS: f32 = -68.0;
/// What floors are before anything was heard.
const FIRST_FLOOR_DBFS: f32 = -60.0;
/// The minimum of a band is taken over this many spans of this many frames of 10 ms.
const SPANS: usize = 8;
const SPAN_FRAMES: u32 = 20;
/// The minimum of a smoothed noise lies below its mean by about this much.
const MINIMUM_BIAS_DB: f32 = 3.0;
/// A band counts for at most this much above its floor.
const BAND_CAP_DB: f32 = 18.0;
/// Nasals live in a few low bands: the strongest ones alone count this share.
const NARROW_BANDS: usize = 2;
const NARROW_SHARE: f32 = 0.65;
/// Thresholds of the score in dB.
const ON_DB: f32 = 6.0;
const OFF_DB: f32 = 3.5;
/// Frames above the upper threshold before speech is reported.
const ON_FRAMES: u32 = 2;
/// Frames for which speech is held after the last active one.
const HANG_OVER_FRAMES: u32 = 20;
/// Sound whose level and shape move less than this (mean deviation, dB) for this many frames is background.
const STEADY_DB: f32 = 3.2;
const STEADY_FRAMES: u32 = 40;
/// A band this far above its mean is not steady now.
const RISING_DB: f32 = 1.5;

/// Detects speech for up to a fixed number of calls at 8 or 16 kHz.
#[derive(Debug)]
pub struct SpectralBank {
    narrow: RealFft<64>,
    wide: RealFft<128>,
    lanes: Box<[Lane]>,
}

impl SpectralBank {
    /// A bank for at most `slots` calls; all memory (about 1.2 kB a call) is taken here.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { narrow: RealFft::new(), wide: RealFft::new(), lanes: vec![Lane::default(); slots].into_boxed_slice() }
    }
}

impl VadBank for SpectralBank {
    fn attach(&mut self, rate: u32) -> Option<Slot> {
        if !matches!(rate, 8000 | 16000) {
            return None;
        }
        let free = self.lanes.iter().position(|lane| lane.rate == 0)?;
        self.lanes[free] = Lane { rate, ..Lane::default() };
        Some(Slot(u32::try_from(free).ok()?))
    }

    fn detach(&mut self, slot: Slot) {
        if let Some(lane) = self.lanes.get_mut(slot.index()) {
            lane.rate = 0;
        }
    }

    fn process(&mut self, batch: &mut [VadFrame<'_>]) {
        for frame in batch {
            let Some(lane) = self.lanes.get_mut(frame.slot.index()).filter(|lane| lane.rate != 0) else { continue };
            let hop = if lane.rate == 8000 { 80 } else { 160 };
            let mut loudest = Activity::default();
            for piece in frame.pcm.chunks_exact(hop) {
                let bands = if hop == 80 { lane.bands(&self.narrow, piece) } else { lane.bands(&self.wide, piece) };
                let activity = lane.step(&bands, piece);
                loudest.confidence = loudest.confidence.max(activity.confidence);
                loudest.speech |= activity.speech;
                loudest.noise_dbfs = activity.noise_dbfs;
            }
            let sum: f32 = frame.pcm.iter().map(|sample| sample * sample).sum();
            loudest.level_dbfs = power_dbfs(sum / frame.pcm.len().max(1) as f32);
            frame.activity = loudest;
        }
    }
}

/// One call's memory.
#[derive(Debug, Clone)]
struct Lane {
    /// 0 when the lane is free.
    rate: u32,
    /// The end of the frame before: 48 samples at 8 kHz, 96 at 16.
    tail: [f32; 96],
    frames: u32,
    /// Level of each band in dB: smoothed for the floor, and averaged for steadiness.
    smooth: [f32; BANDS],
    mean: [f32; BANDS],
    deviation: f32,
    steady: u32,
    minima: [[f32; BANDS]; SPANS],
    span: usize,
    span_frames: u32,
    active: u32,
    hang_over: u32,
    speech: bool,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            rate: 0,
            tail: [0.0; 96],
            frames: 0,
            smooth: [FIRST_FLOOR_DBFS; BANDS],
            mean: [FIRST_FLOOR_DBFS; BANDS],
            deviation: 10.0,
            steady: 0,
            minima: [[FIRST_FLOOR_DBFS; BANDS]; SPANS],
            span: 0,
            span_frames: 0,
            active: 0,
            hang_over: 0,
            speech: false,
        }
    }
}

impl Lane {
    fn step(&mut self, bands: &[f32; BANDS], piece: &[f32]) -> Activity {
        let sum: f32 = piece.iter().map(|sample| sample * sample).sum();
        let level = power_dbfs(sum / piece.len() as f32);
        let floor = self.track(bands);

        let mut above: [f32; BANDS] = std::array::from_fn(|band| (bands[band] - floor[band]).clamp(0.0, BAND_CAP_DB));
        let broad = above.iter().sum::<f32>() / BANDS as f32;
        above.sort_unstable_by(f32::total_cmp);
        let narrow = above[BANDS - NARROW_BANDS..].iter().sum::<f32>() / NARROW_BANDS as f32;
        let score = if level < GATE_DBFS { 0.0 } else { broad.max(narrow * NARROW_SHARE) };
        self.decide(score);

        let noise: f32 = floor.iter().map(|db| 10_f32.powf(db / 10.0)).sum();
        Activity {
            speech: self.speech,
            confidence: 1.0 / (1.0 + ((ON_DB - score) * 0.8).exp()),
            level_dbfs: level,
            noise_dbfs: power_dbfs(noise),
        }
    }

    /// Levels of the bands in dB, scaled so that a full-scale sine is about -3 in its band.
    fn bands<const HALF: usize>(&mut self, fft: &RealFft<HALF>, piece: &[f32]) -> [f32; BANDS] {
        let past = piece.len() * 3 / 5;
        let points = 2 * HALF;
        let mut samples = [0.0; MAX_POINTS];
        samples[..past].copy_from_slice(&self.tail[..past]);
        samples[past..points].copy_from_slice(piece);
        self.tail[..past].copy_from_slice(&piece[piece.len() - past..]);
        for n in 0..HALF {
            // A parabola is close enough to a raised cosine here and needs no table.
            let x = (n as f32 + 0.5) / HALF as f32;
            let weight = x * (2.0 - x);
            samples[n] *= weight;
            samples[points - 1 - n] *= weight;
        }
        let mut power = [[0.0]; MAX_POINTS / 2 + 1];
        let mut work = Work::<HALF, 1>::new();
        fft.run(&mut work, |n| ([samples[2 * n]], [samples[2 * n + 1]]));
        fft.power(&work, &mut power);
        let bin_hz = self.rate as f32 / points as f32;
        // Sum of squared weights of the window is 8/15 of its length; both halves of the spectrum count.
        let scale = 2.0 / (points as f32 * points as f32 * 8.0 / 15.0);
        std::array::from_fn(|band| {
            let from = (EDGES_HZ[band] as f32 / bin_hz).round() as usize;
            let to = (EDGES_HZ[band + 1] as f32 / bin_hz).round() as usize;
            power_dbfs(power[from..to].iter().map(|[bin]| bin).sum::<f32>() * scale)
        })
    }

    /// Follows levels, steadiness and floors; returns the floors.
    fn track(&mut self, bands: &[f32; BANDS]) -> [f32; BANDS] {
        self.frames = self.frames.saturating_add(1);
        let first = self.frames == 1;
        let mut moved = 0.0;
        for ((level, smooth), mean) in bands.iter().zip(&mut self.smooth).zip(&mut self.mean) {
            let now = level.max(LOWEST_FLOOR_DBFS);
            if first {
                (*smooth, *mean) = (now, now);
            }
            *smooth += (now - *smooth) * 0.25;
            *mean += (now - *mean) * 0.08;
            moved += (*smooth - *mean).abs();
        }
        self.deviation += (moved / BANDS as f32 - self.deviation) * 0.08;
        self.steady = if self.deviation < STEADY_DB { self.steady + 1 } else { 0 };

        for (minimum, smooth) in self.minima[self.span].iter_mut().zip(&self.smooth) {
            *minimum = minimum.min(*smooth);
        }
        self.span_frames += 1;
        if self.span_frames == SPAN_FRAMES {
            self.span_frames = 0;
            self.span = (self.span + 1) % SPANS;
            self.minima[self.span] = self.smooth;
        }
        if self.steady >= STEADY_FRAMES {
            // What does not change is background, however loud: believe it now rather than in 1.6 s.
            for span in &mut self.minima {
                for ((minimum, mean), smooth) in span.iter_mut().zip(&self.mean).zip(&self.smooth) {
                    // A band that is just rising may be the beginning of a word.
                    if smooth - mean < RISING_DB {
                        *minimum = minimum.max(mean - MINIMUM_BIAS_DB);
                    }
                }
            }
        }
        std::array::from_fn(|band| {
            let minimum = self.minima.iter().map(|span| span[band]).fold(f32::MAX, f32::min);
            (minimum + MINIMUM_BIAS_DB).max(LOWEST_FLOOR_DBFS)
        })
    }

    fn decide(&mut self, score: f32) {
        let threshold = if self.speech { OFF_DB } else { ON_DB };
        if score >= threshold {
            self.active += 1;
            if self.speech || self.active >= ON_FRAMES {
                self.speech = true;
                self.hang_over = HANG_OVER_FRAMES;
            }
        } else {
            self.active = 0;
            self.hang_over = self.hang_over.saturating_sub(1);
            if self.hang_over == 0 {
                self.speech = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_taken_given_back_and_bounded() {
        let mut bank = SpectralBank::new(2);
        assert!(bank.attach(44100).is_none());
        let first = bank.attach(8000).unwrap();
        let second = bank.attach(16000).unwrap();
        assert_ne!(first, second);
        assert!(bank.attach(8000).is_none());
        bank.detach(first);
        assert_eq!(bank.attach(16000), Some(first));
    }

    #[test]
    fn calls_in_a_batch_are_judged_as_if_alone() {
        let speechy: Vec<f32> = (0..160).map(|n| if n % 50 < 5 { 0.4 } else { -0.04 }).collect();
        let mut together = SpectralBank::new(2);
        let (a, b) = (together.attach(8000).unwrap(), together.attach(8000).unwrap());
        let mut alone = SpectralBank::new(1);
        let lone = alone.attach(8000).unwrap();
        for _ in 0..10 {
            let mut batch = [
                VadFrame { slot: a, pcm: &speechy, activity: Activity::default() },
                VadFrame { slot: b, pcm: &[0.0; 160], activity: Activity::default() },
            ];
            together.process(&mut batch);
            let mut single = [VadFrame { slot: lone, pcm: &speechy, activity: Activity::default() }];
            alone.process(&mut single);
            assert_eq!(batch[0].activity, single[0].activity);
            assert!(!batch[1].activity.speech);
        }
    }
}
