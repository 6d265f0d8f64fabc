//! Any file at all, and any way to change a good one: the opener never panics, gives nothing but the records that were
//! sealed, in their order, and calls a file complete only when not a bit of it has changed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trunkline_recording::{Container, Ending, MAX_RECORD, Opener, Sealer, SecretKey};

/// A key of nobody's.
const SECRET: &str = "x25519-secret:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

struct Good {
    secret: SecretKey,
    file: Vec<u8>,
    records: Vec<Vec<u8>>,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let secret: SecretKey = SECRET.parse().unwrap_or_else(|error| panic!("{error}"));
    let records: Vec<Vec<u8>> = (1..6_u8).map(|n| vec![n; usize::from(n) * 7]).collect();
    let mut file = Vec::new();
    let sealer = Sealer::begin(&secret.public(), Container::Opus, 8000, &mut file);
    let mut sealer = sealer.unwrap_or_else(|error| panic!("{error}"));
    for record in &records[..4] {
        sealer.record(record, &mut file);
    }
    sealer.finish(&records[4], &mut file);
    Good { secret, file, records }
});

/// The good file, changed as the input says.
fn changed(mut input: &[u8]) -> Vec<u8> {
    let mut file = GOOD.file.clone();
    while let [kind, high, low, value, rest @ ..] = input {
        input = rest;
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (file.len() + 1);
        match kind % 5 {
            0 => file.truncate(at),
            1 => file.insert(at, *value),
            2 if at < file.len() => file[at] ^= value,
            3 if at < file.len() => drop(file.drain(at..(at + usize::from(*value)).min(file.len()))),
            4 if file.len() < 100_000 => {
                let copy = file[at..(at + usize::from(*value)).min(file.len())].to_vec();
                file.splice(at..at, copy);
            }
            _ => {}
        }
        if file.is_empty() {
            break;
        }
    }
    file
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, input)) = input.split_first() else { return };
    let file = if mode % 4 == 0 { input.to_vec() } else { changed(input) };
    let Ok(mut opener) = Opener::begin(&file[..], &GOOD.secret) else {
        assert!(file != GOOD.file, "the good file opens");
        return;
    };
    let mut opened = 0;
    while let Ok(Some(record)) = opener.next_record() {
        assert!(record.len() <= MAX_RECORD);
        assert_eq!(record, &GOOD.records[opened][..], "nothing but what was sealed, in its order");
        opened += 1;
    }
    if opener.ending() == Some(Ending::Complete) {
        assert!(file == GOOD.file && opened == GOOD.records.len(), "complete only when nothing changed");
    }
});
