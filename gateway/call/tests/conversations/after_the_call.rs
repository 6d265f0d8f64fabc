//! Once everybody has hung up, a model is asked what the call was about; whatever it answers, the call comes to its end.

use serde_json::{Value, json};
use trunkline_api::agent::AgentSpec;
use trunkline_api::usage::{EndReason, Units};
use trunkline_api::words::{Content, FinishReason, ProviderKind, Role};
use trunkline_api::{EventType, Failure};
use trunkline_call::{ANALYSIS, Command, Input, LlmEvent};

use crate::rig::{Llm, Rig, agent, reply};

fn asks(more: Value) -> AgentSpec {
    let mut spec = json!({ "analysis": ["summary", "disposition", "topics", "sentiment", "emotion"] });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    agent(1, 2, 1, spec)
}

/// A call of two turns whose first model gives `answer` when it is asked about it.
fn call(spec: AgentSpec, answer: &str) -> Rig {
    let mut rig = Rig::new(spec, &["Yes. We are open.", "You are welcome.", answer]);
    rig.caller_says(1000, 900, "are you open");
    rig.caller_says(5000, 900, "thank you");
    rig.caller_hangs_up(9000);
    rig
}

fn requests(rig: &Rig) -> Vec<usize> {
    let asked = |command: &Command| match command {
        Command::StartLlm { request, index, .. } if *request >= ANALYSIS => Some(*index),
        _ => None,
    };
    rig.commands.iter().filter_map(|(_, command)| asked(command)).collect()
}

const ANSWER: &str = r#"Here you are:
```json
{"summary": " The caller asked whether we are open. ", "disposition": "Resolved", "topics": ["opening hours", "opening hours", 7],
 "sentiment": 3, "turns": [{"turn": 2, "sentiment": 0.555, "emotion": "happy"}, {"turn": 1, "emotion": "hungry", "sentiment": 0},
 {"turn": 9, "sentiment": 1}], "secret": true}
```"#;

#[test]
fn one_event_behind_the_end_tells_what_was_found_out() {
    let mut rig = call(asks(json!({})), ANSWER);
    rig.run_to_end();
    let expected = json!({
        "summary": "The caller asked whether we are open.", "disposition": "resolved", "topics": ["opening hours"],
        "sentiment": 1.0, "turns": [{ "turn": 1, "sentiment": 0.0 }, { "turn": 2, "sentiment": 0.56, "emotion": "happy" }],
        "provider": "llm-0", "took_ms": 210,
    });
    assert_eq!(rig.only(EventType::CallAnalysed), &expected);
    assert_eq!(rig.names().last(), Some(&"call.analysed"));
    assert_eq!(rig.only(EventType::CallEnded)["duration_ms"], 9000);
    let record = rig.call.record();
    assert_eq!((record.end, record.total().call_ms), (Some(EndReason::CallerHungUp), 9000));
}

