//! `trunkline replay`: lives a captured call again in this build, without a gateway.

use std::cell::RefCell;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;
use trunkline_call::Input;
use trunkline_call::tape::{Divergence, Ending, Log, Moment, read, replay};
use trunkline_leg::{CallTime, LegFact};
use trunkline_recording::{Ending as Sealed, Opener, SecretKey};

use crate::exit;
use crate::output::say;

/// What a sealed file begins with.
const SEALED: &[u8] = b"TLSEALED";
/// The largest capture that is read, sealed or in clear; a gateway writes 64 MiB at most.
const MAX_BYTES: u64 = 256 << 20;
/// Outputs of a difference that are shown, and how much of each.
const MAX_SHOWN: usize = 6;
const MAX_SHOWN_CHARS: usize = 600;
/// The capture cannot be read.
const UNREADABLE: u8 = 2;

/// What to live again.
#[derive(Args)]
pub(crate) struct Replay {
    /// The capture, sealed or in clear.
    file: PathBuf,
    /// File with the secret key that `trunkline recording keygen` wrote, when the capture is sealed.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Only up to this time of the call, in seconds.
    #[arg(long, value_name = "SECONDS")]
    until: Option<f64>,
    /// Show the conversation as it goes: words, commands, events.
    #[arg(long)]
    show: bool,
}

/// Replays; 0 when the call goes as it went, 1 when it goes another way, 2 when the capture cannot be read.
pub(crate) fn run(order: &Replay) -> u8 {
    let log = match opened(&order.file, order.key.as_deref()) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{error:#}");
            return UNREADABLE;
        }
    };
    let until = order.until.map(|seconds| CallTime((seconds.max(0.0) * 1e6) as u64));
    let last = RefCell::new((CallTime::ZERO, String::new()));
    let mut seen = |moment: Moment<'_>| {
        if let Moment::Told(at, input) = &moment {
            *last.borrow_mut() = (*at, format!("{input:?}"));
        }
        if order.show {
            show(&moment);
        }
    };
    let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| replay(&log, until, &mut seen))) else {
        let (at, told) = &*last.borrow();
        eprintln!("this build panics at t={:.3} s, told {told}", at.as_us() as f64 / 1e6);
        return exit::FAILED;
    };
    if let Some(divergence) = &outcome.divergence {
        diverged(divergence);
        return exit::FAILED;
    }
    let end = match &log.ending {
        _ if until.is_some() => "as far as was asked for".to_owned(),
        Ending::Whole(end) if end.why == "over" => "to its end".to_owned(),
        Ending::Whole(end) => format!("as far as it was captured ({})", end.why),
        Ending::Torn => "as far as the capture goes, which is torn".to_owned(),
    };
    say!(
        "identical {end}: {} inputs, {} commands and events, {:.3} s, sum {}; captured by {}, replayed by {}",
        outcome.inputs,
        outcome.outputs,
        outcome.at.as_us() as f64 / 1e6,
        outcome.sum,
        log.head.build,
        env!("CARGO_PKG_VERSION"),
    );
    exit::OK
}

/// A capture, opened with the key in `key` when it is sealed.
pub(super) fn opened(file: &Path, key: Option<&Path>) -> anyhow::Result<Log> {
    let told = || file.display().to_string();
    let mut bytes = Vec::new();
    let input = std::fs::File::open(file).with_context(told)?;
    input.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(told)?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{}: larger than any capture", told());
    }
    if bytes.starts_with(SEALED) {
        let key = key.with_context(|| format!("{} is sealed; name the secret key's file with --key", told()))?;
        bytes = unsealed(&bytes, key).with_context(told)?;
    }
    read(&bytes).with_context(told)
}

fn unsealed(sealed: &[u8], key: &Path) -> anyhow::Result<Vec<u8>> {
    let text = std::fs::read_to_string(key).with_context(|| format!("key {}", key.display()))?;
    let secret: SecretKey = text.parse().with_context(|| format!("key {}", key.display()))?;
    let mut opener = Opener::begin(sealed, &secret)?;
    let mut plain = Vec::new();
    while let Some(record) = opener.next_record()? {
        plain.extend_from_slice(record);
    }
    if opener.ending() == Some(Sealed::Cut) {
        eprintln!("the capture was cut; what was there is replayed");
    }
    Ok(plain)
}

fn diverged(divergence: &Divergence) {
    let Divergence { line, input, at, told, expected, got } = divergence;
    say!("goes another way at input {input}, t={:.3} s (line {line} of the capture)", at.as_us() as f64 / 1e6);
    say!("  told      {}", short(told));
    for (what, outputs) in [("expected", expected), ("got", got)] {
        if outputs.is_empty() {
            say!("  {what:<9} nothing");
        }
        for output in outputs.iter().take(MAX_SHOWN) {
            say!("  {what:<9} {}", short(output));
        }
        if outputs.len() > MAX_SHOWN {
            say!("  {what:<9} and {} more", outputs.len() - MAX_SHOWN);
        }
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    if short.len() < text.len() {
        short.push_str(" ...");
    }
    short
}

/// A line of the conversation. What only says that time passes is left out.
fn show(moment: &Moment<'_>) {
    let seconds = |at: &CallTime| at.as_us() as f64 / 1e6;
    match moment {
        Moment::Told(_, Input::Playout(_) | Input::Heard(_) | Input::Usage { .. } | Input::Timeout) => {}
        Moment::Told(at, Input::Leg { fact: fact @ (LegFact::Dtmf { .. } | LegFact::Ended { .. }), .. }) => {
            say!("{:>10.3}  caller   {fact:?}", seconds(at));
        }
        Moment::Told(at, input) => say!("{:>10.3}  told     {}", seconds(at), short(&format!("{input:?}"))),
        Moment::Made(at, outputs) => {
            for output in *outputs {
                let (kind, what) = match (output["command"].as_str(), output["type"].as_str()) {
                    (Some(command), _) => ("asks", without(output, &["command", "messages", "tools"], command)),
                    (None, Some(event)) => ("event", format!("{event} {}", output["data"])),
                    (None, None) => ("made", output.to_string()),
                };
                say!("{:>10.3}    {kind:<7} {}", seconds(at), short(&what));
            }
        }
    }
}

/// A command without what takes pages.
fn without(output: &Value, fields: &[&str], name: &str) -> String {
    let mut rest = output.clone();
    if let Value::Object(rest) = &mut rest {
        rest.retain(|key, _| !fields.contains(&key.as_str()));
    }
    format!("{name} {rest}")
}
