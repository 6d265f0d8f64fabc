//! `trunkline enrol` typed as root: the state is the service's afterwards, the configuration root's and readable by the
//! service's group, and the gateway serves as its own user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use trunkline_tests::control_plane::ControlPlane;
use trunkline_tests::hosts;
use trunkline_tests::process::{Process, from_environment};
use trunkline_tests::wait;

/// A user that has nothing else on this machine.
const SERVICE: u32 = 54_321;

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.uid(), found.gid())
}

#[test]
fn root_writes_the_configuration_and_the_service_keeps_its_state() {
    if !hosts::allowed() {
        println!("not tried: only root can act as somebody else");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    let control_plane = ControlPlane::start(scratch.path()).unwrap();
    // Where the service's user may start it.
    let binary = scratch.path().join("trunkline");
    fs::copy(from_environment("TRUNKLINE_BIN").unwrap(), &binary).unwrap();
    let [etc, state, plugins] = ["etc", "state", "plugins"].map(|name| scratch.path().join(name));
    for (folder, uid, mode) in [(&etc, 0, 0o750), (&state, SERVICE, 0o700), (&plugins, 0, 0o755)] {
        fs::create_dir(folder).unwrap();
        chown(folder, Some(uid), Some(SERVICE)).unwrap();
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    }
    let config = etc.join("trunkline.toml");
    fs::write(&config, "[sip]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    chown(&config, Some(0), Some(SERVICE)).unwrap();
    let typed = |arguments: &[&str]| {
        let mut typed = Command::new(&binary);
        typed.arg("--config").arg(&config).args(arguments).current_dir("/");
        typed.env("TRUNKLINE_GATEWAY__STATE_DIR", &state).env("TRUNKLINE_PLUGINS__DIR", &plugins);
        typed
    };

    let (url, token) = (control_plane.sync_url(), control_plane.enrolment_token().unwrap());
    let refused = typed(&["enrol", &url, "tl_enrol_nonsense"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let written = etc.join("conf.d/50-control-plane.toml");
    assert!(!written.exists());
    let enrolled = typed(&["enrol", &url, &token]).output().unwrap();
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    assert_eq!((owner(&written), fs::metadata(&written).unwrap().mode() & 0o777), ((0, SERVICE), 0o640));
    assert_eq!(fs::metadata(etc.join("conf.d")).unwrap().mode() & 0o777, 0o750);

    let mut run = Process::start("gateway", scratch.path(), &mut typed(&["run"])).unwrap();
    let endpoints = state.join("endpoints.json");
    run.await_sign("the gateway's endpoints", Duration::from_secs(90), |_| fs::metadata(&endpoints).ok()).unwrap();
    let rest = control_plane.rest();
    wait::until_true("the gateway at the control plane", Duration::from_secs(30), || {
        rest.get("/v1/gateways").is_ok_and(|gateways| gateways[0]["status"] == "online")
    })
    .unwrap();
    let mut files = 0;
    for file in fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(owner(&path), (SERVICE, SERVICE), "{}", path.display());
        files += 1;
    }
    assert!(files >= 3, "{files}");
}
