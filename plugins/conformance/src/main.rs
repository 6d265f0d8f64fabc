//! `trunkline-plugin-test`: replays a recording against a plugin folder and prints what the host saw.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use trunkline_plugin_conformance::{Fault, HostSetup, Recording, replay};
use trunkline_plugin_host::TrustedKeys;

/// Replays a recorded session against a plugin.
#[derive(Parser)]
struct Arguments {
    /// Folder with plugin.toml, plugin.wasm and the settings schema.
    plugin: PathBuf,
    /// Recording, JSON lines.
    recording: PathBuf,
    /// 429, stall, half-close or silence; may be repeated. Without it the recording is played as it is.
    #[arg(long)]
    fault: Vec<Fault>,
    /// Folder for compiled code; by default one that is thrown away.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Folder of minisign public keys: the plugin must be signed by one of them. Without it an unsigned plugin will do.
    #[arg(long)]
    trusted_keys: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let text = std::fs::read_to_string(&arguments.recording)
        .with_context(|| format!("reading {}", arguments.recording.display()))?;
    let recording = Recording::parse(&text).with_context(|| arguments.recording.display().to_string())?;
    let scratch = tempfile::tempdir()?;
    let cache = arguments.cache.unwrap_or_else(|| scratch.path().join("cache"));
    let mut trusted = arguments.trusted_keys.as_ref().map(|_| TrustedKeys::default());
    if let (Some(keys), Some(folder)) = (&mut trusted, &arguments.trusted_keys) {
        keys.add_folder(folder)?;
    }
    let setup = HostSetup { cache, trusted };
    let faults: Vec<Option<Fault>> =
        if arguments.fault.is_empty() { vec![None] } else { arguments.fault.into_iter().map(Some).collect() };
    let mut passed = true;
    for fault in faults {
        let report = replay(&arguments.plugin, &setup, &recording, fault)?;
        println!("== {}", fault.map_or_else(|| "as recorded".to_owned(), |fault| fault.to_string()));
        for (at_ms, line) in &report.seen {
            println!("{at_ms:>8} ms  {line}");
        }
        for violation in &report.violations {
            println!("  VIOLATION  {violation}");
        }
        println!("{} us inside the plugin, {}", report.plugin_us, if report.passed() { "passed" } else { "FAILED" });
        passed &= report.passed();
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
