//! Keys are heard within the limits of ITU-T Q.24, and nothing else is a key.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod tone_signals;

use proptest::prelude::*;
use tone_signals::{Rng, add, amplitude, companded, noise, place, prompts, sine, speech};
use trunkline_dsp::Simd;
use trunkline_dsp::tone::{DtmfDetector, DtmfEvent, DtmfTone};

const KEYS: &str = "123A456B789C*0#D";
const LOW: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// Mean square of 0 dBm0 in dBFS, where a sine of full scale is -3.01.
const DBM0: f32 = -6.18;

struct Press {
    key: char,
    /// Level of each tone in dBm0.
    low: f32,
    high: f32,
    /// Relative frequency errors.
    low_off: f32,
    high_off: f32,
    ms: f32,
}

impl Press {
    fn new(key: char) -> Self {
        Self { key, low: -10.0, high: -10.0, low_off: 0.0, high_off: 0.0, ms: 40.0 }
    }

    fn pcm(&self) -> Vec<f32> {
        let place = KEYS.find(self.key).unwrap();
        let samples = (self.ms * 8.0) as usize;
        let mut pcm = sine(LOW[place / 4] * (1.0 + self.low_off), self.low + DBM0, samples, 8000);
        add(&mut pcm, &sine(HIGH[place % 4] * (1.0 + self.high_off), self.high + DBM0, samples, 8000));
        pcm
    }
}

fn listen(rate: u32, pcm: &[f32]) -> Vec<DtmfEvent> {
    let mut detector = DtmfDetector::new(rate).unwrap();
    let mut events = Vec::new();
    for frame in pcm.chunks(rate as usize / 50) {
        detector.process(frame, |event| events.push(event));
    }
    events
}

fn downs(events: &[DtmfEvent]) -> String {
    events.iter().filter_map(|e| if let DtmfEvent::Down { key, .. } = e { Some(*key) } else { None }).collect()
}

/// All presses one after the other with gaps of 40 ms, in noise.
fn typed(presses: &[Press], noise_dbfs: f32, seed: u64) -> String {
    let mut rng = Rng::new(seed);
    let mut pcm = vec![0.0; 800];
    for press in presses {
        pcm.extend(press.pcm());
        pcm.extend(vec![0.0; 320 + (rng.unit() * 40.0) as usize]);
    }
    pcm.extend(vec![0.0; 800]);
    let background = noise(noise_dbfs, pcm.len(), seed);
    add(&mut pcm, &background);
    downs(&listen(8000, &companded(&pcm)))
}

fn all(change: impl Fn(&mut Press)) -> Vec<Press> {
    KEYS.chars()
        .map(|key| {
            let mut press = Press::new(key);
            change(&mut press);
            press
        })
        .collect()
}

#[test]
fn every_key_of_40_ms_is_heard_at_every_level_of_q24() {
    for level in [-28.0, -25.0, -20.0, -15.0, -10.0, -5.0, -3.0] {
        for seed in 0..5 {
            assert_eq!(typed(&all(|p| (p.low, p.high) = (level, level)), -80.0, seed), KEYS, "at {level}");
        }
    }
}

#[test]
fn every_key_is_heard_up_to_the_twist_of_q24() {
    for (low, high) in [(-8.0, -16.0), (-16.0, -24.0), (-12.0, -8.0), (-20.0, -16.0)] {
        for seed in 0..5 {
            assert_eq!(typed(&all(|p| (p.low, p.high) = (low, high)), -70.0, seed), KEYS, "{low} and {high}");
        }
    }
}

#[test]
fn absurd_twist_is_refused() {
    for (low, high) in [(-5.0, -19.0), (-19.0, -9.0)] {
        assert_eq!(typed(&all(|p| (p.low, p.high) = (low, high)), -80.0, 1), "", "{low} and {high}");
    }
}

