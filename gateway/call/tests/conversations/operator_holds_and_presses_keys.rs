//! An operator puts the caller on hold, takes them back and presses keys.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::transfer::TransferMode;
use trunkline_call::Operator;

use crate::rig::second_leg::Person;
use crate::rig::{Rig, agent};

#[test]
fn nobody_is_asked_on_hold_and_what_was_being_said_goes_on() {
    let greeting = "Welcome to the shop. We sell tea and coffee.";
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": greeting })), &["Yes."]);
    rig.operator(1000, Operator::Hold);
    rig.operator(1500, Operator::Hold);
    rig.operator(60_000, Operator::Resume);
    rig.run_until(59_000);
    assert_eq!(rig.telephone(), ["hold 1", "redirect 1 sendonly"]);
    assert!(rig.all(EventType::PlaybackFinished).is_empty() && rig.all(EventType::CallerSilent).is_empty());
    rig.run_until(63_000);
    assert_eq!(rig.only(EventType::PlaybackFinished)["text"], greeting);
    rig.caller_says(64_000, 400, "are you open");
    rig.run_until(68_000);
    assert_eq!(*rig.said().last().unwrap(), "Yes.");
    assert_eq!(rig.failures(), []);
}

#[test]
fn a_caller_who_is_to_hear_nothing_is_sent_nothing_and_one_whose_side_takes_no_hold_is_held_all_the_same() {
    let silent = json!({ "transfer": { "hold_sound": "silence" } });
    for (refuses, sip_status) in [(false, json!(null)), (true, json!(488))] {
        let mut rig = Rig::new(agent(1, 1, 1, silent.clone()), &["Yes."]);
        rig.second.refuses_holds = refuses;
        rig.operator(2000, Operator::Hold);
        rig.caller_says(5000, 400, "are you open");
        rig.operator(20_000, Operator::Resume);
        rig.run_until(25_000);
        assert_eq!(rig.telephone(), ["hold 1", "redirect 1 inactive", "resume 1", "redirect 1 sendrecv"]);
        let told = rig.all(EventType::LegRedirected);
        assert_eq!((&told[0]["direction"], &told[0]["sip_status"]), (&json!("inactive"), &sip_status));
        assert!(rig.all(EventType::TurnStarted).is_empty(), "nobody hears a caller on hold");
        rig.caller_says(26_000, 400, "are you open");
        rig.run_until(31_000);
        assert_eq!(*rig.said().last().unwrap(), "Yes.");
    }
}

#[test]
fn keys_go_to_the_far_end() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.operator(1000, Operator::SendDtmf { digits: "12 34#".to_owned() });
    rig.operator(1100, Operator::SendDtmf { digits: "call me".to_owned() });
    rig.operator(1200, Operator::SendDtmf { digits: "1".repeat(33) });
    rig.run_until(2000);
    assert_eq!(rig.telephone(), ["keys 1 1234#"]);
    assert_eq!(rig.only(EventType::DtmfSent)["digits"], "1234#");
}

#[test]
fn a_caller_on_hold_can_be_passed_on() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.second.people = vec![Person::Answers(1000)];
    rig.operator(1000, Operator::Hold);
    let to = "200".to_owned();
    rig.operator(5000, Operator::Transfer { to, mode: Some(TransferMode::Bridge), briefing: String::new() });
    rig.run_until(15_000);
    assert_eq!(rig.outcomes(), ["completed"]);
    assert_eq!(rig.telephone()[..3], ["hold 1", "redirect 1 sendonly", "resume 1"]);
}

#[test]
fn a_hold_in_the_middle_of_an_interruption_leaves_nobody_in_silence() {
    for hold_ms in [4150, 4400, 4650, 4900] {
        let story = "The first point is price. The second point is time. The third point is quality.";
        let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[story, "Yes."]);
        rig.caller_says(1000, 500, "tell me");
        rig.caller_says(4000, 700, "mhm");
        rig.operator(hold_ms, Operator::Hold);
        rig.operator(8000, Operator::Resume);
        rig.run_until(20_000);
        assert_eq!(*rig.said().last().unwrap(), "The third point is quality.", "on hold at {hold_ms}");
        let heard = rig.all(EventType::PlaybackFinished);
        assert!(
            heard.last().unwrap()["text"].as_str().unwrap().ends_with("quality."),
            "on hold at {hold_ms}: {heard:?}"
        );
        rig.caller_says(21_000, 400, "are you open");
        rig.run_until(26_000);
        assert_eq!(*rig.said().last().unwrap(), "Yes.", "on hold at {hold_ms}");
    }
}
