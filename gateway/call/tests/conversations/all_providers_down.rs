//! Every provider of a list failed: the caller is told, and the call ends with a name.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};

use crate::rig::{Asr, Llm, Rig, agent};

#[test]
fn the_caller_is_told_before_the_hang_up() {
    let mut rig = Rig::new(agent(1, 2, 1, json!({})), &[]);
    rig.llm = vec![Llm::Fails, Llm::Stalls];
    rig.caller_says(1000, 500, "are you open");
    rig.run_to_end();
    let raised: Vec<_> = rig.failures().into_iter().map(|(failure, _)| failure).collect();
    assert_eq!(raised, [Failure::LlmUnavailable, Failure::LlmTimeout, Failure::ProvidersExhausted]);
    let unavailable = "I am sorry, our service is not available right now. Please call again later.";
    assert_eq!(rig.said().last(), Some(&unavailable));
    let finished = rig.all(EventType::PlaybackFinished);
    assert!(finished.last().unwrap()["text"].as_str().unwrap().ends_with(unavailable), "heard to the end");
    let record = rig.call.record();
    assert_eq!((record.end, record.failure), (Some(EndReason::Failed), Some(Failure::ProvidersExhausted)));
}

#[test]
fn deaf_agents_say_so_too() {
    let mut rig = Rig::new(agent(2, 1, 1, json!({})), &[]);
    rig.asr = vec![Asr::Stalls; 2];
    rig.caller_says(1000, 500, "are you open");
    rig.run_to_end();
    assert!(rig.said().last().unwrap().starts_with("I am sorry"));
    assert_eq!(rig.call.record().failure, Some(Failure::ProvidersExhausted));
}

#[test]
fn an_agent_may_go_on_without_its_model() {
    let failures = json!({ "providers_exhausted": { "action": "say", "text": "Please try again." } });
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "failures": failures })), &[]);
    rig.llm = vec![Llm::Fails];
    rig.caller_says(1000, 500, "are you open");
    rig.run_until(6000);
    assert_eq!(rig.said(), ["Hello.", "Please try again."]);
    assert!(!rig.call.is_over());
}
