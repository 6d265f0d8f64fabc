//! A far end has the gateway dial somebody who takes its place (REFER to us): a human who was joined with the caller passes them
//! to a colleague, and somebody whom the agent has called passes the agent on and hangs up at once. Both can be heard both ways
//! after it; who names a number that no route allows for it stays where it is.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::callee::Callee;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::line::{Line, shout, silence};
use trunkline_tests::objects::{self, id};
use trunkline_tests::{capture, wait};

const HUMAN: &str = "+4930555";
const COLLEAGUE: &str = "+4940777";
const OTHER_TRUNK: &str = "trk_00000000000000000000000002";

/// A gateway that has humans dialled over one trunk, and whom a far end names over another.
fn gateway(scratch: &std::path::Path, human: &Callee, colleague: &Callee) -> Gateway {
    let mut agent = objects::offline_agent("");
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["recording"] = json!({ "enabled": false });
    agent["transfer"] = json!({ "mode": "bridge", "hold_say": "", "hold_lines": [], "hold_sound": "silence" });
    let mut all: Value = toml::from_str(&objects::answering(&agent).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    let mut other = json!({});
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["server"] = json!({ "hosts": [human.address().to_string()] });
        other = object.clone();
    }
    other["id"] = OTHER_TRUNK.into();
    other["body"]["name"] = "colleagues".into();
    other["body"]["peers"] = json!(["127.0.0.77"]);
    other["body"]["server"] = json!({ "hosts": [colleague.address().to_string()] });
    list.push(other);
    let route = |id: &str, name: &str, to: &str, uses: Value, trunk: &str| {
        json!({
            "kind": "outbound-route", "id": id, "tenant": id::TENANT,
            "body": { "name": name, "destinations": [to], "uses": uses, "trunks": [trunk] },
        })
    };
    list.push(route("ort_00000000000000000000000001", "humans", "+4930*", json!(["transfer", "dial"]), id::TRUNK));
    list.push(route("ort_00000000000000000000000002", "colleagues", "+4940*", json!(["refer"]), OTHER_TRUNK));
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let open = || {
        let trunks = gateway.admin().unwrap().get("/v1/trunks").unwrap();
        trunks.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|trunk| trunk["takes_calls"] == true))
    };
    wait::until_true("the trunks to be looked after", Duration::from_secs(20), open).unwrap();
    gateway
}

fn until(what: &str, met: impl FnMut() -> bool) {
    wait::until_true(what, Duration::from_secs(30), met).unwrap();
}

fn ordered(gateway: &Gateway, arguments: &[&str]) {
    let output = gateway.command(arguments).unwrap().output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn call(gateway: &Gateway) -> String {
    let first = || Some(gateway.calls().ok()?.first()?["id"].as_str()?.to_owned());
    wait::until("the call", Duration::from_secs(10), first).unwrap()
}

fn events(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let all = seen["events"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

fn loud(heard: &[u8]) -> usize {
    heard.iter().filter(|code| capture::from_ulaw(**code).unsigned_abs() > 1000).count()
}

fn got(callee: &Callee, method: &str) -> usize {
    callee.seen().requests.iter().filter(|line| line.starts_with(method)).count()
}

#[test]
fn a_human_passes_the_caller_to_a_colleague_and_nobody_to_a_number_that_is_not_allowed() {
    let scratch = tempfile::tempdir().unwrap();
    let (human, colleague) = (Callee::new(200, false).unwrap(), Callee::new(200, true).unwrap());
    let mut gateway = gateway(scratch.path(), &human, &colleague);
    let mut line = Line::open(gateway.sip(), "1000", 0x71).unwrap();
    let call = call(&gateway);
    ordered(&gateway, &["transfer", &call, HUMAN]);
    let mut waits = |met: &mut dyn FnMut() -> bool| {
        for _ in 0..120 {
            line.talk(25, |_| silence(), |_, _| Ok(())).unwrap();
            if met() {
                return;
            }
        }
        panic!("it never happened");
    };
    waits(&mut || !events(&gateway, &call, "transfer.ended").is_empty());
    let passed_on = || events(&gateway, &call, "leg.passed_on");
    human.refer(&format!("<sip:+49900123@{}>", gateway.sip()));
    waits(&mut || passed_on() == [json!({ "leg": 2, "sip_status": 403 })]);
    human.refer(&format!("<sip:{COLLEAGUE}@{}>", gateway.sip()));
    waits(&mut || passed_on().last() == Some(&json!({ "leg": 2 })));
    // Its own side would hang up; the gateway does where it does not.
    waits(&mut || got(&human, "BYE") == 1);
    assert!(got(&human, "NOTIFY") >= 1);
    let before = (human.seen().packets, colleague.seen().loud);
    let heard = line.talk(150, |_| shout(), |_, _| Ok(())).unwrap();
    assert!(loud(&heard) > 8000, "the caller hears the colleague: {} loud samples", loud(&heard));
    assert!(colleague.seen().loud - before.1 > 75, "and the colleague the caller");
    assert_eq!(human.seen().packets, before.0, "and the human nothing any more");
    colleague.hang_up();
    until("the end of the call", || gateway.calls().unwrap().is_empty());
    line.hang_up().ok();
    gateway.stop().unwrap();
}

#[test]
fn who_was_called_passes_the_agent_on_and_hangs_up_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let (human, colleague) = (Callee::new(200, false).unwrap(), Callee::new(200, true).unwrap());
    let mut gateway = gateway(scratch.path(), &human, &colleague);
    ordered(&gateway, &["dial", HUMAN, "--agent", "offline"]);
    let call = call(&gateway);
    human.refer(&format!("<sip:{COLLEAGUE}@{}>", gateway.sip()));
    human.hang_up();
    until("the colleague to be there", || events(&gateway, &call, "leg.passed_on") == [json!({ "leg": 1 })]);
    let before = (human.seen().packets, colleague.seen().loud);
    ordered(&gateway, &["dtmf", &call, "5555"]);
    until("the colleague to hear the agent's side", || colleague.seen().loud > before.1 + 10);
    assert_eq!(human.seen().packets, before.0);
    colleague.press('7');
    until("the agent's side to hear the colleague", || {
        events(&gateway, &call, "dtmf.received").iter().any(|data| data["digit"] == "7")
    });
    colleague.hang_up();
    until("the end of the call", || gateway.calls().unwrap().is_empty());
    gateway.stop().unwrap();
}
