//! Secrets: entered by keys, concealed from everybody, and given to the tool that may have them.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::transfer::TransferMode;
use trunkline_call::{Command, Input, Operator, ToolOutcome};
use trunkline_leg::{CallTime, DtmfDigit, LegFact, LegId};

use crate::rig::second_leg::Person;
use crate::rig::{Rig, agent, reply, tool_reply};

const CARD: &str = "4111111111111111";

fn spec(more: Value) -> trunkline_api::AgentSpec {
    let mut spec = json!({
        "slots": [
            { "name": "card", "kind": "card_number", "prompt": "Enter your card number and press hash.", "attempts": 2,
              "secure": { "tools": ["pay"] } },
            { "name": "pin", "kind": { "digits": { "min": 4, "max": 4 } }, "prompt": "Enter your PIN.",
              "confirm": "double_entry", "secure": { "tools": ["pay"] } },
        ],
        "tools": [{ "name": "pay" }, { "name": "spy" }],
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    agent(1, 1, 1, spec)
}

/// A conversation in which the card is asked for at once.
fn asking(spec: trunkline_api::AgentSpec, then: Vec<Vec<(u64, trunkline_call::LlmEvent)>>) -> Rig {
    let mut scripts = vec![tool_reply("", "collect_secure", r#"{"slot":"card"}"#)];
    scripts.extend(then);
    let mut rig = Rig::new(spec, &[]).scripts(scripts);
    rig.caller_says(1000, 500, "I want to pay");
    rig.run_until(5500);
    assert_eq!(*rig.said().last().unwrap(), "Enter your card number and press hash.");
    rig
}

fn types(rig: &mut Rig, from_ms: u64, keys: &str) -> u64 {
    let mut at = from_ms;
    for key in keys.chars() {
        rig.caller_presses(at, key);
        at += 200;
    }
    at
}

/// No run of a secret's digits anywhere the call tells of anything.
fn shows_nothing(rig: &Rig, secret: &str) {
    let events = serde_json::to_string(&rig.events).unwrap();
    let commands: String = rig.commands.iter().map(|(_, command)| serde_json::to_string(command).unwrap()).collect();
    let printed = format!("{:?}", rig.call);
    for (what, text) in [("events", events), ("commands", commands), ("debug", printed)] {
        assert!(!text.contains(&secret[..4]), "{what}: {text}");
    }
    let record = serde_json::to_string(rig.call.record()).unwrap();
    assert!(!record.contains(secret));
    let concealed = rig.events.iter().position(|event| event.kind == "concealed").unwrap();
    let revealed = rig.events.iter().position(|event| event.kind == "revealed").unwrap_or(rig.events.len());
    assert!(!rig.events[concealed..revealed].iter().any(|event| event.kind == "dtmf.received"));
}

fn concealed(rig: &Rig) -> Vec<(u64, bool)> {
    let conceals = |(at, command): &(CallTime, Command)| match command {
        Command::Conceal { on, .. } => Some((at.as_ms(), *on)),
        _ => None,
    };
    rig.commands.iter().filter_map(conceals).collect()
}

#[test]
fn a_card_reaches_the_tool_and_nobody_else() {
    let pay = tool_reply("", "pay", r#"{"card":"{{secure:card}}","amount":5}"#);
    let mut rig = asking(spec(json!({})), vec![pay, reply("It is paid.")]);
    let outcome = ToolOutcome {
        output: "charged 4111 1111 1111 1111".to_owned(),
        is_error: false,
        actions: Vec::new(),
        failure: None,
    };
    rig.tools.insert("pay".to_owned(), Some((100, outcome)));
    let end = types(&mut rig, 6000, &format!("{CARD}#"));
    rig.run_until(end + 5000);
    assert_eq!(*rig.said().last().unwrap(), "It is paid.");
    shows_nothing(&rig, CARD);
    let arguments = rig.commands.iter().find_map(|(_, command)| match command {
        Command::StartTool { name, arguments, .. } => Some((name.clone(), arguments.clone())),
        _ => None,
    });
    let (name, arguments) = arguments.unwrap();
    assert_eq!(arguments, r#"{"card":"{{secure:card}}","amount":5}"#);
    assert_eq!(rig.call.tool_arguments(&name, &arguments), format!(r#"{{"card":"{CARD}","amount":5}}"#));
    assert_eq!(rig.call.tool_arguments("spy", &arguments), arguments, "no other tool may have it");
    assert!(
        rig.conversation().iter().any(|line| line.contains("-> charged {{secure:card}}")),
        "what a tool gives away"
    );
    let filled = rig.only(EventType::SlotFilled);
    assert_eq!((&filled["by"], filled.get("value")), (&json!("keys"), None));
    assert_eq!(rig.only(EventType::Revealed)["outcome"], "filled");
    rig.caller_hangs_up(end + 6000);
    rig.run_to_end();
    assert_eq!(rig.only(EventType::SlotsCollected)["filled"], json!({ "card": null }));
    assert_eq!(rig.call.tool_arguments("pay", &arguments), arguments, "it is gone with the call");
}

#[test]
fn nobody_hears_the_caller_from_before_the_prompt_until_after_the_last_key() {
    let mut rig = asking(spec(json!({})), vec![reply("Thanks.")]);
    let begins = concealed(&rig)[0];
    let asked = rig
        .commands
        .iter()
        .find(|(_, command)| matches!(command, Command::Speak { text, .. } if text.starts_with("Enter your card")));
    assert!(begins.1 && begins.0 <= asked.unwrap().0.as_ms());
    let end = types(&mut rig, 6000, &format!("{CARD}#"));
    rig.caller_says(7000, 400, "and my other card is");
    rig.run_until(end + 4000);
    assert_eq!(concealed(&rig), [(begins.0, true), (end - 200 + 700, false)], "the last tone is gone by then");
    // The recogniser is closed while it lasts.
    let open = |(at, command): &(CallTime, Command)| match command {
        Command::OpenAsr { .. } => Some((at.as_ms(), true)),
        Command::CloseAsr { .. } => Some((at.as_ms(), false)),
        _ => None,
    };
    let sessions: Vec<(u64, bool)> = rig.commands.iter().filter_map(open).collect();
    assert_eq!(sessions[1..], [(begins.0, false), (end - 200 + 700, true)]);
    assert!(!serde_json::to_string(&rig.events).unwrap().contains("other card"));
    shows_nothing(&rig, CARD);
}

#[test]
fn a_key_at_the_edge_is_hidden() {
    let mut rig = asking(spec(json!({})), vec![reply("Thanks.")]);
    let end = types(&mut rig, 6000, &format!("{CARD}#"));
    // One more in the moment in which it ends, and one that is told of late.
    rig.caller_presses(end - 200 + 1, '7');
    rig.run_until(end + 3000);
    let revealed = concealed(&rig)[1].0;
    assert_eq!(revealed, end - 200 + 1 + 700, "it lasts until the caller is quiet");
    let late = LegFact::Dtmf { digit: DtmfDigit::from_char('8').unwrap(), at: CallTime::from_ms(revealed) };
    let late = Input::Leg { leg: LegId::FIRST, fact: late };
    assert!(rig.call.hides(&late));
    rig.tell(end + 3000, late);
    rig.run_until(end + 6000);
    assert!(rig.all(EventType::DtmfReceived).is_empty());
    rig.caller_presses(end + 7000, '9');
    rig.run_until(end + 7100);
    assert_eq!(rig.only(EventType::DtmfReceived)["digit"], "9", "what comes afterwards is a key as any other");
}

#[test]
fn a_log_holds_any_key_in_the_place_of_one_that_is_hidden() {
    let rig = asking(spec(json!({})), vec![]);
    let key = |key: char| Input::Leg {
        leg: LegId::FIRST,
        fact: LegFact::Dtmf { digit: DtmfDigit::from_char(key).unwrap(), at: rig.now },
    };
    assert!(rig.call.hides(&key('7')) && !rig.call.hides(&Input::Drain));
    assert_eq!((key('7').without_key(), key('#').without_key()), (key('0'), key('#')));
}

#[test]
fn a_wrong_number_is_asked_for_again_and_then_given_up() {
    let mut rig = asking(spec(json!({})), vec![reply("Never mind.")]);
    let end = types(&mut rig, 6000, "4111111111111112#");
    let end = types(&mut rig, end + 3000, "12#");
    rig.run_until(end + 5000);
    let refused: Vec<_> = rig.all(EventType::SlotRefused);
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|data| data["reason"] == "not a valid entry"), "not even how long it was");
    assert_eq!(rig.only(EventType::Revealed)["outcome"], "refused");
    assert_eq!(rig.all(EventType::TurnStarted)[1]["input"], "[card could not be collected by keys]");
    assert_eq!(*rig.said().last().unwrap(), "Never mind.");
    shows_nothing(&rig, CARD);
}

#[test]
fn a_caller_who_enters_nothing_is_not_waited_for_for_ever() {
    let mut rig = asking(spec(json!({})), vec![reply("Never mind.")]);
    rig.run_until(40_000);
    assert_eq!(rig.only(EventType::Revealed)["outcome"], "timeout");
    assert_eq!(concealed(&rig).len(), 2);
}

#[test]
fn a_caller_who_hangs_up_in_the_middle_leaves_nothing() {
    let mut rig = asking(spec(json!({})), vec![]);
    types(&mut rig, 6000, "41111111");
    rig.caller_hangs_up(7900);
    rig.run_to_end();
    shows_nothing(&rig, CARD);
    assert_eq!(rig.only(EventType::Revealed)["outcome"], "cancelled");
    assert_eq!(concealed(&rig).len(), 1, "it is concealed to the end");
    assert_eq!(rig.only(EventType::SlotsCollected)["missing"], json!({ "card": true, "pin": true }));
}

#[test]
fn star_begins_anew_and_a_pin_may_be_wanted_twice() {
    let scripts = vec![tool_reply("", "collect_secure", r#"{"slot":"pin"}"#), reply("Thanks.")];
    let mut rig = Rig::new(spec(json!({})), &[]).scripts(scripts);
    rig.caller_says(1000, 500, "my pin");
    types(&mut rig, 6000, "99*9876");
    types(&mut rig, 9000, "9876");
    rig.run_until(14_000);
    let filled = rig.only(EventType::SlotFilled);
    assert_eq!((&filled["confirmed"], &filled["attempts"]), (&json!(true), &json!(1)));
    shows_nothing(&rig, "9876");
    assert_eq!(rig.call.tool_arguments("pay", "{{secure:pin}}"), "9876");
    assert!(rig.conversation().iter().any(|line| line.contains("[pin entered by keys: {{secure:pin}}]")));
}

#[test]
fn a_menu_collects_a_secret_without_a_model() {
    let spec = agent(
        0,
        0,
        1,
        json!({
            "start": "menu:main",
            "slots": [{ "name": "pin", "kind": { "digits": { "min": 4, "max": 4 } }, "prompt": "Enter your PIN.",
                "secure": { "tools": ["bank"] } }],
            "menus": { "main": { "prompt": "Press one.", "options": [
                { "key": "1", "label": "pin", "action": { "action": "collect", "slot": "pin", "then": "done" } } ] },
              "done": { "prompt": "Thank you. Press nine.", "options": [
                { "key": "9", "label": "end", "action": { "action": "hang_up", "text": "Bye." } } ] } },
        }),
    );
    let mut rig = Rig::new(spec, &[]);
    // All at once, before anything was heard: nothing but the first is shown.
    types(&mut rig, 300, "19876");
    rig.caller_presses(6000, '9');
    rig.run_to_end();
    let digits: Vec<_> = rig.all(EventType::DtmfReceived).into_iter().map(|data| data["digit"].clone()).collect();
    assert_eq!(digits, ["1", "9"]);
    assert_eq!(rig.only(EventType::Revealed)["outcome"], "filled");
    shows_nothing(&rig, "9876");
}

#[test]
fn a_drained_gateway_leaves_the_secret_concealed() {
    let mut rig = asking(spec(json!({})), vec![]);
    types(&mut rig, 6000, "4111111");
    rig.tell(6500, Input::Drain);
    rig.run_to_end();
    shows_nothing(&rig, CARD);
    assert_eq!(concealed(&rig).len(), 1);
}

#[test]
fn whoever_is_passed_on_by_an_operator_enters_nothing_any_more() {
    let mut rig = asking(spec(json!({})), vec![]);
    rig.second.people = vec![Person::Answers(1000)];
    types(&mut rig, 6000, "41");
    let to = "+33123456789".to_owned();
    rig.operator(7000, Operator::Transfer { to, mode: Some(TransferMode::Bridge), briefing: String::new() });
    types(&mut rig, 7100, "11");
    rig.run_until(25_000);
    let hidden = concealed(&rig);
    assert_eq!((hidden.len(), hidden[1].1), (2, false), "{hidden:?}");
    let heard = rig.commands.iter().filter(|(_, command)| matches!(command, Command::OpenAsr { .. }));
    assert!(heard.skip(1).all(|(at, _)| at.as_ms() >= hidden[1].0), "{hidden:?}");
    assert_eq!(rig.outcomes(), ["completed"]);
    shows_nothing(&rig, "4111");
}
