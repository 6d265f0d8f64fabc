//! Calls that leave: an operator has an agent call somebody, a caller is connected with whoever is dialled, and nothing
//! leaves that no outbound route names.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::callee::Callee;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::line::{Line, shout, silence};
use trunkline_tests::objects::{self, id};
use trunkline_tests::{capture, wait};

/// A gateway whose trunk's server is `callee`, which may be dialled at +4930...
fn gateway(scratch: &std::path::Path, agent: &Value, callee: &Callee) -> Gateway {
    let mut all: Value = toml::from_str(&objects::answering(agent).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["server"] =
            json!({ "hosts": [callee.address().to_string()], "caller": "+4930100", "options_ping_s": 5 });
        object["body"]["trusted"] = true.into();
    }
    list.push(json!({
        "kind": "outbound-route", "id": "ort_00000000000000000000000001", "tenant": id::TENANT,
        "body": { "name": "home", "destinations": ["+4930*"], "denied": ["+4930666"], "trunks": [id::TRUNK] },
    }));
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), Options::default()).unwrap();
    let open = || gateway.admin().unwrap().get("/v1/trunks").unwrap()[0]["takes_calls"] == true;
    wait::until_true("the trunk to be looked after", Duration::from_secs(20), open).unwrap();
    gateway
}

/// An agent that says nothing of its own and leaves the sound as it is: a tone would be taken for noise.
fn quiet_agent() -> Value {
    let mut agent = objects::offline_agent("");
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["sound"] = json!({ "denoiser": "off", "echo_gate": false });
    agent["recording"] = json!({ "enabled": false });
    agent
}

fn typed(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.command(arguments).unwrap().output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

fn until(what: &str, met: impl FnMut() -> bool) {
    wait::until_true(what, Duration::from_secs(30), met).unwrap();
}

fn events(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let all = seen["events"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

#[test]
fn an_operator_has_an_agent_call_somebody_who_hears_its_first_word() {
    let scratch = tempfile::tempdir().unwrap();
    let callee = Callee::new(200, false).unwrap();
    let agent = objects::offline_agent("Good morning. This is a call about your order.");
    let mut gateway = gateway(scratch.path(), &agent, &callee);
    gateway.await_agents(1).unwrap();
    for (to, why) in [("+4930666", "outbound_denied"), ("+49900123", "outbound_denied"), ("call me", "outbound_denied")]
    {
        let (code, said) = typed(&gateway, &["dial", to, "--agent", "offline"]);
        assert!(code == Some(1) && said.contains(why), "{to}: {said}");
    }
    assert!(callee.seen().invites.is_empty(), "nothing left");
    let (code, said) = typed(&gateway, &["dial", "+4930555", "--agent", "nobody"]);
    assert!(code == Some(1) && said.contains("404"), "{said}");

    let (code, said) = typed(&gateway, &["dial", "+4930555", "--agent", "offline", "--trunk", "loopback"]);
    assert_eq!(code, Some(0), "{said}");
    let call = said.split_whitespace().find(|word| word.starts_with("call_")).unwrap().trim_end_matches(';').to_owned();
    until("the greeting to be heard", || callee.seen().loud > 40);
    let seen = callee.seen();
    let invite = &seen.invites[0];
    assert!(invite.starts_with(&format!("INVITE sip:+4930555@127.0.0.1:{} SIP/2.0", callee.address().port())));
    assert!(invite.contains("\r\nP-Asserted-Identity: <sip:+4930100@127.0.0.1>\r\n"), "{invite}");
    let gaps = seen.sequences.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count();
    assert_eq!(gaps, 0, "one stream from its first packet on");
    until("the greeting to its end", || !events(&gateway, &call, "playback.finished").is_empty());
    assert_eq!(events(&gateway, &call, "call.started")[0]["direction"], "outbound");
    callee.hang_up();
    until("the end", || !events(&gateway, &call, "call.ended").is_empty());
    assert_eq!(events(&gateway, &call, "call.ended")[0]["reason"], "caller_hung_up");
    let (code, said) = typed(&gateway, &["trunks"]);
    assert!(code == Some(0) && said.contains("loopback"), "{said}");
    until("the trunk's health", || callee.seen().requests.iter().any(|line| line.starts_with("OPTIONS ")));
    gateway.stop().unwrap();
}

#[test]
fn a_caller_and_whoever_was_dialled_hear_each_other() {
    let scratch = tempfile::tempdir().unwrap();
    let callee = Callee::new(200, true).unwrap();
    let mut gateway = gateway(scratch.path(), &quiet_agent(), &callee);
    gateway.await_agents(1).unwrap();
    let mut line = Line::open(gateway.sip(), "1000", 0x2a).unwrap();
    let mut call = String::new();
    until("the call", || {
        call = gateway.calls().unwrap().first().map(|call| call["id"].as_str().unwrap().to_owned()).unwrap_or_default();
        !call.is_empty()
    });
    let (code, said) = typed(&gateway, &["transfer", &call, "+4930555", "--mode", "bridge"]);
    assert_eq!(code, Some(0), "{said}");
    // Speaks to nobody until the other is there.
    line.talk(150, |_| silence(), |_, _| Ok(())).unwrap();
    until("the two to be joined", || !events(&gateway, &call, "leg.answered").is_empty());
    let before = callee.seen();
    let heard = line.talk(150, |_| shout(), |_, _| Ok(())).unwrap();
    let loud = heard.iter().filter(|code| capture::from_ulaw(**code).unsigned_abs() > 4000).count();
    assert!(loud > 8000, "the caller hears {loud} loud samples of the other in three seconds");
    let after = callee.seen();
    assert!(after.loud - before.loud > 75, "the other hears {} loud packets of the caller", after.loud - before.loud);
    callee.hang_up();
    until("the leg to end", || !events(&gateway, &call, "leg.ended").is_empty());
    line.hang_up().ok();
    until("everything to be over", || gateway.calls().unwrap().is_empty());
    gateway.stop().unwrap();
}

#[test]
fn who_does_not_answer_leaves_the_caller_with_the_agent() {
    let scratch = tempfile::tempdir().unwrap();
    let callee = Callee::new(486, false).unwrap();
    let mut gateway = gateway(scratch.path(), &quiet_agent(), &callee);
    gateway.await_agents(1).unwrap();
    let mut line = Line::open(gateway.sip(), "1000", 0x2b).unwrap();
    let mut call = String::new();
    until("the call", || {
        call = gateway.calls().unwrap().first().map(|call| call["id"].as_str().unwrap().to_owned()).unwrap_or_default();
        !call.is_empty()
    });
    for (to, outcome) in [("+4930555", "busy"), ("+49900123", "rejected")] {
        let (code, said) = typed(&gateway, &["transfer", &call, to, "--mode", "bridge"]);
        assert_eq!(code, Some(0), "{said}");
        line.talk(50, |_| silence(), |_, _| Ok(())).unwrap();
        until("the transfer to end", || {
            events(&gateway, &call, "transfer.ended").last().is_some_and(|ended| ended["outcome"] == outcome)
        });
    }
    assert_eq!(gateway.calls().unwrap().len(), 1, "the caller is with the agent");
    assert_eq!(callee.seen().invites.len(), 1, "the one that no route names never left");
    line.hang_up().unwrap();
    gateway.stop().unwrap();
}
