//! Whatever the umask: the state folder and all that lies in it are their owner's only. A folder that was looser is
//! tightened, one that others use is refused; root acts as the folder's owner, and others are told whose it is.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::process::from_environment;
use trunkline_tests::{objects, wait};

fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_path_buf()];
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything_in(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn nothing_in_it_is_readable_by_others_even_with_an_empty_umask() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options { umask: Some("000".to_owned()), ..Options::default() };
    let state = scratch.path().join("gateway/state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    let agents = objects::answering(&objects::offline_agent("Hello.")).unwrap();
    let cache = state.join("cache/plugins").display().to_string();
    let options = options.with("TRUNKLINE_PLUGINS__CACHE_DIR", &cache);
    let mut gateway = Gateway::standalone(scratch.path(), &agents, options).unwrap();
    gateway.await_agents(1).unwrap();
    let listen = script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }] })).unwrap();
    Caller::call(gateway.sip(), "1000", 1, listen).unwrap().finish().unwrap();
    wait::until_true("a recording", Duration::from_secs(10), || {
        everything_in(&state).iter().any(|path| path.extension().is_some_and(|extension| extension == "wav"))
    })
    .unwrap();
    for path in everything_in(&state) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    gateway.stop().unwrap();
}

#[test]
fn a_folder_that_others_use_is_refused_and_not_closed() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = scratch.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("somebody's"), "").unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = Options::default().with("TRUNKLINE_GATEWAY__STATE_DIR", &shared.display().to_string());
    for command in ["check", "doctor", "run"] {
        let output = Gateway::command_in(scratch.path(), &options).unwrap().arg(command).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("holds what is not this gateway's") && !said.contains("chmod"), "{command}: {said}");
    }
    assert_eq!(mode(&shared), 0o755);
}

#[test]
fn root_acts_as_its_owner_and_anybody_else_is_told_whose_it_is() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can be tried acting as somebody else");
        return;
    }
    const NOBODY: u32 = 65_534;
    let scratch = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let state = scratch.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
    let options = Options::default().with("TRUNKLINE_PLUGINS__CACHE_DIR", &state.join("cache").display().to_string());
    let plugins = scratch.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    let options = options.with("TRUNKLINE_PLUGINS__DIR", &plugins.display().to_string());
    let mut options = options.with("TRUNKLINE_PLUGINS__TRUSTED_KEYS_DIR", &plugins.display().to_string());
    // The build may lie where only its own user gets.
    let program = scratch.path().join("trunkline");
    std::fs::copy(from_environment("TRUNKLINE_BIN").unwrap(), &program).unwrap();
    options.program = Some(program);
    let output = Gateway::command_in(scratch.path(), &options).unwrap().arg("check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = everything_in(&state);
    assert!(found.len() > 1, "check made nothing");
    for path in found {
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), NOBODY, "{}", path.display());
    }
    // The exit code of what it acted through is its own.
    let wrong = options.clone().with("TRUNKLINE_PLUGINS__CACHE_DIR", "/proc/nowhere");
    let output = Gateway::command_in(scratch.path(), &wrong).unwrap().arg("check").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));

    let mut other = Gateway::command_in(scratch.path(), &options).unwrap();
    let output = other.arg("check").uid(1).gid(1).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("belongs to user nobody"), "{said}");
}
