//! Menus: a prompt, a key, an action, without a recogniser or a model.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::usage::EndReason;
use trunkline_call::Command;
use trunkline_leg::RefusalCause;

use crate::rig::second_leg::Person;
use crate::rig::{Rig, agent};

fn spec(asr: usize, llm: usize, more: Value) -> trunkline_api::AgentSpec {
    let mut spec = json!({
        "greeting": "Welcome.", "start": "menu:main",
        "menus": {
            "main": {
                "prompt": "For sales press one, for support press two.", "invalid_say": "There is no such choice.",
                "timeout_ms": 3000, "retries": 1, "words": asr > 0,
                "options": [
                    { "key": "1", "label": "sales", "action": { "action": "menu", "menu": "sales" } },
                    { "key": "2", "label": "support", "action": { "action": "agent" } },
                    { "key": "3", "label": "hours", "action": { "action": "say", "text": "We are open from nine to five." } },
                    { "key": "4", "label": "vip", "action": { "action": "set_variable", "name": "who", "value": "a butler" } },
                    { "key": "5", "label": "message", "action": { "action": "record", "text": "Speak now.", "max_s": 30 } },
                    { "key": "6", "label": "human", "action": { "action": "transfer", "to": "+491" } },
                    { "key": "*", "label": "again", "action": { "action": "repeat" } },
                    { "key": "#", "label": "goodbye", "action": { "action": "hang_up", "text": "Bye." } },
                ],
            },
            "sales": {
                "prompt": "For tea press one.", "on_timeout": { "action": "menu", "menu": "main" }, "retries": 0,
                "options": [{ "key": "1", "label": "tea", "action": { "action": "hang_up", "text": "Tea it is." } }],
            },
        },
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    agent(asr, llm, 1, spec)
}

fn chosen(rig: &Rig) -> Vec<(Value, Value)> {
    rig.all(EventType::MenuChosen).into_iter().map(|data| (data["key"].clone(), data["action"].clone())).collect()
}

#[test]
fn a_call_begins_in_a_menu_and_needs_nobody_but_a_voice() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.caller_presses(4000, '1');
    rig.caller_presses(6500, '1');
    rig.run_to_end();
    assert_eq!(
        rig.said(),
        ["Welcome.", "For sales press one, for support press two.", "For tea press one.", "Tea it is."]
    );
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "agent_hung_up");
    let commands = rig
        .commands
        .iter()
        .filter(|(_, command)| matches!(command, Command::OpenAsr { .. } | Command::StartLlm { .. }));
    assert_eq!(commands.count(), 0);
    assert_eq!(rig.call.record().end, Some(EndReason::AgentHungUp));
}

#[test]
fn keys_pressed_before_the_prompts_were_heard_count() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.caller_presses(500, '1');
    rig.caller_presses(510, '1');
    rig.run_to_end();
    let opened: Vec<_> = rig.all(EventType::MenuOpened).into_iter().map(|data| data["menu"].clone()).collect();
    assert_eq!(opened, ["main", "sales"]);
    assert_eq!(*rig.said().last().unwrap(), "Tea it is.");
    assert!(!rig.said().contains(&"For tea press one."), "nobody is told what was chosen already");
    assert!(rig.first_ms(EventType::CallEnded) < 2000, "{}", rig.first_ms(EventType::CallEnded));
}

#[test]
fn a_key_that_stands_for_nothing_and_silence_are_asked_again_and_then_given_up() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.caller_presses(4000, '9');
    rig.run_to_end();
    let unanswered: Vec<_> =
        rig.all(EventType::MenuUnanswered).into_iter().map(|data| data["invalid"].clone()).collect();
    assert_eq!(unanswered, [true, false]);
    assert_eq!(rig.said()[2..4], ["There is no such choice.", "For sales press one, for support press two."]);
    assert!(rig.said().last().unwrap().starts_with("I cannot hear you"));
    assert!(rig.only(EventType::MenuChosen).get("key").is_none());
}

#[test]
fn a_menu_that_times_out_may_lead_elsewhere() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.caller_presses(4000, '1');
    rig.run_until(16_000);
    let opened: Vec<_> = rig.all(EventType::MenuOpened).into_iter().map(|data| data["menu"].clone()).collect();
    assert_eq!(opened, ["main", "sales", "main"]);
}

#[test]
fn star_repeats_and_what_is_said_is_followed_by_the_menu() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.caller_presses(4000, '*');
    rig.caller_presses(8000, '3');
    rig.run_until(13_000);
    let prompt = "For sales press one, for support press two.";
    assert_eq!(rig.said(), ["Welcome.", prompt, prompt, "We are open from nine to five.", prompt]);
}

