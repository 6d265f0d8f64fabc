//! A new operator's first objects: `trunkline new trunk`, `new agent` and `new route` write files that pass `check` as
//! they lie, each command says what comes next, and then a call is answered and greeted. So do the examples pass.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};

/// What a command said, and its exit code.
fn typed(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

#[test]
fn three_commands_lead_to_a_call_that_is_greeted() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options::default();
    let line = |arguments: &[&str]| typed(Gateway::command_in(scratch.path(), &options).unwrap().args(arguments));

    // With nothing there yet, doctor says so, and what to type.
    let (code, said) = line(&["doctor"]);
    assert!(code == Some(1) && said.contains("no call can be answered yet"), "{said}");
    assert!(said.contains("next: ") && said.contains("trunkline new trunk --name"), "{said}");
    for (arguments, file, next) in [
        (
            &["new", "trunk", "--name", "carrier", "--peer", "127.0.0.1"][..],
            "trunk-carrier.toml",
            "trunkline new agent",
        ),
        (
            &["new", "agent", "--name", "reception", "--greeting", "Good morning."],
            "agent-reception.toml",
            "trunkline new route --to \"reception\"",
        ),
        (
            &["new", "route", "--to", "reception", "--trunk", "carrier"],
            "route-carrier-to-reception.toml",
            "trunkline check",
        ),
    ] {
        let (code, said) = line(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        assert!(said.contains(&format!("conf.d/objects/{file}")) && said.contains(next), "{said}");
        let (code, again) = line(arguments);
        assert!(code == Some(2) && again.contains("already"), "a second time: {again}");
    }
    assert!(scratch.path().join("conf.d/objects/tenant-default.toml").is_file());
    let (code, said) = line(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("in order: 1 trunk, 1 agent, "), "{said}");
    let (code, said) = line(&["doctor"]);
    assert_eq!(code, Some(0), "{said}");

    let gateway = Gateway::in_folder(scratch.path(), options).unwrap();
    gateway.await_agents(1).unwrap();
    let listen =
        script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300, "timeout_ms": 10_000 } }] })).unwrap();
    let mut caller = Caller::call(gateway.sip(), "1000", 1, listen).unwrap();
    caller.await_answer().unwrap();
    let spoke = |what: &trunkline_caller::Happened| matches!(what, trunkline_caller::Happened::AgentStarted);
    caller.await_event("the greeting", Duration::from_secs(10), spoke).unwrap();
    caller.finish().unwrap();
}

#[test]
fn the_example_objects_pass_check_as_they_lie() {
    let scratch = tempfile::tempdir().unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("config/objects");
    let objects = scratch.path().join("conf.d/objects");
    std::fs::create_dir_all(&objects).unwrap();
    for example in std::fs::read_dir(examples).unwrap().flatten() {
        std::fs::copy(example.path(), objects.join(example.file_name())).unwrap();
    }
    let (code, said) = typed(Gateway::command_in(scratch.path(), &Options::default()).unwrap().arg("check"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("in order: 1 trunk, 1 agent, "), "{said}");
}
