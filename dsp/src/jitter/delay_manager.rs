//! The delay manager: how long packets should wait, from the histogram of their arrival delays.
//!
//! The delay of a packet is its transit time above the fastest of the last two to four seconds (the base), so that
//! neither the unknown distance of the clocks nor their drift matters. A histogram that forgets gives the quantile
//! that must arrive in time. Stalls that come back every few seconds are too rare for the quantile; they are kept as
//! peaks, and three within ten seconds count as the network's habit. Nothing changes while nothing arrives, so that a
//! pause in the far end's speech leaves the estimate as it was.

use super::JitterConfig;

/// Width of a histogram bin in microseconds.
const BIN_US: u64 = 2_500;
const BINS: usize = 160;
/// Share of packets that must arrive within the target.
const QUANTILE: f32 = 0.95;
/// Share of packets whose successor should be here when they are found missing.
const LOOK_AHEAD_QUANTILE: f32 = 0.7;
/// Weight a packet's past keeps when the next arrives: an effective memory of 100 packets.
const MEMORY: f32 = 0.99;
/// The unit of the weights at which they are renewed, some 900 packets after the last time.
const LEAST_UNIT: f32 = 1e-4;
/// The base (fastest) transit is the minimum over this many microseconds, twice.
const WINDOW_US: u64 = 2_000_000;
/// Losses within this time of each other are a lossy network; without one for so long, it is none any more.
const LOSSY_US: u64 = 10_000_000;
/// A delay is a peak when it exceeds the usual target by this much, in microseconds.
const PEAK_ABOVE_US: u64 = 40_000;
/// Packets that one stall held up arrive within this time.
const PEAK_APART_US: u64 = 500_000;
/// So many peaks within so long are covered.
const PEAKS: usize = 3;
const PEAKS_WITHIN_US: u64 = 10_000_000;
/// The largest look-ahead, in microseconds.
const LOOK_AHEAD_MAX_US: u64 = 30_000;

/// Estimates the base transit time and the delay that covers the spread above it.
#[derive(Debug, Clone)]
pub(super) struct DelayManager {
    /// Weights of the delays. They are kept over `unit`, so that forgetting is one multiplication and not one for each.
    histogram: [f32; BINS],
    total: f32,
    unit: f32,
    packets: u32,
    window_start: u64,
    base_now: i64,
    base_before: i64,
    target: u64,
    min: u64,
    max: u64,
    /// Arrival and height of the newest peaks, newest first; a height of 0 is none.
    peaks: [(u64, u64); PEAKS],
    look_ahead: bool,
    last_loss: Option<u64>,
    lossy: bool,
}

impl DelayManager {
    pub(super) fn new(config: &JitterConfig) -> Self {
        // Half the range of an i64 is 146 000 years.
        let min = config.min_delay_us.min(u64::MAX / 4);
        let max = config.max_delay_us.clamp(min, u64::MAX / 4);
        Self {
            histogram: [0.0; BINS],
            total: 0.0,
            unit: 1.0,
            packets: 0,
            window_start: 0,
            base_now: i64::MAX,
            base_before: i64::MAX,
            target: min,
            min,
            max,
            peaks: [(0, 0); PEAKS],
            look_ahead: config.loss_look_ahead,
            last_loss: None,
            lossy: false,
        }
    }

    pub(super) fn reset(&mut self) {
        self.histogram.fill(0.0);
        (self.total, self.unit) = (0.0, 1.0);
        self.packets = 0;
        self.base_now = i64::MAX;
        self.base_before = i64::MAX;
        self.target = self.min;
        self.peaks = [(0, 0); PEAKS];
        self.last_loss = None;
        self.lossy = false;
    }

    /// Takes over what another has found of the network. The distance of the clocks is not part of it: the stream that
    /// begins may count from anywhere.
    pub(super) fn follow(&mut self, before: &Self) {
        self.histogram = before.histogram;
        (self.total, self.unit) = (before.total, before.unit);
        self.packets = before.packets;
        self.window_start = 0;
        (self.base_now, self.base_before) = (i64::MAX, i64::MAX);
        self.target = before.target.clamp(self.min, self.max);
        self.peaks = before.peaks;
        (self.last_loss, self.lossy) = (before.last_loss, before.lossy && self.look_ahead);
    }

    /// Takes note of a packet: `transit` is its arrival minus its media time, `duration` its length, all in
    /// microseconds.
    pub(super) fn packet(&mut self, arrival: u64, transit: i64, duration: u64) {
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
        self.unit *= memory;
        let weight = (1.0 - memory) / self.unit;
        self.histogram[bin] += weight;
        self.total += weight;
        if self.unit < LEAST_UNIT {
            self.renew();
        }
        if self.lossy && self.last_loss.is_none_or(|at| arrival.saturating_sub(at) > LOSSY_US) {
            self.lossy = false;
        }
        // The edge of the bin, and one more: what barely makes it today comes too late tomorrow.
        let mut target = self.quantile(QUANTILE) + BIN_US;
        if spread > target + PEAK_ABOVE_US {
            self.peak(arrival, spread);
        }
        let [.., (oldest, height)] = self.peaks;
        if height > 0 && arrival.saturating_sub(oldest) <= PEAKS_WITHIN_US {
            let highest = self.peaks.iter().map(|(_, height)| *height).max().unwrap_or(0);
            target = target.max(highest.saturating_add(BIN_US));
        }
        if self.lossy {
            target = target.max(self.quantile(LOOK_AHEAD_QUANTILE) + duration.min(LOOK_AHEAD_MAX_US));
        }
        self.target = target.clamp(self.min, self.max);
    }

