//! Decision logic: whether the next frame plays as it is, shorter or longer.
//!
//! Sound is fetched packet by packet by pulls of one frame, so only a change by whole steps (the greatest common
//! divisor of frame and packet) lets packets wait shorter or longer. A remainder beyond a whole step delays the sound
//! and protects nothing: it is always worth removing.

/// Tolerated shortness of the delay before it is made longer, and the least distance from the next shorter one
/// before it is made shorter, in microseconds.
const TOLERANCE_US: i64 = 2_500;
/// Off by this much, sound is cut or repeated where it is merely alike.
const URGENT_US: i64 = 80_000;
/// A delay that is short by less than this may still suffice, or the pulls may move; so it must stay short for a while
/// before it is made longer.
const SLIGHT_US: i64 = 10_000;
const PATIENCE_US: u64 = 1_500_000;
/// Two changes in loud sound lie at least this far apart.
const CHANGE_EVERY_US: u64 = 60_000;

/// What to do with the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Play it.
    Normal,
    /// Remove at most so many samples.
    Accelerate { most: usize, urgent: bool },
    /// Insert at most so many samples.
    PreemptiveExpand { most: usize, urgent: bool },
}

/// What the decision needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    pub(super) rate: u32,
    /// Samples of a pull and of a packet.
    pub(super) frame: usize,
    pub(super) packet: usize,
    /// Decoded samples that wait.
    pub(super) waiting: usize,
}

impl Situation {
    /// Samples by which waiting times can change.
    fn step(&self) -> usize {
        let (mut a, mut b) = (self.frame.max(1), self.packet.max(1));
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    }

    fn us(&self, samples: usize) -> i64 {
        (samples as u64 * 1_000_000 / u64::from(self.rate.max(1))) as i64
    }

    /// By how much less than the distance to the next sample's media time a packet waits that is just needed, in
    /// microseconds.
    pub(super) fn unused_us(&self) -> i64 {
        let step = self.step();
        self.us(self.frame.max(1) - step + self.waiting % step)
    }

    /// The change of the delay in samples that `excess_us` (of the delay of packets over the wanted one) asks for.
    pub(super) fn change(&self, excess_us: i64) -> isize {
        let step = self.step();
        let step_us = self.us(step).max(1);
        let remainder = (self.waiting % step) as isize;
        let most = i64::from(self.rate); // a second
        if excess_us < -TOLERANCE_US {
            let steps = excess_us.saturating_neg().saturating_add(step_us - 1) / step_us;
            (steps.saturating_mul(step as i64)).min(most) as isize - remainder
        } else {
            let spare = excess_us.saturating_sub(TOLERANCE_US.max(step_us / 4)).max(0) / step_us;
            -((spare.saturating_mul(step as i64)).min(most) as isize) - remainder
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct DecisionLogic {
    last_change: u64,
    /// Since when the delay has been too short.
    short_since: Option<u64>,
}

impl DecisionLogic {
    /// What to do, given how much longer than wanted packets wait.
    pub(super) fn decide(&mut self, now: u64, situation: &Situation, excess_us: i64) -> Operation {
        let change = situation.change(excess_us);
        if excess_us >= -TOLERANCE_US {
            self.short_since = None;
        } else {
            let since = *self.short_since.get_or_insert(now);
            if excess_us > -SLIGHT_US && now.saturating_sub(since) < PATIENCE_US {
                return Operation::Normal;
            }
        }
        let urgent = excess_us.saturating_abs() > URGENT_US;
        if !urgent && now.saturating_sub(self.last_change) < CHANGE_EVERY_US {
            return Operation::Normal;
        }
        match change {
            0 => Operation::Normal,
            1.. => Operation::PreemptiveExpand { most: change as usize, urgent },
            _ => Operation::Accelerate { most: change.unsigned_abs(), urgent },
        }
    }

    /// The delay was changed.
    pub(super) const fn changed(&mut self, now: u64) {
        self.last_change = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Situation = Situation { rate: 8000, frame: 160, packet: 160, waiting: 0 };

    #[test]
    fn only_whole_frames_of_twenty_millisecond_packets_are_worth_a_change() {
        assert_eq!(PLAIN.change(0), 0);
        assert_eq!(PLAIN.change(24_000), 0);
        assert_eq!(PLAIN.change(25_000), -160);
        assert_eq!(PLAIN.change(66_000), -480);
        assert_eq!(PLAIN.change(-2_000), 0);
        assert_eq!(PLAIN.change(-3_000), 160);
        assert_eq!(PLAIN.change(-21_000), 320);
    }

    #[test]
    fn a_remainder_is_removed_or_completed() {
        let odd = Situation { waiting: 230, ..PLAIN };
        assert_eq!(odd.change(1_000), -70);
        assert_eq!(odd.change(-3_000), 90);
        assert_eq!(odd.unused_us(), 8_750);
    }

    #[test]
    fn other_packet_lengths_have_their_own_steps() {
        assert_eq!(Situation { packet: 80, ..PLAIN }.unused_us(), 10_000);
        assert_eq!(Situation { packet: 240, ..PLAIN }.change(13_000), -80);
        assert_eq!(Situation { packet: 480, ..PLAIN }.change(13_000), 0);
        assert_eq!(Situation { packet: 0, frame: 0, ..PLAIN }.change(i64::MAX), -8000);
        assert_eq!(Situation { packet: 0, frame: 0, ..PLAIN }.change(i64::MIN), 8000);
    }

    #[test]
    fn changes_keep_their_distance_unless_urgent() {
        let mut logic = DecisionLogic::default();
        logic.changed(1_000_000);
        assert_eq!(logic.decide(1_020_000, &PLAIN, 30_000), Operation::Normal);
        assert_eq!(logic.decide(1_060_000, &PLAIN, 30_000), Operation::Accelerate { most: 160, urgent: false });
        let far = Operation::Accelerate { most: 640, urgent: true };
        assert_eq!(logic.decide(1_020_000, &PLAIN, 90_000), far);
        let longer = Operation::PreemptiveExpand { most: 160, urgent: false };
        assert_eq!(logic.decide(1_060_000, &PLAIN, -15_000), longer);
    }

    #[test]
    fn a_slight_shortness_must_last() {
        let mut logic = DecisionLogic::default();
        let longer = Operation::PreemptiveExpand { most: 160, urgent: false };
        assert_eq!(logic.decide(1_000_000, &PLAIN, -5_000), Operation::Normal);
        assert_eq!(logic.decide(2_400_000, &PLAIN, -5_000), Operation::Normal);
        assert_eq!(logic.decide(2_500_000, &PLAIN, -5_000), longer);
        assert_eq!(logic.decide(2_600_000, &PLAIN, 0), Operation::Normal);
        assert_eq!(logic.decide(2_700_000, &PLAIN, -5_000), Operation::Normal);
    }
}
