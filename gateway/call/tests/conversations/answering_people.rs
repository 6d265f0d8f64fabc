//! A call that the agent places is answered by a person, who is greeted as soon as they have said hello, whatever else is
//! still being found out.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::usage::CallDirection;
use trunkline_call::Command;

use crate::rig::{Asr, Rig, agent};

pub(crate) const GREETING: &str = "Good morning, this is the dentist.";

/// An agent that places a call; `answering` is its policy.
pub(crate) fn placed(answering: Value, replies: &[&str]) -> Rig {
    let spec = agent(
        1,
        1,
        1,
        json!({ "greeting": GREETING, "answering": answering, "tools": [{ "name": "hang_up" }],
        "limits": { "caller_silence_ms": 60_000 } }),
    );
    Rig::placed(CallDirection::Outbound, spec, replies)
}

/// Who answered, by what, as the timeline tells.
pub(crate) fn verdicts(rig: &Rig) -> Vec<(String, String)> {
    let word = |data: &Value, field: &str| data[field].as_str().unwrap().to_owned();
    rig.all(EventType::AnswerClassified).into_iter().map(|data| (word(data, "kind"), word(data, "by"))).collect()
}

fn greeted_ms(rig: &Rig) -> u64 {
    rig.first_ms(EventType::AgentSaid)
}

#[test]
fn hello_is_answered_with_the_greeting_at_the_usual_end_of_a_turn() {
    let mut rig = placed(json!({}), &["At ten."]);
    rig.caller_says(600, 400, "Hello?");
    rig.caller_says(6000, 600, "when is my appointment");
    rig.run_until(12_000);
    assert_eq!(rig.said(), [GREETING, "At ten."]);
    // The end of the speech, the silence after a whole question and the recogniser.
    assert!(greeted_ms(&rig) <= 1000 + 600 + 100, "{}", greeted_ms(&rig));
    assert_eq!(verdicts(&rig), [("human".to_owned(), "words".to_owned())]);
    let asked = rig.commands.iter().filter(|(_, command)| matches!(command, Command::StartLlm { .. })).count();
    assert_eq!(asked, 1, "no model is needed for a greeting");
    assert_eq!(rig.conversation()[1..3], ["User: Hello?", &format!("Assistant: {GREETING}")]);
}

#[test]
fn who_says_nothing_is_greeted_after_a_moment() {
    let mut rig = placed(json!({}), &[]);
    rig.run_until(4000);
    assert_eq!(rig.said(), [GREETING]);
    assert_eq!(greeted_ms(&rig), 1500);
}

#[test]
fn at_once_where_that_is_wanted() {
    let mut rig = placed(json!({ "hello_ms": 0 }), &[]);
    rig.run_until(4000);
    assert_eq!(greeted_ms(&rig), 0);
}

#[test]
fn a_sound_without_words_does_not_keep_the_greeting_back() {
    let mut rig = placed(json!({}), &[]);
    rig.caller_says(500, 300, "");
    rig.run_until(8000);
    assert_eq!(rig.said(), [GREETING]);
    assert!(greeted_ms(&rig) < 3500, "{}", greeted_ms(&rig));
}

#[test]
fn short_words_and_then_silence_are_a_person() {
    let mut rig = placed(json!({}), &[]);
    rig.asr = vec![Asr::Hears(1400); 8];
    rig.caller_says(500, 500, "Meier");
    rig.run_until(8000);
    assert_eq!(verdicts(&rig), [("human".to_owned(), "rhythm".to_owned())]);
    let verdict = rig.only(EventType::AnswerClassified);
    assert!(verdict["after_ms"].as_u64().unwrap() <= 2000, "{verdict}");
}

#[test]
fn a_long_business_greeting_is_a_person_by_its_words() {
    let mut rig = placed(json!({}), &[]);
    rig.caller_says(400, 3500, "Smith and sons good morning Mary speaking how can I help you");
    rig.run_until(8000);
    assert_eq!(verdicts(&rig), [("human".to_owned(), "words".to_owned())]);
    assert_eq!(rig.said(), [GREETING]);
}

#[test]
fn calls_that_come_in_are_left_alone() {
    let spec = agent(1, 1, 1, json!({ "greeting": GREETING, "answering": {} }));
    let mut rig = Rig::new(spec, &["Yes."]);
    rig.caller_says(3500, 5000, "please leave a message after the tone");
    rig.run_until(15_000);
    assert_eq!(greeted_ms(&rig), 0);
    assert!(verdicts(&rig).is_empty() && !rig.call.is_over());
    let listens = |command: &Command| matches!(command, Command::ListenForTones { .. });
    assert!(!rig.commands.iter().any(|(_, command)| listens(command)));
}

#[test]
fn tones_are_listened_for_no_longer_than_it_takes() {
    let mut rig = placed(json!({}), &["Fine."]);
    rig.caller_says(600, 400, "Hello?");
    rig.caller_says(8000, 600, "yes what is it");
    rig.run_until(40_000);
    let regions: Vec<(u64, Option<String>)> = rig
        .commands
        .iter()
        .filter_map(|(at, command)| match command {
            Command::ListenForTones { region, .. } => Some((at.as_ms(), region.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(regions, [(0, Some("EU".to_owned())), (30_000, None)]);
}

#[test]
fn what_a_person_says_later_makes_them_no_machine() {
    let mut rig = placed(json!({}), &["Of course."]);
    rig.caller_says(600, 400, "Hello?");
    rig.caller_says(40_000, 2500, "my husband is not here please leave a message for him");
    rig.run_until(46_000);
    assert_eq!(verdicts(&rig), [("human".to_owned(), "words".to_owned())]);
    assert!(!rig.call.is_over());
    assert_eq!(*rig.said().last().unwrap(), "Of course.");
}
