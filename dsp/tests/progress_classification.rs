//! What answers a placed call is told apart: tones of networks, faxes, machines and voices.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod tone_signals;

use proptest::prelude::*;
use tone_signals::{Rng, add, amplitude, companded, noise, prompts, sine, speech};
use trunkline_dsp::tone::progress::{Classifier, Progress, ProgressEvent, Sit};
use trunkline_dsp::tone::{Meaning, Pattern, Plan, SupervisoryTone};
use trunkline_dsp::{Simd, to_f32};

fn listen(rate: u32, plan: &'static Plan, pcm: &[f32]) -> Vec<ProgressEvent> {
    let mut classifier = Classifier::new(rate, plan).unwrap();
    let mut events = Vec::new();
    for frame in pcm.chunks(rate as usize / 50) {
        classifier.process(frame, |event| events.push(event));
    }
    events
}

fn heard(plan: &'static Plan, pcm: &[f32]) -> Vec<Progress> {
    listen(8000, plan, pcm).into_iter().map(|event| event.progress).collect()
}

fn supervisory(pattern: &Pattern, rate: u32, seconds: f32) -> Vec<f32> {
    let mut pcm = vec![0; (rate as f32 * seconds) as usize];
    SupervisoryTone::new(pattern, rate).fill(&mut pcm);
    pcm.iter().map(|sample| to_f32(*sample)).collect()
}

fn meant(meaning: Meaning) -> Progress {
    match meaning {
        Meaning::Dial => Progress::Dial,
        Meaning::Ringback => Progress::Ringback,
        Meaning::Busy => Progress::Busy,
        Meaning::Congestion => Progress::Congestion,
    }
}

fn seconds(of: f32) -> usize {
    (of * 8000.0) as usize
}

#[test]
fn every_tone_of_every_plan_is_told_and_told_once() {
    for plan in &Plan::ALL {
        let plan = Plan::named(plan.name).unwrap();
        for pattern in plan.patterns {
            for (noise_dbfs, level, seed) in [(-70.0, 0.0, 1), (-55.0, -10.0, 2), (-45.0, 0.0, 3)] {
                let mut pcm = vec![0.0; 1000 + 777 * seed as usize];
                pcm.extend(supervisory(pattern, 8000, 13.0).iter().map(|s| s * amplitude(level)));
                let background = noise(noise_dbfs, pcm.len(), seed);
                add(&mut pcm, &background);
                let events = heard(plan, &companded(&pcm));
                assert_eq!(events, [meant(pattern.meaning)], "{} {pattern:?} at {level} in {noise_dbfs}", plan.name);
            }
        }
    }
}

#[test]
fn a_tone_joined_in_the_middle_is_told_too() {
    for plan in [&Plan::US, &Plan::DE, &Plan::GB, &Plan::IN] {
        for pattern in plan.patterns.iter().filter(|pattern| pattern.cadence_ms[0] > 0) {
            for joined in [0.13, 0.31, 0.57, 0.91, 1.4] {
                let pcm = supervisory(pattern, 8000, 14.0);
                let events = heard(Plan::named(plan.name).unwrap(), &pcm[seconds(joined)..]);
                assert_eq!(events, [meant(pattern.meaning)], "{} {pattern:?} joined at {joined}", plan.name);
            }
        }
    }
}

#[test]
fn ringback_and_busy_are_told_in_time() {
    let at = |plan, meaning: Meaning| {
        let plan: &'static Plan = Plan::named(plan).unwrap();
        let pattern = plan.patterns.iter().find(|pattern| pattern.meaning == meaning).unwrap();
        listen(8000, plan, &supervisory(pattern, 8000, 10.0))[0].at as f32 / 8000.0
    };
    assert!(at("DE", Meaning::Ringback) < 1.9);
    assert!(at("US", Meaning::Ringback) < 2.9);
    assert!(at("US", Meaning::Busy) < 1.7);
    assert!(at("US", Meaning::Congestion) < 1.0);
}

#[test]
fn modulated_ringback_counts_as_its_carrier() {
    let mut pcm = Vec::new();
    for _ in 0..4 {
        for (sound, ms) in [(true, 400), (false, 200), (true, 400), (false, 2000)] {
            let wave = sine(400.0, -15.0, ms * 8, 8000);
            let swing = sine(25.0, -3.01, ms * 8, 8000);
            pcm.extend(wave.iter().zip(swing).map(|(a, m)| if sound { a * (0.6 + 0.4 * m) } else { 0.0 }));
        }
    }
    assert_eq!(heard(&Plan::IN, &pcm), [Progress::Ringback]);
}

