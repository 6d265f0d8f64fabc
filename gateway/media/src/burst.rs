//! How losses lie: the four-state Markov model of RFC 3611 A.2, which tells bursts from gaps.
//!
//! A gap is a stretch in which at least [`GMIN`] packets in a row were played between two that were not; a burst is
//! everything between gaps. The same loss rate is worse in bursts, which is what the E-model's `BurstR` says.

/// Packets played in a row that end a burst (RFC 3611 4.7.2, and its recommended value).
pub(crate) const GMIN: u8 = 16;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Played,
    /// It never came.
    Lost,
    /// It came too late to be played.
    Discarded,
}

/// Counts of transitions: 1 received in a gap, 2 received in a burst, 3 missing in a burst, 4 missing alone in a gap.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bursts {
    lost: u64,
    discarded: u64,
    /// Played since the last one that was missing, and missing in the burst so far.
    played: u64,
    missing: u64,
    /// Runs of missing packets, for `BurstR`.
    runs: u64,
    in_run: bool,
    packets: u64,
    c11: u64,
    c13: u64,
    c14: u64,
    c22: u64,
    c23: u64,
    c33: u64,
}

/// The figures of RFC 3611 4.7.1 and 4.7.2. Rates and densities are of 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BurstMetrics {
    pub(crate) loss_rate: u8,
    pub(crate) discard_rate: u8,
    pub(crate) burst_density: u8,
    pub(crate) gap_density: u8,
    pub(crate) burst_duration_ms: u16,
    pub(crate) gap_duration_ms: u16,
}

impl Bursts {
    /// The next packet in the order of sequence numbers.
    pub(crate) fn packet(&mut self, fate: Fate) {
        self.packets += 1;
        match fate {
            Fate::Played => {
                self.played += 1;
                self.in_run = false;
                return;
            }
            Fate::Lost => self.lost += 1,
            Fate::Discarded => self.discarded += 1,
        }
        self.runs += u64::from(!self.in_run);
        self.in_run = true;
        if self.played >= u64::from(GMIN) {
            if self.missing == 1 {
                self.c14 += 1;
            } else {
                self.c13 += 1;
            }
            self.missing = 1;
            self.c11 += self.played;
        } else {
            self.missing += 1;
            if self.played == 0 {
                self.c33 += 1;
            } else {
                self.c23 += 1;
                self.c22 += self.played - 1;
            }
        }
        self.played = 0;
    }

    /// Share of packets that were not played, 0..=1.
    pub(crate) fn missing_share(&self) -> f64 {
        if self.packets == 0 { 0.0 } else { (self.lost + self.discarded) as f64 / self.packets as f64 }
    }

    /// Mean length of a run of missing packets over what it would be were they missing at random (ITU-T G.107 3.5).
    pub(crate) fn burst_ratio(&self) -> f64 {
        let missing = self.lost + self.discarded;
        if self.runs == 0 { 1.0 } else { (missing as f64 / self.runs as f64 * (1.0 - self.missing_share())).max(1.0) }
    }

    /// The figures for packets of `packet_ms`.
    pub(crate) fn metrics(&self, packet_ms: u8) -> BurstMetrics {
        if self.packets == 0 {
            return BurstMetrics::default();
        }
        let of_256 = |share: f64| (share * 256.0).clamp(0.0, 255.0) as u8;
        let rate = |count: u64| of_256(count as f64 / self.packets as f64);
        let (loss_rate, discard_rate) = (rate(self.lost), rate(self.discarded));
        let ms = |packets: f64| (packets * f64::from(packet_ms)).clamp(0.0, 65_535.0) as u16;
        if self.c13 == 0 || self.c33 + self.c23 == 0 {
            // No burst was ever left, or none had a second missing packet: it is all one gap.
            return BurstMetrics {
                loss_rate,
                discard_rate,
                gap_density: of_256(self.missing_share()),
                gap_duration_ms: ms(self.packets as f64),
                ..BurstMetrics::default()
            };
        }
        let [c11, c13, c14, c22, c23, c33] =
            [self.c11, self.c13, self.c14, self.c22, self.c23, self.c33].map(|count| count as f64);
        let (c31, c32) = (c13, c23);
        let total = c11 + c14 + c13 + c22 + c23 + c31 + c32 + c33;
        let p32 = if c32 == 0.0 { 0.0 } else { c32 / (c31 + c32 + c33) };
        let p23 = if c22 + c23 < 1.0 { 1.0 } else { 1.0 - c22 / (c22 + c23) };
        let gap = (c11 + c14 + c13) / c13;
        BurstMetrics {
            loss_rate,
            discard_rate,
            burst_density: of_256(p23 / (p23 + p32)),
            gap_density: if c11 + c14 == 0.0 { 0 } else { of_256(c14 / (c11 + c14)) },
            burst_duration_ms: ms(total / c13 - gap),
            gap_duration_ms: ms(gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fates: impl IntoIterator<Item = bool>) -> Bursts {
        let mut bursts = Bursts::default();
        for lost in fates {
            bursts.packet(if lost { Fate::Lost } else { Fate::Played });
        }
        bursts
    }

    #[test]
    fn losses_far_apart_are_a_gap() {
        let bursts = of((0..1000).map(|n| n % 40 == 39));
        let metrics = bursts.metrics(20);
        assert_eq!((metrics.loss_rate, metrics.burst_density, metrics.burst_duration_ms), (6, 0, 0));
        assert_eq!(metrics.gap_density, 6);
        assert!((bursts.burst_ratio() - 1.0).abs() < 0.01);
    }

    #[test]
    fn losses_close_together_are_bursts_of_their_length() {
        // Every two seconds, ten packets of which every other one is lost.
        let bursts = of((0..10_000).map(|n| n % 100 < 10 && n % 2 == 0));
        let metrics = bursts.metrics(20);
        assert_eq!(metrics.loss_rate, 12);
        // 9 packets from first to last loss.
        assert!((140..=220).contains(&metrics.burst_duration_ms), "{metrics:?}");
        assert!((1_700..=1_860).contains(&metrics.gap_duration_ms), "{metrics:?}");
        assert!((100..=156).contains(&metrics.burst_density), "{metrics:?}");
        assert_eq!(metrics.gap_density, 0);
    }

    #[test]
    fn the_ratio_says_how_much_longer_runs_are_than_by_chance() {
        let bursts = of((0..10_000).map(|n| n % 100 < 4));
        assert!((bursts.burst_ratio() - 4.0 * 0.96).abs() < 0.05, "{}", bursts.burst_ratio());
        assert_eq!(of([]).metrics(20), BurstMetrics::default());
    }

    #[test]
    fn a_seeded_gilbert_channel_is_measured_as_it_was_made() {
        for seed in 1..20_u64 {
            let mut state = seed;
            let mut chance = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f64 / f64::from(1 << 24)
            };
            // Gilbert: bad states of 5 packets in the mean, a tenth of the time.
            let mut bad = false;
            let fates: Vec<bool> = (0..200_000)
                .map(|_| {
                    bad = if bad { chance() > 0.2 } else { chance() < 0.2 / 9.0 };
                    bad
                })
                .collect();
            let bursts = of(fates);
            assert!((bursts.missing_share() - 0.1).abs() < 0.01, "seed {seed}: {}", bursts.missing_share());
            assert!((bursts.burst_ratio() - 4.5).abs() < 0.3, "seed {seed}: {}", bursts.burst_ratio());
        }
    }
}
