//! `trunkline`, the gateway: configuration, CLI, admin API and wiring; everything else lives in the crates below.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod admin;
mod audiosocket;
mod capacity;
mod commands;
mod config;
mod endpoints;
mod enrolment;
mod history;
mod logging;
mod metrics;
mod output;
mod plugins;
mod routing;
mod secrets;
mod service;
mod spool;
mod state;
mod stir;
mod wiring;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use trunkline_configuration::Profile;

/// Exit codes everybody can rely on.
mod exit {
    /// It worked.
    pub(crate) const OK: u8 = 0;
    /// It failed.
    pub(crate) const FAILED: u8 = 1;
    /// Wrong usage or configuration.
    pub(crate) const CONFIGURATION: u8 = 2;
    /// The gateway or control plane cannot be reached.
    pub(crate) const UNREACHABLE: u8 = 3;
}

#[derive(Parser)]
#[command(name = "trunkline", version, about = "Edge voice gateway: SIP trunks in, voice agents on every call")]
struct Cli {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration comes from.
#[derive(Args)]
pub(crate) struct Configuration {
    /// Configuration file; `conf.d/*.toml` beside it is read as well.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One key over everything else, for example `sip.listen=127.0.0.1:0`.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What becomes of values that are unsafe in service.
    #[arg(long, global = true, value_parser = PossibleValuesParser::new(Profile::NAMES))]
    profile: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway.
    Run,
    /// Check configuration, objects and plugins; every fault with file, line and key.
    Check,
    /// Write an object file that works as it lies: a trunk, an agent, a route and so on.
    New {
        /// What to make.
        #[command(subcommand)]
        new: commands::new::New,
    },
    /// Join a control plane with a one-time token.
    Enrol {
        /// Base URL of its sync listener, for example `https://control.example:7001`.
        url: String,
        /// The token; `-` reads it from standard input.
        token: String,
    },
    /// List calls in progress.
    Calls {
        /// Also the last calls that ended.
        #[arg(long)]
        ended: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Hang up a call.
    Hangup {
        /// The call's id.
        call: String,
    },
    /// Call somebody: an agent speaks with whoever answers.
    Dial(commands::dial::Dial),
    /// List the trunks that calls leave over: whether they answer, and whether we are registered.
    Trunks {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List sources that are not listened to, or listen to one again.
    Bans(commands::bans::Bans),
    /// Put a caller on hold: neither hears the other until the call is resumed.
    Hold {
        /// The call's id.
        call: String,
    },
    /// Take a caller back from hold.
    Resume {
        /// The call's id.
        call: String,
    },
    /// Press keys towards the far end of a call.
    Dtmf {
        /// The call's id.
        call: String,
        /// 1 to 32 of 0 to 9, `*`, `#` and A to D.
        digits: String,
    },
    /// Pass a caller on.
    Transfer(commands::calls::Transfer),
    /// Have callers speak with one another while their agents wait.
    Conference {
        /// What to do.
        #[command(subcommand)]
        conference: commands::conference::Conference,
    },
    /// Record calls: in a call, and what is on disk.
    Recording {
        /// What to do.
        #[command(subcommand)]
        recording: commands::recording::Recording,
    },
    /// Capture calls, so that they can be lived again.
    Capture {
        /// What to do.
        #[command(subcommand)]
        capture: commands::capture::Capture,
    },
    /// Live a captured call again in this build, and find the first place where it goes another way.
    Replay(commands::replay::Replay),
    /// Which agent a call would get, and whether one may leave.
    Route {
        /// What to do.
        #[command(subcommand)]
        route: commands::route::Route,
    },
    /// Show what happened on a call, with its SIP ladder.
    Trace {
        /// The call's id.
        call: String,
        /// Write its SIP messages as a pcap file instead, which must not exist yet; keys of the sound are crossed out.
        #[arg(long, value_name = "FILE")]
        pcap: Option<PathBuf>,
    },
    /// What calls have used, from the records that are on this gateway.
    Usage {
        /// Only calls that ended since then: `90m`, `24h`, `7d`, a date or a time.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// How many calls to list; the sums are of all.
        #[arg(long, default_value_t = 20, value_name = "CALLS")]
        last: usize,
        /// Every call, sums included, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look for what keeps this gateway from serving.
    Doctor,
    /// Print the licences of what this binary carries of others.
    Licences,
    /// Write manual pages and shell completions, for packages.
    #[command(hide = true)]
    Manual {
        /// Folder that gets `man/` and `completions/`.
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // What is written for others to read, pages and completions, keeps the umask it was asked for with.
    if !matches!(cli.command, Command::Manual { .. }) {
        trunkline_state_folder::umask();
    }
    let code = match cli.command {
        Command::Run => commands::run::run(&cli.configuration),
        Command::Check => commands::check::run(&cli.configuration),
        Command::Enrol { url, token } => commands::enrol::run(&cli.configuration, &url, &token),
        Command::Calls { ended, json } => commands::calls::list(&cli.configuration, ended, json),
        Command::Hangup { call } => commands::calls::hang_up(&cli.configuration, &call),
        Command::Dial(order) => commands::dial::dial(&cli.configuration, &order),
        Command::Trunks { json } => commands::dial::trunks(&cli.configuration, json),
        Command::Bans(bans) => commands::bans::run(&cli.configuration, &bans),
        Command::Hold { call } => commands::calls::hold(&cli.configuration, &call, true),
        Command::Resume { call } => commands::calls::hold(&cli.configuration, &call, false),
        Command::Dtmf { call, digits } => commands::calls::dtmf(&cli.configuration, &call, &digits),
        Command::Transfer(transfer) => commands::calls::transfer(&cli.configuration, &transfer),
        Command::Conference { conference } => commands::conference::run(&cli.configuration, &conference),
        Command::Recording { recording } => commands::recording::run(&cli.configuration, &recording),
        Command::Capture { capture } => commands::capture::run(&cli.configuration, &capture),
        Command::Replay(replay) => commands::replay::run(&replay),
        Command::Route { route } => commands::route::run(&cli.configuration, &route),
        Command::Trace { call, pcap: None } => commands::calls::trace(&cli.configuration, &call),
        Command::Trace { call, pcap: Some(file) } => commands::calls::pcap(&cli.configuration, &call, &file),
        Command::New { new } => commands::new::run(&cli.configuration, &new),
        Command::Usage { since, last, json } => commands::usage::run(&cli.configuration, since.as_deref(), last, json),
        Command::Doctor => commands::doctor::run(&cli.configuration),
        Command::Licences => commands::licences::run(),
        Command::Manual { folder } => commands::manual::run(Cli::command(), &folder),
    };
    let lost = code == exit::OK && output::is_lost();
    ExitCode::from(if lost { exit::FAILED } else { code })
}
