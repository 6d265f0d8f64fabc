//! After the two were connected: whoever hangs up ends the call, or gives the caller back to the agent.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_call::Input;
use trunkline_leg::LegId;

use crate::rig::Rig;
use crate::rig::second_leg::Person;
use crate::transfer_with_a_briefing::rig;

fn connected(more: serde_json::Value) -> Rig {
    let mut rig = rig(more, &[Person::Answers(2000)], "Was that all?");
    rig.human_presses(11_000, '1');
    rig.run_until(13_000);
    assert_eq!(rig.outcomes(), ["completed"]);
    rig
}

#[test]
fn the_call_ends_when_they_hang_up() {
    let mut rig = connected(json!({}));
    rig.human_hangs_up(60_000);
    rig.run_to_end();
    assert_eq!(rig.telephone().last().unwrap(), "hang up 1");
    assert_eq!(rig.call.record().end, Some(EndReason::Transferred));
    assert_eq!(rig.call.record().failure, None);
}

#[test]
fn or_the_agent_goes_on() {
    let mut rig = connected(json!({ "after": "return" }));
    rig.human_hangs_up(60_000);
    rig.run_until(70_000);
    assert_eq!(*rig.said_to(LegId::FIRST).last().unwrap(), "Was that all?");
    assert!(rig.conversation().last().unwrap().contains("has hung up"));
    assert!(rig.telephone().ends_with(&["unbridge 1 2".to_owned(), "attach 1".to_owned()]));
    rig.caller_says(72_000, 400, "yes");
    rig.run_until(77_000);
    assert_eq!(*rig.said_to(LegId::FIRST).last().unwrap(), "Fine.");
}

#[test]
fn nobody_listens_to_the_two() {
    let mut rig = connected(json!({}));
    let asked = rig.commands.len();
    rig.caller_says(20_000, 3000, "so what about the price");
    rig.caller_presses(25_000, '5');
    rig.run_until(180_000);
    assert_eq!(rig.commands.len(), asked, "{:?}", &rig.commands[asked..]);
    assert!(rig.all(EventType::CallerSilent).is_empty());
}

#[test]
fn a_leg_lasts_no_longer_than_it_may() {
    let mut rig = connected(json!({ "leg_max_s": 60 }));
    rig.run_to_end();
    assert_eq!(rig.failures(), [(Failure::CallTooLong, "record")]);
    assert!(rig.second.open.is_empty());
    let ended = rig.only(EventType::LegEnded);
    assert!((60_000..=60_100).contains(&ended["duration_ms"].as_u64().unwrap()), "{ended}");
}

#[test]
fn a_drain_lets_go_of_both() {
    let mut rig = connected(json!({}));
    rig.tell(20_000, Input::Drain);
    rig.run_to_end();
    assert_eq!(rig.call.record().end, Some(EndReason::Drained));
    assert!(rig.second.open.is_empty());
}
