//! A call is handed to another agent on the same leg: it goes on with that one's prompt, tools and providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::agent::AgentSpec;
use trunkline_api::id::{Id, Prefix};
use trunkline_api::usage::HandedTo;
use trunkline_call::{Command, OtherAgent, ToolOutcome};

use crate::rig::{Rig, agent, bindings, reply, tool_reply};

const HAND_OVER: &str = r#"{"name":"billing","reason":"Wants a refund of invoice 7."}"#;

fn first(carry: &str) -> AgentSpec {
    let target = json!({
        "name": "billing", "agent": "Billing desk", "description": "Bills and refunds.", "carry": carry,
        "say": "I will put you through to billing.",
    });
    agent(1, 1, 1, json!({ "handoff": { "agents": [target], "most": 1 } }))
}

fn others(more: Value) -> BTreeMap<String, Arc<OtherAgent>> {
    let spec = agent(1, 1, 1, more);
    let agent = Id::mint(Prefix::Agent, 1_700_000_000_000, [8; 10]);
    let tools = bindings(&spec);
    BTreeMap::from([(
        "Billing desk".to_owned(),
        Arc::new(OtherAgent { agent, version: 5, spec: Arc::new(spec), tools }),
    )])
}

fn rig(carry: &str, more: Value) -> Rig {
    let scripts = vec![tool_reply("", "hand_off", HAND_OVER), reply("Which invoice is it?"), reply("It is done.")];
    let mut rig = Rig::with_others(first(carry), others(more), &[]).scripts(scripts);
    rig.caller_says(1500, 500, "I want my money back");
    rig.caller_says(12_000, 500, "number seven");
    rig
}

#[test]
fn it_goes_on_with_all_that_was_said() {
    let more = json!({ "greeting": "", "prompt": "You do bills for {who}.", "tools": [{ "name": "refund" }] });
    let mut rig = rig("full", more);
    rig.run_until(18_000);
    assert_eq!(rig.said(), ["Hello.", "I will put you through to billing.", "Which invoice is it?", "It is done."]);
    let conversation = rig.conversation();
    assert_eq!(
        conversation,
        [
            "System: You do bills for a clerk.",
            "Assistant: Hello.",
            "User: I want my money back",
            &format!("Assistant: hand_off({HAND_OVER})"),
            "Tool: -> The call goes on with billing.",
            "Assistant: I will put you through to billing. Which invoice is it?",
            "User: number seven",
        ]
    );
    let handed = rig.only(EventType::AgentHandedOff);
    assert_eq!(
        (&handed["to"], &handed["agent_version"], &handed["carry"]),
        (&json!("billing"), &json!(5), &json!("full"))
    );
    // The record has who answered and who went on, and when.
    let at_us = rig.events.iter().find(|event| event.kind == "agent.handed_off").unwrap().at.wall_us;
    let billing = HandedTo { agent: handed["agent"].as_str().unwrap().parse().unwrap(), agent_version: 5, at_us };
    let record = rig.call.record();
    assert_eq!((&record.handed_to, record.agent_version), (&vec![billing], 3));
    // The first was offered a hand-off, the other its own tool, and providers that both have went on.
    let offered: Vec<Vec<&str>> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::StartLlm { tools, .. } => Some(tools.iter().map(|tool| tool.name.as_str()).collect()),
            _ => None,
        })
        .collect();
    assert_eq!(offered, [vec!["hand_off"], vec!["refund"], vec!["refund"]]);
    let opened = rig.commands.iter().filter(|(_, command)| matches!(command, Command::OpenAsr { .. })).count();
    assert_eq!(opened, 1);
    let keeps = rig.commands.iter().any(
        |(_, command)| matches!(command, Command::HandOff { keeps_voices: true, agent } if agent == "Billing desk"),
    );
    assert!(keeps);
    assert_eq!(rig.failures(), []);
}

#[test]
fn it_may_know_only_what_it_is_told() {
    let mut rig = rig("summary", json!({ "greeting": "", "prompt": "You do bills." }));
    rig.run_until(8000);
    assert_eq!(
        rig.conversation(),
        [
            "System: You do bills.\n\nWhat was said before, in short: Wants a refund of invoice 7.",
            "User: [The caller was put through to you.]",
        ]
    );
}

