//! U+0000 from a provider does not get past the gateway, and a record that holds one all the same is set aside at the
//! control plane: neither holds back what comes behind it.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::control_plane::ControlPlane;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

const PATIENCE: Duration = Duration::from_secs(60);

/// Calls `user`, presses a key once greeted and hears the answer.
fn call(gateway: &Gateway, user: &str, seed: u64) {
    let steps = script(&json!({ "steps": [
        { "wait_for_agent": { "quiet_ms": 300 } }, { "dtmf": { "key": "1" } }, { "wait_for_agent": { "quiet_ms": 300 } },
    ] }))
    .unwrap();
    Caller::call(gateway.sip(), user, seed, steps).unwrap().finish().unwrap();
}

#[test]
fn what_comes_behind_it_arrives() {
    let scratch = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(scratch.path()).unwrap();
    let mut agent = objects::offline_agent("Good morning.");
    agent["pipeline"]["cascade"]["asr"] = json!([]);
    agent["turn"] = json!({ "dtmf_gap_ms": 200 });
    let plain = control_plane.create("/v1/agents", &agent).unwrap();
    control_plane.create("/v1/trunks", &objects::loopback_trunk()).unwrap();
    control_plane.create("/v1/routes", &json!({ "name": "all", "order": 10, "agent": plain })).unwrap();
    let folder = scratch.path().join("objects");
    std::fs::create_dir(&folder).unwrap();
    let options = Options::default().with("TRUNKLINE_OBJECTS__DIR", &folder.display().to_string());
    let mut gateway = Gateway::enrolled(scratch.path(), &control_plane, options).unwrap();
    gateway.await_agents(1).unwrap();
    call(&gateway, "1000", 1);
    let seen = gateway.admin().unwrap().get("/v1/calls?ended=true").unwrap();
    let tenant = seen[0]["tenant"].as_str().unwrap();

    // An object file says what REST would refuse. The greeting comes from no provider, the answer does.
    agent["greeting"] = json!("Good mor\0ning.");
    agent["pipeline"]["cascade"]["llm"] =
        json!([{ "provider": "scripted", "settings": { "fallback": { "say": "Hello wor\0ld." } } }]);
    let object = |kind: &str, id: &str, body: Value| json!({ "kind": kind, "id": id, "tenant": tenant, "body": body });
    let route = json!({ "name": "odd", "called": "2000", "agent": objects::id::AGENT });
    let own = [object("agent", objects::id::AGENT, agent), object("route", objects::id::ROUTE, route)];
    std::fs::write(folder.join("own.toml"), toml::to_string(&json!({ "object": own })).unwrap()).unwrap();
    gateway.stop().unwrap();
    let gateway = gateway.start_again().unwrap();
    gateway.await_agents(2).unwrap();
    call(&gateway, "2000", 2);

    let odd = wait::until("the call at the control plane", PATIENCE, || {
        let calls = control_plane.calls().ok()?;
        calls.into_iter().find(|call| call["to"] == "2000" && !call["ended_at"].is_null())
    })
    .unwrap();
    let events = control_plane.await_timeline(odd["id"].as_str().unwrap(), PATIENCE).unwrap();
    let said: Vec<&str> = events
        .iter()
        .filter(|event| event["type"] == "agent.said")
        .map(|event| event["data"]["text"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["Hello world."], "{events:?}");
    let gateways = control_plane.rest().get("/v1/gateways").unwrap();
    let path = format!("/v1/gateways/{}", gateways[0]["id"].as_str().unwrap());
    let alarms = control_plane.rest().get(&path).unwrap()["alarms"].clone();
    let reasons: Vec<&str> = alarms.as_array().unwrap().iter().map(|alarm| alarm["detail"].as_str().unwrap()).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason.ends_with("nul_character")), "{reasons:?}");
    let doctor = gateway.command(&["doctor"]).unwrap().output().unwrap();
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
}
