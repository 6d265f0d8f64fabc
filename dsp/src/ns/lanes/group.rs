//! Up to `L` calls of one rate that are processed together: who is in which lane, and what each lane carries.

use super::Effort;
use super::rate::Rate;
use super::state::{self, State};
use super::vector::{Lanes, Mask};
use crate::Slot;
use crate::ns::activity::{Activity, CLOSED_GAIN, Gate};
use crate::ns::bounded;

/// Who owns a lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    slot: Slot,
    activity: Activity,
    effort: Effort,
    /// Which batch it was last in: calls of the same are likely to be in one again.
    batch: u64,
}

/// A call on the move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    owner: Owner,
    frame: Option<usize>,
}

impl Guest {
    pub(super) const fn slot(&self) -> Slot {
        self.owner.slot
    }
}

/// What a batch asks of a group, by lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<const L: usize> {
    /// Who has samples.
    pub(super) present: Mask<L>,
    /// Whose noise the network takes out, and whose the suppressor does.
    pub(super) full: Mask<L>,
    pub(super) light: Mask<L>,
    /// The gain of all others.
    pub(super) pass: Lanes<L>,
    /// Whether anybody's pitch must be kept in sight.
    pub(super) pitch: bool,
}

/// A group; `block` holds its calls' state, which may be less than there is room for.
#[derive(Debug)]
pub(super) struct Group<const L: usize> {
    /// Index of the rate.
    pub(super) rate: usize,
    /// Rows of a state at that rate.
    rows: usize,
    owners: [Option<Owner>; L],
    /// The batch's frame for each lane.
    pub(super) frames: [Option<usize>; L],
    block: Vec<Lanes<L>>,
}

impl<const L: usize> Group<L> {
    /// An empty group for calls at `rate`, the `index`th, with room for states of `room` rows.
    pub(super) fn new(index: usize, rate: &Rate, room: usize) -> Self {
        let rows = state::size(rate);
        Self { rate: index, rows, owners: [None; L], frames: [None; L], block: vec![Lanes::ZERO; room.max(rows)] }
    }

