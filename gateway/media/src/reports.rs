//! Reception statistics of one source, as RTCP reports them (RFC 3550 6.4.1, A.3, A.8).

/// Counts what came against what should have come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reception {
    started: bool,
    base: u64,
    highest: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Jitter in timestamp units, scaled by 16.
    jitter: u64,
    transit: i64,
}

/// One report block's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceptionReport {
    pub(crate) fraction_lost: u8,
    pub(crate) cumulative_lost: u32,
    pub(crate) highest_seq: u32,
    pub(crate) jitter: u32,
}

impl Reception {
    /// Takes note of a packet that arrived at `arrival_us`, of a stream with `clock_rate` Hz.
    pub(crate) fn packet(&mut self, seq: u16, timestamp: u32, arrival_us: u64, clock_rate: u32) {
        let arrival = (u128::from(arrival_us) * u128::from(clock_rate) / 1_000_000) as u64;
        let transit = i64::from(arrival as u32) - i64::from(timestamp);
        if self.started {
            let step = i64::from(seq.wrapping_sub(self.highest as u16) as i16);
            self.highest = self.highest.max(self.highest.wrapping_add_signed(step));
            let moved = u64::from(((transit - self.transit) as i32).unsigned_abs());
            // A jump of more than a second is another talkspurt's clock, not jitter.
            if moved < u64::from(clock_rate) {
                self.jitter = self.jitter + moved - (self.jitter + 8) / 16;
            }
        } else {
            self.started = true;
            self.base = 0x1_0000 + u64::from(seq);
            self.highest = self.base;
        }
        self.transit = transit;
        self.received += 1;
    }

    /// Jitter in microseconds.
    pub(crate) fn jitter_us(&self, clock_rate: u32) -> u64 {
        (self.jitter >> 4) * 1_000_000 / u64::from(clock_rate)
    }

    /// The figures since the stream began, with the fraction since the last call; `None` before any packet.
    pub(crate) fn report(&mut self) -> Option<ReceptionReport> {
        if !self.started {
            return None;
        }
        let expected = self.highest - self.base + 1;
        let expected_now = expected - self.expected_before;
        let received_now = self.received - self.received_before;
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost_now = expected_now.saturating_sub(received_now);
        Some(ReceptionReport {
            fraction_lost: (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8,
            cumulative_lost: expected.saturating_sub(self.received).min(0x7f_ffff) as u32,
            highest_seq: (self.highest - 0x1_0000) as u32,
            jitter: (self.jitter >> 4) as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_wrap_are_counted_as_the_standard_says() {
        let mut reception = Reception::default();
        for n in 0..200_u32 {
            if n % 4 != 3 {
                let seq = 65_500_u16.wrapping_add(n as u16);
                reception.packet(seq, n * 160, u64::from(n) * 20_000, 8000);
            }
        }
        let report = reception.report().unwrap();
        assert_eq!(report.highest_seq, 65_500 + 198);
        assert_eq!(report.cumulative_lost, 49);
        assert_eq!(report.fraction_lost, (49 * 256 / 199) as u8);
        assert_eq!(report.jitter, 0);
        assert_eq!(reception.report().unwrap().fraction_lost, 0);
        assert!(Reception::default().report().is_none());
    }

    #[test]
    fn jitter_settles_at_the_mean_deviation() {
        let mut reception = Reception::default();
        for n in 0..1000_u64 {
            reception.packet(n as u16, n as u32 * 160, n * 20_000 + (n % 2) * 5_000, 8000);
        }
        assert!((4_000..=5_000).contains(&reception.jitter_us(8000)), "{}", reception.jitter_us(8000));
    }
}
