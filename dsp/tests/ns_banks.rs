//! What every noise suppressor promises: less noise, a known delay, sound out of any input, and rest when it is quiet.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod ns_sound;

use ns_sound::{Random, level_db, mix, noise, signal_to_rest_db, speech};
use trunkline_dsp::ns::{Effort, Gate, LanesBank, NnnoiselessBank, SonoraBank};
use trunkline_dsp::{NoiseBank, Slot};

/// A bank with its name, the rates it knows and the decibels it must gain.
type Engine = (&'static str, Box<dyn NoiseBank>, &'static [u32], f32);

fn banks(slots: usize, gate: Gate) -> Vec<Engine> {
    vec![
        ("lanes", Box::new(LanesBank::new(slots).with_gate(gate)), &[8000, 16000, 48000], 3.5),
        ("nnnoiseless", Box::new(NnnoiselessBank::new(slots).with_gate(gate)), &[8000, 16000, 48000], 3.5),
        (
            "economy",
            Box::new(LanesBank::new(slots).with_gate(gate).with_effort(Effort::Light)),
            &[8000, 16000, 48000],
            3.0,
        ),
        ("sonora", Box::new(SonoraBank::new(slots).with_gate(gate)), &[8000, 16000], 3.0),
    ]
}

fn run(bank: &mut dyn NoiseBank, slot: Slot, rate: u32, sound: &[f32]) -> Vec<f32> {
    let mut out = sound.to_vec();
    for frame in out.chunks_exact_mut(rate as usize / 50) {
        bank.process(&mut [(slot, frame)]);
    }
    out
}

#[test]
fn speech_in_noise_comes_out_with_less_noise() {
    for (name, mut bank, rates, least) in banks(1, Gate::Auto) {
        for rate in rates {
            let clean = speech(*rate, 6.0, 5);
            let noisy = mix(&clean, &noise(clean.len(), 0.06, 5));
            let slot = bank.attach(*rate).unwrap();
            let out = run(&mut *bank, slot, *rate, &noisy);
            bank.detach(slot);
            let delay = (bank.delay_us(*rate).unwrap() * u64::from(*rate) / 1_000_000) as usize;
            // The first second is for learning the noise.
            let (from, to) = (*rate as usize, clean.len() - delay);
            let before = signal_to_rest_db(&clean[from..to], &noisy[from..to]);
            let after = signal_to_rest_db(&clean[from..to], &out[from + delay..]);
            assert!(after > before + least, "{name} at {rate} Hz: {before} dB before, {after} dB after");
        }
    }
}

#[test]
fn sound_is_late_by_the_delay_that_is_said() {
    for (name, mut bank, rates, _) in banks(1, Gate::Open) {
        for rate in rates {
            let clean = speech(*rate, 3.0, 2);
            let slot = bank.attach(*rate).unwrap();
            let out = run(&mut *bank, slot, *rate, &clean);
            bank.detach(slot);
            let likeness = |lag: usize| -> f32 { out[lag..].iter().zip(&clean).map(|(a, b)| a * b).sum() };
            let best = (0..*rate as usize / 20).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap();
            let said = bank.delay_us(*rate).unwrap() as f32 / 1000.0;
            let heard = best as f32 * 1000.0 / *rate as f32;
            assert!((said - heard).abs() < 0.5, "{name} at {rate} Hz: {said} ms said, {heard} ms heard");
        }
    }
}

#[test]
fn a_bad_sample_spoils_a_moment_and_nothing_else() {
    for (name, mut bank, rates, _) in banks(2, Gate::Auto) {
        for rate in rates {
            let clean = speech(*rate, 2.0, 8);
            let (good, bad) = (bank.attach(*rate).unwrap(), bank.attach(*rate).unwrap());
            let step = *rate as usize / 50;
            let mut heard = Vec::new();
            for (index, frame) in clean.chunks_exact(step).enumerate() {
                let (mut one, mut other) = (frame.to_vec(), frame.to_vec());
                if index == 10 {
                    other.fill(f32::NAN);
                    other[3] = f32::INFINITY;
                    other[4] = f32::NEG_INFINITY;
                    other[5] = f32::MAX;
                    other[6] = f32::MIN;
                }
                bank.process(&mut [(good, &mut one), (bad, &mut other)]);
                assert!(one.iter().chain(&other).all(|sample| sample.is_finite()), "{name}: frame {index}");
                heard.extend(other);
            }
            assert!(level_db(&heard[heard.len() / 2..]) > -60.0, "{name} at {rate} Hz fell silent");
            bank.detach(good);
            bank.detach(bad);
        }
    }
}

