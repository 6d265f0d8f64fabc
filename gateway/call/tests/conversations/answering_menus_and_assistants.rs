//! A menu of keys answers, or an assistant that asks who is calling.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_call::Command;

use crate::answering_people::{GREETING, placed, verdicts};
use crate::rig::{reply, tool_reply};

#[test]
fn the_model_finds_its_way_through_a_menu() {
    let scripts = vec![tool_reply("", "send_dtmf", r#"{"digits":"2"}"#), reply(""), reply("Good morning.")];
    let mut rig = placed(json!({ "ivr": "navigate" }), &[]).scripts(scripts);
    rig.caller_says(500, 4000, "welcome for sales press 1 for the front desk press 2");
    rig.run_until(9000);
    assert_eq!(verdicts(&rig), [("ivr".to_owned(), "words".to_owned())]);
    assert_eq!(rig.telephone(), ["keys 1 2"]);
    let input = rig.only(EventType::TurnStarted)["input"].as_str().unwrap().to_owned();
    assert!(input.starts_with("[An automated menu answers.") && input.ends_with("press 2"), "{input}");
    assert!(!rig.said().contains(&GREETING), "nobody is greeted before somebody is there");
    rig.caller_says(12_000, 800, "front desk how can I help");
    rig.run_until(17_000);
    assert_eq!(verdicts(&rig).last().unwrap(), &("human".to_owned(), "words".to_owned()));
    assert_eq!(*rig.said().last().unwrap(), "Good morning.");
}

#[test]
fn keys_are_offered_only_to_an_agent_that_may_press_them() {
    let mut rig = placed(json!({}), &["Reservations, please."]);
    rig.caller_says(500, 3000, "for sales press 1 or say what you want");
    rig.run_until(9000);
    let offered = rig.commands.iter().find_map(|(_, command)| match command {
        Command::StartLlm { tools, .. } => Some(tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(offered.unwrap(), ["hang_up"]);
    assert_eq!(rig.said(), ["Reservations, please."]);
}

#[test]
fn an_assistant_is_told_who_calls_and_given_time_to_ask() {
    let who = "This is the dentist, about the appointment on Monday.";
    let mut rig = placed(json!({ "screening": { "action": "say", "text": who } }), &["Good morning, Ann."]);
    rig.caller_says(
        500,
        4000,
        "hi if you record your name and reason for calling I'll see if this person is available",
    );
    rig.run_until(30_000);
    assert_eq!(verdicts(&rig), [("screening".to_owned(), "words".to_owned())]);
    assert_eq!(rig.said(), [who]);
    assert!(rig.all(EventType::CallerSilent).is_empty(), "an assistant that asks is not silent");
    rig.caller_says(31_000, 400, "hello");
    rig.run_until(36_000);
    assert_eq!(*rig.said().last().unwrap(), "Good morning, Ann.");
    assert_eq!(verdicts(&rig).last().unwrap().0, "human");
}

#[test]
fn an_assistant_may_end_in_a_mailbox() {
    let mut rig = placed(json!({ "screening": { "action": "say", "text": "The dentist." } }), &[]);
    rig.caller_says(500, 3000, "please state your name and the reason for your call");
    rig.caller_says(12_000, 3000, "she is not here please leave a message after the tone");
    rig.run_to_end();
    let kinds: Vec<String> = verdicts(&rig).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["screening", "machine"]);
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "agent_hung_up");
}

#[test]
fn both_may_be_hung_up() {
    for (policy, words) in [
        (json!({ "ivr": "hang_up" }), "for sales press 1"),
        (json!({ "screening": { "action": "hang_up" } }), "who is calling and why are you calling"),
    ] {
        let mut rig = placed(policy, &[]);
        rig.caller_says(500, 2500, words);
        rig.run_to_end();
        assert_eq!(rig.only(EventType::CallEnded)["reason"], "agent_hung_up", "{words}");
        assert!(rig.said().is_empty());
    }
}
