//! `trunkline capture`: has calls captured, and makes copies and tests of captures.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Subcommand;
use http::Method;
use trunkline_call::tape::{Log, redacted, replay};
use url::form_urlencoded::Serializer;

use super::calls::{answered, text};
use super::client::{ClientError, fetch};
use super::new_file;
use super::replay::opened;
use crate::output::say;
use crate::{Configuration, exit};

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Capture {
    /// Capture the next calls that fit, from their beginning.
    Start {
        /// How many.
        #[arg(long, default_value_t = 1, value_name = "N")]
        calls: u32,
        /// Only of this agent, by name or id.
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        /// Only over this trunk, by name or id.
        #[arg(long, value_name = "TRUNK")]
        trunk: Option<String>,
        /// Only from this number; `*` at its end stands for the rest.
        #[arg(long, value_name = "NUMBER")]
        from: Option<String>,
        /// Only to this number, in the same way.
        #[arg(long, value_name = "NUMBER")]
        to: Option<String>,
        /// For how long the order stands: `90s`, `10m`, `2h`.
        #[arg(long = "for", default_value = "10m", value_name = "TIME")]
        time: String,
        /// Also calls of tenants without a key, whose every word then lies on the disk.
        #[arg(long)]
        clear: bool,
        /// A call in progress; refused, because a call is captured from its beginning or not at all.
        #[arg(long, value_name = "CALL")]
        call: Option<String>,
    },
    /// Capture no more calls, and end the captures in progress.
    Stop,
    /// List orders and captures.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fetch a call's capture as it lies on the gateway's disk.
    Get {
        /// The call's id.
        call: String,
        /// File for it, which must not exist yet; by default `CALL.capture`.
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Copy a capture without anybody's words; the copy replays against its own log.
    Redact {
        /// The capture.
        file: PathBuf,
        /// File for the copy, which must not exist yet.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        /// File with the secret key, when the capture is sealed.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Make a regression test of a capture: a copy without words that replays identically in this build.
    Test {
        /// The capture.
        file: PathBuf,
        /// The test's file, which must not exist yet, for example `gateway/call/tests/captures/NAME.jsonl`.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        /// File with the secret key, when the capture is sealed.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

/// Does it.
pub(crate) fn run(configuration: &Configuration, capture: &Capture) -> u8 {
    match capture {
        Capture::Start { calls, agent, trunk, from, to, time, clear, call } => {
            let Some(for_s) = seconds(time) else {
                eprintln!("--for {time}: `90s`, `10m` or `2h` is expected");
                return exit::CONFIGURATION;
            };
            let mut query = Serializer::new(String::new());
            query.append_pair("calls", &calls.to_string()).append_pair("for_s", &for_s.to_string());
            query.append_pair("clear", &clear.to_string());
            for (name, value) in [("agent", agent), ("trunk", trunk), ("from", from), ("to", to), ("call", call)] {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
            let path = format!("/v1/captures?{}", query.finish());
            answered(configuration, Method::POST, &path, |rule| {
                say!("order {}: {}, {} of them, for {time}", rule["number"], text(&rule["wants"]), rule["left"]);
            })
        }
        Capture::Stop => answered(configuration, Method::DELETE, "/v1/captures", |stopped| {
            say!("{} orders and {} captures in progress ended", stopped["orders"], stopped["captures"]);
        }),
        Capture::List { json } => answered(configuration, Method::GET, "/v1/captures", |states| {
            if *json {
                say!("{states:#}");
                return;
            }
            for rule in states["rules"].as_array().into_iter().flatten() {
                let missed = match rule["missed"].as_u64() {
                    Some(missed @ 1..) => format!(", {missed} missed (see the log)"),
                    _ => String::new(),
                };
                let (number, wants, taken, left) =
                    (&rule["number"], text(&rule["wants"]), &rule["taken"], &rule["left"]);
                say!("order {number}: {wants}: {taken} taken, {left} to come, for {} s{missed}", rule["for_s"]);
            }
            say!("{:<31} {:>10}  {:<9} state", "call", "bytes", "form");
            for capture in states["captures"].as_array().into_iter().flatten() {
                say!(
                    "{:<31} {:>10}  {:<9} {}",
                    text(&capture["call"]),
                    capture["bytes"],
                    if capture["sealed"] == true { "sealed" } else { "in clear" },
                    if capture["running"] == true { "in progress" } else { "whole" },
                );
            }
        }),
        Capture::Get { call, out } => get(configuration, call, out.as_deref()),
        Capture::Redact { file, out, key } => done(opened(file, key.as_deref()).and_then(|log| copy(&log, out))),
        Capture::Test { file, out, key } => done(opened(file, key.as_deref()).and_then(|log| test(&log, out))),
    }
}

fn done(outcome: anyhow::Result<()>) -> u8 {
    match outcome {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("{error:#}");
            exit::FAILED
        }
    }
}

fn get(configuration: &Configuration, call: &str, out: Option<&Path>) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let out = out.map_or_else(|| PathBuf::from(format!("{call}.capture")), Path::to_path_buf);
    match fetch(&loaded.config.gateway.state_dir, &format!("/v1/captures/{call}")) {
        Ok(bytes) => done(new_file(&out, &bytes).map(|()| say!("{}: {} bytes", out.display(), bytes.len()))),
        Err(ClientError::Refused(error)) => {
            eprintln!("{error:#}");
            exit::FAILED
        }
        Err(ClientError::Unreachable(error)) => {
            eprintln!("the gateway cannot be reached: {error:#}");
            exit::UNREACHABLE
        }
    }
}

/// Writes a copy without words.
fn copy(log: &Log, out: &Path) -> anyhow::Result<()> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let copy = redacted(log, u64::from_le_bytes(seed))?;
    new_file(out, copy.log.as_bytes())?;
    say!("{}: {} of {} commands as in the original, at the same inputs", out.display(), copy.alike, copy.commands);
    Ok(())
}

/// Writes a test: a copy without words, unless it is one already, that this build replays.
fn test(log: &Log, out: &Path) -> anyhow::Result<()> {
    if let Some(divergence) = replay(log, None, &mut |_| {}).divergence {
        bail!(
            "this build goes another way at line {} of the capture, so that it cannot be tested against it; \
             `trunkline replay` says how",
            divergence.line
        );
    }
    copy(log, out)
}

/// `90s`, `10m`, `2h` in seconds.
fn seconds(text: &str) -> Option<u32> {
    [('s', 1), ('m', 60), ('h', 3600_u32)]
        .into_iter()
        .find_map(|(unit, seconds)| text.strip_suffix(unit)?.parse::<u32>().ok()?.checked_mul(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_unit() {
        assert_eq!(["90s", "10m", "2h"].map(seconds), [Some(90), Some(600), Some(7200)]);
        assert_eq!(["", "10", "m", "-1s", "9999999h"].map(seconds), [None; 5]);
    }
}
