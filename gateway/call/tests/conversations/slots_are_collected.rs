//! Slots: the model asks, the call decides whether a value is one and whether it counts.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::words::Content;

use crate::rig::{Rig, agent, reply, tool_reply};

fn spec(slots: Value, more: Value) -> trunkline_api::AgentSpec {
    let mut spec = json!({ "slots": slots });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    agent(1, 1, 1, spec)
}

/// What the model was told by its tools, in order.
fn outputs(rig: &Rig) -> Vec<String> {
    rig.all(EventType::ToolReturned).into_iter().map(|data| data["output"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_value_is_written_as_it_is_meant_and_becomes_a_variable() {
    let slots =
        json!([{ "name": "mail", "kind": "email" }, { "name": "zip", "kind": { "postal_code": { "country": "DE" } } }]);
    let scripts = vec![
        tool_reply("", "collect", r#"{"slot":"mail","value":"j dot smith at example dot com"}"#),
        reply("And your postal code?"),
        tool_reply("", "collect", r#"{"slot":"zip","value":"one oh one one five"}"#),
        reply("Thanks."),
    ];
    let more = json!({ "prompt": "The address is {slot.mail}." });
    let mut rig = Rig::new(spec(slots, more), &[]).scripts(scripts);
    rig.caller_says(2000, 1500, "j dot smith at example dot com");
    rig.caller_says(9000, 1500, "one oh one one five");
    rig.run_until(15_000);
    let outputs = outputs(&rig);
    assert_eq!(outputs[0], "Accepted: mail is j.smith@example.com. Still required: zip. Ask for zip next.");
    assert_eq!(outputs[1], "Accepted: zip is 10115. Everything that is required is there.");
    assert_eq!(rig.conversation()[0], "System: The address is j.smith@example.com.");
    rig.caller_hangs_up(16_000);
    rig.run_to_end();
    let data = rig.only(EventType::SlotsCollected);
    assert_eq!(data["filled"], json!({ "mail": "j.smith@example.com", "zip": "10115" }));
    assert_eq!(rig.names().last(), Some(&"call.ended"));
}

#[test]
fn a_wrong_value_is_asked_for_again_and_given_up_in_the_end() {
    let slots = json!([{ "name": "iban", "kind": "iban", "attempts": 2, "prompt": "Your IBAN, please.",
        "on_failure": { "action": "hang_up", "text": "Please write to us." } }]);
    let wrong = r#"{"slot":"iban","value":"DE88370400440532013000"}"#;
    let scripts = vec![
        tool_reply("", "collect", wrong),
        reply("Again, please."),
        tool_reply("", "collect", wrong),
        reply("never said"),
    ];
    let mut rig = Rig::new(spec(slots, json!({})), &[]).scripts(scripts);
    rig.caller_says(2000, 500, "D E eight eight");
    rig.caller_says(8000, 500, "D E eight eight");
    rig.run_to_end();
    let outputs = outputs(&rig);
    assert_eq!(outputs[0], r#"Invalid: its check digits are wrong. Ask the caller again. "Your IBAN, please.""#);
    assert!(outputs[1].contains("last attempt"), "{outputs:?}");
    let gave_up: Vec<_> = rig.all(EventType::SlotRefused).into_iter().map(|data| data["gave_up"].clone()).collect();
    assert_eq!(gave_up, [false, true]);
    assert_eq!(*rig.said().last().unwrap(), "Please write to us.");
}

#[test]
fn a_value_that_is_read_back_counts_once_the_caller_says_yes() {
    let slots = json!([{ "name": "number", "kind": { "digits": { "min": 7, "max": 7 } }, "confirm": "readback" }]);
    let scripts = vec![
        tool_reply("", "collect", r#"{"slot":"number","value":"oh four two seven one three five"}"#),
        // Without waiting for the caller, which does not count.
        tool_reply("", "confirm", r#"{"slot":"number","right":true}"#),
        reply("That is 0 4 2, 7 1 3 5. Is that right?"),
        tool_reply("", "confirm", r#"{"slot":"number","right":true}"#),
        reply("Thanks."),
    ];
    let mut rig = Rig::new(spec(slots, json!({})), &[]).scripts(scripts);
    rig.caller_says(2000, 1500, "oh four two seven one three five");
    rig.run_until(7900);
    assert!(rig.all(EventType::SlotFilled).is_empty());
    rig.caller_says(8000, 400, "yes");
    rig.run_until(12_000);
    let outputs = outputs(&rig);
    assert!(outputs[0].contains(r#"say exactly: "0 4 2, 7 1 3 5""#), "{outputs:?}");
    assert!(outputs[1].contains("has not answered yet"), "{outputs:?}");
    let filled = rig.only(EventType::SlotFilled);
    assert_eq!((&filled["value"], &filled["confirmed"]), (&json!("0427135"), &json!(true)));
}

#[test]
fn a_caller_who_says_no_is_believed_whatever_the_model_makes_of_it() {
    let slots = json!([{ "name": "number", "kind": { "digits": { "min": 2, "max": 2 } }, "confirm": "readback" }]);
    let scripts = vec![
        tool_reply("", "collect", r#"{"slot":"number","value":"42"}"#),
        reply("4 2?"),
        tool_reply("", "confirm", r#"{"slot":"number","right":true}"#),
        reply("Then once more."),
    ];
    let mut rig = Rig::new(spec(slots, json!({})), &[]).scripts(scripts);
    rig.caller_says(2000, 500, "four two");
    rig.caller_says(7000, 500, "no that is wrong");
    rig.run_until(11_000);
    assert!(rig.all(EventType::SlotFilled).is_empty());
    assert_eq!(rig.only(EventType::SlotRefused)["reason"], "the caller says it is wrong");
}

#[test]
fn what_is_wanted_twice_counts_when_both_are_the_same() {
    let slots = json!([{ "name": "code", "kind": { "custom": { "pattern": "AA99" } }, "confirm": "double_entry" }]);
    let scripts = vec![
        tool_reply("", "collect", r#"{"slot":"code","value":"alpha bravo one two"}"#),
        reply("Once more?"),
        tool_reply("", "collect", r#"{"slot":"code","value":"A B 1 2"}"#),
        reply("Thanks."),
    ];
    let mut rig = Rig::new(spec(slots, json!({})), &[]).scripts(scripts);
    rig.caller_says(2000, 500, "alpha bravo one two");
    rig.caller_says(7000, 500, "A B one two");
    rig.run_until(11_000);
    assert_eq!(rig.only(EventType::SlotFilled)["value"], "AB12");
}

#[test]
fn a_redacted_timeline_holds_no_value() {
    let slots = json!([{ "name": "name", "kind": "name" }]);
    let scripts = vec![tool_reply("", "collect", r#"{"slot":"name","value":"Bob"}"#), reply("Thanks.")];
    let more = json!({ "redaction": { "redactor": "pii", "channels": ["transcript"] } });
    let mut rig = Rig::new(spec(slots, more), &[]).scripts(scripts);
    rig.caller_says(2000, 500, "Bob");
    rig.caller_hangs_up(6000);
    rig.run_to_end();
    assert!(rig.only(EventType::SlotFilled).get("value").is_none());
    assert_eq!(rig.only(EventType::SlotsCollected)["filled"], json!({ "name": null }));
}

#[test]
fn a_number_that_is_read_out_in_pieces_is_not_cut_off_and_ends_with_its_last_digit() {
    let slots = json!([{ "name": "number", "kind": { "digits": { "min": 4, "max": 4 } } }]);
    let turn = |slots: Value| {
        let mut rig = Rig::new(spec(slots, json!({ "turn": { "speculate": false } })), &["Thanks.", "Thanks."]);
        rig.caller_says(2000, 600, "four seven");
        let partial = |text: &str| trunkline_call::AsrEvent::Partial { text: text.to_owned() };
        rig.asr_says(2500, 1, partial("four seven"));
        rig.caller_says(3900, 600, "one two");
        rig.asr_says(4400, 1, partial("four seven one two"));
        rig.run_until(9000);
        (rig.all(EventType::TurnStarted)[0]["input"].clone(), rig.first_ms(EventType::TurnStarted))
    };
    // 1300 ms between the pieces; with nothing expected the pause after digits is 1020 ms.
    assert_eq!(turn(slots), (json!("four seven one two"), 4500 + 80), "at once with the fourth");
    assert_eq!(turn(json!([])), (json!("four seven"), 2600 + 1020 + 80));
}

#[test]
fn slots_that_keys_can_make_are_filled_by_keys_and_read_back() {
    let spec = agent(
        0,
        0,
        1,
        json!({
            "start": "menu:main",
            "slots": [{ "name": "number", "kind": { "digits": { "min": 3, "max": 8 } }, "prompt": "Your number, please.",
                "confirm": "readback" }],
            "menus": { "main": { "prompt": "Press one.", "options": [
                { "key": "1", "label": "number", "action": { "action": "collect", "slot": "number", "then": "done" } } ] },
              "done": { "prompt": "Thank you, {slot.number}.", "options": [
                { "key": "9", "label": "end", "action": { "action": "hang_up", "text": "Bye." } } ] } },
        }),
    );
    let mut rig = Rig::new(spec, &[]);
    for (at, key) in [(2000, '1'), (4000, '1'), (4200, '2'), (4400, '3'), (4600, '4'), (4800, '#'), (6000, '2')] {
        rig.caller_presses(at, key);
    }
    for (at, key) in [(9000, '1'), (9200, '2'), (9400, '3'), (14_000, '1')] {
        rig.caller_presses(at, key);
    }
    rig.run_until(17_000);
    assert!(rig.said().contains(&"1 2 3 4. If that is right press 1, otherwise press 2."), "{:?}", rig.said());
    let filled = rig.only(EventType::SlotFilled);
    assert_eq!((&filled["value"], &filled["attempts"], &filled["by"]), (&json!("123"), &json!(2), &json!("keys")));
    assert_eq!(*rig.said().last().unwrap(), "Thank you, 123.");
    assert!(rig.all(EventType::DtmfReceived).len() >= 9, "it is no secret");
}

#[test]
fn the_model_is_offered_what_the_agent_has_slots_for() {
    let slots = json!([{ "name": "mail", "kind": "email" }, { "name": "card", "kind": "card_number", "prompt": "Your card.",
        "secure": { "tools": ["pay"] } }]);
    let mut rig = Rig::new(spec(slots, json!({ "tools": [{ "name": "pay" }] })), &["Yes."]);
    rig.caller_says(2000, 500, "hello");
    rig.run_until(4000);
    let tools = rig.commands.iter().find_map(|(_, command)| match command {
        trunkline_call::Command::StartLlm { tools, .. } => Some(tools.clone()),
        _ => None,
    });
    let names: Vec<_> = tools.unwrap().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["collect", "collect_secure", "pay"]);
    assert!(
        !rig.last_messages().iter().flat_map(|message| &message.content).any(|c| matches!(c, Content::ToolCall(_)))
    );
}
