//! The fused detector: lanes, instruction sets and batches change nothing, bad samples do no harm, floors re-converge.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_dsp::Simd;
use trunkline_dsp::vad::{Activity, FusedBank, Slot, VadBank, VadConfig, VadFrame};

fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(2) + 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

/// Something between a vowel and noise, a call's own for every seed, with pauses.
fn sound(seed: u64, rate: u32, samples: usize) -> Vec<f32> {
    let mut noise = random(seed);
    let pitch = 90.0 + 20.0 * (seed % 8) as f32;
    (0..samples)
        .map(|n| {
            let t = n as f32 / rate as f32;
            let loud = if (t * 1.7 + seed as f32 * 0.3).fract() < 0.6 { 0.1 } else { 0.0 };
            let voice: f32 = (1..8).map(|k| (std::f32::consts::TAU * pitch * k as f32 * t).sin() / k as f32).sum();
            voice * loud + noise() * 0.004
        })
        .collect()
}

fn judge(bank: &mut FusedBank, slots: &[Slot], frames: &[&[f32]]) -> Vec<Activity> {
    let mut batch: Vec<VadFrame<'_>> = slots
        .iter()
        .zip(frames)
        .map(|(slot, pcm)| VadFrame { slot: *slot, pcm, activity: Activity::default() })
        .collect();
    bank.process(&mut batch);
    batch.iter().map(|frame| frame.activity).collect()
}

#[test]
fn calls_in_a_batch_are_judged_as_if_alone_on_every_instruction_set() {
    let calls = 11;
    let rates: Vec<u32> = (0..calls).map(|n| if n % 3 == 2 { 16000 } else { 8000 }).collect();
    let sounds: Vec<Vec<f32>> = (0..calls).map(|n| sound(n as u64, rates[n], rates[n] as usize * 3)).collect();
    let mut together = FusedBank::with_simd(calls, VadConfig::default(), Simd::detect());
    let slots: Vec<Slot> = rates.iter().map(|rate| together.attach(*rate).unwrap()).collect();
    let mut alone: Vec<(FusedBank, Slot)> = rates
        .iter()
        .map(|rate| {
            let mut bank = FusedBank::with_simd(1, VadConfig::default(), Simd::BASELINE);
            let slot = bank.attach(*rate).unwrap();
            (bank, slot)
        })
        .collect();
    let mut spoken = 0;
    for tick in 0..150 {
        let frames: Vec<&[f32]> = (0..calls)
            .map(|n| {
                let frame = rates[n] as usize / 50;
                &sounds[n][tick * frame..(tick + 1) * frame]
            })
            .collect();
        // The batch's order and company change from tick to tick.
        let order: Vec<usize> = (0..calls).map(|n| (n * 5 + tick) % calls).collect();
        let mixed_slots: Vec<Slot> = order.iter().map(|n| slots[*n]).collect();
        let mixed_frames: Vec<&[f32]> = order.iter().map(|n| frames[*n]).collect();
        let verdicts = judge(&mut together, &mixed_slots, &mixed_frames);
        for (place, call) in order.iter().enumerate() {
            let (bank, slot) = &mut alone[*call];
            let lone = judge(bank, &[*slot], &[frames[*call]])[0];
            assert_eq!(verdicts[place], lone, "call {call} at tick {tick}");
            spoken += usize::from(lone.speech);
        }
    }
    assert!(spoken > 100, "the sound was never speech: {spoken}");
}

#[test]
fn bad_samples_and_odd_frames_do_no_harm() {
    let mut bank = FusedBank::new(4);
    let slots: Vec<Slot> = (0..4).map(|n| bank.attach(if n == 3 { 16000 } else { 8000 }).unwrap()).collect();
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1e30, 1.0, 0.0];
    let mut next = random(7);
    for round in 0..200_usize {
        let frames: Vec<Vec<f32>> = (0..4)
            .map(|_| {
                let length = [0, 1, 79, 80, 160, 161, 320, 480, 5000][(next().abs() * 8.99) as usize];
                (0..length).map(|n| bad[(n + round) % bad.len()]).collect()
            })
            .collect();
        let frames: Vec<&[f32]> = frames.iter().map(Vec::as_slice).collect();
        for activity in judge(&mut bank, &slots, &frames) {
            assert!((0.0..=1.0).contains(&activity.confidence));
            assert!((-96.0..=0.0).contains(&activity.level_dbfs));
            assert!((-96.0..=0.0).contains(&activity.noise_dbfs));
        }
    }
    // And it hears again afterwards: silence is silence.
    for _ in 0..100 {
        judge(&mut bank, &slots[..3], &[&[0.0; 160][..]; 3]);
    }
    assert!(judge(&mut bank, &slots[..3], &[&[0.0; 160][..]; 3]).iter().all(|activity| !activity.speech));
}

