//! Arrival models: networks as seeded sequences of packets and arrival times, for tests and benches of jitter buffers.
//!
//! They are models, not recordings: each has the one trait of its network that strains a jitter buffer. All packets
//! pass one queue, so that they arrive in the order they were sent, as on a real path, and a stall delivers what it
//! held back in one burst. The worst delays come in bad times with good times between them, which is what an adaptive
//! buffer can use and a fixed one cannot.

/// When a packet arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Number of the packet since the first that was sent; its sequence number without the wrap-around.
    pub number: u32,
    /// When it was sent, in microseconds since the first.
    pub sent: u64,
    /// When it arrived, in microseconds since the first was sent.
    pub arrival: u64,
}

impl Arrival {
    /// The RTP sequence number of a stream that starts with `first`.
    #[must_use]
    pub const fn seq(&self, first: u16) -> u16 {
        first.wrapping_add(self.number as u16)
    }

    /// The RTP timestamp of a stream that starts with `first` and has `samples` a packet.
    #[must_use]
    pub const fn timestamp(&self, first: u32, samples: u32) -> u32 {
        first.wrapping_add(self.number.wrapping_mul(samples))
    }
}

/// A kind of network. Every one but [`Network::Lan`] has jitter worth the name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Network {
    /// A quiet wired network: 0.3 ms of exponential jitter, no loss.
    Lan,
    /// Shared air: 2 ms of exponential jitter in calm times (4 s on average), 10 ms in busy ones (1.5 s), where one
    /// packet in a hundred is also held up by 30 to 80 ms with all behind it. No loss: the link repeats.
    Wifi,
    /// A cell: grants every 5 ms, each transmission fails in a tenth of the cases and is repeated 8 ms later, a load
    /// that wanders between nothing and 30 ms within seconds, and every 15 s on average a hand-over that holds
    /// everything up for 40 to 90 ms. No loss: the link repeats.
    Lte,
    /// A congested path that loses packets in bursts, after Gilbert: `percent` of them in runs of `burst` on average.
    /// Congestion comes and goes (3 s each on average) and makes 2 ms of exponential jitter 12 ms. Loss is independent
    /// of it, so that its rate is what it says.
    Loss {
        /// Packets lost in a hundred.
        percent: f64,
        /// Mean packets of a run of losses, at least 1.
        burst: f64,
    },
}

impl Network {
    /// The networks that jitter buffers are measured on, with their names.
    pub const ALL: [(&str, Self); 7] = [
        ("lan", Self::Lan),
        ("wifi", Self::Wifi),
        ("lte", Self::Lte),
        ("loss1", Self::Loss { percent: 1.0, burst: 1.2 }),
        ("loss3", Self::Loss { percent: 3.0, burst: 1.5 }),
        ("loss5", Self::Loss { percent: 5.0, burst: 2.0 }),
        ("loss10", Self::Loss { percent: 10.0, burst: 2.5 }),
    ];

    /// The arrivals of `packets` packets sent every `packet_us` microseconds, in the order of arrival; what is lost is
    /// missing. The same seed makes the same arrivals.
    #[must_use]
    pub fn arrivals(self, seed: u64, packets: u32, packet_us: u64) -> Vec<Arrival> {
        let mut path = Path { random: Random(seed ^ 0x9E37_79B9_7F4A_7C15), bad: false, load_us: 0.0, lost: false };
        let mut busy_until = 0;
        let mut arrivals = Vec::new();
        for number in 0..packets {
            let sent = u64::from(number) * packet_us;
            let (delay, lost) = path.packet(self, packet_us as f64);
            // One queue: nothing overtakes. The link itself takes 0.2 ms a packet.
            busy_until = (sent + delay as u64).max(busy_until + 200);
            if !lost {
                arrivals.push(Arrival { number, sent, arrival: busy_until });
            }
        }
        arrivals
    }
}

/// What a buffer of fixed delay does with arrivals, for comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixedBuffer {
    /// Mean time from arrival to playing of the packets played, in microseconds.
    pub added_delay_us: f64,
    /// Packets lost or too late in a hundred of those sent.
    pub concealed_percent: f64,
}

