//! Whatever arrives, and whenever: no panic, and never more than a frame of noise for a bad packet.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_dsp::codec::{L16Decoder, ULAW_SILENCE, UlawDecoder};
use trunkline_dsp::jitter::{Inserted, JitterBuffer, JitterConfig, Packet};

const FRAME_US: u64 = 20_000;
const FRAME: usize = 160;

/// Plays 100 packets of silence, with `bad` put in between, and counts the samples that are not silent.
fn loud_samples(config: JitterConfig, bad: impl Fn(u32, &mut JitterBuffer<UlawDecoder>) -> bool) -> usize {
    let mut buffer = JitterBuffer::new(UlawDecoder, config);
    let mut loud = 0;
    for n in 0..100_u32 {
        if bad(n, &mut buffer) {
            buffer.insert(&Packet {
                seq: n as u16,
                timestamp: n * 160,
                arrival: u64::from(n) * FRAME_US,
                marker: false,
                payload: &[ULAW_SILENCE; FRAME],
            });
        }
        let mut out = [0; FRAME];
        buffer.get(u64::from(n) * FRAME_US + 6_000, &mut out);
        loud += out.iter().filter(|sample| sample.abs() > 100).count();
    }
    loud
}

/// Bytes that decode to loud noise.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 9_u32;
    (0..length)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8 & 0xBF
        })
        .collect()
}

#[test]
fn a_packet_of_noise_is_at_most_a_frame_of_noise_at_any_length() {
    for length in [1, 2, 79, 80, 159, 160, 161, 320, 480] {
        let payload = noise(length);
        let loud = loud_samples(JitterConfig::default(), |n, buffer| {
            if n == 50 {
                let arrival = u64::from(n) * FRAME_US;
                buffer.insert(&Packet { seq: 50, timestamp: 50 * 160, arrival, marker: false, payload: &payload });
            }
            n != 50
        });
        // What is longer than its time is cut where the next packet begins; a cut leaves a blend of at most 10 ms.
        assert!(loud <= FRAME + FRAME / 2 || (length > FRAME && loud <= length), "{length} bytes: {loud} samples");
    }
}

#[test]
fn absurd_numbers_and_times_are_dropped_unheard() {
    let payload = noise(FRAME);
    let loud = loud_samples(JitterConfig::default(), |n, buffer| {
        let arrival = u64::from(n) * FRAME_US;
        let mut send = |seq: u16, timestamp: u32| {
            buffer.insert(&Packet { seq, timestamp, arrival, marker: true, payload: &payload })
        };
        match n {
            20 => assert_eq!(send(20, 3_000_000_000), Inserted::Suspect),
            30 => assert_eq!(send(40_000, 30 * 160), Inserted::Suspect),
            40 => assert_eq!(send(40, 40 * 160 + 100_000), Inserted::Suspect),
            50 => assert_eq!(send(0, 0), Inserted::Duplicate),
            _ => {}
        }
        true
    });
    assert_eq!(loud, 0);
}

#[test]
fn one_timestamp_that_lies_costs_no_more_than_the_buffer_could_wait() {
    for ahead_ms in [200_u32, 310, 1000, 1900, 5000] {
        let mut buffer = JitterBuffer::new(UlawDecoder, JitterConfig::default());
        let (payload, mut out) = (noise(FRAME), [0_i16; FRAME]);
        let (mut quiet, mut concealed) = (0, 0);
        for n in 0..300_u32 {
            let lie = if n == 150 { ahead_ms * 8 } else { 0 };
            let (seq, timestamp, arrival) = (n as u16, n * 160 + lie, u64::from(n) * FRAME_US);
            buffer.insert(&Packet { seq, timestamp, arrival, marker: false, payload: &payload });
            let info = buffer.get(arrival + 10_000, &mut out);
            if n > 100 {
                quiet += usize::from(out.iter().all(|sample| sample.unsigned_abs() < 500));
                concealed += info.concealed;
            }
        }
        // What the buffer could wait for is believed and waited for.
        let most = 2 * FRAME as u32 + if ahead_ms < 300 { ahead_ms * 8 } else { 0 };
        assert!(quiet as u32 * 160 + concealed <= most, "{ahead_ms} ms: {quiet} quiet frames, {concealed} concealed");
    }
}

