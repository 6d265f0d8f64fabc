//! A stretch of sound that goes round without a seam, and can be read between its samples.

/// Samples kept beyond the end, for reading between samples.
const GUARD: usize = 3;

#[derive(Debug)]
pub(super) struct PeriodLoop {
    /// The last sample, the loop, and its first two samples again.
    samples: Box<[f32]>,
    length: usize,
}

impl PeriodLoop {
    /// A loop of at most `longest` samples.
    pub(super) fn new(longest: usize) -> Self {
        Self { samples: vec![0.0; longest + GUARD].into_boxed_slice(), length: 1 }
    }

    /// Loops the last `length` samples of `sound`; the end is blended into what came before the beginning.
    pub(super) fn set(&mut self, sound: &[f32], length: usize) {
        let length = length.clamp(1, sound.len().min(self.samples.len() - GUARD).max(1));
        self.length = length;
        if sound.is_empty() {
            self.samples.fill(0.0);
            return;
        }
        let start = sound.len() - length;
        let seam = (length / 4).min(start);
        let body = &mut self.samples[1..=length];
        body.copy_from_slice(&sound[start..]);
        for (n, slot) in body[length - seam..].iter_mut().enumerate() {
            let share = (n + 1) as f32 / (seam + 1) as f32;
            *slot += (sound[start - seam + n] - *slot) * share;
        }
        self.samples[0] = self.samples[length];
        self.samples[length + 1] = self.samples[1];
        self.samples[length + 2] = self.samples[if length > 1 { 2 } else { 1 }];
    }

    /// The loop at any place, which may be negative or lie between two samples (cubic Hermite interpolation).
    pub(super) fn at(&self, place: f32) -> f32 {
        let whole = place.floor();
        let part = place - whole;
        let index = (whole as i64).rem_euclid(self.length as i64) as usize;
        let [a, b, c, d] = [0, 1, 2, 3].map(|n| self.samples[index + n]);
        if part == 0.0 {
            return b;
        }
        b + 0.5 * part * (c - a + part * (2.0 * a - 5.0 * b + 4.0 * c - d + part * (3.0 * (b - c) + d - a)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_round_in_both_directions() {
        let sound: Vec<f32> = (0..200).map(|n| (std::f32::consts::TAU * n as f32 / 50.0).sin()).collect();
        let mut round = PeriodLoop::new(100);
        round.set(&sound, 50);
        for place in [-130.0, -1.0, 0.0, 0.5, 49.5, 777.25] {
            let truth = (std::f32::consts::TAU * place / 50.0).sin();
            assert!((round.at(place) - truth).abs() < 0.01, "{place}: {} is not {truth}", round.at(place));
        }
        assert!(round.at(f32::NAN).is_nan() || round.at(f32::NAN).is_finite());
        assert!(round.at(f32::INFINITY).is_nan() || round.at(f32::INFINITY).is_finite());
    }
}
