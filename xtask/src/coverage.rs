//! Which lines of the product its crates' own tests reach, held above a floor for every crate that only rises.
//!
//! The tests run once, with counters, and are the crate tests of the run. Counters cost loops over sound many times
//! their own length, so [`SIGNAL_PROCESSING`] counts in a build of its own, while its short tests run.

mod lines;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use self::lines::Lines;
use crate::metadata::Package;
use crate::{metadata, shell, workspaces};

/// The crate whose loops take up to two hundred times as long with counters: it counts while its own short tests run,
/// and not below anybody else's.
pub(crate) const SIGNAL_PROCESSING: &str = "trunkline-dsp";
/// Its tests that hear minutes of sound and run without counters only; its unit tests and shorter ones reach the same
/// files.
pub(crate) const WITHOUT_COUNTERS: &[&str] = &[
    "chain_behaviour",
    "chain_moves",
    "echo_barge_in",
    "ns_banks",
    "ns_lanes",
    "ns_reference",
    "vad_engines",
    "vad_fused",
    "voice_activity",
];

/// The least that every crate's tests reach, in percent of its lines.
const FLOORS: &str = "xtask/coverage-floor";
/// How far a figure may lie under its floor before that counts: which lines a race or a time-out reaches differs.
const SLACK: f64 = 0.5;

/// Who counts in a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    /// Every crate of the product but signal processing.
    Product,
    /// Signal processing alone.
    SignalProcessing,
}

/// The compiler that counts, and what tells it which crates.
pub(crate) fn instrument(cargo: &mut Command, packages: &[Package], who: Counting) {
    // Cargo keeps what each of the two made apart.
    let (wrapper, signal_processing) = match who {
        Counting::Product => ("count-lines.sh", false),
        Counting::SignalProcessing => ("count-dsp-lines.sh", true),
    };
    let counted: Vec<&str> = packages
        .iter()
        .filter(|package| package.is_product() && (package.name == SIGNAL_PROCESSING) == signal_processing)
        .map(|package| package.name.as_str())
        .collect();
    cargo
        .env("RUSTC_WORKSPACE_WRAPPER", shell::root().join("xtask/src").join(wrapper))
        .env("TRUNKLINE_COUNTED", counted.join(" "));
}

/// Where tests leave what they counted.
pub(crate) fn profiles() -> PathBuf {
    shell::target_dir().join("coverage")
}

/// Adds up what the tests in `binaries` left in [`profiles`], prints it by crate and compares it with the floors;
/// `raise` writes higher ones.
pub(crate) fn check(binaries: &[PathBuf], raise: bool) -> anyhow::Result<()> {
    let reached = measure(binaries)?;
    let path = shell::root().join(FLOORS);
    let mut floors = read_floors(&fs::read_to_string(&path)?)?;
    let mut total = Lines::default();
    println!("{:<30} {:>7} {:>7} {:>9} {:>9}", "crate", "lines", "reached", "share", "floor");
    for (name, lines) in &reached {
        let floor = floors.get(name).map_or_else(|| "none".to_owned(), |floor| format!("{floor:.1} %"));
        println!("{name:<30} {:>7} {:>7} {:>7.1} % {floor:>9}", lines.count, lines.covered, lines.percent());
        total.add(*lines);
    }
    println!("{:<30} {:>7} {:>7} {:>7.1} %", "together", total.count, total.covered, total.percent());
    let faults = faults(&reached, &floors, raise);
    if !faults.is_empty() {
        bail!("coverage, whose floors in {FLOORS} only rise:\n  {}", faults.join("\n  "));
    }
    if raise {
        raise_to(&mut floors, &reached);
        fs::write(&path, write_floors(&floors))?;
    }
    Ok(())
}

/// What fell below its floor, and what has no floor or no lines any more; a crate without floor is none when it is
/// about to get one.
fn faults(reached: &BTreeMap<String, Lines>, floors: &BTreeMap<String, f64>, raise: bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, lines) in reached {
        let percent = lines.percent();
        match floors.get(name) {
            Some(floor) if percent + SLACK < *floor => {
                faults.push(format!("{name} fell from {floor:.1} to {percent:.1} %; add tests"));
            }
            None if !raise => faults.push(format!("{name} has no floor; give it a line, {percent:.1} at most")),
            _ => {}
        }
    }
    for name in floors.keys().filter(|name| !reached.contains_key(*name)) {
        faults.push(format!(
            "{name} has a floor but no line was counted; if there is no such crate any more, take it out"
        ));
    }
    faults
}

