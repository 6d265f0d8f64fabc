//! An agent's own actions for failures.

use serde_json::{Value, json};
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};

use crate::rig::{Llm, Rig, agent};

fn failing_model(action: Value) -> Rig {
    let spec = agent(1, 2, 1, json!({ "failures": { "llm_unavailable": action } }));
    let mut rig = Rig::new(spec, &[]);
    rig.llm = vec![Llm::Fails; 2];
    rig.caller_says(1000, 500, "are you open");
    rig
}

#[test]
fn say_goes_on_with_the_same_provider() {
    let mut rig = failing_model(json!({ "action": "say", "text": "Say that again, please." }));
    rig.run_until(6000);
    assert_eq!(rig.failures(), [(Failure::LlmUnavailable, "say")]);
    assert_eq!(rig.said(), ["Hello.", "Say that again, please."]);
    assert!(rig.all(EventType::ProviderSwitched).is_empty() && !rig.call.is_over());
}

#[test]
fn record_only_records() {
    let mut rig = failing_model(json!({ "action": "record" }));
    rig.run_until(6000);
    assert_eq!(rig.failures(), [(Failure::LlmUnavailable, "record")]);
    assert_eq!(rig.said(), ["Hello."]);
}

#[test]
fn hang_up_says_its_line_first() {
    let mut rig = failing_model(json!({ "action": "hang_up", "text": "Sorry, goodbye." }));
    rig.run_to_end();
    assert_eq!(rig.said(), ["Hello.", "Sorry, goodbye."]);
    let record = rig.call.record();
    assert_eq!((record.end, record.failure), (Some(EndReason::Failed), Some(Failure::LlmUnavailable)));
}
