//! Noise stopped the agent, but nobody said anything: it goes on with what was not heard.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_call::{AsrEvent, Command};

use crate::rig::{MS_PER_CHAR, Rig, agent};

const GREETING: &str = "Welcome to the shop. We sell tea and coffee. What would you like?";

#[test]
fn one_that_was_paused_goes_on_where_it_stopped() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": GREETING })), &["Good choice."]);
    rig.caller_says(1500, 300, "");
    rig.run_until(10_000);
    let at = |wanted: &Command| rig.commands.iter().find(|(_, command)| command == wanted).unwrap().0.as_ms();
    assert_eq!((at(&Command::PausePlayback), at(&Command::ResumePlayback)), (1580, 1800 + 300 + 80));
    assert!(rig.all(EventType::PlaybackCut).is_empty() && rig.all(EventType::TurnStarted).is_empty());
    assert_eq!(rig.only(EventType::PlaybackFinished)["text"], GREETING);
    assert_eq!(rig.said(), [GREETING]);
    let finished = rig.events.iter().find(|event| event.kind == "playback.finished").unwrap();
    let length = GREETING.chars().count() as u64 * u64::from(MS_PER_CHAR);
    assert_eq!(finished.at.call_us / 1000, 60 + length + (2180 - 1580), "nothing is lost and nothing said twice");
}

#[test]
fn mhm_costs_a_shorter_silence_than_a_sound_of_which_no_words_are_known_yet() {
    let resumed = |partial: Option<&str>| {
        let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": GREETING })), &["Good choice."]);
        rig.caller_says(1500, 500, "mhm");
        if let Some(text) = partial {
            rig.asr_says(1900, 1, AsrEvent::Partial { text: text.to_owned() });
        }
        rig.run_until(10_000);
        assert!(rig.all(EventType::TurnStarted).is_empty());
        rig.commands.iter().find(|(_, command)| *command == Command::ResumePlayback).unwrap().0.as_ms()
    };
    assert_eq!(resumed(Some("mhm")), 2000 + 300 + 80);
    assert_eq!(resumed(None), 2000 + 600 + 80);
}

#[test]
fn one_that_was_stopped_says_again_what_was_not_heard() {
    let greeting = GREETING;
    let spec = agent(1, 1, 1, json!({ "greeting": greeting, "interruption": { "mode": "abort" } }));
    let mut rig = Rig::new(spec, &["Good choice."]);
    rig.caller_says(1500, 300, "");
    rig.run_until(10_000);
    let heard = rig.only(EventType::PlaybackCut)["heard"].as_str().unwrap().to_owned();
    assert!(heard.starts_with("Welcome to the shop.") && heard.len() < greeting.len());
    let rest = (*rig.said().last().unwrap()).to_owned();
    assert_eq!(format!("{heard} {rest}"), greeting);
    assert!(rig.all(EventType::TurnStarted).is_empty());

    rig.caller_says(11_000, 500, "tea");
    rig.run_until(15_000);
    assert_eq!(rig.conversation()[1..], [format!("Assistant: {greeting}"), "User: tea".to_owned()]);
}

#[test]
fn an_empty_turn_of_a_quiet_call_is_silently_dropped() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.caller_says(2000, 300, "");
    rig.run_until(5000);
    assert_eq!(rig.said(), ["Hello."]);
    assert!(rig.all(EventType::TurnStarted).is_empty() && rig.failures().is_empty());
}
