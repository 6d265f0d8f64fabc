//! Prosody: pitch, rate and energy of made voices are found; bad samples do no harm; instruction sets change nothing.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_dsp::Simd;
use trunkline_dsp::prosody::{Prosody, ProsodyFeatures};

/// A buzz with formants at `pitch` Hz, swinging by `swing` semitones either way three times in two seconds, in
/// `syllables` per second.
fn voice(rate: u32, pitch: f32, swing: f32, syllables: f32, seconds: usize) -> Vec<f32> {
    let mut phase = 0.0_f32;
    (0..rate as usize * seconds)
        .map(|n| {
            let t = n as f32 / rate as f32;
            let hz = pitch * (swing * (std::f32::consts::TAU * 1.5 * t).sin() / 12.0).exp2();
            phase = (phase + hz / rate as f32).fract();
            let tone: f32 = (1..20)
                .map(|k| {
                    let k = k as f32;
                    let formant = |at: f32| 1.0 / (1.0 + ((hz * k - at) / 150.0).powi(2));
                    (std::f32::consts::TAU * phase * k).sin() * (formant(600.0) + formant(1300.0) + 0.05)
                })
                .sum();
            tone * 0.1 * (0.55 - 0.45 * (std::f32::consts::TAU * syllables * t).cos())
        })
        .collect()
}

fn features(rate: u32, pcm: &[f32]) -> ProsodyFeatures {
    let mut prosody = Prosody::new(rate).unwrap();
    for frame in pcm.chunks(rate as usize / 50) {
        prosody.push(frame);
    }
    prosody.features()
}

#[test]
fn pitch_is_found_at_both_rates() {
    for rate in [8000, 16000] {
        for pitch in [80.0, 110.0, 160.0, 220.0, 320.0] {
            let found = features(rate, &voice(rate, pitch, 0.0, 4.0, 3));
            assert!((found.pitch_hz / pitch - 1.0).abs() < 0.03, "{pitch} at {rate}: {found:?}");
            assert!(found.voicing > 0.7 && found.voiced_share > 0.7, "{pitch} at {rate}: {found:?}");
            assert!(found.pitch_deviation_semitones < 0.7, "{pitch} at {rate}: {found:?}");
        }
    }
}

#[test]
fn a_lively_voice_has_a_wider_range_than_a_flat_one() {
    let flat = features(8000, &voice(8000, 150.0, 0.3, 4.0, 3));
    let lively = features(8000, &voice(8000, 150.0, 4.0, 4.0, 3));
    assert!(lively.pitch_range_semitones > 5.0 && lively.pitch_range_semitones < 9.0, "{lively:?}");
    assert!(flat.pitch_range_semitones < 1.2, "{flat:?}");
    assert!(lively.pitch_deviation_semitones > 3.0 * flat.pitch_deviation_semitones);
}

#[test]
fn syllables_are_counted() {
    for syllables in [2.0, 3.0, 4.0, 5.0, 6.0] {
        let found = features(8000, &voice(8000, 140.0, 1.0, syllables, 3));
        assert!((found.syllables_per_second - syllables).abs() < 0.7, "{syllables}: {found:?}");
    }
}

#[test]
fn energy_follows_the_level() {
    let soft: Vec<f32> = voice(8000, 140.0, 1.0, 4.0, 3).iter().map(|x| x * 0.25).collect();
    let loud = features(8000, &voice(8000, 140.0, 1.0, 4.0, 3));
    let soft = features(8000, &soft);
    assert!((loud.energy_dbfs - soft.energy_dbfs - 12.0).abs() < 1.5, "{loud:?} {soft:?}");
    assert!(loud.energy_deviation_db > 2.0);
}

#[test]
fn noise_has_no_pitch_and_silence_nothing() {
    let mut state = 1_u64;
    let noise: Vec<f32> = (0..24000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 40) as f32 / 8_388_608.0 - 1.0) * 0.1
        })
        .collect();
    let found = features(8000, &noise);
    assert!(found.voiced_share < 0.15, "{found:?}");
    assert_eq!(features(8000, &[0.0; 8000]), ProsodyFeatures::default());
    assert_eq!(Prosody::new(8000).unwrap().features(), ProsodyFeatures::default());
    assert!(Prosody::new(44100).is_none());
}

#[test]
fn bad_samples_do_no_harm_and_instruction_sets_change_nothing() {
    let run = |simd| {
        let mut prosody = Prosody::with_simd(16000, 0, simd).unwrap();
        for bad in [f32::NAN, f32::INFINITY, -1e30, 2.0] {
            for length in [0, 1, 159, 160, 320, 5000] {
                prosody.push(&vec![bad; length]);
            }
        }
        let bad = prosody.features();
        prosody.push(&voice(16000, 200.0, 2.0, 4.0, 1));
        (bad, prosody.features())
    };
    let (bad, good) = run(Simd::detect());
    assert!(bad.energy_dbfs.is_finite() && bad.pitch_hz.is_finite());
    assert!(good.pitch_hz > 150.0 && good.pitch_hz < 250.0, "{good:?}");
    assert_eq!((bad, good), run(Simd::BASELINE));
}