impl FixedBuffer {
    /// Plays every packet `delay_us` after it was sent, counted from the fastest transit of the whole trace. That is
    /// more than a real fixed buffer knows, and its frames fall due in the very moment they are wanted: an ideal
    /// that a real one can only miss.
    #[must_use]
    pub fn play(arrivals: &[Arrival], packets: u32, delay_us: u64) -> Self {
        let base = arrivals.iter().map(|packet| packet.arrival - packet.sent).min().unwrap_or(0);
        let (mut played, mut waited) = (0_u32, 0);
        for packet in arrivals {
            let due = packet.sent + base + delay_us;
            if packet.arrival <= due {
                played += 1;
                waited += due - packet.arrival;
            }
        }
        Self {
            added_delay_us: waited as f64 / f64::from(played.max(1)),
            concealed_percent: 100.0 * f64::from(packets.saturating_sub(played)) / f64::from(packets.max(1)),
        }
    }
}

/// The state of a network between packets.
struct Path {
    random: Random,
    bad: bool,
    load_us: f64,
    lost: bool,
}

impl Path {
    /// Delay in microseconds of the next packet, and whether it is lost.
    fn packet(&mut self, network: Network, packet_us: f64) -> (f64, bool) {
        match network {
            Network::Lan => (self.random.exponential(300.0), false),
            Network::Wifi => {
                self.weather(packet_us, 4e6, 1.5e6);
                let stall = if self.bad && self.random.unit() < 0.01 { 30e3 + 50e3 * self.random.unit() } else { 0.0 };
                let mean = if self.bad { 10e3 } else { 2e3 };
                (stall + self.random.exponential(mean).min(60e3), false)
            }
            Network::Lte => {
                let mut delay = 5e3 * self.random.unit();
                while self.random.unit() < 0.1 {
                    delay += 8e3;
                }
                self.load_us = (self.load_us + 1.5e3 * (self.random.unit() * 2.0 - 1.0)).clamp(0.0, 30e3);
                if self.random.unit() < packet_us / 15e6 {
                    delay += 40e3 + 50e3 * self.random.unit();
                }
                (delay + self.load_us, false)
            }
            Network::Loss { percent, burst } => {
                self.weather(packet_us, 3e6, 3e6);
                let share = (percent / 100.0).clamp(0.0, 0.9);
                let end = 1.0 / burst.max(1.0);
                let begin = share * end / (1.0 - share);
                self.lost = if self.lost { self.random.unit() >= end } else { self.random.unit() < begin };
                let mean = if self.bad { 12e3 } else { 2e3 };
                (self.random.exponential(mean).min(80e3), self.lost)
            }
        }
    }

    /// Good and bad times of these mean lengths.
    fn weather(&mut self, packet_us: f64, good_us: f64, bad_us: f64) {
        let mean = if self.bad { bad_us } else { good_us };
        if self.random.unit() < packet_us / mean {
            self.bad = !self.bad;
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// Uniform in 0..1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_repeat_keep_their_order_and_lose_what_they_say() {
        for (name, network) in Network::ALL {
            let arrivals = network.arrivals(7, 50_000, 20_000);
            assert_eq!(arrivals, network.arrivals(7, 50_000, 20_000), "{name}");
            assert!(arrivals.is_sorted_by_key(|packet| packet.arrival), "{name}");
            let lost = 100.0 - arrivals.len() as f64 / 500.0;
            let said = if let Network::Loss { percent, .. } = network { percent } else { 0.0 };
            assert!((lost - said).abs() <= said / 5.0, "{name}: {lost} %");
        }
    }

    #[test]
    fn a_fixed_buffer_conceals_less_the_longer_it_waits() {
        let arrivals = Network::Wifi.arrivals(1, 10_000, 20_000);
        let play = |delay| FixedBuffer::play(&arrivals, 10_000, delay);
        assert!(play(20_000).concealed_percent > play(60_000).concealed_percent);
        assert_eq!(play(1_000_000).concealed_percent, 0.0);
        assert!(play(60_000).added_delay_us < 60_000.0);
    }
}
