//! Preemptive expand: plays one period twice while there is still sound to play, so that the delay grows before it is
//! missed.

use super::accelerate::blend;
use super::time_stretch::{Stretch, TimeStretch};

impl TimeStretch {
    /// Writes what is inserted before `ahead` to the stretch's output: `ahead`'s first period blended into the period
    /// before it, the end of `past` (WSOLA). About `wanted` samples are inserted, at most `most` in voiced
    /// sound; `None` when it would be heard.
    pub(super) fn preemptive_expand(
        &mut self,
        past: &[i16],
        ahead: &[i16],
        (wanted, most): (usize, usize),
        urgent: bool,
    ) -> Option<Stretch> {
        let lag = self.lag(past, ahead, (wanted, most.min(past.len()).min(ahead.len())), urgent)?;
        let before = &past[past.len() - lag..];
        for (n, slot) in self.output[..lag].iter_mut().enumerate() {
            *slot = blend(ahead[n], before[n], n, lag);
        }
        Some(Stretch { old: 0, new: lag })
    }
}
