//! Any payload to any decoder: no panic, nothing beyond the buffer, no more sound than it announces.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_dsp::codec::{
    AlawDecoder, Decoder, Encoder, G722Decoder, L16Decoder, OpusDecoder, OpusEncoder, OpusSettings, UlawDecoder,
};
use trunkline_dsp::comfort_noise::ComfortNoiseDecoder;

/// Longest sound of one packet: 120 ms at 48 kHz, and what 1500 bytes of the others hold.
const ROOM: usize = 5760;
const UNTOUCHED: i16 = 0x2bad;

fn decoders() -> Vec<(&'static str, Box<dyn Decoder>)> {
    vec![
        ("mu-law", Box::new(UlawDecoder)),
        ("A-law", Box::new(AlawDecoder)),
        ("L16", Box::new(L16Decoder::new(16000))),
        ("G.722", Box::new(G722Decoder::new())),
        ("comfort noise", Box::new(ComfortNoiseDecoder::new(8000, 1))),
        ("Opus at 8 kHz", Box::new(OpusDecoder::new(8000).unwrap())),
        ("Opus at 16 kHz", Box::new(OpusDecoder::new(16000).unwrap())),
        ("Opus at 48 kHz", Box::new(OpusDecoder::new(48000).unwrap())),
    ]
}

/// Decodes into `room` samples of a larger buffer and checks that what lies behind them is untouched.
fn decode(decoder: &mut dyn Decoder, payload: &[u8], room: usize) -> usize {
    let mut out = vec![UNTOUCHED; room + 64];
    let announced = decoder.samples(payload);
    let written = decoder.decode(payload, &mut out[..room]);
    assert!(written <= room && written <= announced, "{written} of {announced} in {room}");
    assert!(out[written.max(room)..].iter().all(|sample| *sample == UNTOUCHED));
    written
}

fn conceal(decoder: &mut dyn Decoder, next: &[u8], room: usize) {
    let mut out = vec![UNTOUCHED; room + 64];
    for rebuilt in [true, false] {
        let written =
            if rebuilt { decoder.decode_fec(next, &mut out[..room]) } else { decoder.decode_lost(&mut out[..room]) };
        assert!(written.unwrap_or(0) <= room);
        assert!(out[room..].iter().all(|sample| *sample == UNTOUCHED));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn random_payloads_of_any_length_are_survived(
        payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0..ROOM, any::<bool>()), 1..12),
    ) {
        for (name, mut decoder) in decoders() {
            for (payload, room, whole) in &payloads {
                decode(&mut *decoder, payload, if *whole { ROOM } else { *room });
                conceal(&mut *decoder, payload, *room);
            }
            decoder.reset();
            prop_assert!(decode(&mut *decoder, &[], ROOM) == 0, "{}", name);
        }
    }

    #[test]
    fn damaged_opus_packets_are_survived(
        rate in prop::sample::select(vec![8000, 16000, 48000]),
        bitrate in 6000..128_000_u32,
        frame_ms in prop::sample::select(vec![10, 20, 40, 60]),
        damage in prop::collection::vec((0..12_usize, 0..200_usize, any::<u8>(), any::<bool>()), 1..24),
    ) {
        let settings = OpusSettings { bitrate, frame_ms, ..OpusSettings::voice(rate) };
        let mut encoder = OpusEncoder::new(settings).unwrap();
        let mut packets: Vec<Vec<u8>> = (0..12_usize)
            .map(|frame| {
                let pcm: Vec<i16> = (0..encoder.frame_samples())
                    .map(|n| (((frame * 7919 + n) as f32 * 0.05).sin() * 9000.0) as i16)
                    .collect();
                let mut packet = vec![0; 1276];
                let bytes = encoder.encode(&pcm, &mut packet);
                packet.truncate(bytes);
                packet
            })
            .collect();
        for (packet, at, with, cut) in damage {
            let packet = &mut packets[packet];
            if at < packet.len() {
                if cut { packet.truncate(at) } else { packet[at] = with }
            }
        }
        for to in [16000, 48000] {
            let mut decoder = OpusDecoder::new(to).unwrap();
            for (n, packet) in packets.iter().enumerate() {
                decode(&mut decoder, packet, ROOM);
                if n % 3 == 2 {
                    conceal(&mut decoder, packet, to as usize / 50);
                }
            }
        }
    }
}

#[test]
fn truncated_empty_and_oversize_payloads_make_no_more_than_they_hold() {
    for (name, mut decoder) in decoders() {
        for length in [0, 1, 2, 3, 11, 159, 161, 1500, 65_535] {
            for fill in [0x00, 0x7f, 0xd5, 0xff] {
                let payload = vec![fill; length];
                let announced = decoder.samples(&payload);
                for room in [0, 1, 159, ROOM] {
                    let written = decode(&mut *decoder, &payload, room);
                    if !name.starts_with("Opus") && !name.starts_with("G.722") {
                        assert_eq!(written, announced.min(room), "{name}, {length} bytes");
                    }
                }
            }
        }
    }
}

#[test]
fn a_packet_of_noise_does_not_outlast_itself() {
    // Whatever random bytes do to a decoder, digital silence afterwards must become quiet within 100 ms.
    let quiet = |decoder: &mut dyn Decoder, silence: &[u8]| {
        let mut out = vec![0; ROOM];
        for _ in 0..5 {
            decoder.decode(silence, &mut out);
        }
        let written = decoder.decode(silence, &mut out);
        out[..written].iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
    };
    let mut encoder = OpusEncoder::new(OpusSettings::voice(16000)).unwrap();
    let mut silence = vec![0; 1276];
    for _ in 0..5 {
        encoder.encode(&[0; 320], &mut silence);
    }
    let bytes = encoder.encode(&[0; 320], &mut silence);
    silence.truncate(bytes);
    let mut seed = 1_u32;
    for _ in 0..40 {
        let mut noise: Vec<u8> = (0..160)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        let mut out = vec![0; ROOM];
        let mut g722 = G722Decoder::new();
        let mut codes = vec![0; 160];
        trunkline_dsp::codec::G722Encoder::new().encode(&[0; 320], &mut codes);
        g722.decode(&noise, &mut out);
        for _ in 0..50 {
            g722.decode(&codes, &mut out);
        }
        assert!(quiet(&mut g722, &codes) < 3000, "G.722: {}", quiet(&mut g722, &codes));
        // Wideband SILK, 20 ms, whatever follows.
        noise[0] = 0x48;
        let mut opus = OpusDecoder::new(16000).unwrap();
        opus.decode(&noise, &mut out);
        assert!(quiet(&mut opus, &silence) < 500, "Opus: {}", quiet(&mut opus, &silence));
    }
}