#[test]
fn ringback_then_an_answer_is_told_in_order() {
    let mut pcm = supervisory(&Plan::EU.patterns[1], 8000, 11.0);
    pcm.extend(vec![0.0; seconds(0.4)]);
    pcm.extend(speech(seconds(6.0), 8000, 0.9, 5));
    pcm.extend(vec![0.0; seconds(7.0)]);
    let background = noise(-65.0, pcm.len(), 4);
    add(&mut pcm, &background);
    assert_eq!(heard(&Plan::EU, &pcm), [Progress::Ringback, Progress::Voice, Progress::Silence]);
}

fn special_information(tones: [(f32, usize); 3], gap_ms: usize) -> Vec<f32> {
    let mut pcm = vec![0.0; 3000];
    for (hz, ms) in tones {
        pcm.extend(sine(hz, -20.0, ms * 8, 8000));
        pcm.extend(vec![0.0; gap_ms * 8]);
    }
    pcm.extend(vec![0.0; 4000]);
    pcm
}

#[test]
fn special_information_tones_are_told_by_kind() {
    for (tones, kind) in [
        ([(913.8, 274), (1370.6, 274), (1776.7, 380)], Sit::Intercept),
        ([(985.2, 380), (1370.6, 274), (1776.7, 380)], Sit::VacantCode),
        ([(913.8, 274), (1428.5, 380), (1776.7, 380)], Sit::Reorder),
        ([(985.2, 274), (1370.6, 380), (1776.7, 380)], Sit::Reorder),
        ([(985.2, 380), (1428.5, 380), (1776.7, 380)], Sit::NoCircuit),
        ([(913.8, 380), (1370.6, 380), (1776.7, 380)], Sit::NoCircuit),
        ([(950.0, 330), (1400.0, 330), (1800.0, 330)], Sit::Unspecified),
    ] {
        for gap in [0, 4, 30] {
            let mut pcm = special_information(tones, gap);
            let background = noise(-50.0, pcm.len(), 8);
            add(&mut pcm, &background);
            assert_eq!(heard(&Plan::US, &companded(&pcm)), [Progress::Sit(kind)], "{tones:?} gap {gap}");
        }
    }
}

#[test]
fn an_announcement_after_special_information_is_voice() {
    let mut pcm = special_information([(950.0, 330), (1400.0, 330), (1800.0, 330)], 10);
    pcm.extend(speech(seconds(5.0), 8000, 0.9, 8));
    assert_eq!(heard(&Plan::EU, &pcm), [Progress::Sit(Sit::Unspecified), Progress::Voice]);
}

#[test]
fn faxes_are_told() {
    for hz in [1062.0, 1100.0, 1138.0] {
        let mut pcm = vec![0.0; 4000];
        for _ in 0..2 {
            pcm.extend(sine(hz, -25.0, seconds(0.5), 8000));
            pcm.extend(vec![0.0; seconds(3.0)]);
        }
        assert_eq!(heard(&Plan::EU, &companded(&pcm)), [Progress::FaxCng, Progress::FaxCng], "{hz}");
    }
    for reversed_every in [usize::MAX, 3600] {
        let mut pcm = vec![0.0; 4000];
        let tone = sine(2100.0, -18.0, seconds(3.3), 8000);
        pcm.extend(tone.iter().enumerate().map(|(n, s)| if n / reversed_every % 2 == 0 { *s } else { -s }));
        pcm.extend(vec![0.0; 4000]);
        assert_eq!(heard(&Plan::US, &companded(&pcm)), [Progress::FaxCed], "reversals every {reversed_every}");
    }
}

#[test]
fn the_beep_after_a_greeting_is_told_with_its_pitch_and_length() {
    let mut rng = Rng::new(11);
    for (n, hz) in [420.0, 523.0, 800.0, 950.0, 1000.0, 1400.0, 2000.0, 2450.0].into_iter().enumerate() {
        // Below 500 Hz a voice may hum for as long.
        let shortest = if hz < 500.0 { 250 } else { 100 };
        for ms in [shortest, 250_usize, 500, 1200, 2000] {
            let mut pcm = speech(seconds(4.0), 8000, 0.9, 100 + n as u64);
            pcm.extend(vec![0.0; seconds(rng.between(0.2, 0.9))]);
            pcm.extend(sine(hz, rng.between(-30.0, -8.0), ms * 8, 8000));
            pcm.extend(vec![0.0; seconds(1.2)]);
            let background = noise(-58.0, pcm.len(), n as u64);
            add(&mut pcm, &background);
            let events = heard(&Plan::EU, &companded(&pcm));
            let [Progress::Voice, Progress::Beep { hz: found, duration_ms }] = events[..] else {
                panic!("{hz} for {ms}: {events:?}")
            };
            assert!((found - hz).abs() < 3.0, "{found} of {hz}");
            assert!(duration_ms.abs_diff(ms as u32) <= 30, "{duration_ms} of {ms}");
        }
    }
}

