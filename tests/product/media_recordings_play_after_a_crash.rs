//! kill -9 in mid-call: the recording plays up to its last second, in clear as it lies and sealed after it was opened,
//! and the next start sets right what the crash left.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::wav::Wav;
use trunkline_tests::{objects, wait};

const GREETING: &str =
    "Hello. This greeting is long enough for the call to be in the middle of it when the gateway ends.";

/// Seconds of both voices that a file plays.
fn seconds(path: &Path) -> f64 {
    let wav = Wav::read(path).unwrap();
    assert_eq!((wav.channels.len(), wav.channels[0].len()), (2, wav.channels[1].len()));
    assert!(wav.loud_ms(1, -40.0) > 1000, "the agent is on the right");
    wav.channels[0].len() as f64 / f64::from(wav.rate)
}

/// A gateway killed in the middle of a call, the recording it left, and how many seconds of call there were.
fn killed_in_mid_call(scratch: &Path, objects: &str) -> (Gateway, PathBuf, f64) {
    let mut gateway = Gateway::standalone(scratch, objects, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let waiting = script(&json!({ "steps": [{ "pause": { "ms": 20_000 } }] })).unwrap();
    let mut caller = Caller::call(gateway.sip(), "1000", 1, waiting).unwrap();
    caller.await_answer().unwrap();
    let call = gateway.calls().unwrap()[0].clone();
    let answered_us = call["answered_us"].as_u64().unwrap();
    let so_far = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        now.saturating_sub(answered_us) as f64 / 1e6
    };
    wait::until_true("four seconds of call", Duration::from_secs(20), || so_far() > 4.0).unwrap();
    let lasted = so_far();
    gateway.kill().unwrap();
    let path = gateway.state().join(call["recording"].as_str().unwrap());
    (gateway, path, lasted)
}

#[test]
#[ignore = "alone: how far the disk is behind the call"]
fn one_in_clear_plays_as_it_lies_and_is_whole_after_the_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let agents = objects::answering(&objects::offline_agent(GREETING)).unwrap();
    let (gateway, path, lasted) = killed_in_mid_call(scratch.path(), &agents);
    let plays = seconds(&path);
    assert!(plays > lasted - 1.0, "{plays:.2} of {lasted:.2} s");
    let mut gateway = gateway.start_again().unwrap();
    assert!(seconds(&path) >= plays);
    let length = std::fs::metadata(&path).unwrap().len();
    let samples = Wav::read(&path).unwrap().channels[0].len() as u64;
    assert!(length - 44 - 4 * samples < 4, "the header covers the file");
    gateway.stop().unwrap();
}

#[test]
#[ignore = "alone: how far the disk is behind the call"]
fn a_sealed_one_opens_with_the_tenants_key_and_says_that_it_was_cut() {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("tenant.key");
    let options = Options::default();
    let mut keygen = Gateway::command_in(scratch.path(), &options).unwrap();
    let made = keygen.args(["recording", "keygen", "--out"]).arg(&key).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let public = String::from_utf8(made.stdout).unwrap();
    let agents = objects::answering(&objects::offline_agent(GREETING)).unwrap();
    let agents = objects::sealing_to(&agents, public.trim()).unwrap();
    let (gateway, path, lasted) = killed_in_mid_call(scratch.path(), &agents);
    assert!(path.to_string_lossy().ends_with(".wav.sealed"), "{}", path.display());
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(4).any(|window| window == b"RIFF"), "it is not in clear");

    let open = |file: &Path, key: &Path, out: &str| {
        let mut open = gateway.command(&["recording", "open"]).unwrap();
        let output = open.arg(file).arg("--key").arg(key).arg("--out").arg(scratch.path().join(out)).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    let (code, said) = open(&path, &key, "opened.wav");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("up to where it was cut"), "{said}");
    let plays = seconds(&scratch.path().join("opened.wav"));
    assert!(plays > lasted - 1.0, "{plays:.2} of {lasted:.2} s");

    // A bit that was changed is refused where it is, and a stranger's key at once.
    let changed = scratch.path().join("changed.wav.sealed");
    let mut bytes = bytes;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&changed, bytes).unwrap();
    let (code, said) = open(&changed, &key, "changed.wav");
    assert!(code == Some(1) && said.contains("is damaged"), "{said}");
    let stranger = scratch.path().join("stranger.key");
    let mut keygen = gateway.command(&["recording", "keygen", "--out"]).unwrap();
    assert!(keygen.arg(&stranger).status().unwrap().success());
    let (code, said) = open(&path, &stranger, "stranger.wav");
    assert!(code == Some(1) && said.contains("is sealed to key"), "{said}");
}
