//! A model that does not answer in time: the next one is asked, and the caller hears a line meanwhile.

use serde_json::json;
use trunkline_api::words::FinishReason;
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, LlmEvent};

use crate::rig::{Llm, Rig, agent, reply};

#[test]
fn the_next_model_answers_and_a_line_bridges_the_gap() {
    let mut rig = Rig::new(agent(1, 2, 1, json!({})), &["Yes."]);
    rig.llm[0] = Llm::Stalls;
    rig.caller_says(1000, 500, "are you open");
    rig.run_until(9000);
    assert_eq!(rig.failures(), [(Failure::LlmTimeout, "next_provider")]);
    assert_eq!(rig.said(), ["Hello.", "One moment, please.", "Yes."]);
    let asked = rig.first_ms(EventType::LlmRequest);
    assert_eq!(rig.first_ms(EventType::FailureRaised), asked + 1500);
    assert!(rig.commands.iter().any(|(_, command)| *command == Command::CancelLlm { request: 1 }));
    let waterfall = rig.only(EventType::TurnWaterfall);
    let (byte, out) = (waterfall["tts_first_byte_ms"].as_u64(), waterfall["first_packet_out_ms"].as_u64());
    assert!(byte <= out, "{waterfall}");
}

#[test]
fn an_agent_may_choose_its_own_bridge_or_none() {
    let failures = json!({ "llm_timeout": { "action": "next_provider", "bridge": "" } });
    let spec = agent(1, 2, 1, json!({ "failures": failures, "speech": { "filler_after_ms": 0 } }));
    let mut rig = Rig::new(spec, &["Yes."]);
    rig.llm[0] = Llm::Stalls;
    rig.caller_says(1000, 500, "are you open");
    rig.run_until(9000);
    assert_eq!(rig.said(), ["Hello.", "Yes."]);
}

#[test]
fn a_reply_that_stops_in_the_middle_is_finished_by_the_next_model() {
    let script = vec![(200, LlmEvent::TextDelta("One whole sentence. And half".to_owned()))];
    let mut rig = Rig::new(agent(1, 2, 1, json!({})), &["And the rest of it."]).scripts(vec![script]);
    rig.caller_says(1000, 500, "go");
    rig.run_until(12_000);
    assert_eq!(rig.failures(), [(Failure::LlmTimeout, "next_provider")]);
    assert_eq!(rig.all(EventType::LlmRequest)[1]["provider"], "llm-1");
    assert_eq!(rig.said(), ["Hello.", "One whole sentence.", "One moment, please.", "And the rest of it."]);
    // The other model is told what was said, and not the half that was not.
    let conversation = rig.conversation();
    assert_eq!(conversation[conversation.len() - 2], "Assistant: One whole sentence.");
    assert!(conversation.last().unwrap().starts_with("System: Your reply broke off there"));
    assert_eq!(rig.all(EventType::PlaybackFinished)[1]["text"], "One whole sentence. And the rest of it.");
}

#[test]
fn an_empty_reply_of_a_filter_is_a_failure_and_of_the_model_is_not() {
    let filtered = vec![(50, LlmEvent::Finished(FinishReason::ContentFilter))];
    let mut rig = Rig::new(agent(1, 2, 1, json!({})), &["Yes."]).scripts(vec![filtered]);
    rig.caller_says(1000, 500, "go");
    rig.run_until(6000);
    assert_eq!(rig.failures(), [(Failure::LlmUnavailable, "next_provider")]);

    let silent = vec![(50, LlmEvent::Finished(FinishReason::Stop))];
    let mut rig = Rig::new(agent(1, 2, 1, json!({})), &[]).scripts(vec![silent, reply("Yes.")]);
    rig.caller_says(1000, 500, "go");
    rig.run_until(6000);
    assert!(rig.failures().is_empty());
}
