//! kill -9 in mid-call: after the restart the call is closed as `gateway_crashed` with its checkpointed usage, once.

use std::time::Duration;

use serde_json::json;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::control_plane::ControlPlane;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

#[test]
fn the_call_is_closed_with_what_it_had_used() {
    let scratch = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(scratch.path()).unwrap();
    let greeting = "Hello. This greeting is long enough for the call to be in the middle of it when the gateway ends.";
    let agent = control_plane.create("/v1/agents", &objects::offline_agent(greeting)).unwrap();
    control_plane.create("/v1/trunks", &objects::loopback_trunk()).unwrap();
    control_plane.create("/v1/routes", &json!({ "name": "all", "agent": agent })).unwrap();
    let options = Options::default().with("TRUNKLINE_LIMITS__CHECKPOINT_S", "1");
    let mut gateway = Gateway::enrolled(scratch.path(), &control_plane, options).unwrap();
    gateway.await_agents(1).unwrap();

    let waiting = script(&json!({ "steps": [{ "pause": { "ms": 20_000 } }] })).unwrap();
    let mut caller = Caller::call(gateway.sip(), "1000", 1, waiting).unwrap();
    caller.await_answer().unwrap();
    let call = gateway.calls().unwrap()[0]["id"].as_str().unwrap().to_owned();
    // A checkpoint is due every second: the third is surely on disk once three seconds of call are.
    wait::until_true("three seconds of call", Duration::from_secs(20), || {
        let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
        let answered = seen["call"]["answered_us"].as_u64().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
        now > answered + 3_500_000
    })
    .unwrap();
    gateway.kill().unwrap();

    let gateway = gateway.start_again().unwrap();
    let record = control_plane.await_ended_call(&call, Duration::from_secs(30)).unwrap();
    assert_eq!(record["failure"], "gateway_crashed", "{record}");
    let used: u64 = record["cost"]["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part["unit"] == "call_ms")
        .map(|part| part["quantity"].as_u64().unwrap())
        .sum();
    assert!((1500..10_000).contains(&used), "checkpointed {used} ms: {record}");
    let events = control_plane.await_timeline(&call, Duration::from_secs(20)).unwrap();
    let sequence: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=sequence.len() as u64).collect::<Vec<_>>());
    assert_eq!(control_plane.calls().unwrap().len(), 1);
    drop((gateway, caller));
}
