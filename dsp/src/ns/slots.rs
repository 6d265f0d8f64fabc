//! Who has which slot: a fixed table with a state per call, for the banks that serve one call at a time.

use crate::Slot;

/// A table of at most `capacity` calls.
#[derive(Debug)]
pub(super) struct Slots<T> {
    entries: Box<[Option<T>]>,
}

impl<T> Slots<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: (0..capacity).map(|_| None).collect() }
    }

    /// Puts a state into the lowest free slot.
    pub(super) fn insert(&mut self, state: impl FnOnce() -> Option<T>) -> Option<Slot> {
        let index = self.entries.iter().position(Option::is_none)?;
        self.entries[index] = Some(state()?);
        u32::try_from(index).ok().map(Slot)
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(entry) = self.entries.get_mut(slot.index()) {
            *entry = None;
        }
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(slot.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.entries.get_mut(slot.index())?.as_mut()
    }
}
