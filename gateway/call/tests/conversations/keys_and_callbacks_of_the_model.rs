//! The model presses keys and notes who wants to be called back.

use serde_json::{Value, json};
use trunkline_api::EventType;

use crate::rig::{Rig, agent, reply, tool_reply};

fn called(tool: &str, arguments: &Value, more: Value) -> Rig {
    let mut spec = json!({ "tools": [{ "name": "send_dtmf" }, { "name": "request_callback" }] });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let scripts = vec![tool_reply("", tool, &arguments.to_string()), reply("Done.")];
    let mut rig = Rig::new(agent(1, 1, 1, spec), &[]).scripts(scripts);
    rig.caller_says(1000, 500, "please");
    rig.run_until(9000);
    assert_eq!(*rig.said().last().unwrap(), "Done.");
    rig
}

#[test]
fn keys_are_pressed() {
    let rig = called("send_dtmf", &json!({ "digits": "2#" }), json!({}));
    assert_eq!(rig.telephone(), ["keys 1 2#"]);
    let rig = called("send_dtmf", &json!({ "digits": "two" }), json!({}));
    assert_eq!(rig.telephone(), Vec::<String>::new());
    assert_eq!(rig.only(EventType::ToolReturned)["is_error"], true);
}

#[test]
fn keys_are_hidden_where_words_are() {
    let more = json!({ "redaction": { "redactor": "pii", "channels": ["transcript"] } });
    let rig = called("send_dtmf", &json!({ "digits": "1234" }), more);
    assert_eq!(rig.only(EventType::DtmfSent)["digits"], "xxxx");
    assert_eq!(rig.telephone(), ["keys 1 1234"]);
}

#[test]
fn a_callback_is_noted_with_a_number_that_can_be_dialled() {
    let arguments = json!({ "number": "+49 (0)30 123 45 67", "when": "tomorrow at ten", "reason": "the invoice" });
    let rig = called("request_callback", &arguments, json!({}));
    let noted = rig.only(EventType::CallbackRequested);
    assert_eq!(*noted, json!({ "number": "+49301234567", "when": "tomorrow at ten", "reason": "the invoice" }));
}

#[test]
fn without_a_number_it_is_the_callers_own() {
    let rig = called("request_callback", &json!({}), json!({}));
    assert_eq!(*rig.only(EventType::CallbackRequested), json!({ "number": "+4930123" }));
}

#[test]
fn a_number_that_is_none_is_asked_for_again() {
    for wrong in ["12345", "call my mother", "030 1234567"] {
        let rig = called("request_callback", &json!({ "number": wrong }), json!({}));
        assert_eq!(rig.only(EventType::ToolReturned)["is_error"], true, "{wrong}");
        assert!(rig.all(EventType::CallbackRequested).is_empty());
    }
}

#[test]
fn when_and_why_go_through_the_redactor_where_words_do() {
    let more = json!({ "redaction": { "redactor": "pii", "channels": ["transcript"] } });
    let rig = called("request_callback", &json!({ "when": "at 4711 o'clock", "reason": "my code is 4711" }), more);
    let noted = rig.only(EventType::CallbackRequested);
    assert!(noted.get("when").is_none() && !noted["reason"].as_str().unwrap().contains("4711"), "{noted}");
}
