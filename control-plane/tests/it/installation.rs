//! The binary as an operator and a service manager meet it: who may read what it leaves, where the first key goes, what
//! a lost secret and a wrong configuration say, and what the service manager is told.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{DEADLINE, Http};

const BINARY: &str = env!("CARGO_BIN_EXE_trunkline-control-plane");

fn command(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env("TRUNKLINE_CP_STATE", state)
        .env("TRUNKLINE_CP_LISTEN__PUBLIC", "127.0.0.1:0")
        .env("TRUNKLINE_CP_LISTEN__SYNC", "127.0.0.1:0")
        .env("TRUNKLINE_CP_LISTEN__METRICS", "127.0.0.1:0")
        .stdin(Stdio::null());
    command
}

fn run(state: &Path, arguments: &[&str]) -> Output {
    command(state, arguments).output().unwrap()
}

/// A server with its output kept in a file.
struct Server {
    child: Child,
    state: PathBuf,
}

impl Server {
    fn start(mut command: Command, state: &Path) -> Self {
        let _ = std::fs::remove_file(state.join("endpoints.json"));
        let mut started = Self { child: command.spawn().unwrap(), state: state.to_owned() };
        let begun = Instant::now();
        while !state.join("endpoints.json").exists() {
            assert!(begun.elapsed() < DEADLINE && started.child.try_wait().unwrap().is_none(), "it serves in time");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        started
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.state.join("admin.key")).unwrap().trim().to_owned()
    }

