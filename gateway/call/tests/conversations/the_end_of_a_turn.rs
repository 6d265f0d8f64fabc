//! When a turn is over: by what was said, by a key, by its length; what a recogniser that is late, silent or confused
//! makes of it; and what the model has thought of beforehand.

use serde_json::{Value, json};
use trunkline_api::words::ProviderKind;
use trunkline_api::{EventType, Failure};
use trunkline_call::{AsrEvent, Command, Input};

use crate::rig::{Asr, Llm, Rig, agent, reply};

fn partial(text: &str) -> AsrEvent {
    AsrEvent::Partial { text: text.to_owned() }
}

fn rig(more: Value, replies: &[&str]) -> Rig {
    Rig::new(agent(1, 1, 1, more), replies)
}

#[test]
fn a_question_is_answered_sooner_and_half_a_sentence_later() {
    for (words, silence) in [("are you open?", 300), ("my name is", 1620), ("we are four people", 600)] {
        let mut rig = rig(json!({ "turn": { "speculate": false } }), &["Yes."]);
        rig.caller_says(1000, 500, words);
        rig.asr_says(1450, 1, partial(words));
        rig.run_until(6000);
        assert_eq!(rig.first_ms(EventType::TurnStarted), 1500 + silence + 80, "{words}");
    }
}

#[test]
fn a_model_that_guessed_right_is_heard_at_once_when_the_turn_is_over() {
    let mut rig = rig(json!({}), &["We are."]);
    rig.caller_says(1000, 500, "are you open today");
    rig.asr_says(1450, 1, partial("are you open today"));
    rig.run_until(5000);
    let asked = rig.commands.iter().find(|(_, command)| matches!(command, Command::StartLlm { .. })).unwrap().0;
    assert_eq!(asked.as_ms(), 1500 + 200);
    assert_eq!(rig.first_ms(EventType::TurnStarted), 1500 + 600 + 80);
    let said = rig.events.iter().rfind(|event| event.kind == "agent.said").unwrap().at.call_us / 1000;
    assert_eq!(said, 2180, "the answer was there at 1910 and waited for the end of the turn");
    assert_eq!(rig.conversation()[1..], ["Assistant: Hello.", "User: are you open today"]);
    rig.caller_says(6000, 500, "until when");
    rig.llm[0] = Llm::Replies(vec![reply("Until nine.")].into());
    rig.run_until(9000);
    let remembered = ["User: are you open today", "Assistant: We are.", "User: until when"];
    assert_eq!(rig.conversation()[2..], remembered);
}

#[test]
fn a_wrong_guess_is_thrown_away_runs_no_tool_and_is_not_remembered() {
    let spec = agent(1, 1, 1, json!({ "tools": [{ "name": "weather" }] }));
    let scripts = vec![crate::rig::tool_reply("", "weather", "{}"), reply("Noted.")];
    let mut rig = Rig::new(spec, &[]).scripts(scripts);
    rig.caller_says(1000, 500, "book a table");
    rig.asr_says(1450, 1, partial("book a table"));
    // The guess has called its tool by 1910; the caller goes on.
    rig.caller_says(1950, 600, "for two");
    rig.asr_says(2500, 1, partial("book a table for two"));
    rig.run_until(6000);
    assert!(rig.all(EventType::ToolCalled).is_empty());
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "book a table for two");
    assert_eq!(rig.conversation()[1..], ["Assistant: Hello.", "User: book a table for two"]);
    assert_eq!(rig.said(), ["Hello.", "Noted."]);
}

#[test]
fn a_guess_that_fails_costs_no_silence() {
    let mut rig = rig(json!({}), &["We are."]);
    let works = rig.llm[0].clone();
    rig.llm[0] = Llm::Fails;
    rig.caller_says(1000, 500, "are you open today");
    rig.asr_says(1450, 1, partial("are you open today"));
    rig.run_until(2000);
    rig.llm[0] = works;
    rig.run_until(5000);
    assert_eq!(rig.said(), ["Hello.", "We are."]);
    assert_eq!(rig.failures(), [(Failure::LlmUnavailable, "record")]);
}

