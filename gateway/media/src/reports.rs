//! Reception statistics of one source, as RTCP reports them (RFC 3550 6.4.1, A.1, A.3, A.8; RFC 3611 4.7).
//!
//! Sequence numbers are counted of every packet, jitter of audio packets only: those of a telephone event all carry
//! the time of its start (RFC 4733 2.5.1.2). A packet that comes twice is received once, so that it hides no loss.

use crate::burst::{Bursts, Fate};

/// RFC 3550 A.1: packets in sequence before a source counts, the largest step forward that is loss, and the largest
/// step backward that is reordering.
const MIN_SEQUENTIAL: u8 = 2;
const MAX_DROPOUT: u16 = 3000;
const MAX_MISORDER: u16 = 100;
/// Packets whose fate is still open: a late one among them is not lost, a second one is a duplicate.
const WINDOW: u64 = 128;

/// Counts what came against what should have come.
#[derive(Debug, Clone)]
pub(crate) struct Reception {
    clock_rate: u32,
    /// Packets in sequence still wanted; 0 once the source counts.
    probation: u8,
    started: bool,
    /// Extended sequence numbers, one cycle up, so that reordering at the start does not go below zero.
    base: u64,
    highest: u64,
    /// One past the sequence number of a jump: a second packet there restarts the count.
    restart_at: Option<u16>,
    received: u64,
    /// Lost before the last restart.
    lost_before: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Fates of the last packets, bit 0 the highest: here, and discarded because its turn had passed.
    here: u128,
    discarded: u128,
    bursts: Bursts,
    /// Jitter in timestamp units, scaled by 16.
    jitter: u64,
    transit: Option<i64>,
}

/// One report block's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceptionReport {
    /// Lost since the report before, of 256.
    pub(crate) fraction_lost: u8,
    pub(crate) cumulative_lost: u32,
    /// Extended: cycles in the upper half.
    pub(crate) highest_seq: u32,
    /// In timestamp units.
    pub(crate) jitter: u32,
}

