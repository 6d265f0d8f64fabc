//! A gateway whose state disk is full does not spend its one-time token.

use std::process::Command;

use trunkline_tests::control_plane::ControlPlane;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::hosts;

/// Mounts a small disk at `$1`, fills it but for its table of files, and runs the rest of the arguments.
const ON_A_FULL_DISK: &str = r#"
disk=$1; shift
mount -t tmpfs -o size=256k,mode=700 full "$disk"
dd if=/dev/zero of="$disk/full" bs=4k 2>/dev/null
: > "$disk/empty" || exit 99
"$@"
"#;

#[test]
fn the_token_is_good_once_there_is_room() {
    if !hosts::allowed() {
        println!("not tried: only root can mount a disk");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(scratch.path()).unwrap();
    let folder = scratch.path().join("gateway");
    std::fs::create_dir(&folder).unwrap();
    let (url, token) = (control_plane.sync_url(), control_plane.enrolment_token().unwrap());
    let enrol = || {
        let mut enrol = Gateway::command_in(&folder, &Options::default()).unwrap();
        enrol.args(["enrol", &url, &token]);
        enrol
    };
    let typed = enrol();
    let mut full = Command::new("unshare");
    full.args(["--mount", "sh", "-c", ON_A_FULL_DISK, "sh"]).arg(folder.join("state"));
    full.arg(typed.get_program()).args(typed.get_args());
    full.envs(typed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let refused = full.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("the token was not used") && said.contains("No space left"), "{said}");
    let enrolled = enrol().output().unwrap();
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
}
