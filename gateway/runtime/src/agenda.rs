//! When each call of a worker wants to be looked at although nothing arrived: its own deadlines and those of its plugin
//! sessions, the earliest of each call, in one order.

use std::collections::BTreeSet;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// At most one entry a call, so that it never holds more than there are calls. Times are microseconds of the worker's
/// clock.
#[derive(Debug)]
pub(crate) struct Agenda {
    order: BTreeSet<(u64, usize)>,
    armed: Vec<u64>,
}

impl Agenda {
    /// An empty agenda for calls numbered below `calls`.
    pub(crate) fn new(calls: usize) -> Self {
        Self { order: BTreeSet::new(), armed: vec![NEVER; calls] }
    }

    /// `call` wants to be looked at by `due_us`. A later time than the one that stands changes nothing: deadlines mostly
    /// move back, and a look too early costs less than to move each of them.
    pub(crate) fn arm(&mut self, call: usize, due_us: u64) {
        let Some(armed) = self.armed.get_mut(call) else { return };
        if due_us < *armed {
            if *armed != NEVER {
                self.order.remove(&(*armed, call));
            }
            *armed = due_us;
            self.order.insert((due_us, call));
        }
    }

    /// `call` wants nothing any more.
    pub(crate) fn forget(&mut self, call: usize) {
        if let Some(armed) = self.armed.get_mut(call)
            && *armed != NEVER
        {
            self.order.remove(&(*armed, call));
            *armed = NEVER;
        }
    }

    /// The earliest time.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.order.first().map(|(due_us, _)| *due_us)
    }

    /// Takes the earliest call whose time has come at `now_us`.
    pub(crate) fn take_due(&mut self, now_us: u64) -> Option<usize> {
        let (due_us, call) = *self.order.first()?;
        (due_us <= now_us).then(|| {
            self.forget(call);
            call
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn calls_come_when_they_are_due_and_once() {
        let mut agenda = Agenda::new(3);
        agenda.arm(0, 30);
        agenda.arm(1, 20);
        agenda.arm(2, 10);
        agenda.forget(2);
        assert_eq!(agenda.next_us(), Some(20));
        assert_eq!(agenda.take_due(19), None);
        assert_eq!([agenda.take_due(30), agenda.take_due(30), agenda.take_due(30)], [Some(1), Some(0), None]);
        agenda.arm(7, 1);
        assert_eq!(agenda.next_us(), None, "a call that cannot be");
    }

    proptest! {
        /// Whatever calls ask for, nobody is looked at later than asked, and there is one entry a call.
        #[test]
        fn nobody_is_late(steps in proptest::collection::vec((0_usize..8, 0_u64..1000, 0_u64..50), 1..200)) {
            let mut agenda = Agenda::new(8);
            let mut wanted = [NEVER; 8];
            let mut now = 0;
            for (call, due, passes) in steps {
                agenda.arm(call, due);
                wanted[call] = wanted[call].min(due);
                now += passes;
                while let Some(call) = agenda.take_due(now) {
                    prop_assert_eq!(wanted[call], wanted.iter().copied().min().unwrap());
                    wanted[call] = NEVER;
                }
                prop_assert!(wanted.iter().all(|due| *due > now));
                prop_assert!(agenda.order.len() <= 8);
                prop_assert_eq!(agenda.next_us(), wanted.iter().copied().min().filter(|due| *due != NEVER));
            }
        }
    }
}
