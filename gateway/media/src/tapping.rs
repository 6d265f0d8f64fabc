//! A leg's tap: the one that carries its sound now, and the one that waits to take its place.

use rtrb::{Consumer, Producer, RingBuffer};
use trunkline_leg::{TapEnd, Tapped};

/// Taps that may wait for the leg's tick.
const WAITING: usize = 2;

/// A leg's side of its taps. Nothing here waits, and dropping a tap frees nothing while its listener is there.
#[derive(Debug)]
pub(crate) struct Taps {
    tap: Option<TapEnd>,
    next: Consumer<TapEnd>,
}

impl Taps {
    /// Taps that begin with `first`; further ones come through the ring.
    pub(crate) fn new(first: Option<TapEnd>) -> (Self, Producer<TapEnd>) {
        let (producer, next) = RingBuffer::new(WAITING);
        (Self { tap: first, next }, producer)
    }

    /// Begins a tick, after `missed` that never happened.
    pub(crate) fn begin(&mut self, missed: u64) {
        if let Some(tap) = &mut self.tap {
            tap.skip(missed);
        }
        while let Ok(next) = self.next.pop() {
            self.tap = Some(next);
        }
    }

    /// Mixes a tone that is due into what will be said; true when one was.
    pub(crate) fn mix_beep(&mut self, said: &mut [i16]) -> bool {
        self.tap.as_mut().is_some_and(|tap| tap.mix_beep(said))
    }

    /// Leaves a tick of both voices for the listener. True when it had to be dropped for now.
    pub(crate) fn record(&mut self, heard: &[i16], said: &[i16]) -> bool {
        match self.tap.as_mut().map(|tap| tap.record(heard, said)) {
            Some(Tapped::Dropped) => true,
            Some(Tapped::Over) => {
                self.tap = None;
                false
            }
            Some(Tapped::Kept) | None => false,
        }
    }
}
