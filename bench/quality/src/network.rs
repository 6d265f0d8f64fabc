//! Networks: how long each packet of a stream is under way, and which never come.
//!
//! Loss is Gilbert-Elliott in its simple form: all packets of the bad state are lost. Delays have the shape of recorded
//! ones: a wired network; Wi-Fi, where contention holds packets back and then lets them go together; and LTE, where
//! scheduling, retransmission in steps of 8 ms, load that comes and goes, and hand-overs add up.

use crate::random::Random;

/// Microseconds from one packet to the next.
pub(crate) const PACKET_US: u64 = 20_000;

/// A kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// Wired: next to no jitter, no loss.
    Lan,
    /// Contention and 0.3 % loss.
    Wifi,
    /// Scheduling, retransmission, load and hand-overs, 0.2 % loss.
    Lte,
    /// Wired jitter and burst loss of this many percent.
    Burst(u8),
}

impl Network {
    /// All of them, by the names of their rows.
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("lan", Self::Lan),
        ("wifi", Self::Wifi),
        ("lte", Self::Lte),
        ("burst1", Self::Burst(1)),
        ("burst3", Self::Burst(3)),
        ("burst5", Self::Burst(5)),
        ("burst10", Self::Burst(10)),
    ];

    /// Microseconds that each of `packets` packets is under way; none for one that is lost. Packets keep their order.
    pub(crate) fn transit(self, packets: usize, random: &mut Random) -> Vec<Option<u64>> {
        let lost = match self {
            Self::Lan => vec![false; packets],
            Self::Wifi => gilbert_elliott(packets, 0.003, 1.2, random),
            Self::Lte => gilbert_elliott(packets, 0.002, 1.5, random),
            Self::Burst(percent) => burst_loss(packets, percent, random),
        };
        let mut delay = match self {
            Self::Lan | Self::Burst(_) => Delay::wired(),
            Self::Wifi => Delay::wifi(random),
            Self::Lte => Delay::lte(random),
        };
        let mut last_arrival = 0.0_f64;
        let mut transit = Vec::with_capacity(packets);
        for (index, lost) in lost.into_iter().enumerate() {
            let sent = index as f64 * PACKET_US as f64 / 1000.0;
            // What waited in one queue leaves it in order, a little apart.
            let arrival = (sent + delay.next(sent, random)).max(last_arrival + 0.2);
            last_arrival = arrival;
            transit.push((!lost).then_some(((arrival - sent) * 1000.0) as u64));
        }
        transit
    }
}

/// Loss of `percent` in bursts that grow with the loss, as they do on real networks.
pub(crate) fn burst_loss(packets: usize, percent: u8, random: &mut Random) -> Vec<bool> {
    let burst = match percent {
        0 | 1 => 1.2,
        2 | 3 => 1.5,
        4..=6 => 2.0,
        _ => 2.5,
    };
    let wanted = f64::from(percent) / 100.0;
    // A short stream strays far from its mean; the comparison is of a rate, so streams that stray are not used.
    loop {
        let lost = gilbert_elliott(packets, wanted, burst, random);
        let share = lost.iter().filter(|lost| **lost).count() as f64 / packets.max(1) as f64;
        if (share - wanted).abs() <= wanted * 0.1 + 1.0 / packets.max(1) as f64 {
            return lost;
        }
    }
}

fn gilbert_elliott(packets: usize, loss: f64, burst: f64, random: &mut Random) -> Vec<bool> {
    let recover = 1.0 / burst;
    let fail = recover * loss / (1.0 - loss);
    let mut bad = false;
    (0..packets)
        .map(|_| {
            bad = if bad { !random.chance(recover) } else { random.chance(fail) };
            bad
        })
        .collect()
}

/// A delay that changes with time, in milliseconds.
struct Delay {
    base: f64,
    jitter: f64,
    /// Chance of one more retransmission, and what it costs.
    retransmission: (f64, f64),
    /// Load: a value that wanders between 0 and this.
    load: f64,
    loaded: f64,
    /// Stalls: seconds between them, shortest and longest milliseconds; until when the present one lasts.
    stall_every_s: f64,
    stall: (f64, f64),
    next_stall: f64,
    stalled_until: f64,
}

impl Delay {
    const fn wired() -> Self {
        Self {
            base: 2.0,
            jitter: 0.2,
            retransmission: (0.0, 0.0),
            load: 0.0,
            loaded: 0.0,
            stall_every_s: f64::INFINITY,
            stall: (0.0, 0.0),
            next_stall: f64::INFINITY,
            stalled_until: 0.0,
        }
    }

    fn wifi(random: &mut Random) -> Self {
        let every = 4.0;
        Self {
            base: 4.0,
            jitter: 2.0,
            retransmission: (0.08, 3.0),
            load: 12.0,
            stall_every_s: every,
            stall: (25.0, 110.0),
            next_stall: random.exponential(every * 1000.0),
            ..Self::wired()
        }
    }

    fn lte(random: &mut Random) -> Self {
        let every = 15.0;
        Self {
            base: 35.0,
            jitter: 3.0,
            retransmission: (0.12, 8.0),
            load: 30.0,
            stall_every_s: every,
            stall: (60.0, 160.0),
            next_stall: random.exponential(every * 1000.0),
            ..Self::wired()
        }
    }

    /// The delay of a packet sent at `now` milliseconds.
    fn next(&mut self, now: f64, random: &mut Random) -> f64 {
        // Half of the load is gone after some 1.4 s.
        self.loaded = 0.99 * self.loaded + random.between(-1.0, 1.0) * 0.12;
        let mut delay = self.base + random.exponential(self.jitter) + self.load * self.loaded.abs().min(1.0);
        while random.chance(self.retransmission.0) {
            delay += self.retransmission.1;
        }
        if now >= self.next_stall {
            // Short stalls are far more common than long ones.
            let length = self.stall.0 + (self.stall.1 - self.stall.0) * random.unit().powi(2);
            self.stalled_until = now + length;
            self.next_stall = self.stalled_until + random.exponential(self.stall_every_s * 1000.0);
        }
        delay.max(self.stalled_until - now)
    }
}
