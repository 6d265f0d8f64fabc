//! The demo: a real call through the whole product, shown as it happens, every claim checked from outside.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod checks;
#[cfg(test)]
mod doctored;
mod interruption;
mod scenario;
mod show;
mod waterfall;
mod words;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use serde_json::{Value, json};
use trunkline_caller::write_wav;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::control_plane::ControlPlane;
use trunkline_tests::ear::Ear;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::objects;
use trunkline_tests::wav::Wav;

use scenario::Scenario;
use show::Screen;

/// How often the running call is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Parser)]
#[command(about = "A real call through the whole product, offline")]
struct Cli {
    /// End after one call.
    #[arg(long)]
    once: bool,
    /// Picks words, digits and key.
    #[arg(long)]
    seed: Option<u64>,
    /// Keep state, recording and logs in this folder, which must be new or empty.
    #[arg(long)]
    keep: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    match demo(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demo failed: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn demo(cli: &Cli) -> anyhow::Result<()> {
    let screen = Screen::new();
    let scratch = tempfile::tempdir()?;
    let folder = cli.keep.as_deref().unwrap_or(scratch.path());
    std::fs::create_dir_all(folder)?;
    if std::fs::read_dir(folder)?.next().is_some() {
        // A control plane that knows an agent of this name already would refuse the demo's.
        anyhow::bail!("{} holds something; name a new folder for --keep", folder.display());
    }

    screen.stage("control plane");
    let control_plane = ControlPlane::start(folder)?;
    screen.line(&format!("REST and reference at http://{0} (http://{0}/docs)", control_plane.public()));

    screen.stage("an agent, a trunk and a route, over REST");
    let agent = control_plane.create("/v1/agents", &scenario::agent())?;
    let trunk = control_plane.create("/v1/trunks", &objects::loopback_trunk())?;
    let route = json!({ "name": "everything", "trunk": trunk, "called": "*", "agent": agent });
    control_plane.create("/v1/routes", &route)?;
    screen.line(&format!("agent {agent}"));

    screen.stage("gateway");
    let mut gateway = Gateway::enrolled(folder, &control_plane, Options::default())?;
    gateway.await_agents(1)?;
    screen.line(&format!("enrolled, agent in service, SIP at {}", gateway.sip()));

    let mut seed = cli.seed.unwrap_or_else(|| u64::from(std::process::id()));
    loop {
        call(&screen, &control_plane, &gateway, &Scenario::of(seed), folder)?;
        if cli.once {
            break;
        }
        println!("\nEnter places another call, q ends.");
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line)? == 0 || line.trim() == "q" {
            break;
        }
        seed = seed.wrapping_add(1);
    }
    gateway.stop()?;
    Ok(())
}

fn call(
    screen: &Screen,
    control_plane: &ControlPlane,
    gateway: &Gateway,
    scenario: &Scenario,
    folder: &Path,
) -> anyhow::Result<()> {
    screen.stage(&format!("a call (seed {})", scenario.seed));
    let steps = script(&json!({ "voice": "rms", "steps": [
        { "wait_for_agent": { "quiet_ms": 500 } },
        { "say": { "text": format!("{} please", scenario.request) } },
        { "interrupt": { "after_ms": 2500, "say": { "text": scenario.spoken_digits() } } },
        { "wait_for_agent": { "quiet_ms": 700 } },
        { "dtmf": { "key": scenario.key } },
        { "wait_for_hang_up": {} },
    ] }))?;
    let caller = Caller::call(gateway.sip(), "1000", scenario.seed, steps.clone())?;
    let (id, events) = follow(screen, gateway, &caller)?;
    let report = caller.finish()?;
    write_wav(&folder.join("caller.wav"), &report.caller, &report.agent)?;

    screen.stage("where the time of each turn went");
    screen.waterfall(&events);

    screen.stage("SIP ladder");
    let trace = gateway.admin()?.get(&format!("/v1/calls/{id}"))?;
    for line in trace["ladder"].as_str().unwrap_or_default().lines() {
        screen.line(line);
    }

    let record = control_plane.await_ended_call(&id, Duration::from_secs(20))?;
    screen.stage("recording");
    let recording = trace["call"]["recording"].as_str().context("the call has no recording")?;
    let recording = gateway.state().join(recording);
    screen.line(&recording.display().to_string());

    screen.stage("the call, its usage and its cost, as GET /v1/calls/{id} answers");
    screen.json(&record);

    screen.stage("checked from outside");
    let findings = checks::Findings {
        scenario,
        id: &id,
        listed: &control_plane.calls()?,
        record: &record,
        timeline: &control_plane.await_timeline(&id, Duration::from_secs(20))?,
        recording: &Wav::read(&recording)?,
        report: &report,
        steps: &steps.steps,
        heard: &words::listen(&Ear::open()?, scenario, &report.agent)?,
    };
    for claim in checks::all(&findings)? {
        screen.line(&format!("ok  {claim}"));
    }
    Ok(())
}

/// Shows the call as it happens; returns its id and its events.
fn follow(screen: &Screen, gateway: &Gateway, caller: &Caller) -> anyhow::Result<(String, Vec<Value>)> {
    let admin = gateway.admin()?;
    let id = trunkline_tests::wait::until("the call at the gateway", Duration::from_secs(10), || {
        gateway.calls().ok()?.first()?["id"].as_str().map(str::to_owned)
    })?;
    let mut events: Vec<Value> = Vec::new();
    loop {
        let over = caller.is_over();
        let call = admin.get(&format!("/v1/calls/{id}"))?;
        let all = call["events"].as_array().cloned().unwrap_or_default();
        for event in all.iter().skip(events.len()) {
            screen.event(event);
        }
        events = all;
        if over && call["call"]["ended"] == true {
            return Ok((id, events));
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}
