//! The control plane is stopped while twenty calls come: all are answered and finished, and after it returns every
//! usage record arrives once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use trunkline_tests::caller::{Caller, media, script};
use trunkline_tests::control_plane::ControlPlane;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

const CALLS: u64 = 20;

#[test]
fn twenty_calls_go_on_and_each_record_arrives_once() {
    let scratch = tempfile::tempdir().unwrap();
    let mut control_plane = ControlPlane::start(scratch.path()).unwrap();
    let mut agent = objects::offline_agent("Good morning.");
    agent["pipeline"]["cascade"]["asr"] = json!([]);
    let agent = control_plane.create("/v1/agents", &agent).unwrap();
    control_plane.create("/v1/trunks", &objects::loopback_trunk()).unwrap();
    control_plane.create("/v1/routes", &json!({ "name": "all", "agent": agent })).unwrap();
    let gateway = Gateway::enrolled(scratch.path(), &control_plane, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();

    let steps =
        script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }, { "pause": { "ms": 1500 } }] })).unwrap();
    let mut callers = Vec::new();
    for seed in 0..CALLS {
        if seed == CALLS / 4 {
            // A quarter of the calls are up when it goes.
            control_plane.stop().unwrap();
        }
        let mut caller = Caller::call(gateway.sip(), "1000", seed + 1, steps.clone()).unwrap();
        caller.await_answer().unwrap();
        callers.push(caller);
    }
    for caller in callers {
        let report = caller.finish().unwrap();
        let (_, received, _, _) = media(&report).unwrap();
        assert!(received > 30, "{:?}", report.events);
    }
    let finished =
        |metrics: &str| metrics.lines().any(|line| line == format!("trunkline_calls_finished_total {CALLS}"));
    wait::until_true("every record on disk", Duration::from_secs(20), || finished(&gateway.metrics().unwrap()))
        .unwrap();
    assert!(
        !gateway.metrics().unwrap().contains("trunkline_store_pending_usage 0\n"),
        "records wait for the control plane"
    );

    control_plane.start_again().unwrap();
    let all_there = || {
        let calls = control_plane.calls().unwrap();
        (calls.len() as u64 >= CALLS && calls.iter().all(|call| !call["ended_at"].is_null())).then_some(calls)
    };
    let calls = wait::until("every call at the control plane", Duration::from_secs(60), all_there).unwrap();
    let ids: BTreeSet<&str> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
    assert_eq!((calls.len() as u64, ids.len() as u64), (CALLS, CALLS));
    wait::until_true("the acknowledgements", Duration::from_secs(20), || {
        let metrics = gateway.metrics().unwrap();
        metrics.contains("trunkline_store_pending_usage 0\n") && metrics.contains("trunkline_store_pending_events 0\n")
    })
    .unwrap();

    // What was billed is what was recorded, neither more nor less.
    let rest = control_plane.rest();
    let billed: u64 = calls
        .iter()
        .map(|call| {
            let call = rest.get(&format!("/v1/calls/{}", call["id"].as_str().unwrap())).unwrap();
            let parts = call["cost"]["components"].as_array().unwrap().clone();
            parts
                .iter()
                .filter(|part| part["unit"] == "call_ms")
                .map(|part| part["quantity"].as_u64().unwrap())
                .sum::<u64>()
        })
        .sum();
    let usage = rest.get("/v1/tenants/me/usage").unwrap();
    let rolled_up: u64 = usage["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["component"]["unit"] == "call_ms")
        .map(|line| line["quantity"].as_u64().unwrap())
        .sum();
    assert_eq!(billed, rolled_up, "{usage}");
    let counted: u64 = usage["totals"].as_array().unwrap().iter().map(|total| total["calls"].as_u64().unwrap()).sum();
    assert_eq!(counted, CALLS, "{usage}");
}
