//! Sound for packets that never came: the last pitch periods repeated and faded, after ITU-T G.711 Appendix I.
//!
//! One period for the first 10 ms, two for the next, three from then on, so that a long gap does not buzz; from
//! 10 ms on the level falls by a fifth every 10 ms and reaches silence at 60 ms. Unlike the appendix nothing is
//! delayed to blend the beginning; the step at the seam is spread over a quarter period instead.

/// Shortest and longest pitch period looked for, in microseconds (66 to 200 Hz).
const PITCH_MIN_US: usize = 5_000;
const PITCH_MAX_US: usize = 15_000;
/// Length compared when looking for the pitch.
const COMPARE_US: usize = 20_000;
/// Most periods repeated.
const MAX_PERIODS: usize = 3;
/// When the fade begins, and how long it lasts.
const FADE_AFTER_US: usize = 10_000;
const FADE_US: usize = 50_000;

#[derive(Debug)]
pub(super) struct Concealer {
    pitch_min: usize,
    pitch_max: usize,
    compare: usize,
    step: usize,
    fade_after: usize,
    fade: usize,
    /// The newest sound played, oldest first.
    history: Box<[f32]>,
    /// What is being repeated; the first `loop_len` samples.
    template: Box<[f32]>,
    loop_len: usize,
    periods: usize,
    pitch: usize,
    /// Where in the template the next sample comes from.
    cursor: usize,
    /// Samples made up since the gap began; 0 outside a gap.
    made: usize,
    /// Step at the seam, spread over the first quarter period.
    seam: f32,
}

impl Concealer {
    pub(super) fn new(rate: u32) -> Self {
        let samples = |us: usize| rate as usize * us / 1_000_000;
        let pitch_max = samples(PITCH_MAX_US);
        // The appendix' 3.25 longest periods, or what the search for the longest period looks back on.
        let history = (pitch_max * MAX_PERIODS + pitch_max / 4 + 1).max(pitch_max + samples(COMPARE_US));
        Self {
            pitch_min: samples(PITCH_MIN_US),
            pitch_max,
            compare: samples(COMPARE_US),
            step: (rate as usize / 8000).max(1),
            fade_after: samples(FADE_AFTER_US),
            fade: samples(FADE_US),
            history: vec![0.0; history].into_boxed_slice(),
            template: vec![0.0; pitch_max * MAX_PERIODS].into_boxed_slice(),
            loop_len: 1,
            periods: 1,
            pitch: 1,
            cursor: 0,
            made: 0,
            seam: 0.0,
        }
    }

    /// Remembers sound that was played from a packet.
    pub(super) fn remember(&mut self, pcm: &[i16]) {
        let keep = pcm.len().min(self.history.len());
        let old = self.history.len() - keep;
        self.history.copy_within(keep.., 0);
        for (slot, sample) in self.history[old..].iter_mut().zip(&pcm[pcm.len() - keep..]) {
            *slot = f32::from(*sample);
        }
    }

    /// Makes up the next samples of a gap.
    pub(super) fn fill(&mut self, out: &mut [i16]) {
        if self.made == 0 {
            self.begin();
        }
        for sample in out.iter_mut() {
            *sample = self.next() as i16;
        }
    }

    /// Blends the first samples after a gap with what the gap would have gone on with, and ends the gap.
    pub(super) fn recover(&mut self, pcm: &mut [i16]) {
        if self.made == 0 {
            return;
        }
        // 4 ms, and 4 more for every 10 ms of gap, up to 10.
        let ms = self.fade_after / 10;
        let overlap = (4 * ms + 4 * ms * (self.made / self.fade_after)).min(10 * ms).min(pcm.len());
        for (n, sample) in pcm[..overlap].iter_mut().enumerate() {
            let share = (n + 1) as f32 / (overlap + 1) as f32;
            let made_up = self.next();
            *sample = (made_up + (f32::from(*sample) - made_up) * share) as i16;
        }
        self.made = 0;
    }

    fn begin(&mut self) {
        self.pitch = self.find_pitch();
        self.cursor = 0;
        self.periods = 1;
        self.build_template();
        let newest = self.history[self.history.len() - 1];
        // Continuing the wave, the sample before the template's first would have been the newest heard.
        let before = self.history[self.history.len() - 1 - self.pitch];
        self.seam = newest - before;
    }

