//! Silence and end-of-speech timers: events at the configured time, in order, with frames or without.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_dsp::endpoint::{EndpointConfig, EndpointEvent, Endpointer};
use trunkline_dsp::vad::Activity;

const FRAME_US: u64 = 20_000;

fn activity(speech: bool) -> Activity {
    Activity { speech, ..Activity::default() }
}

/// Feeds verdicts, one per 20 ms, and returns the events with the time they came out at.
fn run(config: EndpointConfig, start_us: u64, verdicts: impl Iterator<Item = bool>) -> Vec<(u64, EndpointEvent)> {
    let mut endpointer = Endpointer::new(config, start_us);
    let mut out = Vec::new();
    for (n, speech) in verdicts.enumerate() {
        let now = start_us + (n as u64 + 1) * FRAME_US;
        endpointer.handle_activity(now, &activity(speech));
        while let Some(event) = endpointer.poll_event() {
            out.push((now, event));
        }
    }
    out
}

fn said(parts: &[(bool, u64)]) -> impl Iterator<Item = bool> + '_ {
    parts.iter().flat_map(|(speech, ms)| std::iter::repeat_n(*speech, (ms / 20) as usize))
}

#[test]
fn events_come_at_the_configured_time_within_20_ms() {
    for end_of_speech_ms in [200, 350, 500, 800] {
        for silence_ms in [1000, 3000, 5010] {
            let config = EndpointConfig { min_speech_ms: 40, end_of_speech_ms, silence_ms };
            let parts = [(false, 500), (true, 1000), (false, 6000)];
            let events = run(config, 7_000_000, said(&parts));
            let began = 7_500_000 + FRAME_US;
            let ended = 8_500_000;
            assert!(matches!(events[0].1, EndpointEvent::SpeechStarted { at_us } if at_us == began));
            assert!(events[0].0 - began <= 60_000);
            assert_eq!(events[1].1, EndpointEvent::SpeechEnded { at_us: ended });
            assert!((events[1].0 - ended).abs_diff(u64::from(end_of_speech_ms) * 1000) <= 20_000);
            assert_eq!(events[2].1, EndpointEvent::Silence { since_us: ended });
            assert!((events[2].0 - ended).abs_diff(u64::from(silence_ms) * 1000) <= 20_000);
        }
    }
}

#[test]
fn silence_is_reported_again_and_again_and_from_the_beginning() {
    let config = EndpointConfig { silence_ms: 1000, ..EndpointConfig::default() };
    let events = run(config, 0, said(&[(false, 3500)]));
    let times: Vec<u64> = events.iter().map(|(now, _)| *now).collect();
    assert_eq!(times, [1_000_000, 2_000_000, 3_000_000]);
    assert!(events.iter().all(|(_, event)| *event == EndpointEvent::Silence { since_us: 0 }));
}

#[test]
fn a_click_is_no_speech_and_a_breath_no_end() {
    let config = EndpointConfig { min_speech_ms: 60, end_of_speech_ms: 400, silence_ms: 0 };
    assert!(run(config, 0, said(&[(false, 500), (true, 40), (false, 1000)])).is_empty());
    let events = run(config, 0, said(&[(true, 500), (false, 300), (true, 500), (false, 1000)]));
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn time_alone_ends_speech() {
    let mut endpointer = Endpointer::new(EndpointConfig::default(), 0);
    for n in 1..=20 {
        endpointer.handle_activity(n * FRAME_US, &activity(true));
    }
    assert!(matches!(endpointer.poll_event(), Some(EndpointEvent::SpeechStarted { .. })));
    assert!(endpointer.is_speech());
    let due = endpointer.poll_timeout().unwrap();
    assert_eq!(due, 20 * FRAME_US + 500_000);
    endpointer.handle_timeout(due - 1);
    assert_eq!(endpointer.poll_event(), None);
    endpointer.handle_timeout(due);
    assert_eq!(endpointer.poll_event(), Some(EndpointEvent::SpeechEnded { at_us: 400_000 }));
    assert_eq!(endpointer.poll_timeout(), Some(400_000 + 8_000_000));
}

proptest! {
    #[test]
    fn starts_and_ends_alternate_whatever_comes(
        config in (0..200_u32, 0..2000_u32, 0..5000_u32),
        steps in prop::collection::vec((prop_oneof![0..50_000_u64, Just(u64::MAX / 3)], any::<bool>(), any::<bool>()), 0..200)
    ) {
        let config = EndpointConfig { min_speech_ms: config.0, end_of_speech_ms: config.1, silence_ms: config.2 };
        let mut endpointer = Endpointer::new(config, 0);
        let (mut now, mut speaking) = (0_u64, false);
        for (later, speech, frame) in steps {
            now = now.saturating_add(later);
            if frame { endpointer.handle_activity(now, &activity(speech)) } else { endpointer.handle_timeout(now) }
            while let Some(event) = endpointer.poll_event() {
                match event {
                    EndpointEvent::SpeechStarted { at_us } => {
                        prop_assert!(!speaking && at_us <= now);
                        speaking = true;
                    }
                    EndpointEvent::SpeechEnded { at_us } => {
                        prop_assert!(speaking && at_us <= now);
                        speaking = false;
                    }
                    EndpointEvent::Silence { since_us } => prop_assert!(!speaking && since_us <= now),
                }
            }
            prop_assert_eq!(speaking, endpointer.is_speech());
        }
    }
}
