//! The far end puts the call on hold: what is being said waits, nobody is asked whether they are there, and no provider
//! is to blame. Afterwards the conversation goes on where it was.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_call::{AsrEvent, Command};
use trunkline_leg::Direction;

use crate::rig::{Rig, agent};

/// Forty characters, two seconds.
const REPLY: &str = "It is a quarter to ten in the morning, ok";

fn held(direction: Direction, from_ms: u64, until_ms: u64) -> Rig {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[REPLY, "Yes."]);
    rig.caller_says(1000, 800, "what time is it");
    rig.far_end_wants(from_ms, direction);
    rig.far_end_wants(until_ms, Direction::SendRecv);
    rig
}

#[test]
fn an_utterance_goes_on_where_hold_left_it() {
    let mut unheld = Rig::new(agent(1, 1, 1, json!({})), &[REPLY]);
    unheld.caller_says(1000, 800, "what time is it");
    unheld.run_until(10_000);
    let finished = |rig: &Rig| {
        let last = rig.events.iter().rev().find(|event| event.kind == EventType::PlaybackFinished.name());
        last.unwrap().at.call_us / 1000
    };
    for direction in [Direction::Inactive, Direction::RecvOnly] {
        let mut rig = held(direction, 3500, 120_000);
        rig.run_until(119_000);
        assert_eq!(rig.said().len(), 2, "{:?}", rig.said());
        rig.run_until(125_000);
        assert_eq!(finished(&rig), finished(&unheld) + 116_500);
        rig.caller_says(125_000, 500, "thank you");
        rig.run_until(129_000);
        assert_eq!(rig.said().last(), Some(&"Yes."));
        assert_eq!(rig.failures(), []);
        assert!(rig.all(EventType::CallerSilent).is_empty(), "{:?}", rig.names());
    }
}

#[test]
fn a_reply_that_is_ready_during_hold_is_said_after_it() {
    let mut rig = held(Direction::Inactive, 1900, 90_000);
    rig.run_until(89_000);
    assert_eq!(rig.all(EventType::PlaybackStarted).len(), 1, "the greeting");
    rig.run_until(95_000);
    assert_eq!(rig.all(EventType::PlaybackFinished).len(), 2);
    assert!(rig.failures().is_empty() && rig.all(EventType::CallerSilent).is_empty());
}

#[test]
fn whoever_comes_back_has_the_whole_time_to_say_something() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.far_end_wants(9000, Direction::SendOnly);
    rig.far_end_wants(300_000, Direction::SendRecv);
    rig.run_until(309_900);
    assert!(rig.all(EventType::CallerSilent).is_empty(), "{:?}", rig.names());
    rig.run_until(310_100);
    assert_eq!(rig.first_ms(EventType::CallerSilent), 310_000);
}

#[test]
fn speech_that_hold_cut_off_is_a_turn_once_the_caller_is_heard_again() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Yes."]);
    // The end of the speech is seen in the first frames after the hold.
    rig.caller_says(1000, 199_050, "wait a moment please");
    rig.far_end_wants(1500, Direction::Inactive);
    rig.far_end_wants(200_000, Direction::SendRecv);
    rig.run_until(199_000);
    assert!(rig.all(EventType::TurnStarted).is_empty(), "{:?}", rig.names());
    rig.run_until(204_000);
    assert_eq!(rig.said().last(), Some(&"Yes."));
    assert_eq!(rig.failures(), []);
}

#[test]
fn a_recogniser_that_ends_without_sound_is_opened_again_and_not_blamed() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Yes."]);
    rig.far_end_wants(1000, Direction::Inactive);
    rig.asr_says(12_000, 1, AsrEvent::Ended);
    rig.far_end_wants(60_000, Direction::SendRecv);
    rig.caller_says(61_000, 500, "hello");
    rig.run_until(64_000);
    let opened: Vec<u64> = rig
        .commands
        .iter()
        .filter(|(_, command)| matches!(command, Command::OpenAsr { .. }))
        .map(|(at, _)| at.as_ms())
        .collect();
    assert_eq!(opened, [0, 60_000]);
    assert_eq!(rig.said().last(), Some(&"Yes."));
    assert_eq!(rig.failures(), []);
}

#[test]
fn hold_does_not_keep_a_call_beyond_its_longest_time() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "limits": { "max_call_s": 120 } })), &[]);
    rig.far_end_wants(1000, Direction::Inactive);
    rig.run_to_end();
    assert_eq!(rig.only(EventType::CallEnded)["failure"], "call_too_long");
}
