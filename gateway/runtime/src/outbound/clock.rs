//! The clock on the wall beside one that only runs: minutes of calls are counted by what passes, days by what the wall says, and
//! a wall clock that is set, by NTP after a start or by hand, is no time that has passed.

use std::time::Instant;

/// By how much the two may differ from one look to the next, in microseconds: what NTP does little by little is no setting.
const DRIFT_US: u64 = 2_000_000;

/// Both clocks as they were seen last.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<(u64, Instant)>);

impl Clock {
    /// By how many microseconds the wall clock was set since the last look; 0 when it was not. `wall_us` is in microseconds
    /// since the Unix epoch.
    pub(super) fn set_by(&mut self, wall_us: u64, at: Instant) -> i64 {
        let Some((before_us, then)) = self.0.replace((wall_us, at)) else { return 0 };
        let passed_us = u64::try_from(at.saturating_duration_since(then).as_micros()).unwrap_or(u64::MAX);
        let expected_us = before_us.saturating_add(passed_us);
        if wall_us.abs_diff(expected_us) <= DRIFT_US { 0 } else { wall_us.wrapping_sub(expected_us).cast_signed() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_that_passes_is_no_setting_and_a_setting_is_told_once() {
        let (begin, second) = (Instant::now(), 1_000_000);
        let mut clock = Clock::default();
        let mut at = |wall_s: u64, seconds| clock.set_by(wall_s * second, begin + Duration::from_secs(seconds));
        assert_eq!(at(1000, 0), 0, "what it says first is right");
        assert_eq!(at(1060, 60), 0);
        assert_eq!(at(1122, 120), 0, "a clock that is a little off is put right little by little");
        assert_eq!(at(9123, 121), 8000 * second as i64);
        assert_eq!(at(9124, 122), 0);
        assert_eq!(at(1124, 122), -8000 * second as i64);
        assert_eq!(at(1125, 123), 0);
    }
}
