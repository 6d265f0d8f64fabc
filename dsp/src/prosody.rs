//! Prosody: pitch, rate and energy of speech over some seconds, for whoever classifies its mood.
//!
//! Every 10 ms: energy, and the pitch as the peak of the autocorrelation (by two transforms, Wiener-Khinchin) of the
//! newest 32 ms, taken where the spectrum is below 1.7 kHz. Syllables are counted as peaks of the smoothed energy that
//! stand clear of the dip before them (after Mermelstein 1975), at voiced places only.

use crate::Simd;
use crate::level::{finite, mean_square, power_dbfs};
use crate::simd::dispatched;
use crate::spectrum::{RealFft, Work};
use crate::vad::{HalfBand, Halver};

/// Samples of 10 ms at 8 kHz.
const HOP: usize = 80;
const PAST: usize = 320;
const HALF: usize = 256;
/// Longest window in steps of 10 ms, and the one of [`Prosody::new`].
const MAX_STEPS: usize = 500;
/// Lags looked through: 400 Hz down to 62 Hz at 8 kHz.
const LAGS: std::ops::Range<usize> = 20..129;
/// Bins of 15.6 Hz that carry the pitch: 62 Hz to 1.7 kHz.
const PITCH_BINS: std::ops::Range<usize> = 4..109;
/// As periodic as this is voiced.
const VOICED: f32 = 0.5;
/// Steps quieter than this say nothing.
const QUIET_DBFS: f32 = -50.0;
/// A syllable stands this far above the dip before it, in dB, and this long after the last one, in steps.
const SYLLABLE_DB: f32 = 3.0;
const SYLLABLE_STEPS: u32 = 10;

/// What the window holds. Every value is 0 when there is nothing to say it of.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ProsodyFeatures {
    /// Mean pitch of the voiced steps, in Hz.
    pub pitch_hz: f32,
    /// Standard deviation of the pitch, in semitones.
    pub pitch_deviation_semitones: f32,
    /// Between the lowest and the highest tenth of the pitch, in semitones.
    pub pitch_range_semitones: f32,
    /// Mean strength of the voiced steps' periodicity, 0..=1.
    pub voicing: f32,
    /// Share of the sounding steps that are voiced, 0..=1.
    pub voiced_share: f32,
    /// Share of all steps that sound (above -50 dBFS), 0..=1.
    pub sounding_share: f32,
    /// Syllables per second of sounding time.
    pub syllables_per_second: f32,
    /// Mean level of the sounding steps, in dBFS.
    pub energy_dbfs: f32,
    /// Standard deviation of that level, in dB.
    pub energy_deviation_db: f32,
}

/// One step of the window.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    level_dbfs: f32,
    /// Pitch in semitones above 55 Hz; voiced steps only.
    semitones: f32,
    strength: f32,
    syllable: bool,
}

impl Step {
    fn sounds(&self) -> bool {
        self.level_dbfs > QUIET_DBFS
    }

    fn voiced(&self) -> bool {
        self.sounds() && self.strength >= VOICED
    }
}

/// Follows one call's prosody.
#[derive(Debug, Clone)]
pub struct Prosody {
    rate: u32,
    simd: Simd,
    tables: Box<Tables>,
    half_band: HalfBand,
    halver: Halver,
    line: Box<[f32; PAST]>,
    steps: Box<[Step]>,
    next: usize,
    held: usize,
    sorted: Box<[f32]>,
    smooth: f32,
    dip: f32,
    peak: f32,
    rising: bool,
    since_syllable: u32,
}

/// Transform and window, and room to work in.
#[derive(Debug, Clone)]
struct Tables {
    fft: RealFft<HALF>,
    window: [f32; PAST],
    fade: [f32; LAGS.end],
    work: Work<HALF, 1>,
    power: [[f32; 1]; HALF + 1],
}

impl Prosody {
    /// For sound at `rate` Hz, 8000 or 16000, over the newest 3 s; `None` for another rate.
    #[must_use]
    pub fn new(rate: u32) -> Option<Self> {
        Self::with_simd(rate, 3000, Simd::detect())
    }

