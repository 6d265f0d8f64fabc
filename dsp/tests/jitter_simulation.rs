//! The jitter buffer against simulated networks: loss, duplicates, reordering, jitter and drift from seeds.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use trunkline_dsp::codec::Decoder;
use trunkline_dsp::jitter::{FrameInfo, FrameKind, Inserted, JitterBuffer, JitterConfig, JitterStats, Packet};

const FRAME_US: u64 = 20_000;
const FRAME: usize = 160;

/// Decodes a payload that is its packet's number, and notes which packets were played in which order.
#[derive(Debug, Clone, Default)]
struct Tracer(Rc<RefCell<Vec<u32>>>);

impl Decoder for Tracer {
    fn rate(&self) -> u32 {
        8000
    }

    fn samples(&self, _payload: &[u8]) -> usize {
        FRAME
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let number = u32::from_be_bytes(payload.try_into().unwrap());
        self.0.borrow_mut().push(number);
        // A loud tone, so that the delay is never changed for being quiet.
        for (n, sample) in out[..FRAME].iter_mut().enumerate() {
            *sample = (8000.0 * (std::f32::consts::TAU * n as f32 / 32.0).sin()) as i16;
        }
        FRAME
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

#[derive(Debug, Clone, Copy)]
struct Network {
    packets: u32,
    jitter_us: u64,
    loss_per_mille: u64,
    duplicate_per_mille: u64,
    drift_ppm: i64,
    first_seq: u16,
    first_timestamp: u32,
    seed: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            packets: 500,
            jitter_us: 0,
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            drift_ppm: 0,
            first_seq: 100,
            first_timestamp: 1000,
            seed: 1,
        }
    }
}

struct Outcome {
    played: Vec<u32>,
    frames: Vec<FrameInfo>,
    stats: JitterStats,
    sent: u32,
}

fn run(network: Network, config: JitterConfig) -> Outcome {
    let mut random = Random(network.seed);
    let mut arrivals = Vec::new();
    let mut sent = 0;
    for number in 0..network.packets {
        if random.below(1000) < network.loss_per_mille {
            continue;
        }
        sent += 1;
        let clock = u64::from(number) * FRAME_US;
        let drifted = clock.wrapping_add_signed(clock as i64 * network.drift_ppm / 1_000_000);
        arrivals.push((1_000_000 + drifted + random.below(network.jitter_us + 1), number));
        if random.below(1000) < network.duplicate_per_mille {
            arrivals.push((1_000_000 + drifted + random.below(network.jitter_us + 1), number));
        }
    }
    arrivals.sort_unstable();
    let tracer = Tracer::default();
    let mut buffer = JitterBuffer::new(tracer.clone(), config);
    let mut frames = Vec::new();
    let mut waiting = arrivals.into_iter().peekable();
    for tick in 0..u64::from(network.packets) + 30 {
        let now = 1_003_000 + tick * FRAME_US;
        while let Some((arrival, number)) = waiting.next_if(|(arrival, _)| *arrival <= now) {
            buffer.insert(&Packet {
                seq: network.first_seq.wrapping_add(number as u16),
                timestamp: network.first_timestamp.wrapping_add(number * FRAME as u32),
                arrival,
                marker: number == 0,
                payload: &number.to_be_bytes(),
            });
        }
        frames.push(buffer.get(now, &mut [0; FRAME]));
    }
    let played = tracer.0.borrow().clone();
    Outcome { played, frames, stats: buffer.stats(), sent }
}

fn config(min_ms: u64) -> JitterConfig {
    JitterConfig { min_delay_us: min_ms * 1000, ..JitterConfig::default() }
}

/// Frames from the first one heard to the last.
fn heard(frames: &[FrameInfo]) -> &[FrameInfo] {
    let decoded = |frame: &FrameInfo| frame.kind == FrameKind::Decoded;
    let first = frames.iter().position(decoded).unwrap();
    let last = frames.iter().rposition(decoded).unwrap();
    &frames[first..=last]
}

#[test]
fn jitter_below_the_delay_loses_and_conceals_nothing() {
    for seed in 0..50 {
        let outcome = run(Network { jitter_us: 29_000, seed, ..Network::default() }, config(30));
        assert_eq!(outcome.played, (0..500).collect::<Vec<_>>(), "seed {seed}");
        assert!(heard(&outcome.frames).iter().all(|frame| frame.concealed == 0), "seed {seed}");
        let stats = outcome.stats;
        assert_eq!((stats.lost, stats.late, stats.overrun), (0, 0, 0), "seed {seed}");
    }
}

