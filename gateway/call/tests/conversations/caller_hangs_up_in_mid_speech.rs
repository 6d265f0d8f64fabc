//! The caller hangs up while the agent speaks, while it thinks, or before the answer.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_call::Command;
use trunkline_leg::EndCause;

use crate::rig::{Llm, Rig, agent};

#[test]
fn what_was_heard_is_in_the_timeline() {
    let greeting = "Welcome to the shop. We sell tea and coffee.";
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": greeting })), &[]);
    rig.caller_hangs_up(1500);
    rig.run_to_end();
    let cut = rig.only(EventType::PlaybackCut);
    assert_eq!(cut["sent_ms"], 1440);
    assert!(cut["heard"].as_str().unwrap().starts_with("Welcome to the shop."));
    let closes: Vec<_> = rig.commands.iter().filter(|(at, _)| at.as_ms() == 1500).map(|(_, c)| c).collect();
    assert_eq!(closes, [&Command::StopSpeaking { utterance: 1, index: 0 }, &Command::CloseAsr { session: 1 }]);
    assert_eq!(rig.names().last(), Some(&"call.ended"));
    assert!(rig.call.poll_timeout().is_none());
}

#[test]
fn a_request_in_flight_is_cancelled() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.llm[0] = Llm::Stalls;
    rig.caller_says(1000, 500, "hello");
    rig.caller_hangs_up(2500);
    rig.run_to_end();
    assert!(rig.commands.contains(&(rig.commands.last().unwrap().0, Command::CancelLlm { request: 1 })));
    assert_eq!(rig.call.record().end, Some(EndReason::CallerHungUp));
}

#[test]
fn media_that_stops_has_a_name() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.leg_ends(3000, EndCause::MediaTimeout);
    rig.run_to_end();
    assert_eq!(rig.failures(), [(Failure::MediaTimeout, "hang_up")]);
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "failed");
}

#[test]
fn an_answer_that_nobody_acknowledged_has_a_name() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.leg_ends(500, EndCause::NoAck);
    rig.run_to_end();
    assert_eq!(rig.failures(), [(Failure::NotAcknowledged, "hang_up")]);
    assert_eq!(rig.call.record().failure, Some(Failure::NotAcknowledged));
}