fn raise_to(floors: &mut BTreeMap<String, f64>, reached: &BTreeMap<String, Lines>) {
    for (name, lines) in reached {
        let floor = floors.entry(name.clone()).or_default();
        *floor = floor.max((lines.percent() * 10.0).floor() / 10.0);
    }
}

/// Lines by crate.
fn measure(binaries: &[PathBuf]) -> anyhow::Result<BTreeMap<String, Lines>> {
    let profiles = profiles();
    let raw: Vec<PathBuf> = fs::read_dir(&profiles)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "profraw"))
        .collect();
    let Some((first, others)) = binaries.split_first() else { bail!("no test of the product was built") };
    let merged = profiles.join("merged.profdata");
    // A process that was killed while it wrote leaves a file that says nothing; the others count.
    let mut merge = Command::new(tool("llvm-profdata"));
    shell::run(merge.args(["merge", "-sparse", "--failure-mode=all", "-o"]).arg(&merged).args(&raw))?;
    let mut export = Command::new(tool("llvm-cov"));
    export.args(["export", "-format=lcov", "-ignore-filename-regex=(registry|rustc)/", "-instr-profile"]);
    export.arg(&merged).arg(first);
    for binary in others {
        export.arg("-object").arg(binary);
    }
    let exported = shell::output(&mut export)?;
    let root = shell::root();
    let mut by_crate = BTreeMap::<String, Lines>::new();
    let packages = metadata::packages(workspaces::PRODUCT)?;
    for (file, counts) in lines::by_file(&exported) {
        let Some(owner) = owner(&packages, Path::new(&file)) else { continue };
        let inside = Path::new(&file).strip_prefix(owner.folder()).unwrap_or(Path::new(""));
        if !inside.starts_with("src") || !Path::new(&file).starts_with(&root) {
            continue;
        }
        let source = fs::read_to_string(&file).with_context(|| file.clone())?;
        by_crate.entry(owner.name.clone()).or_default().add(lines::outside_tests(inside, &source, &counts));
    }
    Ok(by_crate)
}

/// The product's crate that a file belongs to: crates lie within each other, and the innermost owns it.
fn owner<'a>(packages: &'a [Package], file: &Path) -> Option<&'a Package> {
    let owner =
        packages.iter().filter(|p| file.starts_with(p.folder())).max_by_key(|p| p.folder().as_os_str().len())?;
    owner.is_product().then_some(owner)
}

/// Debian's tool of the compiler's own LLVM version.
fn tool(name: &str) -> String {
    format!("{name}-22")
}

fn read_floors(text: &str) -> anyhow::Result<BTreeMap<String, f64>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, percent) = line.split_once(' ').with_context(|| format!("{FLOORS}: {line}"))?;
            Ok((name.to_owned(), percent.trim().parse().with_context(|| format!("{FLOORS}: {line}"))?))
        })
        .collect()
}

fn write_floors(floors: &BTreeMap<String, f64>) -> String {
    use std::fmt::Write as _;
    let mut text =
        "# The least share of a crate's lines that its own tests reach, in percent, test modules not counted.\n\
                    # Compared in every run; `cargo xtask test --all` and `cargo xtask coverage --raise` raise it, nothing lowers it.\n"
            .to_owned();
    for (name, percent) in floors {
        let _ = writeln!(text, "{name:<30} {percent:.1}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(covered: u64) -> BTreeMap<String, Lines> {
        [("trunkline-leg".to_owned(), Lines { covered, count: 1000 })].into()
    }

    #[test]
    fn a_floor_is_held_and_only_rises() -> anyhow::Result<()> {
        let mut floors = read_floors("# Why.\ntrunkline-leg                  90.0\n")?;
        assert_eq!(faults(&reached(896), &floors, false), [""; 0]);
        assert_eq!(faults(&reached(890), &floors, true).len(), 1);
        assert_eq!(faults(&BTreeMap::new(), &floors, true).len(), 1);
        assert_eq!(faults(&reached(890), &BTreeMap::new(), false).len(), 1);
        raise_to(&mut floors, &reached(896));
        assert_eq!(floors["trunkline-leg"], 90.0);
        raise_to(&mut floors, &reached(912));
        assert_eq!(read_floors(&write_floors(&floors))?["trunkline-leg"], 91.2);
        Ok(())
    }
}
