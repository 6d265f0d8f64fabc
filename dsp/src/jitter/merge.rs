//! Merge: joins decoded sound to concealment that ran without knowing it.

use super::expand::Expand;

impl Expand {
    /// Blends the first samples of `pcm`, the sound after the gap, with what the gap would have gone on with, and ends
    /// the gap. The longer the gap, the longer the blend: `overlap` samples of it. The concealment is bent into
    /// step with the new sound where the two resemble each other.
    pub(super) fn merge(&mut self, pcm: &mut [i16], overlap: usize) {
        if !self.active() {
            return;
        }
        let count = self.set_future(pcm);
        let overlap = overlap.min(pcm.len());
        let compared = (self.period.samples * 3 / 2).min(count);
        let (bend, alike) = self.align(self.at, 1.0, compared);
        // What is out of step cancels; bending it costs less than the hole.
        let pace = if alike > 0.5 && overlap > 0 { 1.0 + bend / overlap as f32 } else { 1.0 };
        for (n, sample) in pcm[..overlap].iter_mut().enumerate() {
            let share = (n + 1) as f32 / (overlap + 1) as f32;
            let made_up = self.next(pace);
            *sample = (made_up + (f32::from(*sample) - made_up) * share) as i16;
        }
        self.end();
    }
}
