//! Two agents, two kinds of sound: what takes out the noise and what finds the speech stands in each call's timeline, and
//! the metrics page counts calls by it, beside the figures of the media workers.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

const GREETING: &str = "Good morning. This greeting is long enough for somebody to look at the figures while it lasts.";

#[test]
#[ignore = "alone: nothing is left out for load"]
fn engine_and_detector_are_named_per_call() {
    let scratch = tempfile::tempdir().unwrap();
    let mut cheap = objects::offline_agent(GREETING);
    cheap["sound"] = json!({ "denoiser": "economy", "agc": true, "feed": "raw" });
    cheap["requires"] = json!(["sound"]);
    let agents = [("1000", objects::offline_agent(GREETING)), ("2000", cheap)];
    let mut gateway =
        Gateway::standalone(scratch.path(), &objects::routed(&agents).unwrap(), Options::default()).unwrap();
    gateway.await_agents(2).unwrap();

    let steps = json!({ "steps": [
        { "wait_for_agent": { "quiet_ms": 700 } }, { "say": { "text": "goodbye" } }, { "wait_for_hang_up": {} },
    ] });
    let mut callers: Vec<Caller> = [(1, "1000"), (2, "2000")]
        .into_iter()
        .map(|(seed, user)| Caller::call(gateway.sip(), user, seed, script(&steps).unwrap()).unwrap())
        .collect();
    callers.iter_mut().for_each(|caller| drop(caller.await_answer().unwrap()));

    let line = |page: &str, denoiser: &str| -> bool {
        page.lines().any(|line| {
            line.starts_with("trunkline_media_legs_by_engine{")
                && line.contains(&format!("denoiser=\"{denoiser}\""))
                && line.contains("detector=\"fused+silero\"")
                && line.ends_with(" 1")
        })
    };
    wait::until_true("one call of each engine", Duration::from_secs(20), || {
        gateway.metrics().is_ok_and(|page| line(&page, "lanes") && line(&page, "economy"))
    })
    .unwrap_or_else(|error| panic!("{error}:\n{}", gateway.metrics().unwrap()));
    let page = gateway.metrics().unwrap();
    for series in ["late_phases", "skipped_phases", "worst_late_us", "load_permille", "shedding"] {
        let line = format!("trunkline_media_worker_{series}{{worker=\"0\"}} ");
        assert!(page.contains(&line), "{series} is missing:\n{page}");
    }

    let calls = gateway.calls().unwrap();
    let id_of = |user: &str| {
        let call = calls.iter().find(|call| call["to"] == user).unwrap();
        call["id"].as_str().unwrap().to_owned()
    };
    let ids = [id_of("1000"), id_of("2000")];
    callers.into_iter().for_each(|caller| drop(caller.finish().unwrap()));
    for (id, denoiser) in ids.iter().zip(["lanes", "economy"]) {
        let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{id}")).unwrap();
        let applied: Vec<&Value> = seen["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["type"] == "sound.applied")
            .map(|event| &event["data"])
            .collect();
        assert_eq!(applied, [&json!({ "denoiser": denoiser, "detector": "fused+silero", "shed": false })]);
    }
    gateway.stop().unwrap();
}
