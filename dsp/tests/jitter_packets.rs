//! Every length of packet at every rate, codecs that conceal for themselves, pauses, and a change of source.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_dsp::Simd;
use trunkline_dsp::codec::Decoder;
use trunkline_dsp::jitter::{FrameInfo, FrameKind, Inserted, JitterBuffer, JitterConfig, Packet};

const FRAME_US: u64 = 20_000;

/// A codec of any rate whose payload says which tone of how many milliseconds it is.
#[derive(Debug, Clone, Default)]
struct Codec {
    rate: u32,
    position: usize,
    conceals: bool,
    corrects: bool,
    lost: u32,
}

impl Codec {
    fn tone(&mut self, samples: usize, out: &mut [i16]) -> usize {
        let period = self.rate as f32 / 125.0;
        for sample in &mut out[..samples] {
            *sample = (8000.0 * (std::f32::consts::TAU * self.position as f32 / period).sin()) as i16;
            self.position = (self.position + 1) % (self.rate as usize / 125);
        }
        samples
    }
}

impl Decoder for Codec {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn samples(&self, payload: &[u8]) -> usize {
        payload.first().map_or(0, |ms| usize::from(*ms) * self.rate as usize / 1000)
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        self.tone(self.samples(payload), out)
    }

    fn decode_lost(&mut self, out: &mut [i16]) -> Option<usize> {
        self.lost += 1;
        self.conceals.then(|| self.tone(out.len(), out))
    }

    fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> Option<usize> {
        assert_eq!(out.len(), self.samples(next), "one packet is asked for");
        self.corrects.then(|| self.tone(out.len(), out))
    }
}

struct Sender {
    ms: u64,
    clock_rate: u64,
    seq: u16,
    timestamp: u32,
}

impl Sender {
    fn packet<'a>(&self, n: u64, late_us: u64, payload: &'a [u8]) -> Packet<'a> {
        Packet {
            seq: self.seq.wrapping_add(n as u16),
            timestamp: self.timestamp.wrapping_add((n * self.ms * self.clock_rate / 1000) as u32),
            arrival: (n + 1) * self.ms * 1000 + late_us,
            marker: false,
            payload,
        }
    }
}

fn largest_step(sound: &[i16]) -> i32 {
    sound.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap()
}

#[test]
fn packets_of_ten_to_sixty_milliseconds_at_every_rate_play_whole_and_soon() {
    for (rate, clock_rate) in [(8000, 8000), (16_000, 16_000), (16_000, 8000), (48_000, 48_000), (16_000, 48_000)] {
        for ms in [10, 20, 30, 60_u64] {
            let name = format!("{rate} Hz, clock {clock_rate} Hz, {ms} ms");
            let codec = Codec { rate, ..Codec::default() };
            let config = JitterConfig { clock_rate, min_delay_us: 10_000, ..JitterConfig::default() };
            let mut buffer = JitterBuffer::new(codec, config);
            let sender = Sender { ms, clock_rate: u64::from(clock_rate), seq: 65_400, timestamp: u32::MAX - 99_999 };
            let payload = [ms as u8, 0, 0];
            let (mut sent, mut sound) = (0, Vec::new());
            let mut out = vec![0; rate as usize / 50];
            for tick in 0..1000_u64 {
                let now = tick * FRAME_US + 1_000;
                // Every packet up to 6 ms late.
                while (sent + 1) * ms * 1000 + sent % 4 * 2_000 <= now {
                    let outcome = buffer.insert(&sender.packet(sent, sent % 4 * 2_000, &payload));
                    assert_eq!(outcome, Inserted::Stored, "{name}");
                    sent += 1;
                }
                let info = buffer.get(now, &mut out);
                sound.extend_from_slice(&out);
                assert!(info.delay <= ms * 1000 + 45_000, "{name}: {info:?}");
            }
            let stats = buffer.stats();
            assert_eq!((stats.lost, stats.late, stats.overrun), (0, 0, 0), "{name}");
            assert!(stats.concealed_samples <= u64::from(rate) / 25, "{name}: {stats:?}");
            let limit = (8000.0 * std::f32::consts::TAU * 125.0 / rate as f32) as i32 + 600;
            assert!(largest_step(&sound) < limit, "{name}: a step of {}", largest_step(&sound));
        }
    }
}

