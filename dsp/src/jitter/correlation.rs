//! Where a sound repeats itself: normalised correlation and the search for a period with it.

use std::ops::RangeInclusive;

use crate::simd::{Simd, dispatched};

/// Lanes summed apart; the order of the additions is the same for every instruction set.
const LANES: usize = 8;

/// Sums of products `a*b`, `a*a` and `b*b` over the shorter of the two.
#[inline(always)]
fn products_kernel(a: &[f32], b: &[f32]) -> [f32; 3] {
    let (mut ab, mut aa, mut bb) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            ab[lane] += a[lane] * b[lane];
            aa[lane] += a[lane] * a[lane];
            bb[lane] += b[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        ab[lane] += a * b;
        aa[lane] += a * a;
        bb[lane] += b * b;
    }
    [sum(ab), sum(aa), sum(bb)]
}
dispatched!(fn products(a: &[f32], b: &[f32]) -> [f32; 3] = products_kernel);

fn sum(lanes: [f32; LANES]) -> f32 {
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Normalised correlation of two sounds in i16 units, -1..1; 0 when either is silent.
pub(super) fn similarity(simd: Simd, a: &[f32], b: &[f32]) -> f32 {
    let [ab, aa, bb] = products(simd, a, b);
    // One unit of energy, so that silence resembles nothing.
    ab / ((aa + 1.0) * (bb + 1.0)).sqrt()
}

/// A period and how well the sound repeats with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Period {
    /// In samples.
    pub(super) samples: usize,
    /// Normalised correlation of one period with the next, -1..1.
    pub(super) similarity: f32,
}

/// Searches periods, coarsely at 8 kHz and then around the best at the full rate.
#[derive(Debug)]
pub(super) struct PeriodSearch {
    simd: Simd,
    /// Samples averaged into one of the coarse search.
    step: usize,
    coarse: Box<[f32]>,
}

impl PeriodSearch {
    /// A search over at most `longest` samples at `rate` Hz.
    pub(super) fn new(simd: Simd, rate: u32, longest: usize) -> Self {
        let step = (rate as usize / 8000).max(1);
        Self { simd, step, coarse: vec![0.0; longest / step].into_boxed_slice() }
    }

    pub(super) const fn simd(&self) -> Simd {
        self.simd
    }

    /// The lag within `lags` at which the last `window` samples of `sound` resemble what came before them most.
    /// `None` when `sound` is shorter than the window and the shortest lag.
    pub(super) fn best(&mut self, sound: &[f32], lags: RangeInclusive<usize>, window: usize) -> Option<Period> {
        let high = (*lags.end()).min(sound.len().checked_sub(window)?);
        let low = (*lags.start()).max(1);
        if low > high {
            return None;
        }
        if self.step == 1 {
            return Some(best_lag(self.simd, sound, low..=high, window));
        }
        let count = (sound.len() / self.step).min(self.coarse.len());
        let tail = &sound[sound.len() - count * self.step..];
        for (slot, samples) in self.coarse.iter_mut().zip(tail.chunks_exact(self.step)) {
            *slot = samples.iter().sum::<f32>() / self.step as f32;
        }
        let coarse = &self.coarse[..count];
        let window_low = (window / self.step).clamp(1, count.saturating_sub(1).max(1));
        let limit = count.saturating_sub(window_low);
        let (from, to) = ((low / self.step).clamp(1, limit.max(1)), (high / self.step).clamp(1, limit.max(1)));
        if limit == 0 {
            return None;
        }
        let near = best_lag(self.simd, coarse, from..=to, window_low).samples * self.step;
        let fine = near.saturating_sub(self.step).clamp(low, high)..=(near + self.step).clamp(low, high);
        Some(best_lag(self.simd, sound, fine, window))
    }
}

/// The caller keeps `window` plus the longest lag within the sound.
fn best_lag(simd: Simd, sound: &[f32], lags: RangeInclusive<usize>, window: usize) -> Period {
    let end = sound.len();
    let mut best = Period { samples: *lags.start(), similarity: f32::MIN };
    for lag in lags {
        let similarity = similarity(simd, &sound[end - window..], &sound[end - window - lag..end - lag]);
        if similarity > best.similarity {
            best = Period { samples: lag, similarity };
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(period: f32, samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|n| {
                let angle = std::f32::consts::TAU * n as f32 / period;
                5000.0 * angle.sin() + 2500.0 * (2.0 * angle).cos() + 1500.0 * (3.0 * angle).sin()
            })
            .collect()
    }

    #[test]
    fn the_period_is_found_at_every_rate_and_alike_on_every_level() {
        for (rate, period) in [(8000_u32, 71_usize), (16_000, 131), (48_000, 400)] {
            let longest = rate as usize / 25;
            let sound = wave(period as f32, longest);
            let lags = rate as usize / 400..=rate as usize * 3 / 200;
            let find = |simd| PeriodSearch::new(simd, rate, longest).best(&sound, lags.clone(), rate as usize / 100);
            let found = find(Simd::detect()).unwrap();
            assert_eq!(found.samples, period, "{rate}");
            assert!(found.similarity > 0.99);
            assert_eq!(find(Simd::BASELINE), Some(found));
        }
    }

    #[test]
    fn a_short_or_silent_sound_has_no_period_to_speak_of() {
        let mut search = PeriodSearch::new(Simd::detect(), 8000, 320);
        assert_eq!(search.best(&[1.0; 50], 20..=120, 80), None);
        assert_eq!(search.best(&[], 20..=120, 80), None);
        assert!(search.best(&[0.0; 320], 20..=120, 80).unwrap().similarity.abs() < 0.01);
    }
}