#[test]
fn words_that_were_promoted_are_not_said_twice_by_a_final_that_comes_late() {
    let mut rig = rig(json!({}), &["Yes.", "What else?"]);
    rig.asr[0] = Asr::Stalls;
    rig.caller_says(1000, 500, "");
    rig.asr_says(1400, 1, partial("are you open"));
    // The words are promoted at 3600.
    rig.asr_says(3900, 1, AsrEvent::Final { text: "are you open".to_owned(), confidence: None, finalized: true });
    rig.run_until(9000);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "are you open");
    assert_eq!(rig.all(EventType::TranscriptFinal).len(), 1);
}

#[test]
fn a_recogniser_that_says_nothing_to_a_cough_has_not_failed() {
    let mut rig = rig(json!({}), &["Yes."]);
    rig.asr[0] = Asr::Stalls;
    rig.caller_says(2000, 250, "");
    rig.run_until(9000);
    assert!(rig.failures().is_empty(), "{:?}", rig.failures());
    rig.asr[0] = Asr::Hears(80);
    rig.caller_says(10_000, 500, "are you open");
    rig.run_until(13_000);
    assert_eq!(rig.said().last(), Some(&"Yes."));
}

#[test]
fn a_recogniser_that_never_says_anything_fails_by_name() {
    let mut rig = Rig::new(agent(2, 1, 1, json!({})), &["Yes."]);
    rig.asr[0] = Asr::Stalls;
    rig.caller_says(2000, 250, "");
    rig.caller_says(7000, 250, "");
    rig.run_until(12_000);
    assert_eq!(rig.failures(), [(Failure::AsrTimeout, "next_provider")]);
}

#[test]
fn a_host_that_is_behind_is_no_failed_recogniser() {
    let mut rig = Rig::new(agent(2, 1, 1, json!({})), &["Yes."]);
    rig.asr[0] = Asr::Hears(4000);
    rig.caller_says(1000, 900, "are you open");
    rig.tell(2600, Input::Behind { kind: ProviderKind::Asr, behind: true });
    rig.tell(6400, Input::Behind { kind: ProviderKind::Asr, behind: false });
    rig.run_until(9000);
    assert!(rig.failures().is_empty(), "{:?}", rig.failures());
    assert_eq!(rig.said().last(), Some(&"Yes."));
    // But not for ever.
    let mut rig = Rig::new(agent(2, 1, 1, json!({})), &["Yes."]);
    rig.asr[0] = Asr::Stalls;
    rig.caller_says(1000, 900, "are you open");
    rig.tell(2600, Input::Behind { kind: ProviderKind::Asr, behind: true });
    rig.run_until(15_000);
    assert_eq!(rig.failures(), [(Failure::AsrTimeout, "next_provider")]);
}

#[test]
fn who_speaks_for_too_long_is_answered_and_heard_on() {
    let mut rig = rig(json!({ "turn": { "max_speech_ms": 5000 } }), &["I see.", "Thanks."]);
    rig.asr[0] = Asr::Stalls;
    rig.caller_says(1000, 9000, "");
    let say = |text: &str| AsrEvent::Final { text: text.to_owned(), confidence: None, finalized: true };
    rig.asr_says(6100, 1, say("it was a long story"));
    rig.run_until(6200);
    let finalized = rig.commands.iter().find_map(|(_, command)| match command {
        Command::FinalizeAsr { goes_on, .. } => Some(*goes_on),
        _ => None,
    });
    assert_eq!(finalized, Some(true), "what follows is for the recogniser, too");
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "it was a long story");
    rig.asr_says(10_700, 1, say("and it went on"));
    rig.run_until(15_000);
    let inputs: Vec<_> = rig.all(EventType::TurnStarted).iter().map(|data| data["input"].clone()).collect();
    assert!(inputs.last().unwrap().as_str().unwrap().ends_with("and it went on"), "{inputs:?}");
}

#[test]
fn a_key_begins_and_ends_what_is_said() {
    let mut rig = rig(json!({ "turn": { "push_to_talk": "*" } }), &["Yes."]);
    rig.caller_says(1000, 400, "not for you");
    rig.caller_presses(3000, '*');
    rig.caller_says(3100, 400, "are you");
    rig.caller_says(4500, 400, "open");
    rig.caller_presses(5200, '*');
    rig.run_until(9000);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "are you open");
    assert_eq!(rig.first_ms(EventType::TurnStarted), 5200 + 80);
}
