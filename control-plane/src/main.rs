//! `trunkline-control-plane`: the command line over the library.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use trunkline_control_plane::config::Config;
use trunkline_control_plane::{openapi_json, server};

/// Trunkline's control plane.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Configuration file (TOML). Without it, defaults and `TRUNKLINE_CP_*` variables; `__` nests.
    #[arg(long, global = true, env = "TRUNKLINE_CP_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the REST API, the gateways and the metrics until SIGTERM or SIGINT.
    Serve,
    /// Bring the database up to date and end.
    Migrate,
    /// Print the OpenAPI document.
    Openapi,
    /// Print a one-time token that one gateway enrols with.
    EnrolToken {
        /// Minutes for which it is good, 1 to 10080.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
        minutes: u64,
    },
    /// Print a new admin key, for whoever lost the first one.
    AdminKey,
}

/// Exit code of a wrong command line or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("TRUNKLINE_CP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(USAGE);
        }
    };
    match run(arguments.command, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        match command {
            Command::Serve => serve(config).await,
            Command::Migrate => Ok(server::migrate(&config).await?),
            Command::Openapi => print(openapi_json().trim_end()),
            Command::EnrolToken { minutes } => {
                print(&server::enrolment_token(&config, Duration::from_secs(minutes * 60)).await?)
            }
            Command::AdminKey => print(&format!("admin key: {}", server::admin_key(&config).await?)),
        }
    })
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = server::start(config).await?;
    if let Some(key) = &running.admin_key {
        print(&format!("admin key: {key}"))?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

/// Standard output carries results only; the log goes to standard error.
fn print(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
