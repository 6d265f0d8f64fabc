//! A network in user space: seeded loss in bursts, delay, jitter, reordering and copies, packet by packet.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a network does to packets.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub seed: u64,
    /// Share of packets lost, and how many in a row in the mean (Gilbert).
    pub loss: f64,
    pub loss_run: f64,
    /// Share of packets that come twice.
    pub duplicate: f64,
    /// Share of packets that are held back by 25 ms, so that the next overtakes them.
    pub reorder: f64,
    pub delay_us: u64,
    /// Greatest further delay, uniform, without overtaking.
    pub jitter_us: u64,
}

impl Weather {
    /// A wire.
    pub const CLEAR: Self =
        Self { seed: 1, loss: 0.0, loss_run: 1.0, duplicate: 0.0, reorder: 0.0, delay_us: 0, jitter_us: 0 };
}

/// The network, without sockets or clocks.
#[derive(Debug)]
pub struct Shaper {
    weather: Weather,
    random: u64,
    losing: bool,
    /// Due time, order of arrival, packet.
    waiting: Vec<(u64, u64, Vec<u8>)>,
    latest_us: u64,
    pub sent: u64,
    pub lost: u64,
    pub duplicated: u64,
    /// Times in which this machine kept the relay from running: holes of its own making, the longest and all together.
    pub longest_stall_us: u64,
    pub stalled_us: u64,
}

/// A pause of the relay that is none: it looks at its socket every millisecond.
const NO_STALL_US: u64 = 5_000;

impl Shaper {
    pub fn new(weather: Weather) -> Self {
        let random = weather.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            weather,
            random,
            losing: false,
            waiting: Vec::new(),
            latest_us: 0,
            sent: 0,
            lost: 0,
            duplicated: 0,
            longest_stall_us: 0,
            stalled_us: 0,
        }
    }

    /// Uniform in 0..1.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A packet enters at `now_us`.
    pub fn send(&mut self, now_us: u64, packet: &[u8]) {
        self.sent += 1;
        let Weather { loss, loss_run, duplicate, reorder, delay_us, jitter_us, .. } = self.weather;
        let leave = 1.0 / loss_run.max(1.0);
        let enter = (leave * loss / (1.0 - loss)).min(1.0);
        self.losing = if self.losing { self.chance() >= leave } else { self.chance() < enter };
        if self.losing {
            self.lost += 1;
            return;
        }
        let mut due = now_us + delay_us + (self.chance() * jitter_us as f64) as u64;
        if self.chance() < reorder {
            due += 25_000;
        } else {
            // A queue does not overtake itself.
            due = due.max(self.latest_us);
            self.latest_us = due;
        }
        self.waiting.push((due, self.sent, packet.to_vec()));
        if self.chance() < duplicate {
            self.duplicated += 1;
            self.waiting.push((due + 1_000, self.sent, packet.to_vec()));
        }
    }

    /// The next packet that leaves by `now_us`.
    pub fn receive(&mut self, now_us: u64) -> Option<Vec<u8>> {
        let due = self.waiting.iter().enumerate().filter(|(_, (due, ..))| *due <= now_us);
        let (index, _) = due.min_by_key(|(_, (due, order, _))| (*due, *order))?;
        Some(self.waiting.swap_remove(index).2)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// A network between a phone and a leg: what the phone sends is shaped, what the leg sends is not.
pub struct Relay {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Shaper>>,
}

impl Relay {
    /// Begins to relay between `phone` and the leg at `leg`.
    pub fn start(socket: UdpSocket, phone: SocketAddr, leg: SocketAddr, weather: Weather) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut shaper, began) = (Shaper::new(weather), Instant::now());
            let (mut buffer, mut last_us) = ([0; 2000], 0);
            while !stopped.load(Ordering::Acquire) || !shaper.is_empty() {
                let received = socket.recv_from(&mut buffer);
                let now_us = began.elapsed().as_micros() as u64;
                let pause_us = now_us - std::mem::replace(&mut last_us, now_us);
                if pause_us > NO_STALL_US {
                    shaper.longest_stall_us = shaper.longest_stall_us.max(pause_us);
                    shaper.stalled_us += pause_us;
                }
                match received {
                    Ok((length, source)) if source == phone => shaper.send(now_us, &buffer[..length]),
                    Ok((length, _)) => drop(socket.send_to(&buffer[..length], phone)),
                    Err(_) => {}
                }
                while let Some(packet) = shaper.receive(now_us) {
                    socket.send_to(&packet, leg).unwrap();
                }
            }
            shaper
        });
        Self { address, stop, thread: Some(thread) }
    }

    /// Delivers what is on its way, and gives the network's own count.
    pub fn stop(mut self) -> Shaper {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}