#[test]
fn one_call_twice_in_a_batch_is_heard_in_order() {
    let pcm = sound(3, 8000, 8000);
    let (mut twice, mut once) = (FusedBank::new(1), FusedBank::new(1));
    let (a, b) = (twice.attach(8000).unwrap(), once.attach(8000).unwrap());
    for pieces in pcm.chunks_exact(640) {
        let quarters: Vec<&[f32]> = pieces.chunks_exact(160).collect();
        let together = judge(&mut twice, &[a; 4], &quarters);
        for (quarter, activity) in quarters.iter().zip(together) {
            assert_eq!(judge(&mut once, &[b], &[quarter])[0], activity);
        }
    }
}

#[test]
fn a_step_of_the_noise_is_background_within_a_second() {
    for (before, after) in [(-60.0, -35.0), (-50.0, -30.0), (-30.0, -55.0)] {
        let mut bank = FusedBank::new(1);
        let slot = bank.attach(8000).unwrap();
        let mut next = random(11);
        let mut last = Activity::default();
        for tick in 0..150 {
            let level = if tick < 100 { before } else { after };
            let amplitude = 10_f32.powf(level / 20.0) * 3_f32.sqrt();
            let frame: Vec<f32> = (0..160).map(|_| next() * amplitude).collect();
            last = judge(&mut bank, &[slot], &[&frame])[0];
            if tick == 99 {
                assert!((last.noise_dbfs - before).abs() < 4.0, "{before}: {}", last.noise_dbfs);
            }
        }
        assert!((last.noise_dbfs - after).abs() < 4.0, "{before} to {after}: {}", last.noise_dbfs);
        assert!(!last.speech, "{before} to {after}: {last:?}");
    }
}

#[test]
fn hang_over_is_as_configured() {
    let run = |hang_over_ms| {
        let config = VadConfig { hang_over_ms, ..VadConfig::default() };
        let mut bank = FusedBank::with_config(1, config);
        let slot = bank.attach(8000).unwrap();
        let mut pcm = vec![0.0; 8000];
        pcm.extend(sound(2, 8000, 4000));
        pcm.extend(vec![0.0; 16000]);
        let spoken: Vec<usize> = pcm
            .chunks_exact(80)
            .enumerate()
            .filter(|(_, frame)| judge(&mut bank, &[slot], &[frame])[0].speech)
            .map(|(n, _)| n)
            .collect();
        *spoken.last().unwrap()
    };
    let plain = run(0);
    for hang_over_ms in [100, 200, 400] {
        assert_eq!(run(hang_over_ms), plain + hang_over_ms as usize / 10);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_of_attach_detach_and_frames_is_survived(
        steps in prop::collection::vec((0..4_u8, 0..12_usize, 0..400_usize, any::<f32>()), 1..60)
    ) {
        let mut bank = FusedBank::new(9);
        let mut slots: Vec<Slot> = Vec::new();
        for (kind, which, length, value) in steps {
            match kind {
                0 => slots.extend(bank.attach(if which % 2 == 0 { 8000 } else { 16000 })),
                1 if !slots.is_empty() => bank.detach(slots[which % slots.len()]),
                _ => {
                    let pcm = vec![value; length];
                    let frames: Vec<&[f32]> = slots.iter().map(|_| pcm.as_slice()).collect();
                    for activity in judge(&mut bank, &slots, &frames) {
                        prop_assert!((0.0..=1.0).contains(&activity.confidence));
                    }
                }
            }
        }
    }
}
