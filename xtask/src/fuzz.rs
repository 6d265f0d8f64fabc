//! Every fuzz target for a bounded time, on the nightly toolchain that libFuzzer's instrumentation needs.

use std::process::Command;

use anyhow::Context as _;

use crate::tier::Tier;
use crate::{deny, shell};

const VERSION: &str = "0.13.2";

/// Builds the targets once and runs each for the tier's time. What a target finds lies in `fuzz/artifacts`, and its
/// input goes into the tests.
pub(crate) fn run(tier: &Tier) -> anyhow::Result<()> {
    if !succeeds(&["+nightly", "--version"]) {
        shell::run(Command::new("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))
            .context("fuzzing needs a nightly toolchain")?;
    }
    if !succeeds(&["fuzz", "--version"]) {
        shell::run(deny::light_install().args(["cargo-fuzz", "--version", VERSION]))?;
    }
    shell::run(fuzz().args(["build"]))?;
    let listed = shell::output(fuzz().arg("list"))?;
    let targets: Vec<&str> = listed.lines().collect();
    let time = tier.fuzzing(targets.len()).as_secs().max(1);
    for target in targets {
        println!("--- {target}, {time} s");
        let limit = format!("-max_total_time={time}");
        shell::run(fuzz().args(["run", target, "--", &limit, "-rss_limit_mb=2048", "-print_final_stats=1"]))?;
    }
    Ok(())
}

/// `cargo fuzz` in a target directory of its own: the instrumentation would rebuild everybody else's.
fn fuzz() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(shell::root()).env("CARGO_TARGET_DIR", shell::target_dir().join("fuzz"));
    cargo.args(["+nightly", "fuzz"]);
    cargo
}

fn succeeds(arguments: &[&str]) -> bool {
    Command::new("cargo").args(arguments).output().is_ok_and(|output| output.status.success())
}
