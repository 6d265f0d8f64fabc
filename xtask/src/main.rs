//! The one front door: `cargo xtask demo | test | bench | package | plugins | coverage | house | advisories`.
//!
//! Every command does its own set-up on a fresh Debian machine with a Rust toolchain; whatever needs root and is
//! not run as root is named, and the command stops.

mod areas;
mod bench;
mod clone;
mod coverage;
mod crate_tests;
mod crates;
mod deny;
mod fuzz;
mod house;
mod lints;
mod metadata;
mod package;
mod packages;
mod plugins;
mod products;
mod progress;
mod shell;
mod stages;
mod test;
mod tier;
mod toolchain_wasm;
mod workspaces;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Trunkline's front door")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Place a real call through the whole product, offline, and show it.
    Demo {
        /// End after one call; exit code 0 only when every stage really happened.
        #[arg(long)]
        once: bool,
        /// Picks words, digits and key of the conversation.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Install what tests need and run them all.
    Test {
        /// Also the slow tier: soaks, million-message runs, fuzzing.
        #[arg(long)]
        all: bool,
        /// One area; fails when the area has no test.
        #[arg(long)]
        only: Option<areas::Area>,
    },
    /// Run a benchmark side by side with its baseline.
    Bench {
        /// Its name; without one, lists them.
        name: Option<String>,
        /// Also write the results as a JSON array.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Whatever else it takes: `cargo xtask bench NAME -- --help` says what.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Build the WebAssembly plugins, signed with a development key.
    Plugins {
        /// Also put copies into this folder, signed with `--key`.
        #[arg(long, requires = "key")]
        out: Option<PathBuf>,
        /// A minisign secret key, made with `minisign -G`; its password, when it has one, in
        /// `TRUNKLINE_SIGNING_PASSWORD`.
        #[arg(long, requires = "out")]
        key: Option<PathBuf>,
    },
    /// Make packages: deb, rpm, OCI image.
    Package(package::Order),
    /// Run the crates' tests with counters and show which share of each crate's lines they reach.
    Coverage {
        /// Write what was reached as floors, where it is more than they were.
        #[arg(long)]
        raise: bool,
    },
    /// Check the rules of the house, in seconds.
    House,
    /// Compare every lock with the advisory database, and fail where it cannot be had.
    Advisories,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    if !matches!(task, Task::House | Task::Advisories) {
        clone::claim_target_dir()?;
    }
    match task {
        Task::Demo { once, seed } => {
            println!("[1/4] packages");
            packages::ensure(packages::DEMO)?;
            let products = products::build_for_the_demo()?;
            println!("[4/4] demo");
            let mut demo = products.command("trunkline-demo");
            if once {
                demo.arg("--once");
            }
            if let Some(seed) = seed {
                demo.args(["--seed", &seed.to_string()]);
            }
            shell::run(&mut demo)
        }
        Task::Test { all, only } => test::run(all, only),
        Task::Bench { name, json, options } => bench::run(name.as_deref(), json.as_deref(), &options),
        Task::Package(order) => package::make(&order),
        Task::Plugins { out, key } => {
            // A key that cannot be used is said before minutes of building.
            let password = std::env::var("TRUNKLINE_SIGNING_PASSWORD").ok();
            let key = key.map(|file| plugins::SigningKey::read(&file, password)).transpose()?;
            packages::ensure(packages::PLUGINS)?;
            let built = products::plugins()?;
            for plugin in &built {
                println!("{:<10} {}", plugin.name, plugin.folder.display());
            }
            match (out, key) {
                (Some(out), Some(key)) => plugins::export(&built, &out, &key),
                _ => Ok(()),
            }
        }
        Task::Coverage { raise } => {
            packages::ensure(packages::TEST)?;
            products::plugins()?;
            coverage::check(&crate_tests::run(&tier::Tier::Default)?.counted, raise)
        }
        Task::House => house::check(),
        Task::Advisories => deny::advisories_or_fail(),
    }
}
