//! A stream changes its codec in mid-call, and tells of its silence: neither allocates, and neither makes a hole.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_allocations::{Counts, counted};
use trunkline_dsp::codec::{
    AlawDecoder, Decoder, G722_RTP_CLOCK, G722Decoder, G722Encoder, L16Decoder, OPUS_RTP_CLOCK, OpusDecoder,
    OpusEncoder, OpusSettings, UlawDecoder, alaw_encode, ulaw_encode,
};
use trunkline_dsp::codec::{Encoder, ULAW_SILENCE};
use trunkline_dsp::comfort_noise::ComfortNoise;
use trunkline_dsp::jitter::{FrameKind, JitterBuffer, JitterConfig, Packet};
use trunkline_dsp::level::rms_dbfs;

const FRAME_US: u64 = 20_000;

/// A tone of 250 Hz.
fn tone(n: u64, frame: usize) -> Vec<i16> {
    let rate = frame * 50;
    (0..frame)
        .map(|at| {
            let turn = ((n as usize * frame + at) * 250 % rate) as f32 / rate as f32;
            (8000.0 * (std::f32::consts::TAU * turn).sin()) as i16
        })
        .collect()
}

fn level(pcm: &[i16]) -> f32 {
    rms_dbfs(pcm)
}

#[test]
fn a_codec_of_the_same_rate_and_clock_takes_over_without_a_gap() {
    let mut buffer = JitterBuffer::new(Either::Ulaw, JitterConfig { min_delay_us: 30_000, ..JitterConfig::default() });
    let mut heard = Vec::new();
    for n in 0..200_u64 {
        let pcm = tone(n, 160);
        let payload: Vec<u8> =
            pcm.iter().map(|sample| if n < 100 { ulaw_encode(*sample) } else { alaw_encode(*sample) }).collect();
        if n == 100 {
            let asked = counted(|| assert!(buffer.replace_decoder(Either::Alaw, 8000).is_ok()));
            assert_eq!(asked, Counts::NONE);
        }
        buffer.insert(&Packet {
            seq: n as u16,
            timestamp: n as u32 * 160,
            arrival: n * FRAME_US,
            marker: false,
            payload: &payload,
        });
        let mut out = [0; 160];
        let info = buffer.get(n * FRAME_US + 1000, &mut out);
        if n > 5 {
            assert_eq!((info.kind, info.concealed), (FrameKind::Decoded, 0), "frame {n}");
        }
        heard.extend_from_slice(&out);
    }
    for (n, piece) in heard[8000..].chunks_exact(160).enumerate() {
        assert!((level(piece) + 15.3).abs() < 1.0, "frame {n}: {}", level(piece));
    }
    let largest = heard[8000..].windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap();
    assert!(largest < 2400, "a step of {largest} in a tone that steps by 1570");
}

/// Both laws behind one type, as a leg has them.
#[derive(Debug)]
enum Either {
    Ulaw,
    Alaw,
}

impl Decoder for Either {
    fn rate(&self) -> u32 {
        8000
    }

    fn samples(&self, payload: &[u8]) -> usize {
        payload.len()
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Self::Ulaw => UlawDecoder.decode(payload, out),
            Self::Alaw => AlawDecoder.decode(payload, out),
        }
    }
}

type Any = Box<dyn Decoder>;

/// What [`JitterBuffer`] wants of a decoder, for one in a box.
struct Boxed(Any);

impl Decoder for Boxed {
    fn rate(&self) -> u32 {
        self.0.rate()
    }

    fn samples(&self, payload: &[u8]) -> usize {
        self.0.samples(payload)
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        self.0.decode(payload, out)
    }

    fn decode_lost(&mut self, out: &mut [i16]) -> Option<usize> {
        self.0.decode_lost(out)
    }
}

#[test]
fn a_codec_of_another_clock_goes_on_with_the_delay_that_was_found() {
    let mut buffer =
        JitterBuffer::new(Boxed(Box::new(G722Decoder::new())), JitterConfig::for_codec(G722_RTP_CLOCK, 16_000, 640));
    let (mut g722, mut opus) = (G722Encoder::new(), OpusEncoder::new(OpusSettings::voice(16_000)).unwrap());
    let (mut payload, mut out, mut made_up) = ([0; 640], [0; 320], 0);
    for n in 0..400_u64 {
        let (encoder, clock): (&mut dyn Encoder, u32) =
            if n < 200 { (&mut g722, G722_RTP_CLOCK) } else { (&mut opus, OPUS_RTP_CLOCK) };
        if n == 200 {
            let target = buffer.target_delay_us();
            assert!(target >= 20_000, "{target}");
            let next = Boxed(Box::new(OpusDecoder::new(16_000).unwrap()));
            let mut before = None;
            let asked = counted(|| before = buffer.replace_decoder(next, OPUS_RTP_CLOCK).ok());
            assert_eq!(asked, Counts::NONE);
            assert_eq!(buffer.target_delay_us(), target);
            drop(before.expect("the same rate"));
        }
        let length = encoder.encode(&tone(n, 320), &mut payload);
        let arrival = n * FRAME_US + n * 7919 % 25_000;
        let (seq, timestamp) = (n as u16, (n as u32).wrapping_mul(clock / 50));
        buffer.insert(&Packet { seq, timestamp, arrival, marker: false, payload: &payload[..length] });
        let info = buffer.get(n * FRAME_US + 25_000, &mut out);
        if n > 210 {
            made_up += info.concealed;
            assert!((level(&out) + 15.3).abs() < 3.0, "frame {n}: {}", level(&out));
        }
    }
    assert!(made_up <= 640, "{made_up} samples were made up");
}

