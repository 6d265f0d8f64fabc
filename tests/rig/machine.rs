//! A fresh Debian machine for packages: made by debootstrap, booted by systemd-nspawn with systemd as its process 1, in
//! namespaces and a network of its own, with nothing of this product in it until it is installed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Process, from_environment};
use crate::wait;

/// What the machine has beyond Debian's minimal system: an init, what our packages depend on, and what documentation
/// types. It has no way to the network to fetch anything later.
const INCLUDED: &str = "systemd,systemd-sysv,libsqlite3-0,ca-certificates,curl";

/// How long a boot may take on a busy machine; it takes one second on an idle one.
const BOOT: Duration = Duration::from_secs(60);

/// A booted machine; dropped, it is switched off.
#[derive(Debug)]
pub struct Machine {
    root: PathBuf,
    /// Process 1, as this machine numbers it.
    leader: u32,
    _container: Process,
}

/// What commands typed into a machine's root shell did.
#[derive(Debug, Clone)]
pub struct Said {
    /// Exit code; 128 and the signal where there was one.
    pub code: i32,
    /// Output and errors as a terminal shows them.
    pub text: String,
}

impl Machine {
    /// Unpacks a fresh system into `<scratch>/machine` and boots it.
    pub fn fresh(scratch: &Path) -> anyhow::Result<Self> {
        let root = Self::unpack(scratch)?;
        Self::boot(&root)
    }

    /// Unpacks a fresh system into `<scratch>/machine` without booting it.
    pub fn unpack(scratch: &Path) -> anyhow::Result<PathBuf> {
        let tarball = tarball()?;
        let root = scratch.join("machine");
        std::fs::create_dir_all(&root)?;
        succeed(Command::new("tar").arg("-xf").arg(tarball).arg("-C").arg(&root))?;
        // A container's root is mounted by whoever boots it: to remount it by a table that names nothing succeeds on
        // some hosts and not on others.
        let table = root.join("etc/fstab");
        if table.exists() {
            std::fs::remove_file(&table).with_context(|| table.display().to_string())?;
        }
        Ok(root)
    }

    /// Boots the system in `root`.
    pub fn boot(root: &Path) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        must_be_root()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.arg("--directory").arg(root).args(["--boot", "--register=no", "--keep-unit", "--private-network"]);
        nspawn.args(["--quiet", "--console=pipe", "--link-journal=no"]);
        nspawn.arg(format!("--machine=trunkline-{}-{number}", std::process::id()));
        let folder = root.parent().context("a machine's folder has a parent")?;
        let container = Process::start("machine-console", folder, &mut nspawn)?;
        let children = format!("/proc/{0}/task/{0}/children", container.id());
        let mut machine = Self { root: root.to_owned(), leader: 0, _container: container };
        // The first child only makes the second, which becomes process 1: on a busy machine the first is seen as well.
        wait::until_true("the machine to be up", BOOT, || {
            let children = std::fs::read_to_string(&children).unwrap_or_default();
            let leader = children.split_whitespace().next().and_then(|child| child.parse().ok());
            machine.leader = leader.unwrap_or(0);
            leader.is_some() && machine.is_up()
        })
        .with_context(|| machine.said("systemctl --failed --no-pager"))?;
        Ok(machine)
    }

    /// Whether its boot has ended with nothing of ours failed. A unit of Debian's that cannot do its work in a container
    /// of this host is no matter of the packages that are tried in it.
    fn is_up(&self) -> bool {
        match self.said("systemctl is-system-running").trim() {
            "running" => true,
            "degraded" => self.said("systemctl list-units --failed --plain --no-legend 'trunkline*'").trim().is_empty(),
            _ => false,
        }
    }

    /// Its root folder, seen from here.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Copies packages to its `/root` and installs them as an operator does, offline.
    pub fn install(&self, packages: &[PathBuf]) -> anyhow::Result<Said> {
        let mut names = Vec::new();
        for package in packages {
            let name = package.file_name().and_then(|name| name.to_str()).context("a package has a name")?;
            std::fs::copy(package, self.root.join("root").join(name)).with_context(|| package.display().to_string())?;
            names.push(format!("./{name}"));
        }
        self.run(&format!("cd /root && apt-get install --yes --allow-downgrades --reinstall {}", names.join(" ")))
    }

    /// Types commands into its root shell; a line that fails ends it.
    pub fn sh(&self, commands: &str) -> anyhow::Result<Said> {
        let mut shell = self.enter(&["--all", "--root", "--wd"]);
        shell.args(["env", "-i", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive"]);
        shell.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        // Both outputs in the order in which they were written.
        shell.args(["bash", "-c", "exec bash -e -o pipefail -c \"$1\" 2>&1", "bash"]).arg(commands);
        let output = shell.output().context("cannot run nsenter")?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ok(Said { code: output.status.code().unwrap_or(-1), text })
    }

    /// Types commands that must succeed.
    pub fn run(&self, commands: &str) -> anyhow::Result<Said> {
        let said = self.sh(commands)?;
        ensure!(said.code == 0, "`{commands}` ended with {}:\n{}", said.code, said.text);
        Ok(said)
    }

    /// What commands print, whatever became of them; for messages of failed tests.
    #[must_use]
    pub fn said(&self, commands: &str) -> String {
        self.sh(commands).map_or_else(|error| error.to_string(), |said| said.text)
    }

    /// Lays a cable between this machine and another; the addresses are as for `ip address add`.
    pub fn cable(&self, address: &str, other: &Self, other_address: &str) -> anyhow::Result<()> {
        let mut link = self.on_its_network("ip");
        link.args(["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns"]);
        succeed(link.arg(other.leader.to_string()))?;
        for (machine, address) in [(self, address), (other, other_address)] {
            succeed(machine.on_its_network("ip").args(["address", "add", address, "dev", "cable"]))?;
            succeed(machine.on_its_network("ip").args(["link", "set", "cable", "up"]))?;
        }
        Ok(())
    }

    /// A program of this machine in the network of that one.
    #[must_use]
    pub fn on_its_network(&self, program: &str) -> Command {
        let mut command = self.enter(&["--net"]);
        command.arg(program);
        command
    }

    fn enter(&self, namespaces: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.leader.to_string()).args(namespaces).arg("--");
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With process 1 of its namespace everything in it ends.
        let leader = i32::try_from(self.leader).ok().and_then(Pid::from_raw);
        if let Some(leader) = leader {
            let _ = kill_process(leader, Signal::KILL);
        }
    }
}