#[test]
fn the_agent_is_told_what_was_chosen_and_begins() {
    let mut rig = Rig::new(spec(1, 1, json!({})), &["Support here.", "Good."]);
    rig.caller_presses(4000, '2');
    rig.caller_says(7000, 800, "it is broken");
    rig.run_until(11_000);
    assert_eq!(rig.said()[2..], ["Support here.", "Good."]);
    assert_eq!(rig.all(EventType::TurnStarted)[0]["input"], "[menu main: 2 support]");
    assert!(rig.conversation().contains(&"User: [menu main: 2 support]".to_owned()), "{:?}", rig.conversation());
}

#[test]
fn words_choose_where_the_menu_takes_them() {
    let mut rig = Rig::new(spec(1, 1, json!({})), &[]);
    rig.caller_says(4000, 500, "sales please");
    rig.run_until(6500);
    assert_eq!(chosen(&rig), [(json!("1"), json!("menu"))]);
    let mut rig = Rig::new(spec(1, 1, json!({})), &[]);
    rig.caller_says(4000, 900, "sales or support");
    rig.run_until(6500);
    assert_eq!(chosen(&rig), [], "two at once are none");
    assert_eq!(rig.only(EventType::MenuUnanswered)["invalid"], true);
}

#[test]
fn a_variable_is_set_for_what_follows() {
    let mut rig = Rig::new(spec(1, 1, json!({})), &["At your service."]);
    rig.caller_presses(4000, '4');
    rig.run_until(7000);
    assert_eq!(rig.conversation()[0], "System: You are a butler.");
}

#[test]
fn a_message_is_recorded_until_a_key_is_pressed() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.caller_presses(4000, '5');
    rig.caller_says(5500, 4000, "");
    rig.caller_presses(10_000, '#');
    rig.run_to_end();
    let records: Vec<(u64, bool)> = rig
        .commands
        .iter()
        .filter_map(|(at, command)| match command {
            Command::Record { on, .. } => Some((at.as_ms(), *on)),
            _ => None,
        })
        .collect();
    assert_eq!(records, [(4560, true), (10_000, false)], "from the end of what is said");
    assert_eq!(rig.only(EventType::MessageRecorded)["duration_ms"], 10_000 - 4560);
}

#[test]
fn a_message_of_a_caller_who_hangs_up_is_told_of() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.caller_presses(4000, '5');
    rig.caller_hangs_up(8000);
    rig.run_to_end();
    assert_eq!(rig.only(EventType::MessageRecorded)["duration_ms"], 8000 - 4560);
}

#[test]
fn who_could_not_be_passed_on_is_in_the_menu_again() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.second.people = vec![Person::Refuses(RefusalCause::Busy, 500)];
    rig.caller_presses(4000, '6');
    rig.run_to_end();
    assert_eq!(chosen(&rig)[0].1, "transfer");
    let started = rig.only(EventType::TransferStarted);
    assert_eq!((&started["by"], &rig.only(EventType::TransferEnded)["outcome"]), (&json!("agent"), &json!("busy")));
    assert_eq!(rig.all(EventType::MenuOpened).len(), 2);
}

#[test]
fn a_model_may_lead_the_caller_into_a_menu() {
    let more = json!({ "start": "", "tools": [{ "name": "open_menu" }] });
    let scripts = vec![
        crate::rig::tool_reply("Let me give you a choice.", "open_menu", r#"{"menu":"sales"}"#),
        crate::rig::reply("never said"),
    ];
    let mut rig = Rig::new(spec(1, 1, more), &[]).scripts(scripts);
    rig.caller_says(2000, 500, "what is there");
    rig.caller_presses(6000, '1');
    rig.run_to_end();
    assert_eq!(rig.said(), ["Welcome.", "Let me give you a choice.", "For tea press one.", "Tea it is."]);
}

#[test]
fn a_redacted_timeline_holds_no_choice() {
    let more = json!({ "redaction": { "redactor": "pii", "channels": ["transcript"] } });
    let mut rig = Rig::new(spec(0, 0, more), &[]);
    rig.caller_presses(4000, '1');
    rig.run_until(5000);
    let data = rig.only(EventType::MenuChosen);
    assert_eq!((&data["key"], data.get("label")), (&json!("x"), None));
}

#[test]
fn a_caller_on_hold_is_not_given_up() {
    let mut rig = Rig::new(spec(0, 0, json!({})), &[]);
    rig.far_end_wants(4000, trunkline_leg::Direction::Inactive);
    rig.far_end_wants(34_000, trunkline_leg::Direction::SendRecv);
    rig.run_until(36_000);
    assert!(rig.all(EventType::MenuUnanswered).is_empty());
}
