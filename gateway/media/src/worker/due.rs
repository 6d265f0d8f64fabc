//! When a leg is due again: phases move, frames keep their distance.

use super::{PHASE_US, TICK_US};

/// Two frames of a leg are never closer than this, in microseconds: a phase less than a tick, so that a leg may move to
/// the phase before. One that moves to a later phase skips that phase's first tick: served in it, it would send a
/// frame 5 or 10 ms after the one before, be early for good, and pull sound out of the jitter buffer that is not due.
const SOONEST_US: u64 = TICK_US - PHASE_US;

/// One way of a leg: when it was served last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Due(Option<u64>);

impl Due {
    /// Whether a frame is due in the phase of `deadline`, and then how many ticks before it never happened. Asked once
    /// for every frame.
    pub(super) fn take(&mut self, deadline: u64) -> Option<u64> {
        let missed = match self.0 {
            None => 0,
            Some(last) => deadline.saturating_sub(last).checked_sub(SOONEST_US)? / TICK_US,
        };
        self.0 = Some(deadline);
        Some(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_their_distance_when_the_phase_moves_and_lost_ticks_are_counted() {
        let cases = [
            // Next visit after a frame, in ms, and what comes of it.
            (5, None),
            (10, None),
            (15, Some(0)),
            (20, Some(0)),
            (25, Some(0)),
            (30, Some(0)),
            (35, Some(1)),
            (40, Some(1)),
            (45, Some(1)),
            (60, Some(2)),
            (120, Some(5)),
        ];
        for (ms, expected) in cases {
            let mut due = Due::default();
            assert_eq!(due.take(1_000_000), Some(0), "the first frame is due at once");
            assert_eq!(due.take(1_000_000 + ms * 1000), expected, "{ms}");
        }
        let mut due = Due::default();
        due.take(0);
        assert_eq!(due.take(5_000), None);
        assert_eq!(due.take(25_000), Some(0), "a visit that was skipped is no frame");
    }
}
