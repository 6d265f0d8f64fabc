//! Blind transfer: the caller's own side is asked to dial.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_leg::{LegId, RefusalCause};

use crate::rig::Rig;
use crate::rig::second_leg::Referral;
use crate::transfer_with_a_briefing::rig;

fn blind(referral: Referral, more: serde_json::Value) -> Rig {
    let mut policy = json!({ "mode": "blind" });
    for (key, value) in more.as_object().unwrap() {
        policy[key] = value.clone();
    }
    let mut rig = rig(policy, &[], "That did not work.");
    rig.second.referral = referral;
    rig
}

#[test]
fn it_works_and_the_call_is_over() {
    for referral in [Referral::Works, Referral::TakesOver] {
        let mut rig = blind(referral, json!({}));
        rig.run_to_end();
        assert_eq!(rig.telephone()[0], "refer +4930555");
        assert_eq!(rig.outcomes(), ["completed"]);
        assert_eq!(rig.only(EventType::CallEnded)["reason"], "transferred");
    }
}

#[test]
fn it_does_not_and_the_conversation_goes_on() {
    let mut rig = blind(Referral::Fails(RefusalCause::Busy), json!({}));
    rig.run_until(15_000);
    assert_eq!(rig.outcomes(), ["busy"]);
    assert_eq!(*rig.said_to(LegId::FIRST).last().unwrap(), "That did not work.");
}

#[test]
fn it_says_nothing_and_is_given_up() {
    let mut rig = blind(Referral::Silent, json!({ "ring_ms": 10_000, "hold_line_every_ms": 5000 }));
    rig.run_until(30_000);
    assert_eq!(rig.outcomes(), ["no_answer"]);
    assert_eq!(rig.all(EventType::CallerSilent).len(), 0);
    assert_eq!(rig.said_to(LegId::FIRST).iter().filter(|line| line.contains("still trying")).count(), 2);
    assert!(rig.said_to(LegId::FIRST).contains(&"That did not work."));
}

#[test]
fn a_caller_who_hangs_up_before_it_was_accepted_has_hung_up() {
    let mut rig = blind(Referral::Silent, json!({}));
    rig.caller_hangs_up(6000);
    rig.run_to_end();
    assert_eq!(rig.outcomes(), ["caller_hung_up"]);
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "caller_hung_up");
}