#[test]
fn frequencies_within_one_and_a_half_percent_are_heard_and_beyond_three_and_a_half_refused() {
    for (low, high) in [(0.015, 0.015), (-0.015, 0.015), (0.015, -0.015), (-0.015, -0.015)] {
        for seed in 0..5 {
            assert_eq!(typed(&all(|p| (p.low_off, p.high_off) = (low, high)), -45.0, seed), KEYS, "{low} {high}");
        }
    }
    for (low, high) in [(0.035, 0.0), (-0.035, 0.0), (0.0, 0.035), (0.0, -0.035)] {
        for ms in [40.0, 100.0, 300.0] {
            let presses = all(|p| (p.low_off, p.high_off, p.ms) = (low, high, ms));
            assert_eq!(typed(&presses, -80.0, 1), "", "{low} {high} {ms}");
        }
    }
}

#[test]
fn short_tones_are_refused_and_durations_measured() {
    for seed in 0..5 {
        assert_eq!(typed(&all(|p| p.ms = 23.0), -80.0, seed), "");
    }
    for ms in [40.0, 65.0, 100.0, 500.0] {
        let mut pcm = vec![0.0; 1003];
        pcm.extend(Press { ms, ..Press::new('7') }.pcm());
        pcm.extend(vec![0.0; 1000]);
        let events = listen(8000, &pcm);
        let [DtmfEvent::Down { key: '7', at, level_dbm0, twist_db }, DtmfEvent::Up { duration, at: end, .. }] =
            events[..]
        else {
            panic!("{events:?}")
        };
        assert!(at.abs_diff(1003) <= 40, "began at {at}");
        assert!(end.abs_diff(1003 + (ms * 8.0) as u64) <= 40, "ended at {end}");
        assert!((duration as f32 - ms * 8.0).abs() <= 60.0, "{duration} of {ms}");
        assert!((level_dbm0 + 7.0).abs() < 0.5 && twist_db.abs() < 0.5, "{level_dbm0} {twist_db}");
    }
}

#[test]
fn a_break_of_10_ms_is_one_key_and_a_pause_of_40_ms_makes_two() {
    for offset in (0..80).step_by(7) {
        for (gap, expected) in [(80, "5"), (320, "55")] {
            let mut pcm = vec![0.0; 400 + offset];
            pcm.extend(Press::new('5').pcm());
            pcm.extend(vec![0.0; gap]);
            pcm.extend(Press::new('5').pcm());
            pcm.extend(vec![0.0; 800]);
            assert_eq!(downs(&listen(8000, &pcm)), expected, "gap {gap} at {offset}");
        }
    }
}

#[test]
fn keys_are_heard_at_12_db_above_noise() {
    let mut missed = 0;
    for seed in 0..20 {
        // Both tones together are -13.2 dBFS.
        let heard = typed(&all(|p| p.ms = 50.0), -25.2, seed);
        missed += usize::from(heard != KEYS) * KEYS.len().abs_diff(heard.len()).max(1);
    }
    assert!(missed <= 1, "{missed} of 320 missed at 12 dB");
}

#[test]
fn generated_tones_are_heard_at_every_rate() {
    for rate in [8000, 16000, 48000] {
        for key in KEYS.chars() {
            let mut tone = DtmfTone::new(key, rate, 50).unwrap();
            let mut pcm = vec![0_i16; rate as usize / 4];
            tone.fill(&mut pcm[rate as usize / 20..]);
            let pcm: Vec<f32> = pcm.iter().map(|s| trunkline_dsp::to_f32(*s)).collect();
            let events = listen(rate, &pcm);
            assert_eq!(downs(&events), key.to_string(), "{rate}");
            let DtmfEvent::Down { at, .. } = events[0] else { panic!() };
            assert!(at.abs_diff(u64::from(rate / 20)) < u64::from(rate / 100), "{at} at {rate}");
        }
    }
    assert!(DtmfDetector::new(44100).is_err());
}

#[test]
fn a_single_tone_or_noise_is_no_key() {
    for hz in (300..3400).step_by(13) {
        assert_eq!(downs(&listen(8000, &sine(hz as f32, -15.0, 2400, 8000))), "", "{hz} Hz");
    }
    assert_eq!(downs(&listen(8000, &noise(-15.0, 800_000, 3))), "");
}

/// Talk-off, as Bellcore's tapes try it: ten minutes of voices at the level of a call.
#[test]
fn speech_does_not_press_keys() {
    let mut pressed = String::new();
    for seed in 0..10 {
        pressed += &downs(&listen(8000, &companded(&speech(8000 * 60, 8000, 0.9, seed))));
    }
    assert_eq!(pressed, "");
}