    /// Makes an empty group one for another rate; `false` when it is not empty or its room does not suffice.
    pub(super) fn dedicate(&mut self, index: usize, rate: &Rate) -> bool {
        let rows = state::size(rate);
        let fits = self.calls() == 0 && self.block.len() >= rows;
        if fits {
            // Nobody is in it, and whoever leaves a lane leaves it cleared.
            (self.rate, self.rows) = (index, rows);
        }
        fits
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

    /// Calls without a frame in the batch, and the batch that each was last in.
    pub(super) fn absent(&self) -> impl Iterator<Item = (usize, u64)> {
        let lanes = self.owners.iter().zip(&self.frames).enumerate();
        lanes.filter_map(|(lane, (owner, frame))| Some((lane, owner.filter(|_| frame.is_none())?.batch)))
    }

    /// Calls whose last batch was this one.
    pub(super) fn calls_of(&self, batch: u64) -> usize {
        self.owners.iter().flatten().filter(|owner| owner.batch == batch).count()
    }

    /// Gives the call in a lane a frame of a batch.
    pub(super) fn mark(&mut self, lane: usize, frame: usize, batch: u64) {
        self.frames[lane].get_or_insert(frame);
        if let Some(owner) = &mut self.owners[lane] {
            owner.batch = batch;
        }
    }

    /// The state of all its calls.
    pub(super) fn block(&mut self) -> &mut [Lanes<L>] {
        &mut self.block[..self.rows]
    }

    /// The odds of speech in a lane.
    pub(super) fn voice(&self, lane: usize) -> f32 {
        self.block[self.rows - 1].0[lane]
    }

    /// Gives a lane to a new call. A lane's state was cleared when it was left.
    pub(super) fn admit(&mut self, lane: usize, slot: Slot, effort: Effort) {
        self.owners[lane] = Some(Owner { slot, activity: Activity::default(), effort, batch: 0 });
    }

    pub(super) fn release(&mut self, lane: usize) {
        self.owners[lane] = None;
        self.frames[lane] = None;
        self.zero(lane);
    }

    /// The call in a lane becomes a new one.
    pub(super) fn clear(&mut self, lane: usize) {
        if let Some(owner) = &mut self.owners[lane] {
            owner.activity = Activity::default();
        }
        self.zero(lane);
    }

    fn zero(&mut self, lane: usize) {
        for row in self.block() {
            row.0[lane] = 0.0;
        }
    }

    /// How much is done for the call in a lane. What only the network's search for pitch needs was not kept up to date
    /// while it did not run, and begins anew, so that a call's sound does not depend on what its neighbours were doing.
    pub(super) fn set_effort(&mut self, rate: &Rate, lane: usize, effort: Effort) {
        let Some(owner) = &mut self.owners[lane] else { return };
        let before = std::mem::replace(&mut owner.effort, effort);
        if before != Effort::Full
            && effort == Effort::Full
            && let Some(state) = State::read(rate, self.block())
        {
            for row in state.raised {
                row.0[lane] = 0.0;
            }
        }
    }

    /// Takes a call out with its state.
    pub(super) fn take(&mut self, lane: usize, state: &mut [f32]) -> Option<Guest> {
        let guest = Guest { owner: self.owners[lane]?, frame: self.frames[lane] };
        self.copy(lane, state);
        self.release(lane);
        Some(guest)
    }

    /// Puts a call in with its state.
    pub(super) fn put(&mut self, lane: usize, guest: Guest, state: &[f32]) {
        self.owners[lane] = Some(guest.owner);
        self.frames[lane] = guest.frame;
        self.write(lane, state);
    }

    /// Copies a lane's state and says whose it is.
    pub(super) fn copy(&self, lane: usize, state: &mut [f32]) -> Option<Owner> {
        for (kept, row) in state.iter_mut().zip(&self.block[..self.rows]) {
            *kept = row.0[lane];
        }
        self.owners[lane]
    }

    /// Gives the call in a lane the state of one elsewhere.
    pub(super) fn fill(&mut self, rate: &Rate, lane: usize, other: Owner, state: &[f32]) {
        if let Some(owner) = &mut self.owners[lane] {
            let wanted = owner.effort;
            (owner.activity, owner.effort) = (other.activity, other.effort);
            self.write(lane, state);
            self.set_effort(rate, lane, wanted);
        }
    }

    fn write(&mut self, lane: usize, state: &[f32]) {
        for (kept, row) in state.iter().zip(self.block()) {
            row.0[lane] = *kept;
        }
    }
}

/// What a batch asks of a group.
impl<const L: usize> Group<L> {
    /// Puts the frames' samples of a step of 10 ms into lanes, and says what is to be done with them; `None` when nobody
    /// has any.
    pub(super) fn load(
        &mut self,
        rate: &Rate,
        gate: Gate,
        step: usize,
        batch: &[(Slot, &mut [f32])],
        out: &mut [Lanes<L>],
    ) -> Option<Asked<L>> {
        let mut asked =
            Asked { present: Mask::NONE, full: Mask::NONE, light: Mask::NONE, pass: Lanes::splat(1.0), pitch: false };
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
            asked.present.set(lane, true);
            asked.pitch |= owner.effort == Effort::Full;
            match (owner.activity.is_open(gate, energy / rate.step as f32), owner.effort) {
                (_, Effort::Through) => {}
                (false, _) => asked.pass.0[lane] = CLOSED_GAIN,
                (true, Effort::Full) => asked.full.set(lane, true),
                (true, Effort::Light) => asked.light.set(lane, true),
            }
        }
        asked.present.any().then_some(asked)
    }

    /// Copies the state away if it has calls that must not move on.
    pub(super) fn keep(&self, present: Mask<L>, kept: &mut [Lanes<L>]) -> Option<Mask<L>> {
        let absent = Mask::of(|lane| self.owners[lane].is_some() && !present.has(lane));
        if !absent.any() {
            return None;
        }
        for (kept, row) in kept.iter_mut().zip(&self.block[..self.rows]) {
            *kept = *row;
        }
        Some(absent)
    }

    /// Puts back what [`Group::keep`] copied.
    pub(super) fn restore(&mut self, absent: Option<Mask<L>>, kept: &[Lanes<L>]) {
        let Some(absent) = absent else { return };
        for (row, kept) in self.block().iter_mut().zip(kept) {
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
