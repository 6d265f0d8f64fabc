//! The tests of the crates by themselves, each run once: those of the product with counters for their lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::metadata::{self, Package};
use crate::products::Products;
use crate::tier::Tier;
use crate::workspaces::PRODUCT;
use crate::{coverage, shell};

/// A test program as cargo built it.
struct TestProgram {
    /// The crate, and the test where it has several.
    name: String,
    /// Of what ships.
    product: bool,
    /// Where cargo would run it.
    folder: PathBuf,
    executable: PathBuf,
}

/// What ran, for measuring what it reached.
pub(crate) struct Ran {
    /// Programs with counters, tests and the binaries they start.
    pub(crate) counted: Vec<PathBuf>,
}

/// Builds every crate's tests, runs them all and fails in the end with the names of those that failed.
pub(crate) fn run(tier: &Tier) -> anyhow::Result<Ran> {
    let packages = metadata::packages(PRODUCT)?;
    let (mut programs, counted) = build(&packages)?;
    // Those that would take minutes with counters.
    programs.retain(|program| !coverage::WITHOUT_COUNTERS.iter().any(|name| program.name.ends_with(name)));
    let profiles = coverage::profiles();
    if profiles.exists() {
        fs::remove_dir_all(&profiles)?;
    }
    fs::create_dir_all(profiles.join("not-the-product"))?;
    let mut failed = Vec::new();
    let mut took = Vec::new();
    for program in &programs {
        println!("\n--- {}", program.name);
        let begun = Instant::now();
        let mut command = Command::new(&program.executable);
        command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
        Products::built().environment(&mut command);
        // A few files, each merged into by many processes; what other crates reach of the product does not count.
        let place = if program.product { profiles.clone() } else { profiles.join("not-the-product") };
        command.env("LLVM_PROFILE_FILE", place.join("%4m.profraw"));
        tier.arguments(&mut command);
        if shell::run(&mut command).is_err() {
            failed.push(program.name.clone());
        }
        took.push((begun.elapsed(), program.name.as_str()));
    }
    println!("\n--- without counters");
    let mut plain = super::test::tester();
    plain.args(["--workspace", "--no-fail-fast"]);
    for name in coverage::WITHOUT_COUNTERS {
        plain.args(["--test", name]);
    }
    tier.arguments(plain.arg("--"));
    let begun = Instant::now();
    if shell::run(&mut plain).is_err() {
        failed.push("the tests without counters".to_owned());
    }
    took.push((begun.elapsed(), "the tests without counters"));
    println!("\n--- documentation");
    if shell::run(super::test::tester().args(["--workspace", "--doc"])).is_err() {
        failed.push("the examples in the documentation".to_owned());
    }
    took.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
    println!("\nthe longest:");
    for (took, name) in took.iter().take(8) {
        println!("{:>7.1} s  {name}", took.as_secs_f64());
    }
    if failed.is_empty() { Ok(Ran { counted }) } else { bail!("tests failed in {}", failed.join(", ")) }
}

/// Every test program of the workspace but the whole-product tests, which come later, and every program that has
/// counters.
fn build(packages: &[Package]) -> anyhow::Result<(Vec<TestProgram>, Vec<PathBuf>)> {
    let mut cargo = shell::cargo();
    coverage::instrument(&mut cargo, packages);
    // The whole workspace, so that features and with them the dependencies are those of every other build.
    cargo.args(["test", "--locked", "--workspace", "--no-run", "--lib", "--message-format=json-render-diagnostics"]);
    for target in packages.iter().flat_map(|package| &package.targets).filter(|target| target.test) {
        match target.kind.first().map(String::as_str) {
            Some("bin") => cargo.args(["--bin", &target.name]),
            Some("test") if target.name != super::test::PRODUCT_TESTS => cargo.args(["--test", &target.name]),
            _ => continue,
        };
    }
    let messages = shell::output(&mut cargo)?;
    let mut programs = Vec::new();
    let mut counted = Vec::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let (Some(executable), Some(manifest)) = (message["executable"].as_str(), message["manifest_path"].as_str())
        else {
            continue;
        };
        let package = packages
            .iter()
            .find(|package| package.folder().join("Cargo.toml") == Path::new(manifest))
            .with_context(|| format!("cargo built {executable} of an unknown crate"))?;
        if package.is_product() {
            counted.push(PathBuf::from(executable));
        }
        if message["profile"]["test"] == true {
            let target = message["target"]["name"].as_str().unwrap_or_default();
            let own = target.replace('_', "-") == package.name || target == package.name;
            programs.push(TestProgram {
                name: if own { package.name.clone() } else { format!("{} {target}", package.name) },
                product: package.is_product(),
                folder: package.folder().to_path_buf(),
                executable: PathBuf::from(executable),
            });
        }
    }
    if programs.is_empty() {
        bail!("no test was built");
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    counted.sort();
    counted.dedup();
    Ok((programs, counted))
}