impl Reception {
    /// Of a source whose timestamps count at `clock_rate` Hz.
    pub(crate) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            probation: MIN_SEQUENTIAL,
            started: false,
            base: 0,
            highest: 0,
            restart_at: None,
            received: 0,
            lost_before: 0,
            expected_prior: 0,
            received_prior: 0,
            here: 0,
            discarded: 0,
            bursts: Bursts::default(),
            jitter: 0,
            transit: None,
        }
    }

    /// Another source of the same leg: everything is counted anew, but how losses lay.
    pub(crate) fn restart(&mut self) {
        *self = Self { bursts: self.bursts, ..Self::new(self.clock_rate) };
    }

    /// Takes note of an audio packet that arrived at `arrival_us`.
    pub(crate) fn audio(&mut self, seq: u16, timestamp: u32, arrival_us: u64) {
        if self.count(seq) {
            self.measure(timestamp, arrival_us);
        }
    }

    /// Takes note of a packet whose timestamp is not the time it was sent: a telephone event, comfort noise.
    pub(crate) fn other(&mut self, seq: u16) {
        self.count(seq);
    }

    /// The packet came too late to be played.
    pub(crate) fn discard(&mut self, seq: u16) {
        let behind = u64::from((self.highest as u16).wrapping_sub(seq));
        if self.started && behind < WINDOW {
            self.discarded |= 1 << behind;
        }
    }

    /// Another codec: its clock, and no jitter from what was.
    pub(crate) fn set_clock_rate(&mut self, clock_rate: u32) {
        if clock_rate != self.clock_rate {
            let us = self.jitter_us();
            self.clock_rate = clock_rate.max(1);
            self.jitter = us * u64::from(self.clock_rate) / 1_000_000 * 16;
            self.transit = None;
        }
    }

    /// Jitter in microseconds.
    pub(crate) fn jitter_us(&self) -> u64 {
        (self.jitter >> 4) * 1_000_000 / u64::from(self.clock_rate)
    }

    /// Losses since the source was first heard; packets on their way count until they come.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_before + self.expected().saturating_sub(self.received)
    }

    /// How losses and discards lay: bursts and gaps.
    pub(crate) const fn bursts(&self) -> &Bursts {
        &self.bursts
    }

    /// The figures since the stream began, with the fraction since the last call; `None` before any packet.
    pub(crate) fn report(&mut self) -> Option<ReceptionReport> {
        if !self.started || self.probation > 0 {
            return None;
        }
        let expected = self.expected();
        let expected_now = expected.saturating_sub(self.expected_prior);
        let received_now = self.received.saturating_sub(self.received_prior);
        (self.expected_prior, self.received_prior) = (expected, self.received);
        let lost_now = expected_now.saturating_sub(received_now);
        Some(ReceptionReport {
            fraction_lost: (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8,
            cumulative_lost: self.lost().min(0x7f_ffff) as u32,
            highest_seq: (self.highest - 0x1_0000) as u32,
            jitter: (self.jitter >> 4) as u32,
        })
    }

    fn expected(&self) -> u64 {
        if self.started && self.probation == 0 { self.highest - self.base + 1 } else { 0 }
    }

    /// RFC 3550 A.1; true when the packet counts.
    fn count(&mut self, seq: u16) -> bool {
        if !self.started {
            self.started = true;
            self.begin(seq);
            self.probation = MIN_SEQUENTIAL - 1;
            return false;
        }
        let ahead = seq.wrapping_sub(self.highest as u16);
        if self.probation > 0 {
            if ahead == 1 {
                self.probation -= 1;
            } else {
                self.probation = MIN_SEQUENTIAL - 1;
            }
            self.begin(seq);
            self.received = u64::from(self.probation == 0);
            return self.probation == 0;
        }
        if ahead == 0 {
            return false;
        }
        if ahead < MAX_DROPOUT {
            self.advance(u64::from(ahead));
            self.received += 1;
            return true;
        }
        let behind = seq.wrapping_neg().wrapping_add(self.highest as u16);
        if behind < MAX_MISORDER {
            return self.came_late(u64::from(behind));
        }
        // Far away: loss of that size, or a sender that restarted. The next packet tells.
        if self.restart_at == Some(seq) {
            self.lost_before = self.lost();
            self.begin(seq);
            (self.received, self.expected_prior, self.received_prior) = (1, 0, 0);
            return true;
        }
        self.restart_at = Some(seq.wrapping_add(1));
        false
    }

    fn begin(&mut self, seq: u16) {
        self.base = 0x1_0000 + u64::from(seq);
        self.highest = self.base;
        self.here = 1;
        self.discarded = 0;
        self.restart_at = None;
        self.transit = None;
    }

    fn advance(&mut self, steps: u64) {
        for _ in 0..steps {
            // What leaves the window has met its fate; before the base nothing was expected.
            if self.highest + 1 >= self.base + WINDOW {
                let last = 1 << (WINDOW - 1);
                let fate = match (self.here & last != 0, self.discarded & last != 0) {
                    (true, false) => Fate::Played,
                    (true, true) => Fate::Discarded,
                    (false, _) => Fate::Lost,
                };
                self.bursts.packet(fate);
            }
            self.here <<= 1;
            self.discarded <<= 1;
            self.highest += 1;
        }
        self.here |= 1;
        self.restart_at = None;
    }

    fn came_late(&mut self, behind: u64) -> bool {
        let bit = 1 << behind;
        if self.here & bit != 0 {
            return false;
        }
        // From before the first packet: it was never expected, so it makes up for no loss.
        if self.highest - behind < self.base {
            return false;
        }
        self.here |= bit;
        self.received += 1;
        true
    }

    /// RFC 3550 A.8.
    fn measure(&mut self, timestamp: u32, arrival_us: u64) {
        let arrival = (u128::from(arrival_us) * u128::from(self.clock_rate) / 1_000_000) as u64;
        let transit = i64::from(arrival as u32) - i64::from(timestamp);
        if let Some(before) = self.transit {
            let moved = u64::from(((transit - before) as i32).unsigned_abs());
            // A jump of more than a second is another talkspurt's clock, not jitter.
            if moved < u64::from(self.clock_rate) {
                self.jitter = self.jitter + moved - (self.jitter + 8) / 16;
            }
        }
        self.transit = Some(transit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn received(sequence: impl IntoIterator<Item = u16>) -> Reception {
        let mut reception = Reception::new(8000);
        for (n, seq) in sequence.into_iter().enumerate() {
            reception.audio(seq, n as u32 * 160, n as u64 * 20_000);
        }
        reception
    }

    #[test]
    fn losses_and_wrap_are_counted_as_the_standard_says() {
        let mut reception = Reception::new(8000);
        for n in 0..200_u32 {
            if n % 4 != 3 {
                let seq = 65_500_u16.wrapping_add(n as u16);
                reception.audio(seq, n * 160, u64::from(n) * 20_000);
            }
        }
        let report = reception.report().unwrap();
        assert_eq!(report.highest_seq, 65_500 + 198);
        assert_eq!(report.cumulative_lost, 49);
        // The first of the two packets of probation is not counted (A.1).
        assert_eq!(report.fraction_lost, (49 * 256 / 198) as u8);
        assert_eq!(report.jitter, 0);
        assert_eq!(reception.report().unwrap().fraction_lost, 0);
        assert!(Reception::new(8000).report().is_none());
        assert!(received([1]).report().is_none(), "one packet makes no source");
    }

    #[test]
    fn a_jump_of_the_sequence_number_restarts_the_count_and_invents_no_loss() {
        for to in [33_000_u16, 40_000, 1, 60_000] {
            let mut reception = received((500..600).chain((0..100).map(|n| to.wrapping_add(n))));
            let report = reception.report().unwrap();
            // The packet that announced the jump is not counted, as those of a probation are not.
            assert!(report.cumulative_lost <= 1, "{} losses after a jump to {to}", report.cumulative_lost);
            assert_eq!(report.highest_seq as u16, to.wrapping_add(99));
        }
        // A single stray number is none of ours.
        let mut reception = received((500..600).chain([33_000]).chain(600..700));
        assert_eq!(reception.report().unwrap().cumulative_lost, 0);
    }

    #[test]
    fn losses_before_a_jump_are_not_forgotten() {
        let sequence = (500..600).filter(|n| n % 10 != 5).chain(40_000..40_100);
        assert_eq!(received(sequence).report().unwrap().cumulative_lost, 10);
    }

    #[test]
    fn duplicates_hide_no_loss() {
        // Every fourth is lost, and every other one comes twice.
        let sequence = (0..400_u16).filter(|n| n % 4 != 3).flat_map(|n| [n, n]);
        let mut reception = received(sequence);
        let report = reception.report().unwrap();
        assert_eq!(report.cumulative_lost, 99);
        assert_eq!(report.fraction_lost, 63);
    }

    #[test]
    fn reordering_is_no_loss() {
        let sequence = (0..100_u16).flat_map(|n| [3 * n + 2, 3 * n + 1, 3 * n + 3]);
        let mut reception = received([0, 1].into_iter().chain(sequence));
        assert_eq!(reception.report().unwrap().cumulative_lost, 0);
    }

    #[test]
    fn jitter_settles_at_the_mean_deviation() {
        let mut reception = Reception::new(8000);
        for n in 0..1000_u64 {
            reception.audio(n as u16, n as u32 * 160, n * 20_000 + (n % 2) * 5_000);
        }
        assert!((4_000..=5_000).contains(&reception.jitter_us()), "{}", reception.jitter_us());
    }

    #[test]
    fn telephone_events_add_no_jitter_and_no_loss() {
        let mut reception = Reception::new(8000);
        for n in 0..1000_u64 {
            match n % 50 {
                // Twelve packets of an event, all with the time of its start.
                20..32 => reception.other(n as u16),
                _ => reception.audio(n as u16, n as u32 * 160, n * 20_000),
            }
        }
        assert_eq!(reception.jitter_us(), 0);
        assert_eq!(reception.report().unwrap().cumulative_lost, 0);
    }

    #[test]
    fn the_clock_is_the_codecs() {
        for rate in [8000_u32, 16_000, 48_000] {
            let mut reception = Reception::new(8000);
            reception.set_clock_rate(rate);
            for n in 0..1000_u64 {
                reception.audio(n as u16, n as u32 * rate / 50, n * 20_000 + (n % 2) * 5_000);
            }
            assert!((4_000..=5_000).contains(&reception.jitter_us()), "{rate}: {}", reception.jitter_us());
        }
    }

    #[test]
    fn late_packets_are_discards_of_the_burst_statistics() {
        let mut reception = Reception::new(8000);
        for n in 0..1000_u32 {
            reception.audio(n as u16, n * 160, u64::from(n) * 20_000);
            if n % 20 == 7 {
                reception.discard(n as u16);
            }
        }
        let metrics = reception.bursts().metrics(20);
        assert_eq!((metrics.loss_rate, reception.lost()), (0, 0));
        assert!(metrics.discard_rate.abs_diff(12) <= 1, "{metrics:?}");
    }

    proptest! {
        /// Whatever order and copies a network makes of a stream, every packet that never came is lost, no other is.
        #[test]
        fn what_is_lost_is_what_never_came(
            first: u16,
            fates in prop::collection::vec((0..100_u8, 0..20_u64), 200..600),
        ) {
            let mut packets: Vec<(u64, u64)> = Vec::new();
            let mut lost = 0;
            for (n, (fate, delay)) in fates.iter().enumerate() {
                let n = n as u64;
                // The ends arrive, in order, so that the same packets are expected.
                if n < 2 || n + 1 == fates.len() as u64 {
                    packets.push((n * 10 + if n < 2 { 0 } else { 1000 }, n));
                } else if *fate < 10 {
                    lost += 1;
                } else {
                    packets.push((n * 10 + 20 + delay * 10, n));
                    if *fate < 20 {
                        packets.push((n * 10 + 21 + delay * 10, n));
                    }
                }
            }
            packets.sort_unstable();
            let mut reception = Reception::new(8000);
            for (at, n) in packets {
                reception.audio(first.wrapping_add(n as u16), n as u32 * 160, at * 2000);
            }
            prop_assert_eq!(reception.report().unwrap().cumulative_lost, lost);
        }

        #[test]
        fn any_sequence_is_counted_without_panic(sequence in prop::collection::vec(any::<u16>(), 0..400)) {
            let mut reception = received(sequence);
            let _ = reception.report();
            let _ = reception.bursts().metrics(20);
        }
    }
}
