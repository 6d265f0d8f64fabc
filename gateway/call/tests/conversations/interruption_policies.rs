//! How an agent yields: paused, at the end of the sentence, only to words that ask for something, or not at all while
//! something is said that must be heard.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_call::{AsrEvent, Command};

use crate::rig::{Rig, agent, reply};

const STORY: &str = "The first point is price. The second point is time. The third point is quality.";

/// The reply plays from 2450; its sentences take 1250, 1300 and 1400 ms.
fn rig(interruption: Value) -> Rig {
    let spec = agent(1, 1, 1, json!({ "interruption": interruption, "turn": { "speculate": false } }));
    let mut rig = Rig::new(spec, &[]).scripts(vec![reply(STORY), reply("Fine.")]);
    rig.caller_says(1000, 500, "tell me");
    rig
}

fn at(rig: &Rig, wanted: &Command) -> Option<u64> {
    rig.commands.iter().find(|(_, command)| command == wanted).map(|(at, _)| at.as_ms())
}

#[test]
fn a_pause_becomes_a_cut_once_there_are_words() {
    let mut rig = rig(json!({}));
    rig.caller_says(4500, 800, "stop please");
    rig.asr_says(5000, 1, AsrEvent::Partial { text: "stop".to_owned() });
    rig.run_until(9000);
    assert_eq!((at(&rig, &Command::PausePlayback), at(&rig, &Command::ClearPlayback)), (Some(4580), Some(5000)));
    let cut = rig.only(EventType::PlaybackCut);
    assert_eq!(cut["decided_ms"], 4580, "the sound stopped when it was paused");
    assert_eq!(cut["sent_ms"], 4580 - 2420);
    assert_eq!(rig.conversation().last().unwrap(), "User: stop please");
    assert_eq!(rig.said().last(), Some(&"Fine."));
}

#[test]
fn a_sign_of_listening_interrupts_nobody() {
    for mode in ["pause_then_resume", "ignore_backchannel", "abort", "finish_sentence"] {
        let mut rig = rig(json!({ "mode": mode }));
        rig.caller_says(4000, 300, "mhm yeah");
        rig.run_until(15_000);
        assert_eq!(rig.all(EventType::TurnStarted).len(), 1, "{mode}");
        let heard: Vec<&str> = rig
            .events
            .iter()
            .filter_map(|event| match event.kind.as_str() {
                "playback.cut" => event.data["heard"].as_str(),
                "playback.finished" => event.data["text"].as_str(),
                _ => None,
            })
            .collect();
        assert_eq!(heard[1..].join(" "), STORY, "{mode}");
    }
}

#[test]
fn one_that_ignores_signs_of_listening_speaks_on_until_there_are_words() {
    let mut rig = rig(json!({ "mode": "ignore_backchannel" }));
    rig.caller_says(3500, 1200, "yeah but wait");
    rig.asr_says(3900, 1, AsrEvent::Partial { text: "yeah".to_owned() });
    rig.asr_says(4200, 1, AsrEvent::Partial { text: "yeah but wait".to_owned() });
    rig.run_until(9000);
    assert_eq!((at(&rig, &Command::PausePlayback), at(&rig, &Command::ClearPlayback)), (None, Some(4200)));
    assert_eq!(rig.said().last(), Some(&"Fine."));
}

#[test]
fn a_sentence_is_finished_and_no_other_begun() {
    let mut rig = rig(json!({ "mode": "finish_sentence" }));
    rig.caller_says(3000, 500, "stop please");
    rig.run_until(9000);
    assert!(rig.all(EventType::PlaybackCut).is_empty());
    assert_eq!(rig.all(EventType::PlaybackFinished)[1]["text"], "The first point is price.");
    assert_eq!(rig.conversation()[3..], ["Assistant: The first point is price.", "User: stop please"]);
}

#[test]
fn what_must_be_heard_is_said_to_the_end_and_the_words_are_answered_afterwards() {
    let mut rig = rig(json!({ "protected": ["point is time"] }));
    rig.caller_says(4500, 500, "stop please");
    rig.asr_says(5100, 1, AsrEvent::Final { text: "stop please".to_owned(), confidence: None, finalized: false });
    rig.run_until(12_000);
    assert!(rig.all(EventType::PlaybackCut).is_empty());
    let finished: Vec<_> = rig.all(EventType::PlaybackFinished).iter().map(|data| data["text"].clone()).collect();
    assert_eq!(finished[1..3], ["The first point is price.", "The second point is time."]);
    assert_eq!(rig.conversation().last().unwrap(), "User: stop please");
}

#[test]
fn an_answer_to_a_question_is_no_sign_of_listening() {
    let asks = reply("Shall I book the table for two at eight? Or would you rather look at something else");
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]).scripts(vec![asks, reply("Booked.")]);
    rig.caller_says(1000, 500, "a table");
    // The question is heard by 4500.
    rig.caller_says(4700, 300, "yes");
    rig.run_until(9000);
    assert_eq!(rig.all(EventType::PlaybackCut).len(), 1);
    assert_eq!(rig.conversation().last().unwrap(), "User: yes");
}

#[test]
fn an_agent_may_ask_for_more_than_one_word() {
    let mut rig = rig(json!({ "min_words": 2 }));
    rig.caller_says(3500, 300, "stop");
    rig.caller_says(6500, 600, "please stop");
    rig.run_until(12_000);
    let inputs: Vec<_> = rig.all(EventType::TurnStarted).iter().map(|data| data["input"].clone()).collect();
    assert_eq!(inputs, ["tell me", "please stop"]);
}

#[test]
fn noise_while_the_model_streams_loses_nothing_of_the_reply() {
    use trunkline_api::words::FinishReason;
    use trunkline_call::LlmEvent;
    let script = vec![
        (200, LlmEvent::TextDelta("One sentence of some length. ".to_owned())),
        (1500, LlmEvent::TextDelta("Another one after it. ".to_owned())),
        (1500, LlmEvent::TextDelta("And the last.".to_owned())),
        (10, LlmEvent::Finished(FinishReason::Stop)),
    ];
    for mode in ["pause_then_resume", "abort", "finish_sentence", "ignore_backchannel"] {
        let spec = agent(1, 1, 1, json!({ "interruption": { "mode": mode } }));
        let mut rig = Rig::new(spec, &[]).scripts(vec![script.clone()]);
        rig.caller_says(1000, 500, "go");
        rig.caller_says(2800, 300, "");
        rig.run_until(15_000);
        let heard: Vec<&str> = rig
            .events
            .iter()
            .filter_map(|event| match event.kind.as_str() {
                "playback.cut" => event.data["heard"].as_str(),
                "playback.finished" => event.data["text"].as_str(),
                _ => None,
            })
            .collect();
        assert_eq!(heard[1..].join(" "), "One sentence of some length. Another one after it. And the last.", "{mode}");
    }
}
