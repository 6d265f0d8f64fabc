//! Signal processing in processor time, each block beside the baseline a gateway would otherwise use, and whole
//! chains as calls per core: `cargo xtask bench dsp [--json FILE]`.

mod blocks;
mod chains;
mod cpu_time;
mod enhancement;
mod native;
mod signal;
mod stopwatch;

use std::path::PathBuf;

use clap::Parser;
use trunkline_bench_results::Results;

#[derive(Parser)]
#[command(name = "trunkline-bench-dsp", about = "Signal processing beside its baselines, in processor time")]
struct Cli {
    /// Also write the results as a JSON array.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure one part only.
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Codecs, resampling, concealment, mixing.
    Blocks,
    /// Noise suppression, voice activity, and what a call has of its own.
    Enhancement,
    /// Whole chains, as calls per core.
    Chains,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let native = native::Native::open()?;
    let folder = tempfile::tempdir()?;
    let mut watch = stopwatch::Stopwatch::new(folder.path().to_path_buf());
    let mut results = Results::new("cargo xtask bench dsp");
    let wanted = |part| cli.only.is_none_or(|only| only == part);
    if wanted(Part::Blocks) {
        blocks::measure(&mut watch, &native, &mut results)?;
    }
    if wanted(Part::Enhancement) {
        enhancement::measure(&mut watch, &native, &mut results)?;
    }
    if wanted(Part::Chains) {
        chains::measure(&mut watch, &mut results)?;
    }
    results.baseline("named in each row; measured in the same run on the same sound, median of Criterion's samples");
    println!("\ninstructions: {}; {}", trunkline_dsp::Simd::detect().name(), native.opus_version());
    results.finish(cli.json.as_deref())
}
