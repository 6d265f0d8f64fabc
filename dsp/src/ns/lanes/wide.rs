//! A bank of as many lanes as this processor's registers hold, behind what a chain asks of it.

use super::{Effort, LaneState, NetworkBank};
use crate::ns::Gate;
use crate::{NoiseBank, Simd, Slot};

/// A [`NetworkBank`] of any number of lanes. Every number of lanes makes the same sound.
pub(crate) trait LaneBank: NoiseBank + Send + std::fmt::Debug {
    /// See [`NetworkBank::set_effort`].
    fn set_effort(&mut self, slot: Slot, effort: Effort);
    /// See [`NetworkBank::save`].
    fn save(&self, slot: Slot, state: &mut LaneState);
    /// See [`NetworkBank::restore`].
    fn restore(&mut self, slot: Slot, state: &LaneState);
    /// See [`NetworkBank::clear`].
    fn clear(&mut self, slot: Slot);
    /// See [`NetworkBank::arrangement`].
    fn arrangement(&self) -> u64;
    /// See [`NetworkBank::position`].
    fn position(&self, slot: Slot) -> Option<u32>;
    /// See [`NetworkBank::group_of`].
    fn group_of(&self, slot: Slot) -> Option<usize>;
    /// See [`NetworkBank::process_in_place`].
    fn process_in_place(&mut self, batch: &mut [(Slot, &mut [f32])]);
    /// See [`NetworkBank::settle`].
    fn settle(&mut self, slots: &mut dyn Iterator<Item = Slot>, moves: usize);
}

/// The bank that suits this processor best.
pub(crate) fn widest(slots: usize, rates: &[u32], gate: Gate) -> Box<dyn LaneBank> {
    if Simd::detect().lanes() == 16 {
        Box::new(NetworkBank::<16>::for_rates(slots, rates).with_gate(gate))
    } else {
        Box::new(NetworkBank::<8>::for_rates(slots, rates).with_gate(gate))
    }
}

impl<const L: usize> LaneBank for NetworkBank<L> {
    fn set_effort(&mut self, slot: Slot, effort: Effort) {
        Self::set_effort(self, slot, effort);
    }

    fn save(&self, slot: Slot, state: &mut LaneState) {
        Self::save(self, slot, state);
    }

    fn restore(&mut self, slot: Slot, state: &LaneState) {
        Self::restore(self, slot, state);
    }

    fn clear(&mut self, slot: Slot) {
        Self::clear(self, slot);
    }

    fn arrangement(&self) -> u64 {
        Self::arrangement(self)
    }

    fn position(&self, slot: Slot) -> Option<u32> {
        Self::position(self, slot)
    }

    fn group_of(&self, slot: Slot) -> Option<usize> {
        Self::group_of(self, slot)
    }

    fn process_in_place(&mut self, batch: &mut [(Slot, &mut [f32])]) {
        Self::process_in_place(self, batch);
    }

    fn settle(&mut self, slots: &mut dyn Iterator<Item = Slot>, moves: usize) {
        Self::settle(self, slots, moves);
    }
}
