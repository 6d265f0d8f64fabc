//! When to report (RFC 3550 6.2, 6.3): by the session's bandwidth, at least a minimum apart, and never in step.

/// Smallest mean time between two reports in microseconds, and half of it before the first (RFC 3550 6.2).
const MINIMUM_US: u64 = 5_000_000;
/// RTCP's share of the session's bandwidth.
const SHARE: f64 = 0.05;
/// e - 3/2: timer reconsideration makes intervals shorter than they were drawn (RFC 3550 6.3.1).
const COMPENSATION: f64 = 1.218_28;
/// Both ends of a leg.
const MEMBERS: f64 = 2.0;
/// What IP and UDP add to a packet in bytes.
const HEADERS: f64 = 28.0;

/// The transmission timer of one leg. Randomness is an argument, uniform in 0..=`u32::MAX`.
#[derive(Debug, Clone)]
pub(super) struct Interval {
    /// Of the session, in bytes per second.
    bandwidth: f64,
    /// Mean size of reports sent and received, in bytes with headers.
    mean_size: f64,
    sent_at: u64,
    due: u64,
    initial: bool,
}

impl Interval {
    /// A timer that begins at `now` for a session of `bits_per_second` one way, headers included.
    pub(super) fn new(bits_per_second: u32, now: u64, random: u32) -> Self {
        let mut interval = Self {
            bandwidth: f64::from(bits_per_second.max(8000)) * MEMBERS / 8.0,
            mean_size: 128.0,
            sent_at: now,
            due: now,
            initial: true,
        };
        interval.due = now + interval.draw(random);
        interval
    }

    /// A report of `bytes` was sent or received.
    pub(super) fn packet(&mut self, bytes: usize) {
        self.mean_size += (bytes as f64 + HEADERS - self.mean_size) / 16.0;
    }

    /// Whether to report now. Timer reconsideration (RFC 3550 6.3.6): what has changed since may put it off.
    pub(super) fn expire(&mut self, now: u64, random: u32) -> bool {
        if now < self.due {
            return false;
        }
        let due = self.sent_at + self.draw(random);
        if due > now {
            self.due = due;
            return false;
        }
        self.sent(now, random.rotate_left(16));
        true
    }

    /// A report was sent.
    pub(super) fn sent(&mut self, now: u64, random: u32) {
        self.sent_at = now;
        self.initial = false;
        self.due = now + self.draw(random);
    }

    /// RFC 3550 6.3.1: the deterministic interval, varied by half, compensated.
    fn draw(&self, random: u32) -> u64 {
        let by_bandwidth = MEMBERS * self.mean_size / (self.bandwidth * SHARE) * 1e6;
        // The reduced minimum of 360 s over the bandwidth in kbit/s, where that is less than 5 s.
        let reduced = 360e6 / (self.bandwidth * 8.0 / 1000.0);
        let minimum = reduced.min(MINIMUM_US as f64) / if self.initial { 2.0 } else { 1.0 };
        let varied = by_bandwidth.max(minimum) * (0.5 + f64::from(random) / f64::from(u32::MAX));
        (varied / COMPENSATION) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform and seeded.
    fn random(seed: u64) -> impl FnMut() -> u32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        }
    }

    /// The times of a leg's reports in seconds.
    fn reports(bits_per_second: u32, seed: u64, seconds: u64) -> Vec<f64> {
        let mut random = random(seed);
        let mut interval = Interval::new(bits_per_second, 0, random());
        let ticks = (1..seconds * 50).map(|tick| tick * 20_000);
        ticks.filter(|now| interval.expire(*now, random())).map(|now| now as f64 / 1e6).collect()
    }

    #[test]
    fn reports_are_five_seconds_apart_in_the_mean_and_never_in_step() {
        let mut first = Vec::new();
        for seed in 0..200 {
            let times = reports(12_000, seed, 600);
            let mean = times.last().unwrap() / times.len() as f64;
            assert!((4.2..=5.8).contains(&mean), "seed {seed}: {mean} s");
            for pair in times.windows(2) {
                let apart = pair[1] - pair[0];
                assert!((2.0..=6.2).contains(&apart), "seed {seed}: {apart} s");
            }
            first.push(times[0]);
        }
        first.sort_by(f64::total_cmp);
        // Half as long before the first, and spread over the range.
        assert!(first[0] >= 1.0 && first[199] <= 3.1, "{} {}", first[0], first[199]);
        assert!(first[150] - first[50] > 0.3, "{} {}", first[50], first[150]);
    }

    #[test]
    fn a_session_of_more_bandwidth_may_report_sooner() {
        // 360 s / 160 kbit/s of G.711 both ways is 2.25 s.
        let times = reports(80_000, 7, 600);
        let mean = times.last().unwrap() / times.len() as f64;
        assert!((1.9..=2.7).contains(&mean), "{mean} s");
    }

    #[test]
    fn large_reports_in_a_narrow_session_are_rarer() {
        let mut random = random(3);
        let mut interval = Interval::new(8_000, 0, random());
        for _ in 0..200 {
            interval.packet(1_400);
        }
        let ticks = (1..600 * 50).map(|tick| tick * 20_000);
        let count = ticks.filter(|now| interval.expire(*now, random())).count();
        // Two members of 1428 bytes on 5 % of 2 kB/s: 28.6 s in the mean.
        assert!((15..=30).contains(&count), "{count}");
    }
}
