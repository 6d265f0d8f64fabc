//! The demo ends well for two seeds, every claim checked by itself from outside, and the two conversations differ.

use std::process::Command;
use std::thread;

fn conversation(seed: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline-demo")).args(["--once", "--seed", seed]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "seed {seed}:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for sign in ["agent ", "caller", "where the time of each turn went", "SIP ladder", "recording", "total_micro"] {
        assert!(said.contains(sign), "`{sign}` is missing in:\n{said}");
    }
    said.lines()
        .filter(|line| line.contains("  caller "))
        .map(|line| line[12..].to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
#[ignore = "alone: whether two clocks agree on how long a caller waited"]
fn two_seeds_give_two_conversations() {
    let (one, two) = thread::scope(|demos| {
        let one = demos.spawn(|| conversation("1"));
        (conversation("2"), one.join().unwrap())
    });
    assert_ne!(one, two);
}
