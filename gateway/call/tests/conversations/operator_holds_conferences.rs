//! An operator puts callers into a conference, mutes them and takes them out again.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::transfer::TransferMode;
use trunkline_call::Operator;

use crate::rig::second_leg::Person;
use crate::rig::{Rig, agent};

fn join(room: &str) -> Operator {
    Operator::Join { room: room.to_owned() }
}

#[test]
fn the_agent_waits_while_the_caller_confers_and_goes_on_where_it_was() {
    let greeting = "Welcome to the shop. We sell tea and coffee.";
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": greeting })), &["Yes."]);
    rig.operator(1000, join("monday"));
    rig.operator(1100, join("monday"));
    rig.caller_says(5000, 800, "so what do we do");
    rig.operator(6000, Operator::Mute { on: true });
    rig.operator(6100, Operator::Mute { on: true });
    rig.operator(7000, Operator::Mute { on: false });
    // Who confers is not on hold.
    rig.operator(8000, Operator::Hold);
    rig.run_until(59_000);
    assert_eq!(rig.telephone(), ["join 1 monday", "mute 1 true", "mute 1 false"]);
    assert!(rig.all(EventType::TurnStarted).is_empty(), "what is said there is not said to the agent");
    assert!(rig.all(EventType::PlaybackFinished).is_empty() && rig.all(EventType::CallerSilent).is_empty());
    rig.operator(60_000, Operator::Leave);
    rig.operator(60_100, Operator::Leave);
    rig.run_until(63_000);
    assert_eq!(rig.telephone()[3..], ["leave 1"]);
    assert_eq!(rig.only(EventType::ConferenceJoined), &json!({ "leg": 1, "room": "monday" }));
    assert_eq!(rig.only(EventType::ConferenceLeft), &json!({ "leg": 1, "room": "monday" }));
    assert_eq!(rig.only(EventType::PlaybackFinished)["text"], greeting);
    rig.caller_says(64_000, 400, "are you open");
    rig.run_until(68_000);
    assert_eq!(*rig.said().last().unwrap(), "Yes.");
    assert_eq!(rig.failures(), []);
}

#[test]
fn one_conference_follows_another_or_a_hold_or_a_transfer() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.second.people = vec![Person::Answers(1000)];
    rig.operator(1000, Operator::Hold);
    rig.operator(2000, join("a"));
    rig.operator(3000, join("b"));
    let to = "200".to_owned();
    rig.operator(5000, Operator::Transfer { to, mode: Some(TransferMode::Bridge), briefing: String::new() });
    rig.operator(9000, join("c"));
    rig.run_until(15_000);
    assert_eq!(rig.outcomes(), ["completed"]);
    let orders = rig.telephone();
    let orders: Vec<&str> = orders.iter().map(String::as_str).filter(|order| !order.starts_with("redirect")).collect();
    assert_eq!(orders[..6], ["hold 1", "resume 1", "join 1 a", "leave 1", "join 1 b", "leave 1"]);
    assert!(
        orders.contains(&"dial 2 200") && !orders.contains(&"join 1 c"),
        "who was passed on stays there: {orders:?}"
    );
}

#[test]
fn a_caller_for_whom_there_is_no_place_is_with_the_agent() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Yes."]);
    rig.second.room_is_full = true;
    rig.operator(2000, join("a"));
    rig.caller_says(4000, 400, "are you open");
    rig.run_until(9000);
    assert_eq!(rig.only(EventType::ConferenceLeft)["full"], true);
    assert_eq!(*rig.said().last().unwrap(), "Yes.");
}
