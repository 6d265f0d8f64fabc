//! Line coverage of the pure cores, measured and held above a floor that only rises.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::shell;

/// Crates whose behaviour is all in their own tests.
const CORES: &[&str] =
    &["trunkline-leg", "trunkline-call", "trunkline-sdp", "trunkline-route", "trunkline-dsp", "trunkline-api"];

/// Tests left out here: they hear tens of minutes of sound, which takes as long again for every counter in the loops.
/// What they reach is reached by shorter ones too.
const LONG: &[&str] = &["echo_barge_in"];

/// Measures, prints and compares with the floor in `xtask/coverage-floor`.
pub(crate) fn check() -> anyhow::Result<()> {
    let target = shell::target_dir().join("coverage");
    let profiles = target.join("profiles");
    let _ = fs::remove_dir_all(&profiles);
    fs::create_dir_all(&profiles)?;
    let listed = {
        let mut build = shell::cargo();
        build.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", "-C instrument-coverage");
        build.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
        // Build scripts and macros are instrumented too and would leave their profiles in the checkout.
        build.env("LLVM_PROFILE_FILE", target.join("build-%m.profraw"));
        build.args(["test", "--locked", "--no-run", "--message-format=json"]);
        for name in CORES {
            build.args(["-p", name]);
        }
        shell::output(&mut build)?
    };
    let binaries = executables(&listed);
    if binaries.is_empty() {
        bail!("no test binary was built");
    }
    for binary in &binaries {
        shell::output(
            Command::new(binary)
                .current_dir(shell::root())
                .env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"))
                .arg("--quiet"),
        )?;
    }
    let merged = target.join("merged.profdata");
    let raw: Vec<PathBuf> = fs::read_dir(&profiles)?.flatten().map(|entry| entry.path()).collect();
    shell::run(Command::new(tool("llvm-profdata")).args(["merge", "-sparse", "-o"]).arg(&merged).args(&raw))?;
    let mut export = Command::new(tool("llvm-cov"));
    export.args(["export", "-summary-only", "-ignore-filename-regex=(registry|rustc|/tests/)", "-instr-profile"]);
    export.arg(&merged).arg(&binaries[0]);
    for binary in &binaries[1..] {
        export.arg("-object").arg(binary);
    }
    report(&shell::output(&mut export)?)
}

/// Debian's tool of the compiler's own LLVM version.
fn tool(name: &str) -> String {
    format!("{name}-22")
}

fn executables(messages: &str) -> Vec<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["profile"]["test"] == true)
        .filter(|message| !LONG.iter().any(|name| message["target"]["name"] == *name))
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect()
}

fn report(summary: &str) -> anyhow::Result<()> {
    let summary: serde_json::Value = serde_json::from_str(summary).context("llvm-cov's summary")?;
    let root = shell::root();
    let mut folders: std::collections::BTreeMap<String, (u64, u64)> = std::collections::BTreeMap::new();
    for file in summary["data"][0]["files"].as_array().into_iter().flatten() {
        let name = file["filename"].as_str().unwrap_or_default();
        let Some(path) = name.strip_prefix(&format!("{}/", root.display())) else { continue };
        let folder = path.split("/src/").next().unwrap_or(path).to_owned();
        let lines = &file["summary"]["lines"];
        let entry = folders.entry(folder).or_default();
        entry.0 += lines["covered"].as_u64().unwrap_or(0);
        entry.1 += lines["count"].as_u64().unwrap_or(0);
    }
    let (mut covered, mut count) = (0, 0);
    for (folder, (hit, lines)) in &folders {
        println!("{folder:<24} {hit:>6} of {lines:>6} lines  {:>5.1} %", percent(*hit, *lines));
        covered += hit;
        count += lines;
    }
    let total = percent(covered, count);
    let floor_file = root.join("xtask/coverage-floor");
    let floor: f64 = fs::read_to_string(&floor_file)?.trim().parse().context("xtask/coverage-floor is not a number")?;
    println!("cores together {total:.1} %, floor {floor:.1} %");
    if total < floor {
        bail!("coverage of the cores fell below its floor; add tests, the floor only rises");
    }
    Ok(())
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