    /// The same over a window of `window_ms`, 100..=5000, with a given instruction set; results do not depend on it.
    #[must_use]
    pub fn with_simd(rate: u32, window_ms: u32, simd: Simd) -> Option<Self> {
        if !matches!(rate, 8000 | 16000) {
            return None;
        }
        let steps = ((window_ms / 10) as usize).clamp(10, MAX_STEPS);
        Some(Self {
            rate,
            simd,
            tables: Box::new(Tables::new()),
            half_band: HalfBand::new(),
            halver: Halver::new(),
            line: Box::new([0.0; PAST]),
            steps: vec![Step::default(); steps].into_boxed_slice(),
            next: 0,
            held: 0,
            sorted: vec![0.0; steps].into_boxed_slice(),
            smooth: QUIET_DBFS,
            dip: QUIET_DBFS,
            peak: QUIET_DBFS,
            rising: false,
            since_syllable: SYLLABLE_STEPS,
        })
    }

    /// Takes in a frame of whole steps of 10 ms, samples of -1..1; what is not whole is left out. Give it speech only
    /// (say, while [`crate::vad::Activity::speech`]) or the background's shares count too.
    pub fn push(&mut self, pcm: &[f32]) {
        let samples = (self.rate / 100) as usize;
        for piece in pcm.chunks_exact(samples) {
            let mut hop = [0.0; HOP];
            if self.rate == 16000 {
                let mut wide = [0.0; 2 * HOP];
                wide.iter_mut().zip(piece).for_each(|(to, from)| *to = finite(*from));
                hop = self.halver.halve(&self.half_band, &wide);
            } else {
                hop.iter_mut().zip(piece).for_each(|(to, from)| *to = finite(*from));
            }
            self.step(&hop);
        }
    }

    /// Features of the newest steps, as many as the window holds.
    pub fn features(&mut self) -> ProsodyFeatures {
        let steps = &self.steps[..self.held];
        let sounding = Spread::of(steps.iter().filter(|step| step.sounds()).map(|step| step.level_dbfs));
        if sounding.count == 0.0 {
            return ProsodyFeatures::default();
        }
        let pitch = Spread::of(steps.iter().filter(|step| step.voiced()).map(|step| step.semitones));
        let strength = Spread::of(steps.iter().filter(|step| step.voiced()).map(|step| step.strength));
        let mut voiced = 0;
        for (to, step) in self.sorted.iter_mut().zip(steps.iter().filter(|step| step.voiced())) {
            *to = step.semitones;
            voiced += 1;
        }
        let sorted = &mut self.sorted[..voiced];
        sorted.sort_unstable_by(f32::total_cmp);
        let at = |share: usize| sorted.get(voiced.saturating_sub(1) * share / 10).copied().unwrap_or_default();
        let syllables = steps.iter().filter(|step| step.syllable).count();
        ProsodyFeatures {
            pitch_hz: if voiced > 0 { 55.0 * (pitch.mean / 12.0).exp2() } else { 0.0 },
            pitch_deviation_semitones: pitch.deviation,
            pitch_range_semitones: at(9) - at(1),
            voicing: strength.mean,
            voiced_share: voiced as f32 / sounding.count,
            sounding_share: sounding.count / steps.len() as f32,
            syllables_per_second: syllables as f32 * 100.0 / sounding.count,
            energy_dbfs: sounding.mean,
            energy_deviation_db: sounding.deviation,
        }
    }

    fn step(&mut self, hop: &[f32; HOP]) {
        self.line.copy_within(HOP.., 0);
        self.line[PAST - HOP..].copy_from_slice(hop);
        let level_dbfs = power_dbfs(mean_square(hop));
        let mut step = Step { level_dbfs, ..Step::default() };
        if step.sounds() {
            let (strength, lag) = pitch(self.simd, &mut self.tables, &self.line);
            step.strength = strength;
            step.semitones = 12.0 * (8000.0 / lag / 55.0).log2();
        }
        step.syllable = self.syllable(level_dbfs, step.strength);
        self.steps[self.next] = step;
        self.next = (self.next + 1) % self.steps.len();
        self.held = (self.held + 1).min(self.steps.len());
    }