/// Plays 400 packets of 20 ms, of which every tenth is lost, and returns the frames and the buffer.
fn with_loss(codec: Codec, min_delay_us: u64) -> (Vec<FrameInfo>, JitterBuffer<Codec>) {
    let rate = codec.rate;
    let config = JitterConfig { min_delay_us, ..JitterConfig::default() };
    let mut buffer = JitterBuffer::new(codec, config);
    let sender = Sender { ms: 20, clock_rate: u64::from(rate), seq: 0, timestamp: 0 };
    let mut frames = Vec::new();
    for n in 0..400 {
        if n % 10 != 9 {
            buffer.insert(&sender.packet(n, 0, &[20, 0, 0]));
        }
        frames.push(buffer.get((n + 1) * FRAME_US + 6_000, &mut vec![0; rate as usize / 50]));
    }
    (frames, buffer)
}

#[test]
fn in_band_correction_comes_before_the_codecs_own_concealment_and_that_before_ours() {
    let plain = Codec { rate: 16_000, ..Codec::default() };
    let (frames, mut buffer) = with_loss(Codec { corrects: true, conceals: true, ..plain.clone() }, 25_000);
    let stats = buffer.stats();
    assert!(stats.recovered >= 38 && stats.lost == stats.recovered, "{stats:?}");
    assert_eq!((buffer.decoder_mut().lost, stats.concealed_samples), (0, 0));
    assert!(frames[2..].iter().all(|frame| frame.kind == FrameKind::Decoded && frame.concealed == 0));

    let (_, mut buffer) = with_loss(Codec { conceals: true, ..plain.clone() }, 25_000);
    let stats = buffer.stats();
    assert_eq!(stats.recovered, 0);
    assert_eq!(stats.concealed_samples, u64::from(buffer.decoder_mut().lost) * 320);

    let (_, buffer) = with_loss(plain, 25_000);
    let stats = buffer.stats();
    assert!(stats.lost >= 38 && stats.concealed_samples == stats.lost * 320, "{stats:?}");
}

#[test]
fn loss_adds_one_packet_of_delay_while_it_lasts() {
    let (frames, buffer) = with_loss(Codec { rate: 8000, ..Codec::default() }, 5_000);
    assert_eq!(frames[5].delay, 6_000);
    assert_eq!(frames[305].delay, 26_000);
    assert_eq!(buffer.target_delay_us(), 22_500);
    let config = JitterConfig { loss_look_ahead: false, ..JitterConfig::default() };
    assert_eq!(JitterBuffer::new(Codec { rate: 8000, ..Codec::default() }, config).target_delay_us(), 5_000);
}

#[test]
fn a_pause_is_no_loss_leaves_the_estimate_alone_and_is_where_the_delay_changes() {
    let mut buffer = JitterBuffer::new(Codec { rate: 8000, ..Codec::default() }, JitterConfig::default());
    let sender = Sender { ms: 20, clock_rate: 8000, seq: 65_500, timestamp: u32::MAX - 8000 };
    let (mut seq_gap, mut pauses, mut before) = (0, 0, 0);
    for n in 0..1200_u64 {
        // A second of talk with packets up to 30 ms late, a second of nothing; the numbers go on without a gap.
        let late = n % 3 * 15_000;
        let talking = n % 100 < 50;
        if talking {
            let packet = sender.packet(n, late, &[20, 0, 0]);
            buffer.insert(&Packet { seq: packet.seq.wrapping_sub(seq_gap), ..packet });
        } else {
            seq_gap += 1;
            pauses += 1;
            before = if n % 100 == 50 { buffer.target_delay_us() } else { before };
            assert_eq!(buffer.target_delay_us(), before);
        }
        let info = buffer.get((n + 1) * FRAME_US + 40_000, &mut [0; 160]);
        assert!(n % 100 < 60 || talking || info.kind != FrameKind::Decoded, "{n}: {info:?}");
    }
    let stats = buffer.stats();
    assert_eq!((stats.lost, stats.late, stats.suspect, stats.recovered), (0, 0, 0, 0), "{stats:?}");
    // What was made up before it was known to be a pause is not held against the network.
    assert!(stats.concealed_samples < pauses * 160 / 5, "{stats:?}");
}

