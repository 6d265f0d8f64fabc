//! Tones through every pair of rates: what must pass passes, what must not is at least 60 dB down.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_dsp::Simd;
use trunkline_dsp::resample::{RATES, Resampler};

fn tone(hz: f64, rate: u32, samples: usize) -> Vec<f32> {
    (0..samples).map(|n| (0.5 * (std::f64::consts::TAU * hz * n as f64 / f64::from(rate)).sin()) as f32).collect()
}

fn convert(input: &[f32], from: u32, to: u32) -> Vec<f32> {
    let mut resampler = Resampler::new(from, to).unwrap();
    let mut out = vec![0.0; resampler.max_output(input.len())];
    let written = resampler.process_f32(input, &mut out);
    out.truncate(written);
    out
}

/// Power of `pcm` at `hz`, and power of everything else, by least squares on the settled part.
fn split_power(pcm: &[f32], hz: f64, rate: u32) -> (f64, f64) {
    let settled = &pcm[pcm.len() / 4..];
    let (mut cc, mut ss, mut cs, mut xc, mut xs, mut total) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, sample) in settled.iter().enumerate() {
        let (sin, cos) = (std::f64::consts::TAU * hz * n as f64 / f64::from(rate)).sin_cos();
        let x = f64::from(*sample);
        cc += cos * cos;
        ss += sin * sin;
        cs += cos * sin;
        xc += x * cos;
        xs += x * sin;
        total += x * x;
    }
    let det = cc * ss - cs * cs;
    let (a, b) = ((xc * ss - xs * cs) / det, (xs * cc - xc * cs) / det);
    let wanted = a * xc + b * xs;
    (wanted / settled.len() as f64, (total - wanted).max(0.0) / settled.len() as f64)
}

fn db(ratio: f64) -> f64 {
    10.0 * ratio.max(1e-20).log10()
}

/// Every pair of rates that is promised, in one direction.
fn pairs() -> impl Iterator<Item = (u32, u32)> {
    let telephony = RATES.into_iter().flat_map(|rate| [8000, 16000].map(|telephony| (rate, telephony)));
    telephony.filter(|(a, b)| a != b).chain([(48000, 24000), (48000, 32000)])
}

#[test]
fn tones_of_the_pass_band_keep_their_level_and_gain_no_image() {
    for (rate, telephony) in pairs() {
        for (from, to) in [(rate, telephony), (telephony, rate)] {
            let half = f64::from(from.min(to)) / 2.0;
            for share in [0.03, 0.25, 0.5, 0.75, 0.84] {
                let hz = half * share;
                let out = convert(&tone(hz, from, from as usize / 2), from, to);
                let (wanted, rest) = split_power(&out, hz, to);
                assert!(db(wanted / 0.125).abs() < 0.2, "{from}->{to} at {hz}: {} dB", db(wanted / 0.125));
                assert!(db(rest / wanted) < -60.0, "{from}->{to} at {hz}: rest {} dB", db(rest / wanted));
            }
        }
    }
}

#[test]
fn tones_above_the_lower_half_rate_do_not_fold_back() {
    for (from, to) in pairs().filter(|(rate, telephony)| rate > telephony) {
        let (half, top) = (f64::from(to) / 2.0, f64::from(from) / 2.0);
        for hz in [half * 1.02, half * 1.1, (half + top) / 2.0, top * 0.97] {
            if hz > half {
                let out = convert(&tone(hz, from, from as usize / 2), from, to);
                let settled = &out[out.len() / 4..];
                let power = settled.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / settled.len() as f64;
                assert!(db(power / 0.125) < -60.0, "{from}->{to} at {hz}: {} dB", db(power / 0.125));
            }
        }
    }
}

#[test]
fn frames_of_22050_make_whole_frames_of_8000() {
    let mut resampler = Resampler::new(22050, 8000).unwrap();
    let mut out = [0; 200];
    for _ in 0..50 {
        assert_eq!(resampler.process(&[100; 441], &mut out), 160);
    }
    assert!(Resampler::new(22050, 24000).is_err());
}

#[test]
fn equal_rates_pass_through_unchanged() {
    let mut out = [0; 4];
    assert_eq!(Resampler::new(8000, 8000).unwrap().process(&[1, -2, 3, i16::MIN], &mut out), 4);
    assert_eq!(out, [1, -2, 3, i16::MIN]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_cut_of_the_input_does_not_change_the_output(
        pair in 0..16_usize,
        cuts in prop::collection::vec(1..400_usize, 1..8),
    ) {
        let (from, to) = pairs().nth(pair).unwrap();
        let total: usize = cuts.iter().sum();
        let input = tone(440.0, from, total);
        let whole = convert(&input, from, to);
        let mut resampler = Resampler::new(from, to).unwrap();
        let (mut pieces, mut rest) = (Vec::new(), &input[..]);
        for cut in cuts {
            let (piece, later) = rest.split_at(cut);
            rest = later;
            let mut out = vec![0.0; resampler.max_output(cut)];
            let written = resampler.process_f32(piece, &mut out);
            pieces.extend_from_slice(&out[..written]);
        }
        prop_assert_eq!(pieces, whole);
    }
}

#[test]
fn every_level_gives_the_same_bits_for_every_pair() {
    for from in RATES {
        for to in RATES {
            let Ok(mut narrow) = Resampler::with_simd(Simd::BASELINE, from, to) else { continue };
            let mut wide = Resampler::new(from, to).unwrap();
            let pcm: Vec<i16> = (0..2500_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as i16).collect();
            for frame in pcm.chunks(617) {
                let mut a = vec![0; narrow.max_output(frame.len())];
                let mut b = a.clone();
                assert_eq!(narrow.process(frame, &mut a), wide.process(frame, &mut b));
                assert_eq!(a, b, "{from}->{to}");
            }
        }
    }
}
