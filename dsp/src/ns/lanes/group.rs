//! Up to `L` calls of one rate that are processed together: who is in which lane, and what each lane carries.

use super::rate::Rate;
use super::state;
use super::vector::{Lanes, Mask};
use crate::Slot;
use crate::ns::activity::{Activity, Gate};
use crate::ns::bounded;

/// Who owns a lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) slot: Slot,
    activity: Activity,
}

/// A call on the move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    pub(super) owner: Owner,
    frame: Option<usize>,
}

/// A group; `block` holds its calls' state.
#[derive(Debug)]
pub(super) struct Group<const L: usize> {
    /// Index of the rate.
    pub(super) rate: usize,
    owners: [Option<Owner>; L],
    /// The batch's frame for each lane.
    pub(super) frames: [Option<usize>; L],
    pub(super) block: Vec<Lanes<L>>,
}

impl<const L: usize> Group<L> {
    pub(super) fn new(index: usize, rate: &Rate) -> Self {
        Self { rate: index, owners: [None; L], frames: [None; L], block: vec![Lanes::ZERO; state::size(rate)] }
    }

    pub(super) fn calls(&self) -> usize {
        self.owners.iter().flatten().count()
    }

    pub(super) fn first_free(&self) -> Option<usize> {
        self.owners.iter().position(Option::is_none)
    }

    pub(super) fn last_used(&self) -> Option<usize> {
        self.owners.iter().rposition(Option::is_some)
    }

    /// Calls that have a frame in the batch.
    pub(super) fn present(&self) -> usize {
        self.frames.iter().flatten().count()
    }

    pub(super) fn first_present(&self) -> Option<usize> {
        self.frames.iter().position(Option::is_some)
    }

    /// The first call without a frame in the batch.
    pub(super) fn first_absent(&self) -> Option<usize> {
        (0..L).find(|lane| self.owners[*lane].is_some() && self.frames[*lane].is_none())
    }

    /// Gives a lane to a new call. A lane's state was cleared when it was left.
    pub(super) fn admit(&mut self, lane: usize, slot: Slot) {
        self.owners[lane] = Some(Owner { slot, activity: Activity::default() });
    }

    pub(super) fn release(&mut self, lane: usize) {
        self.owners[lane] = None;
        self.frames[lane] = None;
        for row in &mut self.block {
            row.0[lane] = 0.0;
        }
    }

    /// Takes a call out with its state.
    pub(super) fn take(&mut self, lane: usize, state: &mut [f32]) -> Option<Guest> {
        let guest = Guest { owner: self.owners[lane]?, frame: self.frames[lane] };
        for (kept, row) in state.iter_mut().zip(&self.block) {
            *kept = row.0[lane];
        }
        self.release(lane);
        Some(guest)
    }

    /// Puts a call in with its state.
    pub(super) fn put(&mut self, lane: usize, guest: Guest, state: &[f32]) {
        self.owners[lane] = Some(guest.owner);
        self.frames[lane] = guest.frame;
        for (kept, row) in state.iter().zip(&mut self.block) {
            row.0[lane] = *kept;
        }
    }
}

/// What a batch asks of a group.
impl<const L: usize> Group<L> {
    /// Puts the frames' samples of a step of 10 ms into lanes. Says whose lanes have samples and whose gates are open;
    /// `None` when nobody has any.
    pub(super) fn load(
        &mut self,
        rate: &Rate,
        gate: Gate,
        step: usize,
        batch: &[(Slot, &mut [f32])],
        out: &mut [Lanes<L>],
    ) -> Option<(Mask<L>, Mask<L>)> {
        let (mut present, mut open) = (Mask::NONE, Mask::NONE);
        let out = &mut out[..rate.step];
        for lane in 0..L {
            let Some((samples, owner)) = self.samples(rate, step, lane, batch).zip(self.owners[lane].as_mut()) else {
                out.iter_mut().for_each(|row| row.0[lane] = 0.0);
                continue;
            };
            let mut energy = 0.0;
            for (row, sample) in out.iter_mut().zip(samples) {
                let sample = bounded(*sample);
                row.0[lane] = sample;
                energy += sample * sample;
            }
            present.set(lane, true);
            open.set(lane, owner.activity.is_open(gate, energy / rate.step as f32));
        }
        present.any().then_some((present, open))
    }

    /// Copies the state away if it has calls that must not move on.
    pub(super) fn keep(&self, present: Mask<L>, kept: &mut [Lanes<L>]) -> Option<Mask<L>> {
        let absent = Mask::of(|lane| self.owners[lane].is_some() && !present.has(lane));
        if !absent.any() {
            return None;
        }
        for (kept, row) in kept.iter_mut().zip(&self.block) {
            *kept = *row;
        }
        Some(absent)
    }

    /// Puts back what [`Group::keep`] copied.
    pub(super) fn restore(&mut self, absent: Option<Mask<L>>, kept: &[Lanes<L>]) {
        let Some(absent) = absent else { return };
        for (row, kept) in self.block.iter_mut().zip(kept) {
            *row = kept.or(absent, *row);
        }
    }

    /// Writes a step's result into the frames.
    pub(super) fn store(
        &self,
        rate: &Rate,
        present: Mask<L>,
        step: usize,
        batch: &mut [(Slot, &mut [f32])],
        samples: &[Lanes<L>],
    ) {
        let range = step * rate.step..(step + 1) * rate.step;
        for lane in (0..L).filter(|lane| present.has(*lane)) {
            let frame = self.frames[lane].and_then(|index| batch.get_mut(index)?.1.get_mut(range.clone()));
            for (out, row) in frame.into_iter().flatten().zip(samples) {
                *out = row.0[lane];
            }
        }
    }

    fn samples<'a>(&self, rate: &Rate, step: usize, lane: usize, batch: &'a [(Slot, &mut [f32])]) -> Option<&'a [f32]> {
        batch.get(self.frames[lane]?)?.1.get(step * rate.step..(step + 1) * rate.step)
    }
}
