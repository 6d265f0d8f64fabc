//! A recording is started, paused, resumed and stopped in a call by an operator's commands; the timeline tells of each,
//! silence stands for what was said while it was paused, and an agent that wants no recording in clear gets none.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_caller::Happened;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::wav::Wav;
use trunkline_tests::{objects, wait};

/// Spoken without a pause for longer than the test takes.
fn long_greeting() -> String {
    "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen ".repeat(8)
}

/// What a command of the gateway says, and its exit code.
fn typed(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.command(arguments).unwrap().output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

/// Call times in ms of a call's events of a type.
fn times(gateway: &Gateway, call: &str, kind: &str) -> Vec<f64> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let of_kind = |event: &&Value| event["type"] == kind;
    let at = |event: &Value| event["at"]["call_us"].as_u64().unwrap() as f64 / 1000.0;
    seen["events"].as_array().unwrap().iter().filter(of_kind).map(at).collect()
}

#[test]
fn a_recording_starts_pauses_resumes_and_stops_in_a_call() {
    let scratch = tempfile::tempdir().unwrap();
    let mut agent = objects::offline_agent(&long_greeting());
    agent["recording"] = json!({ "enabled": false, "beep": "start" });
    let agents = objects::answering(&agent).unwrap();
    let mut gateway = Gateway::standalone(scratch.path(), &agents, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let waiting = script(&json!({ "steps": [{ "pause": { "ms": 30_000 } }] })).unwrap();
    let mut caller = Caller::call(gateway.sip(), "1000", 1, waiting).unwrap();
    caller.await_answer().unwrap();
    let call = gateway.calls().unwrap()[0]["id"].as_str().unwrap().to_owned();
    let order = |order: &str| typed(&gateway, &["recording", order, &call]);
    let pass_ms = |what: &str, ms: f64| {
        let from = times(&gateway, &call, what).pop().unwrap();
        wait::until_true("the call to go on", Duration::from_secs(20), || {
            let seen = gateway.calls().unwrap()[0]["answered_us"].as_u64().unwrap();
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
            (now - seen) as f64 / 1000.0 > from + ms
        })
        .unwrap();
    };
    wait::until_true("the greeting", Duration::from_secs(20), || {
        !times(&gateway, &call, "playback.started").is_empty()
    })
    .unwrap();

    let (code, said) = order("pause");
    assert!(code == Some(1) && said.contains("409") && said.contains("start a recording first"), "{said}");
    let (code, said) = order("start");
    assert!(code == Some(0) && said.contains(&format!("{call} recording: recordings/{call}.wav")), "{said}");
    assert!(order("start").1.contains("is being recorded already"));
    pass_ms("recording.started", 1500.0);
    assert_eq!(order("pause").0, Some(0));
    assert_eq!(gateway.calls().unwrap()[0]["recording_state"]["state"], "paused");
    pass_ms("recording.paused", 1500.0);
    assert_eq!(order("resume").0, Some(0));
    pass_ms("recording.resumed", 1500.0);
    assert_eq!(order("stop").0, Some(0));
    wait::until_true("its end in the timeline", Duration::from_secs(10), || {
        times(&gateway, &call, "recording.ended").len() == 1
    })
    .unwrap();

    let at = |what: &str| times(&gateway, &call, what)[0];
    let (started, paused, resumed) = (at("recording.started"), at("recording.paused"), at("recording.resumed"));
    let wav = Wav::read(&gateway.state().join(format!("recordings/{call}.wav"))).unwrap();
    let agent = &wav.channels[1];
    let part = |from_ms: f64, to_ms: f64| {
        let sample = |ms: f64| ((ms - started) * f64::from(wav.rate) / 1000.0) as usize;
        &agent[sample(from_ms)..sample(to_ms).min(agent.len())]
    };
    let loud = |samples: &[i16]| samples.iter().filter(|sample| sample.unsigned_abs() > 300).count();
    // Orders take effect at the next tick; a busy machine may be a little late with them.
    assert_eq!(loud(part(paused + 200.0, resumed - 200.0)), 0, "what was said while paused is not in the file");
    assert!(loud(part(started + 300.0, paused - 200.0)) > 1000, "the agent is there before");
    assert!(loud(part(resumed + 200.0, resumed + 1200.0)) > 1000, "and after");
    // Silence stands in the place of what was said: the file is as long as it was recorded.
    let length_ms = agent.len() as f64 * 1000.0 / f64::from(wav.rate);
    assert!(length_ms > resumed + 1500.0 - started - 300.0, "{length_ms}");

    // The second recording of a call is another file.
    assert!(order("start").1.contains(&format!("recordings/{call}-2.wav")));
    assert_eq!(order("stop").0, Some(0));
    let (code, said) = typed(&gateway, &["recording", "start", "call_00000000000000000000000001"]);
    assert!(code == Some(1) && said.contains("404"), "{said}");
    let metrics = gateway.metrics().unwrap();
    assert!(metrics.contains("trunkline_recordings_begun_total 2\n"), "{metrics}");
    assert_eq!(typed(&gateway, &["hangup", &call]).0, Some(0));
    caller.finish().unwrap();
    gateway.stop().unwrap();
}

#[test]
fn an_agent_that_wants_no_recording_in_clear_refuses_calls_without_a_key() {
    let scratch = tempfile::tempdir().unwrap();
    let mut agent = objects::offline_agent("Hello.");
    agent["recording"] = json!({ "enabled": true, "without_key": "refuse" });
    let agents = objects::answering(&agent).unwrap();
    let mut gateway = Gateway::standalone(scratch.path(), &agents, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let brief = script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }] })).unwrap();
    let report = Caller::call(gateway.sip(), "1000", 1, brief).unwrap().finish().unwrap();
    let refused = |what: &Happened| matches!(what, Happened::Refused { status: 503, .. });
    assert!(report.events.iter().any(|event| refused(&event.what)), "{:?}", report.events);
    let metrics = gateway.metrics().unwrap();
    assert!(metrics.contains("trunkline_failures{failure=\"recording_unavailable\"} 1\n"), "{metrics}");
    assert_eq!(std::fs::read_dir(gateway.state().join("recordings")).unwrap().count(), 0);
    gateway.stop().unwrap();
}
