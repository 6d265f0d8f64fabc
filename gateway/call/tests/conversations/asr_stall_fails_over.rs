//! A recogniser that stalls or dies: the next one hears the same words, and the caller hears a line meanwhile.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_call::{AsrEvent, Command};
use trunkline_leg::CallTime;

use crate::rig::{Asr, Rig, agent};

#[test]
fn the_next_recogniser_hears_the_same_words() {
    let mut rig = Rig::new(agent(2, 1, 1, json!({})), &["Yes."]);
    rig.asr[0] = Asr::Stalls;
    rig.caller_says(1000, 500, "are you open");
    rig.run_until(9000);
    assert_eq!(rig.failures(), [(Failure::AsrTimeout, "next_provider")]);
    let switched = rig.only(EventType::ProviderSwitched);
    assert_eq!((&switched["from"], &switched["to"]), (&json!("asr-0"), &json!("asr-1")));
    let reopened = rig.commands.iter().find_map(|(at, command)| match command {
        Command::OpenAsr { index: 1, replay_from, .. } => Some((at.as_ms(), *replay_from)),
        _ => None,
    });
    assert_eq!(reopened, Some((1500 + 600 + 1500, Some(CallTime::from_ms(1000)))));
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "are you open");
    assert_eq!(rig.said(), ["Hello.", "One moment, please.", "Yes."]);
    // The bridge line is no part of the conversation.
    assert_eq!(rig.all(EventType::PlaybackFinished)[1]["text"], "Yes.");
}

#[test]
fn words_so_far_are_better_than_none() {
    let mut rig = Rig::new(agent(2, 1, 1, json!({})), &["Yes."]);
    rig.asr[0] = Asr::Stalls;
    rig.caller_says(1000, 500, "");
    rig.asr_says(1400, 1, AsrEvent::Partial { text: "are you open".to_owned() });
    rig.run_until(9000);
    assert!(rig.failures().is_empty());
    assert_eq!(rig.only(EventType::TranscriptFinal)["text"], "are you open");
    assert_eq!(rig.said(), ["Hello.", "One moment, please.", "Yes."]);
}

#[test]
fn a_recogniser_that_dies_is_replaced_before_it_is_needed() {
    let mut rig = Rig::new(agent(2, 1, 1, json!({})), &["Yes."]);
    rig.asr[0] = Asr::Fails;
    rig.caller_says(1000, 500, "are you open");
    rig.run_until(5000);
    assert_eq!(rig.failures(), [(Failure::AsrUnavailable, "next_provider")]);
    assert_eq!(rig.said(), ["Hello.", "Yes."]);
}
