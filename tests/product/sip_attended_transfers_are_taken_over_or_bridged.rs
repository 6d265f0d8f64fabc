//! A caller waits while a human is dialled and briefed, hears nothing of it, and is connected once the human has accepted: by its
//! own side, which takes the other call over (RFC 3891), or by the gateway. Who hangs up instead leaves the caller with the agent.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::callee::Callee;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::line::{Line, shout, silence};
use trunkline_tests::objects::{self, id};
use trunkline_tests::phone::Phone;
use trunkline_tests::{capture, wait};

const HUMAN: &str = "+4930555";

/// A gateway that may dial a human at `callee`, whose caller hears nothing on hold.
fn gateway(scratch: &std::path::Path, callee: &Callee, join: &str) -> Gateway {
    let mut agent = objects::offline_agent("");
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["sound"] = json!({ "denoiser": "off", "echo_gate": false });
    agent["recording"] = json!({ "enabled": false });
    agent["transfer"] = json!({
        "mode": "attended", "join": join, "hold_say": "", "hold_lines": [], "hold_sound": "silence",
        "briefing": "Hello, I have somebody for you who asks about one two three four five.",
        "on_failure": { "action": "return", "say": "Nobody has the time. I am here for you." },
    });
    let mut all: Value = toml::from_str(&objects::answering(&agent).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["server"] = json!({ "hosts": [callee.address().to_string()] });
    }
    list.push(json!({
        "kind": "outbound-route", "id": "ort_00000000000000000000000001", "tenant": id::TENANT,
        "body": { "name": "home", "destinations": ["+4930*"], "uses": ["transfer"], "trunks": [id::TRUNK] },
    }));
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let open = || gateway.admin().unwrap().get("/v1/trunks").unwrap()[0]["takes_calls"] == true;
    wait::until_true("the trunk to be looked after", Duration::from_secs(20), open).unwrap();
    gateway
}

fn until(what: &str, met: impl FnMut() -> bool) {
    wait::until_true(what, Duration::from_secs(30), met).unwrap();
}

fn call(gateway: &Gateway) -> String {
    let first = || Some(gateway.calls().ok()?.first()?["id"].as_str()?.to_owned());
    wait::until("the call", Duration::from_secs(10), first).unwrap()
}

fn passes_on(gateway: &Gateway, call: &str) {
    let output = gateway.command(&["transfer", call, HUMAN]).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn events(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let all = seen["events"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

fn outcomes(gateway: &Gateway, call: &str) -> Vec<String> {
    let ended = events(gateway, call, "transfer.ended");
    ended.iter().map(|data| data["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

fn loud(heard: &[u8]) -> usize {
    heard.iter().filter(|code| capture::from_ulaw(**code).unsigned_abs() > 1000).count()
}

/// The caller is silent until `met`; what it heard meanwhile.
fn waits(line: &mut Line, mut met: impl FnMut() -> bool) -> Vec<u8> {
    let mut heard = Vec::new();
    for _ in 0..120 {
        heard.extend(line.talk(25, |_| silence(), |_, _| Ok(())).unwrap());
        if met() {
            return heard;
        }
    }
    panic!("it never happened");
}

/// A caller who is being passed on and whose human has heard what it is about; the call's id.
fn briefed(gateway: &Gateway, callee: &Callee, line: &mut Line) -> String {
    let call = call(gateway);
    passes_on(gateway, &call);
    let meanwhile = waits(line, || !events(gateway, &call, "transfer.briefed").is_empty());
    assert!(callee.seen().loud > 50, "the human hears it: {} loud packets", callee.seen().loud);
    assert_eq!(loud(&meanwhile), 0, "the caller hears nothing of it");
    call
}

#[test]
fn a_human_who_accepts_is_connected_by_the_gateway() {
    // Also where the caller's side was to take the other call over and knows no REFER.
    for (join, seed) in [("bridge", 0x61), ("refer", 0x62)] {
        let scratch = tempfile::tempdir().unwrap();
        let callee = Callee::new(200, true).unwrap();
        let mut gateway = gateway(scratch.path(), &callee, join);
        let mut line = Line::open(gateway.sip(), "1000", seed).unwrap();
        let call = briefed(&gateway, &callee, &mut line);
        callee.press('1');
        waits(&mut line, || outcomes(&gateway, &call) == ["completed"]);
        let before = callee.seen();
        let heard = line.talk(150, |_| shout(), |_, _| Ok(())).unwrap();
        assert!(loud(&heard) > 8000, "the caller hears the human: {} loud samples", loud(&heard));
        assert!(callee.seen().loud - before.loud > 75, "and the human the caller");
        let failures = events(&gateway, &call, "failure.raised");
        let told: Vec<&Value> = failures.iter().map(|data| &data["action"]).collect();
        assert_eq!(told, if join == "refer" { vec!["bridge"] } else { vec![] });
        callee.hang_up();
        until("the end of the call", || gateway.calls().unwrap().is_empty());
        line.hang_up().ok();
        gateway.stop().unwrap();
    }
}

#[test]
fn a_callers_side_that_knows_how_takes_the_other_call_over() {
    let scratch = tempfile::tempdir().unwrap();
    let callee = Callee::new(200, false).unwrap();
    let mut gateway = gateway(scratch.path(), &callee, "refer");
    let mut phone = Phone::call(gateway.sip(), "1000", "replaces").unwrap();
    let call = call(&gateway);
    passes_on(&gateway, &call);
    until("the briefing", || !events(&gateway, &call, "transfer.briefed").is_empty());
    callee.press('1');
    let refer = phone.expect("REFER ").unwrap();
    let dialled = &callee.seen().invites[0];
    let header = |name: &str| dialled.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let (call_id, from) = (header("Call-ID:"), header("From:"));
    let ours = from.split(";tag=").nth(1).unwrap();
    let expected =
        format!("<sip:callee@{}?Replaces={call_id}%3Bto-tag%3Dcallee%3Bfrom-tag%3D{ours}>", callee.address());
    assert_eq!(refer.header("Refer-To"), Some(expected.as_str()));
    phone.answer(&refer, 202, "Accepted").unwrap();
    let headers = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag";
    phone.request("NOTIFY", &format!("{headers}\r\n\r\nSIP/2.0 200 OK\r\n")).unwrap();
    phone.expect("SIP/2.0 200").unwrap();
    let bye = phone.expect("BYE ").unwrap();
    phone.answer(&bye, 200, "OK").unwrap();
    until("the end of the call", || gateway.calls().unwrap().is_empty());
    assert_eq!(outcomes(&gateway, &call), ["completed"]);
    until("the end of the human's leg", || callee.seen().requests.iter().any(|line| line.starts_with("BYE ")));
    gateway.stop().unwrap();
}

#[test]
fn a_human_who_hangs_up_leaves_the_caller_with_the_agent() {
    let scratch = tempfile::tempdir().unwrap();
    let callee = Callee::new(200, false).unwrap();
    let mut gateway = gateway(scratch.path(), &callee, "bridge");
    let mut line = Line::open(gateway.sip(), "1000", 0x63).unwrap();
    let call = briefed(&gateway, &callee, &mut line);
    callee.hang_up();
    let heard = waits(&mut line, || {
        let said = events(&gateway, &call, "playback.finished");
        said.iter().any(|data| data["text"].as_str().is_some_and(|text| text.contains("I am here for you")))
    });
    assert!(loud(&heard) > 4000, "the agent goes on with the caller");
    assert_eq!(outcomes(&gateway, &call), ["hung_up"]);
    assert_eq!(gateway.calls().unwrap().len(), 1);
    line.hang_up().unwrap();
    gateway.stop().unwrap();
}
