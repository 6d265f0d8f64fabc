//! Standard output may be full or closed at any line: commands go on, say so when a line was lost, and never panic.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use trunkline_tests::gateway::{Gateway, Options};

fn ended(mut command: Command, stdout: impl Into<Stdio>) -> Output {
    command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn nothing_panics_and_a_lost_line_is_a_failure() {
    let scratch = tempfile::tempdir().unwrap();
    let gateway = Gateway::standalone(scratch.path(), "", Options::default()).unwrap();
    for arguments in [&["doctor"][..], &["calls", "--ended"], &["usage"], &["check"]] {
        let command = || gateway.command(arguments).unwrap();
        let well = ended(command(), Stdio::null()).status.code();

        let full = ended(command(), File::options().write(true).open("/dev/full").unwrap());
        let said = String::from_utf8_lossy(&full.stderr);
        assert!(
            said.contains("standard output cannot be written") && !said.contains("panicked"),
            "{arguments:?}: {said}"
        );
        assert_ne!(full.status.code(), Some(0), "{arguments:?}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = ended(command(), writer);
        let said = String::from_utf8_lossy(&closed.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert_eq!(closed.status.code(), well, "{arguments:?}: whoever closed it had seen enough");
    }
}
