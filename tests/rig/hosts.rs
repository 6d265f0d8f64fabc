//! Two hosts on one machine: two network namespaces with a cable between them. Needs root and iproute2.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};

/// Addresses for benchmarks between networks (RFC 2544, 198.18.0.0/15), which no real host has.
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)];

static MADE: AtomicU32 = AtomicU32::new(0);

/// The port of SIP on a host, which is a network of its own.
pub const SIP_PORT: u16 = 5060;
/// That of SIP over TLS.
pub const SIPS_PORT: u16 = SIP_PORT + 1;

/// One of the two.
#[derive(Debug)]
pub struct Host {
    namespace: String,
    /// Its address on the cable.
    pub address: Ipv4Addr,
}

/// Whether this process may make hosts.
#[must_use]
pub fn allowed() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes two hosts that reach each other and nobody else; they end when they are dropped.
pub fn two() -> anyhow::Result<[Host; 2]> {
    let unique = format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let hosts = ["a", "b"].map(|name| format!("trunkline-{unique}-{name}"));
    let [a, b] = &hosts;
    let mut made = Vec::new();
    for (namespace, address) in hosts.iter().zip(ADDRESSES) {
        ip(&["netns", "add", namespace])?;
        made.push(Host { namespace: namespace.clone(), address });
    }
    ip(&["link", "add", "cable", "netns", a, "type", "veth", "peer", "name", "cable", "netns", b])?;
    for host in &made {
        let namespace = host.namespace.as_str();
        ip(&["-n", namespace, "address", "add", &format!("{}/24", host.address), "dev", "cable"])?;
        ip(&["-n", namespace, "link", "set", "cable", "up"])?;
        ip(&["-n", namespace, "link", "set", "lo", "up"])?;
    }
    made.try_into().ok().context("two hosts were made")
}

impl Host {
    /// A program on this host; the process is the program's own.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.namespace]);
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("`ip` of iproute2")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ip {}: {said}", arguments.join(" "));
    Ok(())
}
