//! A leg's chain: alone or among others it is the same, echo is no interruption, and odd frames harm nobody.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod tone_signals;

use tone_signals::{Rng, add, noise, speech};
use trunkline_dsp::chain::{
    ChainConfig, Denoiser, DownlinkChain, DownlinkFrame, LegDsp, UplinkChain, UplinkFrame, UplinkReport,
};
use trunkline_dsp::to_i16;

const FRAME: usize = 160;

fn quantised(pcm: &[f32]) -> Vec<i16> {
    pcm.iter().map(|sample| to_i16(*sample)).collect()
}

/// One tick of one leg.
fn tick(uplink: &mut UplinkChain, leg: &mut LegDsp, said: &mut [i16], heard: &mut [i16]) -> UplinkReport {
    DownlinkChain::new().process(&mut [DownlinkFrame { leg, pcm: said }]);
    let mut batch = [UplinkFrame { leg, pcm: heard, report: UplinkReport::default() }];
    uplink.process(&mut batch);
    batch[0].report
}

#[test]
fn a_leg_sounds_the_same_alone_and_among_others() {
    for denoiser in [Denoiser::Off, Denoiser::Economy, Denoiser::Lanes, Denoiser::Reference] {
        let config = ChainConfig { denoiser, ..ChainConfig::default() };
        let (mut alone, mut crowd) = (UplinkChain::new(config, 1), UplinkChain::new(config, 21));
        let mut single = alone.attach(8000).unwrap();
        let mut legs: Vec<LegDsp> = (0..21).map(|_| crowd.attach(8000).unwrap()).collect();
        let mut sound = speech(2 * 8000, 8000, 0.9, 5);
        add(&mut sound, &noise(-40.0, 2 * 8000, 6));
        let sound = quantised(&sound);
        for (n, frame) in sound.chunks_exact(FRAME).enumerate() {
            let mut wanted = frame.to_vec();
            let report = tick(&mut alone, &mut single, &mut [], &mut wanted);
            let mut frames: Vec<Vec<i16>> =
                (0..21).map(|leg| if leg == 17 { frame.to_vec() } else { vec![(leg * n) as i16; FRAME] }).collect();
            let mut batch: Vec<_> = legs
                .iter_mut()
                .zip(&mut frames)
                .map(|(leg, pcm)| UplinkFrame { leg, pcm, report: UplinkReport::default() })
                .collect();
            crowd.process(&mut batch);
            assert_eq!(batch[17].report, report, "{denoiser:?}, frame {n}");
            assert_eq!(frames[17], wanted, "{denoiser:?}, frame {n}");
        }
    }
}

#[test]
fn the_agents_echo_interrupts_nobody_and_a_caller_does() {
    let mut uplink = UplinkChain::new(ChainConfig::default(), 1);
    let mut leg = uplink.attach(8000).unwrap();
    let seconds = 40;
    let agent = speech(seconds * 8000, 8000, 0.9, 21);
    // The echo comes 120 ms later, 12 dB down, over a quiet line.
    let mut line = noise(-65.0, seconds * 8000, 22);
    for (n, sample) in agent.iter().enumerate() {
        if let Some(later) = line.get_mut(n + 960) {
            *later += sample * 0.25;
        }
    }
    // The caller speaks once the half is over.
    let begins = seconds / 2 * 8000;
    let caller = speech(seconds / 2 * 8000, 8000, 1.3, 77);
    add(&mut line[begins..], &caller);
    let first_word = begins + caller.iter().position(|sample| sample.abs() > 0.02).unwrap();
    let (agent, line) = (quantised(&agent), quantised(&line));
    let mut interruptions = Vec::new();
    for (n, (said, heard)) in agent.chunks_exact(FRAME).zip(line.chunks_exact(FRAME)).enumerate() {
        let (mut said, mut heard) = (said.to_vec(), heard.to_vec());
        if tick(&mut uplink, &mut leg, &mut said, &mut heard).interrupts {
            interruptions.push((n + 1) * FRAME);
        }
    }
    let early: Vec<_> = interruptions.iter().filter(|at| **at <= begins).collect();
    assert!(early.is_empty(), "echo interrupted at samples {early:?}");
    let first = *interruptions.first().expect("the caller was not noticed");
    assert!(first - first_word <= 8000 * 3 / 10, "noticed {} ms after the first word", (first - first_word) / 8);
    assert!(leg.echo_delay_ms().unwrap().abs_diff(120) <= 20);
}

