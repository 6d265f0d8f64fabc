//! SIPp begins calls at a steady rate, holds each for ten seconds and hangs it up: none fails, no dialog is left, and the
//! gateway needs no more memory the longer it lasts. How long an answer takes is printed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use trunkline_load::{Usage, allow_descriptors, quantile};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::process::from_environment;
use trunkline_tests::{echo, wait};

/// How long a call lasts; so many seconds' worth of calls are up at once.
const HELD: Duration = Duration::from_secs(10);
/// Transactions that ended are kept for 64 T1 (RFC 3261 17.2): memory grows until the first of them are forgotten.
const KEPT: Duration = Duration::from_secs(45);
/// What may come on top of it: what the store remembers of each call that has ended, and its page cache, in KiB.
const PAGE_CACHE_KB: f64 = 8192.0;
const REMEMBERED_KB: f64 = 0.5;

#[test]
#[ignore = "alone: whether there is time for every call"]
fn a_hundred_at_once_for_half_a_minute() {
    signal(10, Duration::from_secs(30), None);
}

#[test]
#[ignore = "slow: twelve minutes"]
fn a_thousand_and_two_thousand_at_once_for_five_minutes() {
    for (per_second, lasting_s) in [(50, 60), (100, 300), (200, 300)] {
        let program = from_environment("TRUNKLINE_RELEASED_BIN").unwrap();
        signal(per_second, Duration::from_secs(lasting_s), Some(program));
    }
}

fn signal(per_second: u64, lasting: Duration, program: Option<PathBuf>) {
    allow_descriptors().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let at_once = usize::try_from(per_second * HELD.as_secs()).unwrap();
    let options = Options { program, ..echo::options(scratch.path(), at_once * 2).unwrap() };
    // Nobody refuses a call for load here: that is what the test is about.
    let options = options.with("TRUNKLINE_ADMISSION__BUSY_PERCENT", "0").with("TRUNKLINE_ADMISSION__LATE_MS", "0");
    let mut gateway = echo::gateway(scratch.path(), options).unwrap();
    let pid = gateway.process().id();
    let calls = per_second * lasting.as_secs();

    let mut child = sipp(scratch.path(), &gateway, per_second, calls);
    let begin = Instant::now();
    let mut early = None;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if early.is_none() && begin.elapsed() > KEPT.min(lasting) {
            early = Some(Usage::of(pid).unwrap().pss_kb);
        }
        std::thread::park_timeout(Duration::from_millis(500));
    };
    let late = Usage::of(pid).unwrap().pss_kb;
    let said = std::fs::read_to_string(scratch.path().join("sipp.log")).unwrap_or_default();
    assert!(status.success(), "{per_second} a second: SIPp counts calls as failed:\n{said}");
    let took = answers(scratch.path());
    println!(
        "{calls} calls, {per_second} a second: an answer after {:.2} ms (p50), {:.2} ms (p99); Pss {:.0} kB, then {late:.0} kB",
        quantile(&took, 0.5),
        quantile(&took, 0.99),
        early.unwrap_or(late),
    );
    wait::until_true("every dialog to be forgotten", Duration::from_secs(30), || {
        gateway.metrics().is_ok_and(|page| page.lines().any(|line| line == "trunkline_calls_active 0"))
    })
    .unwrap();
    let finished = format!("trunkline_calls_finished_total {calls}");
    wait::until_true("every record to be durable", Duration::from_secs(60), || {
        gateway.metrics().is_ok_and(|page| page.lines().any(|line| line == finished))
    })
    .unwrap();
    let on_top = PAGE_CACHE_KB + REMEMBERED_KB * calls as f64;
    assert!(late < early.unwrap_or(late) * 1.03 + on_top, "memory: {early:?} kB, then {late} kB");
    gateway.stop().unwrap();
}

/// Starts SIPp.
fn sipp(scratch: &Path, gateway: &Gateway, per_second: u64, calls: u64) -> Child {
    let log = std::fs::File::create(scratch.join("sipp.log")).unwrap();
    let limit = calls / per_second + 120;
    Command::new("timeout")
        .current_dir(scratch)
        .arg(limit.to_string())
        .args(["sipp", "-sn", "uac", "-i", "127.0.0.1", "-s", "1000", "-nostdin", "-trace_rtt", "-rtt_freq", "1"])
        .args(["-d", &HELD.as_millis().to_string(), "-r", &per_second.to_string(), "-m", &calls.to_string()])
        .args(["-l", &(per_second * HELD.as_secs() * 2).to_string(), "-buff_size", "4194304"])
        .args(["-timeout", &format!("{}s", limit - 30)])
        .arg(gateway.sip().to_string())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Milliseconds from each INVITE to its 200, as SIPp measured them.
fn answers(folder: &Path) -> Vec<f64> {
    let files = std::fs::read_dir(folder).unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let csv = files.filter(|path| path.to_string_lossy().ends_with("_rtt.csv"));
    let lines: String = csv.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let mut took: Vec<f64> = lines.lines().filter_map(|line| line.split(';').nth(1)?.trim().parse().ok()).collect();
    took.sort_by(f64::total_cmp);
    took
}
