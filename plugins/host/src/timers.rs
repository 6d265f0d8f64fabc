//! A session's timers, on whatever clock its owner keeps.

use std::collections::BTreeSet;

/// Most timers of one session.
pub(crate) const MAX_TIMERS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(u64, u32)>,
    next: u32,
}

impl Timers {
    /// The id of a new timer, or `None` when there are too many.
    pub(crate) fn set(&mut self, due_us: u64) -> Option<u32> {
        if self.due.len() >= MAX_TIMERS {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        self.due.insert((due_us, self.next));
        Some(self.next)
    }

    pub(crate) fn cancel(&mut self, id: u32) {
        self.due.retain(|&(_, own)| own != id);
    }

    /// The earliest timer that is due.
    pub(crate) fn pop(&mut self, now_us: u64) -> Option<u32> {
        let &(due_us, id) = self.due.first()?;
        if due_us > now_us {
            return None;
        }
        self.due.remove(&(due_us, id));
        Some(id)
    }

    pub(crate) fn next_due_us(&self) -> Option<u64> {
        self.due.first().map(|&(due_us, _)| due_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_once_and_not_after_a_cancel() {
        let mut timers = Timers::default();
        let late = timers.set(20).unwrap();
        let early = timers.set(10).unwrap();
        let gone = timers.set(15).unwrap();
        timers.cancel(gone);
        assert_eq!(timers.pop(9), None);
        assert_eq!(timers.next_due_us(), Some(10));
        assert_eq!((timers.pop(30), timers.pop(30), timers.pop(30)), (Some(early), Some(late), None));
    }

    #[test]
    fn the_number_of_timers_is_bounded() {
        let mut timers = Timers::default();
        assert!((0..MAX_TIMERS).all(|_| timers.set(1).is_some()));
        assert_eq!(timers.set(1), None);
    }
}
