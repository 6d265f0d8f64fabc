//! Simulated calls, captured: their logs replay identically, whole or torn, a changed one is found out, and a copy without
//! words is a call of its own that takes the same course.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use trunkline_call::tape::{Ending, Log, Tape, Taped, read, redacted, replay};
use trunkline_call::{AsrEvent, CallSetup, Input};

use crate::random::Random;
use crate::world::World;

/// Tells what a line is of.
type Kind<'a> = &'a dyn Fn(&Value) -> bool;

/// Calls of every run.
const CALLS: u64 = 3000;

thread_local! {
    static REEL: RefCell<Option<Reel>> = const { RefCell::new(None) };
}

/// A tape in memory.
#[derive(Debug, Clone, Default)]
struct Reel(Arc<Mutex<String>>);

impl Tape for Reel {
    fn write(&mut self, line: &str) -> bool {
        let mut text = self.0.lock().unwrap();
        text.push_str(line);
        text.push('\n');
        true
    }
}

/// The call of a world, on tape when this thread has one.
pub(crate) fn call(setup: CallSetup) -> Taped {
    match REEL.with_borrow(Clone::clone) {
        Some(reel) => Taped::captured(setup, "simulation", false, Box::new(reel)),
        None => Taped::plain(setup),
    }
}

/// The log of a seed's call, and what the world saw of it.
fn captured(seed: u64) -> (String, (u64, u64, u64)) {
    let reel = Reel::default();
    REEL.set(Some(reel.clone()));
    let world = World::new(seed, false);
    REEL.set(None);
    let outcome = world.run();
    let text = reel.0.lock().unwrap().clone();
    (text, outcome)
}

fn same(log: &Log) -> (u64, String) {
    let outcome = replay(log, None, &mut |_| {});
    assert_eq!(outcome.divergence, None);
    (outcome.inputs, outcome.sum)
}

#[test]
fn thousands_of_calls_replay_identically() {
    let (mut inputs, mut bytes, mut concealed) = (0, 0, 0);
    for seed in 0..CALLS {
        let (text, seen) = captured(seed);
        assert_eq!(World::new(seed, false).run(), seen, "seed {seed} behaves as one that nobody captures");
        let log = read(text.as_bytes()).unwrap();
        let (told, sum) = same(&log);
        if matches!(&log.ending, Ending::Whole(end) if end.why == "concealed") {
            // It ends where the caller was asked for a secret.
            concealed += 1;
            continue;
        }
        assert!(matches!(&log.ending, Ending::Whole(end) if end.sum == sum && end.inputs == told && end.why == "over"));
        (inputs, bytes) = (inputs + told, bytes + text.len());
    }
    println!("{CALLS} calls, {concealed} of them to a secret, {inputs} inputs, {bytes} bytes");
    assert!(inputs > 40 * CALLS && concealed > 0, "calls of some length");
}

#[test]
fn a_torn_log_replays_to_its_last_whole_line() {
    let mut random = Random::new(1);
    for seed in 0..CALLS / 10 {
        let (text, _) = captured(seed);
        let cut = random.below(text.len() as u64) as usize;
        let torn = &text.as_bytes()[..cut];
        let lines = torn.iter().filter(|byte| **byte == b'\n').count();
        match read(torn) {
            Ok(log) => {
                assert!(log.ending == Ending::Torn && log.inputs().count() <= lines);
                same(&log);
            }
            Err(error) => assert!(lines == 0, "{error}"),
        }
    }
}

/// Another word of the caller's, another time of an input, another output in the log.
#[test]
fn a_changed_log_is_found_out_at_its_place() {
    let mut changed = [0; 2];
    for seed in 0..CALLS / 10 {
        let (text, _) = captured(seed);
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_final = |line: &Value| {
            line["told"]["input"]["event"]["event"] == "final" && line["told"]["input"]["event"]["text"] != ""
        };
        let is_made = |line: &Value| !line["made"]["outputs"][0]["turn"].is_null();
        let kinds: [(Kind<'_>, &str); 2] = [(&is_final, "/told/input/event/text"), (&is_made, "/made/outputs/0/turn")];
        for (kind, (is, path)) in kinds.into_iter().enumerate() {
            let Some(at) = lines.iter().position(is) else { continue };
            let before = lines[at].clone();
            *lines[at].pointer_mut(path).unwrap() = if kind == 0 { "something else".into() } else { 4711.into() };
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let outcome = replay(&read(text.as_bytes()).unwrap(), None, &mut |_| {});
            lines[at] = before;
            // Words of somebody who is not listened to change nothing.
            if let Some(divergence) = outcome.divergence {
                changed[kind] += 1;
                assert!(divergence.line + 1 > at, "line {} before {at}", divergence.line);
                assert!(divergence.expected != divergence.got);
            } else {
                assert_eq!(kind, 0);
            }
        }
    }
    assert!(changed[0] > CALLS / 20 && changed[1] > CALLS / 20, "{changed:?}");
}

#[test]
fn a_copy_without_words_replays_against_its_own_log_and_takes_the_same_course() {
    let (mut alike, mut commands, mut said) = (0, 0, 0);
    for seed in 0..CALLS / 10 {
        let log = read(captured(seed).0.as_bytes()).unwrap();
        let copy = redacted(&log, seed).unwrap();
        let other = read(copy.log.as_bytes()).unwrap();
        assert!(other.head.redacted);
        same(&other);
        assert_eq!(redacted(&log, seed).unwrap(), copy, "the same seed makes the same copy");
        (alike, commands) = (alike + copy.alike, commands + copy.commands);
        let copied: Vec<String> = other.outputs().map(ToString::to_string).collect();
        let copied = copied.concat().to_lowercase();
        for (_, input) in log.inputs() {
            if let Input::Asr { event: AsrEvent::Final { text, .. }, .. } = input {
                for word in ["table", "book", "cost", "open"] {
                    if text.to_lowercase().contains(word) {
                        said += 1;
                        assert!(!copied.contains(&format!(" {word} ")), "seed {seed}: {word}");
                    }
                }
            }
        }
    }
    println!("{alike} of {commands} commands alike, {said} words looked for");
    assert!(said > CALLS / 30 && alike * 100 > commands * 97, "{alike} of {commands}");
}
