//! Weather for one stream: loss, delay that varies, packets that overtake each other or come twice. All of it from a
//! seed, so that a bad day can be repeated; no kernel module is needed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::random::Random;

/// What becomes of packets.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// Share of packets that are lost, 0..=1.
    pub loss: f64,
    /// Packets lost in a row on average, at least 1.
    pub burst: f64,
    /// Delay beyond none, spread evenly from 0 to this many milliseconds. Packets keep their order for all that.
    pub jitter_ms: f64,
    /// Share of packets that are held back until the one after has gone, 0..=1.
    pub reorder: f64,
    /// Share of packets that are sent twice, 0..=1.
    pub duplicate: f64,
}

/// One stream's way through the weather. Times are microseconds.
#[derive(Debug)]
pub struct Shaper {
    weather: Weather,
    random: Random,
    losing: bool,
    latest: u64,
    waiting: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    number: u64,
    lost: u64,
}

/// How far behind a packet that is overtaken comes, in microseconds: a packet and a half.
const OVERTAKEN_US: u64 = 30_000;

impl Shaper {
    /// A stream's own weather.
    #[must_use]
    pub const fn new(weather: Weather, seed: u64) -> Self {
        let random = Random::new(seed);
        Self { weather, random, losing: false, latest: 0, waiting: BinaryHeap::new(), number: 0, lost: 0 }
    }

    /// A packet sets out at `now`.
    pub fn push(&mut self, now: u64, packet: Vec<u8>) {
        if self.loses() {
            self.lost += 1;
            return;
        }
        let delay = (self.weather.jitter_ms * 1000.0 * self.random.unit()) as u64;
        let mut due = (now + delay).max(self.latest);
        if self.random.unit() < self.weather.reorder {
            due += OVERTAKEN_US;
        } else {
            self.latest = due;
        }
        if self.random.unit() < self.weather.duplicate {
            self.enter(due, packet.clone());
        }
        self.enter(due, packet);
    }

    /// The next packet that has come through at `now`.
    pub fn pop(&mut self, now: u64) -> Option<Vec<u8>> {
        let Reverse((due, ..)) = self.waiting.peek()?;
        if *due > now {
            return None;
        }
        self.waiting.pop().map(|Reverse((_, _, packet))| packet)
    }

    /// Packets lost so far.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Gilbert's two states: losses come in runs of `burst` on average, `loss` of all packets in the long run.
    fn loses(&mut self) -> bool {
        let burst = self.weather.burst.max(1.0);
        let loss = self.weather.loss.clamp(0.0, 0.99);
        let chance = self.random.unit();
        self.losing = if self.losing { chance >= 1.0 / burst } else { chance < loss / (burst * (1.0 - loss)) };
        self.losing
    }

    fn enter(&mut self, due: u64, packet: Vec<u8>) {
        self.waiting.push(Reverse((due, self.number, packet)));
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(weather: Weather, seed: u64) -> (Vec<(u64, u16)>, u64) {
        let mut shaper = Shaper::new(weather, seed);
        let mut out = Vec::new();
        for now in (0..20_000_u64 * 20).map(|ms| ms * 1000) {
            if now % 20_000 == 0 {
                let number = u16::try_from(now / 20_000).unwrap();
                shaper.push(now, number.to_be_bytes().to_vec());
            }
            while let Some(packet) = shaper.pop(now) {
                out.push((now, u16::from_be_bytes([packet[0], packet[1]])));
            }
        }
        (out, shaper.lost())
    }

    #[test]
    fn clear_weather_changes_nothing() {
        let (out, lost) = through(Weather::default(), 1);
        assert_eq!(lost, 0);
        assert!(
            out.iter()
                .enumerate()
                .all(|(at, (now, number))| { usize::from(*number) == at && *now == at as u64 * 20_000 })
        );
    }

    #[test]
    fn each_kind_of_weather_is_as_bad_as_it_says_and_no_worse() {
        let share = |count: usize| count as f64 / 20_000.0;
        let (out, lost) = through(Weather { loss: 0.05, burst: 2.5, ..Weather::default() }, 2);
        assert!((0.04..0.06).contains(&share(lost as usize)), "{lost}");
        let runs = out.windows(2).filter(|pair| pair[1].1 != pair[0].1 + 1).count();
        assert!((2.2..2.8).contains(&(lost as f64 / runs as f64)), "{lost} in {runs}");

        let (out, _) = through(Weather { jitter_ms: 60.0, ..Weather::default() }, 3);
        assert!(out.windows(2).all(|pair| pair[0].1 < pair[1].1), "jitter alone overtakes nobody");
        let worst = out.iter().map(|(now, number)| now - u64::from(*number) * 20_000).max();
        assert!((55_000..=61_000).contains(&worst.unwrap()), "{worst:?}");

        let (out, _) = through(Weather { reorder: 0.02, duplicate: 0.01, ..Weather::default() }, 4);
        let overtaken = out.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
        let twice = out.windows(2).filter(|pair| pair[1].1 == pair[0].1).count();
        assert!((0.015..0.025).contains(&share(overtaken)), "{overtaken}");
        assert!((0.007..0.013).contains(&share(twice)), "{twice}");
    }

    #[test]
    fn a_seed_is_a_day() {
        let storm = Weather { loss: 0.1, burst: 1.0, jitter_ms: 40.0, reorder: 0.05, duplicate: 0.02 };
        assert_eq!(through(storm, 7), through(storm, 7));
        assert_ne!(through(storm, 7), through(storm, 8));
    }
}
