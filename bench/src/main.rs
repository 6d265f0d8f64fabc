//! Measurements beside their baselines: `cargo xtask bench NAME [--json FILE]`.

mod first_call;
mod killed;
mod live;
mod load;
mod peers;
mod plot;
mod store;
mod store_engines;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "trunkline-bench", about = "Measurements beside their baselines", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// What one call costs and how long its caller waits.
    FirstCall(first_call::Args),
    /// What a caller waits for, and what reaches a caller, on running calls with providers of 0 ms.
    Live(live::Args),
    /// Many calls at once: what is lost, how late it comes and what it costs.
    Load(load::Args),
    /// The same load against others that give sound back.
    Peers(peers::Args),
    /// The edge store against redb by itself and sled.
    Store(store::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::FirstCall(args) => first_call::run(&args),
        Bench::Live(args) => live::run(&args),
        Bench::Load(args) => load::run(&args),
        Bench::Peers(args) => peers::run(&args),
        Bench::Store(args) => store::run(&args),
    }
}
