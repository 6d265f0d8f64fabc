//! Speech as the host hears it.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_plugin_espeak::Speaker;
use trunkline_plugin_kit::testing::{Bench, TestHost};
use trunkline_plugin_kit::tts::{SessionConfig, TtsEvent, Voice};
use trunkline_plugin_kit::{ErrorCode, ProviderError};

fn open(settings: &str, voice: &str) -> Result<Bench<Speaker, TtsEvent>, ProviderError> {
    let config = SessionConfig { voice: voice.to_owned(), language: None, preferred_rate: 8000, speaking_rate: None };
    Bench::tts(TestHost::new(settings), config)
}

fn say(bench: &mut Bench<Speaker, TtsEvent>, context: u32, text: &str, end: bool) -> Vec<TtsEvent> {
    bench.run(|voice, host, out| voice.synthesize(host, context, text, end, out)).unwrap()
}

fn samples(events: &[TtsEvent]) -> Vec<i16> {
    events
        .iter()
        .filter_map(|event| match event {
            TtsEvent::Audio(audio) => Some(&audio.frame.payload),
            _ => None,
        })
        .flat_map(|payload| payload.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect::<Vec<_>>())
        .collect()
}

fn loudness(samples: &[i16]) -> f64 {
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

#[test]
fn a_sentence_becomes_20_ms_frames_then_done_and_usage() {
    let mut bench = open("", "").unwrap();
    let events = say(&mut bench, 7, "Thank you for calling.", true);
    let frames: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TtsEvent::Audio(audio) => Some(audio),
            _ => None,
        })
        .collect();
    assert!(frames.iter().all(|audio| audio.context == 7 && audio.frame.payload.len() == 882));
    assert!(frames.windows(2).all(|pair| pair[1].frame.position_us - pair[0].frame.position_us == 20_000));
    assert!((40..120).contains(&frames.len()), "{} frames", frames.len());
    assert!(loudness(&samples(&events)) > 500.0, "it must be audible");
    let [.., TtsEvent::ContextDone(7), TtsEvent::Usage(usage)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(usage.characters, Some(22));
}

#[test]
fn the_first_sentence_sounds_before_the_second_is_written() {
    let mut bench = open("", "en-gb").unwrap();
    let first = say(&mut bench, 1, "One moment. And", false);
    assert!(!samples(&first).is_empty());
    assert!(!first.contains(&TtsEvent::ContextDone(1)));
    let second = say(&mut bench, 1, " another one.", true);
    assert!(!samples(&second).is_empty());
    assert!(second.contains(&TtsEvent::ContextDone(1)));
}

#[test]
fn contexts_are_spoken_in_order_and_a_cancelled_one_falls_silent() {
    let mut bench = open("", "").unwrap();
    bench.run(|voice, host, out| voice.synthesize(host, 1, "Unfinished business", false, out)).unwrap();
    assert_eq!(say(&mut bench, 2, "Next.", true), [], "waits for the first context");
    let events = bench.run(|voice, host, out| voice.cancel(host, 1, out)).unwrap();
    assert!(events.iter().all(|event| !matches!(event, TtsEvent::Audio(audio) if audio.context == 1)));
    assert!(events.contains(&TtsEvent::ContextDone(2)));
}

#[test]
fn the_same_text_makes_the_same_sound_and_other_text_another() {
    let speak = |text: &str| samples(&say(&mut open("", "").unwrap(), 1, text, true));
    assert_eq!(speak("four one two"), speak("four one two"));
    assert_ne!(speak("four one two"), speak("nine five six"));
}

#[test]
fn voices_and_rates_change_the_sound() {
    let speak = |settings: &str, voice: &str| {
        samples(&say(&mut open(settings, voice).unwrap(), 1, "Hello there, how are you today?", true))
    };
    let normal = speak("", "");
    assert!(speak(r#"{"rate_wpm": 300}"#, "").len() < normal.len());
    assert_ne!(speak("", "en-us+f3"), normal);
    assert_eq!(loudness(&speak(r#"{"volume": 0}"#, "")), 0.0);
}

#[test]
fn what_it_cannot_speak_is_refused_by_name() {
    let refused = |settings: &str, voice: &str| open(settings, voice).err().unwrap();
    assert_eq!(refused("", "de").code, ErrorCode::Unsupported);
    assert_eq!(refused("", "en+nobody").code, ErrorCode::InvalidSettings);
    assert!(refused(r#"{"speed": 1}"#, "").message.contains("speed"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_ends_with_done(text in "\\PC{0,60}|[a-z0-9 .,!?$%&@€£é-]{0,80}") {
        let mut bench = open("", "").unwrap();
        let events = say(&mut bench, 1, &text, true);
        prop_assert!(events.contains(&TtsEvent::ContextDone(1)));
    }
}
