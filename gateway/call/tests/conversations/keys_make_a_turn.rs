//! DTMF: keys are reported one by one and make a turn after a pause or `#`.

use serde_json::json;
use trunkline_api::EventType;

use crate::rig::{Rig, agent};

#[test]
fn keys_make_a_turn_after_a_pause() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Thanks."]);
    rig.caller_presses(2000, '4');
    rig.caller_presses(2500, '2');
    rig.run_until(6000);
    let digits: Vec<_> = rig.all(EventType::DtmfReceived).into_iter().map(|data| data["digit"].clone()).collect();
    assert_eq!(digits, ["4", "2"]);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "[DTMF 42]");
    assert_eq!(rig.first_ms(EventType::TurnStarted), 2500 + 1200);
    assert_eq!(rig.said()[1], "Thanks.");
}

#[test]
fn hash_ends_the_keys_at_once() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Thanks."]);
    rig.caller_presses(2000, '7');
    rig.caller_presses(2300, '#');
    rig.run_until(5000);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "[DTMF 7]");
    assert_eq!(rig.first_ms(EventType::TurnStarted), 2300);
    let waterfall = rig.only(EventType::TurnWaterfall);
    assert_eq!((&waterfall["speech_end_ms"], waterfall.get("first_packet_ms")), (&json!(2300), None));
}

#[test]
fn a_key_stops_the_greeting() {
    let spec = agent(1, 1, 1, json!({ "greeting": "Press one for sales, two for support, three for the rest." }));
    let mut rig = Rig::new(spec, &["Support."]);
    rig.caller_presses(1000, '2');
    rig.run_until(5000);
    assert!(rig.only(EventType::PlaybackCut)["heard"].as_str().unwrap().starts_with("Press one"));
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "[DTMF 2]");
}

#[test]
fn keys_wait_for_an_agent_that_they_may_not_stop() {
    let spec = agent(
        1,
        1,
        1,
        json!({
            "greeting": "Press one for sales, two for support.", "interruption": { "dtmf": false },
        }),
    );
    let mut rig = Rig::new(spec, &["Support."]);
    rig.caller_presses(300, '2');
    rig.run_until(6000);
    assert!(rig.all(EventType::PlaybackCut).is_empty());
    assert_eq!(rig.all(EventType::PlaybackFinished).len(), 2);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "[DTMF 2]");
}

#[test]
fn words_and_keys_together_are_one_turn() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Thanks."]);
    rig.caller_says(2000, 800, "my pin is");
    rig.caller_presses(2900, '9');
    rig.caller_presses(3400, '1');
    rig.run_until(8000);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "my pin is [DTMF 91]");
}

#[test]
fn an_agent_without_recogniser_is_driven_by_keys() {
    let mut rig = Rig::new(agent(0, 1, 1, json!({})), &["One."]);
    rig.caller_says(1500, 500, "nobody hears this");
    rig.caller_presses(3000, '1');
    rig.run_until(6000);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "[DTMF 1]");
}
