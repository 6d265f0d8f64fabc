//! `bench store`: the edge store against redb by itself and sled, durable writes and damaged files.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use trunkline_bench_results::{Measurement, Results};

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
    /// One engine only: `edge-store`, `redb` or `sled`, for example under `strace -c`.
    #[arg(long)]
    engine: Option<String>,
    /// Folder on the disk to measure; a temporary folder by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Writes per group when many calls end at once.
const GROUP: usize = 64;
const DAMAGED_RECORDS: u64 = 60;

/// Runs the comparison and prints a table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut results = Vec::new();
    let wanted = |engine: &str| args.engine.as_deref().is_none_or(|only| only == engine);
    println!(
        "{:<12} {:>9} {:>9} {:>9} {:>10} {:>14}",
        "engine", "p50 us", "p99 us", "puts/s", "puts/s x64", "KiB on disk"
    );
    if wanted("edge-store") {
        measure::<EdgeStoreEngine>("edge-store", args, &mut results)?;
    }
    if wanted("redb") {
        measure::<RedbEngine>("redb", args, &mut results)?;
    }
    if wanted("sled") {
        measure::<SledEngine>("sled", args, &mut results)?;
    }
    println!();
    println!(
        "{:<22} {:<6} {:>6} {:>12} {:>13} {:>6} {:>8} {:>10}",
        "engine and file", "damage", "whole", "lost, said", "lost, silent", "wrong", "refused", "mean lost"
    );
    if wanted("edge-store") {
        damage::<EdgeStoreEngine>("edge-store", args, &mut results)?;
    }
    if wanted("redb") {
        damage::<RedbEngine>("redb", args, &mut results)?;
    }
    if wanted("sled") {
        damage::<SledEngine>("sled", args, &mut results)?;
    }
    println!();
    let command = format!("cargo xtask bench store (--puts {} --trials {})", args.puts, args.trials);
    let mut shown = Results::new(command);
    shown.baseline("sled 0.34.7, insert then flush; redb 4.4, durability Immediate, beside it");
    let baselines: BTreeMap<String, f64> =
        results.iter().filter_map(|row| Some((row.name().strip_prefix("sled ")?.to_owned(), row.value()))).collect();
    for measurement in results {
        let baseline = measurement.name().strip_prefix("edge-store ").and_then(|what| baselines.get(what)).copied();
        shown.add(match baseline {
            Some(baseline) => measurement.beside(baseline),
            None => measurement,
        });
    }
    shown.finish(args.json.as_deref())
}

fn folder(args: &Args) -> Result<tempfile::TempDir> {
    Ok(match &args.folder {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    })
}

fn measure<E: Engine>(name: &str, args: &Args, results: &mut Vec<Measurement>) -> Result<()> {
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
        results.push(Measurement::new(format!("{name} {what}"), value, unit));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    /// The control: a copy as it is.
    None,
    Flip,
    Cut,
    Zero,
}

fn damage<E: Engine>(name: &str, args: &Args, results: &mut Vec<Measurement>) -> Result<()> {
    let pristine = folder(args)?;
    let mut engine = E::open(pristine.path())?;
    for number in 1..=DAMAGED_RECORDS {
        engine.put(&[number])?;
    }
    drop(engine);
    // An ordinary restart, which is when some engines write what they read first the next time.
    drop(E::open(pristine.path())?);
    for (target, path) in E::TARGETS {
        for (label, kind) in [("none", Kind::None), ("flip", Kind::Flip), ("cut", Kind::Cut), ("zero", Kind::Zero)] {
            let mut verdicts: BTreeMap<Verdict, u64> = BTreeMap::new();
            let mut lost_in_all = 0;
            for trial in 0..args.trials {
                let copy = folder(args)?;
                copy_tree(pristine.path(), copy.path())?;
                spoil(&newest_file(copy.path(), path)?, kind, trial, args.trials)?;
                // An engine may also panic on what it reads; for a gateway that is a refusal.
                let read = catch_unwind(AssertUnwindSafe(|| E::open(copy.path())?.read()));
                let read = read.unwrap_or_else(|_| Err(anyhow::anyhow!("the engine panicked")));
                let (verdict, lost) = judge(read, DAMAGED_RECORDS);
                *verdicts.entry(verdict).or_default() += 1;
                lost_in_all += lost;
            }
            let count = |verdict| verdicts.get(&verdict).copied().unwrap_or(0);
            let mean_lost = lost_in_all as f64 / args.trials as f64;
            println!(
                "{:<22} {label:<6} {:>6} {:>12} {:>13} {:>6} {:>8} {mean_lost:>10.1}",
                format!("{name} {target}"),
                count(Verdict::Whole),
                count(Verdict::LostAndSaidSo),
                count(Verdict::LostSilently),
                count(Verdict::Wrong),
                count(Verdict::Refused)
            );
            for (what, verdict) in
                [("lost silently", Verdict::LostSilently), ("wrong", Verdict::Wrong), ("refused", Verdict::Refused)]
            {
                let figure = format!("{name} {target}, {label}: {what}");
                results.push(Measurement::new(figure, count(verdict) as f64, "trials"));
            }
            let figure = format!("{name} {target}, {label}: records lost of 60");
            results.push(Measurement::new(figure, mean_lost, "mean"));
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
        Kind::None => {}
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

/// The newest file whose path begins so; names of segments and snapshots grow.
fn newest_file(folder: &Path, begins: &str) -> Result<PathBuf> {
    let mut found = files(folder)?;
    found.retain(|path| path.strip_prefix(folder).is_ok_and(|path| path.to_string_lossy().starts_with(begins)));
    found.sort();
    found.pop().with_context(|| format!("no file begins with {begins}"))
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
