//! `bench peers`: the same load, from the same callers, against others that take calls and give their sound back. All
//! in one run on the same cores, so that what counts is the ratio to the gateway.
//!
//! They do not do the same: SIPp and the reflector send packets back as they came, rtpengine relays them (to the
//! reflector and back, so each crosses it twice), baresip plays them through its own buffers, active-call decodes them
//! and hands them to an agent by WebSocket. A peer that cannot be had here is named with the reason.

mod active_call;
mod rtpengine;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use trunkline_bench_results::{Measurement, Results};
use trunkline_load::{Reflector, pin, quantile};
use trunkline_tests::ports;
use trunkline_tests::process::Process;

use crate::load::{Ground, Run, say};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls at once.
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// Seconds that each is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// New calls a second until all are up.
    #[arg(long, default_value_t = 20.0)]
    per_second: f64,
    /// One peer alone: `sipp`, `baresip`, `rtpengine` or `active-call`.
    #[arg(long)]
    only: Option<String>,
    /// Also write the results as a JSON array.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A peer that takes calls.
pub(crate) struct Served {
    sip: SocketAddr,
    process: Process,
    /// What else it stands on, for as long as it is called.
    _beside: Option<Box<dyn std::any::Any>>,
}

/// How a peer is started in a folder of its own, on the core that is pinned when this is called.
type Start = fn(&Ground, &Path) -> anyhow::Result<Served>;

const PEERS: [(&str, Start); 4] =
    [("sipp", sipp), ("baresip", baresip), ("rtpengine", rtpengine::start), ("active-call", active_call::start)];

/// Runs it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let ground = Ground::find(args.calls, args.per_second)?;
    let lasting = Duration::from_secs(args.seconds.max(1));
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    ensure!(PEERS.iter().any(|(name, _)| wanted(name)), "there is no peer {:?}", args.only);
    // What takes minutes to be made is made before anything is measured.
    let prepared = wanted("active-call").then(active_call::install);
    let reflected = ground.reflected(lasting)?;
    say("reflector", &reflected);
    let gateway = ground.gateway(None, "off", lasting)?;
    say("trunkline", &gateway);

    let mut results = Results::new(format!(
        "cargo xtask bench peers --calls {} --seconds {} --per-second {}",
        args.calls, args.seconds, args.per_second
    ));
    add(&mut results, "trunkline", &gateway, &gateway, &reflected);
    let mut missing = Vec::new();
    for (name, start) in PEERS.into_iter().filter(|(name, _)| wanted(name)) {
        let failed = prepared.as_ref().filter(|_| name == "active-call").and_then(|made| made.as_ref().err());
        let run = match failed {
            Some(error) => Err(anyhow::anyhow!("{error:#}")),
            None => called(&ground, start, lasting),
        };
        match run {
            Ok(run) => {
                say(name, &run);
                add(&mut results, name, &run, &gateway, &reflected);
            }
            Err(error) => {
                println!("{name}: not measured: {error:#}");
                missing.push(name);
            }
        }
    }
    results.baseline("trunkline in the same run: a ratio of 2 is twice trunkline's figure");
    if !missing.is_empty() {
        println!("not measured: {}; see above why", missing.join(", "));
    }
    results.finish(args.json.as_deref())
}

fn called(ground: &Ground, start: Start, lasting: Duration) -> anyhow::Result<Run> {
    let scratch = tempfile::tempdir()?;
    pin(&[ground.theirs])?;
    let started = start(ground, scratch.path());
    pin(&[ground.ours])?;
    let served = started?;
    let run = ground.call(served.sip, Some(served.process.id()), lasting);
    run.map_err(|error| {
        let log = served.process.log();
        let from = log.char_indices().nth_back(2000).map_or(0, |(at, _)| at);
        error.context(format!("its log ends with:\n{}", &log[from..]))
    })
}