/// The system as debootstrap made it, kept in the target directory.
fn tarball() -> anyhow::Result<PathBuf> {
    must_be_root()?;
    let plugins = from_environment("TRUNKLINE_PLUGINS")?;
    let target = plugins.parent().context("TRUNKLINE_PLUGINS is not in a target directory")?;
    let (mirror, suite) = debian()?;
    let folder = target.join("machine");
    std::fs::create_dir_all(&folder)?;
    let tarball = folder.join(format!("{suite}-{}.tar", INCLUDED.replace(',', "+")));
    let lock = File::create(folder.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if tarball.exists() {
        return Ok(tarball);
    }
    let making = tempfile::tempdir_in(&folder)?;
    let root = making.path().join("root");
    let log = making.path().join("log");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={INCLUDED}"), &suite]).arg(&root).arg(&mirror);
    let out = File::create(&log)?;
    let status = debootstrap.stdout(out.try_clone()?).stderr(out).status().context("cannot run debootstrap")?;
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    ensure!(status.success(), "debootstrap {suite} from {mirror} ended with {status}:\n{}", said());
    for left in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        let _ = std::fs::remove_dir_all(root.join(left));
        std::fs::create_dir_all(root.join(left).join("partial"))?;
    }
    let fresh = making.path().join("fresh.tar");
    succeed(Command::new("tar").args(["--numeric-owner", "-cf"]).arg(&fresh).arg("-C").arg(&root).arg("."))?;
    std::fs::rename(&fresh, &tarball)?;
    Ok(tarball)
}

/// Where this machine gets its Debian from, and which.
fn debian() -> anyhow::Result<(String, String)> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", "Origin: Debian"]);
    let listed = targets.output().context("cannot run apt-get")?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let release = std::fs::read_to_string("/etc/os-release")?;
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default();
    let mirror = text.lines().filter_map(|line| line.split_once(' ')).find(|(_, codename)| *codename == suite);
    let Some((mirror, _)) = mirror else {
        bail!("apt has no lists of Debian {suite}; run `apt-get update`");
    };
    Ok((mirror.to_owned(), suite.to_owned()))
}

/// Machines need mounts, namespaces and other users' files.
fn must_be_root() -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "only root can boot a machine of its own; run `sudo -E cargo xtask test --only packaging`"
    );
    Ok(())
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
