//! Silero's detector: the same as the published model run by another runtime, whatever the lanes, instruction set,
//! company and moves; and what it costs to be asked late.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_dsp::Simd;
use trunkline_dsp::vad::{SileroBank, SileroFrame, SileroState, Slot, VadBank, VadConfig};

fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(2) + 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

/// Vowels that glide, with pauses and a little noise; a call's own for every seed.
fn voice(seed: u64, rate: u32, seconds: f32) -> Vec<i16> {
    let mut noise = random(seed);
    let (mut phase, mut low, mut high) = (0.0_f32, [0.0_f32; 2], [0.0_f32; 2]);
    (0..(rate as f32 * seconds) as usize)
        .map(|n| {
            let t = n as f32 / rate as f32;
            let pitch = 100.0 + 15.0 * (seed % 6) as f32 + 20.0 * (t * 2.3).sin();
            phase = (phase + pitch / rate as f32).fract();
            let source = if phase < 0.1 { 1.0 } else { -0.11 };
            let resonate = |state: &mut [f32; 2], hertz: f32, width: f32| {
                let radius = (-std::f32::consts::PI * width / rate as f32).exp();
                let out = source + 2.0 * radius * (std::f32::consts::TAU * hertz / rate as f32).cos() * state[0]
                    - radius * radius * state[1];
                (state[1], state[0]) = (state[0], out);
                out
            };
            let vowel = resonate(&mut low, 500.0 + 250.0 * (t * 7.0).sin(), 80.0)
                + 0.5 * resonate(&mut high, 1500.0 + 600.0 * (t * 5.0).cos(), 120.0);
            let says = (t * 0.8 + seed as f32 * 0.21).fract() < 0.6;
            let sound = if says { vowel * 0.02 } else { 0.0 } + noise() * 0.002;
            (sound * 32768.0) as i16
        })
        .collect()
}

/// The sound of `vad_silero_reference/judge.py`, of whole numbers, so that both have the same.
fn reference_voice(rate: u32) -> Vec<i16> {
    let resonances =
        if rate == 8000 { [(15_387, 29_000), (14_910, 11_500)] } else { [(15_878, 31_450), (15_630, 25_800)] };
    let (mut state, mut wait, mut past) = (7_u64, 0_u64, [[0_i64; 2]; 2]);
    (0..6 * u64::from(rate))
        .map(|n| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let part = n * 10 / u64::from(rate);
            let mut source = 0;
            if wait == 0 {
                wait = u64::from(rate) / (100 + 8 * (part % 7)) + (state >> 40) % 3;
                source = if part % 10 < 6 { 1800 } else { 0 };
            }
            wait -= 1;
            let mut sound = ((state >> 56) as i64 - 128).div_euclid(8);
            for ((memory, (square, twice)), vowel) in past.iter_mut().zip(resonances).zip([part % 3, part % 2]) {
                let out = source + ((twice * memory[0] - square * memory[1]) >> 14);
                *memory = [out, memory[0]];
                sound += out >> vowel;
            }
            sound.clamp(-32_768, 32_767) as i16
        })
        .collect()
}

#[test]
fn probabilities_are_those_of_the_published_model_in_onnxruntime() {
    let references = [
        (8000, include_str!("vad_silero_reference/8000.txt")),
        (16_000, include_str!("vad_silero_reference/16000.txt")),
    ];
    for (rate, reference) in references {
        let reference: Vec<f32> = reference.lines().map(|line| line.parse().unwrap()).collect();
        let speech = reference.iter().filter(|probability| **probability > 0.2).count();
        assert!(speech > 30 && speech + 30 < reference.len(), "{speech} of {} at {rate} Hz", reference.len());
        let mut bank = SileroBank::new(1);
        let slot = bank.attach(rate).unwrap();
        let found = judge(&mut bank, slot, &reference_voice(rate), rate as usize * 32 / 1000);
        assert_eq!(found.len(), reference.len());
        for (n, (found, reference)) in found.iter().zip(&reference).enumerate() {
            assert!((found - reference).abs() < 1e-3, "{found} where {reference} is due, {} ms at {rate} Hz", 32 * n);
        }
    }
}

/// Judges sound frame by frame, always asked.
fn judge(bank: &mut SileroBank, slot: Slot, pcm: &[i16], frame: usize) -> Vec<f32> {
    pcm.chunks_exact(frame)
        .map(|pcm| {
            let mut batch = [SileroFrame { slot, pcm, asked: true, probability: None }];
            bank.judge(&mut batch);
            batch[0].probability.unwrap()
        })
        .collect()
}

