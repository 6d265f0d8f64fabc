//! How long packets should wait: the spread of their transit times, seen over the last seconds.

/// Width of a histogram bin in microseconds.
const BIN_US: u64 = 2_500;
const BINS: usize = 160;
/// Share of packets that must arrive within the target.
const QUANTILE: f32 = 0.97;
/// Weight a packet's past keeps when the next arrives: an effective memory of 100 packets.
const MEMORY: f32 = 0.99;
/// The base (fastest) transit is the minimum over this many microseconds, twice.
const WINDOW_US: u64 = 2_000_000;

/// Estimates the base transit time and the delay that covers the spread above it.
#[derive(Debug)]
pub(super) struct DelayEstimator {
    histogram: [f32; BINS],
    packets: u32,
    window_start: u64,
    base_now: i64,
    base_before: i64,
    target: u64,
    min: u64,
    max: u64,
}

impl DelayEstimator {
    pub(super) fn new(min: u64, max: u64) -> Self {
        let mut estimator = Self {
            histogram: [0.0; BINS],
            packets: 0,
            window_start: 0,
            base_now: i64::MAX,
            base_before: i64::MAX,
            target: min,
            min,
            max: max.max(min),
        };
        estimator.reset();
        estimator
    }

    pub(super) fn reset(&mut self) {
        self.histogram.fill(0.0);
        self.packets = 0;
        self.base_now = i64::MAX;
        self.base_before = i64::MAX;
        self.target = self.min;
    }

    /// Takes note of a packet: `transit` is its arrival minus its media time, both in microseconds.
    pub(super) fn packet(&mut self, arrival: u64, transit: i64) {
        if self.packets == 0 || arrival.saturating_sub(self.window_start) >= WINDOW_US {
            self.base_before = self.base_now;
            self.base_now = i64::MAX;
            self.window_start = arrival;
        }
        self.base_now = self.base_now.min(transit);
        self.packets = self.packets.saturating_add(1);

        let spread = transit.saturating_sub(self.base()).unsigned_abs();
        let bin = ((spread / BIN_US) as usize).min(BINS - 1);
        // Young estimates forget faster, so that the first packets do not decide for seconds.
        let memory = MEMORY.min(1.0 - 1.0 / (self.packets as f32 + 1.0));
        let mut total = 0.0;
        for weight in &mut self.histogram {
            *weight *= memory;
            total += *weight;
        }
        self.histogram[bin] += 1.0 - memory;
        total += 1.0 - memory;

        let mut sum = 0.0;
        let covering = self.histogram.iter().position(|weight| {
            sum += weight;
            sum >= total * QUANTILE
        });
        // The edge of the bin, and one more: what barely makes it today comes too late tomorrow.
        let edge = (covering.unwrap_or(BINS - 1) as u64 + 2) * BIN_US;
        self.target = edge.clamp(self.min, self.max);
    }

    fn base(&self) -> i64 {
        self.base_now.min(self.base_before)
    }

    /// The delay wanted above the fastest transit, in microseconds.
    pub(super) const fn target(&self) -> u64 {
        self.target
    }

    /// When a sample of media time 0 should play, in microseconds of the arrival clock.
    pub(super) fn wanted_offset(&self) -> i64 {
        if self.packets == 0 { 0 } else { self.base().saturating_add(self.target as i64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_network_needs_the_smallest_delay() {
        let mut delay = DelayEstimator::new(5_000, 300_000);
        for n in 0..200_u64 {
            delay.packet(n * 20_000 + 7_000, 7_000);
        }
        assert_eq!(delay.target(), 5_000);
        assert_eq!(delay.wanted_offset(), 12_000);
    }

    #[test]
    fn the_target_covers_the_spread_and_comes_down_again() {
        let mut delay = DelayEstimator::new(5_000, 300_000);
        for n in 0..300_u64 {
            let late = (n * 7 % 5) * 10_000;
            delay.packet(n * 20_000 + late, late as i64);
        }
        assert!((40_000..=45_000).contains(&delay.target()), "{}", delay.target());
        for n in 300..900_u64 {
            delay.packet(n * 20_000, 0);
        }
        assert_eq!(delay.target(), 5_000);
    }

    #[test]
    fn the_base_follows_a_slower_route_within_two_windows() {
        let mut delay = DelayEstimator::new(5_000, 300_000);
        for n in 0..100_u64 {
            delay.packet(n * 20_000, 0);
        }
        for n in 100..400_u64 {
            delay.packet(n * 20_000 + 50_000, 50_000);
        }
        assert_eq!(delay.wanted_offset(), 50_000 + delay.target() as i64);
    }
}