    /// Whether a syllable's peak has just passed.
    fn syllable(&mut self, level: f32, strength: f32) -> bool {
        self.since_syllable = self.since_syllable.saturating_add(1);
        self.smooth += (level.max(QUIET_DBFS) - self.smooth) * 0.35;
        if self.rising {
            self.peak = self.peak.max(self.smooth);
            if self.smooth < self.peak - SYLLABLE_DB / 2.0 {
                self.rising = false;
                self.dip = self.smooth;
            }
            return false;
        }
        self.dip = self.dip.min(self.smooth);
        let stands_out = self.smooth > self.dip + SYLLABLE_DB && self.smooth > QUIET_DBFS + SYLLABLE_DB;
        if stands_out && strength >= VOICED && self.since_syllable >= SYLLABLE_STEPS {
            (self.rising, self.peak, self.since_syllable) = (true, self.smooth, 0);
            return true;
        }
        false
    }
}

impl Tables {
    fn new() -> Self {
        let window: [f32; PAST] =
            std::array::from_fn(|n| 0.5 - 0.5 * (std::f32::consts::TAU * (n as f32 + 0.5) / PAST as f32).cos());
        let correlation = |lag: usize| -> f32 { window.iter().zip(&window[lag..]).map(|(a, b)| a * b).sum() };
        Self {
            fft: RealFft::new(),
            window,
            fade: std::array::from_fn(|lag| correlation(0) / correlation(lag)),
            work: Work::new(),
            power: [[0.0]; HALF + 1],
        }
    }

    /// Strength and lag of the pitch.
    #[inline(always)]
    fn pitch(&mut self, line: &[f32; PAST]) -> (f32, f32) {
        let window = &self.window;
        let sample = |n: usize| [if n < PAST { line[n] * window[n] } else { 0.0 }];
        self.fft.run(&mut self.work, |n| (sample(2 * n), sample(2 * n + 1)));
        self.fft.power(&self.work, &mut self.power);
        let power = &self.power;
        let mirrored = |n: usize| {
            let bin = if n > HALF { 2 * HALF - n } else { n };
            if PITCH_BINS.contains(&bin) { power[bin] } else { [0.0] }
        };
        self.fft.run(&mut self.work, |n| (mirrored(2 * n), mirrored(2 * n + 1)));
        let mut correlation = [[0.0]; LAGS.end];
        self.fft.real(&self.work, &mut correlation);
        let value = |lag: usize| correlation[lag][0] * self.fade[lag];
        let highest = LAGS.map(value).fold(0.0, f32::max);
        if highest <= 0.0 || correlation[0][0] <= 0.0 {
            return (0.0, LAGS.start as f32);
        }
        // The first peak that is nearly the highest: its multiples are as high and mean nothing.
        let inner = LAGS.start + 1..LAGS.end - 1;
        let peak = inner
            .clone()
            .find(|lag| value(*lag) >= 0.85 * highest && value(*lag) >= value(lag - 1) && value(*lag) >= value(lag + 1))
            .unwrap_or(inner.start);
        let (before, at, after) = (value(peak - 1), value(peak), value(peak + 1));
        let bend = before - 2.0 * at + after;
        let shift = if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 };
        ((at / correlation[0][0]).clamp(0.0, 1.0), peak as f32 + shift)
    }
}

dispatched!(fn pitch(tables: &mut Tables, line: &[f32; PAST]) -> (f32, f32) = Tables::pitch);

/// Count, mean and standard deviation.
#[derive(Debug, Default)]
struct Spread {
    count: f32,
    mean: f32,
    deviation: f32,
}

impl Spread {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let (count, sum) = values.clone().fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
        if count == 0.0 {
            return Self::default();
        }
        let mean = sum / count;
        let squares: f32 = values.map(|value| (value - mean) * (value - mean)).sum();
        Self { count, mean, deviation: (squares / count).sqrt() }
    }
}
