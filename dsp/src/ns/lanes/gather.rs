//! Which calls share a group. A group costs the same for one call as for all of its lanes, so that calls move: together
//! when others have left, and to those whose frames come in the same batch as theirs.

use super::{NetworkBank, Place};

/// Groups from which a call may move, looked at in one go: what a batch that has settled as it is costs in every tick.
const SOURCES: usize = 3;

impl<const L: usize> NetworkBank<L> {
    /// Moves calls of a rate into as few groups as they need once half of the lanes in use by them are free.
    pub(super) fn compact(&mut self, rate: usize) {
        let (mut calls, mut groups) = (0, 0);
        for group in self.groups.iter().filter(|group| group.rate == rate && group.calls() > 0) {
            calls += group.calls();
            groups += 1;
        }
        if groups < 2 || 2 * calls > groups * L {
            return;
        }
        self.pack(rate);
    }

    /// Moves calls of a rate into as few groups as they need.
    pub(super) fn pack(&mut self, rate: usize) {
        self.unmark();
        while let Some((source, target)) = self.last_call_and_first_gap(rate) {
            self.exchange(source, target);
        }
    }

    /// The last call of a rate and the first free lane in a group before its own.
    fn last_call_and_first_gap(&self, rate: usize) -> Option<(Place, Place)> {
        let mut groups = self.groups.iter().enumerate().filter(|(_, group)| group.rate == rate);
        let (last, source) = groups.clone().rfind(|(_, group)| group.calls() > 0)?;
        let (first, target) = groups.find(|(_, group)| (1..L).contains(&group.calls()))?;
        let (source, target) = (source.last_used()?, target.first_free()?);
        (first < last).then_some((Place { group: last, lane: source }, Place { group: first, lane: target }))
    }

    /// Moves at most one call of each rate towards the others in the batch, when the batch touches more groups than
    /// it needs. A call that is in the way changes places with it. Says whether any moved.
    pub(super) fn gather(&mut self) -> bool {
        let mut moved = false;
        for rate in 0..self.rates.len() {
            if let Some((source, target)) = self.stray(rate) {
                self.exchange(source, target);
                moved = true;
            }
        }
        moved
    }

    /// A call of the batch that is to move, and where to: from where the fewest of the batch are.
    fn stray(&self, rate: usize) -> Option<(Place, Place)> {
        let touched = || {
            let groups = self.marked.clone().map(|index| (index, &self.groups[index]));
            let groups = groups.filter(|(_, group)| group.rate == rate);
            groups.map(|(index, group)| (index, group.present())).filter(|(_, present)| *present > 0)
        };
        let calls: usize = touched().map(|(_, present)| present).sum();
        if touched().count() <= calls.div_ceil(L) {
            return None;
        }
        let mut before = (0, 0);
        for _ in 0..SOURCES {
            // One after the other, fewest first: where the few cannot leave, perhaps those of the next group can.
            let next = touched().map(|(index, present)| (present, index)).filter(|next| *next > before).min()?;
            before = next;
            let (few, source) = next;
            let others = touched().filter(|(index, _)| *index != source);
            let best = others.filter_map(|(index, many)| {
                let (gain, lane) = self.best_lane((source, few), (index, many))?;
                Some((gain, Place { group: index, lane }))
            });
            if let Some((_, target)) = best.max_by_key(|(gain, _)| *gain) {
                return Some((Place { group: source, lane: self.groups[source].first_present()? }, target));
            }
        }
        None
    }

    /// The lane of a group that a call of the batch should have, and what is gained: pairs of calls that share both
    /// batch and group. Each move gains some, so that moving comes to an end.
    fn best_lane(&self, (source, few): (usize, usize), (target, many): (usize, usize)) -> Option<(usize, usize)> {
        let (from, to) = (&self.groups[source], &self.groups[target]);
        if let Some(free) = to.first_free() {
            return Some(((many + 1).checked_sub(few)?, free)).filter(|(gain, _)| *gain > 0);
        }
        // Whoever is in the way parts from its own and joins those in the other group.
        let gain = |batch: u64| (many + 1 + from.calls_of(batch)).checked_sub(few - 1 + to.calls_of(batch));
        let lanes = to.absent().filter_map(|(lane, batch)| Some((gain(batch)?, lane)));
        lanes.filter(|(gain, _)| *gain > 0).max_by_key(|(gain, _)| *gain)
    }

    /// Lets two lanes of groups of one rate change places with all they have.
    fn exchange(&mut self, one: Place, other: Place) {
        self.arrangement += 1;
        let half = self.moved.len() / 2;
        let (moved, back) = self.moved.split_at_mut(half);
        let first = self.groups[one.group].take(one.lane, moved);
        let second = self.groups[other.group].take(other.lane, back);
        for (guest, state, place) in [(first, moved, other), (second, back, one)] {
            if let Some(guest) = guest {
                self.places[guest.slot().index()] = Some(place);
                self.groups[place.group].put(place.lane, guest, state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ns::LanesBank;
    use crate::{NoiseBank, Slot};

    fn process(bank: &mut LanesBank, slots: impl Iterator<Item = Slot>) {
        let mut frames: Vec<_> = slots.map(|slot| (slot, vec![0.1; 160])).collect();
        let mut batch: Vec<_> = frames.iter_mut().map(|(slot, frame)| (*slot, &mut frame[..])).collect();
        bank.process(&mut batch);
    }

    fn groups(bank: &LanesBank, slots: impl Iterator<Item = Slot>) -> usize {
        let groups: std::collections::BTreeSet<_> = slots.map(|slot| bank.place(slot).unwrap().group).collect();
        groups.len()
    }

    #[test]
    fn calls_move_together_when_half_of_the_lanes_are_free() {
        let mut bank = LanesBank::new(32);
        let slots: Vec<_> = (0..32).map(|_| bank.attach(8000).unwrap()).collect();
        let (stay, leave): (Vec<_>, Vec<_>) = slots.into_iter().partition(|slot| slot.index() % 4 == 0);
        leave.into_iter().for_each(|slot| bank.detach(slot));
        assert_eq!(groups(&bank, stay.into_iter()), 1);
    }

    #[test]
    fn calls_of_the_same_batch_find_each_other_and_then_stay() {
        let mut bank = LanesBank::new(40);
        let slots: Vec<_> = (0..37).map(|_| bank.attach(8000).unwrap()).collect();
        let batch = |phase: usize| slots.iter().copied().filter(move |slot| slot.index() % 4 == phase);
        for _ in 0..40 {
            (0..4).for_each(|phase| process(&mut bank, batch(phase)));
        }
        let settled: Vec<_> = slots.iter().map(|slot| bank.place(*slot)).collect();
        for phase in 0..4 {
            let calls = batch(phase).count();
            assert!(groups(&bank, batch(phase)) <= calls.div_ceil(8) + 1, "phase {phase}: {calls} calls");
        }
        (0..4).for_each(|phase| process(&mut bank, batch(phase)));
        assert_eq!(settled, slots.iter().map(|slot| bank.place(*slot)).collect::<Vec<_>>());
    }
}