#[test]
fn a_codec_of_another_rate_gets_a_buffer_of_its_own_that_takes_over() {
    let mut old = JitterBuffer::new(UlawDecoder, JitterConfig::default());
    for n in 0..300_u64 {
        let payload: Vec<u8> = tone(n, 160).into_iter().map(ulaw_encode).collect();
        let arrival = n * FRAME_US + n * 7919 % 30_000;
        if n % 50 != 7 {
            old.insert(&Packet { seq: n as u16, timestamp: n as u32 * 160, arrival, marker: false, payload: &payload });
        }
        old.get(n * FRAME_US + 31_000, &mut [0; 160]);
    }
    let mut new = JitterBuffer::new(L16Decoder::new(16_000), JitterConfig::for_codec(16_000, 16_000, 640));
    assert_eq!(counted(|| new.take_over(&old)), Counts::NONE);
    assert_eq!((new.stats(), new.target_delay_us()), (old.stats(), old.target_delay_us()));
    assert!(new.stats().lost > 0 && new.target_delay_us() > 20_000);
    let mut out = [0; 320];
    new.get(300 * FRAME_US + 31_000, &mut out);
    // The last sound dies away before the new stream begins.
    assert!(level(&out[..80]) > -25.0 && level(&out[240..]) < -20.0, "{} {}", level(&out[..80]), level(&out[240..]));
    for n in 300..400_u64 {
        let payload: Vec<u8> = tone(n, 320).iter().flat_map(|sample| sample.to_be_bytes()).collect();
        let arrival = n * FRAME_US + n * 7919 % 30_000;
        new.insert(&Packet { seq: n as u16, timestamp: n as u32 * 320, arrival, marker: false, payload: &payload });
        let info = new.get(n * FRAME_US + 31_000, &mut out);
        if n > 305 {
            assert_eq!((info.kind, info.concealed), (FrameKind::Decoded, 0), "frame {n}");
        }
    }
}

#[test]
fn a_decoder_of_another_rate_is_given_back() {
    let mut buffer = JitterBuffer::new(Boxed(Box::new(UlawDecoder)), JitterConfig::default());
    let refused = buffer.replace_decoder(Boxed(Box::new(L16Decoder::new(16_000))), 16_000);
    assert_eq!(refused.err().map(|decoder| decoder.rate()), Some(16_000));
    assert_eq!(buffer.rate(), 8000);
}

#[test]
fn silence_sounds_as_the_far_end_says_and_ends_with_the_next_sound() {
    let mut buffer = JitterBuffer::new(UlawDecoder, JitterConfig::default());
    let describe = |level_dbov: f32| {
        let mut payload = [0; 11];
        let length = ComfortNoise::new(level_dbov, &[0.2, -0.1]).write(&mut payload);
        payload[..length].to_vec()
    };
    let (loud, soft) = (describe(-40.0), describe(-60.0));
    let (mut seq, mut levels) = (0_u16, Vec::new());
    for n in 0..500_u64 {
        if n == 450 {
            let stats = buffer.stats();
            assert_eq!((stats.lost, stats.concealed_samples), (0, 0), "what is sent is no loss: {stats:?}");
        }
        let mut send = |payload: &[u8], noise: bool| {
            let packet = Packet { seq, timestamp: n as u32 * 160, arrival: n * FRAME_US, marker: false, payload };
            seq = seq.wrapping_add(1);
            let asked = counted(|| {
                if noise {
                    buffer.insert_noise(&packet);
                } else {
                    buffer.insert(&packet);
                }
            });
            assert_eq!(asked, Counts::NONE);
        };
        let speech: Vec<u8> = tone(n, 160).into_iter().map(ulaw_encode).collect();
        match n {
            // Speech, and two silences that are described in another way; then silence that is sent as such.
            0..100 | 300..400 => send(&speech, false),
            100 => send(&loud, true),
            200 => send(&soft, true),
            400..450 => send(&[ULAW_SILENCE; 160], false),
            _ => {}
        }
        let mut out = [0; 160];
        let asked = counted(|| {
            buffer.get(n * FRAME_US + 8000, &mut out);
        });
        assert_eq!(asked, Counts::NONE);
        levels.push(level(&out));
    }
    let mean = |frames: std::ops::Range<usize>| {
        let count = frames.len() as f32;
        levels[frames].iter().sum::<f32>() / count
    };
    assert!((mean(120..195) + 40.0).abs() < 2.0, "{}", mean(120..195));
    assert!((mean(210..295) + 60.0).abs() < 2.0, "{}", mean(210..295));
    assert!((mean(310..390) + 15.3).abs() < 1.0, "{}", mean(310..390));
    assert!(mean(470..495) < -90.0, "nobody spoke of noise in this silence: {}", mean(470..495));
    let stats = buffer.stats();
    assert_eq!((stats.lost, stats.concealed_samples), (0, 50 * 160), "who stops without a word is missed: {stats:?}");
}
