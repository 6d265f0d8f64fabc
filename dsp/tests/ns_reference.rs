//! The network in lanes is the reference's: the same samples at 48 kHz, and as much noise removed at 8 and 16 kHz.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod ns_sound;

use nnnoiseless::DenoiseState;
use ns_sound::{mix, noise, signal_to_rest_db, speech};
use trunkline_dsp::NoiseBank;
use trunkline_dsp::ns::{Gate, LanesBank, NnnoiselessBank};

#[test]
fn at_48_khz_lanes_are_nnnoiseless_but_where_two_periods_of_the_voice_are_as_good() {
    let mut bank = LanesBank::new(8).with_gate(Gate::Open);
    let slots: Vec<_> = (0..3).map(|_| bank.attach(48000).unwrap()).collect();
    let mut references: Vec<_> = slots.iter().map(|_| DenoiseState::new()).collect();
    let sounds: Vec<_> = (0..3)
        .map(|n| {
            let voice = speech(48000, 4.0, n);
            mix(&voice, &noise(voice.len(), [0.0, 0.01, 0.1][n as usize], n))
        })
        .collect();
    let mut differences = Vec::new();
    for at in (0..sounds[0].len()).step_by(480) {
        let mut frames: Vec<_> = sounds.iter().map(|sound| sound[at..at + 480].to_vec()).collect();
        let mut batch: Vec<_> = slots.iter().copied().zip(frames.iter_mut().map(|frame| &mut frame[..])).collect();
        bank.process(&mut batch);
        for (call, (frame, reference)) in frames.iter().zip(&mut references).enumerate() {
            let input: Vec<f32> = sounds[call][at..at + 480].iter().map(|sample| sample * 32768.0).collect();
            let mut output = [0.0; 480];
            let voice = reference.process_frame(&mut output, &input);
            let energy: f32 = output.iter().map(|sample| (sample / 32768.0).powi(2)).sum();
            let error: f32 = output.iter().zip(frame).map(|(a, b)| (a / 32768.0 - b).powi(2)).sum();
            // A frame that is next to silent is compared to one at -80 dBFS.
            let relative = (error / energy.max(480.0 * 1e-8)).sqrt();
            // The reference rounds every product, lanes round product and sum at once: of two periods whose correlation
            // is the same but for the last digit, each may choose its own, and the network remembers it for a while.
            differences.push(relative);
            assert!(relative < 1e-2, "call {call} at {at}: {relative}");
            let heard = bank.voice_probability(slots[call]).unwrap();
            assert!((voice - heard).abs() < 1e-3, "call {call} at {at}: {voice} {heard}");
        }
    }
    differences.sort_by(f32::total_cmp);
    let median = differences[differences.len() / 2];
    assert!(median < 1e-5, "half of the frames differ by {median}");
}

/// Runs a sound through a bank and takes its delay off.
fn run(bank: &mut dyn NoiseBank, rate: u32, sound: &[f32]) -> Vec<f32> {
    let slot = bank.attach(rate).unwrap();
    let delay = (bank.delay_us(rate).unwrap() * u64::from(rate) / 1_000_000) as usize;
    let mut out = sound.to_vec();
    out.resize((sound.len() + delay).next_multiple_of(rate as usize / 50), 0.0);
    for frame in out.chunks_exact_mut(rate as usize / 50) {
        bank.process(&mut [(slot, frame)]);
    }
    bank.detach(slot);
    out[delay..delay + sound.len()].to_vec()
}

#[test]
fn at_the_calls_own_rate_lanes_remove_as_much_noise_as_nnnoiseless_at_48_khz() {
    for rate in [8000, 16000] {
        let clean = speech(rate, 6.0, 3);
        let noisy = mix(&clean, &noise(clean.len(), 0.05, 9));
        let ours = signal_to_rest_db(&clean, &run(&mut LanesBank::new(8), rate, &noisy));
        let theirs = signal_to_rest_db(&clean, &run(&mut NnnoiselessBank::new(1), rate, &noisy));
        assert!(ours > theirs - 0.5, "{rate} Hz: {ours} dB against {theirs} dB");
    }
}
