//! `bench store`: the edge store against redb by itself and sled, durable writes and damaged files.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::store_engines::{EdgeStoreEngine, Engine, RedbEngine, SledEngine, Verdict, judge};

/// What to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the results as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Durable writes of each engine.
    #[arg(long, default_value_t = 2000)]
    puts: u64,
    /// Damaged copies of each engine and kind of damage.
    #[arg(long, default_value_t = 12)]
    trials: u64,
    /// Folder on the disk to measure; a temporary folder by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    command: String,
    versions: BTreeMap<&'static str, &'static str>,
}

/// Writes per group when many calls end at once.
const GROUP: usize = 64;
const DAMAGED_RECORDS: u64 = 60;

/// Runs the comparison and prints a table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut results = Vec::new();
    println!(
        "{:<12} {:>9} {:>9} {:>9} {:>10} {:>14}",
        "engine", "p50 us", "p99 us", "puts/s", "puts/s x64", "KiB on disk"
    );
    measure::<EdgeStoreEngine>("edge-store", args, &mut results)?;
    measure::<RedbEngine>("redb", args, &mut results)?;
    measure::<SledEngine>("sled", args, &mut results)?;
    println!();
    println!(
        "{:<12} {:<6} {:>6} {:>12} {:>12} {:>6} {:>8}",
        "engine", "damage", "whole", "lost, said", "lost, silent", "wrong", "refused"
    );
    damage::<EdgeStoreEngine>("edge-store", args, &mut results)?;
    damage::<RedbEngine>("redb", args, &mut results)?;
    damage::<SledEngine>("sled", args, &mut results)?;
    if let Some(path) = &args.json {
        let baselines: BTreeMap<String, f64> = results
            .iter()
            .filter_map(|(name, value, _)| Some((name.strip_prefix("sled ")?.to_owned(), *value)))
            .collect();
        let rows: Vec<Row> = results.into_iter().map(|result| row(result, &baselines, args)).collect();
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

type Measured = (String, f64, &'static str);

fn row((name, value, unit): Measured, baselines: &BTreeMap<String, f64>, args: &Args) -> Row {
    let baseline = name.strip_prefix("edge-store ").and_then(|what| baselines.get(what)).copied();
    Row {
        ratio: baseline.filter(|&baseline| baseline > 0.0).map(|baseline| value / baseline),
        baseline,
        name,
        value,
        unit,
        command: format!("cargo xtask bench store --puts {} --trials {}", args.puts, args.trials),
        versions: BTreeMap::from([("trunkline", env!("CARGO_PKG_VERSION")), ("redb", "4.4"), ("sled", "0.34.7")]),
    }
}

fn folder(args: &Args) -> Result<tempfile::TempDir> {
    Ok(match &args.folder {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    })
}

fn measure<E: Engine>(name: &str, args: &Args, results: &mut Vec<Measured>) -> Result<()> {
    let folder = folder(args)?;
    let mut engine = E::open(folder.path())?;
    let mut times: Vec<Duration> = Vec::new();
    let begun = Instant::now();
    for number in 1..=args.puts {
        let put = Instant::now();
        engine.put(&[number])?;
        times.push(put.elapsed());
    }
    let singly = args.puts as f64 / begun.elapsed().as_secs_f64();
    let numbers: Vec<u64> = (args.puts + 1..=args.puts * 2).collect();
    let begun = Instant::now();
    for group in numbers.chunks(GROUP) {
        engine.put(group)?;
    }
    let grouped = args.puts as f64 / begun.elapsed().as_secs_f64();
    drop(engine);
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    let (median, tail, size) = (at(0.5), at(0.99), size(folder.path())? as f64 / 1024.0);
    println!("{name:<12} {median:>9.0} {tail:>9.0} {singly:>9.0} {grouped:>10.0} {size:>14.0}");
    for (what, value, unit) in [
        ("durable put p50", median, "us"),
        ("durable put p99", tail, "us"),
        ("durable puts", singly, "1/s"),
        ("durable puts in groups of 64", grouped, "1/s"),
        ("disk", size, "KiB"),
    ] {
        results.push((format!("{name} {what}"), value, unit));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Flip,
    Cut,
    Zero,
}

fn damage<E: Engine>(name: &str, args: &Args, results: &mut Vec<Measured>) -> Result<()> {
    let pristine = folder(args)?;
    let mut engine = E::open(pristine.path())?;
    for number in 1..=DAMAGED_RECORDS {
        engine.put(&[number])?;
    }
    drop(engine);
    for (label, kind) in [("flip", Kind::Flip), ("cut", Kind::Cut), ("zero", Kind::Zero)] {
        let mut verdicts: BTreeMap<Verdict, u64> = BTreeMap::new();
        for trial in 0..args.trials {
            let copy = folder(args)?;
            copy_tree(pristine.path(), copy.path())?;
            spoil(&newest_file(&copy.path().join(E::FILES))?, kind, trial, args.trials)?;
            // An engine may also panic on what it reads; for a gateway that is a refusal.
            let read = catch_unwind(AssertUnwindSafe(|| E::open(copy.path())?.read()));
            let read = read.unwrap_or_else(|_| Err(anyhow::anyhow!("the engine panicked")));
            *verdicts.entry(judge(read, DAMAGED_RECORDS)).or_default() += 1;
        }
        let count = |verdict| verdicts.get(&verdict).copied().unwrap_or(0);
        println!(
            "{name:<12} {label:<6} {:>6} {:>12} {:>12} {:>6} {:>8}",
            count(Verdict::Whole),
            count(Verdict::LostAndSaidSo),
            count(Verdict::LostSilently),
            count(Verdict::Wrong),
            count(Verdict::Refused)
        );
        for (what, verdict) in
            [("lost silently", Verdict::LostSilently), ("wrong", Verdict::Wrong), ("refused", Verdict::Refused)]
        {
            results.push((format!("{name} {label}: {what}"), count(verdict) as f64, "trials"));
        }
    }
    Ok(())
}

/// Damages a file at a place that moves through its used part with the trial.
fn spoil(path: &Path, kind: Kind, trial: u64, trials: u64) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(1, |last| last + 1) as u64;
    let at = (used * (2 * trial + 1) / (2 * trials)).min(used - 1);
    match kind {
        Kind::Flip => {
            let place = usize::try_from(at)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&[bytes[place] ^ 0x20])?;
        }
        Kind::Cut => file.set_len(used - used.min(200 + 1300 * trial / trials))?,
        Kind::Zero => {
            let length = 200.min(used - at);
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&vec![0; usize::try_from(length)?])?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn newest_file(folder: &Path) -> Result<PathBuf> {
    let mut dated = Vec::new();
    for path in files(folder)? {
        let metadata = path.metadata()?;
        // Copies keep no time; the name says which snapshot or segment is newest.
        if metadata.len() > 0 && path.file_name().is_some_and(|name| name != "conf") {
            dated.push(path);
        }
    }
    dated.sort();
    dated.pop().context("no file")
}

fn size(folder: &Path) -> Result<u64> {
    files(folder)?.iter().map(|path| Ok(path.metadata()?.len())).sum()
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for path in files(from)? {
        let target = to.join(path.strip_prefix(from)?);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::copy(&path, &target)?;
    }
    Ok(())
}
