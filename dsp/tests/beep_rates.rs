//! How many beeps of machines are heard, and what is taken for one that is none: pitches, lengths, levels, noise and
//! companding over the whole range that machines use.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod tone_signals;

use tone_signals::{Rng, add, companded, noise, place, prompts, sine, speech};
use trunkline_dsp::to_f32;
use trunkline_dsp::tone::progress::{Classifier, Progress};
use trunkline_dsp::tone::{DtmfTone, Plan, SupervisoryTone};

/// Beeps, with the position of each in samples.
fn beeps(plan: &'static Plan, pcm: &[f32]) -> Vec<(f32, u32, u64)> {
    let mut classifier = Classifier::new(8000, plan).unwrap();
    let mut found = Vec::new();
    for frame in pcm.chunks(160) {
        classifier.process(frame, |event| {
            if let Progress::Beep { hz, duration_ms } = event.progress {
                found.push((hz, duration_ms, event.at));
            }
        });
    }
    found
}

fn seconds(of: f32) -> usize {
    (of * 8000.0) as usize
}

/// A greeting, a pause, a beep and silence behind it, in noise and through mu-law: the sound, and where the beep ends.
fn greeting_with_beep(rng: &mut Rng, seed: u64, hz: f32, ms: usize, dbfs: f32, noise_dbfs: f32) -> (Vec<f32>, usize) {
    let mut pcm = speech(seconds(3.0), 8000, 0.9, seed);
    pcm.extend(vec![0.0; seconds(rng.between(0.25, 1.0))]);
    pcm.extend(sine(hz, dbfs, ms * 8, 8000));
    let end = pcm.len();
    pcm.extend(vec![0.0; seconds(1.4)]);
    let background = noise(noise_dbfs, pcm.len(), seed);
    add(&mut pcm, &background);
    (companded(&pcm), end)
}

#[test]
fn beeps_of_every_pitch_length_and_level_are_heard() {
    let mut rng = Rng::new(77);
    let (mut all, mut heard, mut twice) = (0_u32, 0_u32, 0_u32);
    let mut late_ms: Vec<u64> = Vec::new();
    let mut missed = Vec::new();
    for n in 0..400_u64 {
        let hz = rng.between(350.0, 2000.0);
        let lengths = [80, 100, 150, 250, 400, 700, 1000, 1500, 2000];
        // Where voices hum, machines beep for longer.
        let first = if hz < 500.0 { 3 } else { 0 };
        let ms = lengths[first + (rng.unit() * (9 - first) as f32) as usize % (9 - first)];
        let dbfs = rng.between(-32.0, -6.0);
        let noise_dbfs = rng.between(-70.0, -50.0).min(dbfs - 14.0);
        let (pcm, end) = greeting_with_beep(&mut rng, 1000 + n, hz, ms, dbfs, noise_dbfs);
        let found = beeps(&Plan::US, &pcm);
        all += 1;
        let right = found.iter().find(|(found, length, at)| {
            (found - hz).abs() < 6.0 && length.abs_diff(ms as u32) <= 40 && *at >= end as u64
        });
        match right {
            Some((.., at)) => {
                heard += 1;
                late_ms.push((at - end as u64) / 8);
            }
            None => missed.push(format!("{hz:.0} Hz, {ms} ms, {dbfs:.0} dBFS in {noise_dbfs:.0}: {found:?}")),
        }
        twice += u32::from(found.len() > 1);
    }
    late_ms.sort_unstable();
    println!(
        "{heard} of {all} beeps heard, {twice} with another; told {} ms after their end in the middle, {} at most",
        late_ms[late_ms.len() / 2],
        late_ms.last().unwrap()
    );
    missed.iter().take(20).for_each(|line| println!("missed: {line}"));
    assert!(heard * 100 >= all * 95, "{heard} of {all}");
    assert!(twice * 100 <= all, "{twice} of {all} had a beep that was none");
}

#[test]
fn nothing_else_is_taken_for_a_beep() {
    let mut minutes = 0.0;
    let mut wrong = Vec::new();
    let mut listen = |what: &str, plan: &'static Plan, pcm: Vec<f32>| {
        minutes += pcm.len() as f32 / 480_000.0;
        for (hz, ms, at) in beeps(plan, &companded(&pcm)) {
            wrong.push(format!("{what}: {hz:.0} Hz for {ms} ms at {} ms", at / 8));
        }
    };
    for seed in 0..20 {
        let mut pcm = speech(seconds(60.0), 8000, 0.85, 500 + seed);
        let background = noise(-55.0, pcm.len(), seed);
        add(&mut pcm, &background);
        listen("speech", &Plan::US, pcm);
    }
    for plan in &Plan::ALL {
        let plan = Plan::named(plan.name).unwrap();
        for pattern in plan.patterns {
            let mut pcm = vec![0_i16; seconds(15.0)];
            SupervisoryTone::new(pattern, 8000).fill(&mut pcm);
            listen(&format!("{} {:?}", plan.name, pattern.meaning), plan, pcm.iter().map(|s| to_f32(*s)).collect());
        }
    }
    // Somebody presses keys while somebody speaks before and after.
    let mut pcm = speech(seconds(2.0), 8000, 0.9, 9);
    pcm.extend(vec![0.0; seconds(8.0)]);
    for (n, key) in "0123456789*#".chars().enumerate() {
        let mut tone = vec![0_i16; seconds(0.2)];
        DtmfTone::new(key, 8000, 180).unwrap().fill(&mut tone);
        let tone: Vec<f32> = tone.iter().map(|s| to_f32(*s)).collect();
        place(&mut pcm, seconds(2.5 + 0.6 * n as f32), &tone);
    }
    listen("keys", &Plan::US, pcm);
    println!("{minutes:.0} minutes of speech, network tones and keys: {} beeps", wrong.len());
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
#[ignore = "slow: recorded prompts, from asterisk-core-sounds-en-wav and -fr-wav"]
fn recorded_prompts_hold_no_beep() {
    let (mut files, mut minutes, mut wrong) = (0, 0.0, 0);
    for (path, pcm) in prompts() {
        files += 1;
        minutes += pcm.len() as f32 / 480_000.0;
        // A file that is a beep, as prompts of voicemail systems have, is one.
        let named = path.file_stem().is_some_and(|name| name.to_string_lossy().contains("beep"));
        let found = beeps(&Plan::US, &companded(&pcm));
        if !found.is_empty() && !named {
            println!("{}: {found:?}", path.display());
            wrong += 1;
        }
    }
    println!("{files} prompts, {minutes:.0} minutes: {wrong} with a beep that is none");
    assert!(files > 500, "too few prompts are installed");
    assert_eq!(wrong, 0);
}
