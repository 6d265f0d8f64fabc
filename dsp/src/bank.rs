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

/// Noise suppression for many calls; the engines are in [`ns`](crate::ns).
pub trait NoiseBank {
    /// Takes a slot for sound at `rate` Hz; `None` when the bank is full or does not know the rate.
    fn attach(&mut self, rate: u32) -> Option<Slot>;

    /// Gives a slot back. The slot must not be used afterwards: its number goes to a later call.
    fn detach(&mut self, slot: Slot);

    /// Cleans the frames of a batch in place: `f32` samples of -1..1, 10 or 20 ms each. A frame of another length
    /// and that of a slot which is not attached are left as they are; a slot that is not in the batch keeps its state.
    /// A slot stands at most once in a batch; a second frame of it may be left as it is. Never allocates. What comes
    /// out is finite whatever went in.
    fn process(&mut self, batch: &mut [(Slot, &mut [f32])]);

    /// By how many microseconds sound at `rate` Hz leaves later than it entered; `None` for a rate the bank does not
    /// know.
    fn delay_us(&self, rate: u32) -> Option<u64> {
        let _ = rate;
        None
    }

    /// How sure the engine is that the slot's last 10 ms were speech, 0..1; `None` for an engine that cannot tell
    /// and for a slot that is not attached.
    fn voice_probability(&self, slot: Slot) -> Option<f32> {
        let _ = slot;
        None
    }
}
