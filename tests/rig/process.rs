//! A program under test: started with its output in a file, ended by its own id and never by name.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// A started program; dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The path in an environment variable that `cargo xtask` sets.
pub fn from_environment(variable: &str) -> anyhow::Result<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| format!("{variable} is not set; run the tests through `cargo xtask test`"))
}

impl Process {
    /// Starts `command`, output and errors going to `<dir>/<name>.log`.
    pub fn start(name: &str, dir: &Path, command: &mut Command) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end (SIGTERM) and waits.
    pub fn stop(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(within)
    }

    /// Ends it as a crash would (SIGKILL).
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it from running (SIGSTOP) until [`Process::resume`].
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen program run again.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let child = &mut self.child;
        wait::until(&format!("{} to end", self.name), within, || child.try_wait().ok().flatten())
            .with_context(|| format!("its log:\n{}", tail(&self.log)))
    }

    /// Waits until `found` gives a value, failing at once when the program ends first.
    pub fn await_sign<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut found: impl FnMut(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let log = self.log.clone();
        let child = &mut self.child;
        let value = wait::until(what, within, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            match (found(&text), child.try_wait()) {
                (Some(value), _) => Some(Ok(value)),
                (None, Ok(Some(status))) => Some(Err(anyhow::anyhow!("it ended with {status}"))),
                _ => None,
            }
        })
        .and_then(|value| value);
        value.with_context(|| format!("{} while waiting for {what}; its log:\n{}", self.name, tail(&self.log)))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("process id 0")?;
        kill_process(pid, signal)?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
