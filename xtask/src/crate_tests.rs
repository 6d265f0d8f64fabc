//! The tests of the crates by themselves: those of the product with counters for their lines. Signal processing is
//! tested at full speed, and its short tests run once more to be counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::coverage::Counting;
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
    /// Whether its tests run one after the other: threads that count in the same loops wait for each other.
    alone: bool,
}

/// What ran, for measuring what it reached.
pub(crate) struct Ran {
    /// Programs with counters, tests and the binaries they start.
    pub(crate) counted: Vec<PathBuf>,
}

/// Builds every crate's tests, runs them all and fails in the end with the names of those that failed.
pub(crate) fn run(tier: &Tier) -> anyhow::Result<Ran> {
    let packages = metadata::packages(PRODUCT)?;
    let (programs, mut counted) = build(&packages, Counting::Product)?;
    let (signal_processing, more) = build(&packages, Counting::SignalProcessing)?;
    counted.extend(more);
    let profiles = coverage::profiles();
    if profiles.exists() {
        fs::remove_dir_all(&profiles)?;
    }
    fs::create_dir_all(profiles.join("not-the-product"))?;
    let mut failed = Vec::new();
    let mut took = Vec::new();
    for program in programs.iter().chain(&signal_processing) {
        println!("\n--- {}", program.name);
        let begun = Instant::now();
        let mut command = Command::new(&program.executable);
        command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
        Products::built().environment(&mut command);
        // A few files, each merged into by many processes; what other crates reach of the product does not count.
        let place = if program.product { profiles.clone() } else { profiles.join("not-the-product") };
        command.env("LLVM_PROFILE_FILE", place.join("%4m.profraw"));
        if program.alone {
            command.arg("--test-threads=1");
        }
        tier.arguments(&mut command);
        if shell::run(&mut command).is_err() {
            failed.push(program.name.clone());
        }
        took.push((begun.elapsed(), program.name.as_str()));
    }
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

/// Test programs, and every program that has counters: of the whole workspace but the whole-product tests, which come
/// later; or the short ones of signal processing, again.
fn build(packages: &[Package], counting: Counting) -> anyhow::Result<(Vec<TestProgram>, Vec<PathBuf>)> {
    let mut cargo = shell::cargo();
    coverage::instrument(&mut cargo, packages, counting);
    cargo.args(["test", "--locked", "--no-run", "--lib", "--message-format=json-render-diagnostics"]);
    let again = counting == Counting::SignalProcessing;
    if again {
        cargo.args(["-p", coverage::SIGNAL_PROCESSING]);
    } else {
        // The whole workspace, so that features and with them the dependencies are those of every other build.
        cargo.arg("--workspace");
    }
    let built = packages.iter().filter(|package| !again || package.name == coverage::SIGNAL_PROCESSING);
    for target in built.flat_map(|package| &package.targets).filter(|target| target.test) {
        let wanted =
            |name: &str| name != super::test::PRODUCT_TESTS && !(again && coverage::WITHOUT_COUNTERS.contains(&name));
        match target.kind.first().map(String::as_str) {
            Some("bin") => cargo.args(["--bin", &target.name]),
            Some("test") if wanted(&target.name) => cargo.args(["--test", &target.name]),
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
        if package.is_product() && again == (package.name == coverage::SIGNAL_PROCESSING) {
            counted.push(PathBuf::from(executable));
        }
        if message["profile"]["test"] == true {
            let target = message["target"]["name"].as_str().unwrap_or_default();
            let own = target.replace('_', "-") == package.name || target == package.name;
            programs.push(TestProgram {
                name: match (own, again) {
                    (true, false) => package.name.clone(),
                    (false, false) => format!("{} {target}", package.name),
                    (_, true) => format!("{} {target}, counted", package.name),
                },
                product: package.is_product(),
                folder: package.folder().to_path_buf(),
                executable: PathBuf::from(executable),
                alone: again,
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
