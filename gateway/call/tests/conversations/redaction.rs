//! Redaction by channel, and what happens when the redactor does not do its work.

use serde_json::{Value, json};
use trunkline_api::words::ProviderKind;
use trunkline_api::{EventType, Failure};
use trunkline_call::{Input, ToolOutcome};

use crate::rig::{Redactor, Rig, agent, reply, tool_reply};

fn rig(channels: Value, reply: &str) -> Rig {
    let redaction = json!({ "redactor": "pii", "channels": channels });
    let spec = agent(1, 1, 1, json!({ "redaction": redaction, "turn": { "speculate": false } }));
    let mut rig = Rig::new(spec, &[reply]);
    rig.caller_says(1000, 900, "card 4111");
    rig
}

fn timeline(rig: &Rig) -> String {
    serde_json::to_string(&rig.events).unwrap()
}

#[test]
fn the_model_gets_the_redacted_words() {
    let mut rig = rig(json!(["llm-input"]), "Fine.");
    rig.run_until(6000);
    assert_eq!(rig.conversation().last().unwrap(), "User: card ****");
    assert_eq!(rig.only(EventType::LlmRequest)["input"], "card ****");
    assert_eq!(rig.only(EventType::Redacted), &json!({ "channel": "llm-input", "counts": { "digit": 4 } }));
    assert_eq!(rig.only(EventType::TranscriptFinal)["text"], "card 4111");
}

#[test]
fn the_timeline_gets_redacted_words_in_order() {
    let mut rig = rig(json!(["transcript"]), "You said 4111.");
    rig.asr_says(1500, 1, trunkline_call::AsrEvent::Partial { text: "card 41".to_owned() });
    rig.run_until(8000);
    assert_eq!(rig.only(EventType::TranscriptFinal)["text"], "card ****");
    assert_eq!(rig.said(), ["Hello.", "You said ****."]);
    assert!(rig.all(EventType::TranscriptPartial).is_empty(), "words so far cannot be redacted");
    let text = timeline(&rig).replace("1700000", "");
    assert!(!text.contains("4111") && !text.contains("card 41"), "{text}");
    assert_eq!(rig.conversation().last().unwrap(), "User: card 4111", "the model's channel is not covered");
}

#[test]
fn the_synthesiser_and_the_memory_get_the_redacted_reply() {
    let mut rig = rig(json!(["llm-output"]), "You said 4111. Thanks.");
    rig.run_until(8000);
    assert_eq!(rig.said(), ["Hello.", "You said ****.", "Thanks."]);
}

#[test]
fn what_a_tool_says_of_its_fault_is_redacted_like_its_answer() {
    let redaction = json!({ "redactor": "pii", "channels": ["transcript", "llm-input"] });
    let spec = agent(1, 1, 1, json!({ "redaction": redaction, "tools": [{ "name": "book" }] }));
    let scripts = vec![tool_reply("", "book", "{}"), reply("I cannot.")];
    let mut rig = Rig::new(spec, &[]).scripts(scripts);
    let output = "no card 4111 on file".to_owned();
    let failed = ToolOutcome { output, is_error: true, actions: Vec::new(), failure: Some(Failure::PluginTrapped) };
    rig.tools.insert("book".to_owned(), Some((100, failed)));
    rig.caller_says(1000, 900, "book it");
    rig.run_until(8000);
    assert_eq!(rig.only(EventType::ToolReturned)["output"], "no card **** on file");
    assert_eq!(rig.failures(), [(Failure::PluginTrapped, "record")]);
    let text = timeline(&rig).replace("1700000", "");
    assert!(!text.contains("4111"), "{text}");
    assert!(rig.conversation().last().unwrap().ends_with("-> no card **** on file"), "{:?}", rig.conversation());
}

#[test]
fn a_cut_in_the_middle_of_a_number_does_not_reveal_it() {
    let redaction = json!({ "redactor": "pii", "channels": ["transcript"] });
    let spec = agent(
        1,
        1,
        1,
        json!({ "redaction": redaction, "greeting": "Your number is 4111 1111 and so on.",
        "speech": { "normalize": "off" } }),
    );
    let mut rig = Rig::new(spec, &["Fine."]);
    rig.caller_says(950, 500, "stop");
    rig.run_until(5000);
    let heard = rig.only(EventType::PlaybackCut)["heard"].as_str().unwrap();
    assert!(heard.starts_with("Your number is ****") && !heard.contains('4'), "{heard}");
}

#[test]
fn a_redactor_that_waits_for_this_host_has_not_failed() {
    let late = |behind: &[(u64, bool)]| -> (Vec<Failure>, String) {
        let mut rig = rig(json!(["llm-input"]), "Fine.");
        rig.redactor = Redactor::Late(3000);
        for (ms, behind) in behind {
            rig.tell(*ms, Input::Behind { kind: ProviderKind::Redactor, behind: *behind });
        }
        rig.run_until(9000);
        let failures = rig.failures().into_iter().map(|(failure, _)| failure).collect();
        (failures, rig.conversation().last().unwrap().clone())
    };
    let (failures, heard) = late(&[(2000, true), (6500, false)]);
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(heard, "User: card ****");
    let (failures, heard) = late(&[]);
    assert_eq!((failures, heard.as_str()), (vec![Failure::RedactorFailed], "User: [withheld]"));
}

#[test]
fn a_redactor_that_fails_or_stalls_withholds_the_text() {
    for behaviour in [Redactor::Fails, Redactor::Stalls] {
        let mut rig = rig(json!(["llm-input", "transcript"]), "Fine.");
        rig.redactor = behaviour;
        rig.run_until(9000);
        assert_eq!(rig.conversation().last().unwrap(), "User: [withheld]");
        assert_eq!(rig.only(EventType::TranscriptFinal)["text"], "[withheld]");
        assert!(!timeline(&rig).contains("card"));
        assert!(rig.failures().iter().all(|raised| *raised == (Failure::RedactorFailed, "fail_closed")));
        assert!(!rig.failures().is_empty());
        rig.caller_hangs_up(10_000);
        rig.run_to_end();
    }
}
