//! A gateway whose plugin pool has room for two calls' sessions serves two and refuses the third before it is answered,
//! by name; `check` says so beforehand, the metrics meanwhile, and the room comes back with the end of a call.

use std::time::Duration;

use serde_json::json;
use trunkline_caller::{Happened, Report};
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

/// A caller who stays on the line until the test has seen enough.
fn stays(gateway: &Gateway, seed: u64) -> Caller {
    let steps = json!({ "steps": [{ "wait_for_hang_up": { "timeout_ms": 60_000 } }] });
    let mut caller = Caller::call(gateway.sip(), "1000", seed, script(&steps).unwrap()).unwrap();
    caller.await_answer().unwrap();
    caller
}

fn greeted(gateway: &Gateway, seed: u64) -> Report {
    let steps = json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }] });
    Caller::call(gateway.sip(), "1000", seed, script(&steps).unwrap()).unwrap().finish().unwrap()
}

fn has(report: &Report, wanted: impl Fn(&Happened) -> bool) -> bool {
    report.events.iter().any(|event| wanted(&event.what))
}

#[test]
fn the_third_call_of_two_is_refused_and_the_others_go_on() {
    let scratch = tempfile::tempdir().unwrap();
    // The agent hears and speaks with heavy plugins, so that a call takes two sessions of their pool.
    let agent = objects::offline_agent("Hello.");
    let options = Options::default().with("TRUNKLINE_PLUGINS__HEAVY_SESSIONS", "4");
    let mut gateway = Gateway::standalone(scratch.path(), &objects::answering(&agent).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();

    let check = gateway.command(&["check"]).unwrap().output().unwrap();
    let (said, warned) = (String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    assert!(said.contains("room for 2 calls at once, bounded by sessions of heavy plugins"), "{said}");
    assert!(said.lines().any(|line| line.trim() == "2  sessions of heavy plugins: 4, 2 a call"), "{said}");
    assert!(warned.contains("plugins.heavy_sessions"), "{warned}");

    let (first, second) = (stays(&gateway, 1), stays(&gateway, 2));
    let refused = greeted(&gateway, 3);
    assert!(has(&refused, |what| matches!(what, Happened::Refused { status: 503, .. })), "{:?}", refused.events);
    assert!(!has(&refused, |what| matches!(what, Happened::Answered)), "{:?}", refused.events);

    let metrics = gateway.metrics().unwrap();
    for line in [
        "trunkline_capacity{pool=\"heavy_sessions\"} 4",
        "trunkline_capacity_used{pool=\"heavy_sessions\"} 4",
        "trunkline_capacity_used{pool=\"calls\"} 2",
        "trunkline_capacity_used{pool=\"media_ports\"} 2",
        "trunkline_failures{failure=\"no_plugin_sessions\"} 1",
        "trunkline_failures{failure=\"providers_exhausted\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in:\n{metrics}");
    }

    // One of the two is hung up on, and the next caller is served.
    let id = gateway.calls().unwrap()[0]["id"].as_str().unwrap().to_owned();
    assert!(gateway.command(&["hangup", &id]).unwrap().output().unwrap().status.success());
    wait::until_true("room for another call", Duration::from_secs(20), || {
        gateway.metrics().unwrap().contains("trunkline_capacity_used{pool=\"heavy_sessions\"} 2\n")
    })
    .unwrap();
    let served = greeted(&gateway, 4);
    assert!(has(&served, |what| matches!(what, Happened::AgentStarted)), "{:?}", served.events);

    gateway.stop().unwrap();
    assert!(first.finish().is_ok() && second.finish().is_ok());
}