#[test]
fn any_bits_make_finite_sound() {
    let mut random = Random(11);
    for (name, mut bank, rates, _) in banks(9, Gate::Auto) {
        let rate = rates[0];
        let slots: Vec<_> = (0..9).map(|_| bank.attach(rate).unwrap()).collect();
        for _ in 0..50 {
            let mut frames: Vec<Vec<f32>> = (0..9)
                .map(|_| (0..rate / 100).map(|_| f32::from_bits(random.below(1 << 32) as u32)).collect())
                .collect();
            let mut batch: Vec<_> = slots.iter().copied().zip(frames.iter_mut().map(|frame| &mut frame[..])).collect();
            bank.process(&mut batch);
            assert!(frames.iter().flatten().all(|sample| sample.is_finite()), "{name}");
        }
        let voice = speech(rate, 1.0, 1);
        let out = run(&mut *bank, slots[3], rate, &voice);
        assert!(level_db(&out) > level_db(&voice) - 10.0, "{name} did not recover");
    }
}

#[test]
fn a_bank_moves_between_threads() {
    fn movable<T: Send>(_: T) {}
    movable(LanesBank::new(1));
    movable(NnnoiselessBank::new(1));
    movable(SonoraBank::new(1));
}

#[test]
fn a_quiet_call_is_let_through_softer_and_speech_opens_the_gate_at_once() {
    for (name, mut bank, rates, _) in banks(1, Gate::Auto) {
        for rate in rates {
            let rate = *rate;
            let slot = bank.attach(rate).unwrap();
            let faint = noise(rate as usize, 1e-4, 1);
            let out = run(&mut *bank, slot, rate, &faint);
            let tail = rate as usize / 2..rate as usize;
            let change = level_db(&out[tail.clone()]) - level_db(&faint[tail]);
            assert!((-13.5..-11.5).contains(&change), "{name} at {rate} Hz: {change} dB");
            assert!(bank.voice_probability(slot).unwrap_or(0.0) == 0.0);
            let voice = speech(rate, 1.0, 1);
            let out = run(&mut *bank, slot, rate, &voice);
            let lost = level_db(&voice) - level_db(&out);
            assert!(lost < 3.0, "{name} at {rate} Hz: {lost} dB of speech lost");
            bank.detach(slot);
        }
    }
}

#[test]
fn silence_stays_silence() {
    for (name, mut bank, rates, _) in banks(1, Gate::Open) {
        for rate in rates {
            let slot = bank.attach(*rate).unwrap();
            let out = run(&mut *bank, slot, *rate, &vec![0.0; *rate as usize]);
            assert!(out.iter().all(|sample| *sample == 0.0), "{name} at {rate} Hz");
            bank.detach(slot);
        }
    }
}

#[test]
fn a_bank_refuses_what_it_cannot_serve() {
    for (name, mut bank, rates, _) in banks(2, Gate::Auto) {
        assert_eq!(bank.attach(44100), None, "{name}");
        assert_eq!(bank.delay_us(44100), None, "{name}");
        let slots = [bank.attach(rates[0]).unwrap(), bank.attach(rates[1]).unwrap()];
        assert_ne!(slots[0], slots[1]);
        assert_eq!(bank.attach(8000), None, "{name}: full");
        bank.detach(slots[0]);
        assert_eq!(bank.attach(8000), Some(slots[0]), "{name}: a slot that was given back");
    }
}

#[test]
fn frames_of_another_length_and_strangers_are_left_as_they_are() {
    for (name, mut bank, _, _) in banks(2, Gate::Open) {
        let (known, gone) = (bank.attach(8000).unwrap(), bank.attach(8000).unwrap());
        bank.detach(gone);
        for length in [0, 1, 79, 81, 159, 240, 320, 5000] {
            let (mut frame, mut other) = (vec![0.5; length], vec![0.5; 160]);
            bank.process(&mut [(known, &mut frame), (gone, &mut other)]);
            assert!(frame.iter().chain(&other).all(|sample| *sample == 0.5), "{name}: {length} samples");
        }
        bank.process(&mut []);
    }
}
