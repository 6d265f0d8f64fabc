//! An agent whose plugins are missing, refused or do not take its settings: `check` names it and ends with 2, and its
//! calls are refused with 503 before they are answered, while other agents on the same gateway are served.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_caller::{Happened, Report};
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::control_plane::ControlPlane;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

fn named(name: &str) -> Value {
    let mut agent = objects::offline_agent("Hello.");
    agent["name"] = name.into();
    agent
}

fn call(gateway: &Gateway, to: &str, seed: u64) -> Report {
    let hang_up_soon = script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }] })).unwrap();
    Caller::call(gateway.sip(), to, seed, hang_up_soon).unwrap().finish().unwrap()
}

fn refused(report: &Report) -> Option<u16> {
    report.events.iter().find_map(|event| match event.what {
        Happened::Refused { status, .. } => Some(status),
        _ => None,
    })
}

fn answered(report: &Report) -> bool {
    report.events.iter().any(|event| matches!(event.what, Happened::Answered))
}

#[test]
fn its_calls_get_503_and_those_of_others_are_answered() {
    let scratch = tempfile::tempdir().unwrap();
    let mut missing = named("mute");
    missing["pipeline"]["cascade"]["tts"] = json!([{ "provider": "siren" }]);
    let mut misset = named("misset");
    misset["pipeline"]["cascade"]["asr"] = json!([{ "provider": "grammar", "settings": { "rulez": [] } }]);
    let mut stands_in = named("covered");
    stands_in["pipeline"]["cascade"]["tts"] = json!([{ "provider": "siren" }, { "provider": "espeak" }]);
    let agents = [("1000", named("whole")), ("2000", missing), ("3000", misset), ("4000", stands_in)];
    let mut gateway =
        Gateway::standalone(scratch.path(), &objects::routed(&agents).unwrap(), Options::default()).unwrap();
    gateway.await_agents(4).unwrap();

    for (seed, to) in [(1, "2000"), (2, "3000")] {
        let report = call(&gateway, to, seed);
        assert_eq!(refused(&report), Some(503), "{:?}", report.events);
        assert!(!answered(&report), "{:?}", report.events);
    }
    for (seed, to) in [(3, "1000"), (4, "4000")] {
        let report = call(&gateway, to, seed);
        assert!(answered(&report), "{to}: {:?}", report.events);
    }
    let metrics = gateway.metrics().unwrap();
    assert!(metrics.contains("trunkline_failures{failure=\"agent_unready\"} 2\n"), "{metrics}");
    assert!(metrics.contains("trunkline_calls_refused_total 2\n"), "{metrics}");
    let status = gateway.admin().unwrap().get("/v1/status").unwrap();
    assert_eq!((&status["agents"], &status["agents_ready"]), (&json!(4), &json!(2)), "{status}");
    let log = gateway.process().log();
    for words in [["mute", "siren"], ["misset", "grammar"]] {
        assert!(log.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} in:\n{log}");
    }

    for (command, code) in [("check", 2), ("doctor", 1)] {
        let output = gateway.command(&[command]).unwrap().output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{command}: {said}");
        for (agent, place, words) in [
            ("mute", "pipeline.cascade.tts.0", "plugin `siren` is not installed"),
            ("misset", "pipeline.cascade.asr.0", "rulez"),
            ("covered", "pipeline.cascade.tts.0", "plugin `siren` is not installed"),
        ] {
            let agent = format!("agent `{agent}`");
            let names = |line: &str| [agent.as_str(), place, words].into_iter().all(|part| line.contains(part));
            assert!(said.lines().any(names), "{command}: {agent} {words} in:\n{said}");
        }
        assert!(!said.contains("agent `whole`"), "{said}");
    }
}

#[test]
fn so_it_is_with_an_agent_of_a_control_plane() {
    let scratch = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(scratch.path()).unwrap();
    let mut agent = named("mute");
    agent["pipeline"]["cascade"]["tts"] = json!([{ "provider": "siren" }]);
    let agent = control_plane.create("/v1/agents", &agent).unwrap();
    control_plane.create("/v1/trunks", &objects::loopback_trunk()).unwrap();
    control_plane.create("/v1/routes", &json!({ "name": "all", "agent": agent })).unwrap();
    let mut gateway = Gateway::enrolled(scratch.path(), &control_plane, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    assert_eq!(refused(&call(&gateway, "1000", 1)), Some(503));
    let admin = gateway.admin().unwrap();
    wait::until_true("the fault in the status", Duration::from_secs(10), || {
        let faults = admin.get("/v1/status").unwrap()["agent_faults"].to_string();
        faults.contains(&agent) && faults.contains("siren")
    })
    .unwrap();
    let log = gateway.process().log();
    assert!(log.lines().any(|line| line.contains(&agent) && line.contains("siren")), "{log}");
}
