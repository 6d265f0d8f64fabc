//! `cargo xtask test`: from formatting to whole-product tests, fast failures first.

use std::process::Command;

use anyhow::bail;

use crate::areas::Area;
use crate::products::{self, Products};
use crate::stages::Stages;
use crate::tier::Tier;
use crate::workspaces::{GRAMMAR_PACKER, GUESTS};
use crate::{coverage, crate_tests, deny, fuzz, house, lints, packages, shell, tier};

/// The one test program that needs the whole product.
pub(crate) const PRODUCT_TESTS: &str = "product";

/// Runs the default tier, the slow tier as well with `all`, or one area.
pub(crate) fn run(all: bool, only: Option<Area>) -> anyhow::Result<()> {
    let tier = if all { Tier::slow()? } else { Tier::Default };
    let mut stages = Stages::begin(&match (only, all) {
        (Some(area), _) => format!("only-{area}"),
        (None, true) => "all".to_owned(),
        (None, false) => "default".to_owned(),
    });
    let needed = if all { packages::SLOW } else { packages::TEST };
    stages.stage("packages", || packages::ensure(needed))?;
    match only {
        Some(area) => one(&mut stages, area, &tier)?,
        None => everything(&mut stages, &tier)?,
    }
    stages.table();
    Ok(())
}

fn everything(stages: &mut Stages, tier: &Tier) -> anyhow::Result<()> {
    stages.stage("format", lints::format)?;
    stages.stage("house", house::check)?;
    stages.stage("deny", deny::check)?;
    stages.stage_where_possible("advisories", deny::advisories)?;
    stages.stage("clippy", lints::product)?;
    stages.stage("clippy of plugins and fuzz", lints::others)?;
    stages.stage("build", products::binaries)?;
    stages.stage("plugins", || products::plugins().map(drop))?;
    stages.stage("plugin tests", || guests(tier).map(drop))?;
    let ran = stages.stage("crate tests", || crate_tests::run(tier))?;
    stages.stage("coverage", || coverage::check(&ran.counted, tier.is_slow()))?;
    released(stages, tier)?;
    stages.stage("product tests", || {
        // The crates' tests left binaries with counters where these belong; putting them back compiles nothing.
        products::binaries()?;
        let mut tests = product_tests();
        tier.arguments(&mut tests);
        shell::run(&mut tests)?;
        shell::run(&mut alone(&tier::alone()?))
    })?;
    stages.stage("fuzz", || fuzz::run(tier))
}

fn one(stages: &mut Stages, area: Area, tier: &Tier) -> anyhow::Result<()> {
    stages.stage("build", products::binaries)?;
    stages.stage("plugins", || products::plugins().map(drop))?;
    let mut ran = 0;
    if area == Area::Plugins {
        ran += stages.stage("plugin tests", || guests(tier))?;
    }
    if area == Area::Docs {
        stages.stage("house", house::check)?;
    }
    if !area.crates().is_empty() {
        ran += stages.stage("crate tests", || {
            let mut tests = tester();
            for name in area.crates() {
                tests.args(["-p", name]);
            }
            if tier.is_slow() {
                // The examples in the documentation have no tiers.
                tests.arg("--tests");
            }
            tier.arguments(tests.arg("--"));
            counted(&mut tests)
        })?;
    }
    if area == Area::Media {
        released(stages, tier)?;
    }
    ran += stages.stage("product tests", || {
        products::binaries()?;
        let mut ran = 0;
        let named = product_tests_of(area, tier)?;
        if !named.is_empty() {
            let mut tests = product_tests();
            tests.arg("--exact").args(named);
            if tier.is_slow() {
                tests.arg("--include-ignored");
            }
            ran += counted(&mut tests)?;
        }
        let mut named = tier::alone()?;
        named.retain(|name| name.starts_with(&area.product_prefix()));
        if !named.is_empty() {
            ran += counted(&mut alone(&named))?;
        }
        Ok(ran)
    })?;
    if ran == 0 {
        bail!("this area has no test");
    }
    println!("{ran} tests");
    Ok(())
}

/// The gateway as it ships, for tests of the slow tier that put as many calls on it as it is made for.
fn released(stages: &mut Stages, tier: &Tier) -> anyhow::Result<()> {
    if tier.is_slow() {
        stages.stage("release build", || products::released(&["trunkline"]).map(drop))?;
    }
    Ok(())
}

/// The whole-product tests; what is added goes to the test program.
fn product_tests() -> Command {
    let mut tests = tester();
    // With the features of the whole workspace, as everything else was built.
    tests.args(["--workspace", "--test", PRODUCT_TESTS, "--"]);
    tests
}

/// Those of them that measure time, one after the other.
fn alone(names: &[String]) -> Command {
    let mut tests = product_tests();
    tests.args(["--ignored", "--test-threads=1", "--exact"]).args(names);
    tests
}

/// Names of an area's whole-product tests that run beside each other. A filter of the test program would also find the area's name within others.
fn product_tests_of(area: Area, tier: &Tier) -> anyhow::Result<Vec<String>> {
    let mut list = product_tests();
    tier.arguments(&mut list);
    let listed = shell::output(list.args(["--list", "--format", "terse"]))?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.filter(|name| name.starts_with(&area.product_prefix())).map(str::to_owned).collect())
}

/// `cargo test` told where the binaries under test are.
pub(crate) fn tester() -> Command {
    let mut cargo = shell::cargo();
    Products::built().environment(&mut cargo);
    cargo.args(["test", "--locked"]);
    cargo
}

/// The guests' own tests, run on this machine because their logic is sans-IO, and those of the grammar packer.
fn guests(tier: &Tier) -> anyhow::Result<usize> {
    let mut guests = GUESTS.cargo("test");
    Products::built().environment(&mut guests);
    guests.args(["--locked", "--workspace"]);
    let mut packer = GRAMMAR_PACKER.cargo("test");
    // Where its build for the plugin left what it depends on.
    packer.env("CARGO_TARGET_DIR", shell::target_dir().join("guests")).arg("--locked");
    if tier.is_slow() {
        tier.arguments(guests.args(["--tests", "--"]));
        tier.arguments(packer.args(["--tests", "--"]));
    }
    Ok(counted(&mut guests)? + counted(&mut packer)?)
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
