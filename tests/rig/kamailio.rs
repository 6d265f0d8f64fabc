//! Debian's Kamailio, unpacked and not installed: its package would start it as a service of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::hosts::Host;
use crate::process::{Process, from_environment};

/// What is fetched from the Debian archive.
const PACKAGES: [&str; 3] = ["kamailio", "kamailio-tls-modules", "libpcre3"];

/// Held while it is unpacked.
static UNPACKING: Mutex<()> = Mutex::new(());

/// A running Kamailio. Dropped, it is told to end and waited for: killed, it would leave its workers behind.
#[derive(Debug)]
pub struct Kamailio(Process);

impl Kamailio {
    /// Everything it printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Waits until it has printed what `found` looks for.
    pub fn await_sign(&mut self, what: &str, found: impl FnMut(&str) -> Option<()>) -> anyhow::Result<()> {
        self.0.await_sign(what, Duration::from_secs(30), found)
    }

    /// Ends it as an operator would.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.0.stop(Duration::from_secs(10)).map(drop)
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        if self.0.is_running() {
            let _ = self.stop();
        }
    }
}

/// Starts it with a configuration; it listens when this returns.
pub fn start(scratch: &Path, configuration: &str) -> anyhow::Result<Kamailio> {
    begin(scratch, configuration, &|program| Command::new(program))
}

/// The same on a host of its own.
pub fn start_on(host: &Host, scratch: &Path, configuration: &str) -> anyhow::Result<Kamailio> {
    begin(scratch, configuration, &|program| host.command(program))
}

fn begin(scratch: &Path, configuration: &str, on: &dyn Fn(&Path) -> Command) -> anyhow::Result<Kamailio> {
    let program = unpacked()?;
    let run = scratch.join("kamailio");
    std::fs::create_dir_all(&run)?;
    let file = run.join("kamailio.cfg");
    std::fs::write(&file, configuration)?;
    let libraries = program.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let mut kamailio = on(&program.join("usr/sbin/kamailio"));
    kamailio
        .env("LD_LIBRARY_PATH", format!("{0}:{0}/kamailio", libraries.display()))
        .args(["-DD", "-E", "-m", "32", "-M", "4", "-n", "2"])
        .arg("-f")
        .arg(&file)
        .arg("-L")
        .arg(libraries.join("kamailio/modules"))
        .arg("-Y")
        .arg(&run)
        .arg("-P")
        .arg(run.join("pid"));
    let mut kamailio = Kamailio(Process::start("kamailio", scratch, &mut kamailio)?);
    kamailio.await_sign("Kamailio to listen", |log| log.contains("Listening on").then_some(())).context("Kamailio")?;
    Ok(kamailio)
}

/// The folder that its packages are unpacked in, once for all tests of a build.
fn unpacked() -> anyhow::Result<PathBuf> {
    let folder = from_environment("TRUNKLINE_PLUGINS")?.with_file_name("kamailio");
    let _one = UNPACKING.lock().unwrap_or_else(PoisonError::into_inner);
    let done = folder.join("unpacked");
    if done.exists() {
        return Ok(folder);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let fetch = || Command::new("apt-get").current_dir(&folder).arg("download").args(PACKAGES).output();
    let mut fetched = fetch()?;
    if !fetched.status.success() {
        // The lists of a machine on which nothing had to be installed may be old or missing.
        Command::new("apt-get").args(["update", "-qq"]).output()?;
        fetched = fetch()?;
    }
    ensure!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let entries: Vec<PathBuf> = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let packages: Vec<&PathBuf> =
        entries.iter().filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect();
    ensure!(packages.len() == PACKAGES.len(), "{} packages were fetched", packages.len());
    for package in packages {
        ensure!(Command::new("dpkg").arg("-x").arg(package).arg(&folder).status()?.success(), "{}", package.display());
    }
    std::fs::write(done, "")?;
    Ok(folder)
}
