//! The plugins that ship, as they are built, against their recordings and against everything that goes wrong outside.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use trunkline_api::Failure;
use trunkline_plugin_conformance::recording::Header;
use trunkline_plugin_conformance::{Fault, HostSetup, Recording, Report, Stage, replay};
use trunkline_plugin_host::{
    Capability, Content, LlmEvent, LlmRequest, Message, Plugin, Role, SessionError, SessionStart, TrustedKeys,
};

/// Where the build puts the plugins; these tests are about them, so without them they fail.
fn plugins() -> PathBuf {
    let dir = std::env::var_os("TRUNKLINE_PLUGINS").map_or_else(
        || {
            let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
            let home = std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
            target.unwrap_or_else(|| home.join(".cache/trunkline-target")).join("plugins")
        },
        PathBuf::from,
    );
    assert!(
        dir.is_dir(),
        "{} holds no plugins: run `cargo xtask plugins`, or set TRUNKLINE_PLUGINS to the folder it wrote",
        dir.display()
    );
    dir
}

fn plugin(name: &str) -> PathBuf {
    let dir = plugins().join(name);
    assert!(dir.join("plugin.wasm").is_file(), "plugin {name} is not built: run `cargo xtask plugins`");
    dir
}

/// Compiled code is shared by the tests of one run and the next, as it would be on a gateway; what is loaded must be
/// signed with the build's key.
fn setup() -> HostSetup {
    let mut trusted = TrustedKeys::default();
    let keys = std::env::var_os("TRUNKLINE_TRUSTED_KEYS")
        .map_or_else(|| plugins().with_file_name("signing").join("trusted"), PathBuf::from);
    trusted.add_folder(&keys).unwrap_or_else(|error| panic!("{error}: run `cargo xtask plugins`"));
    HostSetup { cache: plugins().join(".compiled"), trusted: Some(trusted) }
}

fn recording(name: &str) -> Recording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(format!("{name}.jsonl"));
    Recording::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn passes(name: &str) -> Report {
    let report = replay(&plugin(name), &setup(), &recording(name), None).unwrap();
    assert!(report.passed(), "{name}: {:?}\nsaw {:#?}", report.violations, report.seen);
    report
}

#[test]
fn openai_streams_a_recorded_reply_and_its_usage() {
    assert_eq!(passes("openai").texts("text"), "We open at nine.");
}

#[test]
fn openai_names_every_failure_of_its_server() {
    let recording = recording("openai");
    for (fault, code) in [
        (Fault::RateLimited, "failed rate-limited"),
        (Fault::Stall, "failed timeout"),
        (Fault::HalfClose, "failed"),
        (Fault::Silence, "failed timeout"),
    ] {
        let report = replay(&plugin("openai"), &setup(), &recording, Some(fault)).unwrap();
        assert!(report.passed(), "{fault}: {:?}\nsaw {:#?}", report.violations, report.seen);
        assert!(report.seen.iter().any(|(_, line)| line.starts_with(code)), "{fault}: saw {:#?}", report.seen);
    }
}

#[test]
fn scripted_answers_with_what_it_heard() {
    assert_eq!(passes("scripted").texts("text"), "You said the blue one.");
}

#[test]
fn espeak_speaks_finishes_and_stops_when_cancelled() {
    passes("espeak");
}

#[test]
fn pii_redacts_the_same_whole_and_in_pieces() {
    passes("pii");
}

#[test]
fn grammar_keeps_the_rules_on_sound_that_is_no_speech() {
    passes("grammar");
}

#[test]
fn a_recording_whose_expectation_does_not_hold_fails() {
    let wrong =
        Recording::parse("{\"world\":\"llm-provider\",\"ask\":\"hi\"}\n{\"at_ms\":50,\"expect\":\"text never said\"}")
            .unwrap();
    let report = replay(&plugin("scripted"), &setup(), &wrong, None).unwrap();
    assert!(!report.passed());
}

fn request() -> LlmRequest {
    let message = Message { role: Role::User, content: vec![Content::Text("hello".to_owned())] };
    LlmRequest { messages: vec![message], tools: Vec::new(), max_tokens: None, temperature: None }
}

/// A whole generation without any network; its clock moves with its timers.
fn generation(plugin: &Arc<Plugin>, settings: &serde_json::Value) -> Result<String, SessionError> {
    let mut session = plugin.llm(settings, &request(), SessionStart::new(1, 0, Arc::new(|| {})))?;
    let (mut text, mut now_us) = (String::new(), 0);
    loop {
        session.handle_wake(now_us)?;
        while let Some(event) = session.poll_event() {
            match event {
                LlmEvent::TextDelta(delta) => text.push_str(&delta),
                LlmEvent::Finished(_) => return Ok(text),
                LlmEvent::Failed(error) => return Err(SessionError::Provider(error)),
                _ => {}
            }
        }
        if !session.wants_step() {
            now_us = session.poll_timeout().expect("a generation that is not over waits for something");
        }
    }
}

#[test]
fn the_offender_ends_its_own_session_by_name_and_its_neighbour_keeps_answering() {
    let header: Header = serde_json::from_value(json!({ "world": "llm-provider" })).unwrap();
    let stage = Stage::new(&setup(), &header).unwrap();
    let offender = stage.load(&plugin("offender")).unwrap();
    let neighbour = Arc::clone(&offender);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let victim = std::thread::spawn(move || {
        let mut times = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let begun = Instant::now();
            assert_eq!(generation(&neighbour, &json!({ "misbehave": "none" })).unwrap(), "I am behaving myself.");
            times.push(begun.elapsed());
        }
        times
    });
    for (misdeed, failure) in [
        ("loop", Failure::PluginDeadline),
        ("trap", Failure::PluginTrapped),
        ("allocate", Failure::PluginMemory),
        ("flood", Failure::PluginTrapped),
    ] {
        for on in ["init", "start", "event"] {
            let error = generation(&offender, &json!({ "misbehave": misdeed, "on": on })).expect_err("it must end");
            assert_eq!(error.failure(Capability::Llm), failure, "{misdeed} on {on}: {error}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut times = victim.join().unwrap();
    times.sort();
    assert!(
        times.len() > 20 && times[times.len() / 2] < Duration::from_millis(20),
        "{} sessions, median {:?}",
        times.len(),
        times[times.len() / 2]
    );
}
