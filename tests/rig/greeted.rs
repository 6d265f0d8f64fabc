//! One call by SIPp to a gateway in a network of its own, and how much of the greeting was audible in it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::capture::{from_ulaw, read_pcmu};
use crate::ports;
use crate::process::Process;
use crate::wav::level_dbfs;

/// INVITE with PCMU, acknowledge, stay for `HOLD_MS`, BYE.
const SCENARIO: &str = include_str!("greeted.xml");

/// Calls `number` at 127.0.0.1:5060, stays for `hold` and hangs up; returns for how many milliseconds the gateway was
/// audible. `on_network` gives a program of this machine in the gateway's network.
pub fn call(
    scratch: &Path,
    on_network: &dyn Fn(&str) -> Command,
    number: &str,
    hold: Duration,
) -> anyhow::Result<usize> {
    let capture = scratch.join("greeting.pcap");
    let media = ports::free_range(2)?;
    let mut tcpdump = Process::start(
        "tcpdump",
        scratch,
        on_network("tcpdump").args(["-i", "lo", "-U", "-w"]).arg(&capture).arg(format!("udp and dst port {media}")),
    )?;
    tcpdump
        .await_sign("tcpdump to listen", Duration::from_secs(10), |log| log.contains("listening on").then_some(()))?;
    let mut sipp = begin_with_media(scratch, on_network, number, hold, media)?;
    let status = sipp.wait(hold + Duration::from_secs(30))?;
    ensure!(status.success(), "SIPp ended with {status}:\n{}", sipp.log());
    tcpdump.stop(Duration::from_secs(10))?;
    let streams = read_pcmu(&capture)?;
    let heard = streams.values().next().context("the gateway sent no media")?;
    let samples: Vec<i16> = heard.iter().map(|code| from_ulaw(*code)).collect();
    Ok(samples.chunks(160).filter(|frame| level_dbfs(frame) > -40.0).count() * 20)
}

/// Begins such a call and leaves it running; SIPp's exit code says how it went.
pub fn begin(
    scratch: &Path,
    on_network: &dyn Fn(&str) -> Command,
    number: &str,
    hold: Duration,
) -> anyhow::Result<Process> {
    begin_with_media(scratch, on_network, number, hold, ports::free_range(2)?)
}

fn begin_with_media(
    scratch: &Path,
    on_network: &dyn Fn(&str) -> Command,
    number: &str,
    hold: Duration,
    media: u16,
) -> anyhow::Result<Process> {
    let file = scratch.join("greeted.xml");
    std::fs::write(&file, SCENARIO.replace("HOLD_MS", &hold.as_millis().to_string()))?;
    let mut sipp = on_network("sipp");
    sipp.current_dir(scratch)
        .args(["-sf"])
        .arg(&file)
        .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-mp", &media.to_string()])
        .args(["-m", "1", "-s", number, "-nostdin", "-trace_err"])
        .args(["-timeout", &(hold.as_secs() + 20).to_string(), "127.0.0.1:5060"]);
    Process::start("sipp", scratch, &mut sipp)
}
