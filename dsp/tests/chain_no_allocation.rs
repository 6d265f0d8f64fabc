//! Whole chains, and the blocks a leg uses around them, allocate nothing for a frame.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_allocations::{Counts, allocations, counted, weighed};
use trunkline_dsp::chain::{
    ChainConfig, Denoiser, DownlinkChain, DownlinkFrame, LegDsp, Shedding, Sound, SoundChange, UplinkBatch,
    UplinkChain, UplinkFrame, UplinkReport,
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

const SHEDDING: [Shedding; 3] = [Shedding::None, Shedding::Economy, Shedding::NoDenoiser];

/// A leg with everything on.
fn everything(denoiser: Denoiser) -> Sound {
    Sound { denoiser, agc: Some(AgcConfig::default()), noise_gate: Some(GateConfig::default()), ..Sound::default() }
}

#[test]
fn no_chain_allocates_for_a_tick() {
    let denoisers = [Denoiser::Off, Denoiser::Economy, Denoiser::Lanes, Denoiser::Reference];
    let mut uplink = UplinkChain::new(ChainConfig { denoiser_gate: Gate::Open, ..ChainConfig::new(38) });
    let mut downlink = DownlinkChain::new();
    let mut legs: Vec<_> =
        (0..38).map(|n| LegDsp::new(&everything(denoisers[n / 2 % 4]), [8000, 16_000][n % 2]).unwrap()).collect();
    let mut raw = vec![[0; 320]; 38];
    assert_eq!(counted(|| assert!(legs.iter_mut().all(|leg| uplink.adopt(leg)))), Counts::NONE);
    for tick in 0..40 {
        let mut up: Vec<_> = legs.iter().map(|leg| tone(leg.rate(), 300.0, tick)).collect();
        let mut down: Vec<_> = legs.iter().map(|leg| tone(leg.rate(), 700.0, tick)).collect();
        // Not every leg plays and hears in every tick.
        let mut said: Vec<_> =
            legs.iter_mut().zip(&mut down).skip(tick % 3).map(|(leg, pcm)| DownlinkFrame { leg, pcm }).collect();
        assert_eq!(allocations(|| downlink.process(&mut said)), 0, "down, tick {tick}");
        uplink.set_shedding(SHEDDING[tick / 10 % 3]);
        let mut heard: Vec<_> = legs
            .iter_mut()
            .zip(&mut up)
            .zip(&mut raw)
            .skip(tick % 4)
            .map(|((leg, pcm), raw)| {
                let raw = &mut raw[..pcm.len()];
                UplinkFrame { leg, pcm, raw, report: UplinkReport::default() }
            })
            .collect();
        assert_eq!(counted(|| uplink.process(&mut heard)), Counts::NONE, "up, tick {tick}");
    }
}

#[test]
fn a_row_of_frames_is_made_again_and_again_in_the_same_memory() {
    let mut batch = UplinkBatch::new(5);
    let mut legs: Vec<_> = (0..7).map(|_| LegDsp::new(&Sound::default(), 8000).unwrap()).collect();
    let mut pcm = [[0_i16; 160]; 7];
    for round in 0..10 {
        let frames = legs.iter_mut().zip(&mut pcm).skip(round % 3);
        let frames = frames.map(|(leg, pcm)| UplinkFrame { leg, pcm, raw: &mut [], report: UplinkReport::default() });
        let mut laid = 0;
        assert_eq!(counted(|| laid = batch.with(frames, |row| row.len())), Counts::NONE, "round {round}");
        assert_eq!(laid, 5);
    }
}

#[test]
fn legs_move_change_and_recover_without_an_allocation() {
    let sounds: Vec<_> = [Denoiser::Lanes, Denoiser::Off, Denoiser::Reference, Denoiser::Economy]
        .into_iter()
        .enumerate()
        .map(|(n, denoiser)| Sound { echo_gate: n % 2 == 0, agc: None, ..everything(denoiser) })
        .collect();
    let mut chains = [UplinkChain::new(ChainConfig::new(20)), UplinkChain::new(ChainConfig::new(20))];
    let mut legs: Vec<_> = (0..20).map(|n| LegDsp::new(&sounds[n % 4], [16_000, 8000][n / 7 % 2]).unwrap()).collect();
    let mut left = Vec::with_capacity(1000);
    let mut here = 0;
    assert!(legs.iter_mut().all(|leg| chains[0].adopt(leg)));
    for round in 0..20 {
        let mut changes: Vec<SoundChange> =
            legs.iter().enumerate().map(|(n, leg)| leg.prepare(&sounds[(n + round) % 4]).unwrap()).collect();
        let asked = counted(|| {
            for (n, (leg, change)) in legs.iter_mut().zip(&mut changes).enumerate() {
                assert!(chains[here].apply(leg, change));
                if n % 5 == round % 5 {
                    chains[here].recover(leg);
                }
                chains[here].detach(leg);
                assert!(chains[1 - here].adopt(leg));
            }
        });
        assert_eq!(asked, Counts::NONE, "round {round}");
        left.append(&mut changes);
        here = 1 - here;
        let mut up: Vec<_> = legs.iter().map(|leg| tone(leg.rate(), 300.0, round)).collect();
        let mut heard: Vec<_> = legs
            .iter_mut()
            .zip(&mut up)
            .map(|(leg, pcm)| UplinkFrame { leg, pcm, raw: &mut [], report: UplinkReport::default() })
            .collect();
        assert_eq!(counted(|| chains[here].process(&mut heard)), Counts::NONE, "round {round}");
    }
}

#[test]
fn a_leg_with_its_place_takes_at_most_sixty_kilobytes() {
    let chain = |slots: usize| weighed(|| UplinkChain::new(ChainConfig::new(slots))).1;
    // The first makes what all chains share.
    let (_, small, large) = (chain(1), chain(64), chain(192));
    let place = (large - small) / 128;
    for rate in [8000, 16_000] {
        let (leg, own) = weighed(|| Box::new(LegDsp::new(&Sound::default(), rate).unwrap()));
        assert!(place + own <= 60 * 1024, "{} Hz: {place} bytes of the chain and {own} of the leg", leg.rate());
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
            assert_eq!(count, 0, "{name} allocated in frame {frame}");
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
