//! A draining gateway and an operator end a call each in their way.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::usage::EndReason;
use trunkline_call::{Command, Input, Operator};
use trunkline_leg::{CallTime, LegId};

use crate::rig::{Rig, agent};

const GREETING: &str = "Welcome to the shop. We sell tea and coffee.";

fn rig() -> Rig {
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": GREETING })), &[]);
    rig.run_until(1000);
    rig
}

#[test]
fn a_drain_lets_the_sentence_end() {
    let mut rig = rig();
    rig.tell(1000, Input::Drain);
    rig.run_to_end();
    assert_eq!(rig.only(EventType::PlaybackFinished)["text"], GREETING);
    assert_eq!(rig.call.record().end, Some(EndReason::Drained));
}

#[test]
fn an_operator_does_not_wait() {
    let mut rig = rig();
    rig.tell(1000, Input::Operator(Operator::HangUp));
    rig.run_to_end();
    let hang_up = Command::HangUp { leg: LegId::FIRST, reason: EndReason::OperatorHungUp, failure: None };
    assert!(rig.commands.contains(&(CallTime::from_ms(1000), hang_up)));
    assert!(!rig.only(EventType::PlaybackCut)["heard"].as_str().unwrap().is_empty());
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "operator_hung_up");
}

#[test]
fn a_call_can_be_ended_before_it_is_answered() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.call.handle(CallTime::ZERO, Input::Operator(Operator::HangUp));
    rig.run_to_end();
    assert_eq!(rig.names(), ["call.started", "call.ended"]);
    assert_eq!(rig.call.record().total().call_ms, 0);
}
