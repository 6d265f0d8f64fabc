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
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let native = native::Native::open()?;
    let folder = tempfile::tempdir()?;
    let mut watch = stopwatch::Stopwatch::new(folder.path().to_path_buf());
    let mut results = Results::new("cargo xtask bench dsp");
    blocks::measure(&mut watch, &native, &mut results)?;
    enhancement::measure(&mut watch, &native, &mut results)?;
    chains::measure(&mut watch, &mut results)?;
    results.baseline("named in each row; measured in the same run on the same sound, median of Criterion's samples");
    println!("\ninstructions: {}; {}", trunkline_dsp::Simd::detect().name(), native.opus_version());
    results.finish(cli.json.as_deref())
}
