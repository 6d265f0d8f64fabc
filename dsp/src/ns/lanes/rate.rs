//! What the rates differ in. All three look at 20 ms windows every 10 ms, so that bins are 50 Hz apart at each and a
//! band of RNNoise's is the same bins at each; the bands above a rate's half are empty there.

use std::f64::consts::{PI, TAU};

use super::fft::Fft;
use super::network::GAINS;

/// Edges of RNNoise's bands in bins of 50 Hz.
pub(super) const EDGES: [usize; GAINS] =
    [0, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 136, 160, 192, 240, 312, 400];

/// Longest pitch period in samples at 48 kHz.
pub(super) const LONGEST: usize = 768;
/// Taps of each phase of the filter to 24 kHz.
pub(super) const TAPS: usize = 16;

/// Tables of one rate.
#[derive(Debug)]
pub(super) struct Rate {
    pub(super) hz: u32,
    /// Samples of a step of 10 ms; a window is two.
    pub(super) step: usize,
    /// Samples at 48 kHz per sample.
    pub(super) divisor: usize,
    /// Bands that have bins.
    pub(super) bands: usize,
    pub(super) window: Vec<f32>,
    /// One over the window's energy: makes spectra independent of the rate.
    pub(super) norm: f32,
    pub(super) fft: Fft,
    /// What delays a spectrum by each part of a sample that a period at 48 kHz can leave over: `divisor` rows of
    /// `step + 1`. The middle row is a delay of none.
    pub(super) delays: Vec<(f32, f32)>,
    pub(super) high_pass: HighPass,
    /// The filter to 24 kHz, where pitch is searched: one row of taps, oldest sample first, per phase.
    pub(super) up: [[f32; TAPS]; 3],
}

/// RNNoise's high-pass of 24 Hz: `gain * (1 - z^-1)^2 / (1 + a0 z^-1 + a1 z^-2)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct HighPass {
    pub(super) gain: f64,
    pub(super) a: [f64; 2],
}

impl Rate {
    /// `None` for a rate that is not 8000, 16000 or 48000.
    pub(super) fn new(hz: u32) -> Option<Self> {
        let (step, divisor) = lengths(hz)?;
        let bands = EDGES.partition_point(|edge| *edge <= step);
        let slope = |n: usize| {
            let sine = (0.5 * PI * (n as f64 + 0.5) / step as f64).sin();
            (0.5 * PI * sine * sine).sin() as f32
        };
        let window: Vec<f32> = (0..2 * step).map(|n| slope(n.min(2 * step - 1 - n))).collect();
        let norm = 1.0 / window.iter().map(|x| x * x).sum::<f32>();
        let delays = (0..divisor).flat_map(|row| {
            let part = (row as f64 - (divisor / 2) as f64) / divisor as f64;
            (0..=step).map(move |bin| {
                let angle = TAU * bin as f64 * part / (2 * step) as f64;
                (angle.cos() as f32, -angle.sin() as f32)
            })
        });
        Some(Self {
            hz,
            step,
            divisor,
            bands,
            norm,
            fft: Fft::new(step),
            delays: delays.collect(),
            high_pass: HighPass::new(divisor),
            up: up_filter(),
            window,
        })
    }
}

/// Samples of a step at a rate, and samples at 48 kHz per sample; `None` for a rate that is not 8000, 16000 or 48000.
pub(super) const fn lengths(hz: u32) -> Option<(usize, usize)> {
    match hz {
        8000 | 16000 | 48000 => Some((hz as usize / 100, 48000 / hz as usize)),
        _ => None,
    }
}

/// Samples of past and present that a state keeps: the longest period and a window.
pub(super) const fn history(step: usize, divisor: usize) -> usize {
    LONGEST / divisor + 2 * step
}

impl HighPass {
    /// The filter of 48 kHz with its poles moved to `1 / divisor` of that rate, and the gain at the upper end kept.
    fn new(divisor: usize) -> Self {
        // The reference has these two as f32.
        let (a0, a1) = (f64::from(-1.99599_f32), f64::from(0.99600_f32));
        if divisor == 1 {
            return Self { gain: 1.0, a: [a0, a1] };
        }
        let radius = a1.sqrt();
        let angle = (-a0 / (2.0 * radius)).acos() * divisor as f64;
        let radius = radius.powi(divisor as i32);
        let a = [-2.0 * radius * angle.cos(), radius * radius];
        Self { gain: (1.0 - a[0] + a[1]) / 4.0, a }
    }
}

/// A windowed sinc that passes what the rate holds, sampled at three times the rate.
fn up_filter() -> [[f32; TAPS]; 3] {
    let mut phases = [[0.0; TAPS]; 3];
    let length = 3 * TAPS;
    let centre = (length - 1) as f64 / 2.0;
    // Cycles per sample of three times the rate.
    let cut_off = 0.47 / 3.0;
    for tap in 0..length {
        let offset = tap as f64 - centre;
        let sinc = (TAU * cut_off * offset).sin() / (PI * offset);
        let window = 0.5 + 0.5 * (PI * offset / (centre + 1.0)).cos();
        phases[tap % 3][TAPS - 1 - tap / 3] = (3.0 * sinc * window) as f32;
    }
    phases
}
