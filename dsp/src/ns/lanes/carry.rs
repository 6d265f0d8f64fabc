//! What is known of a call's noise, on its way from one bank to another: a call that moves goes on where it was.

use super::group::Owner;
use super::{NetworkBank, state};
use crate::Slot;

/// Room for one call's state of a [`NetworkBank`], 7 kB at 8 kHz and 10 at 16. Made beforehand, so that saving and
/// restoring allocate nothing.
#[derive(Debug, Clone)]
pub struct LaneState {
    rate: u32,
    rows: Box<[f32]>,
    /// `None` while nothing is saved.
    owner: Option<Owner>,
}

impl LaneState {
    /// Empty room for a call at `rate` Hz; `None` for a rate that no bank knows.
    #[must_use]
    pub fn new(rate: u32) -> Option<Self> {
        let rows = vec![0.0; state::size_at(rate)?].into_boxed_slice();
        Some(Self { rate, rows, owner: None })
    }

    /// Whether a state is saved.
    #[must_use]
    pub const fn is_saved(&self) -> bool {
        self.owner.is_some()
    }

    /// Forgets what is saved.
    pub const fn forget(&mut self) {
        self.owner = None;
    }
}

impl<const L: usize> NetworkBank<L> {
    /// Copies a call's state out; nothing is saved for a slot that is not attached or has another rate.
    pub fn save(&self, slot: Slot, state: &mut LaneState) {
        state.owner = None;
        let Some(place) = self.place(slot) else { return };
        let group = &self.groups[place.group];
        if self.rates[group.rate].hz == state.rate {
            state.owner = group.copy(place.lane, &mut state.rows);
        }
    }

    /// Gives a call the state that was saved, by this bank or another; without one, or with one of another rate, the call
    /// stays as it is.
    pub fn restore(&mut self, slot: Slot, state: &LaneState) {
        let Some((place, owner)) = self.place(slot).zip(state.owner) else { return };
        let group = &mut self.groups[place.group];
        if self.rates[group.rate].hz == state.rate {
            group.fill(&self.rates[group.rate], place.lane, owner, &state.rows);
        }
    }

    /// Makes a call's state that of a new one.
    pub fn clear(&mut self, slot: Slot) {
        self.unmark();
        if let Some(place) = self.place(slot) {
            self.groups[place.group].clear(place.lane);
        }
    }
}
