//! An agent that calls somebody finds out who answered by what they say: a person is greeted, a machine is hung up or left a
//! message.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::callee::Callee;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::live::instant_agent;
use trunkline_tests::objects::{self, id};
use trunkline_tests::wait;

const GREETING: &str = "Good morning this is the dentist.";

/// A call to somebody whose first words are these; its id.
fn placed(gateway: &Gateway) -> String {
    let output = gateway.command(&["dial", "+4930555", "--agent", "instant"]).unwrap().output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.split_whitespace().find(|word| word.starts_with("call_")).unwrap().trim_end_matches(';').to_owned()
}

fn gateway(scratch: &std::path::Path, callee: &Callee, words: &str) -> Gateway {
    let llm = json!({ "provider": "scripted", "settings": { "fallback": { "say": "Fine." } } });
    let mut agent = instant_agent(GREETING, &[words], llm, json!({}));
    agent["answering"] = json!({ "machine": { "action": "hang_up" } });
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["sound"] = json!({ "denoiser": "off", "echo_gate": false });
    let mut all: Value = toml::from_str(&objects::answering(&agent).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["server"] = json!({ "hosts": [callee.address().to_string()] });
    }
    list.push(json!({
        "kind": "outbound-route", "id": "ort_00000000000000000000000001", "tenant": id::TENANT,
        "body": { "name": "home", "destinations": ["+4930*"], "uses": ["dial"], "trunks": [id::TRUNK] },
    }));
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let open = || gateway.admin().unwrap().get("/v1/trunks").unwrap()[0]["takes_calls"] == true;
    wait::until_true("the trunk to be looked after", Duration::from_secs(20), open).unwrap();
    gateway
}

/// Data of a call's events of a type; nothing of one that still rings.
fn events(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    let Ok(seen) = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")) else { return Vec::new() };
    let all = seen["events"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

fn until(what: &str, met: impl FnMut() -> bool) {
    wait::until_true(what, Duration::from_secs(30), met).unwrap();
}

#[test]
fn a_machine_is_hung_up_by_its_words_and_hears_no_greeting() {
    let scratch = tempfile::tempdir().unwrap();
    let callee = Callee::saying("this is the voicemail").unwrap();
    let announcement = "this is the voicemail of Ann please leave a message after the tone";
    let mut gateway = gateway(scratch.path(), &callee, announcement);
    let call = placed(&gateway);
    until("the end", || !events(&gateway, &call, "call.ended").is_empty());
    let verdicts = events(&gateway, &call, "answer.classified");
    assert_eq!((&verdicts[0]["kind"], &verdicts[0]["by"]), (&json!("machine"), &json!("words")), "{verdicts:?}");
    assert_eq!(events(&gateway, &call, "call.ended")[0]["reason"], "agent_hung_up");
    assert!(events(&gateway, &call, "playback.started").is_empty());
    until("the BYE", || callee.seen().requests.iter().any(|line| line.starts_with("BYE ")));
    gateway.stop().unwrap();
}

#[test]
fn a_person_is_greeted_behind_their_first_words_with_nothing_clipped() {
    let scratch = tempfile::tempdir().unwrap();
    let callee = Callee::saying("hello").unwrap();
    let mut gateway = gateway(scratch.path(), &callee, "Hello?");
    let call = placed(&gateway);
    until("the greeting to its end", || !events(&gateway, &call, "playback.finished").is_empty());
    let verdicts = events(&gateway, &call, "answer.classified");
    assert_eq!((&verdicts[0]["kind"], &verdicts[0]["by"]), (&json!("human"), &json!("words")), "{verdicts:?}");
    assert_eq!(events(&gateway, &call, "playback.finished")[0]["text"], GREETING);
    let seen = callee.seen();
    let gaps = seen.sequences.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count();
    // Six words of 200 ms in packets of 20 ms.
    assert!(gaps == 0 && seen.loud > 45, "{gaps} gaps, {} loud packets", seen.loud);
    callee.hang_up();
    until("the end", || !events(&gateway, &call, "call.ended").is_empty());
    gateway.stop().unwrap();
}
