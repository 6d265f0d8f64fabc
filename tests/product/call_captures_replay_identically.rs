//! A call is captured by order, sealed to its tenant's key, fetched, and lived again by `trunkline replay`: identically, by
//! this build and by another; a copy holds nobody's words, a torn file replays as far as it goes, a changed one is refused.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::process::from_environment;
use trunkline_tests::{objects, wait};

const GREETING: &str = "Welcome to the Quellental physiotherapy, how may I assist you today?";
/// Words that somebody might know somebody by, and those that were said and heard.
const TELLING: [&str; 3] = ["quellental", "physiotherapy", "4930123456"];
const HEARD: [&str; 2] = ["goodbye", "said"];

/// What a command says, and its exit code.
fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

fn typed(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    said(&mut gateway.command(arguments).unwrap())
}

fn ok(gateway: &Gateway, arguments: &[&str]) -> String {
    let (code, said) = typed(gateway, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    said
}

/// A gateway whose recordings and captures are sealed to the key in the file that comes with it.
fn sealing(scratch: &Path) -> (Gateway, PathBuf) {
    let key = scratch.join("tenant.key");
    let mut keygen = Command::new(from_environment("TRUNKLINE_BIN").unwrap());
    let made = keygen.args(["recording", "keygen", "--out"]).arg(&key).output().unwrap();
    let public = String::from_utf8(made.stdout).unwrap();
    let agent = objects::answering(&objects::offline_agent(GREETING)).unwrap();
    let agent = objects::sealing_to(&agent, public.trim()).unwrap();
    let gateway = Gateway::standalone(scratch, &agent, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    (gateway, key)
}

fn conversation() -> Value {
    json!({ "steps": [
        { "wait_for_agent": { "quiet_ms": 500 } }, { "dtmf": { "key": "7" } }, { "wait_for_agent": { "quiet_ms": 500 } },
        { "interrupt": { "after_ms": 600, "say": { "text": "goodbye" } } }, { "wait_for_hang_up": {} },
    ] })
}

fn calls(gateway: &Gateway, seeds: std::ops::Range<u64>) {
    let script = script(&conversation()).unwrap();
    let callers: Vec<_> =
        seeds.map(|seed| Caller::call(gateway.sip(), "1000", seed, script.clone()).unwrap()).collect();
    for caller in callers {
        let report = caller.finish().unwrap();
        assert!(report.events.iter().any(|event| matches!(event.what, trunkline_caller::Happened::Answered)));
    }
}

/// Captures once none of them is in progress.
fn captured(gateway: &Gateway, many: usize) -> Vec<String> {
    let mut found = Vec::new();
    wait::until_true("the captures", Duration::from_secs(20), || {
        let states: Value = serde_json::from_str(&ok(gateway, &["capture", "list", "--json"])).unwrap();
        let captures = states["captures"].as_array().unwrap().clone();
        found = captures.iter().map(|capture| capture["call"].as_str().unwrap().to_owned()).collect();
        found.len() == many && captures.iter().all(|capture| capture["running"] == false && capture["sealed"] == true)
    })
    .unwrap();
    found
}

fn replay(program: &str, arguments: &[&Path], more: &[&str]) -> (Option<i32>, String) {
    said(Command::new(from_environment(program).unwrap()).arg("replay").args(arguments).args(more))
}

#[test]
fn a_call_is_captured_by_order_and_replays_identically() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let (mut gateway, key) = sealing(scratch.path());
    ok(&gateway, &["capture", "start", "--calls", "1", "--to", "1000", "--agent", "offline", "--trunk", "loopback"]);
    let (code, refused) = typed(&gateway, &["capture", "start", "--call", "call_00000000000000000000000001"]);
    assert!(code == Some(1) && refused.contains("409") && refused.contains("from its beginning"), "{refused}");
    calls(&gateway, 1..2);
    calls(&gateway, 2..3);
    let call = captured(&gateway, 1).remove(0);
    let file = path("call.capture");
    ok(&gateway, &["capture", "get", &call, "--out", file.to_str().unwrap()]);
    gateway.stop().unwrap();

    let key = ["--key", key.to_str().unwrap()];
    let (code, identical) = replay("TRUNKLINE_BIN", &[&file], &key);
    assert!(code == Some(0) && identical.contains("identical to its end"), "{identical}");
    let (code, refused) = replay("TRUNKLINE_BIN", &[&file], &[]);
    assert!(code == Some(2) && refused.contains("--key"), "{refused}");
    let (code, shown) = replay("TRUNKLINE_BIN", &[&file], &[&key[..], &["--show"]].concat());
    let shown_words = ["Quellental", "start_llm", "call.answered", "DTMF 7", "turn.waterfall", "goodbye"];
    assert!(code == Some(0) && shown_words.iter().all(|word| shown.contains(word)), "{shown}");

    // A file that a crash has cut, and one that somebody has changed.
    let sealed = std::fs::read(&file).unwrap();
    assert!(!sealed.windows(10).any(|window| window == b"Quellental"), "nothing lies in clear");
    std::fs::write(path("torn"), &sealed[..sealed.len() * 2 / 3]).unwrap();
    let (code, torn) = replay("TRUNKLINE_BIN", &[&path("torn")], &key);
    assert!(code == Some(0) && torn.contains("torn"), "{torn}");
    let mut changed = sealed;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(path("changed"), &changed).unwrap();
    let (code, refused) = replay("TRUNKLINE_BIN", &[&path("changed")], &key);
    assert!(code == Some(2) && refused.contains("damaged"), "{refused}");

    // A copy without words, which is a call of its own and a test.
    let copy = path("copy.jsonl");
    let mut make = Command::new(from_environment("TRUNKLINE_BIN").unwrap());
    let (code, made) = said(make.args(["capture", "test"]).arg(&file).arg("--out").arg(&copy).args(key));
    assert_eq!(code, Some(0), "{made}");
    let text = std::fs::read_to_string(&copy).unwrap();
    // What it was told; what it says of tools that every agent has is the gateway's own.
    let told: String = text.lines().filter(|line| line.starts_with("{\"told\"")).collect();
    let left = |text: &str, words: &[&str]| {
        let text = text.to_lowercase();
        words.iter().filter(|word| text.contains(**word)).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((left(&text, &TELLING), left(&told, &HEARD)), (Vec::new(), Vec::new()));
    let (code, again) = replay("TRUNKLINE_BIN", &[&copy], &[]);
    assert!(code == Some(0) && again.contains("identical to its end"), "{again}");

    // One output that was another.
    let other = text.replacen("\"type\":\"call.answered\"", "\"type\":\"call.answerer\"", 1);
    assert_ne!(other, text);
    std::fs::write(path("other.jsonl"), other).unwrap();
    let (code, diverged) = replay("TRUNKLINE_BIN", &[&path("other.jsonl")], &[]);
    assert!(code == Some(1) && diverged.contains("goes another way at input"), "{diverged}");
    assert!(diverged.contains("call.answerer") && diverged.contains("call.answered"), "{diverged}");
}

#[test]
fn calls_go_on_while_some_of_them_are_captured() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut gateway, key) = sealing(scratch.path());
    ok(&gateway, &["capture", "start", "--calls", "5"]);
    calls(&gateway, 1..9);
    for call in captured(&gateway, 5) {
        let file = scratch.path().join(&call);
        ok(&gateway, &["capture", "get", &call, "--out", file.to_str().unwrap()]);
        let (code, said) = replay("TRUNKLINE_BIN", &[&file], &["--key", key.to_str().unwrap()]);
        assert!(code == Some(0) && said.contains("identical to its end"), "{said}");
    }
    gateway.stop().unwrap();
}

