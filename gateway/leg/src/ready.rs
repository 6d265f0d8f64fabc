//! Which calls of a worker have something: a bit a call, set by whoever has it and taken by the one who looks, so that a
//! thousand calls are not asked in turn whether anything happened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// The calls of one worker by number, each ready or not. Clones share it.
///
/// Marking is one atomic operation and allocates, locks and waits for nothing. A mark that is set already stays set.
#[derive(Debug, Clone)]
pub struct ReadySet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    words: Box<[AtomicU64]>,
    /// Numbers nobody has, lowest last.
    free: Mutex<Vec<u32>>,
}

/// A call's number in a [`ReadySet`], given back when it is dropped.
#[derive(Debug)]
pub struct ReadySlot(ReadyMark);

/// Marks one call as ready, from any thread. A mark that outlives the slot may name the next call of that number, which
/// then looks once for nothing.
#[derive(Debug, Clone)]
pub struct ReadyMark {
    shared: Arc<Shared>,
    index: u32,
}

impl ReadySet {
    /// A set for `calls` calls.
    #[must_use]
    pub fn new(calls: usize) -> Self {
        let words = (0..calls.div_ceil(WORD)).map(|_| AtomicU64::new(0)).collect();
        let free = (0..u32::try_from(calls).unwrap_or(u32::MAX)).rev().collect();
        Self(Arc::new(Shared { words, free: Mutex::new(free) }))
    }

    /// The only slot of a set that nobody looks at.
    #[must_use]
    pub fn alone() -> ReadySlot {
        let shared = Arc::new(Shared { words: Box::new([AtomicU64::new(0)]), free: Mutex::default() });
        ReadySlot(ReadyMark { shared, index: 0 })
    }

    /// A number for a new call; `None` when each has one. Locks: not for a media thread.
    #[must_use]
    pub fn claim(&self) -> Option<ReadySlot> {
        let index = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(ReadySlot(ReadyMark { shared: Arc::clone(&self.0), index }))
    }

    /// How many calls it has numbers for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.words.len() * WORD
    }

    /// Takes the marks down and calls `look` with the number of each call that had one, in order.
    pub fn take(&self, mut look: impl FnMut(usize)) {
        for (place, word) in self.0.words.iter().enumerate() {
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // Whatever was written before a mark is seen by whoever takes it.
            let mut marks = word.swap(0, Ordering::AcqRel);
            while marks != 0 {
                look(place * WORD + marks.trailing_zeros() as usize);
                marks &= marks - 1;
            }
        }
    }
}

impl ReadySlot {
    /// The call's number.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.0.index as usize
    }

    /// A way to mark the call.
    #[must_use]
    pub fn mark(&self) -> ReadyMark {
        self.0.clone()
    }
}

impl Drop for ReadySlot {
    fn drop(&mut self) {
        let mut free = self.0.shared.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(self.0.index);
    }
}

impl ReadyMark {
    /// Marks the call as ready; true when it was not.
    pub fn mark(&self) -> bool {
        let (place, bit) = (self.index as usize / WORD, 1 << (self.index as usize % WORD));
        self.shared.words[place].fetch_or(bit, Ordering::AcqRel) & bit == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn taken(set: &ReadySet) -> Vec<usize> {
        let mut found = Vec::new();
        set.take(|index| found.push(index));
        found
    }

    #[test]
    fn marks_are_taken_once_and_in_order() {
        let set = ReadySet::new(130);
        let slots: Vec<ReadySlot> = std::iter::from_fn(|| set.claim()).collect();
        assert_eq!(slots.len(), 130);
        for index in [129, 64, 3] {
            assert!(slots[index].mark().mark());
            assert!(!slots[index].mark().mark(), "it stays marked");
        }
        assert_eq!(taken(&set), [3, 64, 129]);
        assert_eq!(taken(&set), [0; 0]);
    }

    #[test]
    fn a_number_is_given_again_once_its_call_is_gone() {
        let set = ReadySet::new(2);
        let (first, second) = (set.claim().unwrap(), set.claim().unwrap());
        assert_eq!((first.index(), second.index()), (0, 1));
        assert!(set.claim().is_none());
        let late = first.mark();
        drop(first);
        assert_eq!(set.claim().unwrap().index(), 0);
        late.mark();
        assert_eq!(taken(&set), [0]);
    }

    #[test]
    fn no_mark_is_lost_between_threads() {
        let set = ReadySet::new(70);
        let slots: Vec<ReadySlot> = std::iter::from_fn(|| set.claim()).collect();
        let counts: Arc<Vec<AtomicU64>> = Arc::new((0..70).map(|_| AtomicU64::new(0)).collect());
        let done = Arc::new(AtomicBool::new(false));
        let writer = {
            let (counts, done) = (Arc::clone(&counts), Arc::clone(&done));
            std::thread::spawn(move || {
                for round in 0..20_000_usize {
                    let index = round * 31 % 70;
                    counts[index].fetch_add(1, Ordering::Relaxed);
                    slots[index].mark().mark();
                }
                done.store(true, Ordering::Release);
                slots
            })
        };
        let mut seen = vec![0; 70];
        loop {
            let last = done.load(Ordering::Acquire);
            set.take(|index| seen[index] = counts[index].load(Ordering::Relaxed));
            if last {
                break;
            }
        }
        let _slots = writer.join().unwrap();
        let made: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(seen, made, "what came before a mark is seen with it");
    }
}
