//! The low-pass filters behind the resampler: windowed sinc, one per ratio, made at first use and kept.

use std::sync::OnceLock;

/// Taps per output at the lower of the two rates.
const TAPS: usize = 48;
/// The most taps a ratio needs: 48000 to 8000 Hz.
pub(super) const MAX_TAPS: usize = TAPS * 6;
/// Kaiser window for 63 dB of stop band; with 48 taps the transition is 600 Hz wide at 8 kHz.
const KAISER_BETA: f64 = 6.0;
/// The -6 dB point in cycles per sample of the lower rate: the stop band begins at its half, 4000 of 8000 Hz.
const CUT_OFF: f64 = 0.4605;

/// Every ratio `to/from` the crate converts, reduced: `(up, down)`.
const RATIOS: [(usize, usize); 18] = [
    (1, 6),
    (80, 441),
    (1, 4),
    (1, 3),
    (160, 441),
    (1, 2),
    (2, 3),
    (441, 640),
    (320, 441),
    (441, 320),
    (640, 441),
    (3, 2),
    (2, 1),
    (441, 160),
    (3, 1),
    (4, 1),
    (441, 80),
    (6, 1),
];

static FILTERS: [OnceLock<Filter>; RATIOS.len()] = [const { OnceLock::new() }; RATIOS.len()];

/// One ratio's filter, split into phases.
#[derive(Debug)]
pub(super) struct Filter {
    /// Interpolation factor.
    pub(super) up: usize,
    /// Decimation factor.
    pub(super) down: usize,
    /// Taps of each phase.
    pub(super) taps: usize,
    /// `up` phases of `taps` coefficients, oldest input first.
    coefficients: Box<[f32]>,
}

impl Filter {
    /// The filter that converts `from` to `to` Hz, made at first use.
    pub(super) fn shared(from: u32, to: u32) -> Option<&'static Self> {
        let known = |rate| super::RATES.contains(&rate);
        let telephony = |rate| matches!(rate, 8000 | 16000);
        // The denoiser's rate, from and to the others that share its family.
        let wide = |a, b| a == 48000 && matches!(b, 24000 | 32000);
        if !known(from) || !known(to) || !(telephony(from) || telephony(to) || wide(from, to) || wide(to, from)) {
            return None;
        }
        let divisor = gcd(from, to);
        let ratio = ((to / divisor) as usize, (from / divisor) as usize);
        let index = RATIOS.iter().position(|known| *known == ratio)?;
        Some(FILTERS[index].get_or_init(|| Self::design(ratio.0, ratio.1)))
    }

    fn design(up: usize, down: usize) -> Self {
        // The prototype runs at `up` times the input rate; its cut-off follows the lower of the two rates.
        let taps = (TAPS * down.max(up)).div_ceil(up).next_multiple_of(8);
        let length = taps * up;
        let centre = (length - 1) as f64 / 2.0;
        let cut_off = CUT_OFF / up.max(down) as f64;
        let mut coefficients = vec![0.0; length].into_boxed_slice();
        for tap in 0..length {
            let value = windowed_sinc(tap as f64 - centre, centre + 1.0, cut_off, KAISER_BETA);
            // Tap `k * up + phase` meets the input k samples before the newest.
            let (age, phase) = (tap / up, tap % up);
            coefficients[phase * taps + (taps - 1 - age)] = (up as f64 * value) as f32;
        }
        // Each phase passes direct current with gain 1, so that no tone at the rate of the phases appears.
        for phase in coefficients.chunks_mut(taps) {
            let sum: f32 = phase.iter().sum();
            for coefficient in phase {
                *coefficient /= sum;
            }
        }
        Self { up, down, taps, coefficients }
    }

    /// The coefficients of one phase, oldest input first.
    #[inline(always)]
    pub(super) fn phase(&self, phase: usize) -> &[f32] {
        &self.coefficients[phase * self.taps..(phase + 1) * self.taps]
    }
}

/// A Kaiser-windowed sinc: `position` taps from the centre, `half` taps long to each side, cut off at `cut_off` cycles
/// per tap, with a gain of 1 over a spacing of 1.
pub(super) fn windowed_sinc(position: f64, half: f64, cut_off: f64, beta: f64) -> f64 {
    let angle = std::f64::consts::TAU * cut_off * position;
    let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
    let edge = position / half;
    2.0 * cut_off * sinc * bessel_i0(beta * (1.0 - edge * edge).max(0.0).sqrt()) / bessel_i0(beta)
}

/// Modified Bessel function of the first kind and order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let half = x * x / 4.0;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= half / f64::from(k * k);
        sum += term;
    }
    sum
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_rates_that_is_promised_has_a_filter() {
        for rate in super::super::RATES {
            for telephony in [8000, 16000] {
                if rate != telephony {
                    let down = Filter::shared(rate, telephony).unwrap();
                    assert!(down.taps <= MAX_TAPS);
                    assert!(Filter::shared(telephony, rate).unwrap().taps <= MAX_TAPS);
                }
            }
        }
        for rate in [24000, 32000] {
            assert!(Filter::shared(rate, 48000).is_some() && Filter::shared(48000, rate).is_some());
        }
        assert!(Filter::shared(44100, 48000).is_none());
        assert!(Filter::shared(8000, 12000).is_none());
    }
}
