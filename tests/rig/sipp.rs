//! SIPp with a scenario of `product/sipp`, as a caller and as somebody who is called; what it wrote down is told when it fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::bail;

use crate::process::Process;
use crate::{ports, wait};

/// Longer than any of its calls takes.
const PATIENCE: Duration = Duration::from_secs(100);

static STARTED: AtomicUsize = AtomicUsize::new(0);

/// SIPp under way.
#[derive(Debug)]
pub struct Sipp {
    process: Process,
    folder: PathBuf,
    scenario: String,
}

impl Sipp {
    /// Calls a number by way of `to` this often, two calls a second.
    pub fn calling(scratch: &Path, scenario: &str, number: &str, to: &str, calls: usize) -> anyhow::Result<Self> {
        Self::begin(scratch, scenario, &["-m", &calls.to_string(), "-r", "2", "-s", number, to])
    }

    /// Takes this many calls at a port of 127.0.0.1.
    pub fn called_at(scratch: &Path, scenario: &str, port: u16, calls: usize) -> anyhow::Result<Self> {
        let sipp = Self::begin(scratch, scenario, &["-m", &calls.to_string(), "-p", &port.to_string()])?;
        wait::until_true("SIPp to listen", PATIENCE, || is_taken(port))?;
        Ok(sipp)
    }

    /// Starts it with further arguments.
    pub fn begin(scratch: &Path, scenario: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = scratch.join(format!("sipp-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&folder)?;
        let media = ports::free_range(64)?;
        // SIPp with a call open outlives its own -timeout.
        let mut sipp = Command::new("timeout");
        sipp.current_dir(&folder)
            .args(["90", "sipp", "-sf"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("product/sipp").join(scenario))
            .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-mp", &media.to_string(), "-nostdin", "-timeout", "60"])
            .args(["-trace_err", "-error_file", "errors.log", "-trace_msg", "-message_file", "messages.log"])
            .args(arguments);
        let process = Process::start("sipp", &folder, &mut sipp)?;
        Ok(Self { process, folder, scenario: scenario.to_owned() })
    }

    /// Waits for its end; an error, with what it wrote down, unless every call was as the scenario says.
    pub fn succeed(mut self) -> anyhow::Result<()> {
        let status = self.process.wait(PATIENCE)?;
        if status.success() {
            return Ok(());
        }
        let text = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let Self { process, scenario, .. } = &self;
        bail!("{scenario}: {status}\n{}\n{}\n{}", process.log(), text("errors.log"), text("messages.log"))
    }
}

/// Whether somebody has this UDP port. Looked up and not tried, which could take it from whom it is for.
fn is_taken(port: u16) -> bool {
    let local = format!(":{port:04X}");
    let sockets = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    sockets.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&local)))
}