#[test]
fn a_busy_tone_after_a_greeting_is_no_beep() {
    let mut pcm = speech(seconds(4.0), 8000, 0.9, 3);
    pcm.extend(supervisory(&Plan::EU.patterns[2], 8000, 6.0));
    assert_eq!(heard(&Plan::EU, &pcm), [Progress::Voice, Progress::Busy]);
}

#[test]
fn speech_is_voice_and_nothing_else() {
    for seed in 0..6 {
        let mut pcm = speech(seconds(60.0), 8000, 0.9, seed);
        let background = noise(-60.0, pcm.len(), seed);
        add(&mut pcm, &background);
        let events = heard(&Plan::EU, &companded(&pcm));
        assert!(events.iter().all(|e| matches!(e, Progress::Voice | Progress::Silence)), "{seed}: {events:?}");
        assert_eq!(events.first(), Some(&Progress::Voice));
    }
}

#[test]
fn noise_is_neither_voice_nor_tone() {
    for level in [-60.0, -40.0, -25.0] {
        let events = heard(&Plan::US, &noise(level, seconds(30.0), 3));
        assert!(events.iter().all(|e| *e == Progress::Silence), "{level}: {events:?}");
    }
    assert_eq!(heard(&Plan::US, &vec![0.0; seconds(30.0)]), [Progress::Silence]);
}

#[test]
fn wide_sound_is_classified_as_narrow_sound_is() {
    for rate in [16000, 48000] {
        for pattern in Plan::US.patterns {
            let events = listen(rate, &Plan::US, &supervisory(pattern, rate, 9.0));
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].progress, meant(pattern.meaning));
            let narrow = listen(8000, &Plan::US, &supervisory(pattern, 8000, 9.0))[0].at * u64::from(rate / 8000);
            assert!(narrow.abs_diff(events[0].at) <= u64::from(rate / 50), "{} and {narrow}", events[0].at);
        }
    }
    assert!(Classifier::new(22050, &Plan::US).is_err());
}

#[test]
fn every_instruction_set_hears_the_same() {
    let mut pcm = supervisory(&Plan::US.patterns[1], 8000, 7.0);
    pcm.extend(speech(seconds(3.0), 8000, 0.9, 2));
    let hear = |simd| {
        let mut events = Vec::new();
        Classifier::with_simd(8000, &Plan::US, simd).unwrap().process(&pcm, |event| events.push(event));
        events
    };
    assert_eq!(hear(Simd::BASELINE), hear(Simd::detect()));
    assert_eq!(hear(Simd::BASELINE).len(), 2);
}

#[test]
#[ignore = "slow: recorded prompts, from asterisk-core-sounds-en-wav and -fr-wav"]
fn recorded_prompts_are_voice() {
    let (mut minutes, mut files, mut voiced, mut other) = (0.0, 0, 0, 0);
    for (path, pcm) in prompts() {
        let pcm = companded(&pcm);
        minutes += pcm.len() as f32 / 480_000.0;
        files += 1;
        let events = heard(&Plan::EU, &pcm);
        voiced += usize::from(events.contains(&Progress::Voice));
        let strange: Vec<_> = events.iter().filter(|e| !matches!(e, Progress::Voice | Progress::Silence)).collect();
        if !strange.is_empty() {
            println!("{}: {strange:?}", path.display());
            other += 1;
        } else if !events.contains(&Progress::Voice) && pcm.len() > 8000 {
            println!("{}: no voice in {} ms", path.display(), pcm.len() / 8);
        }
    }
    println!("{files} prompts, {minutes:.0} minutes: {voiced} with voice, {other} with anything else");
    assert!(files > 500, "too few prompts are installed");
    assert_eq!(other, 0);
    // The rest is silence, and words too short to be told from a click.
    assert!(voiced * 10 >= files * 9, "{voiced} of {files} with voice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Nothing that comes in stops it from hearing a busy tone afterwards.
    #[test]
    fn any_samples_leave_it_working(
        pieces in prop::collection::vec(
            prop::collection::vec(prop_oneof![4 => -1.0..1.0_f32, 1 => any::<f32>(), 1 => Just(f32::NAN)], 0..900),
            0..12,
        ),
    ) {
        let mut classifier = Classifier::new(8000, &Plan::US).unwrap();
        let mut last = 0;
        for piece in &pieces {
            classifier.process(piece, |event| {
                assert!(event.at >= last);
                last = event.at;
            });
        }
        classifier.process(&vec![0.0; 4000], |_| {});
        let mut heard = Vec::new();
        classifier.process(&supervisory(&Plan::US.patterns[2], 8000, 4.0), |event| heard.push(event.progress));
        prop_assert_eq!(heard.last(), Some(&Progress::Busy));
    }
}
