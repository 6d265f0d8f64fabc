//! Debian's Kamailio, unpacked and not installed: its package would start it as a service of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::process::Process;

/// What is fetched from the Debian archive.
const PACKAGES: [&str; 3] = ["kamailio", "kamailio-tls-modules", "libpcre3"];

/// Starts it with a configuration; it listens when this returns.
pub fn start(scratch: &Path, configuration: &str) -> anyhow::Result<Process> {
    let folder = scratch.join("kamailio");
    let run = folder.join("run");
    std::fs::create_dir_all(&run)?;
    let fetched = Command::new("apt-get").current_dir(&folder).arg("download").args(PACKAGES).output()?;
    ensure!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let entries: Vec<PathBuf> = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let packages = entries.iter().filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let mut unpacked = 0;
    for package in packages {
        ensure!(Command::new("dpkg").arg("-x").arg(package).arg(&folder).status()?.success(), "{}", package.display());
        unpacked += 1;
    }
    ensure!(unpacked == PACKAGES.len(), "{unpacked} packages were fetched");
    let file = folder.join("kamailio.cfg");
    std::fs::write(&file, configuration)?;
    let libraries = folder.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let mut kamailio = Command::new(folder.join("usr/sbin/kamailio"));
    kamailio
        .env("LD_LIBRARY_PATH", &libraries)
        .args(["-DD", "-E", "-m", "32", "-M", "4", "-n", "2"])
        .arg("-f")
        .arg(&file)
        .arg("-L")
        .arg(libraries.join("kamailio/modules"))
        .arg("-Y")
        .arg(&run)
        .arg("-P")
        .arg(run.join("pid"));
    let mut process = Process::start("kamailio", scratch, &mut kamailio)?;
    let up = |log: &str| log.contains("Listening on").then_some(());
    process.await_sign("Kamailio to listen", Duration::from_secs(20), up).context("Kamailio")?;
    Ok(process)
}
