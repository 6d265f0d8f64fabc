//! A broken configuration is refused by `trunkline check` and `run` with file, line and key, all faults at once, and
//! exit code 2.

use std::process::Command;

use trunkline_tests::process::from_environment;

const BROKEN: &str =
    "[sip]\nlisten = \"127.0.0.1:0\"\nsource_rat = 5\n\n[limits]\nmax_calls = \"many\"\n\n[rtp]\nport_min = 70000\n";

#[test]
fn every_fault_is_named_with_its_place() {
    for command in ["check", "run"] {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("trunkline.toml");
        std::fs::write(&file, BROKEN).unwrap();
        let output = Command::new(from_environment("TRUNKLINE_BIN").unwrap())
            .arg("--config")
            .arg(&file)
            .env("TRUNKLINE_GATEWAY__STATE_DIR", scratch.path())
            .arg(command)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for (place, key) in
            [("trunkline.toml:3", "source_rat"), ("trunkline.toml:6", "max_calls"), ("trunkline.toml:9", "port_min")]
        {
            assert!(said.lines().any(|line| line.contains(place) && line.contains(key)), "{place} {key} in:\n{said}");
        }
        assert!(said.contains("source_rate"), "a suggestion for the misspelt key in:\n{said}");
    }
}

#[test]
fn a_fault_in_the_environment_names_the_variable() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("trunkline.toml");
    std::fs::write(&file, "").unwrap();
    let output = Command::new(from_environment("TRUNKLINE_BIN").unwrap())
        .arg("--config")
        .arg(&file)
        .env("TRUNKLINE_LIMITS__MAX_CALLS", "many")
        .arg("check")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("TRUNKLINE_LIMITS__MAX_CALLS"), "{said}");
}