#[test]
fn nothing_is_captured_in_clear_unless_it_was_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let agent = objects::answering(&objects::offline_agent("Hello.")).unwrap();
    let mut gateway = Gateway::standalone(scratch.path(), &agent, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let (code, refused) = typed(&gateway, &["capture", "start"]);
    assert!(code == Some(1) && refused.contains("recording_key") && refused.contains("--clear"), "{refused}");
    ok(&gateway, &["capture", "start", "--clear", "--for", "2m"]);
    assert!(ok(&gateway, &["capture", "list"]).contains("in clear where there is no key: 0 taken, 1 to come"));
    assert!(ok(&gateway, &["capture", "stop"]).contains("1 orders and 0 captures"));
    gateway.stop().unwrap();
    assert!(gateway.process().log().contains("IN CLEAR"));
}

#[test]
fn captures_of_earlier_builds_replay_identically_in_this_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/call/tests/captures");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let captures: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "jsonl")).collect();
    assert!(captures.len() >= 3, "{captures:?}");
    for file in captures {
        let (code, said) = replay("TRUNKLINE_BIN", &[&file], &[]);
        assert!(code == Some(0) && said.contains("identical to its end"), "{}: {said}", file.display());
    }
}

#[test]
#[ignore = "slow: takes the release build"]
fn a_captured_call_replays_identically_in_another_build() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut gateway, key) = sealing(scratch.path());
    ok(&gateway, &["capture", "start"]);
    calls(&gateway, 1..2);
    let call = captured(&gateway, 1).remove(0);
    let file = scratch.path().join("call.capture");
    ok(&gateway, &["capture", "get", &call, "--out", file.to_str().unwrap()]);
    gateway.stop().unwrap();
    let replayed = ["TRUNKLINE_BIN", "TRUNKLINE_RELEASED_BIN"]
        .map(|build| replay(build, &[&file], &["--key", key.to_str().unwrap()]));
    assert!(replayed[0].0 == Some(0) && replayed[0] == replayed[1], "{replayed:?}");
}
