//! The jitter buffer on model networks, beside ideal buffers of fixed delay.
//!
//! The pull keeps to a place in the 20 ms grid as a media worker does: it starts where the first packet has waited as
//! long as the buffer wants, and moves by 5 ms when, for a second, packets waited longer or shorter than wanted.
//! Delay is the time from the arrival of a packet to the pull that plays it, for both kinds of buffer; concealment the
//! share of made-up sound. The fixed buffer of equal concealment is the shortest of 20, 30 .. 200 ms that conceals no
//! more than ours did.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::f64::consts::TAU;

use trunkline_dsp::codec::Decoder;
use trunkline_dsp::jitter::trace::{FixedBuffer, Network};
use trunkline_dsp::jitter::{FrameKind, JitterBuffer, JitterConfig, JitterStats, Packet};

const PACKETS: u32 = 10_000;
const FRAME_US: u64 = 20_000;
const FRAME: usize = 160;
const PHASE_US: u64 = 5_000;

/// Speech-like sound: half a second of a voiced tone with a wandering pitch, half a second of quiet.
#[derive(Debug, Clone, Default)]
struct Talker;

impl Decoder for Talker {
    fn rate(&self) -> u32 {
        8000
    }

    fn samples(&self, _payload: &[u8]) -> usize {
        FRAME
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let number = u32::from_be_bytes(payload.try_into().unwrap());
        for (n, sample) in out[..FRAME].iter_mut().enumerate() {
            let time = (number as usize * FRAME + n) as f64 / 8000.0;
            let talking = number % 50 < 35;
            // Twice a second the pitch swings between 100 and 140 Hz.
            let swing = (TAU * 2.0 * time).cos() * 20.0 / (TAU * 2.0);
            let phase = TAU * (120.0 * time - swing);
            let voice = phase.sin() + 0.6 * (2.0 * phase).sin() + 0.3 * (3.0 * phase).cos();
            *sample = if talking { (6000.0 * voice) as i16 } else { (20.0 * voice) as i16 };
        }
        FRAME
    }
}

#[derive(Debug)]
struct Outcome {
    mean_us: f64,
    p95_us: u64,
    concealed_percent: f64,
    late_percent: f64,
    stats: JitterStats,
}

fn play(network: Network, seed: u64) -> Outcome {
    let arrivals = network.arrivals(seed, PACKETS, FRAME_US);
    let mut buffer = JitterBuffer::new(Talker, JitterConfig::default());
    let mut delays = Vec::new();
    let mut waiting = arrivals.iter().peekable();
    let first = arrivals[0].arrival + PHASE_US;
    let mut now = first;
    let (mut measured, mut slack, mut enough) = (0, 0, 0);
    let mut silent = 0;
    while now < u64::from(PACKETS) * FRAME_US {
        while let Some(packet) = waiting.next_if(|packet| packet.arrival <= now) {
            buffer.insert(&Packet {
                seq: packet.seq(60_000),
                timestamp: packet.timestamp(u32::MAX - 1_000_000, FRAME as u32),
                arrival: packet.arrival,
                marker: false,
                payload: &packet.number.to_be_bytes(),
            });
        }
        let info = buffer.get(now, &mut [0; FRAME]);
        silent += u64::from(info.kind == FrameKind::Silence);
        now += FRAME_US;
        if info.kind == FrameKind::Decoded {
            delays.push(info.delay);
            let spare = info.delay as i64 - buffer.target_delay_us() as i64;
            measured += 1;
            slack += u32::from(spare > 6_500);
            enough += u32::from(spare >= -3_000);
        }
        if measured >= 50 {
            if slack >= 5 {
                // The ticks come too late after the packets: one phase earlier.
                now -= PHASE_US;
            } else if enough < 5 {
                now += PHASE_US;
            }
            (measured, slack, enough) = (0, 0, 0);
        }
    }
    assert_eq!(silent, 0, "nothing was silent on purpose");
    delays.sort_unstable();
    let stats = buffer.stats();
    let total = f64::from(PACKETS) * FRAME as f64;
    Outcome {
        mean_us: delays.iter().sum::<u64>() as f64 / delays.len() as f64,
        p95_us: delays[delays.len() * 95 / 100],
        concealed_percent: 100.0 * stats.concealed_samples as f64 / total,
        late_percent: 100.0 * stats.late as f64 / f64::from(PACKETS),
        stats,
    }
}

#[test]
fn less_delay_than_the_fixed_buffer_of_equal_concealment_on_every_network_with_jitter() {
    for (name, network) in Network::ALL {
        for seed in 0..2 {
            let ours = play(network, seed);
            let arrivals = network.arrivals(seed, PACKETS, FRAME_US);
            let mut fixed = (2..=20).map(|n| (n * 10, FixedBuffer::play(&arrivals, PACKETS, n * 10_000)));
            let (ms, equal) = fixed.find(|(_, fixed)| fixed.concealed_percent <= ours.concealed_percent).unwrap();
            let report = format!(
                "{name} {seed}: {:.1} ms (p95 {:.1}), late {:.2} %, concealed {:.2} %, {} cuts, \
                 {} insertions, {} lost; fixed {ms} ms: {:.1} ms, concealed {:.2} %",
                ours.mean_us / 1e3,
                ours.p95_us as f64 / 1e3,
                ours.late_percent,
                ours.concealed_percent,
                ours.stats.shortened,
                ours.stats.lengthened,
                ours.stats.lost,
                equal.added_delay_us / 1e3,
                equal.concealed_percent,
            );
            println!("{report}");
            assert!(ours.mean_us < equal.added_delay_us, "{report}");
            assert!(ours.late_percent < 1.0, "{report}");
            // Beyond what the network lost.
            let lost = 100.0 * (1.0 - arrivals.len() as f64 / f64::from(PACKETS));
            assert!(ours.concealed_percent < lost + 2.0, "{report}");
        }
    }
}
