//! `trunkline-control-plane`: the command line over the library.

mod manual;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use trunkline_control_plane::config::{Config, DEFAULT_FILE, Profile};
use trunkline_control_plane::{openapi_json, server, state, tls};

/// Trunkline's control plane.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Configuration file (TOML); without it /etc/trunkline-control-plane/control-plane.toml when that is there.
    /// `TRUNKLINE_CP_*` variables are read after it; `__` nests.
    #[arg(long, global = true, env = "TRUNKLINE_CP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How strictly unsafe values are taken: accepted, warned of, refused.
    #[arg(long, global = true, value_parser = PossibleValuesParser::new(Profile::NAMES))]
    profile: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the REST API, the gateways and the metrics until SIGTERM or SIGINT; SIGHUP renews the certificate.
    Serve,
    /// Check the configuration and what it refers to; every fault with line and key.
    Check,
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
    /// Make another admin key, for whoever lost the first one: shown on a terminal, otherwise left in `admin.key` in
    /// the state folder.
    AdminKey {
        /// Print it on standard output even when that is no terminal.
        #[arg(long)]
        stdout: bool,
    },
    /// Print the certificate of the authority behind TLS, for `curl --cacert`.
    Ca,
    /// Write manual pages and shell completions, for packages.
    #[command(hide = true)]
    Manual {
        /// Folder that gets `man/` and `completions/`.
        folder: PathBuf,
    },
}

/// Exit code of a wrong command line or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // Whatever this process makes is for its user alone, also what a library makes.
    trunkline_state_folder::umask();
    let arguments = Arguments::parse();
    if let Command::Manual { folder } = &arguments.command {
        return match manual::write(Arguments::command(), folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("the manual cannot be written to {}: {error}", folder.display());
                ExitCode::FAILURE
            }
        };
    }
    let filter = EnvFilter::try_from_env("TRUNKLINE_CP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    if matches!(arguments.command, Command::Openapi) {
        return code(print(openapi_json().trim_end()));
    }
    let loaded = match Config::load(arguments.config.as_deref(), arguments.profile.as_deref()) {
        Ok(loaded) => loaded,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(USAGE);
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let config = loaded.config;
    // A check changes nothing: it does not make the folder either.
    let looks_only = matches!(arguments.command, Command::Check) && !config.state.exists();
    if !looks_only && let Err(error) = state::FOLDER.become_owner(&config.state) {
        tracing::error!("{error}");
        return ExitCode::FAILURE;
    }
    if matches!(arguments.command, Command::Check) {
        return check(&config, arguments.config);
    }
    code(run(arguments.command, config))
}

fn code(ended: anyhow::Result<()>) -> ExitCode {
    match ended {
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
            Command::EnrolToken { minutes } => {
                let token = server::enrolment_token(&config, Duration::from_secs(minutes * 60)).await?;
                print(&token)?;
                if std::io::stdout().is_terminal() {
                    eprintln!(
                        "on the gateway, within {minutes} minutes:\n  trunkline enrol {} {token}",
                        sync_url(&config)
                    );
                }
                Ok(())
            }
            Command::AdminKey { stdout } => admin_key(&config, stdout).await,
            Command::Ca => {
                let pem = server::authority(&config)?;
                print(
                    pem.context("`tls.cert` without `tls.ca` is from a public authority: clients trust it as it is")?
                        .trim_end(),
                )
            }
            Command::Check | Command::Openapi | Command::Manual { .. } => Ok(()),
        }
    })
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let file = server::admin_key_file(&config);
    let running = server::start(config).await?;
    if let Some(key) = &running.admin_key {
        tracing::info!(file = %file.display(), "the first admin key is in this file; keep it and remove the file");
        // Never into a journal or a log file.
        if std::io::stdout().is_terminal() {
            print(&format!("admin key: {key}"))?;
        }
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => running.renew_certificate(),
        }
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

async fn admin_key(config: &Config, stdout: bool) -> anyhow::Result<()> {
    let shown = stdout || std::io::stdout().is_terminal();
    let key = server::admin_key(config, !shown).await?;
    if shown {
        print(&key)
    } else {
        print(&format!("a new admin key is in {}", server::admin_key_file(config).display()))
    }
}

/// Where a gateway finds the sync listener, as far as this host can say.
fn sync_url(config: &Config) -> String {
    let address = config.listen.sync;
    let scheme = if config.is_tls(address) { "https" } else { "http" };
    if address.ip().is_unspecified() {
        let host = rustix::system::uname();
        return format!("{scheme}://{}:{}", host.nodename().to_string_lossy(), address.port());
    }
    format!("{scheme}://{address}")
}

/// What the file itself cannot show: whether what it refers to is there.
fn check(config: &Config, file: Option<PathBuf>) -> ExitCode {
    if let Err(error) = tls::check(&config.tls) {
        eprintln!("tls: {error}");
        return ExitCode::from(USAGE);
    }
    if let Err(error) = trunkline_control_plane::keyring::check(&config.secrets) {
        eprintln!("secrets: {error}");
        return ExitCode::from(USAGE);
    }
    let default = PathBuf::from(DEFAULT_FILE);
    let file = file.or_else(|| default.exists().then_some(default));
    let read = file.map_or_else(|| "defaults and environment".to_owned(), |file| file.display().to_string());
    code(print(&format!("in order: {read}")))
}

/// Standard output carries results only; the log goes to standard error.
fn print(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
