//! The noise gate: no chatter on an edge level, noise down, speech whole, no steps in the gain.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_dsp::gate::{GateConfig, NoiseGate};

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

fn turns(config: GateConfig, level: f32) -> usize {
    let mut gate = NoiseGate::new(8000, config);
    let mut turns = 0;
    for frame in 0..500 {
        let before = gate.is_open();
        gate.process(&mut noise(frame, level, 160), -60.0);
        turns += usize::from(before != gate.is_open());
    }
    turns
}

#[test]
fn a_level_on_the_edge_does_not_make_it_chatter() {
    let config = GateConfig::default();
    for tenths in -30..=30 {
        // Around the opening threshold, around the closing one, and between.
        for edge in [config.open_dbfs, config.open_dbfs - config.hysteresis_db, config.open_dbfs - 2.0] {
            let level = edge + tenths as f32 * 0.1;
            assert!(turns(config, level) <= 2, "{} turns at {level}", turns(config, level));
        }
    }
    // Without hysteresis and hold the same level does chatter, so that the test can fail.
    assert!(turns(GateConfig { hysteresis_db: 0.0, hold_ms: 0, ..config }, config.open_dbfs) > 20);
}

#[test]
fn noise_goes_down_and_speech_stays() {
    let config = GateConfig::default();
    let mut gate = NoiseGate::new(8000, config);
    let power = |pcm: &[f32]| 10.0 * (pcm.iter().map(|x| x * x).sum::<f32>() / pcm.len() as f32).log10();
    let mut quiet = noise(1, -45.0, 8000);
    gate.process(&mut quiet, -45.0);
    assert!((power(&quiet[4000..]) + 45.0 + config.depth_db).abs() < 0.5, "{}", power(&quiet[4000..]));
    let loud = noise(2, -25.0, 8000);
    let mut heard = loud.clone();
    gate.process(&mut heard, -45.0);
    // Open within the block that is judged and the attack; unchanged from there on.
    assert_eq!(loud[40..], heard[40..]);
    let mut after = noise(3, -45.0, 16000);
    gate.process(&mut after, -45.0);
    assert!(power(&after[..800]) > -46.0 && power(&after[8000..]) < -60.0);
}

#[test]
fn the_gain_has_no_steps() {
    let mut gate = NoiseGate::new(8000, GateConfig::default());
    let mut last = None::<f32>;
    for frame in 0..200 {
        let level = if (frame / 20) % 2 == 0 { 0.2 } else { 0.0005 };
        let mut pcm = [level; 160];
        gate.process(&mut pcm, -70.0);
        for sample in pcm {
            let gain = sample / level;
            assert!(last.is_none_or(|last| (gain - last).abs() < 0.05), "{last:?} to {gain}");
            last = Some(gain);
        }
    }
}

proptest! {
    #[test]
    fn any_input_leaves_finite_samples_no_louder_than_before(
        rate in any::<u32>(), noise in any::<f32>(), pcm in prop::collection::vec(any::<f32>(), 0..500),
        open in any::<f32>(), depth in any::<f32>(), attack_ms in any::<u32>(), hold_ms in any::<u32>()
    ) {
        let config = GateConfig { open_dbfs: open, depth_db: depth, attack_ms, hold_ms, ..GateConfig::default() };
        let mut gate = NoiseGate::new(rate, config);
        let mut out = pcm.clone();
        gate.process(&mut out, noise);
        for (before, after) in pcm.iter().zip(&out) {
            prop_assert!(after.is_finite() && (!before.is_finite() || after.abs() <= before.abs()));
        }
    }
}