fn add(results: &mut Results, name: &str, run: &Run, gateway: &Run, reflected: &Run) {
    let network = quantile(&reflected.figures.delay_ms, 0.5);
    let of = |run: &Run| {
        let figures = &run.figures;
        let mut rows = vec![
            ("calls_failed", figures.calls_failed() as f64, "calls"),
            ("frames_lost", figures.frames_lost() as f64, "frames"),
            ("setup_ms_p50", quantile(&figures.setup_ms, 0.5), "ms"),
            ("setup_ms_p99", quantile(&figures.setup_ms, 0.99), "ms"),
        ];
        if !figures.delay_ms.is_empty() {
            rows.push(("added_delay_ms_p50", quantile(&figures.delay_ms, 0.5) - network, "ms"));
            rows.push(("added_delay_ms_p99", quantile(&figures.delay_ms, 0.99) - network, "ms"));
        }
        rows.push(("tick_late_ms_p999", figures.late.quantile(0.999), "ms"));
        rows.extend(run.memory().map(|value| ("rss_per_call_kb", value, "KiB of Pss")));
        rows.extend(run.processor().map(|value| ("cpu_percent_of_core_per_100_calls", value, "%")));
        rows
    };
    let ours = of(gateway);
    for (figure, value, unit) in of(run) {
        let row = Measurement::new(format!("peers.{name}.{figure}"), value, unit);
        let beside = ours.iter().find(|(known, ..)| *known == figure).map(|(_, value, _)| *value);
        results.add(match beside.filter(|_| name != "trunkline") {
            Some(beside) => row.beside(beside),
            None => row,
        });
    }
}

/// SIPp, which answers and sends every packet back from the one port it has.
fn sipp(_: &Ground, scratch: &Path) -> anyhow::Result<Served> {
    let (sip, media) = (ports::free_range(2)?, ports::free_range(4)?);
    let mut command = Command::new("sipp");
    command.current_dir(scratch).args(["-sn", "uas", "-rtp_echo", "-nostdin", "-i", "127.0.0.1", "-mi", "127.0.0.1"]);
    command.args(["-p", &sip.to_string(), "-mp", &media.to_string()]);
    let process = Process::start("sipp", scratch, &mut command)?;
    Ok(Served { sip: SocketAddr::new(LOOPBACK, sip), process, _beside: None })
}

/// baresip as its echo server: each call's sound through its decoder, its buffers and its encoder.
fn baresip(ground: &Ground, scratch: &Path) -> anyhow::Result<Served> {
    // It also takes the port after its own, for TLS.
    let sip = ports::free_range(4)?;
    let rtp = ports::free_range(u16::try_from(2 * ground.calls + 20)?)?;
    let modules = ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules"];
    let modules = modules.iter().find(|folder| Path::new(folder).join("echo.so").exists());
    let modules = modules.ok_or_else(|| anyhow::anyhow!("baresip's module `echo.so` is not there"))?;
    let config = format!(
        "module_path {modules}\nmodule g711.so\nmodule aubridge.so\nmodule_app account.so\nmodule_app echo.so\n\
         sip_listen 127.0.0.1:{sip}\nnet_interface 127.0.0.1\ncall_max_calls {}\naudio_source aubridge,nil\n\
         audio_player aubridge,nil\nrtp_ports {rtp}-{}\n",
        ground.calls + 10,
        usize::from(rtp) + 2 * ground.calls + 18
    );
    std::fs::write(scratch.join("config"), config)?;
    std::fs::write(scratch.join("accounts"), "<sip:1000@127.0.0.1>;regint=0;audio_codecs=pcmu\n")?;
    std::fs::write(scratch.join("contacts"), "")?;
    let mut command = Command::new("baresip");
    command.arg("-f").arg(scratch);
    let mut process = Process::start("baresip", scratch, &mut command)?;
    process.await_sign("baresip to be ready", Duration::from_secs(10), |log| log.contains("is ready").then_some(()))?;
    Ok(Served { sip: SocketAddr::new(LOOPBACK, sip), process, _beside: None })
}

/// A reflector on the callers' core, so that it costs the peer in front of it nothing.
fn reflector_behind(ground: &Ground, relay: trunkline_load::Relay) -> anyhow::Result<Reflector> {
    Reflector::start(LOOPBACK, Some(ground.ours), Some(relay))
}
