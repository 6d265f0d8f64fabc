//! Expand: sound for packets that never came, from what was played before them and, where it is here already, from
//! what comes after them.
//!
//! The sound before the gap goes on in loops of its last two pitch periods, at full level for 20 ms and then fading
//! to silence over 125 ms. When the packet after the gap is here, its first period is continued backwards too, and
//! the two are blended across the gap: where both are voiced they share one phase, which runs from the old period to
//! the new one and meets the new sound in step. This is waveform interpolation (Kleijn 1993) with the pitch periods
//! themselves as prototypes. Nothing of the real sound is altered.

use super::correlation::{Period, PeriodSearch, similarity};
use super::period_loop::PeriodLoop;
use crate::simd::Simd;

/// Shortest and longest pitch period looked for, in microseconds (66 to 400 Hz).
pub(super) const PERIOD_MIN_US: usize = 2_500;
pub(super) const PERIOD_MAX_US: usize = 15_000;
/// Length compared when looking for the period.
const COMPARE_US: usize = 10_000;
/// Sound before the gap that is looked at: two longest periods and the seam of their loop.
pub(super) const HISTORY_US: usize = 40_000;
/// Sound after the gap that is looked at.
const FUTURE_US: usize = 20_000;
/// How long the level is kept, and how long it then takes to silence.
const HOLD_US: usize = 20_000;
const FADE_US: usize = 125_000;
/// A sound that repeats less well than this is not voiced.
const VOICED: f32 = 0.5;
/// What a shift by a whole period costs in similarity, so that a small bend of the pitch wins over a large one.
const BEND_COST: f32 = 10.0;
/// Periods repeated.
const PERIODS: usize = 2;

/// Makes up sound. One gap is a run of [`Expand::extend`], at most one [`Expand::bridge`] or
/// [`Expand::merge`](super::merge), and [`Expand::end`].
#[derive(Debug)]
pub(super) struct Expand {
    pub(super) simd: Simd,
    search: PeriodSearch,
    step: usize,
    lags: (usize, usize),
    compare: usize,
    hold: usize,
    fade: usize,
    /// The sound before the gap, then the beginning of the future in reverse.
    analysed: Box<[f32]>,
    /// The sound before the gap on its way forwards, and the sound after it on its way back.
    before: PeriodLoop,
    after: PeriodLoop,
    /// The future as it is, and the extension that it is compared with.
    future: Box<[f32]>,
    pub(super) candidate: Box<[f32]>,
    pub(super) period: Period,
    active: bool,
    /// How far the sound before the gap has gone on, in its own samples.
    pub(super) at: f32,
    /// Samples made up.
    made: usize,
    /// Step at the seam to the sound before the gap, spread over the first quarter period.
    seam: f32,
}

impl Expand {
    pub(super) fn new(simd: Simd, rate: u32) -> Self {
        let samples = |us: usize| (rate as usize * us).div_ceil(1_000_000);
        let longest = samples(PERIOD_MAX_US);
        Self {
            simd,
            search: PeriodSearch::new(simd, rate, samples(HISTORY_US)),
            step: (rate as usize / 8000).max(1),
            lags: (samples(PERIOD_MIN_US).max(2), longest),
            compare: samples(COMPARE_US),
            hold: samples(HOLD_US),
            fade: samples(FADE_US),
            analysed: vec![0.0; samples(HISTORY_US)].into_boxed_slice(),
            before: PeriodLoop::new(PERIODS * longest),
            after: PeriodLoop::new(longest + longest / 2),
            future: vec![0.0; samples(FUTURE_US)].into_boxed_slice(),
            candidate: vec![0.0; 3 * longest].into_boxed_slice(),
            period: Period { samples: 1, similarity: 0.0 },
            active: false,
            at: 0.0,
            made: 0,
            seam: 0.0,
        }
    }

    /// Whether a gap is being filled.
    pub(super) const fn active(&self) -> bool {
        self.active
    }

