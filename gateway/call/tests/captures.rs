//! Captured calls of `tests/captures`, which this build lives again bit for bit. `trunkline capture test` adds one; a
//! change that wants another course renews them with `TRUNKLINE_BLESS=1`.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::PathBuf;

use trunkline_call::tape::{Ending, read, renewed, replay};

fn captures() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "jsonl")).collect();
    files.sort();
    files
}

#[test]
fn captured_calls_go_as_they_went() {
    let captures = captures();
    assert!(captures.len() >= 3, "{captures:?}");
    for path in captures {
        let text = std::fs::read_to_string(&path).unwrap();
        let log = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if std::env::var_os("TRUNKLINE_BLESS").is_some() {
            std::fs::write(&path, renewed(&log)).unwrap();
            continue;
        }
        let outcome = replay(&log, None, &mut |_| {});
        let renew = "where that is wanted, renew it: TRUNKLINE_BLESS=1";
        assert_eq!(outcome.divergence, None, "{} goes another way; {renew}", path.display());
        assert!(matches!(&log.ending, Ending::Whole(end) if end.sum == outcome.sum && end.inputs == outcome.inputs));
        assert!(log.head.redacted && outcome.outputs > 10, "{}: a conversation, without words", path.display());
        println!("{}: {} inputs, {} outputs, sum {}", path.display(), outcome.inputs, outcome.outputs, outcome.sum);
        assert_eq!(renewed(&log), text, "told the same, it makes the same log");
    }
}
