//! Which ways sound is to go with one far end, and how far that is agreed on: offered once at a time, again after a pause where
//! both sides offered at once or the far end is busy, and given up where it refuses.

use std::time::{Duration, Instant};

use trunkline_leg::Direction;

/// Most times that a wish is offered.
const MOST_TRIES: u32 = 8;
/// How soon it is looked again whether the far end's own change is over.
const LOOK: Duration = Duration::from_millis(50);
/// For how long that is waited for: as long as SIP gives an answer.
const PATIENCE: Duration = Duration::from_secs(32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be offered, not before then.
    Due(Instant),
    /// On its way.
    Offered,
    Settled,
}

/// The ways of one leg.
#[derive(Debug)]
pub(super) struct Turning {
    wanted: Direction,
    /// What the far end was last told, and took.
    agreed: Direction,
    state: State,
    tries: u32,
    /// When it is given up that something else is under way.
    until: Instant,
}

impl Turning {
    /// A leg on which sound goes both ways.
    pub(super) const fn new(now: Instant) -> Self {
        let (wanted, agreed) = (Direction::SendRecv, Direction::SendRecv);
        Self { wanted, agreed, state: State::Settled, tries: 0, until: now }
    }

    /// Another wish. What is on its way is waited for.
    pub(super) fn want(&mut self, now: Instant, direction: Direction) {
        self.wanted = direction;
        (self.tries, self.until) = (0, now + PATIENCE);
        if self.state != State::Offered {
            self.state = if self.wanted == self.agreed { State::Settled } else { State::Due(now) };
        }
    }

    /// What is to be offered now.
    pub(super) fn due(&self, now: Instant) -> Option<Direction> {
        matches!(self.state, State::Due(at) if at <= now).then_some(self.wanted)
    }

    /// When it is to be looked at again.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        if let State::Due(at) = self.state { Some(at) } else { None }
    }

    /// Whether nothing is left to do or to wait for.
    pub(super) fn is_settled(&self) -> bool {
        self.state == State::Settled
    }

    /// Whether an offer is on its way.
    pub(super) fn is_offered(&self) -> bool {
        self.state == State::Offered
    }

    /// It was offered.
    pub(super) const fn offered(&mut self) {
        self.state = State::Offered;
        self.tries += 1;
    }

    /// It could not be offered, since the session is being changed already. False when it is given up.
    pub(super) fn is_busy(&mut self, now: Instant) -> bool {
        let waits = now < self.until;
        self.state = if waits { State::Due(now + LOOK) } else { State::Settled };
        waits
    }

    /// The offer was taken; `offered` is what it said.
    pub(super) fn accepted(&mut self, now: Instant, offered: Direction) {
        self.agreed = offered;
        self.state = if self.wanted == self.agreed { State::Settled } else { State::Due(now) };
    }

    /// It was not. The direction to go back to when it is given up.
    pub(super) fn refused(&mut self, now: Instant, again: Option<Duration>) -> Option<Direction> {
        match again {
            Some(pause) if self.tries < MOST_TRIES => {
                self.state = if self.wanted == self.agreed { State::Settled } else { State::Due(now + pause) };
                None
            }
            _ => {
                self.state = State::Settled;
                Some(self.agreed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Direction = Direction::SendOnly;
    const BOTH: Direction = Direction::SendRecv;

    #[test]
    fn a_hold_is_offered_once_and_taken_back_once() {
        let now = Instant::now();
        let mut turning = Turning::new(now);
        assert!(turning.is_settled());
        turning.want(now, BOTH);
        assert_eq!(turning.due(now), None, "it is so already");
        turning.want(now, HOLD);
        assert_eq!(turning.due(now), Some(HOLD));
        turning.offered();
        assert_eq!((turning.due(now), turning.poll_timeout()), (None, None));
        // It is taken back before the far end has spoken.
        turning.want(now, BOTH);
        assert_eq!(turning.due(now), None, "one offer at a time");
        turning.accepted(now, HOLD);
        assert_eq!(turning.due(now), Some(BOTH));
        turning.offered();
        turning.accepted(now, BOTH);
        assert!(turning.is_settled());
    }

    #[test]
    fn two_at_once_try_again_after_a_pause_and_not_for_ever() {
        let now = Instant::now();
        let pause = Duration::from_millis(1500);
        let mut turning = Turning::new(now);
        turning.want(now, HOLD);
        let mut tries = 0;
        let mut at = now;
        while turning.due(at).is_some() {
            turning.offered();
            tries += 1;
            if turning.refused(at, Some(pause)).is_some() {
                break;
            }
            assert_eq!((turning.due(at), turning.poll_timeout()), (None, Some(at + pause)));
            at += pause;
        }
        assert_eq!(tries, 8);
        assert!(turning.is_settled());
        turning.want(at, BOTH);
        assert!(turning.is_settled(), "what was never agreed on needs no taking back");
    }

    #[test]
    fn who_refuses_is_asked_no_more_and_what_was_agreed_on_holds() {
        let now = Instant::now();
        let mut turning = Turning::new(now);
        turning.want(now, HOLD);
        turning.offered();
        turning.accepted(now, HOLD);
        turning.want(now, BOTH);
        turning.offered();
        assert_eq!(turning.refused(now, None), Some(HOLD));
        assert!(turning.is_settled());
        turning.want(now, BOTH);
        assert_eq!(turning.due(now), Some(BOTH), "the next order is offered again");
    }

    #[test]
    fn a_change_of_the_far_ends_own_is_waited_for_but_not_for_ever() {
        let now = Instant::now();
        let mut turning = Turning::new(now);
        turning.want(now, HOLD);
        assert!(turning.is_busy(now));
        assert_eq!((turning.due(now), turning.due(now + LOOK)), (None, Some(HOLD)));
        assert!(!turning.is_busy(now + PATIENCE));
        assert!(turning.is_settled());
    }
}
