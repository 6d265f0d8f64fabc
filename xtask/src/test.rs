//! `cargo xtask test`: from formatting to whole-product tests, fast failures first.

use std::process::Command;
use std::time::Duration;

use anyhow::bail;

use crate::areas::Area;
use crate::products::{self, Products};
use crate::stages::Stages;
use crate::{coverage, deny, fuzz, house, packages, shell};

/// Runs the default tier, the slow tier as well with `all`, or one area.
pub(crate) fn run(all: bool, only: Option<Area>) -> anyhow::Result<()> {
    let mut stages = Stages::default();
    stages.stage("packages", || packages::ensure(packages::TEST))?;
    match only {
        Some(area) => one(&mut stages, area)?,
        None => everything(&mut stages, all)?,
    }
    stages.table();
    Ok(())
}

fn everything(stages: &mut Stages, all: bool) -> anyhow::Result<()> {
    stages.stage("format", || shell::run(shell::cargo().args(["fmt", "--all", "--check"])))?;
    stages.stage("house", house::check)?;
    stages.stage("deny", deny::check)?;
    stages.stage("clippy", || {
        shell::run(shell::cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    stages.stage("build", || {
        shell::run(shell::cargo().args(["build", "--locked", "--workspace", "--bins"]))?;
        shell::run(shell::cargo().args(["test", "--locked", "--workspace", "--no-run"]))
    })?;
    stages.stage("plugins", || products::plugins().map(drop))?;
    stages.stage("plugin tests", || guests().map(drop))?;
    stages.stage("crate tests", || {
        let mut tests = tester();
        tests.args(["--workspace", "--exclude", "trunkline-tests"]);
        if all {
            tests.env("TRUNKLINE_TEST_TIER", "all");
        }
        shell::run(&mut tests)
    })?;
    stages.stage("product tests", || {
        let mut tests = tester();
        tests.args(["-p", "trunkline-tests"]);
        if all {
            tests.env("TRUNKLINE_TEST_TIER", "all");
        }
        shell::run(&mut tests)
    })?;
    stages.stage("coverage", coverage::check)?;
    stages.stage("fuzz", || fuzz::run(if all { Duration::from_secs(120) } else { Duration::from_secs(10) }))
}

fn one(stages: &mut Stages, area: Area) -> anyhow::Result<()> {
    stages.stage("build", || shell::run(shell::cargo().args(["build", "--locked", "--workspace", "--bins"])))?;
    stages.stage("plugins", || products::plugins().map(drop))?;
    let mut ran = 0;
    if area == Area::Plugins {
        ran += stages.stage("plugin tests", guests)?;
    }
    if !area.crates().is_empty() {
        ran += stages.stage("crate tests", || {
            let mut tests = tester();
            for name in area.crates() {
                tests.args(["-p", name]);
            }
            counted(&mut tests)
        })?;
    }
    ran += stages.stage("product tests", || {
        counted(tester().args(["-p", "trunkline-tests", "--test", "product", "--", area.product_prefix()]))
    })?;
    if ran == 0 {
        bail!("this area has no test");
    }
    println!("{ran} tests");
    Ok(())
}

/// `cargo test` told where the binaries under test are.
fn tester() -> Command {
    let mut cargo = shell::cargo();
    Products::built().environment(&mut cargo);
    cargo.args(["test", "--locked"]);
    cargo
}

/// The guests' own tests, run natively: their logic is sans-IO.
fn guests() -> anyhow::Result<usize> {
    let mut cargo = shell::cargo();
    cargo.current_dir(shell::root().join("plugins")).env("CARGO_TARGET_DIR", shell::target_dir().join("guests-native"));
    Products::built().environment(&mut cargo);
    counted(cargo.args(["test", "--locked", "--workspace"]))
}

/// Runs tests, shows their output and counts those that passed.
fn counted(command: &mut Command) -> anyhow::Result<usize> {
    let output = shell::output(command)?;
    print!("{output}");
    Ok(output
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok())
        .sum())
}
