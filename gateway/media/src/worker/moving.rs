//! Legs that move from a worker that is full to one that is not: whole, between two ticks, with exactly one owner.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::{Seat, WorkerShared};

/// Legs under way from one worker to another at most.
const UNDER_WAY: usize = 16;
/// A worker gives legs away above this load, to one that has this much less; in thousandths of its time. The distance
/// keeps a leg from going back and forth: it takes over a quarter of a core to make two workers swap.
const GIVES_ABOVE: usize = 400;
const DISTANCE: usize = 250;
/// Legs given away in a second at most: load is only known a second later.
const AT_ONCE: usize = 8;

/// A worker's rings to and from every other.
#[derive(Debug)]
pub(crate) struct Peers {
    index: usize,
    shared: Vec<Arc<WorkerShared>>,
    max_legs: usize,
    /// By worker; none to and from itself.
    outgoing: Vec<Option<Producer<Box<Seat>>>>,
    incoming: Vec<Option<Consumer<Box<Seat>>>>,
}

impl Peers {
    /// The rings of workers whose legs may move among them.
    pub(crate) fn connect(shared: &[Arc<WorkerShared>], max_legs: usize) -> Vec<Self> {
        let count = shared.len();
        let mut all: Vec<Self> = (0..count)
            .map(|index| Self {
                index,
                shared: shared.to_vec(),
                max_legs,
                outgoing: (0..count).map(|_| None).collect(),
                incoming: (0..count).map(|_| None).collect(),
            })
            .collect();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let (producer, consumer) = RingBuffer::new(UNDER_WAY);
                all[from].outgoing[to] = Some(producer);
                all[to].incoming[from] = Some(consumer);
            }
        }
        all
    }

    /// Which worker's they are.
    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    /// A leg that has come.
    pub(super) fn arrive(&mut self) -> Option<Box<Seat>> {
        self.incoming.iter_mut().flatten().find_map(|ring| ring.pop().ok())
    }

    /// To whom legs should go at a load of `mine`, and how many of `legs`.
    pub(super) fn relief(&self, mine: u32, legs: usize) -> Option<(usize, usize)> {
        let mine = mine as usize;
        let load = |shared: &WorkerShared| shared.load.load(Ordering::Relaxed);
        let others = self.shared.iter().enumerate().filter(|(index, _)| *index != self.index);
        let (to, least) = others.map(|(index, shared)| (index, load(shared))).min_by_key(|(_, load)| *load)?;
        if mine <= GIVES_ABOVE || mine < least + DISTANCE {
            return None;
        }
        // Half of the difference, each leg taken for its share.
        let share = legs * (mine - least) / (2 * mine);
        Some((to, share.clamp(1, AT_ONCE))).filter(|_| legs > 1)
    }

    /// Takes a place on worker `to` for a leg of ours; false when it is full.
    pub(super) fn reserve(&self, to: usize) -> bool {
        let Some(shared) = self.shared.get(to) else { return false };
        if shared.legs.fetch_add(1, Ordering::AcqRel) >= self.max_legs {
            shared.legs.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        true
    }

    /// Sends a leg to worker `to`, where it has a place; it comes back when there are too many under way.
    pub(super) fn send(&mut self, to: usize, seat: Box<Seat>) -> Result<(), Box<Seat>> {
        let Some(Some(ring)) = self.outgoing.get_mut(to) else { return Err(seat) };
        match ring.push(seat) {
            Ok(()) => {
                self.shared[self.index].legs.fetch_sub(1, Ordering::AcqRel);
                Ok(())
            }
            Err(PushError::Full(seat)) => {
                self.shared[to].legs.fetch_sub(1, Ordering::AcqRel);
                Err(seat)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(loads: &[usize]) -> Vec<Peers> {
        let shared: Vec<_> = loads.iter().map(|_| Arc::new(WorkerShared::default())).collect();
        for (shared, load) in shared.iter().zip(loads) {
            shared.load.store(*load, Ordering::Relaxed);
        }
        Peers::connect(&shared, 2)
    }

    #[test]
    fn legs_go_to_the_idlest_worker_and_only_when_it_is_worth_it() {
        assert_eq!(peers(&[600, 300, 100])[0].relief(600, 100), Some((2, AT_ONCE)));
        assert_eq!(peers(&[600, 300])[0].relief(600, 8), Some((1, 2)));
        assert_eq!(peers(&[600, 400])[0].relief(600, 100), None, "too near");
        assert_eq!(peers(&[390, 0])[0].relief(390, 100), None, "not full");
        assert_eq!(peers(&[900, 0])[0].relief(900, 1), None, "one leg alone only changes the place of the load");
        assert_eq!(peers(&[900])[0].relief(900, 100), None);
    }

    #[test]
    fn a_full_worker_is_sent_nothing() {
        let peers = peers(&[900, 0]);
        assert!(peers[0].reserve(1) && peers[0].reserve(1));
        assert!(!peers[0].reserve(1));
        assert_eq!(peers[0].shared[1].legs.load(Ordering::Relaxed), 2);
    }
}
