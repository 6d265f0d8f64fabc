//! The caller had only paused: what was being thought is taken back, and both halves are one turn.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::words::FinishReason;
use trunkline_call::LlmEvent;

use crate::rig::{Rig, agent, reply};

#[test]
fn both_halves_are_one_question() {
    let slow = vec![(1200, LlmEvent::TextDelta("Half.".to_owned())), (10, LlmEvent::Finished(FinishReason::Stop))];
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]).scripts(vec![slow, reply("Noted.")]);
    rig.caller_says(1000, 500, "my number is");
    rig.caller_says(2400, 800, "four two");
    rig.run_until(8000);
    assert_eq!(rig.conversation()[1..], ["Assistant: Hello.", "User: my number is four two"]);
    assert_eq!(rig.said(), ["Hello.", "Noted."]);
}

#[test]
fn noise_while_thinking_holds_the_answer_back_and_loses_nothing_of_it() {
    let slow = vec![(1200, LlmEvent::TextDelta("Half.".to_owned())), (10, LlmEvent::Finished(FinishReason::Stop))];
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]).scripts(vec![slow]);
    rig.caller_says(1000, 500, "are you open");
    rig.caller_says(2400, 400, "");
    rig.run_until(8000);
    assert_eq!(rig.conversation()[1..], ["Assistant: Hello.", "User: are you open"]);
    assert_eq!(rig.said(), ["Hello.", "Half."]);
    assert_eq!(rig.all(EventType::TurnStarted).len(), 1);
    // The answer was there at 3390; the noise was known to be none when the recogniser had nothing to say to it.
    let said = rig.events.iter().rfind(|event| event.kind == "agent.said").unwrap();
    assert_eq!(said.at.call_us / 1000, 2800 + 600 + 80);
}

#[test]
fn a_breath_inside_a_sentence_does_not_end_the_turn() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Noted."]);
    rig.caller_says(1000, 500, "my number");
    rig.caller_says(1900, 500, "is four");
    rig.run_until(6000);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "my number is four");
    assert_eq!(rig.only(EventType::TurnWaterfall)["first_packet_ms"], 1000);
}