#[test]
fn the_model_reads_what_was_heard_and_is_bound_to_the_lists() {
    let policy = json!({ "after_call": { "dispositions": ["sold", "lost"], "topics": ["hours", "menu"] } });
    let mut rig = call(asks(policy), r#"{"disposition": "resolved", "topics": ["Menu", "weather"]}"#);
    rig.run_to_end();
    let messages = rig.last_messages();
    assert_eq!(messages.iter().map(|message| message.role).collect::<Vec<_>>(), [Role::System, Role::User]);
    let Content::Text(task) = &messages[0].content[0] else { panic!("no task") };
    assert!(task.contains(r#"["sold","lost"]"#) && task.contains(r#"["hours","menu"]"#), "{task}");
    let heard = "Agent: Hello.\n[1] Caller: are you open\nAgent: Yes. We are open.\n[2] Caller: thank you\n\
                 Agent: You are welcome.\n";
    assert_eq!(messages[1].content, [Content::Text(heard.to_owned())]);
    let found = rig.only(EventType::CallAnalysed);
    assert_eq!((&found["topics"], found.get("disposition")), (&json!(["menu"]), None));
}

#[test]
fn an_answer_that_is_none_and_a_model_that_fails_are_followed_by_the_next() {
    for first in [Llm::Replies([reply("x"), reply("y"), reply("I cannot do that.")].into()), Llm::Stalls, Llm::Fails] {
        let mut rig = call(asks(json!({})), "");
        rig.llm[1] = Llm::Replies([reply("One."), reply("Two."), reply(r#"{"summary": "Short."}"#)].into());
        let talks = matches!(first, Llm::Replies(_));
        rig.llm[0] = first;
        if talks {
            rig.llm[1] = Llm::Replies([reply(r#"{"summary": "Short."}"#)].into());
        }
        rig.run_to_end();
        assert_eq!(rig.only(EventType::CallAnalysed)["summary"], "Short.");
        assert_eq!(rig.only(EventType::CallAnalysed)["provider"], "llm-1");
    }
}

#[test]
fn nobody_waits_for_longer_than_the_policy_says() {
    let mut rig = call(asks(json!({ "after_call": { "wait_ms": 4000, "llm": [{ "provider": "judge" }] } })), "");
    rig.llm[0] = Llm::Replies([reply("One."), reply("Two."), Vec::new()].into());
    rig.run_to_end();
    let told = rig.only(EventType::CallAnalysed);
    assert_eq!(told, &json!({ "failure": "llm_timeout", "provider": "judge", "took_ms": 4000 }));
    assert!(rig.commands.iter().any(|(_, command)| *command == Command::CancelLlm { request: ANALYSIS }));
    assert_eq!(rig.failures(), Vec::<(Failure, &str)>::new());
}

#[test]
fn a_gateway_that_drains_does_not_wait_at_all() {
    let mut rig = call(asks(json!({})), "");
    rig.llm[0] = Llm::Replies([reply("One."), reply("Two."), Vec::new()].into());
    rig.tell(9500, Input::Drain);
    rig.run_to_end();
    assert_eq!(rig.only(EventType::CallAnalysed)["failure"], "gateway_draining");
    assert_eq!(rig.only(EventType::CallAnalysed)["took_ms"], 500);
}

#[test]
fn what_it_costs_is_on_the_record() {
    let slow = vec![
        (500, LlmEvent::TextDelta(r#"{"sentiment": -0.2}"#.to_owned())),
        (500, LlmEvent::Finished(FinishReason::Stop)),
    ];
    let mut rig = call(asks(json!({})), "").scripts(vec![reply("One."), reply("Two."), slow]);
    let units = Units { tokens_out: 40, ..Units::default() };
    rig.tell(9600, Input::Usage { kind: ProviderKind::Llm, provider: "llm-0".to_owned(), units });
    rig.run_to_end();
    assert_eq!(rig.call.record().total().tokens_out, 40);
    assert_eq!(rig.only(EventType::CallAnalysed)["sentiment"], -0.2);
}

#[test]
fn words_are_redacted_as_everywhere() {
    let policy = json!({ "redaction": { "redactor": "pii", "channels": ["transcript"] } });
    let mut rig = call(asks(policy), r#"{"summary": "Call back at 4711.", "topics": ["number 4711"]}"#);
    rig.run_to_end();
    let told = rig.only(EventType::CallAnalysed);
    assert_eq!((told["summary"].as_str(), told.get("topics")), (Some("Call back at ****."), None));
}

#[test]
fn nobody_asks_about_a_call_in_which_the_caller_said_nothing() {
    let mut rig = Rig::new(asks(json!({})), &[]);
    rig.caller_hangs_up(3000);
    rig.run_to_end();
    assert_eq!(requests(&rig), Vec::<usize>::new());
    let mut rig = call(agent(1, 1, 1, json!({})), "");
    rig.run_to_end();
    assert!(requests(&rig).is_empty() && rig.names().last() == Some(&"call.ended"));
}