    /// Brings the weights back to a unit of 1.
    fn renew(&mut self) {
        for weight in &mut self.histogram {
            *weight *= self.unit;
        }
        self.total = self.histogram.iter().sum();
        self.unit = 1.0;
    }

    fn peak(&mut self, arrival: u64, height: u64) {
        let (newest, before) = self.peaks[0];
        if before > 0 && arrival.saturating_sub(newest) < PEAK_APART_US {
            self.peaks[0].1 = before.max(height);
        } else {
            self.peaks.rotate_right(1);
            self.peaks[0] = (arrival, height);
        }
    }

    /// Upper edge of the bin below which this share of the packets lies, in microseconds.
    fn quantile(&self, share: f32) -> u64 {
        let (enough, mut sum) = (self.total * share, 0.0);
        let covering = self.histogram.iter().position(|weight| {
            sum += weight;
            sum >= enough
        });
        (covering.unwrap_or(BINS - 1) as u64 + 1) * BIN_US
    }

    /// Takes note of a gap in the sequence that no packet will fill.
    pub(super) fn loss(&mut self, now: u64) {
        self.lossy |= self.look_ahead && self.last_loss.is_some_and(|at| now.saturating_sub(at) <= LOSSY_US);
        self.last_loss = Some(now);
    }

    fn base(&self) -> i64 {
        self.base_now.min(self.base_before)
    }

    /// The delay wanted above the fastest transit, in microseconds.
    pub(super) const fn target(&self) -> u64 {
        self.target
    }

    /// How much longer than wanted a packet of the fastest transit has waited, when it plays with `transit`, in
    /// microseconds.
    pub(super) fn excess(&self, transit: i64) -> i64 {
        if self.base() == i64::MAX { 0 } else { transit.saturating_sub(self.base()).saturating_sub(self.target as i64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager() -> DelayManager {
        DelayManager::new(&JitterConfig::default())
    }

    #[test]
    fn a_steady_network_needs_the_smallest_delay() {
        let mut delay = manager();
        for n in 0..200_u64 {
            delay.packet(n * 20_000 + 7_000, 7_000, 20_000);
        }
        assert_eq!(delay.target(), 5_000);
        assert_eq!(delay.excess(13_000), 1_000);
    }

    #[test]
    fn the_target_covers_the_spread_and_comes_down_again() {
        let mut delay = manager();
        for n in 0..300_u64 {
            let late = (n * 7 % 5) * 10_000;
            delay.packet(n * 20_000 + late, late as i64, 20_000);
        }
        assert!((40_000..=45_000).contains(&delay.target()), "{}", delay.target());
        for n in 300..900_u64 {
            delay.packet(n * 20_000, 0, 20_000);
        }
        assert_eq!(delay.target(), 5_000);
    }

    #[test]
    fn the_base_follows_a_slower_route_within_two_windows() {
        let mut delay = manager();
        for n in 0..100_u64 {
            delay.packet(n * 20_000, 0, 20_000);
        }
        for n in 100..400_u64 {
            delay.packet(n * 20_000 + 50_000, 50_000, 20_000);
        }
        assert_eq!(delay.excess(50_000 + delay.target() as i64), 0);
    }

    #[test]
    fn stalls_that_come_back_are_covered_until_they_stay_away() {
        let mut delay = manager();
        let mut run = |seconds: std::ops::Range<u64>, stalls: bool| {
            for n in seconds.start * 50..seconds.end * 50 {
                // Every 3 s four packets arrive together.
                let late = if stalls && n % 150 >= 146 { (149 - n % 150 + 1) * 20_000 } else { 0 };
                delay.packet(n * 20_000 + late, late as i64, 20_000);
            }
            delay.target()
        };
        assert_eq!(run(0..6, true), 5_000);
        assert_eq!(run(6..12, true), 82_500);
        assert_eq!(run(12..30, false), 5_000);
    }

    #[test]
    fn losses_in_a_row_add_one_packet_and_a_single_one_does_not() {
        let mut delay = manager();
        let steady = |delay: &mut DelayManager, seconds: std::ops::Range<u64>| {
            for n in seconds.start * 50..seconds.end * 50 {
                delay.packet(n * 20_000, 0, 20_000);
            }
        };
        steady(&mut delay, 0..2);
        delay.loss(2_000_000);
        steady(&mut delay, 2..4);
        assert_eq!(delay.target(), 5_000);
        delay.loss(4_000_000);
        steady(&mut delay, 4..6);
        assert_eq!(delay.target(), 22_500);
        steady(&mut delay, 6..15);
        assert_eq!(delay.target(), 5_000);
    }
}