#[test]
fn a_clean_network_adds_less_than_a_frame_and_the_target() {
    let outcome = run(Network { jitter_us: 1_000, ..Network::default() }, JitterConfig::default());
    assert!(heard(&outcome.frames).iter().all(|frame| frame.delay <= 25_000));
    assert_eq!(outcome.stats.lost, 0);
}

#[test]
fn the_delay_grows_until_strong_jitter_is_covered() {
    for seed in 0..20 {
        let network = Network { jitter_us: 60_000, packets: 1500, seed, ..Network::default() };
        let outcome = run(network, JitterConfig::default());
        let later = &heard(&outcome.frames)[500..];
        let concealed: u32 = later.iter().map(|frame| frame.concealed).sum();
        let share = f64::from(concealed) / (later.len() * FRAME) as f64;
        assert!(share < 0.01, "seed {seed}: {share}");
        assert!(later.iter().all(|frame| frame.delay < 150_000), "seed {seed}");
    }
}

#[test]
fn loss_is_concealed_sample_for_sample_and_moves_nothing() {
    let network = Network { loss_per_mille: 50, packets: 1000, seed: 7, ..Network::default() };
    let outcome = run(network, JitterConfig::default());
    let lost = u64::from(network.packets - outcome.sent);
    assert!(outcome.stats.lost.abs_diff(lost) <= 2, "{} of {lost}", outcome.stats.lost);
    let concealed: u32 = heard(&outcome.frames).iter().map(|frame| frame.concealed).sum();
    assert!(u64::from(concealed).abs_diff(outcome.stats.lost * FRAME as u64) <= 2 * FRAME as u64);
    assert!(heard(&outcome.frames).iter().all(|frame| frame.delay <= 25_000));
}

#[test]
fn silence_suppression_is_neither_loss_nor_growing_delay() {
    let tracer = Tracer::default();
    let mut buffer = JitterBuffer::new(tracer.clone(), JitterConfig::default());
    let mut seq = 65_530_u16;
    let mut frames = Vec::new();
    for tick in 0..300_u32 {
        // Half a second of talk, half a second of nothing; sequence numbers go on without a gap.
        if tick % 50 < 25 {
            buffer.insert(&Packet {
                seq,
                timestamp: (u32::MAX - 3000).wrapping_add(tick * FRAME as u32),
                arrival: u64::from(tick) * FRAME_US,
                marker: tick % 50 == 0,
                payload: &tick.to_be_bytes(),
            });
            seq = seq.wrapping_add(1);
        }
        frames.push(buffer.get(u64::from(tick) * FRAME_US + 6_000, &mut [0; FRAME]));
    }
    assert_eq!(buffer.stats().lost, 0);
    assert_eq!(buffer.stats().late, 0);
    assert_eq!(tracer.0.borrow().len(), 150);
    let delays: Vec<u64> = frames.iter().filter(|f| f.kind == FrameKind::Decoded).map(|f| f.delay).collect();
    assert!(delays.iter().all(|delay| *delay <= 26_000), "{delays:?}");
}

#[test]
fn packets_without_sound_use_up_a_number_and_are_not_lost() {
    let mut buffer = JitterBuffer::new(Tracer::default(), JitterConfig::default());
    for tick in 0..40_u32 {
        let event = (10..20).contains(&tick);
        let number = tick.to_be_bytes();
        let outcome = buffer.insert(&Packet {
            seq: tick as u16,
            timestamp: if event { 1600 } else { tick * 160 },
            arrival: u64::from(tick) * FRAME_US,
            marker: false,
            payload: if event { &[] } else { &number },
        });
        assert_eq!(outcome, Inserted::Stored);
        buffer.get(u64::from(tick) * FRAME_US + 6_000, &mut [0; FRAME]);
    }
    assert_eq!(buffer.stats().lost, 0);
    assert_eq!(buffer.stats().suspect, 0);
}

