//! Without a control plane, ended calls stay readable on the gateway after it has forgotten them: `trace` and `usage`
//! ask the running gateway, and read its store while none runs; what is not there is said truthfully.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

fn said(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.command(arguments).unwrap().output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

fn usage(gateway: &Gateway) -> Value {
    let output = gateway.command(&["usage", "--json"]).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn trace_and_usage_read_it_whether_the_gateway_runs_or_not() {
    let scratch = tempfile::tempdir().unwrap();
    let agents = objects::answering(&objects::offline_agent("Hello there.")).unwrap();
    let gateway = Gateway::standalone(scratch.path(), &agents, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let listen = script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }] })).unwrap();
    Caller::call(gateway.sip(), "1000", 1, listen).unwrap().finish().unwrap();
    let id = wait::until("the end of the call", Duration::from_secs(10), || {
        let calls = gateway.admin().ok()?.get("/v1/calls?ended=true").ok()?;
        let call = calls.as_array()?.first()?.clone();
        (call["ended"] == true).then(|| call["id"].as_str().map(str::to_owned))?
    })
    .unwrap();

    // A new process has nothing in memory.
    let mut gateway = gateway.start_again().unwrap();
    assert_eq!(gateway.admin().unwrap().get("/v1/calls?ended=true").unwrap(), json!([]));
    let unknown = "call_00000000000000000000000001";
    for running in [true, false] {
        if !running {
            gateway.stop().unwrap();
        }
        let (code, trace) = said(&gateway, &["trace", &id]);
        assert_eq!(code, Some(0), "{trace}");
        for part in ["+4930123456 -> 1000", "call.started", "agent.said", "Hello there.", "call.ended"] {
            assert!(trace.contains(part), "{part} in:\n{trace}");
        }
        let used = usage(&gateway);
        assert_eq!(used["calls"].as_array().unwrap().len(), 1, "{used}");
        assert_eq!(used["calls"][0]["call"], id.as_str());
        let spoken = used["totals"].as_array().unwrap().iter().find(|sum| sum["kind"] == "tts").unwrap();
        assert!(spoken["units"]["tts_chars"].as_u64() >= Some(12), "{used}");
        assert_eq!(used["retired"]["records"], 0, "{used}");
        let (code, table) = said(&gateway, &["usage"]);
        assert!(code == Some(0) && table.contains(&id) && table.contains("1 calls\n") && table.contains("tts_chars"));
        let (code, table) = said(&gateway, &["usage", "--since", "2999-01-01"]);
        assert!(code == Some(0) && !table.contains(&id), "{table}");
        let (code, nothing) = said(&gateway, &["trace", unknown]);
        assert_eq!(code, Some(1), "{nothing}");
        assert!(nothing.contains("older than") && !nothing.contains("control plane"), "{nothing}");
    }
}
