//! Why banks: heavy kernels run for many calls at once, so a call owns a slot of a bank rather than an engine.

/// A call's place in a bank; valid until it is detached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(pub(crate) u32);

impl Slot {
    /// The slot's index, counted from 0; dense in a bank that is full.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Noise suppression for many calls. This crate has no engine for it yet; the shape stands so that callers do not
/// change when one arrives.
pub trait NoiseBank {
    /// Takes a slot for sound at `rate` Hz; `None` when the bank is full or does not know the rate.
    fn attach(&mut self, rate: u32) -> Option<Slot>;
    /// Gives a slot back.
    fn detach(&mut self, slot: Slot);
    /// Cleans the frames of a batch in place: `f32` samples of -1..1, 10 or 20 ms each.
    fn process(&mut self, batch: &mut [(Slot, &mut [f32])]);
}
