//! A plugin that misbehaves ends its own session by name, and its neighbour does not notice.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod crafted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crafted::{Bench, Model, model, polite, request, start, text_of};
use trunkline_api::Failure;
use trunkline_plugin_host::{Capability, LlmEvent, LlmSession, Plugin, SessionError};

fn open(plugin: &Arc<Plugin>) -> Result<LlmSession, SessionError> {
    plugin.llm(&serde_json::json!({}), &request(), start().0)
}

fn clock() -> String {
    r#"(import "trunkline:plugin/clock@0.1.0" "now-us" (func $now (result i64)))"#.to_owned()
}

fn offenders() -> Vec<(&'static str, Model, Failure)> {
    let start = |start: &str| Model { start: start.to_owned(), ..Model::default() };
    vec![
        ("loop", start("(loop $ever (br $ever))"), Failure::PluginDeadline),
        ("trap", start("(unreachable)"), Failure::PluginTrapped),
        (
            "allocate",
            start("(loop $more (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable))) (br $more))"),
            Failure::PluginMemory,
        ),
        ("allocate without looking", start("(loop $more (drop (memory.grow (i32.const 16))) (br $more))"), Failure::PluginMemory),
        (
            "stack overflow",
            Model {
                functions: "(func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))".into(),
                start: "(drop (call $deep (i32.const 0)))".into(),
                ..Model::default()
            },
            Failure::PluginTrapped,
        ),
        (
            "host-call flood",
            Model { imports: clock(), start: "(loop $ever (drop (call $now)) (br $ever))".into(), ..Model::default() },
            Failure::PluginTrapped,
        ),
        (
            "8 MiB log line",
            Model {
                imports: r#"(import "trunkline:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))"#.into(),
                start: "(drop (memory.grow (i32.const 130))) (call $log (i32.const 2) (i32.const 0) (i32.const 8388608))".into(),
                ..Model::default()
            },
            Failure::PluginTrapped,
        ),
    ]
}

#[test]
fn each_misbehaviour_ends_its_own_session_by_name_and_leaves_the_neighbour_alone() {
    let bench = Bench::new(|config| config.limits.media_sessions = 8);
    let neighbour = bench.model(&polite(), "");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let victim = std::thread::spawn(move || {
        let mut times = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let (start, wakes) = start();
            let begun = Instant::now();
            let mut session = neighbour.llm(&serde_json::json!({}), &request(), start).unwrap();
            assert_eq!(text_of(&mut session, &wakes).unwrap(), "hello");
            times.push(begun.elapsed());
            std::thread::yield_now();
        }
        times
    });
    for (name, offender, failure) in offenders() {
        let plugin = bench.model(&offender, "");
        let begun = Instant::now();
        let error = open(&plugin).err().unwrap_or_else(|| panic!("{name} must end"));
        assert_eq!(error.failure(Capability::Llm), failure, "{name}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{name} took {:?}", begun.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let mut times = victim.join().unwrap();
    times.sort();
    assert!(times.len() > 20, "the neighbour must have run all the while");
    assert!(
        times[times.len() / 2] < Duration::from_millis(20),
        "median of the neighbour's session: {:?}",
        times[times.len() / 2]
    );
}

#[test]
fn a_dead_session_stays_dead_and_says_why_again() {
    let bench = Bench::new(|_| {});
    let plugin = bench.model(&Model { resume: "(unreachable)".into(), ..Model::default() }, "");
    let mut session = open(&plugin).unwrap();
    let first = session.handle_wake(0).unwrap_err();
    assert!(matches!(first, SessionError::Trapped { .. }));
    assert!(session.is_dead() && !session.wants_step() && session.poll_timeout().is_none());
    assert_eq!(session.handle_wake(1), Err(first.clone()));
    assert_eq!(session.cancel(1), Err(first));
    let mut fresh = open(&plugin).unwrap();
    assert!(fresh.handle_wake(0).is_err(), "the plugin itself is still in service");
}

#[test]
fn events_beyond_the_credit_break_the_contract() {
    let bench = Bench::new(|_| {});
    let plugin = bench.model(&polite(), "");
    let mut narrow = start().0;
    narrow.queue = 1;
    let mut session = plugin.llm(&serde_json::json!({}), &request(), narrow).unwrap();
    assert!(matches!(session.handle_wake(0), Err(SessionError::Contract { .. })));
}

#[test]
fn a_guest_that_has_more_is_stepped_when_there_is_room() {
    let bench = Bench::new(|_| {});
    let endless = Model {
        data: r#"(data (i32.const 1100) "x")"#.into(),
        resume: "(call $text (i32.const 0) (i32.const 1100) (i32.const 1)) (call $answer (i32.const 1) (i32.const 1))"
            .into(),
        ..Model::default()
    };
    let plugin = bench.model(&endless, "");
    let mut narrow = start().0;
    narrow.queue = 2;
    let mut session = plugin.llm(&serde_json::json!({}), &request(), narrow).unwrap();
    for _ in 0..5 {
        session.handle_wake(0).unwrap();
    }
    assert!(!session.wants_step(), "no room, no step");
    let taken: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert_eq!(taken, vec![LlmEvent::TextDelta("x".into()); 2]);
    assert!(session.wants_step());
    assert!(session.plugin_us() > 0);
}

#[test]
fn timers_are_told_in_the_callers_clock() {
    let bench = Bench::new(|_| {});
    let timed = Model {
        imports: r#"(import "trunkline:plugin/clock@0.1.0" "set-timer" (func $timer (param i32) (result i32)))"#.into(),
        start: "(drop (call $timer (i32.const 30)))".into(),
        event: "(if (i32.eq (local.get $kind) (i32.const 2)) (then (call $finish (i32.const 0)))) (call $answer (i32.const 1) (i32.const 0))".into(),
        ..Model::default()
    };
    let plugin = bench.model(&timed, "");
    let mut begin = start().0;
    begin.now_us = 5_000_000;
    let mut session = plugin.llm(&serde_json::json!({}), &request(), begin).unwrap();
    assert_eq!(session.poll_timeout(), Some(5_030_000));
    session.handle_wake(5_029_999).unwrap();
    assert_eq!(session.poll_event(), None);
    session.handle_wake(5_030_000).unwrap();
    assert!(matches!(session.poll_event(), Some(LlmEvent::Finished(_))));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn more_sessions_than_slots_are_refused_and_slots_come_back() {
    let bench = Bench::new(|config| config.limits.media_sessions = 2);
    let wasm = model("llm-provider", &polite());
    let plugin = bench.load("llm-provider", &wasm, "").unwrap();
    let first = open(&plugin).unwrap();
    let _second = open(&plugin).unwrap();
    if bench.host.allocation().0 != trunkline_plugin_host::Allocation::OnDemand {
        assert!(matches!(open(&plugin), Err(SessionError::Exhausted(_))));
    }
    drop(first);
    assert!(open(&plugin).is_ok());
}
