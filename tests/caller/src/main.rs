//! `trunkline-caller`: places one call on a script, prints what happens as JSON lines, and records both voices.

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use trunkline_caller::{Event, Happened, Placement, Script, place, write_wav};

/// Calls a gateway, speaks, listens, interrupts, presses keys and hangs up as a script says.
#[derive(Parser)]
#[command(name = "trunkline-caller")]
struct Arguments {
    /// The gateway's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    gateway: SocketAddr,
    /// The number or user to call.
    #[arg(long, default_value = "+15550100")]
    to: String,
    /// The caller's number.
    #[arg(long, default_value = "+15550199")]
    from: String,
    /// A JSON script: `{"voice": "slt", "steps": [{"wait_for_agent": {}}, {"say": {"text": "yes"}}]}`; `-` reads stdin.
    #[arg(long)]
    script: PathBuf,
    /// Write both voices here: WAV, the caller left, the agent right.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Address of our sockets.
    #[arg(long, default_value = "127.0.0.1")]
    local: IpAddr,
    /// Our SIP port; any free one when 0.
    #[arg(long, default_value_t = 0)]
    sip_port: u16,
    /// Makes the identifiers of the call; the clock when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Another INVITE header, `Name: value`; may be given more than once.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Send CANCEL after this many milliseconds without a final answer.
    #[arg(long)]
    cancel_after_ms: Option<u64>,
    /// Hang up after this many seconds, whatever the script says.
    #[arg(long, default_value_t = 120)]
    limit_s: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let text = if arguments.script.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("read the script from stdin")?
    } else {
        std::fs::read_to_string(&arguments.script)
            .with_context(|| format!("read the script {}", arguments.script.display()))?
    };
    let mut script = Script::from_json(&text)?;
    script.prepare()?;
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as u64,
    };
    let placement = Placement {
        gateway: arguments.gateway,
        target: format!("sip:{}@{}", arguments.to, arguments.gateway),
        from: format!("sip:{}@{}", arguments.from, arguments.local),
        local: arguments.local,
        sip_port: arguments.sip_port,
        seed,
        headers: arguments.headers.iter().map(|h| header(h)).collect::<Result<_>>()?,
        cancel_after_ms: arguments.cancel_after_ms,
        limit_ms: arguments.limit_s * 1000,
        steps: script.steps,
    };
    let report = place(placement, print).await?;
    if let Some(file) = &arguments.record {
        write_wav(file, &report.caller, &report.agent).with_context(|| format!("write {}", file.display()))?;
    }
    let failed = report
        .events
        .iter()
        .any(|e| matches!(e.what, Happened::Refused { .. } | Happened::NoAnswer | Happened::StepTimedOut { .. }));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn header(text: &str) -> Result<(String, String)> {
    let Some((name, value)) = text.split_once(':') else { bail!("--header {text:?}: expected `Name: value`") };
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn print(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        // A reader that went away is no reason to drop the call.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}