    async fn accepts(&self, key: &str) -> bool {
        let endpoints: Value =
            serde_json::from_slice(&std::fs::read(self.state.join("endpoints.json")).unwrap()).unwrap();
        let address = endpoints["public"].as_str().unwrap().parse().unwrap();
        Http::new(address, key).get("/v1/agents").await.status == 200
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn stop(mut self) -> i32 {
        self.signal("TERM");
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_umask_nobody_else_may_read_the_state_and_the_key_is_in_a_file_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
    let said = scratch.path().join("said");
    let mut serve = Command::new("sh");
    let line = format!("umask 000; exec {BINARY} serve >{0} 2>&1", said.display());
    serve.args(["-c", &line]).envs(command(&state, &[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    serve.env("TRUNKLINE_CP_TLS__MODE", "always");
    let server = Server::start(serve, &state);
    assert_eq!(mode(&state), 0o700);
    let mut names = Vec::new();
    for file in std::fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let expected = if name == "ca.crt" { 0o644 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{name}");
        names.push(name);
    }
    for name in ["admin.key", "control-plane.db-wal", "pepper.key", "signing.key", "ca.key", "endpoints.json"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    let key = server.key();
    assert!(key.starts_with("tl_live_"));
    // The key is filed before it is spoken of, so all is said only when the server has ended.
    assert_eq!(server.stop(), 0);
    let said = std::fs::read_to_string(said).unwrap();
    assert!(!said.contains(&key) && said.contains("admin.key"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_made_once_and_only_by_a_control_plane_that_could_bind() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = command(&state, &["serve"]).env("TRUNKLINE_CP_LISTEN__SYNC", &address).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&address));
    assert!(!state.join("admin.key").exists());

    let server = Server::start(command(&state, &["serve"]), &state);
    let key = server.key();
    assert!(server.accepts(&key).await);
    assert_eq!(server.stop(), 0);
    std::fs::remove_file(state.join("admin.key")).unwrap();
    let server = Server::start(command(&state, &["serve"]), &state);
    assert!(!state.join("admin.key").exists() && server.accepts(&key).await);

    let another = run(&state, &["admin-key"]);
    assert_eq!(another.status.code(), Some(0), "{another:?}");
    let filed = server.key();
    assert!(!String::from_utf8_lossy(&another.stdout).contains(&filed) && server.accepts(&filed).await);
    let shown = run(&state, &["admin-key", "--stdout"]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.trim() != filed && server.accepts(shown.trim()).await);
    assert_eq!(server.key(), filed, "what is shown is not left in the file as well");
}

#[test]
fn a_lost_secret_is_named_and_not_made_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    assert_eq!(Server::start(command(&state, &["serve"]), &state).stop(), 0);
    for name in ["pepper.key", "signing.key"] {
        let (file, aside) = (state.join(name), scratch.path().join(name));
        std::fs::rename(&file, &aside).unwrap();
        for arguments in [["serve"], ["enrol-token"], ["admin-key"]] {
            let refused = run(&state, &arguments);
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(1), "{said}");
            assert!(said.contains(file.to_str().unwrap()) && said.contains("backup"), "{said}");
        }
        assert!(!file.exists());
        // The same secret from elsewhere is as good.
        let key =
            if name == "pepper.key" { "TRUNKLINE_CP_SECRETS__PEPPER" } else { "TRUNKLINE_CP_SECRETS__SIGNING_KEY" };
        let mut credential = command(&state, &["enrol-token"]);
        credential.env(key, format!("credential:{name}")).env("CREDENTIALS_DIRECTORY", scratch.path());
        assert!(credential.output().unwrap().status.success());
        std::fs::rename(&aside, &file).unwrap();
    }
}

#[test]
fn a_wrong_configuration_ends_with_two_and_every_fault() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("cp.toml");
    std::fs::write(&file, "[listen]\npublik = \"0.0.0.0:1\"\nsync = \"0.0.0.0:1\"\n[tls]\nmode = \"off\"\n").unwrap();
    for command in ["check", "serve", "enrol-token"] {
        let mut run = Command::new(BINARY);
        let refused = run.arg(command).arg("--config").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("cp.toml:2:1: listen.publik: unknown key; did you mean `public`?"), "{said}");
        assert!(said.contains("cp.toml:3:8: listen.sync: 0.0.0.0:1 would be plain HTTP beyond this host"), "{said}");
    }
    let state = scratch.path().join("state");
    let in_order = run(&state, &["check"]);
    assert_eq!(in_order.status.code(), Some(0), "{in_order:?}");
    assert!(!state.exists(), "a check changes nothing");
    let unsafe_in_prod = run(&state, &["--profile", "prod", "check"]);
    assert_eq!(unsafe_in_prod.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unsafe_in_prod.stderr).contains("port 0"));
    let mut no_key = command(&state, &["check"]);
    no_key.env("TRUNKLINE_CP_TLS__CERT", "/nowhere.crt").env("TRUNKLINE_CP_TLS__KEY", "/nowhere.key");
    let refused = no_key.output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/nowhere.crt"));
}

#[test]
fn the_service_manager_hears_ready_the_watchdog_and_stopping() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    let path = scratch.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut serve = command(&state, &["serve"]);
    serve.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let heard = |wanted: &str| {
        let mut bytes = [0; 256];
        loop {
            let length = socket.recv(&mut bytes).unwrap();
            let text = String::from_utf8_lossy(&bytes[..length]).trim().to_owned();
            if text == wanted {
                return;
            }
            assert_eq!(text, "WATCHDOG=1", "while waiting for {wanted}");
        }
    };
    let mut server = Server::start(serve, &state);
    heard("READY=1");
    assert!(state.join("admin.key").exists() && state.join("endpoints.json").exists());
    for _ in 0..3 {
        heard("WATCHDOG=1");
    }
    server.signal("TERM");
    heard("STOPPING=1");
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn typed_as_root_a_command_acts_as_the_owner_of_the_state_folder() {
    const SERVICE: u32 = 54_321;
    let scratch = tempfile::tempdir().unwrap();
    if std::fs::metadata(scratch.path()).unwrap().uid() != 0 {
        println!("not tried: only root can act as somebody else");
        return;
    }
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let state = scratch.path().join("state");
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(SERVICE), Some(SERVICE)).unwrap();
    // Where the other user may start it.
    let binary = scratch.path().join("control-plane");
    std::fs::copy(BINARY, &binary).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let typed = |arguments: &[&str]| {
        let mut typed = Command::new(&binary);
        typed.args(arguments).current_dir("/");
        typed.envs(command(&state, &[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        typed
    };
    let server = Server::start(typed(&["serve"]), &state);
    assert!(typed(&["enrol-token"]).output().unwrap().status.success());
    assert!(typed(&["admin-key"]).output().unwrap().status.success());
    for file in std::fs::read_dir(&state).unwrap() {
        let file = file.unwrap();
        let found = file.metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (SERVICE, SERVICE), "{}", file.path().display());
    }
    assert_eq!(server.stop(), 0);
}