#[test]
#[ignore = "slow: recorded prompts, from asterisk-core-sounds-en-wav and -fr-wav"]
fn recorded_prompts_do_not_press_keys() {
    let (mut seconds, mut pressed) = (0.0, 0);
    for (path, pcm) in prompts() {
        for gain in [0.0, -10.0] {
            let pcm: Vec<f32> = pcm.iter().map(|s| s * amplitude(gain)).collect();
            seconds += pcm.len() as f32 / 8000.0;
            let heard = downs(&listen(8000, &companded(&pcm)));
            if !heard.is_empty() {
                println!("{}: {heard}", path.display());
                pressed += heard.len();
            }
        }
    }
    println!("{pressed} keys in {:.0} minutes of prompts", seconds / 60.0);
    assert!(seconds > 3600.0, "too few prompts are installed");
    assert_eq!(pressed, 0);
}

#[test]
fn keys_are_heard_over_quiet_speech() {
    let mut pcm = speech(8000 * 10, 8000, 0.9, 77).iter().map(|s| s * amplitude(-12.0)).collect::<Vec<_>>();
    for (n, key) in KEYS.chars().enumerate() {
        place(&mut pcm, 4000 * (n + 1), &Press { ms: 80.0, low: -6.0, high: -6.0, ..Press::new(key) }.pcm());
    }
    assert_eq!(downs(&listen(8000, &pcm)), KEYS);
}

#[test]
fn every_instruction_set_hears_the_same() {
    let mut pcm = noise(-30.0, 8000, 9);
    place(&mut pcm, 1000, &Press::new('8').pcm());
    place(&mut pcm, 3000, &Press::new('D').pcm());
    let hear = |simd| {
        let mut events = Vec::new();
        DtmfDetector::with_simd(8000, simd).unwrap().process(&pcm, |event| events.push(event));
        events
    };
    assert_eq!(hear(Simd::BASELINE), hear(Simd::detect()));
    assert_eq!(hear(Simd::BASELINE).len(), 4);
}

fn any_sample() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -1.0..1.0_f32,
        1 => any::<f32>(),
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Downs and ups alternate, whatever comes in, and bad samples do not make the detector deaf.
    #[test]
    fn any_samples_leave_it_working(
        pieces in prop::collection::vec(prop::collection::vec(any_sample(), 0..700), 0..12),
        rate in prop::sample::select(vec![8000_u32, 16000, 48000]),
    ) {
        let mut detector = DtmfDetector::new(rate).unwrap();
        let mut down = None;
        let mut last = 0;
        let mut check = |event| match event {
            DtmfEvent::Down { key, at, .. } => {
                assert_eq!(down.replace(key), None);
                assert!(at >= last);
            }
            DtmfEvent::Up { key, at, .. } => {
                assert_eq!(down.take(), Some(key));
                last = at;
            }
        };
        for piece in &pieces {
            detector.process(piece, &mut check);
        }
        detector.process(&vec![0.0; rate as usize], &mut check);
        prop_assert_eq!(down, None);
        let mut pcm = vec![0_i16; rate as usize / 10];
        DtmfTone::new('#', rate, 60).unwrap().fill(&mut pcm);
        let pcm: Vec<f32> = pcm.iter().map(|s| trunkline_dsp::to_f32(*s)).collect();
        let mut heard = String::new();
        detector.process(&pcm, |event| heard += &downs(&[event]));
        prop_assert_eq!(heard, "#");
    }

    /// How the stream is cut does not change what is heard.
    #[test]
    fn cuts_do_not_matter(cuts in prop::collection::vec(1_usize..900, 1..40), key in 0_usize..16) {
        let key = KEYS.chars().nth(key).unwrap();
        let mut pcm = noise(-40.0, 6000, 1);
        place(&mut pcm, 2000, &Press::new(key).pcm());
        let mut detector = DtmfDetector::new(8000).unwrap();
        let mut events = Vec::new();
        let mut rest = &pcm[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            detector.process(now, |event| events.push(event));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(events, listen(8000, &pcm));
    }
}
