//! An operator's commands on a call that is up: keys go out, hold silences the agent until the call is resumed, a transfer
//! that no outbound route allows is told by name and the conversation goes on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use trunkline_caller::Happened;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

/// What a command says, and its exit code.
fn typed(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.command(arguments).unwrap().output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

/// A call's events of a type.
fn events(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    seen["events"].as_array().unwrap().iter().filter(|event| event["type"] == kind).cloned().collect()
}

/// Their data.
fn told(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    events(gateway, call, kind).iter().map(|event| event["data"].clone()).collect()
}

/// Call time of the last of them in ms.
fn at(gateway: &Gateway, call: &str, kind: &str) -> f64 {
    events(gateway, call, kind).last().unwrap()["at"]["call_us"].as_u64().unwrap() as f64 / 1000.0
}

#[test]
fn keys_hold_and_a_transfer_are_ordered_and_the_timeline_tells_what_came_of_them() {
    let scratch = tempfile::tempdir().unwrap();
    let greeting =
        "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen. ".repeat(2);
    let mut agent = objects::offline_agent(&greeting);
    agent["transfer"] = json!({ "hold_sound": "silence" });
    let agents = objects::answering(&agent).unwrap();
    let mut gateway = Gateway::standalone(scratch.path(), &agents, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let waiting = script(&json!({ "steps": [{ "wait_for_hang_up": { "timeout_ms": 120_000 } }] })).unwrap();
    let mut caller = Caller::call(gateway.sip(), "1000", 1, waiting).unwrap();
    caller.await_answer().unwrap();
    // The caller knows of the answer first.
    let call = wait::until("the call", Duration::from_secs(10), || {
        Some(gateway.calls().ok()?.first()?["id"].as_str()?.to_owned())
    });
    let call = call.unwrap();
    let until = |what: &str, met: &dyn Fn() -> bool| wait::until_true(what, Duration::from_secs(30), met).unwrap();
    let ok = |arguments: &[&str]| {
        let (code, said) = typed(&gateway, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    };
    until("the greeting", &|| !told(&gateway, &call, "playback.started").is_empty());

    ok(&["dtmf", &call, "12 #"]);
    until("the keys", &|| told(&gateway, &call, "dtmf.sent") == [json!({ "digits": "12#" })]);
    let (code, said) = typed(&gateway, &["dtmf", &call, "call me"]);
    assert!(code == Some(1) && said.contains("400") && said.contains("1 to 32 keys"), "{said}");

    ok(&["hold", &call]);
    until("hold", &|| told(&gateway, &call, "leg.held").len() == 1);
    // The caller's side takes no change of the session; it is held all the same.
    until("the refusal", &|| {
        told(&gateway, &call, "leg.redirected") == [json!({ "leg": 1, "direction": "inactive", "sip_status": 488 })]
    });
    let held = at(&gateway, &call, "leg.held");
    until("the call to go on", &|| {
        let answered = gateway.calls().unwrap()[0]["answered_us"].as_u64().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        (now - answered) as f64 / 1000.0 > held + 2000.0
    });
    ok(&["resume", &call]);
    until("resume", &|| told(&gateway, &call, "leg.resumed").len() == 1);
    let resumed = at(&gateway, &call, "leg.resumed");
    until("the greeting to its end", &|| {
        told(&gateway, &call, "playback.finished").iter().any(|data| data["text"].as_str() == Some(greeting.trim()))
    });

    ok(&["transfer", &call, "+4930555", "--mode", "blind", "--briefing", "Wants a refund."]);
    until("the transfer to fail", &|| !told(&gateway, &call, "transfer.ended").is_empty());
    let (started, ended) = (told(&gateway, &call, "transfer.started"), told(&gateway, &call, "transfer.ended"));
    assert_eq!((&started[0]["by"], &started[0]["mode"]), (&json!("operator"), &json!("blind")));
    assert_eq!(ended[0]["outcome"], "rejected", "no outbound route names it");
    assert_eq!(gateway.calls().unwrap().len(), 1, "the caller is with the agent again");

    let (code, said) = typed(&gateway, &["hold", "call_00000000000000000000000001"]);
    assert!(code == Some(1) && said.contains("404"), "{said}");
    // Commands need no port: the socket of the state folder leads to the gateway.
    let endpoints = gateway.state().join("endpoints.json");
    let mut told: Value = serde_json::from_slice(&std::fs::read(&endpoints).unwrap()).unwrap();
    told["admin"] = "127.0.0.1:9".into();
    std::fs::write(&endpoints, told.to_string()).unwrap();
    ok(&["hangup", &call]);
    let report = caller.finish().unwrap();
    let spoke: Vec<(f64, f64)> = report
        .events
        .iter()
        .filter_map(|event| match event.what {
            Happened::AgentStopped { from_ms, to_ms } => Some((from_ms as f64, to_ms as f64)),
            _ => None,
        })
        .collect();
    // Orders take effect at the next tick; a busy machine may be a little late with them.
    let rests = spoke.windows(2).any(|pair| pair[0].1 < held + 500.0 && pair[1].0 > resumed - 200.0);
    assert!(rests, "nothing is heard on hold, from {held} to {resumed} ms: {spoke:?}");
    gateway.stop().unwrap();
}
