//! The frames of a phase in one row, made anew for every phase and yet without taking memory for it.

use super::UplinkFrame;

/// Room for the frames of a phase. [`UplinkChain::process`](super::UplinkChain::process) wants a row of them; they
/// borrow from the legs for one phase only, but the row itself can be the same every time.
#[derive(Debug)]
pub struct UplinkBatch {
    legs: usize,
    /// Empty between phases.
    room: Vec<UplinkFrame<'static>>,
}

impl UplinkBatch {
    /// Room for `legs` frames, which is taken here.
    #[must_use]
    pub fn new(legs: usize) -> Self {
        Self { legs, room: Vec::with_capacity(legs) }
    }

    /// Lays `frames` in a row, for `work` to pass on and to read the reports from; what is beyond the room is left out.
    /// Does not allocate, but once after a `work` that panicked.
    pub fn with<'a, R>(
        &mut self,
        frames: impl Iterator<Item = UplinkFrame<'a>>,
        work: impl FnOnce(&mut [UplinkFrame<'a>]) -> R,
    ) -> R {
        let mut row: Vec<UplinkFrame<'a>> = std::mem::take(&mut self.room);
        row.reserve_exact(self.legs);
        row.extend(frames.take(self.legs));
        let done = work(&mut row);
        row.clear();
        // A row of nothing with another lifetime; the standard library does this in place.
        self.room = row.into_iter().map_while(|_| None).collect();
        done
    }
}