#[test]
fn calls_in_a_batch_are_judged_as_if_alone_on_every_instruction_set() {
    let calls = 21;
    let rates: Vec<u32> = (0..calls).map(|n| if n % 4 == 3 { 16_000 } else { 8000 }).collect();
    let sounds: Vec<Vec<i16>> = (0..calls).map(|n| voice(n as u64, rates[n], 0.82)).collect();
    let expected: Vec<Vec<f32>> = (0..calls)
        .map(|n| {
            let mut bank = SileroBank::with_simd(1, VadConfig::default(), Simd::BASELINE);
            let slot = bank.attach(rates[n]).unwrap();
            judge(&mut bank, slot, &sounds[n], rates[n] as usize / 50)
        })
        .collect();
    assert!(expected.iter().flatten().filter(|probability| **probability > 0.5).count() > 40, "nothing was speech");
    for simd in Simd::all() {
        let mut bank = SileroBank::with_simd(calls, VadConfig::default(), simd);
        let slots: Vec<Slot> = rates.iter().map(|rate| bank.attach(*rate).unwrap()).collect();
        for tick in 0..40 {
            // The batch's order and company change from tick to tick.
            let order: Vec<usize> = (0..calls).map(|n| (n * 5 + tick) % calls).collect();
            let mut batch: Vec<SileroFrame<'_>> = order
                .iter()
                .map(|n| {
                    let frame = rates[*n] as usize / 50;
                    let pcm = &sounds[*n][tick * frame..(tick + 1) * frame];
                    SileroFrame { slot: slots[*n], pcm, asked: true, probability: None }
                })
                .collect();
            bank.judge(&mut batch);
            for (frame, call) in batch.iter().zip(&order) {
                let probability = frame.probability.unwrap();
                assert_eq!(probability.to_bits(), expected[*call][tick].to_bits(), "{} call {call}", simd.name());
            }
        }
    }
}

#[test]
fn a_call_that_moves_goes_on_where_it_was() {
    let pcm = voice(3, 8000, 3.0);
    let mut stays = SileroBank::new(1);
    let slot = stays.attach(8000).unwrap();
    let expected = judge(&mut stays, slot, &pcm, 160);
    let (mut banks, mut state) = ([SileroBank::new(2), SileroBank::new(2)], SileroState::new());
    let _other = banks[1].attach(16_000).unwrap();
    let mut found = Vec::new();
    for (n, piece) in pcm.chunks_exact(160 * 7).enumerate() {
        let bank = &mut banks[n % 2];
        let slot = bank.attach(8000).unwrap();
        bank.restore(slot, &mut state);
        found.extend(judge(bank, slot, piece, 160));
        bank.save(slot, &mut state);
        bank.detach(slot);
    }
    assert_eq!(found, expected[..found.len()]);
}

#[test]
fn whoever_is_asked_about_late_is_known_at_once_and_costs_nothing_before() {
    let pcm = voice(2, 8000, 1.0);
    let quiet = vec![0_i16; 16_000];
    let mut bank = SileroBank::new(1);
    let slot = bank.attach(8000).unwrap();
    let hear = |bank: &mut SileroBank, pcm: &[i16], asked| {
        let mut batch = [SileroFrame { slot, pcm, asked, probability: None }];
        bank.judge(&mut batch);
        batch[0].probability
    };
    for frame in quiet.chunks_exact(160) {
        assert_eq!(hear(&mut bank, frame, false), None);
    }
    let mut frames = pcm.chunks_exact(160);
    for frame in frames.by_ref().take(4) {
        assert_eq!(hear(&mut bank, frame, false), None);
    }
    // Always asked, another knows the same by then.
    let mut always = SileroBank::new(1);
    let other = always.attach(8000).unwrap();
    judge(&mut always, other, &quiet, 160);
    judge(&mut always, other, &pcm[..4 * 160], 160);
    let (mut late, mut sure) = (Vec::new(), Vec::new());
    for frame in frames {
        late.push(hear(&mut bank, frame, true).unwrap());
        sure.push(judge(&mut always, other, frame, 160)[0]);
    }
    let first = |found: &[f32]| found.iter().position(|probability| *probability > 0.5).unwrap();
    assert!(first(&late) <= first(&sure) + 1, "{late:?}\n{sure:?}");
}

#[test]
fn odd_frames_and_banks_that_are_full_do_no_harm() {
    let mut bank = SileroBank::new(2);
    let slots = [bank.attach(8000).unwrap(), bank.attach(16_000).unwrap()];
    assert!(bank.attach(8000).is_none() && SileroBank::new(1).attach(48_000).is_none());
    let loud = vec![i16::MIN; 5000];
    for length in [0, 1, 79, 160, 161, 320, 960, 5000] {
        let mut batch: Vec<SileroFrame<'_>> = slots
            .iter()
            .chain(&slots)
            .map(|slot| SileroFrame { slot: *slot, pcm: &loud[..length], asked: length != 79, probability: None })
            .collect();
        bank.judge(&mut batch);
        assert!(batch.iter().filter_map(|frame| frame.probability).all(|it| (0.0..=1.0).contains(&it)));
    }
    bank.detach(slots[0]);
    let mut batch = [SileroFrame { slot: slots[0], pcm: &loud[..160], asked: true, probability: None }];
    bank.judge(&mut batch);
    assert_eq!(batch[0].probability, None);
}
