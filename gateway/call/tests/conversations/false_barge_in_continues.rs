//! Noise stopped the agent, but nobody said anything: it goes on with what was not heard.

use serde_json::json;
use trunkline_api::EventType;

use crate::rig::{Rig, agent};

#[test]
fn goes_on_with_what_was_not_heard() {
    let greeting = "Welcome to the shop. We sell tea and coffee. What would you like?";
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": greeting })), &["Good choice."]);
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