#[test]
fn it_may_know_nothing_and_greets_in_its_own_language_and_voice() {
    let pipeline = json!({ "cascade": {
        "asr": [{ "provider": "asr-de" }], "llm": [{ "provider": "llm-0" }], "tts": [{ "provider": "tts-de" }],
    } });
    let more = json!({ "greeting": "Guten Tag.", "prompt": "", "language": "de", "pipeline": pipeline });
    let mut rig = rig("nothing", more);
    rig.run_until(18_000);
    assert_eq!(rig.said()[1..3], ["I will put you through to billing.", "Guten Tag."]);
    assert_eq!(rig.conversation(), ["Assistant: Guten Tag.", "User: number seven"]);
    let asr: Vec<_> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::OpenAsr { provider, language, .. } => Some((provider.provider.as_str(), language.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(asr, [("asr-0", "en"), ("asr-de", "de")]);
    let voice = rig.commands.iter().rev().find_map(|(_, command)| match command {
        Command::Speak { provider, .. } => Some(provider.provider.as_str()),
        _ => None,
    });
    assert_eq!(voice, Some("tts-de"));
}

#[test]
fn a_call_is_not_handed_round_for_ever_nor_to_nobody() {
    // Billing would hand the call back, and the call may be handed over once.
    let back = json!({ "agents": [{ "name": "desk", "agent": "Billing desk" }] });
    let mut rig = rig("full", json!({ "greeting": "", "handoff": back }));
    rig.run_until(18_000);
    let last = rig.commands.iter().rev().find_map(|(_, command)| match command {
        Command::StartLlm { tools, .. } => Some(tools.len()),
        _ => None,
    });
    assert_eq!(last, Some(0));
    let mut rig = Rig::with_others(first("full"), BTreeMap::new(), &[])
        .scripts(vec![tool_reply("", "hand_off", HAND_OVER), reply("I cannot do that.")]);
    rig.caller_says(1500, 500, "I want my money back");
    rig.run_until(8000);
    assert_eq!(*rig.said().last().unwrap(), "I cannot do that.");
    assert!(rig.all(EventType::AgentHandedOff).is_empty());
}

#[test]
fn a_caller_who_speaks_over_the_last_line_is_answered_by_the_other() {
    let mut rig = rig("full", json!({ "greeting": "Billing here.", "prompt": "You do bills." }));
    rig.caller_says(4200, 800, "no wait please");
    rig.run_until(12_000);
    assert_eq!(rig.all(EventType::AgentHandedOff).len(), 1);
    assert!(rig.conversation().iter().any(|line| line == "User: no wait please"), "{:?}", rig.conversation());
    assert_eq!(rig.conversation()[0], "System: You do bills.");
}

#[test]
fn what_the_first_began_is_finished_and_the_other_learns_of_it() {
    let target = json!({ "name": "billing", "agent": "Billing desk" });
    let more = json!({
        "handoff": { "agents": [target] }, "tools": [{ "name": "booking", "policy": { "on_interrupt": "keep" } }],
    });
    let scripts = vec![
        tool_reply("", "booking", "{}"),
        tool_reply("", "hand_off", HAND_OVER),
        reply("Which invoice is it?"),
        reply("It is done."),
    ];
    let other = others(json!({ "greeting": "", "prompt": "You do bills.", "tools": [{ "name": "booking" }] }));
    let mut rig = Rig::with_others(agent(1, 1, 1, more), other, &[]).scripts(scripts);
    let outcome = ToolOutcome { output: "booked".to_owned(), is_error: false, actions: Vec::new(), failure: None };
    rig.tools.insert("booking".to_owned(), Some((6000, outcome)));
    rig.caller_says(1500, 500, "book a table");
    rig.caller_says(3500, 500, "and a refund please");
    rig.caller_says(12_000, 500, "number seven");
    rig.run_until(18_000);
    assert_eq!(rig.all(EventType::AgentHandedOff).len(), 1);
    assert!(!rig.commands.iter().any(|(_, command)| matches!(command, Command::CancelTool { .. })));
    assert_eq!(rig.conversation()[0], "System: You do bills.");
    assert!(rig.conversation().contains(&"Tool: -> booked".to_owned()), "{:?}", rig.conversation());
}
