//! What a call, or a session of one, costs a thread: believed at first, learned from then on.

use super::LoadPolicy;

/// What a call is believed to cost an agent worker before any was measured, in thousandths of its time: far more than most
/// do, and little enough for hundreds to be taken at once.
const CALL_PERMILLE: f64 = 2.0;
/// For how many seconds of one call, or session, the belief counts against what was measured.
const BELIEF_S: f64 = 10.0;
/// What was measured is forgotten to a third within this many seconds in which there were calls; without any, never.
const MEMORY_S: f64 = 60.0;
/// The same for how much the load swings.
const SWING_MEMORY_S: f64 = 20.0;
/// A sample that took longer than this counts for no more: the machine stood still meanwhile.
const LONGEST_S: f64 = 1.0;

/// The cost of a unit.
#[derive(Debug)]
pub(super) struct Cost {
    believed_permille: f64,
    spent_permille_s: f64,
    unit_s: f64,
    swing_permille: f64,
}

impl Cost {
    /// That of a call for an agent worker.
    pub(super) const fn of_call() -> Self {
        Self { believed_permille: CALL_PERMILLE, spent_permille_s: 0.0, unit_s: 0.0, swing_permille: 0.0 }
    }

    /// That of a session for a thread of the side pool.
    pub(super) fn of_session(policy: &LoadPolicy) -> Self {
        let believed_permille = f64::from(policy.busy_permille.min(1000)) / f64::from(policy.untried_sessions.max(1));
        Self { believed_permille, ..Self::of_call() }
    }

    /// A thread with so many thousandths of a unit worked for this share of the time, in thousandths.
    pub(super) fn learn(&mut self, took_us: u64, busy_permille: u32, milliunits: u64) {
        if milliunits == 0 {
            return;
        }
        let (took_s, busy) = ((took_us as f64 / 1e6).min(LONGEST_S), f64::from(busy_permille));
        let off = (busy - self.each_permille() * milliunits as f64 / 1000.0).abs();
        self.swing_permille += (off - self.swing_permille) * (took_s / SWING_MEMORY_S);
        let kept = (-took_s / MEMORY_S).exp();
        self.spent_permille_s = self.spent_permille_s * kept + busy * took_s;
        self.unit_s = self.unit_s * kept + milliunits as f64 / 1000.0 * took_s;
    }

    /// Of so many thousandths of a unit, in thousandths of a thread's time.
    pub(super) fn of(&self, milliunits: u64) -> u32 {
        // Saturates, as casts of floating-point numbers do.
        (self.each_permille() * milliunits as f64 / 1000.0).ceil() as u32
    }

    /// By how much the load is off what its calls cost on the whole, on the mean: callers do not take turns in speaking.
    pub(super) fn swing_permille(&self) -> u32 {
        self.swing_permille as u32
    }

    /// Of one unit, in millionths of a thread's time.
    pub(super) fn ppm(&self) -> u32 {
        (self.each_permille() * 1000.0) as u32
    }

    fn each_permille(&self) -> f64 {
        (self.believed_permille * BELIEF_S + self.spent_permille_s) / (BELIEF_S + self.unit_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_believed_gives_way_to_what_is_measured_and_is_kept_while_nobody_calls() {
        let mut cost =
            Cost::of_session(&LoadPolicy { busy_permille: 750, untried_sessions: 25, ..LoadPolicy::default() });
        assert_eq!((cost.of(1000), cost.of(10_000)), (30, 300));
        for _ in 0..240 {
            cost.learn(250_000, 100, 50_000);
        }
        assert!((100..120).contains(&cost.of(50_000)), "fifty sessions that need a tenth of a thread: {cost:?}");
        let before = cost.ppm();
        cost.learn(3_600_000_000, 0, 0);
        assert_eq!(cost.ppm(), before);
    }

    #[test]
    fn a_machine_that_stood_still_has_not_learned_that_calls_are_dear() {
        let mut cost = Cost::of_call();
        for _ in 0..240 {
            cost.learn(250_000, 20, 10_000);
        }
        cost.learn(60_000_000, 1000, 10_000);
        assert!(cost.ppm() < 5000, "{}", cost.ppm());
    }
}