    /// Samples made up in this gap; 0 outside one.
    pub(super) const fn made(&self) -> usize {
        if self.active { self.made } else { 0 }
    }

    /// The gap is over.
    pub(super) const fn end(&mut self) {
        self.active = false;
    }

    /// Looks at the sound before the gap, `history` (newest last, [`HISTORY_US`] long), unless that was done.
    pub(super) fn begin(&mut self, history: &[i16]) {
        if self.active {
            return;
        }
        self.active = true;
        self.at = 0.0;
        self.made = 0;
        let count = history.len().min(self.analysed.len());
        let (silent, sound) = self.analysed.split_at_mut(self.analysed.len() - count);
        silent.fill(0.0);
        for (slot, sample) in sound.iter_mut().zip(&history[history.len() - count..]) {
            *slot = f32::from(*sample);
        }
        let unknown = Period { samples: self.lags.1, similarity: 0.0 };
        let lags = self.lags.0..=self.lags.1;
        self.period = self.search.best(&self.analysed, lags, self.compare).unwrap_or(unknown);
        self.before.set(&self.analysed, self.period.samples * PERIODS);
        // Continuing the wave, the sample before the loop's first would have been the newest heard.
        let end = self.analysed.len();
        self.seam = self.analysed[end - 1] - self.analysed[end - 1 - self.period.samples];
    }

    /// Makes up the next samples from the sound before the gap alone.
    pub(super) fn extend(&mut self, out: &mut [i16]) {
        if self.made >= self.hold + self.fade {
            return out.fill(0);
        }
        for sample in out.iter_mut() {
            *sample = self.next(1.0) as i16;
        }
    }

    /// Makes up the whole rest of the gap so that `future`, the sound after it, follows without a seam.
    pub(super) fn bridge(&mut self, out: &mut [i16], future: &[i16]) {
        let count = future.len().min(self.future.len());
        if count == 0 {
            return self.extend(out);
        }
        for (slot, sample) in self.future.iter_mut().zip(future) {
            *slot = f32::from(*sample);
        }
        let reversed = &mut self.analysed[..count];
        for (slot, sample) in reversed.iter_mut().zip(self.future[..count].iter().rev()) {
            *slot = *sample;
        }
        let meeting = self.meet(count, out.len());
        let length = out.len() as f32;
        let (from, pace) = (self.at, meeting.pace);
        for (n, sample) in out.iter_mut().enumerate() {
            let n = n as f32;
            let done = n / length;
            // The pace runs evenly from the old period's to the new one's; the bend that brings both in step is
            // spread so that it changes neither end.
            let at = from + n + (pace - 1.0) * n * done * 0.5 + meeting.bend * done * done * (3.0 - 2.0 * done);
            self.at = at;
            let forwards = self.tone(at);
            self.made += 1;
            let back = if meeting.in_step { (meeting.at - at) / pace } else { length - n };
            let backwards = if meeting.periodic {
                self.after.at(back - 1.0)
            } else {
                // Noise has no phase: its mirror image has the same colour and no seam.
                let mirrored = (back as usize).saturating_sub(1);
                if (mirrored / count).is_multiple_of(2) {
                    self.future[mirrored % count]
                } else {
                    self.future[count - 1 - mirrored % count]
                }
            };
            let share = (n + 1.0) / (length + 1.0);
            *sample = (forwards + (backwards - forwards) * share) as i16;
        }
        self.at = meeting.at;
    }

