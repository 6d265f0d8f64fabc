//! Any file at all, and any way to change the log of a call: reading and replaying it never panics or takes more than a
//! call does, and only the log that was written replays with its own sum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_call::tape::{Ending, read, replay};

static GOOD: &str = include_str!("../../gateway/call/tests/captures/brief.jsonl");

/// The good log, changed as the input says: lines left out, doubled and swapped, bytes changed.
fn changed(mut input: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = GOOD.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect();
    while let [kind, high, low, value, rest @ ..] = input {
        input = rest;
        let place = usize::from(u16::from_be_bytes([*high, *low]));
        let at = place % lines.len();
        match kind % 5 {
            0 if lines.len() > 2 => drop(lines.remove(at)),
            1 if lines.len() < 2000 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = (at + usize::from(*value)) % lines.len();
                lines.swap(at, other);
            }
            3 => lines.truncate(at.max(1)),
            _ => {
                let line = &mut lines[at];
                let at = (place / 7 + usize::from(*value)) % line.len();
                line[at] = line[at].wrapping_add(*value % 5);
            }
        }
    }
    lines.concat()
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, input)) = input.split_first() else { return };
    let file = if mode % 4 == 0 { input.to_vec() } else { changed(input) };
    let Ok(log) = read(&file) else {
        assert!(file != GOOD.as_bytes(), "the good log can be read");
        return;
    };
    let told = log.inputs().count() as u64;
    let outcome = replay(&log, None, &mut |_| {});
    assert!(outcome.inputs <= told);
    if file == GOOD.as_bytes() {
        assert!(outcome.divergence.is_none());
        assert!(matches!(&log.ending, Ending::Whole(end) if end.sum == outcome.sum));
    }
});
