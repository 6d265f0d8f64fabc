//! What a quiet line sounds like: its level and the reflection coefficients of its spectrum, from a smoothed
//! autocorrelation by the Levinson-Durbin recursion.

use super::{ComfortNoise, MAX_ORDER};
use crate::codec::Encoder;
use crate::level::power_dbfs;
use crate::to_f32;

/// Samples correlated in one go; longer frames are taken in pieces.
const PIECE: usize = 480;
/// Share of the past that a frame of 20 ms leaves standing.
const KEEP: f32 = 0.8;
/// Added to the power, relative, so that a pure tone has a spectrum that can be inverted.
const WHITE: f64 = 1e-3;
/// The largest coefficient made: a line never rings longer.
const LIMIT: f64 = 0.98;

/// Measures a line in its pauses and makes comfort-noise payloads (RFC 3389).
///
/// Feed it frames without voice only. As an [`Encoder`] it hears a frame and writes the payload that describes the line
/// so far; one payload at the start of a pause, and one when the line changes, is what RFC 3389 asks for.
#[derive(Debug, Clone)]
pub struct ComfortNoiseEncoder {
    rate: u32,
    order: usize,
    /// Smoothed autocorrelation of windowed samples of -1..1, per sample.
    correlation: [f32; MAX_ORDER + 1],
    /// Smoothed mean square.
    power: f32,
    heard: bool,
}

impl ComfortNoiseEncoder {
    /// For sound at `rate` Hz (8000 for the static payload type 13), with `order` coefficients, 0..=10.
    #[must_use]
    pub fn new(rate: u32, order: usize) -> Self {
        let order = order.min(MAX_ORDER);
        Self { rate, order, correlation: [0.0; MAX_ORDER + 1], power: 0.0, heard: false }
    }

    /// Hears a frame of the line without voice, of any length.
    pub fn observe(&mut self, pcm: &[i16]) {
        for piece in pcm.chunks(PIECE) {
            let frames = piece.len() as f32 * 50.0 / self.rate.max(1) as f32;
            let keep = if self.heard { KEEP.powf(frames) } else { 0.0 };
            self.heard = true;
            let (correlation, power) = correlate(piece);
            for (smooth, new) in self.correlation.iter_mut().zip(correlation) {
                *smooth = *smooth * keep + new * (1.0 - keep);
            }
            self.power = self.power * keep + power * (1.0 - keep);
        }
    }

    /// The line as heard so far; silence before the first frame.
    #[must_use]
    pub fn noise(&self) -> ComfortNoise {
        let reflection = levinson_durbin(&self.correlation);
        ComfortNoise::new(power_dbfs(self.power), &reflection[..self.order])
    }

    /// Forgets the line.
    pub fn reset(&mut self) {
        *self = Self::new(self.rate, self.order);
    }
}

impl Encoder for ComfortNoiseEncoder {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        self.observe(pcm);
        self.noise().write(out)
    }
}

/// Autocorrelation under a triangular window, and the mean square without one.
fn correlate(piece: &[i16]) -> ([f32; MAX_ORDER + 1], f32) {
    let length = piece.len();
    let mut windowed = [0.0; PIECE];
    let mut power = 0.0;
    for (n, (slot, sample)) in windowed.iter_mut().zip(piece).enumerate() {
        let sample = to_f32(*sample);
        power += sample * sample;
        *slot = sample * (2 * n.min(length - 1 - n) + 1) as f32 / length as f32;
    }
    let windowed = &windowed[..length];
    let mut correlation = [0.0; MAX_ORDER + 1];
    for (lag, slot) in correlation.iter_mut().enumerate().take(length) {
        let sum: f32 = windowed[lag..].iter().zip(windowed).map(|(a, b)| a * b).sum();
        *slot = sum / length as f32;
    }
    (correlation, power / length as f32)
}

/// The reflection coefficients of the all-pole filter `1 / (1 + a1 z^-1 + ..)` whose output correlates so.
fn levinson_durbin(correlation: &[f32; MAX_ORDER + 1]) -> [f32; MAX_ORDER] {
    let mut reflection = [0.0; MAX_ORDER];
    let mut error = f64::from(correlation[0]) * (1.0 + WHITE);
    let mut filter = [0.0_f64; MAX_ORDER];
    for m in 0..MAX_ORDER {
        if error <= 1e-15 {
            break;
        }
        let mut sum = f64::from(correlation[m + 1]);
        for (i, a) in filter[..m].iter().enumerate() {
            sum += a * f64::from(correlation[m - i]);
        }
        let k = (-sum / error).clamp(-LIMIT, LIMIT);
        let before = filter;
        for i in 0..m {
            filter[i] += k * before[m - 1 - i];
        }
        filter[m] = k;
        error *= 1.0 - k * k;
        reflection[m] = k as f32;
    }
    reflection
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_order_process_shows_its_coefficient() {
        // y[n] = x[n] + 0.7 y[n-1]: the filter is 1 / (1 - 0.7 z^-1), so that k1 is -0.7 and the others vanish.
        let (mut seed, mut y) = (1_u32, 0.0_f32);
        let pcm: Vec<i16> = (0..32000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                y = (seed >> 16) as f32 / 65536.0 - 0.5 + 0.7 * y;
                (y * 1000.0) as i16
            })
            .collect();
        let mut encoder = ComfortNoiseEncoder::new(8000, 10);
        let (mut first, mut others) = (0.0, 0.0_f32);
        for frame in pcm.chunks(160) {
            encoder.observe(frame);
            let reflection = encoder.noise().reflection();
            first += reflection[0] / 200.0;
            others = others.max(reflection[2..].iter().fold(0.0, |most, k| k.abs().max(most)));
        }
        assert!((first + 0.7).abs() < 0.06, "{first}");
        assert!(others < 0.4, "{others}");
    }

    #[test]
    fn silence_tones_and_full_scale_give_payloads_in_range() {
        let mut out = [0; 11];
        assert_eq!(ComfortNoiseEncoder::new(8000, 0).encode(&[0; 160], &mut out), 1);
        assert!(out[0] >= 96, "{}", out[0]);
        for pcm in [vec![i16::MIN; 160], vec![0; 0], vec![1; 1], (0..999).map(|n| (n % 8 * 4000) as i16).collect()] {
            let mut encoder = ComfortNoiseEncoder::new(8000, 99);
            assert_eq!(encoder.encode(&pcm, &mut out), 11);
            assert!(encoder.noise().reflection().iter().all(|k| k.abs() < 0.99));
        }
    }
}
