//! The level meter: a tone lands in its band, floors re-converge, instruction sets and bad samples change nothing.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_dsp::Simd;
use trunkline_dsp::level::{LevelMeter, Levels, NoiseFloor};
use trunkline_dsp::spectrum::{BANDS, BandSpectrum, EDGES_HZ};

fn tone(rate: u32, hz: f32, dbfs: f32, samples: usize) -> Vec<f32> {
    let amplitude = 10_f32.powf((dbfs + 3.01) / 20.0);
    (0..samples).map(|n| (std::f32::consts::TAU * hz * n as f32 / rate as f32).sin() * amplitude).collect()
}

fn noise(seed: u64, dbfs: f32, samples: usize) -> Vec<f32> {
    let mut state = seed * 2 + 1;
    let amplitude = 10_f32.powf(dbfs / 20.0) * 3_f32.sqrt();
    (0..samples)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / 8_388_608.0 - 1.0) * amplitude
        })
        .collect()
}

#[test]
fn a_tone_lands_in_its_band() {
    for rate in [8000, 16000, 48000] {
        for frame in [rate as usize / 100, rate as usize / 50] {
            let mut spectrum = BandSpectrum::new(rate).unwrap();
            for band in 0..BANDS {
                let top = EDGES_HZ.get(band + 1).copied().unwrap_or(rate / 2);
                let middle = (EDGES_HZ[band] + top) as f32 / 2.0;
                let levels = spectrum.measure(&tone(rate, middle, -20.0, frame));
                let loudest = (0..BANDS).max_by(|a, b| levels[*a].total_cmp(&levels[*b])).unwrap();
                assert_eq!(loudest, band, "{middle} Hz at {rate}: {levels:?}");
                // In 10 ms the lowest bands are narrower than the window's main lobe.
                if frame == rate as usize / 50 {
                    assert!((levels[band] + 20.0).abs() < 1.5, "{middle} Hz at {rate}: {levels:?}");
                    for (other, level) in levels.iter().enumerate() {
                        assert!(other.abs_diff(band) < 2 || *level < -40.0, "{middle} Hz at {rate}: {levels:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn levels_are_those_of_known_signals() {
    let mut meter = LevelMeter::new(8000).unwrap();
    let mut last = meter.measure(&[]);
    assert_eq!((last.rms_dbfs, last.peak_dbfs), (-96.0, -96.0));
    for tick in 0..200 {
        let pcm = if tick % 50 < 45 { noise(tick, -50.0, 160) } else { tone(8000, 1000.0, -13.0, 160) };
        last = meter.measure(&pcm);
    }
    assert!((last.rms_dbfs + 13.0).abs() < 0.1, "{last:?}");
    assert!((last.peak_dbfs + 10.0).abs() < 0.2, "{last:?}");
    assert!((last.noise_dbfs + 50.0).abs() < 2.0, "{last:?}");
    assert!((last.snr_db - 37.0).abs() < 2.0, "{last:?}");
}

#[test]
fn the_floor_is_there_within_a_second_of_a_step() {
    for (before, after) in [(-70.0, -40.0), (-60.0, -30.0), (-40.0, -20.0), (-30.0, -60.0)] {
        let mut meter = LevelMeter::new(16000).unwrap();
        let mut last = 0.0;
        for tick in 0..150 {
            last = meter.measure(&noise(tick, if tick < 100 { before } else { after }, 320)).noise_dbfs;
            assert!(tick != 99 || (last - before).abs() < 2.0, "{before}: {last}");
        }
        assert!((last - after).abs() < 2.0, "{before} to {after}: {last}");
    }
}

#[test]
fn the_floor_does_not_follow_speech() {
    let mut floor = NoiseFloor::new();
    for step in 0..1000 {
        // Syllables of 200 ms, a pause of a second in every three.
        let spoken = step % 300 < 200 && step % 25 < 18;
        floor.update(if spoken { -20.0 - (step % 18) as f32 } else { -60.0 });
        // What there was from the first moment on is taken for the background until the first pause.
        assert!(step < 300 || floor.level_dbfs() < -50.0, "{} at {step}", floor.level_dbfs());
    }
}

#[test]
fn instruction_sets_change_nothing() {
    for rate in [8000, 16000, 48000] {
        let mut wide = LevelMeter::with_simd(rate, Simd::detect()).unwrap();
        let mut narrow = LevelMeter::with_simd(rate, Simd::BASELINE).unwrap();
        for tick in 0..50 {
            let pcm = noise(tick, -30.0, rate as usize / 50);
            assert_eq!(wide.measure(&pcm), narrow.measure(&pcm));
        }
    }
}

#[test]
fn bad_samples_and_odd_lengths_do_no_harm() {
    let sane = |levels: Levels| {
        let all = [levels.rms_dbfs, levels.peak_dbfs, levels.noise_dbfs];
        all.iter().chain(&levels.bands_dbfs).all(|level| (-96.0..=0.0).contains(level)) && levels.snr_db >= 0.0
    };
    assert!(LevelMeter::new(44100).is_none() && BandSpectrum::new(0).is_none());
    let mut meter = LevelMeter::new(8000).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e20, 3.0] {
        for length in [0, 1, 2, 79, 80, 81, 160, 161, 1000, 9999] {
            assert!(sane(meter.measure(&vec![bad; length])), "{bad} {length}");
        }
    }
    let after = meter.measure(&[0.0; 160]);
    assert_eq!(after.bands_dbfs, [-96.0; BANDS]);
}
