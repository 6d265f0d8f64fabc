//! An agent that passes a caller on and listens: what the human says to the caller is in the call's transcript, and the agent says
//! nothing to it.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::callee::Callee;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::line::{Line, silence};
use trunkline_tests::objects::{self, id};
use trunkline_tests::wait;

const HUMAN: &str = "+4930555";

fn events(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let all = seen["events"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

#[test]
fn what_a_human_says_to_the_caller_is_in_the_transcript() {
    let scratch = tempfile::tempdir().unwrap();
    let human = Callee::saying("one two three four five").unwrap();
    let mut agent = objects::offline_agent("");
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["recording"] = json!({ "enabled": false });
    agent["transfer"] = json!({
        "mode": "bridge", "while_joined": "listen", "hold_say": "", "hold_lines": [], "hold_sound": "silence",
    });
    let mut all: Value = toml::from_str(&objects::answering(&agent).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["server"] = json!({ "hosts": [human.address().to_string()] });
    }
    list.push(json!({
        "kind": "outbound-route", "id": "ort_00000000000000000000000001", "tenant": id::TENANT,
        "body": { "name": "home", "destinations": ["+4930*"], "uses": ["transfer"], "trunks": [id::TRUNK] },
    }));
    let mut gateway = Gateway::standalone(scratch.path(), &toml::to_string(&all).unwrap(), Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let open = || gateway.admin().unwrap().get("/v1/trunks").unwrap()[0]["takes_calls"] == true;
    wait::until_true("the trunk to be looked after", Duration::from_secs(20), open).unwrap();
    let mut line = Line::open(gateway.sip(), "1000", 0x91).unwrap();
    let first = || Some(gateway.calls().ok()?.first()?["id"].as_str()?.to_owned());
    let call = wait::until("the call", Duration::from_secs(10), first).unwrap();
    let output = gateway.command(&["transfer", &call, HUMAN]).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let heard = |gateway: &Gateway| {
        let finals = events(gateway, &call, "transcript.final");
        finals.iter().filter_map(|data| data["text"].as_str()).collect::<Vec<_>>().join(" ")
    };
    for _ in 0..80 {
        line.talk(25, |_| silence(), |_, _| Ok(())).unwrap();
        if heard(&gateway).contains("five") {
            break;
        }
    }
    assert!(heard(&gateway).contains("three four five"), "heard: {}", heard(&gateway));
    assert!(events(&gateway, &call, "turn.started").is_empty(), "nobody is answered");
    human.hang_up();
    wait::until_true("the end of the call", Duration::from_secs(30), || gateway.calls().unwrap().is_empty()).unwrap();
    line.hang_up().ok();
    gateway.stop().unwrap();
}
