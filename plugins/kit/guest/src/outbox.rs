//! Keeps the contract's credit rule for every plugin: never more events than the host has room for, `again` while
//! something is left.

use std::collections::VecDeque;

/// Events on their way to the host.
///
/// A handler pushes what it learned; the kit hands over as much as the host's credit allows and keeps the rest for the
/// next `resume`. A plugin that can produce without end looks at [`Outbox::room`], stops when it is zero and calls
/// [`Outbox::more`], so that it is asked again when there is room.
#[derive(Debug)]
pub struct Outbox<E> {
    queue: VecDeque<E>,
    room: usize,
    more: bool,
}

impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), room: 0, more: false }
    }
}

impl<E> Outbox<E> {
    /// Adds an event.
    pub fn push(&mut self, event: E) {
        self.queue.push_back(event);
    }

    /// How many more events the host takes in this step.
    pub fn room(&self) -> usize {
        self.room.saturating_sub(self.queue.len())
    }

    /// Events that wait for credit.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Says that the plugin has more to give: the host will call `resume` when there is room.
    pub fn more(&mut self) {
        self.more = true;
    }

    /// Drops everything that has not been handed over, for barge-in and cancellation.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.more = false;
    }

    /// Drops the waiting events for which `keep` is false.
    pub fn retain(&mut self, keep: impl FnMut(&E) -> bool) {
        self.queue.retain(keep);
    }

    /// Runs a handler and returns what the host may have now and whether more is left.
    #[doc(hidden)]
    pub fn step<Error>(
        &mut self,
        credit: u32,
        handler: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(Vec<E>, bool), Error> {
        self.room = credit as usize;
        handler(self)?;
        Ok(self.take())
    }

    /// As [`Outbox::step`] for `resume`: the handler runs only when it asked for it and there is room.
    #[doc(hidden)]
    pub fn resume<Error>(
        &mut self,
        credit: u32,
        handler: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(Vec<E>, bool), Error> {
        self.room = credit as usize;
        if self.more && self.room() > 0 {
            self.more = false;
            handler(self)?;
        }
        Ok(self.take())
    }

    fn take(&mut self) -> (Vec<E>, bool) {
        let count = self.room.min(self.queue.len());
        let events = self.queue.drain(..count).collect();
        (events, self.more || !self.queue.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(_: &mut Outbox<u32>) -> Result<(), ()> {
        Ok(())
    }

    #[test]
    fn never_exceeds_the_credit_and_asks_to_be_resumed() {
        let mut out = Outbox::default();
        let (events, again) = out
            .step(2, |out| {
                (0..5).for_each(|n| out.push(n));
                Ok::<(), ()>(())
            })
            .unwrap();
        assert_eq!((events, again), (vec![0, 1], true));
        assert_eq!(out.resume(0, ok).unwrap(), (vec![], true));
        assert_eq!(out.resume(9, ok).unwrap(), (vec![2, 3, 4], false));
    }

    #[test]
    fn a_handler_is_resumed_only_when_it_asked_and_there_is_room() {
        let mut out = Outbox::default();
        out.step(1, |out| {
            out.push(1);
            out.push(2);
            out.more();
            Ok::<(), ()>(())
        })
        .unwrap();
        let mut ran = false;
        out.resume(1, |_| {
            ran = true;
            Ok::<(), ()>(())
        })
        .unwrap();
        assert!(!ran, "the waiting event used the only credit");
        let (events, again) = out
            .resume(1, |out| {
                ran = true;
                out.push(3);
                Ok::<(), ()>(())
            })
            .unwrap();
        assert!(ran);
        assert_eq!((events, again), (vec![3], false));
    }
}