    fn next(&mut self) -> f32 {
        let periods = (1 + self.made / self.fade_after.max(1)).min(MAX_PERIODS);
        if periods != self.periods {
            // Phase is kept: the longer loop starts further back by whole periods.
            self.cursor += (periods - self.periods) * self.pitch;
            self.periods = periods;
            self.build_template();
        }
        let gain = if self.made < self.fade_after {
            1.0
        } else {
            (1.0 - (self.made - self.fade_after) as f32 / self.fade as f32).max(0.0)
        };
        let quarter = self.pitch / 4;
        let seam = if self.made < quarter { self.seam * (1.0 - self.made as f32 / quarter as f32) } else { 0.0 };
        let sample = (self.template[self.cursor % self.loop_len] + seam) * gain;
        self.cursor = (self.cursor + 1) % self.loop_len;
        self.made += 1;
        sample
    }

    /// Copies the last periods and blends their end into what came before their beginning, so that the loop closes.
    fn build_template(&mut self) {
        let end = self.history.len();
        self.loop_len = self.pitch * self.periods;
        let start = end - self.loop_len;
        self.template[..self.loop_len].copy_from_slice(&self.history[start..]);
        let quarter = self.pitch / 4;
        for n in 0..quarter {
            let share = (n + 1) as f32 / (quarter + 1) as f32;
            let slot = &mut self.template[self.loop_len - quarter + n];
            *slot += (self.history[start - quarter + n] - *slot) * share;
        }
    }

    /// The lag with the highest normalised correlation: coarse over every second lag, then its neighbours.
    fn find_pitch(&self) -> usize {
        let coarse = (self.pitch_min..=self.pitch_max).step_by(2 * self.step);
        let best = self.best_lag(coarse, 2 * self.step);
        let low = best.saturating_sub(2 * self.step).max(self.pitch_min);
        let high = (best + 2 * self.step).min(self.pitch_max);
        self.best_lag(low..=high, self.step)
    }

    fn best_lag(&self, lags: impl Iterator<Item = usize>, stride: usize) -> usize {
        let end = self.history.len();
        let recent = &self.history[end - self.compare..];
        let mut best = (self.pitch_min, f32::MIN);
        for lag in lags {
            let past = &self.history[end - self.compare - lag..end - lag];
            let (mut product, mut energy) = (0.0, 1.0);
            for (now, then) in recent.iter().step_by(stride).zip(past.iter().step_by(stride)) {
                product += now * then;
                energy += then * then;
            }
            let score = product / energy.sqrt();
            if score > best.1 {
                best = (lag, score);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::rms_dbfs;

    fn wave(from: usize, samples: usize) -> Vec<i16> {
        // 125 Hz with harmonics: a period of 64 samples at 8 kHz.
        (from..from + samples)
            .map(|n| {
                let angle = std::f32::consts::TAU * 125.0 * n as f32 / 8000.0;
                (6000.0 * angle.sin() + 3000.0 * (2.0 * angle).sin() + 2000.0 * (5.0 * angle).cos()) as i16
            })
            .collect()
    }

    #[test]
    fn a_periodic_sound_goes_on_nearly_unchanged_for_ten_milliseconds() {
        let mut concealer = Concealer::new(8000);
        concealer.remember(&wave(0, 800));
        let mut made = [0; 80];
        concealer.fill(&mut made);
        let truth = wave(800, 80);
        let error: Vec<i16> = made.iter().zip(&truth).map(|(a, b)| a - b).collect();
        assert!(rms_dbfs(&error) < rms_dbfs(&truth) - 25.0, "{} dB", rms_dbfs(&error) - rms_dbfs(&truth));
    }

    #[test]
    fn a_long_gap_fades_to_silence_and_recovery_has_no_step() {
        let mut concealer = Concealer::new(8000);
        concealer.remember(&wave(0, 800));
        let mut made = [0; 480];
        concealer.fill(&mut made);
        assert!(rms_dbfs(&made[400..440]) < rms_dbfs(&made[..80]) - 10.0);
        let mut after = [0; 160];
        concealer.fill(&mut after);
        assert_eq!(after, [0; 160]);
        let mut back = wave(0, 160);
        concealer.recover(&mut back);
        assert!(back[0].abs() < 200, "{}", back[0]);
        let mut later = wave(160, 160);
        concealer.recover(&mut later);
        assert_eq!(later, wave(160, 160), "the gap is over");
    }

    #[test]
    fn silence_conceals_as_silence_at_every_rate() {
        for rate in [8000, 16000, 48000] {
            let mut concealer = Concealer::new(rate);
            let mut made = [1; 960];
            concealer.fill(&mut made);
            assert_eq!(made, [0; 960]);
        }
    }
}
