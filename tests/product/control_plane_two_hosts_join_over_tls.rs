//! A control plane on one host and a gateway on another join over TLS with the commands of the README: whoever is not
//! the control plane of the token gets nothing, and neither a renewed certificate nor a restart parts them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use trunkline_tests::hosts::{self, Host};
use trunkline_tests::process::{Process, from_environment};
use trunkline_tests::{objects, wait};

const PATIENCE: Duration = Duration::from_secs(60);

struct ControlPlane {
    host: Host,
    folder: PathBuf,
    process: Option<Process>,
}

impl ControlPlane {
    fn start(host: Host, folder: &Path) -> Self {
        fs::create_dir(folder).unwrap();
        let state = folder.join("state");
        let text = format!(
            "state = {:?}\n[listen]\npublic = \"0.0.0.0:7000\"\nsync = \"0.0.0.0:7001\"\n",
            state.display().to_string()
        );
        fs::write(folder.join("control-plane.toml"), text).unwrap();
        let mut plane = Self { host, folder: folder.to_owned(), process: None };
        plane.serve();
        plane
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(from_environment("TRUNKLINE_CP_BIN").unwrap());
        command.arg("--config").arg(self.folder.join("control-plane.toml")).args(arguments);
        command
    }

    fn serve(&mut self) {
        let mut process = Process::start("control-plane", &self.folder, &mut self.command(&["serve"])).unwrap();
        let endpoints = self.state().join("endpoints.json");
        process.await_sign("the control plane's endpoints", PATIENCE, |_| fs::metadata(&endpoints).ok()).unwrap();
        self.process = Some(process);
    }

    fn url(&self, port: u16) -> String {
        format!("https://{}:{port}", self.host.address)
    }

