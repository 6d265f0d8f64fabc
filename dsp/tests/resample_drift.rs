//! Drift correction: tones come out at the pitch and level they must have, in the number of samples asked for.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_dsp::Simd;
use trunkline_dsp::resample::{DriftResampler, MAX_PPM};

fn tone(cycles: f64, samples: usize) -> Vec<f32> {
    (0..samples).map(|n| (0.5 * (std::f64::consts::TAU * cycles * n as f64).sin()) as f32).collect()
}

fn stretch(resampler: &mut DriftResampler, input: &[f32], frame: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for frame in input.chunks(frame) {
        let mut made = vec![0.0; DriftResampler::max_output(frame.len())];
        let written = resampler.process_f32(frame, &mut made);
        out.extend_from_slice(&made[..written]);
    }
    out
}

#[test]
fn tones_keep_their_level_and_move_by_the_drift() {
    for ppm in [-1000.0, -123.0, 0.0, 37.5, 1000.0] {
        for cycles in [0.01, 0.1, 0.25, 0.4, 0.42] {
            let mut resampler = DriftResampler::new();
            resampler.set_ppm(ppm);
            let out = stretch(&mut resampler, &tone(cycles, 16_000), 160);
            let ratio = 1.0 + f64::from(ppm) * 1e-6;
            assert!((out.len() as f64 - 16_000.0 * ratio).abs() < 2.0, "{ppm}: {}", out.len());
            // The n-th output lies n / ratio after the first, which lies `delay` before the first input.
            let (mut signal, mut noise) = (0.0, 0.0);
            for (n, sample) in out.iter().enumerate().skip(100) {
                let at = n as f64 / ratio - DriftResampler::delay() as f64;
                let truth = 0.5 * (std::f64::consts::TAU * cycles * at).sin();
                signal += truth * truth;
                noise += (truth - f64::from(*sample)).powi(2);
            }
            let snr = 10.0 * f64::log10(signal / noise);
            let least = 65.0;

            assert!(snr > least, "{ppm} ppm, {cycles} cycles: {snr} dB");
        }
    }
}

#[test]
fn without_drift_the_samples_come_back_unchanged() {
    let pcm: Vec<i16> = (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as i16).collect();
    let mut out = vec![0; 2002];
    assert_eq!(DriftResampler::new().process(&pcm, &mut out), 2000);
    let delay = DriftResampler::delay();
    assert_eq!(out[delay..2000], pcm[..2000 - delay]);
}

#[test]
fn a_change_of_drift_makes_no_click() {
    let input = tone(0.02, 16_000);
    let mut resampler = DriftResampler::new();
    let mut out = Vec::new();
    for (n, frame) in input.chunks(160).enumerate() {
        resampler.set_ppm(if n % 2 == 0 { MAX_PPM } else { -MAX_PPM });
        out.extend(stretch(&mut resampler, frame, 160));
    }
    let bend = out[100..].windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max);
    assert!(bend < 0.5 * (std::f32::consts::TAU * 0.02).powi(2) * 1.02, "{bend}");
}

#[test]
fn an_hour_of_clock_drift_is_made_up_to_the_sample() {
    let mut resampler = DriftResampler::new();
    resampler.set_ppm(200.0);
    let (mut made, mut out) = (0_u64, [0; 164]);
    for _ in 0..3600 * 5 {
        made += resampler.process(&[0; 160], &mut out) as u64;
    }
    assert!(made.abs_diff(2_880_576) <= 1, "{made}");
}

proptest! {
    #[test]
    fn every_level_and_every_cut_gives_the_same_bits(
        cuts in prop::collection::vec(0..1200_usize, 1..6), ppm in -1500.0_f32..1500.0, nan: bool,
    ) {
        let input = tone(0.123, cuts.iter().sum());
        let (mut whole, mut pieces) = (DriftResampler::new(), DriftResampler::with_simd(Simd::BASELINE));
        whole.set_ppm(if nan { f32::NAN } else { ppm });
        pieces.set_ppm(if nan { f32::NAN } else { ppm });
        let expected = stretch(&mut whole, &input, usize::MAX);
        let mut rest = &input[..];
        let mut got = Vec::new();
        for cut in cuts {
            let (piece, later) = rest.split_at(cut);
            rest = later;
            got.extend(stretch(&mut pieces, piece, usize::MAX));
        }
        prop_assert_eq!(got, expected);
    }
}
