//! Passages of knowledge bases reach the model in time or not at all, and cost no caller a wait.

use serde_json::{Value, json};
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, Passage};

use crate::rig::{Rig, agent, reply, tool_reply};

fn passages() -> Vec<Passage> {
    let passage = |name: &str, text: &str| Passage { name: name.to_owned(), text: text.to_owned() };
    vec![
        passage("faq/hours.md: Holidays", "On public holidays we are closed."),
        passage("faq/hours.md: Opening hours", &"We open at nine. ".repeat(40)),
        passage("faq/shop.md", "The shop is in the old town."),
    ]
}

fn rig(lookup: Value, replies: &[&str]) -> Rig {
    let more = json!({ "knowledge": ["faq"], "lookup": lookup, "greeting": "Hello. What would you like to know?" });
    Rig::new(agent(1, 1, 1, more), replies)
}

#[test]
fn what_fits_the_callers_words_is_in_that_turns_request() {
    let mut rig = rig(json!({ "max_tokens": 100 }), &["We are closed.", "Goodbye."]);
    rig.aside.passages = Some((30, passages()));
    rig.caller_says(3000, 500, "are you open on Easter");
    rig.run_until(8000);
    assert_eq!(rig.aside.queries, ["are you open on Easter What would you like to know?"]);
    let system = rig.conversation()[0].clone();
    assert!(system.starts_with("System: You are a clerk.\n\nWhat is known that may help."), "{system}");
    // A passage that there is no room for is left out, a smaller one behind it is not.
    assert!(system.ends_with(
        "[faq/hours.md: Holidays]\nOn public holidays we are closed.\n\n[faq/shop.md]\nThe shop is in the old town."
    ));
    assert_eq!(rig.only(EventType::KnowledgeUsed)["passages"], json!(["faq/hours.md: Holidays", "faq/shop.md"]));
    // The next turn has its own.
    rig.aside.passages = Some((30, Vec::new()));
    rig.caller_says(9000, 500, "thank you very much");
    rig.run_until(14_000);
    assert_eq!(rig.conversation()[0], "System: You are a clerk.");
    assert_eq!(rig.failures(), []);
}

#[test]
fn the_model_is_asked_without_what_comes_too_late() {
    let mut rig = rig(json!({}), &["I do not know."]);
    rig.aside.passages = Some((400, passages()));
    rig.caller_says(3000, 500, "are you open on Easter");
    rig.run_until(8000);
    assert_eq!(rig.failures(), [(Failure::KnowledgeFailed, "record")]);
    assert_eq!(rig.conversation()[0], "System: You are a clerk.");
    let at = |wanted: fn(&Command) -> bool| rig.commands.iter().find(|(_, command)| wanted(command)).unwrap().0.as_ms();
    let asked = at(|command| matches!(command, Command::StartLlm { .. }));
    assert_eq!(asked, at(|command| matches!(command, Command::Lookup { .. })) + 150);
}

#[test]
fn the_same_words_are_looked_up_once() {
    let more = json!({ "knowledge": ["faq"], "turn": { "speculate": true } });
    let mut rig = Rig::new(agent(1, 1, 1, more), &["No.", "No."]);
    rig.aside.passages = Some((30, passages()));
    rig.asr_says(2500, 1, trunkline_call::AsrEvent::Partial { text: "are you open on Easter".to_owned() });
    rig.caller_says(1500, 1000, "are you open on Easter");
    // A breath in between drops the guess, and the same words make the next.
    rig.caller_says(2800, 60, "");
    rig.run_until(9000);
    let requests = rig.commands.iter().filter(|(_, command)| matches!(command, Command::StartLlm { .. })).count();
    assert_eq!((rig.aside.queries.len(), requests), (1, 2));
}

#[test]
fn the_model_may_look_something_up_itself() {
    let scripts = vec![tool_reply("", "search_knowledge", r#"{"query":"Easter"}"#), reply("We are closed.")];
    let mut rig = rig(json!({ "mode": "on_demand" }), &[]).scripts(scripts);
    rig.aside.passages = Some((500, passages()));
    rig.caller_says(3000, 500, "are you open on Easter");
    rig.run_until(9000);
    assert_eq!(rig.aside.queries, ["Easter"]);
    assert!(rig.conversation().last().unwrap().starts_with("Tool: -> [faq/hours.md: Holidays]\nOn public"));
    assert_eq!(rig.said().last(), Some(&"We are closed."));
    assert_eq!(rig.all(EventType::KnowledgeUsed).len(), 1);
}

#[test]
fn a_search_that_nobody_answers_is_told_to_the_model() {
    let scripts = vec![tool_reply("", "search_knowledge", r#"{"query":"Easter"}"#), reply("I do not know.")];
    let mut rig = rig(json!({ "mode": "on_demand" }), &[]).scripts(scripts);
    rig.caller_says(3000, 500, "are you open on Easter");
    rig.run_until(9000);
    assert_eq!(rig.failures(), [(Failure::ToolTimeout, "record")]);
    assert_eq!(rig.said().last(), Some(&"I do not know."));
}
