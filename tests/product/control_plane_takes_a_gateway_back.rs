//! A gateway joins a second time: after it was deleted at the control plane, and after the control plane began to speak
//! TLS. `trunkline doctor` says that it has to, and afterwards nothing is lost and nothing counts twice.

use std::time::Duration;

use serde_json::json;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::control_plane::ControlPlane;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

const PATIENCE: Duration = Duration::from_secs(60);

/// One that answers without a recogniser, which nobody speaks to here.
fn objects_for(control_plane: &ControlPlane) {
    let mut agent = objects::offline_agent("Good morning.");
    agent["pipeline"]["cascade"]["asr"] = json!([]);
    let agent = control_plane.create("/v1/agents", &agent).unwrap();
    control_plane.create("/v1/trunks", &objects::loopback_trunk()).unwrap();
    control_plane.create("/v1/routes", &json!({ "name": "all", "agent": agent })).unwrap();
}

fn call(gateway: &Gateway, seed: u64) {
    let steps = script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }] })).unwrap();
    Caller::call(gateway.sip(), "1000", seed, steps).unwrap().finish().unwrap();
}

/// Exit code and text of `trunkline doctor`.
fn doctor(gateway: &Gateway) -> (i32, String) {
    let said = gateway.command(&["doctor"]).unwrap().output().unwrap();
    (said.status.code().unwrap(), String::from_utf8(said.stdout).unwrap())
}

#[track_caller]
fn doctor_sends_for_an_enrolment(gateway: &Gateway) {
    wait::until_true("the doctor to say what to do", PATIENCE, || {
        let (code, said) = doctor(gateway);
        code == 1 && said.lines().any(|line| line.starts_with("BAD") && line.contains("`trunkline enrol"))
    })
    .unwrap_or_else(|error| panic!("{error}: {}", doctor(gateway).1));
}

#[track_caller]
fn doctor_is_content(gateway: &Gateway) {
    wait::until_true("the doctor to be content", PATIENCE, || doctor(gateway).0 == 0)
        .unwrap_or_else(|error| panic!("{error}: {}", doctor(gateway).1));
}

fn enrol(gateway: &Gateway, url: &str, token: &str) {
    let enrolled = gateway.command(&["enrol", url, token]).unwrap().output().unwrap();
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
}

fn nothing_waits(gateway: &Gateway) {
    wait::until_true("the acknowledgements", PATIENCE, || {
        let metrics = gateway.metrics().unwrap();
        metrics.contains("trunkline_store_pending_usage 0\n") && metrics.contains("trunkline_store_pending_events 0\n")
    })
    .unwrap_or_else(|error| panic!("{error}: {}", doctor(gateway).1));
}

#[test]
fn after_its_deletion_it_enrols_again_and_its_backlog_arrives() {
    let scratch = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(scratch.path()).unwrap();
    objects_for(&control_plane);
    let mut gateway = Gateway::enrolled(scratch.path(), &control_plane, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    call(&gateway, 1);
    nothing_waits(&gateway);
    doctor_is_content(&gateway);

    let rest = control_plane.rest();
    let first = rest.get("/v1/gateways").unwrap()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(rest.send("DELETE", &format!("/v1/gateways/{first}"), None).unwrap().status, 204);
    // It goes on with what it has, and its records wait.
    doctor_sends_for_an_enrolment(&gateway);
    call(&gateway, 2);
    wait::until_true("a record that waits", PATIENCE, || {
        !gateway.metrics().unwrap().contains("trunkline_store_pending_usage 0\n")
    })
    .unwrap();

    enrol(&gateway, &control_plane.sync_url(), &control_plane.enrolment_token().unwrap());
    gateway.stop().unwrap();
    let gateway = gateway.start_again().unwrap();
    gateway.await_agents(1).unwrap();
    call(&gateway, 3);
    nothing_waits(&gateway);
    doctor_is_content(&gateway);
    let calls = control_plane.calls().unwrap();
    assert!(calls.len() == 3 && calls.iter().all(|call| !call["ended_at"].is_null()), "{calls:?}");
    for call in &calls {
        let events = control_plane.await_timeline(call["id"].as_str().unwrap(), PATIENCE).unwrap();
        let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    }
    let usage = rest.get("/v1/tenants/me/usage").unwrap();
    let counted: u64 = usage["totals"].as_array().unwrap().iter().map(|total| total["calls"].as_u64().unwrap()).sum();
    assert_eq!(counted, 3, "{usage}");
}

#[test]
fn when_the_control_plane_begins_to_speak_tls_it_enrols_again_with_its_key() {
    let scratch = tempfile::tempdir().unwrap();
    let mut control_plane = ControlPlane::start(scratch.path()).unwrap();
    objects_for(&control_plane);
    let mut gateway = Gateway::enrolled(scratch.path(), &control_plane, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    control_plane.stop().unwrap();
    call(&gateway, 1);
    control_plane.start_again_over_tls().unwrap();
    doctor_sends_for_an_enrolment(&gateway);

    // Another URL alone does not help, and it says so.
    gateway.stop().unwrap();
    let folder = scratch.path().join("gateway");
    let other_url = Options::default().with("TRUNKLINE_CONTROL_PLANE__URL", &control_plane.sync_url());
    let mut gateway = Gateway::in_folder(&folder, other_url).unwrap();
    doctor_sends_for_an_enrolment(&gateway);
    gateway.stop().unwrap();

    let gateway = Gateway::in_folder(&folder, Options::default()).unwrap();
    enrol(&gateway, &control_plane.sync_url(), &control_plane.typed_token().unwrap());
    let gateway = gateway.start_again().unwrap();
    nothing_waits(&gateway);
    doctor_is_content(&gateway);
}
