//! How the product sounds: `cargo xtask bench quality [--json FILE]`.
//!
//! Makes a speech and noise set, runs every engine over it, has `score/score.py` judge what came out, and leaves a
//! table and plots in `bench/results/quality/`.

mod activity;
mod corpus;
mod engines;
mod feeds;
mod marking;
mod network;
mod parallel;
mod playout;
mod random;
mod rooms;
mod suppression;
mod tools;
mod wav;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde::Deserialize;
use trunkline_bench_results::{Measurement, Results};

#[derive(Parser)]
#[command(about = "Judges noise suppression, voice activity, concealment and delay on a speech set")]
struct Args {
    /// Also write the results as a JSON array.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the set and what the engines made of it are kept; `bench-quality` in the target directory by default.
    #[arg(long)]
    work: Option<PathBuf>,
    /// Only so many talkers, at most six: for a quick look, not for figures.
    #[arg(long)]
    talkers: Option<usize>,
    /// Only what the rooms in this folder come to, which `score/rooms.py` made: for a quick look at a change.
    #[arg(long)]
    rooms: Option<PathBuf>,
    /// Where the table and the plots go.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/quality"))]
    results: PathBuf,
}

/// A figure as `score.py` hands it over.
#[derive(Deserialize)]
struct Scored {
    name: String,
    value: f64,
    unit: String,
    baseline: Option<f64>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let work = args.work.unwrap_or_else(|| {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.unwrap_or_else(|| home.join(".cache/trunkline-target")).join("bench-quality")
    });
    std::fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    std::fs::create_dir_all(&args.results).with_context(|| args.results.display().to_string())?;

    let begun = Instant::now();
    if let Some(folder) = args.rooms {
        return rooms::run(&folder, &work.join("run/rooms"));
    }
    let tools = tools::Tools::ready(&home.join(".cache/trunkline"), &work)?;
    let mut corpus = corpus::Corpus::open(&work, &tools)?;
    let rooms = rooms::made(&work, &tools)?;
    if let Some(count) = args.talkers {
        corpus.keep(count);
    }
    let run = work.join("run");
    let _ = std::fs::remove_dir_all(&run);
    std::fs::create_dir_all(&run)?;
    std::fs::write(run.join("manifest.json"), serde_json::to_vec(&corpus.entries)?)?;
    suppression::run(&corpus, &run.join("ns"))?;
    activity::run(&corpus, &run.join("ns"), &run.join("vad"))?;
    rooms::run(&rooms, &run.join("rooms"))?;
    feeds::run(&rooms, &run.join("feeds"))?;
    playout::concealment(&corpus, &tools, &run.join("plc"))?;
    playout::networks(&corpus, &run.join("jitter"))?;
    documented(&rooms, &run)?;
    println!("engines: done after {} s", begun.elapsed().as_secs());

    let scores = run.join("scores.json");
    let mut score = tools.python("score.py");
    score.arg(&corpus.folder).arg(&rooms).arg(&run).arg(tools.models()).arg(&scores).arg(&args.results);
    tools::run(&mut score).context("scoring")?;
    println!("scores: done after {} s", begun.elapsed().as_secs());

    let mut results = Results::new("cargo xtask bench quality");
    for (name, version) in tools.versions()? {
        results.version(name, version);
    }
    results.baseline(
        "ns: nnnoiseless; plc: spandsp; jitter added delay: the fixed buffer of 20 to 200 ms that conceals no more",
    );
    let scores: Vec<Scored> = serde_json::from_slice(&std::fs::read(scores)?)?;
    for row in scores {
        let measurement = Measurement::new(row.name, row.value, row.unit);
        results.add(match row.baseline {
            Some(baseline) => measurement.beside(baseline),
            None => measurement,
        });
    }
    results.finish(args.json.as_deref())?;
    println!("table and plots: {}", args.results.canonicalize()?.display());
    Ok(())
}

/// What the engines say of themselves, for the scores to check: `documented.json`.
fn documented(rooms: &Path, run: &Path) -> Result<()> {
    let mut delays = BTreeMap::new();
    for engine in engines::NOISE.into_iter().chain([engines::CHAIN]) {
        for rate in [8000, 16000] {
            delays.insert(format!("{engine} {rate}"), engines::noise_delay_us(engine, rate)?);
        }
    }
    let silero_us = rooms::silero_us(rooms)?;
    let text = serde_json::to_vec(&serde_json::json!({ "noise_delay_us": delays, "silero_us": silero_us }))?;
    Ok(std::fs::write(run.join("documented.json"), text)?)
}