    /// The token that an operator makes on this host.
    fn token(&self) -> String {
        let made = self.command(&["enrol-token"]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// What `curl --cacert` on `from` gets.
    fn curl(&self, from: &Host, path: &str, body: Option<&Value>) -> Value {
        let authority = self.folder.join("ca.crt");
        if !authority.exists() {
            fs::write(&authority, self.command(&["ca"]).output().unwrap().stdout).unwrap();
        }
        let key = fs::read_to_string(self.state().join("admin.key")).unwrap();
        let mut curl = from.command("curl");
        curl.args(["-sS", "--max-time", "20", "--cacert"]).arg(authority);
        curl.args(["-H", &format!("Authorization: Bearer {}", key.trim()), &format!("{}{path}", self.url(7000))]);
        if let Some(body) = body {
            curl.args(["-d", &body.to_string()]);
        }
        let answer = curl.output().unwrap();
        assert!(answer.status.success(), "{path}: {}", String::from_utf8_lossy(&answer.stderr));
        let mut answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
        assert!(!answer["data"].is_null(), "{path}: {answer}");
        answer["data"].take()
    }

    fn get(&self, path: &str) -> Value {
        self.curl(&self.host, path, None)
    }

    /// Waits until the gateway serves the newest state.
    fn await_joined(&self) {
        wait::until_true("the newest state at the gateway", PATIENCE, || {
            let gateway = self.get("/v1/gateways")[0].clone();
            gateway["status"] == "online" && gateway["applied_rev"] == gateway["desired_rev"]
        })
        .unwrap();
    }
}

struct Gateway {
    host: Host,
    folder: PathBuf,
}

impl Gateway {
    fn new(host: Host, folder: &Path) -> Self {
        fs::create_dir(folder).unwrap();
        let text = format!(
            "[gateway]\nstate_dir = {:?}\n[sip]\nlisten = \"127.0.0.1:5060\"\n",
            folder.join("state").display().to_string()
        );
        fs::write(folder.join("trunkline.toml"), text).unwrap();
        Self { host, folder: folder.to_owned() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let plugins = from_environment("TRUNKLINE_PLUGINS").unwrap();
        let mut command = self.host.command(from_environment("TRUNKLINE_BIN").unwrap());
        command
            .arg("--config")
            .arg(self.folder.join("trunkline.toml"))
            .args(arguments)
            .env("TRUNKLINE_PLUGINS__DIR", &plugins)
            .env("TRUNKLINE_PLUGINS__CACHE_DIR", trunkline_tests::ear::cache(&plugins))
            .env("TRUNKLINE_PLUGINS__TRUSTED_KEYS_DIR", from_environment("TRUNKLINE_TRUSTED_KEYS").unwrap());
        command
    }

    fn written(&self) -> PathBuf {
        self.folder.join("conf.d/50-control-plane.toml")
    }

    #[track_caller]
    fn is_refused(&self, url: &str, token: &str, code: i32, expected: &str) {
        let refused = self.command(&["enrol", url, token]).output().unwrap();
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(code), "{said}");
        assert!(said.lines().any(|line| line.starts_with("not enrolled: ") && line.contains(expected)), "{said}");
        assert!(!said.contains(token), "the token is not repeated");
        assert!(!self.written().exists() && !self.folder.join("state/enrolled.json").exists());
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The same token with another key's fingerprint.
fn for_another_key(token: &str) -> String {
    let (secret, fingerprint) = token.split_once('.').unwrap();
    let digit = if fingerprint.starts_with('0') { '1' } else { '0' };
    format!("{secret}.{digit}{}", &fingerprint[1..])
}

#[test]
fn they_join_over_tls_and_stay_joined() {
    if !hosts::allowed() {
        println!("not tried: only root can make network namespaces");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let [one, other] = hosts::two().unwrap();
    let mut plane = ControlPlane::start(one, &scratch.path().join("control-plane"));
    let gateway = Gateway::new(other, &scratch.path().join("gateway"));
    let url = plane.url(7001);

    // Whoever is not meant, and whatever is out of date, is refused with a line that says so.
    let token = plane.token();
    gateway.is_refused(&url, &for_another_key(&token), 1, "does not hold the key that was pinned");
    gateway.is_refused(&url, token.split('.').next().unwrap(), 1, "is not trusted");
    gateway.is_refused(&url, &token[..token.len() - 1], 2, "copy the token whole");
    gateway.is_refused(&url.replace("https", "http"), &token, 2, "plain HTTP to another machine");
    gateway.is_refused(&plane.url(7009), &token, 3, "cannot be reached");
    gateway.is_refused(&plane.url(7000), &token, 1, "check that the URL is the control plane's sync port");
    let made = plane.curl(&gateway.host, "/v1/enrolment-tokens", Some(&json!({ "expires_in_s": 1 })));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let over = now() + Duration::from_millis(1100);
    wait::until_true("the end of a token", PATIENCE, || now() > over).unwrap();
    gateway.is_refused(&url, made["token"].as_str().unwrap(), 1, "expired on ");
    let elsewhere = gateway.folder.join("conf.d/60-other.toml");
    fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
    fs::write(&elsewhere, "[control_plane]\nurl = \"https://other.example:7001\"\n").unwrap();
    gateway.is_refused(&url, &token, 2, "60-other.toml:2");
    fs::remove_file(elsewhere).unwrap();

    // None of that has spent the token.
    let enrolled = gateway.command(&["enrol", &url, &token]).output().unwrap();
    assert!(enrolled.status.success(), "{}", said(&enrolled));
    let written = fs::read_to_string(gateway.written()).unwrap();
    assert!(written.contains(&format!("url = \"{url}\"")), "{written}");
    let again = gateway.command(&["enrol", &url, &token]).output().unwrap();
    assert!(!again.status.success() && said(&again).contains("was used on "), "{}", said(&again));

    let mut agent = objects::offline_agent("Good morning.");
    agent["pipeline"]["cascade"]["asr"] = json!([]);
    let agent = plane.curl(&gateway.host, "/v1/agents", Some(&agent))["id"].clone();
    plane.curl(&plane.host, "/v1/trunks", Some(&objects::loopback_trunk()));
    plane.curl(&plane.host, "/v1/routes", Some(&json!({ "name": "all", "agent": agent })));

    let mut run = Process::start("gateway", &gateway.folder, &mut gateway.command(&["run"])).unwrap();
    let endpoints = gateway.folder.join("state/endpoints.json");
    run.await_sign("the gateway's endpoints", Duration::from_secs(90), |_| fs::metadata(&endpoints).ok()).unwrap();
    plane.await_joined();

    // A call there is a record here.
    let script = scratch.path().join("script.json");
    fs::write(&script, json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }] }).to_string()).unwrap();
    let mut caller = gateway.host.command(from_environment("TRUNKLINE_CALLER_BIN").unwrap());
    let call = caller.args(["--gateway", "127.0.0.1:5060", "--to", "1000", "--script"]).arg(&script).output().unwrap();
    assert!(call.status.success(), "{}\n{}", String::from_utf8_lossy(&call.stdout), run.log());
    wait::until_true("the call's record", PATIENCE, || {
        plane.get("/v1/calls").as_array().is_some_and(|calls| calls.iter().any(|call| !call["ended_at"].is_null()))
    })
    .unwrap();

    // Another certificate, live.
    let mut process = plane.process.take().unwrap();
    let hang_up = Command::new("kill").args(["-s", "HUP", &process.id().to_string()]).status().unwrap();
    assert!(hang_up.success());
    process
        .await_sign("a new certificate", PATIENCE, |log| log.contains("a new certificate is in use").then_some(()))
        .unwrap();
    plane.curl(&plane.host, "/v1/numbers", Some(&json!({ "number": "+15550100", "agent": agent })));
    plane.await_joined();

    // And with a restart of the control plane, when the gateway has to connect anew.
    process.stop(Duration::from_secs(15)).unwrap();
    plane.serve();
    plane.curl(&plane.host, "/v1/numbers", Some(&json!({ "number": "+15550101", "agent": agent })));
    plane.await_joined();
    assert_eq!(plane.get("/v1/gateways").as_array().unwrap().len(), 1);
}
