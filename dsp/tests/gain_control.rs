//! Speech comes to its level, noise stays where it was, and nothing passes the ceiling.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod tone_signals;

use proptest::prelude::*;
use tone_signals::{active_dbfs, add, at_level, noise, sine, speech};
use trunkline_dsp::Simd;
use trunkline_dsp::gain::{Agc, AgcConfig, Limiter, SonoraAgc};
use trunkline_dsp::vad::{Activity, SpectralBank, VadBank, VadFrame};

/// Frames of 20 ms with the detector's confidence; 48 kHz is judged by a narrow copy.
fn confidences(pcm: &[f32], rate: u32) -> Vec<f32> {
    let mut bank = SpectralBank::new(1);
    let slot = bank.attach(rate).unwrap();
    pcm.chunks_exact(rate as usize / 50)
        .map(|frame| {
            let mut batch = [VadFrame { slot, pcm: frame, activity: Activity::default() }];
            bank.process(&mut batch);
            batch[0].activity.confidence
        })
        .collect()
}

fn controlled(mut pcm: Vec<f32>, rate: u32, config: AgcConfig) -> (Vec<f32>, Vec<f32>) {
    let confidences = confidences(&pcm, rate);
    let mut agc = Agc::new(rate, config).unwrap();
    let mut gains = Vec::new();
    for (frame, confidence) in pcm.chunks_exact_mut(rate as usize / 50).zip(confidences) {
        agc.process(frame, confidence);
        gains.push(agc.gain_db());
    }
    (pcm, gains)
}

#[test]
fn speech_of_any_level_comes_to_the_target() {
    for rate in [8000, 16000] {
        for level in [-38.0, -30.0, -20.0, -12.0] {
            let pcm = at_level(speech(rate as usize * 14, rate, 0.9, 7), level, rate);
            let (out, _) = controlled(pcm, rate, AgcConfig::default());
            let reached = active_dbfs(&out[rate as usize * 6..], rate);
            assert!((reached + 20.0).abs() < 3.5, "{level} at {rate} came to {reached}");
        }
    }
}

#[test]
fn gain_is_bounded_as_configured() {
    let config = AgcConfig { max_gain_db: 6.0, max_attenuation_db: 3.0, ..AgcConfig::default() };
    for level in [-38.0, -8.0] {
        let (_, gains) = controlled(at_level(speech(80_000, 8000, 0.9, 3), level, 8000), 8000, config);
        assert!(gains.iter().all(|gain| (-3.001..=6.001).contains(gain)));
    }
}

#[test]
fn noise_and_pauses_do_not_move_the_gain() {
    let (_, gains) = controlled(noise(-45.0, 80_000, 2), 8000, AgcConfig::default());
    assert!(gains.iter().all(|gain| gain.abs() < 0.5), "{:?}", gains.last());

    let mut pcm = at_level(speech(64_000, 8000, 0.9, 7), -30.0, 8000);
    pcm.extend(vec![0.0; 80_000]);
    let background = noise(-65.0, pcm.len(), 5);
    add(&mut pcm, &background);
    let (_, gains) = controlled(pcm, 8000, AgcConfig::default());
    let (spoken, later) = (gains[405], gains[gains.len() - 1]);
    assert!((spoken - later).abs() < 0.5, "{spoken} became {later} in a pause");
}

#[test]
fn the_background_is_not_amplified_above_its_limit() {
    let mut pcm = at_level(speech(160_000, 8000, 0.7, 9), -38.0, 8000);
    let background = noise(-58.0, pcm.len(), 5);
    add(&mut pcm, &background);
    let (_, gains) = controlled(pcm, 8000, AgcConfig::default());
    let last = *gains.last().unwrap();
    assert!(last < 11.0, "noise of -58 dBFS was amplified by {last} dB");
}

#[test]
fn nothing_passes_the_ceiling_and_quiet_sound_is_left_alone() {
    for rate in [8000, 16000, 48000] {
        let mut limiter = Limiter::new(rate, -3.0).unwrap();
        let ceiling = limiter.ceiling();
        let mut loud = sine(997.0, 3.0, rate as usize, rate);
        let mut quiet = sine(997.0, -9.0, rate as usize, rate);
        let before = quiet.clone();
        for frame in quiet.chunks_mut(rate as usize / 50) {
            limiter.process(frame);
        }
        assert_eq!(quiet, before, "below the ceiling the limiter changes no bit");
        for frame in loud.chunks_mut(rate as usize / 100) {
            limiter.process(frame);
        }
        assert!(loud.iter().all(|s| s.abs() <= ceiling));
        // A sine limited smoothly stays one: little clipping.
        let clipped = loud.iter().filter(|s| s.abs() >= ceiling * 0.99999).count();
        assert!(clipped * 50 < loud.len(), "{clipped} of {} at the ceiling", loud.len());
    }
    assert!(Limiter::new(44100, -1.0).is_err());
    assert!(Agc::new(11025, AgcConfig::default()).is_err());
}

#[test]
fn every_instruction_set_gives_the_same_samples() {
    let pcm = at_level(speech(32_000, 8000, 0.9, 7), -35.0, 8000);
    let run = |simd| {
        let mut pcm = pcm.clone();
        let mut agc = Agc::with_simd(8000, AgcConfig::default(), simd).unwrap();
        for frame in pcm.chunks_mut(160) {
            agc.process(frame, 0.9);
        }
        pcm
    };
    assert_eq!(run(Simd::BASELINE), run(Simd::detect()));
}

#[test]
fn webrtcs_control_amplifies_quiet_speech_and_keeps_full_scale() {
    for rate in [8000, 16000] {
        let mut pcm = at_level(speech(rate as usize * 14, rate, 0.9, 7), -38.0, rate);
        let mut agc = SonoraAgc::new(rate).unwrap();
        for frame in pcm.chunks_exact_mut(rate as usize / 50) {
            agc.process(frame, 1.0);
        }
        let reached = active_dbfs(&pcm[rate as usize * 8..], rate);
        println!("AGC2 at {rate}: {reached:.1} dBFS");
        assert!(reached > -30.0 && pcm.iter().all(|s| s.abs() <= 1.0), "{reached}");
    }
    assert!(SonoraAgc::new(44100).is_err());
}

fn any_sample() -> impl Strategy<Value = f32> {
    prop_oneof![4 => -2.0..2.0_f32, 1 => any::<f32>(), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_samples_come_out_below_the_ceiling(
        frames in prop::collection::vec((prop::collection::vec(any_sample(), 0..400), any::<f32>()), 0..20),
        rate in prop::sample::select(vec![8000_u32, 16000, 48000]),
        target in any::<f32>(),
        ceiling in -50.0..5.0_f32,
    ) {
        let config = AgcConfig { target_dbfs: target, ceiling_dbfs: ceiling, ..AgcConfig::default() };
        let mut agc = Agc::new(rate, config).unwrap();
        let ceiling = Limiter::new(rate, ceiling).unwrap().ceiling();
        let mut sonora = SonoraAgc::new(rate).unwrap();
        for (frame, confidence) in &frames {
            let mut pcm = frame.clone();
            agc.process(&mut pcm, *confidence);
            prop_assert!(pcm.iter().all(|s| s.abs() <= ceiling));
            prop_assert!(agc.gain_db().is_finite());
            let mut pcm = frame.clone();
            sonora.process(&mut pcm, *confidence);
        }
    }
}
