//! Time-scale modification: where a period may be cut out or repeated without being heard.

use super::correlation::PeriodSearch;
use super::expand::{PERIOD_MAX_US, PERIOD_MIN_US};
use crate::simd::Simd;

/// Two periods this much alike may be blended in sound of any level.
const TRANSPARENT: f32 = 0.9;
/// The same when the delay is far off.
const URGENT: f32 = 0.5;
/// Below this root mean square (about -45 dBFS) sound may be cut anywhere.
const QUIET: f32 = 180.0;

/// A replacement: `old` waiting samples by the first `new` of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) old: usize,
    pub(super) new: usize,
}

#[derive(Debug)]
pub(super) struct TimeStretch {
    search: PeriodSearch,
    shortest: usize,
    longest: usize,
    sound: Box<[f32]>,
    pub(super) output: Box<[i16]>,
}

impl TimeStretch {
    pub(super) fn new(simd: Simd, rate: u32) -> Self {
        let samples = |us: usize| (rate as usize * us).div_ceil(1_000_000);
        let longest = samples(PERIOD_MAX_US);
        Self {
            search: PeriodSearch::new(simd, rate, 2 * longest),
            shortest: samples(PERIOD_MIN_US).max(2),
            longest,
            sound: vec![0.0; 2 * longest].into_boxed_slice(),
            output: vec![0; longest].into_boxed_slice(),
        }
    }

    /// The longest change there is, in samples.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// The lag by which the sound around the border of `past` and `ahead` may be shifted: about `wanted`, and in voiced
    /// sound at most `most`.
    pub(super) fn lag(
        &mut self,
        past: &[i16],
        ahead: &[i16],
        (wanted, most): (usize, usize),
        urgent: bool,
    ) -> Option<usize> {
        let most = most.min(self.longest);
        if most < self.shortest {
            return None;
        }
        // With a past, its end is compared with what is ahead; without, what is ahead with itself.
        let before = most.min(past.len());
        let after = if before == 0 { 2 * most } else { most }.min(ahead.len());
        let sound = &mut self.sound[..before + after];
        for (slot, sample) in sound.iter_mut().zip(past[past.len() - before..].iter().chain(&ahead[..after])) {
            *slot = f32::from(*sample);
        }
        let energy: f32 = sound.iter().map(|sample| sample * sample).sum();
        if energy < QUIET * QUIET * sound.len() as f32 {
            return Some(wanted.clamp(self.shortest, most));
        }
        self.voiced_lag(before, after, most, urgent)
    }

    fn voiced_lag(&mut self, before: usize, after: usize, most: usize, urgent: bool) -> Option<usize> {
        // Search with the longest window that allows the longest lag, then judge the very periods that are blended.
        let sound = &self.sound[..before + after];
        let window = (sound.len() - most).min(most).max(self.shortest);
        let found = self.search.best(sound, self.shortest..=most, window)?;
        let lag = found.samples;
        let (first, second) = if before == 0 {
            (&sound[..lag], &sound[lag..2 * lag])
        } else {
            (&sound[before - lag..before], &sound[before..before + lag])
        };
        let alike = super::correlation::similarity(self.search.simd(), first, second);
        let enough = if urgent { URGENT } else { TRANSPARENT };
        (alike >= enough).then_some(lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(period: f32, samples: usize) -> Vec<i16> {
        (0..samples).map(|n| (8000.0 * (std::f32::consts::TAU * n as f32 / period).sin()) as i16).collect()
    }

    fn largest_step(sound: &[i16]) -> i32 {
        sound.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap()
    }

    #[test]
    fn whole_periods_go_and_come_without_a_step() {
        for (rate, period) in [(8000, 50.0), (16_000, 90.0), (48_000, 300.0)] {
            let mut stretch = TimeStretch::new(Simd::detect(), rate);
            let sound = tone(period, rate as usize * 7 / 100);
            let (past, ahead) = sound.split_at(rate as usize / 25);
            let most = rate as usize / 100;
            let cut = stretch.accelerate(ahead, most, false).unwrap();
            assert!((cut.old - cut.new) as f32 % period < 1.5 || (cut.old - cut.new) as f32 % period > period - 1.5);
            let played = [past, &stretch.output[..cut.new], &ahead[cut.old..]].concat();
            assert!(largest_step(&played) <= largest_step(&sound) * 11 / 10);
            let grown = stretch.preemptive_expand(past, ahead, (most, most), false).unwrap();
            let played = [past, &stretch.output[..grown.new], ahead].concat();
            assert!(largest_step(&played) <= largest_step(&sound) * 11 / 10);
        }
    }

    #[test]
    fn loud_noise_is_left_alone_and_quiet_noise_is_cut_by_any_length() {
        let mut seed = 1_u32;
        let noise: Vec<i16> = (0..480)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) as i16
            })
            .collect();
        let mut stretch = TimeStretch::new(Simd::detect(), 8000);
        assert_eq!(stretch.accelerate(&noise, 80, false), None);
        let quiet: Vec<i16> = noise.iter().map(|sample| sample / 400).collect();
        assert_eq!(stretch.accelerate(&quiet, 77, false), Some(Stretch { old: 154, new: 77 }));
        assert_eq!(stretch.accelerate(&quiet, 5, false), None, "not worth it");
        assert_eq!(stretch.accelerate(&[], 77, false), None);
        assert_eq!(stretch.preemptive_expand(&[], &[], (77, 77), true), None);
    }
}