#[test]
fn a_stream_that_jumps_is_followed_after_one_packet_and_a_stray_packet_is_not() {
    let tracer = Tracer::default();
    let mut buffer = JitterBuffer::new(tracer.clone(), JitterConfig::default());
    let mut outcomes = Vec::new();
    for tick in 0..100_u32 {
        let jump = if tick >= 50 { 20_000 } else { 0 };
        let number = tick.to_be_bytes();
        let arrival = u64::from(tick) * FRAME_US;
        let packet =
            |seq: u32, timestamp: u32| Packet { seq: seq as u16, timestamp, arrival, marker: false, payload: &number };
        if tick == 30 {
            assert_eq!(buffer.insert(&packet(40_000, 77)), Inserted::Suspect);
        }
        outcomes.push(buffer.insert(&packet(tick + jump, tick * 160 + jump * 1000)));
        buffer.get(arrival + 6_000, &mut [0; FRAME]);
    }
    let suspects: Vec<usize> = (0..100).filter(|n| outcomes[*n] == Inserted::Suspect).collect();
    assert_eq!(suspects, [50]);
    assert_eq!(*tracer.0.borrow(), (0..50).chain(51..100).collect::<Vec<_>>());
}

#[test]
fn a_burst_after_a_stall_is_bounded_by_the_largest_delay() {
    let tracer = Tracer::default();
    let mut buffer = JitterBuffer::new(tracer.clone(), JitterConfig::default());
    let mut worst = 0;
    for tick in 0..300_u32 {
        let stall = (100..150).contains(&tick);
        let numbers = if stall {
            0..0
        } else if tick == 150 {
            100..151
        } else {
            tick..tick + 1
        };
        for number in numbers {
            buffer.insert(&Packet {
                seq: number as u16,
                timestamp: number * 160,
                arrival: u64::from(tick) * FRAME_US,
                marker: false,
                payload: &number.to_be_bytes(),
            });
        }
        let info = buffer.get(u64::from(tick) * FRAME_US + 6_000, &mut [0; FRAME]);
        if tick > 200 && info.kind == FrameKind::Decoded {
            worst = worst.max(info.delay);
        }
    }
    assert!(worst <= 320_000, "{worst}");
    assert!(buffer.stats().overrun > 0);
    assert!(tracer.0.borrow().is_sorted());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_network_keeps_order_and_bounds(
        jitter_us in 0..120_000_u64,
        loss_per_mille in 0..200_u64,
        duplicate_per_mille in 0..100_u64,
        drift_ppm in -300..300_i64,
        first_seq: u16,
        first_timestamp: u32,
        seed: u64,
    ) {
        let network = Network {
            packets: 600, jitter_us, loss_per_mille, duplicate_per_mille, drift_ppm, first_seq, first_timestamp, seed,
        };
        let outcome = run(network, JitterConfig::default());
        prop_assert!(outcome.played.windows(2).all(|pair| pair[0] < pair[1]), "out of order or played twice");
        prop_assert!(outcome.frames.iter().all(|frame| frame.delay <= 330_000));
        let stats = outcome.stats;
        prop_assert!(stats.suspect == 0);
        // Every packet is played, late or dropped for being too many; none disappears.
        let accounted = outcome.played.len() as u64 + stats.late + stats.overrun;
        prop_assert!(accounted >= u64::from(outcome.sent), "{accounted} of {}", outcome.sent);
        // Only a small part is wasted once the delay has adapted.
        prop_assert!(outcome.played.len() as f64 >= 0.8 * f64::from(outcome.sent));
    }

    #[test]
    fn arbitrary_packets_never_panic(
        packets in prop::collection::vec(
            (any::<u16>(), any::<u32>(), 0..10_000_000_u64, prop::collection::vec(any::<u8>(), 0..600)), 0..200),
    ) {
        let mut buffer =
            JitterBuffer::new(trunkline_dsp::codec::UlawDecoder, JitterConfig { packets: 16, ..JitterConfig::default() });
        let mut out = [0; FRAME];
        for (n, (seq, timestamp, arrival, payload)) in packets.iter().enumerate() {
            // Half of them near a stream, so that both sides of every check are met.
            let (seq, timestamp) = if n % 2 == 0 { (*seq, *timestamp) } else { (n as u16, n as u32 * 160) };
            buffer.insert(&Packet { seq, timestamp, arrival: *arrival, marker: false, payload });
            let info = buffer.get(n as u64 * FRAME_US, &mut out);
            prop_assert!(info.concealed as usize <= FRAME);
        }
    }
}
