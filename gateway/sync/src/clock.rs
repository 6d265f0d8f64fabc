//! How far this machine's clock is from the control plane's, from the heartbeats.

use std::collections::VecDeque;

const SAMPLES: usize = 8;

/// The offset to add to the local wall clock, taken from the answer with the shortest round trip of the last 8.
#[derive(Debug, Clone, Default)]
pub struct ClockOffset {
    samples: VecDeque<(u64, i64)>,
}

impl ClockOffset {
    /// Takes a heartbeat: sent and answered by the monotonic clock, the local wall clock at the answer, and the
    /// control plane's time in it. All microseconds.
    pub fn sample(&mut self, sent_us: u64, answered_us: u64, wall_us: u64, server_us: u64) {
        let round_trip = answered_us.saturating_sub(sent_us);
        let server_now = i128::from(server_us) + i128::from(round_trip / 2);
        let offset = i64::try_from(server_now - i128::from(wall_us)).unwrap_or(0);
        // A step of the local clock makes older samples worthless.
        if self
            .samples
            .iter()
            .any(|&(trip, known)| known.abs_diff(offset) > trip.saturating_add(round_trip) + 1_000_000)
        {
            self.samples.clear();
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((round_trip, offset));
    }

    /// Microseconds to add to the local wall clock; `None` before the first answer.
    #[must_use]
    pub fn offset_us(&self) -> Option<i64> {
        self.samples.iter().min_by_key(|sample| sample.0).map(|sample| sample.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_wins_and_a_step_starts_over() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.offset_us(), None);
        clock.sample(0, 400_000, 10_400_000, 20_000_000);
        assert_eq!(clock.offset_us(), Some(9_800_000));
        clock.sample(1_000_000, 1_010_000, 11_410_000, 21_105_000);
        assert_eq!(clock.offset_us(), Some(9_700_000));
        clock.sample(2_000_000, 2_100_000, 3_600_002_100_000, 22_350_000);
        assert_eq!(clock.offset_us(), Some(22_400_000 - 3_600_002_100_000));
    }
}
