//! Accelerate: plays one period less, where the sound repeats itself so well that nobody hears it.

use super::time_stretch::{Stretch, TimeStretch};

impl TimeStretch {
    /// Writes what replaces the first two periods of `ahead` to the stretch's output: the first blended into the second
    /// (WSOLA, Verhelst and Roelands 1993). At most `most` samples are removed; `None` when no transparent cut is
    /// possible.
    pub(super) fn accelerate(&mut self, ahead: &[i16], most: usize, urgent: bool) -> Option<Stretch> {
        let most = most.min(ahead.len() / 2);
        let lag = self.lag(&[], ahead, (most, most), urgent)?;
        for (n, slot) in self.output[..lag].iter_mut().enumerate() {
            *slot = blend(ahead[n], ahead[lag + n], n, lag);
        }
        Some(Stretch { old: 2 * lag, new: lag })
    }
}

/// Sample `n` of a blend from `from` to `to` over `length` samples.
pub(super) fn blend(from: i16, to: i16, n: usize, length: usize) -> i16 {
    let share = (n + 1) as f32 / (length + 1) as f32;
    (f32::from(from) + (f32::from(to) - f32::from(from)) * share) as i16
}
