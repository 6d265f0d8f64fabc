//! 16 kHz to 8 kHz for the detectors: a half-band filter, so that wideband calls are judged as telephone calls are.

use super::features::HOP;

/// Every other tap of the filter beside the middle one, which is a half; a windowed sinc of 31 taps.
const PAIRS: usize = 8;
const PAST: usize = 4 * PAIRS - 2;

/// One call's filter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halver {
    past: [f32; PAST],
}

/// The filter's taps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HalfBand([f32; PAIRS]);

impl HalfBand {
    pub(crate) fn new() -> Self {
        let mut taps = std::array::from_fn(|pair| {
            let n = (2 * pair + 1) as f32;
            let window = 0.5 + 0.5 * (std::f32::consts::PI * n / (2 * PAIRS) as f32).cos();
            let sign = if pair % 2 == 0 { 1.0 } else { -1.0 };
            sign * window / (std::f32::consts::PI * n)
        });
        // Both halves together let a constant through unchanged.
        let sum: f32 = taps.iter().sum();
        for tap in &mut taps {
            *tap *= 0.25 / sum;
        }
        Self(taps)
    }
}

impl Halver {
    pub(crate) const fn new() -> Self {
        Self { past: [0.0; PAST] }
    }

    /// 10 ms at 16 kHz as 10 ms at 8 kHz, 0.94 ms later. Samples are finite.
    pub(crate) fn halve(&mut self, taps: &HalfBand, piece: &[f32; 2 * HOP]) -> [f32; HOP] {
        let mut line = [0.0; PAST + 2 * HOP];
        line[..PAST].copy_from_slice(&self.past);
        line[PAST..].copy_from_slice(piece);
        self.past.copy_from_slice(&line[2 * HOP..]);
        std::array::from_fn(|n| {
            let middle = 2 * n + PAST / 2;
            let mut sum = 0.5 * line[middle];
            for (pair, tap) in taps.0.iter().enumerate() {
                let away = 2 * pair + 1;
                sum += tap * (line[middle - away] + line[middle + away]);
            }
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Level in dB of what is left of a tone.
    fn left_of(hz: f32) -> f32 {
        let (taps, mut halver) = (HalfBand::new(), Halver::new());
        let mut power = 0.0;
        for piece in 0..20 {
            let tone = std::array::from_fn(|n| {
                (std::f32::consts::TAU * hz * (piece * 2 * HOP + n) as f32 / 16_000.0).sin() * 2.0_f32.sqrt()
            });
            let out = halver.halve(&taps, &tone);
            if piece > 0 {
                power += out.iter().map(|x| x * x).sum::<f32>() / (19 * HOP) as f32;
            }
        }
        10.0 * power.log10()
    }

    #[test]
    fn the_telephone_band_passes_and_what_would_fold_into_it_does_not() {
        for hz in [100.0, 1000.0, 2000.0, 3000.0] {
            assert!(left_of(hz).abs() < 0.3, "{hz}: {}", left_of(hz));
        }
        for hz in [5000.0, 6000.0, 7500.0] {
            assert!(left_of(hz) < -40.0, "{hz}: {}", left_of(hz));
        }
    }
}
