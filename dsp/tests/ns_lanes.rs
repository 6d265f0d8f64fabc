//! A call's denoised sound does not depend on its neighbours, on the lane it is in or on the processor.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod ns_sound;

use ns_sound::{Random, mix, noise, speech};
use trunkline_dsp::ns::{Effort, Gate, LaneState, LanesBank, NetworkBank};
use trunkline_dsp::{NoiseBank, Simd, Slot};

/// A call: its slots in the two banks, its rate, its sound and how much of it was used.
struct Call {
    slots: (Slot, Slot),
    rate: u32,
    sound: Vec<f32>,
    at: usize,
}

/// Runs calls that come, go, pause and are silent now and then through two banks, and compares every frame.
fn compare<const A: usize, const B: usize>(
    one: &mut NetworkBank<A>,
    other: &mut NetworkBank<B>,
    seed: u64,
    ticks: usize,
) {
    let mut random = Random(seed);
    let mut calls: Vec<Call> = Vec::new();
    let mut compared = 0;
    for tick in 0..ticks {
        // Half of the time the number of calls rises, then it falls, so that calls are moved together.
        let target = if (tick / 25) % 2 == 0 { 14 } else { 3 };
        if calls.len() < target {
            let rate = [8000, 8000, 8000, 16000, 48000][random.below(5) as usize];
            if let Some(slots) = one.attach(rate).zip(other.attach(rate)) {
                let number = random.below(1000);
                let voice = speech(rate, 0.7, number);
                let mut sound = mix(&voice, &noise(voice.len(), 0.02, number));
                let muted = random.below(sound.len() as u64) as usize;
                sound[muted..].fill(0.0);
                calls.push(Call { slots, rate, sound, at: 0 });
            }
        } else if calls.len() > target {
            let call = calls.swap_remove(random.below(calls.len() as u64) as usize);
            one.detach(call.slots.0);
            other.detach(call.slots.1);
        }
        // Now and then more or less is done for a call, or it is put away and taken out again.
        if !calls.is_empty() && random.below(4) == 0 {
            let chosen = random.below(calls.len() as u64) as usize;
            let call = &mut calls[chosen];
            let effort = [Effort::Full, Effort::Light, Effort::Full, Effort::Through][random.below(4) as usize];
            one.set_effort(call.slots.0, effort);
            other.set_effort(call.slots.1, effort);
            if random.below(2) == 0 {
                let mut state = LaneState::new(call.rate).unwrap();
                one.save(call.slots.0, &mut state);
                one.detach(call.slots.0);
                call.slots.0 = one.attach(call.rate).unwrap();
                one.set_effort(call.slots.0, effort);
                one.restore(call.slots.0, &state);
            }
        }
        let mut frames = Vec::new();
        for call in &mut calls {
            if random.below(8) == 0 {
                continue;
            }
            let steps = 1 + random.below(2) as usize;
            let length = call.rate as usize / 100 * steps;
            call.at = if call.at + length > call.sound.len() { 0 } else { call.at };
            frames.push((call.slots, call.sound[call.at..call.at + length].to_vec()));
            call.at += length;
        }
        let mut again = frames.clone();
        let mut batch: Vec<_> = frames.iter_mut().map(|(slots, frame)| (slots.0, &mut frame[..])).collect();
        one.process(&mut batch);
        let mut batch: Vec<_> = again.iter_mut().map(|(slots, frame)| (slots.1, &mut frame[..])).collect();
        other.process(&mut batch);
        for (a, b) in frames.iter().zip(&again) {
            let same = a.1.iter().zip(&b.1).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "tick {tick}: {:?} differs from {:?}", a.1, b.1);
            assert_eq!(one.voice_probability(a.0.0), other.voice_probability(a.0.1));
            compared += 1;
        }
    }
    assert!(compared > 4 * ticks);
}

#[test]
fn eight_lanes_give_every_call_what_one_lane_gives_it() {
    for seed in [1, 2] {
        compare(&mut LanesBank::new(16), &mut NetworkBank::<1>::new(16), seed, 150);
    }
}

#[test]
fn lanes_give_the_same_with_any_instructions() {
    for simd in Simd::all() {
        compare(&mut LanesBank::new(16), &mut LanesBank::new(16).with_simd(simd), 3, 150);
    }
}

#[test]
fn an_open_gate_does_not_depend_on_the_lane_either() {
    let (mut one, mut other) =
        (LanesBank::new(16).with_gate(Gate::Open), NetworkBank::<1>::new(16).with_gate(Gate::Open));
    compare(&mut one, &mut other, 4, 100);
}