#[test]
fn the_change_to_another_source_makes_no_click() {
    let mut buffer = JitterBuffer::new(Codec { rate: 8000, ..Codec::default() }, JitterConfig::default());
    let (mut sound, mut out) = (Vec::new(), [0; 160]);
    for n in 0..100_u64 {
        if n % 25 == 0 {
            buffer.reset();
            buffer.decoder_mut().position = 30;
        }
        let source =
            Sender { ms: 20, clock_rate: 8000, seq: (n / 25 * 9999) as u16, timestamp: (n / 25 * 77_777_777) as u32 };
        buffer.insert(&source.packet(n, 0, &[20, 0, 0]));
        buffer.get((n + 1) * FRAME_US + 6_000, &mut out);
        sound.extend_from_slice(&out);
    }
    assert_eq!((buffer.stats().lost, buffer.stats().late, buffer.stats().suspect), (0, 0, 0));
    // The very first sample of the first source aside.
    assert!(largest_step(&sound[200..]) < 1600, "{}", largest_step(&sound[200..]));
}

#[test]
fn a_lost_packet_beside_events_is_one_loss_and_the_events_are_none() {
    let mut buffer = JitterBuffer::new(Codec { rate: 8000, ..Codec::default() }, JitterConfig::default());
    let sender = Sender { ms: 20, clock_rate: 8000, seq: 9, timestamp: 77 };
    for n in 0..60_u64 {
        // Of every twenty, five to nine are events with the timestamp of their beginning, of which the third is lost.
        let place = n % 20;
        let event = (5..10).contains(&place);
        let payload: &[u8] = if event { &[] } else { &[20, 0, 0] };
        let packet = sender.packet(n, 0, payload);
        let since = if event { (place - 5) as u32 * 160 } else { 0 };
        if place != 7 {
            buffer.insert(&Packet { timestamp: packet.timestamp.wrapping_sub(since), ..packet });
        }
        buffer.get((n + 1) * FRAME_US + 6_000, &mut [0; 160]);
    }
    let stats = buffer.stats();
    assert_eq!((stats.lost, stats.late, stats.suspect), (3, 0, 0), "{stats:?}");
}

#[test]
fn the_sound_is_the_same_whatever_instructions_are_used() {
    for rate in [8000, 16_000, 48_000] {
        let play = |simd| {
            let mut buffer = JitterBuffer::with_simd(simd, Codec { rate, ..Codec::default() }, JitterConfig::default());
            let sender = Sender { ms: 20, clock_rate: u64::from(rate), seq: 0, timestamp: 0 };
            let mut sound = Vec::new();
            let mut out = vec![0; rate as usize / 50];
            for n in 0..600 {
                let arrives = n * 7 % 11 > 1;
                if arrives {
                    // Jitter in the first half only, so that the delay comes down in the second.
                    let late_us = if n < 200 { n * 13 % 17 * 2_000 } else { 0 };
                    buffer.insert(&sender.packet(n, late_us, &[20, 0, 0]));
                }
                buffer.get((n + 1) * FRAME_US + 34_000, &mut out);
                sound.extend_from_slice(&out);
            }
            assert!(buffer.stats().concealed_samples > 0 && buffer.stats().shortened > 0, "{:?}", buffer.stats());
            sound
        };
        assert!(play(Simd::BASELINE) == play(Simd::detect()), "{rate}");
    }
}