    /// How the extended past meets the first `count` samples of the future after `gap` more samples.
    fn meet(&mut self, count: usize, gap: usize) -> Meeting {
        let old = self.period;
        let voiced = old.similarity >= VOICED;
        let window = self.compare.min(count / 2).max(1);
        let lags = if voiced { old.samples * 3 / 4..=old.samples * 4 / 3 } else { self.lags.0..=self.lags.1 };
        let found = self.search.best(&self.analysed[..count], lags, window);
        let mut new = found.unwrap_or(Period { samples: self.lags.0.min(count), similarity: 0.0 });
        if voiced && old.samples + window > count && old.samples < count {
            // Too little sound to measure a period this long.
            new = Period { samples: old.samples, similarity: VOICED };
        }
        let periodic = new.similarity >= VOICED && new.samples > 1 && new.samples < count;
        let mut meeting = Meeting { in_step: false, periodic, pace: 1.0, bend: 0.0, at: self.at + gap as f32 };
        if periodic {
            let (reversed, after) = (&self.analysed[..count], &mut self.after);
            after.set(reversed, new.samples);
        }
        if voiced && periodic {
            let pace = old.samples as f32 / new.samples as f32;
            let at = self.at + gap as f32 * (1.0 + pace) * 0.5;
            let compared = (new.samples * 3 / 2).min(count);
            let (bend, alike) = self.align(at, pace, compared);
            if alike > VOICED {
                meeting = Meeting { in_step: true, pace, bend, at: at + bend, ..meeting };
            }
        }
        meeting
    }

    /// The shift, at most a quarter period, at which the past extended from `at` resembles the future most, and how
    /// much it does less the cost of the shift.
    pub(super) fn align(&mut self, at: f32, pace: f32, compared: usize) -> (f32, f32) {
        let reach = self.period.samples / 4;
        let compared = compared.min(self.candidate.len().saturating_sub(2 * reach));
        for (n, slot) in self.candidate[..compared + 2 * reach].iter_mut().enumerate() {
            *slot = self.before.at(at + (n as f32 - reach as f32) * pace);
        }
        let score = |shift: usize| {
            let alike = similarity(self.simd, &self.candidate[shift..shift + compared], &self.future[..compared]);
            let bend = (shift as f32 - reach as f32) * pace;
            let turn = bend / self.period.samples as f32;
            (bend, alike - BEND_COST * turn * turn)
        };
        let best = |shifts: &mut dyn Iterator<Item = usize>| {
            shifts
                .map(|shift| (shift, score(shift)))
                .fold((reach, (0.0, f32::MIN)), |best, next| if next.1.1 > best.1.1 { next } else { best })
        };
        let (near, _) = best(&mut (0..=2 * reach).step_by(self.step));
        best(&mut (near.saturating_sub(self.step - 1)..=(near + self.step - 1).min(2 * reach))).1
    }

    /// Where sound to align with is put; at most `FUTURE_US` of it is kept.
    pub(super) fn set_future(&mut self, future: &[i16]) -> usize {
        for (slot, sample) in self.future.iter_mut().zip(future) {
            *slot = f32::from(*sample);
        }
        future.len().min(self.future.len())
    }

    /// The next sample from the sound before the gap, which goes on by `pace` of its samples.
    pub(super) fn next(&mut self, pace: f32) -> f32 {
        let sample = self.tone(self.at);
        self.at += pace;
        self.made += 1;
        sample
    }

    fn tone(&self, at: f32) -> f32 {
        let quarter = self.period.samples / 4;
        let seam = if self.made < quarter { self.seam * (1.0 - self.made as f32 / quarter as f32) } else { 0.0 };
        // The loop's last period is the newest.
        let newest = (PERIODS - 1) * self.period.samples;
        (self.before.at(at + newest as f32) + seam) * self.level()
    }

    fn level(&self) -> f32 {
        (1.0 - self.made.saturating_sub(self.hold) as f32 / self.fade as f32).max(0.0)
    }
}