#[test]
fn more_bytes_than_there_is_room_for_push_out_the_oldest() {
    let config = JitterConfig { bytes: 1000, max_payload: 700, ..JitterConfig::default() };
    let mut buffer = JitterBuffer::new(UlawDecoder, config);
    for n in 0..50_u16 {
        let payload = vec![ULAW_SILENCE; 600 + usize::from(n)];
        let packet =
            Packet { seq: n, timestamp: u32::from(n) * 160, arrival: u64::from(n), marker: false, payload: &payload };
        assert_eq!(buffer.insert(&packet), Inserted::Stored);
    }
    assert_eq!(buffer.stats().overrun, 49);
    let oversize = Packet { seq: 50, timestamp: 0, arrival: 0, marker: false, payload: &[0; 701] };
    assert_eq!(buffer.insert(&oversize), Inserted::Oversize);
}

#[test]
fn the_longest_frames_packets_and_gaps_at_once_fit() {
    let config = JitterConfig { bytes: 16_384, max_payload: 1920, ..JitterConfig::default() };
    let mut buffer = JitterBuffer::new(L16Decoder::new(8000), config);
    let (mut now, mut played) = (0, 0);
    for n in 0..300_u32 {
        if n % 3 != 1 {
            buffer.insert(&Packet {
                seq: n as u16,
                timestamp: n * 960,
                arrival: u64::from(n) * 120_000,
                marker: false,
                payload: &[1; 1920],
            });
        }
        while now < u64::from(n) * 120_000 {
            // 959 samples, so that each frame ends elsewhere in a packet.
            let info = buffer.get(now, &mut [0; 959]);
            now += 119_875;
            played += 959 - info.concealed;
        }
    }
    assert!(played > 150 * 959, "{played}");
}

#[derive(Debug, Clone)]
enum Step {
    Insert { seq: u16, timestamp: u32, arrival: u64, payload: Vec<u8>, noise: bool },
    Get { now: u64, samples: usize },
    Reset,
    Replace { clock_rate: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let time = prop_oneof![0..2_000_000_u64, any::<u64>(), (u64::MAX - 1000)..=u64::MAX];
    let seq = prop_oneof![0..64_u16, any::<u16>()];
    let timestamp = prop_oneof![0..64_u32, (0..64_u32).prop_map(|n| n * 160), any::<u32>()];
    let payload = prop_oneof![
        (0..600_usize).prop_map(noise),
        Just(vec![ULAW_SILENCE; 160]),
        prop::collection::vec(any::<u8>(), 0..20)
    ];
    let noise = prop::bool::weighted(0.2);
    let insert = (seq, timestamp, time.clone(), payload, noise)
        .prop_map(|(seq, timestamp, arrival, payload, noise)| Step::Insert { seq, timestamp, arrival, payload, noise });
    let get = (time, prop_oneof![Just(160_usize), 0..2000_usize]).prop_map(|(now, samples)| Step::Get { now, samples });
    let replace = prop_oneof![Just(0), Just(8000), Just(48_000), any::<u32>()];
    let replace = replace.prop_map(|clock_rate| Step::Replace { clock_rate });
    prop::collection::vec(prop_oneof![8 => insert, 8 => get, 1 => Just(Step::Reset), 1 => replace], 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_sequence_of_calls_panics(
        steps in steps(),
        packets in 0..70_usize,
        min_delay_us in prop_oneof![0..100_000_u64, any::<u64>()],
        max_delay_us in prop_oneof![0..500_000_u64, any::<u64>()],
        clock_rate in prop_oneof![Just(0), Just(1), 8000..48_000_u32, Just(u32::MAX)],
    ) {
        let config = JitterConfig { packets, min_delay_us, max_delay_us, clock_rate, ..JitterConfig::default() };
        let mut buffer = JitterBuffer::new(UlawDecoder, config);
        for step in steps {
            match step {
                Step::Insert { seq, timestamp, arrival, payload, noise } => {
                    let packet = Packet { seq, timestamp, arrival, marker: false, payload: &payload };
                    if noise { buffer.insert_noise(&packet) } else { buffer.insert(&packet) };
                }
                Step::Replace { clock_rate } => prop_assert!(buffer.replace_decoder(UlawDecoder, clock_rate).is_ok()),
                Step::Get { now, samples } => {
                    let info = buffer.get(now, &mut vec![0; samples]);
                    prop_assert!(info.concealed as usize <= samples);
                }
                Step::Reset => buffer.reset(),
            }
        }
    }
}
