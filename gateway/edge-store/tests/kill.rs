//! The process is killed at random, 200 times on one folder; nothing acknowledged is lost, nothing comes twice.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use trunkline_edge_store::conformance::crash::{Ledger, run_until_killed};
use trunkline_edge_store::{DurableStore, StoreOptions};

const ROUNDS: u64 = 200;
const FOLDER: &str = "TRUNKLINE_KILL_FOLDER";
const ROUND: &str = "TRUNKLINE_KILL_ROUND";

fn random_from(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn open(folder: &Path) -> DurableStore {
    // Small segments, so that deletion happens often.
    DurableStore::open(folder, StoreOptions { segment_bytes: 16 * 1024, ..StoreOptions::default() }).unwrap()
}

/// The child: started by the test below, and only then.
#[test]
#[ignore = "tool: the kill test below, in a process of its own"]
fn writes_until_killed() {
    let folder = std::env::var(FOLDER).unwrap();
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let store = open(folder.as_ref());
    println!("ready");
    run_until_killed(&store, &mut std::io::stdout(), round * 1_000_000, random_from(round)).unwrap();
}

#[test]
fn killed_two_hundred_times_it_loses_nothing_and_counts_nothing_twice() {
    killed(ROUNDS, 42);
}

#[test]
#[ignore = "slow: a thousand kills"]
fn killed_a_thousand_times_it_loses_nothing_and_counts_nothing_twice() {
    killed(5 * ROUNDS, 43);
}

fn killed(rounds: u64, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    let mut random = random_from(seed);
    let begun = Instant::now();
    for round in 1..=rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_killed", "--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut pipe = child.stdout.take().unwrap();
        let (said, lines) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let (mut output, mut chunk) = (Vec::<u8>::new(), [0; 65536]);
            let mut ready = false;
            loop {
                let read = pipe.read(&mut chunk).unwrap();
                if read == 0 {
                    return String::from_utf8(output).unwrap();
                }
                output.extend_from_slice(&chunk[..read]);
                ready |= output.windows(6).any(|line| line == b"ready\n");
                if ready {
                    let _ = said.send(output.iter().filter(|&&byte| byte == b'\n').count() as u64);
                }
            }
        });
        // Every eighth round dies while it opens the store or even before; the others after some of their work,
        // counted in lines so that a slow machine does as much of it as a fast one.
        if round % 8 == 0 {
            std::thread::sleep(Duration::from_micros(random() % 30_000));
        } else {
            let enough = 4 + random() % 40;
            while lines.recv_timeout(Duration::from_secs(30)).unwrap() < enough {}
            std::thread::sleep(Duration::from_micros(random() % 3_000));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        ledger.read(&reader.join().unwrap()).unwrap();
    }
    let tally = ledger.settle(&open(folder.path())).unwrap();
    println!("{rounds} kills in {:?}: {tally:?}, {} records sent again", begun.elapsed(), ledger.repeated);
    assert!(tally.closed as u64 > rounds && tally.crashed as u64 > rounds / 2, "the rounds did too little: {tally:?}");
}