/// Where past and future meet.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    /// Both are voiced alike, and the blend follows one phase.
    in_step: bool,
    /// The future repeats itself.
    periodic: bool,
    /// Samples of the past per sample of the future, by their periods.
    pace: f32,
    /// Samples of the past by which it goes on further than its pace alone makes it.
    bend: f32,
    /// How far the past has gone on when the future begins.
    at: f32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::rms_dbfs;

    const RATE: u32 = 8000;
    const HISTORY: usize = 320;

    /// A voice of `hertz`, rising by `rise` hertz a second.
    fn voice(hertz: f64, rise: f64, samples: std::ops::Range<usize>) -> Vec<i16> {
        let sample = |n: usize| {
            let time = n as f64 / f64::from(RATE);
            let phase = std::f64::consts::TAU * (hertz + rise * time / 2.0) * time;
            (5000.0 * phase.sin() + 3000.0 * (2.0 * phase).sin() + 2000.0 * (5.0 * phase).cos()) as i16
        };
        samples.map(sample).collect()
    }

    fn error_db(made: &[i16], truth: &[i16]) -> f32 {
        let error: Vec<i16> = made.iter().zip(truth).map(|(a, b)| a.saturating_sub(*b)).collect();
        rms_dbfs(&error) - rms_dbfs(truth)
    }

    fn expand() -> Expand {
        Expand::new(Simd::detect(), RATE)
    }

    #[test]
    fn a_periodic_sound_goes_on_unchanged_for_twenty_milliseconds() {
        let mut expand = expand();
        expand.begin(&voice(125.0, 0.0, 0..HISTORY));
        let mut made = [0; 160];
        expand.extend(&mut made);
        let error = error_db(&made, &voice(125.0, 0.0, HISTORY..HISTORY + 160));
        assert!(error < -25.0, "{error} dB");
    }

    #[test]
    fn a_voice_whose_pitch_moves_is_met_in_step_behind_the_gap() {
        for gap in [160, 320] {
            let (end, back) = (4000 + HISTORY, 4000 + HISTORY + gap);
            let history = voice(110.0, 150.0, 4000..end);
            let truth = voice(110.0, 150.0, end..back);
            let future = voice(110.0, 150.0, back..back + 160);
            let (mut blind, mut bridged) = (vec![0; gap], vec![0; gap]);
            let mut expand = expand();
            expand.begin(&history);
            expand.extend(&mut blind);
            expand.end();
            expand.begin(&history);
            expand.bridge(&mut bridged, &future);
            let (blind, bridged) = (error_db(&blind, &truth), error_db(&bridged, &truth));
            assert!(bridged < -12.0 && bridged < blind - 6.0, "{gap}: {bridged} dB against {blind} dB");
        }
    }

    #[test]
    fn a_long_gap_fades_to_silence_and_comes_back_without_a_step() {
        let mut expand = expand();
        expand.begin(&voice(125.0, 0.0, 0..HISTORY));
        let mut made = [0; 1160];
        expand.extend(&mut made);
        assert!(rms_dbfs(&made[1000..1100]) < rms_dbfs(&made[..160]) - 10.0);
        let mut after = [1; 160];
        expand.extend(&mut after);
        assert_eq!(after, [0; 160]);
        let mut back = voice(125.0, 0.0, 0..160);
        expand.merge(&mut back, 80);
        assert!(back[0].abs() < 300, "{}", back[0]);
        let mut later = voice(125.0, 0.0, 160..320);
        expand.merge(&mut later, 80);
        assert_eq!(later, voice(125.0, 0.0, 160..320), "the gap is over");
    }

    #[test]
    fn silence_stays_silence_at_every_rate() {
        for rate in [8000, 16_000, 48_000] {
            let mut expand = Expand::new(Simd::detect(), rate);
            let history = vec![0; rate as usize / 25];
            for future in [&[][..], &[0], &[0; 960]] {
                let mut made = [1; 960];
                expand.begin(&history);
                expand.bridge(&mut made, future);
                expand.end();
                assert_eq!(made, [0; 960]);
            }
        }
    }

    #[test]
    fn every_level_of_instructions_makes_the_same_sound() {
        let history = voice(143.0, 90.0, 0..HISTORY);
        let future = voice(143.0, 90.0, 480..640);
        let make = |simd| {
            let mut expand = Expand::new(simd, RATE);
            expand.begin(&history);
            let mut made = [0; 320];
            expand.extend(&mut made[..160]);
            expand.bridge(&mut made[160..], &future);
            made
        };
        assert_eq!(make(Simd::BASELINE), make(Simd::detect()));
    }
}
