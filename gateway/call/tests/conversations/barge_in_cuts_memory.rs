//! The caller interrupts: the agent stops within a frame and remembers only what was sent.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_call::{AsrEvent, Command};

use crate::rig::{Rig, agent, reply};

const STORY: &str = "The first point is price. The second point is time. The third point is quality.";

/// An agent that stops for good at once.
fn aborting() -> trunkline_api::AgentSpec {
    agent(1, 1, 1, json!({ "interruption": { "mode": "abort" } }))
}

fn interrupted() -> Rig {
    let mut rig = Rig::new(aborting(), &[]).scripts(vec![reply(STORY), reply("Fine.")]);
    rig.caller_says(1000, 500, "tell me");
    // The reply plays from 2450; its first sentence is 25 characters long, 1250 ms.
    rig.caller_says(4500, 800, "stop please");
    rig
}

#[test]
fn stops_at_once_and_remembers_what_was_sent() {
    let mut rig = interrupted();
    rig.run_until(4700);
    let at = |wanted: &Command| rig.commands.iter().find(|(_, command)| command == wanted).unwrap().0.as_ms();
    assert_eq!(at(&Command::ClearPlayback), 4580, "min_speech_ms after the first speech");
    assert_eq!(at(&Command::StopSpeaking { utterance: 2, index: 0 }), 4580);

    rig.run_until(9000);
    let cut = rig.only(EventType::PlaybackCut);
    assert_eq!(cut["decided_ms"], 4580);
    let sent_ms = cut["sent_ms"].as_u64().unwrap();
    let heard = cut["heard"].as_str().unwrap();
    assert!(STORY.starts_with(heard) && heard.starts_with("The first point is price. The"), "{heard}");
    assert!((heard.len() as u64 * 50).abs_diff(sent_ms) <= 450, "{heard}: {sent_ms} ms");
    let memory = rig.conversation();
    assert_eq!(memory[3], format!("Assistant: {heard}"));
    assert_eq!(memory[4], "User: stop please");
}

#[test]
fn what_was_under_way_at_the_decision_is_heard_and_remembered() {
    let mut by_then = 0;
    for ms in (4500..5500).step_by(40) {
        let mut rig = Rig::new(aborting(), &[]).scripts(vec![reply(STORY), reply("Fine.")]);
        rig.caller_says(1000, 500, "tell me");
        rig.caller_says(ms, 800, "stop please");
        rig.run_until(9000);
        let cut = rig.only(EventType::PlaybackCut);
        let [sent_ms, heard_ms] = ["sent_ms", "heard_ms"].map(|name| cut[name].as_u64().unwrap());
        assert!(heard_ms < sent_ms, "{cut}");
        // A character is 50 ms, and sentences follow each other without the space between them.
        let whole = |ms: u64| {
            let mut ends = STORY.match_indices(' ').map(|(at, _)| at).chain([STORY.len()]);
            let spoken = |end: usize| STORY[..end].replace(". ", ".").trim_end().len() as u64 * 50;
            ends.rfind(|end| spoken(*end) <= ms).map_or("", |end| &STORY[..end])
        };
        assert_eq!(cut["heard"], whole(sent_ms), "at {ms}");
        by_then += u32::from(whole(heard_ms) != whole(sent_ms));
    }
    assert!(by_then > 3, "{by_then}");
}

#[test]
fn a_model_still_talking_is_cancelled() {
    use trunkline_call::LlmEvent;
    let endless = (0..50).map(|_| (200, LlmEvent::TextDelta("More and more words. ".to_owned()))).collect();
    let mut rig = Rig::new(aborting(), &[]).scripts(vec![endless, reply("Fine.")]);
    rig.caller_says(1000, 500, "go");
    rig.caller_says(5000, 500, "stop");
    rig.run_until(10_000);
    // Stopped at once, and dropped once it is clear that the caller has something to say.
    let at = |wanted: &Command| rig.commands.iter().find(|(_, command)| command == wanted).unwrap().0.as_ms();
    assert_eq!(at(&Command::ClearPlayback), 5080);
    assert_eq!(at(&Command::CancelLlm { request: 1 }), 5500 + 600 + 80);
    assert_eq!(*rig.said().last().unwrap(), "Fine.");
}

#[test]
fn words_interrupt_before_voice_activity_has_lasted() {
    let mut rig = interrupted();
    rig.asr_says(4560, 1, AsrEvent::Partial { text: "stop".to_owned() });
    rig.run_until(4600);
    assert_eq!(rig.commands.iter().filter(|(_, c)| *c == Command::ClearPlayback).count(), 1);
}

#[test]
fn a_short_noise_does_not_interrupt() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[STORY]);
    rig.caller_says(1000, 500, "tell me");
    rig.caller_says(4500, 60, "");
    rig.run_until(9000);
    assert!(rig.all(EventType::PlaybackCut).is_empty());
    assert_eq!(rig.all(EventType::PlaybackFinished)[1]["text"], STORY);
}

#[test]
fn an_agent_that_may_not_be_interrupted_is_not() {
    let spec = agent(1, 1, 1, json!({ "interruption": { "barge_in": false } }));
    let mut rig = Rig::new(spec, &[STORY]);
    rig.caller_says(1000, 500, "tell me");
    rig.caller_says(4500, 800, "stop please");
    rig.run_until(9000);
    assert!(rig.all(EventType::PlaybackCut).is_empty());
    assert_eq!(rig.all(EventType::TurnStarted).len(), 1);
}

#[test]
fn a_cut_that_comes_too_late_is_a_whole_playback() {
    let mut rig = Rig::new(
        agent(1, 1, 1, json!({ "greeting": "Good morning.", "interruption": { "mode": "abort" } })),
        &["Fine."],
    );
    // The greeting plays from 60 to 710 ms; speech has lasted at 700, the clear would reach the leg at 720.
    rig.caller_says(620, 600, "hello");
    rig.run_until(6000);
    assert!(rig.all(EventType::PlaybackCut).is_empty());
    assert_eq!(rig.all(EventType::PlaybackFinished)[0]["text"], "Good morning.");
    assert_eq!(rig.conversation()[1..], ["Assistant: Good morning.", "User: hello"]);
}
