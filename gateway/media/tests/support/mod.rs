//! A far end for tests: a socket that speaks RTP the way phones do.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

pub mod shaper;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use trunkline_leg::{AgentEnd, Codec, LegFact, MediaSpec};
use trunkline_media::{LegHandle, LegSound, LegStart, MediaConfig, MediaPlane};

/// How long any condition of a test may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A plane on loopback with ports from the operating system and no special priority.
pub fn plane(max_legs: usize) -> MediaPlane {
    MediaPlane::start(MediaConfig {
        ports: 0..=0,
        realtime: false,
        max_legs_per_worker: max_legs,
        ..MediaConfig::default()
    })
    .unwrap()
}

/// What was negotiated with a far end at `remote`.
pub fn spec(remote: SocketAddr) -> MediaSpec {
    MediaSpec { dtmf_payload_type: Some(101), ..MediaSpec::new(Codec::Pcmu, 0, remote) }
}

/// A phone: a socket with RTP counters.
pub struct Phone {
    pub socket: UdpSocket,
    pub to: SocketAddr,
    pub ssrc: u32,
    pub seq: u16,
    pub timestamp: u32,
}

/// A parsed RTP packet.
#[derive(Debug, Clone)]
pub struct Rtp {
    pub marker: bool,
    pub payload_type: u8,
    pub seq: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: Vec<u8>,
    pub at: Instant,
}

impl Phone {
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let to = "127.0.0.1:9".parse().unwrap();
        Self { socket, to, ssrc: 0x1234_5678, seq: 65_000, timestamp: 4_000_000_000 }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn bytes(&self, payload_type: u8, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type | if marker { 0x80 } else { 0 }];
        packet.extend(self.seq.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        packet
    }

    /// Sends 20 ms of mu-law and moves on.
    pub fn talk(&mut self, payload: &[u8; 160]) {
        self.socket.send_to(&self.bytes(0, false, payload), self.to).unwrap();
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
    }

    /// Sends a sender report and a name (RFC 3550 6.4.1, 6.5), on the port of the sound.
    pub fn report(&self) {
        let mut packet = vec![0x80, 200, 0, 6];
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend([0; 8]);
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend([0; 8]);
        packet.extend([0x81, 202, 0, 4]);
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(b"\x01\x09phone@far\0");
        self.socket.send_to(&packet, self.to).unwrap();
    }

    /// Sends one telephone-event packet; the timestamp stays.
    pub fn event(&mut self, code: u8, end: bool, duration: u16) {
        let [high, low] = duration.to_be_bytes();
        let payload = [code, if end { 0x8a } else { 0x0a }, high, low];
        self.socket.send_to(&self.bytes(101, false, &payload), self.to).unwrap();
        self.seq = self.seq.wrapping_add(1);
    }

    /// The next RTP packet.
    pub fn receive(&self) -> Rtp {
        let mut buffer = [0; 2000];
        let (length, _) = self.socket.recv_from(&mut buffer).expect("a packet in time");
        let data = &buffer[..length];
        assert_eq!(data[0], 0x80);
        Rtp {
            marker: data[1] & 0x80 != 0,
            payload_type: data[1] & 0x7f,
            seq: u16::from_be_bytes([data[2], data[3]]),
            timestamp: u32::from_be_bytes(data[4..8].try_into().unwrap()),
            ssrc: u32::from_be_bytes(data[8..12].try_into().unwrap()),
            payload: data[12..].to_vec(),
            at: Instant::now(),
        }
    }
}

/// A leg attached for `phone`, which learns where to send.
pub fn attach(plane: &MediaPlane, phone: &mut Phone) -> (AgentEnd, LegHandle) {
    attach_with(plane, phone, |_| {})
}

pub fn attach_with(plane: &MediaPlane, phone: &mut Phone, change: impl FnOnce(&mut LegStart)) -> (AgentEnd, LegHandle) {
    let socket = plane.allocate().unwrap();
    phone.to = socket.local_addr();
    let mut start = LegStart::new(spec(phone.address()), Instant::now());
    // What comes out is compared with what went in, sample by sample.
    start.sound = LegSound::untouched();
    change(&mut start);
    plane.attach(socket, start).unwrap()
}

/// Calls `look` at every wake-up of worker 0 until it gives something.
pub fn until<T>(plane: &MediaPlane, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let signal = plane.signal(0);
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        let _ = signal.wait(Duration::from_millis(20));
    }
}

/// The next fact that `wanted` maps to something; others are passed over.
pub fn fact<T>(plane: &MediaPlane, agent: &mut AgentEnd, mut wanted: impl FnMut(LegFact) -> Option<T>) -> T {
    until(plane, "a fact", || {
        while let Ok(fact) = agent.facts.pop() {
            if let Some(found) = wanted(fact) {
                return Some(found);
            }
        }
        None
    })
}

/// A phone that sends `payload` every 20 ms from a thread of its own until it is stopped.
pub struct Talker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Talker {
    pub fn start(phones: Vec<Phone>, payload: impl Fn(usize) -> [u8; 160] + Send + 'static) -> Self {
        Self::begin(phones, payload, false)
    }

    /// One that sends a report every second, too, and gets ours on the same port.
    pub fn reporting(phones: Vec<Phone>, payload: impl Fn(usize) -> [u8; 160] + Send + 'static) -> Self {
        Self::begin(phones, payload, true)
    }

    fn begin(mut phones: Vec<Phone>, payload: impl Fn(usize) -> [u8; 160] + Send + 'static, reports: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut sent, mut next) = (0, Instant::now());
            while !stopped.load(Ordering::Acquire) {
                for (n, phone) in phones.iter_mut().enumerate() {
                    phone.talk(&payload(n));
                    if reports && sent % 50 == 0 {
                        phone.report();
                    }
                }
                sent += 1;
                next += Duration::from_millis(20);
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            sent
        });
        Self { stop, thread: Some(thread) }
    }

    /// Stops, and says how many packets each phone sent.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}