#[test]
fn a_full_chain_takes_nobody_in_until_a_leg_leaves() {
    let mut uplink = UplinkChain::new(ChainConfig::default(), 2);
    assert!(uplink.attach(44_100).is_none());
    let mut first = uplink.attach(8000).unwrap();
    let _second = uplink.attach(16_000).unwrap();
    assert!(uplink.attach(8000).is_none());
    uplink.detach(&mut first);
    assert_eq!(uplink.attach(16_000).unwrap().frame(), 320);
}

#[test]
fn a_leg_moves_to_another_worker_with_what_it_knows() {
    let (mut here, mut there) =
        (UplinkChain::new(ChainConfig::default(), 1), UplinkChain::new(ChainConfig::default(), 1));
    let mut leg = here.attach(8000).unwrap();
    let agent = speech(20 * 8000, 8000, 0.9, 2);
    let line: Vec<f32> = (0..agent.len()).map(|n| if n < 800 { 0.0 } else { agent[n - 800] * 0.3 }).collect();
    let (agent, line) = (quantised(&agent), quantised(&line));
    for (said, heard) in agent.chunks_exact(FRAME).zip(line.chunks_exact(FRAME)) {
        tick(&mut here, &mut leg, &mut said.to_vec(), &mut heard.to_vec());
    }
    let delay = leg.echo_delay_ms().expect("the echo's delay is known by now");
    let _occupant = there.attach(8000).unwrap();
    here.detach(&mut leg);
    assert!(!there.adopt(&mut leg), "a full chain takes nobody in");
    let mut other = UplinkChain::new(ChainConfig::default(), 2);
    let (mut settled, _neighbour) = (other.attach(8000).unwrap(), other.attach(8000).unwrap());
    assert!(!here.adopt(&mut settled), "a leg with places elsewhere is not taken in");
    let mut untouched = vec![5_i16; FRAME];
    assert_eq!(tick(&mut here, &mut leg, &mut [], &mut untouched), UplinkReport::default());
    assert_eq!(untouched, [5; FRAME], "a leg without a place is left alone");
    assert!(here.adopt(&mut leg));
    assert_eq!(leg.echo_delay_ms(), Some(delay));
}

#[test]
fn odd_and_absurd_frames_leave_the_next_one_sound() {
    let mut uplink = UplinkChain::new(ChainConfig::default(), 3);
    let mut leg = uplink.attach(8000).unwrap();
    let mut rng = Rng::new(9);
    for length in [0, 1, 159, 161, 320, 4000] {
        let before: Vec<i16> = (0..length).map(|_| to_i16(rng.normal())).collect();
        let mut heard = before.clone();
        let report = tick(&mut uplink, &mut leg, &mut vec![i16::MIN; length], &mut heard);
        assert_eq!((heard, report), (before, UplinkReport::default()), "{length} samples");
    }
    for level in [i16::MIN, i16::MAX, 0] {
        for _ in 0..50 {
            tick(&mut uplink, &mut leg, &mut [level; FRAME], &mut [level; FRAME]);
        }
    }
    let sound = quantised(&speech(8000, 8000, 0.9, 3));
    let loudest = sound
        .chunks_exact(FRAME)
        .map(|frame| tick(&mut uplink, &mut leg, &mut [], &mut frame.to_vec()).activity.confidence)
        .fold(0.0, f32::max);
    assert!(loudest > 0.5, "speech after absurd sound is still found, {loudest}");
}

#[test]
fn what_is_played_never_exceeds_the_ceiling() {
    let config = ChainConfig { ceiling_dbfs: -6.0, ..ChainConfig::default() };
    let mut uplink = UplinkChain::new(config, 1);
    let mut leg = uplink.attach(8000).unwrap();
    let mut rng = Rng::new(4);
    for _ in 0..100 {
        let mut said: Vec<i16> = (0..FRAME).map(|_| to_i16(rng.normal() * 0.5)).collect();
        DownlinkChain::new().process(&mut [DownlinkFrame { leg: &mut leg, pcm: &mut said }]);
        assert!(said.iter().all(|sample| i32::from(*sample).abs() <= 16_423 + 1));
    }
}
