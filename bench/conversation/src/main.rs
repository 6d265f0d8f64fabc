//! How turns are taken: `cargo xtask bench conversation [--json FILE]`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use trunkline_bench_conversation::draw::{self, tables};
use trunkline_bench_conversation::{Engine, Options, kept, run};
use trunkline_bench_results::{Measurement, Results};

#[derive(Parser)]
#[command(about = "Judges how turns are taken, on real sound, beside a plain time-out")]
struct Args {
    /// Also write the results as a JSON array.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where synthesised speech is kept; `bench-conversation` in the target directory by default.
    #[arg(long)]
    work: Option<PathBuf>,
    /// How often each kind of scene is made of each talker.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Only talkers whose names begin so: for a quick look.
    #[arg(long)]
    talker: Vec<String>,
    /// Only scenes of kinds whose names begin so.
    #[arg(long)]
    kind: Vec<String>,
    /// Only the product's own engine: for a quick look at a change.
    #[arg(long)]
    ours: bool,
    /// Only these engines, as the tables call them: the others' rows are missing.
    #[arg(long)]
    engine: Vec<String>,
    /// Without the engines that have a real recogniser, which takes most of the time.
    #[arg(long)]
    no_listening: bool,
    /// Print what becomes of each scene.
    #[arg(long)]
    verbose: bool,
    /// Where the table and the plot go.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/conversation"))]
    results: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let begun = Instant::now();
    let quick = args.ours || !args.talker.is_empty() || !args.kind.is_empty();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let report = run(&Options {
        folder: args.work.unwrap_or_else(|| kept(&target)),
        rounds: args.rounds,
        talkers: args.talker,
        kinds: args.kind,
        engines: Engine::ALL
            .into_iter()
            .filter(|engine| !args.ours || *engine == Engine::Ours)
            .filter(|engine| args.engine.is_empty() || args.engine.iter().any(|name| name == engine.name()))
            .collect(),
        listens: !args.no_listening,
        noise: true,
        verbose: args.verbose,
    })?;
    println!("{} scenes, {} s", report.scenes, begun.elapsed().as_secs());
    println!("{}", tables(&report));
    // A quick look is no result.
    if !quick {
        draw::write(&args.results, &report)?;
        println!("table and plot: {}", args.results.canonicalize()?.display());
    }
    if let Some(json) = args.json {
        let mut results = Results::new("cargo xtask bench conversation");
        results.baseline("a time-out of 700 ms behind silero's published model");
        for (engine, part, figures) in &report.figures {
            let beside = if engine.listens() { Engine::PlainRealWords } else { Engine::Plain };
            let plain = report.of(beside, *part);
            for figure in &figures.all {
                let Some(value) = figure.value else { continue };
                let name = format!("{}.{}.{}", part.name(), engine.name(), figure.name).replace([' ', ','], "_");
                let measured = Measurement::new(name, value, figure.unit);
                results.add(match plain.and_then(|plain| plain.get(figure.name)?.value) {
                    Some(baseline) => measured.beside(baseline),
                    None => measured,
                });
            }
        }
        results.finish(Some(&json))?;
    }
    Ok(())
}
