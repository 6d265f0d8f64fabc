//! Whole chains, and the blocks a leg uses around them, allocate nothing for a frame.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_allocations::allocations;
use trunkline_dsp::chain::{
    ChainConfig, Denoiser, DownlinkChain, DownlinkFrame, UplinkChain, UplinkFrame, UplinkReport,
};
use trunkline_dsp::codec::{
    AlawDecoder, AlawEncoder, Decoder, Encoder, G722Decoder, G722Encoder, L16Decoder, L16Encoder, OpusDecoder,
    OpusEncoder, OpusSettings, UlawDecoder, UlawEncoder,
};
use trunkline_dsp::fade::{DuckSettings, Ducker};
use trunkline_dsp::gain::AgcConfig;
use trunkline_dsp::gate::GateConfig;
use trunkline_dsp::jitter::{JitterBuffer, JitterConfig, Packet};
use trunkline_dsp::mix::Mixer;
use trunkline_dsp::ns::Gate;
use trunkline_dsp::resample::{DriftResampler, Resampler};

type Pair = (&'static str, Box<dyn Encoder>, Box<dyn Decoder>);

fn tone(rate: u32, hz: f32, frame: usize) -> Vec<i16> {
    let length = rate as usize / 50;
    (0..length)
        .map(|n| {
            let t = (frame * length + n) as f32 / rate as f32;
            ((std::f32::consts::TAU * hz * t).sin() * 6000.0 * (0.6 + 0.4 * (t * 9.0).sin())) as i16
        })
        .collect()
}

#[test]
fn no_chain_allocates_for_a_tick() {
    let everything = ChainConfig {
        denoiser_gate: Gate::Open,
        agc: Some(AgcConfig::default()),
        noise_gate: Some(GateConfig::default()),
        ..ChainConfig::default()
    };
    for denoiser in [Denoiser::Off, Denoiser::Economy, Denoiser::Lanes, Denoiser::Reference] {
        let mut uplink = UplinkChain::new(ChainConfig { denoiser, ..everything }, 19);
        let mut downlink = DownlinkChain::new();
        let mut legs: Vec<_> = (0..19).map(|n| uplink.attach([8000, 16_000][n % 2]).unwrap()).collect();
        for tick in 0..20 {
            let mut up: Vec<_> = legs.iter().map(|leg| tone(leg.rate(), 300.0, tick)).collect();
            let mut down: Vec<_> = legs.iter().map(|leg| tone(leg.rate(), 700.0, tick)).collect();
            // Not every leg plays and hears in every tick.
            let mut said: Vec<_> =
                legs.iter_mut().zip(&mut down).skip(tick % 3).map(|(leg, pcm)| DownlinkFrame { leg, pcm }).collect();
            assert_eq!(allocations(|| downlink.process(&mut said)), 0, "{denoiser:?} down, tick {tick}");
            let mut heard: Vec<_> = legs
                .iter_mut()
                .zip(&mut up)
                .skip(tick % 4)
                .map(|(leg, pcm)| UplinkFrame { leg, pcm, report: UplinkReport::default() })
                .collect();
            assert_eq!(allocations(|| uplink.process(&mut heard)), 0, "{denoiser:?} up, tick {tick}");
        }
    }
}

#[test]
fn no_codec_allocates_for_a_frame() {
    let opus = || (OpusEncoder::new(OpusSettings::voice(16_000)).unwrap(), OpusDecoder::new(16_000).unwrap());
    let (opus_encoder, opus_decoder) = opus();
    let pairs: [Pair; 5] = [
        ("ulaw", Box::new(UlawEncoder), Box::new(UlawDecoder)),
        ("alaw", Box::new(AlawEncoder), Box::new(AlawDecoder)),
        ("l16", Box::new(L16Encoder::new(16_000)), Box::new(L16Decoder::new(16_000))),
        ("g722", Box::new(G722Encoder::new()), Box::new(G722Decoder::new())),
        ("opus", Box::new(opus_encoder), Box::new(opus_decoder)),
    ];
    for (name, mut encoder, mut decoder) in pairs {
        let (mut payload, mut out) = ([0_u8; 1500], [0_i16; 960]);
        for frame in 0..50 {
            let pcm = tone(encoder.rate(), 440.0, frame);
            let count = allocations(|| {
                let length = encoder.encode(&pcm, &mut payload);
                match frame % 10 {
                    8 => drop(decoder.decode_fec(&payload[..length], &mut out[..pcm.len()])),
                    9 => drop(decoder.decode_lost(&mut out[..pcm.len()])),
                    _ => drop(decoder.decode(&payload[..length], &mut out)),
                }
            });
            // Opus sets its engine up in the first frames.
            assert!(count == 0 || (name == "opus" && frame < 2), "{name} allocated {count} times in frame {frame}");
        }
    }
}

#[test]
fn the_jitter_buffer_allocates_for_no_packet_and_no_frame() {
    let mut buffer = JitterBuffer::new(UlawDecoder, JitterConfig::default());
    let (mut payload, mut out) = ([0_u8; 160], [0_i16; 160]);
    for n in 0..500_u64 {
        UlawEncoder.encode(&tone(8000, 250.0, n as usize), &mut payload);
        // Losses, reordering, jitter and a pause.
        let arrival = n * 20_000 + n * 7919 % 30_000;
        let packet = Packet { seq: n as u16, timestamp: n as u32 * 160, arrival, marker: false, payload: &payload };
        let count = allocations(|| {
            if n % 17 != 0 && !(200..230).contains(&n) {
                buffer.insert(&packet);
            }
            buffer.get(n * 20_000 + 40_000, &mut out);
        });
        assert_eq!(count, 0, "packet {n}");
    }
}

#[test]
fn resamplers_mixer_and_ducker_allocate_for_no_frame() {
    let mut resampler = Resampler::new(8000, 16_000).unwrap();
    let mut drift = DriftResampler::new();
    let mut mixer = Mixer::new();
    let mut ducker = Ducker::new(8000, DuckSettings::default());
    for frame in 0..50 {
        let pcm = tone(8000, 330.0, frame);
        let (mut out, mut duck) = ([0_i16; 400], pcm.clone());
        let count = allocations(|| {
            resampler.process(&pcm, &mut out);
            drift.set_ppm(frame as f32 * 10.0);
            drift.process(&pcm, &mut out);
            mixer.begin(160);
            for _ in 0..8 {
                mixer.add(&pcm);
            }
            for party in 0..8 {
                mixer.mix(party, Some(&pcm), &mut out[..160]);
            }
            ducker.process(frame % 20 < 10, &mut duck);
        });
        assert_eq!(count, 0, "frame {frame}");
    }
}
