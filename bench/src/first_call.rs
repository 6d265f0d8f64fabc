//! What one call costs and how long its caller waits: set-up, greeting, processor and memory, each beside a baseline
//! measured in the same run on the same gateway.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use trunkline_bench_results::{Measurement, Results};
use trunkline_caller::Happened;
use trunkline_load::Usage;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::objects;

/// Calls one after the other for set-up and greeting.
const SERIAL: u64 = 20;
/// Calls at once for processor and memory.
const AT_ONCE: u64 = 20;
/// How long they are watched.
const WATCH: Duration = Duration::from_secs(8);

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also write the results as a JSON array.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// An agent that greets and then only listens for digits: no recogniser, no model.
fn announcement() -> Value {
    let mut agent = objects::offline_agent("Welcome.");
    agent["pipeline"]["cascade"]["asr"] = json!([]);
    agent["pipeline"]["cascade"]["llm"] = json!([]);
    agent["recording"] = json!({ "enabled": false });
    agent
}

/// Runs it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let agents = [("announce", announcement()), ("talk", objects::offline_agent("Welcome."))];
    let mut gateway = Gateway::standalone(scratch.path(), &objects::routed(&agents)?, Options::default())?;
    gateway.await_agents(2)?;
    let mut results = Results::new("cargo xtask bench first-call");

    // The first call compiles nothing but opens caches; it is not counted.
    // A seed is a Call-ID: a second INVITE with the first one's would be its retransmission (RFC 3261 17.2.3).
    serial(&gateway, "talk", 1..2)?;
    let (plain_answer, plain_greeting) = serial(&gateway, "announce", 100..100 + SERIAL)?;
    let (answer, greeting) = serial(&gateway, "talk", 200..200 + SERIAL)?;
    results.add(Measurement::new("INVITE to 200, median", answer, "ms").beside(plain_answer));
    results.add(Measurement::new("200 to greeting heard, median", greeting, "ms").beside(plain_greeting));

    let idle = Usage::of(gateway.process().id())?;
    let plain = together(&mut gateway, "announce", 1000, &idle)?;
    let full = together(&mut gateway, "talk", 2000, &idle)?;
    results.add(Measurement::new("processor per call, listening", full.0, "% of a core").beside(plain.0));
    results.add(Measurement::new("memory per call", full.1, "kB").beside(plain.1));
    results.add(Measurement::new("memory of the idle gateway with its plugins", idle.pss_kb, "kB"));
    results.baseline("an agent that only announces: no recogniser, no model, no recording");
    gateway.stop()?;
    results.finish(args.json.as_deref())
}

/// Medians of set-up and of the wait for the greeting, milliseconds.
fn serial(gateway: &Gateway, user: &str, seeds: std::ops::Range<u64>) -> anyhow::Result<(f64, f64)> {
    let (mut answers, mut greetings) = (Vec::new(), Vec::new());
    for seed in seeds {
        let steps = script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 200 } }] }))?;
        let report = Caller::call(gateway.sip(), user, seed, steps)?.finish()?;
        let at = |wanted: fn(&Happened) -> bool| {
            report.events.iter().find(|event| wanted(&event.what)).map(|event| event.at_ms as f64)
        };
        let saw = || format!("the caller of {user} saw {:?}", report.events);
        let answered =
            at(|what| matches!(what, Happened::Answered)).with_context(saw).context("a call was not answered")?;
        let spoke =
            at(|what| matches!(what, Happened::AgentStarted)).with_context(saw).context("a call was not greeted")?;
        answers.push(answered);
        greetings.push(spoke - answered);
    }
    Ok((median(&mut answers), median(&mut greetings)))
}

/// Processor and memory (Pss) per call of calls that all listen.
fn together(gateway: &mut Gateway, user: &str, first_seed: u64, idle: &Usage) -> anyhow::Result<(f64, f64)> {
    let steps = json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 500 } }, { "pause": { "ms": WATCH.as_millis() as u64 + 6000 } }] });
    let mut callers = Vec::new();
    for seed in 0..AT_ONCE {
        let mut caller = Caller::call(gateway.sip(), user, first_seed + seed, script(&steps)?)?;
        caller.await_answer()?;
        callers.push(caller);
    }
    for caller in &mut callers {
        caller.await_event("the end of the greeting", Duration::from_secs(30), |what| {
            matches!(what, Happened::AgentStopped { .. })
        })?;
    }
    let (before, begin) = (Usage::of(gateway.process().id())?, Instant::now());
    std::thread::sleep(WATCH);
    let (after, seconds) = (Usage::of(gateway.process().id())?, begin.elapsed().as_secs_f64());
    for caller in callers {
        caller.finish()?;
    }
    let busy = (after.processor_s - before.processor_s) / seconds * 100.0;
    Ok((busy / AT_ONCE as f64, (after.pss_kb - idle.pss_kb).max(0.0) / AT_ONCE as f64))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
