//! A control plane of one's own: first run, admin key, REST client, one-time tokens.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::process::{Process, from_environment};
use crate::rest::Rest;
use crate::wait;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(30);
/// Its state, below its folder.
const STATE: &str = "state";

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    process: Process,
    dir: PathBuf,
    listeners: [String; 3],
    admin_key: String,
    tls: bool,
}

impl ControlPlane {
    /// Starts one that keeps its state in `<scratch>/control-plane`.
    pub fn start(scratch: &Path) -> anyhow::Result<Self> {
        let dir = scratch.join("control-plane");
        std::fs::create_dir_all(&dir)?;
        let any = || "127.0.0.1:0".to_owned();
        let (process, listeners) = launch(&dir, &[any(), any(), any()], false)?;
        // It is there before the endpoints are.
        let admin_key = std::fs::read_to_string(dir.join(STATE).join("admin.key"))?.trim().to_owned();
        Ok(Self { process, dir, listeners, admin_key, tls: false })
    }

    /// The public REST API with the admin key.
    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest::new(&self.listeners[0], &self.admin_key)
    }

    /// Address of the public listener.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.listeners[0]
    }

    /// Base URL of the sync listener.
    #[must_use]
    pub fn sync_url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.listeners[1])
    }

    /// A one-time enrolment token.
    pub fn enrolment_token(&self) -> anyhow::Result<String> {
        let made = self.rest().post("/v1/enrolment-tokens", &json!({}))?;
        made["token"].as_str().map(str::to_owned).context("the answer has no token")
    }

    /// Creates an object and returns its id.
    pub fn create(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        let made = self.rest().post(path, body)?;
        made["id"].as_str().map(str::to_owned).with_context(|| format!("{path}: the answer has no id: {made}"))
    }

    /// Stops it as an operator would.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop(Duration::from_secs(15)).map(drop)
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again on the same addresses and state.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let (process, listeners) = launch(&self.dir, &self.listeners, self.tls)?;
        (self.process, self.listeners) = (process, listeners);
        Ok(())
    }

    /// The same, with every listener but that of metrics speaking TLS from now on.
    pub fn start_again_over_tls(&mut self) -> anyhow::Result<()> {
        self.tls = true;
        self.start_again()
    }

    /// A one-time enrolment token as an operator makes it on this host.
    pub fn typed_token(&self) -> anyhow::Result<String> {
        let made = command(&self.dir, &self.listeners, self.tls)?.arg("enrol-token").output()?;
        anyhow::ensure!(made.status.success(), "enrol-token: {}", String::from_utf8_lossy(&made.stderr));
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until a call is there and has ended; returns it.
    pub fn await_ended_call(&self, call: &str, within: Duration) -> anyhow::Result<Value> {
        let rest = self.rest();
        wait::until(&format!("call {call} in the control plane"), within, || {
            // Its end is told by an event, its turns and what it cost by its record: whichever comes later.
            let told = |call: &Value| !call["ended_at"].is_null() && !call["turns"].is_null();
            rest.get(&format!("/v1/calls/{call}")).ok().filter(told)
        })
    }

    /// Every call it knows.
    pub fn calls(&self) -> anyhow::Result<Vec<Value>> {
        self.pages("/v1/calls")
    }

    /// Every event of a call.
    pub fn timeline(&self, call: &str) -> anyhow::Result<Vec<Value>> {
        self.pages(&format!("/v1/calls/{call}/timeline"))
    }

    /// Every event of a call once its last one is there; events arrive after the usage that ends the call.
    pub fn await_timeline(&self, call: &str, within: Duration) -> anyhow::Result<Vec<Value>> {
        wait::until(&format!("the end of the timeline of {call}"), within, || {
            let events = self.timeline(call).ok()?;
            let has = |kind: &str| events.iter().any(|event| event["type"] == kind);
            let crashed = events.iter().any(|event| event["data"]["failure"] == "gateway_crashed");
            // A recording's file is complete a moment after its call, unless nobody was left to tell.
            let recorded = has("recording.ended") || !has("recording.started") || crashed;
            (has("call.ended") && recorded).then_some(events)
        })
    }

    /// A whole list, page by page.
    fn pages(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (rest, mut rows, mut cursor) = (self.rest(), Vec::new(), String::new());
        loop {
            let page = rest.send("GET", &format!("{path}?limit=100{cursor}"), None)?;
            anyhow::ensure!(page.status == 200, "{path} answered {}: {}", page.status, page.body);
            rows.extend(page.body["data"].as_array().into_iter().flatten().cloned());
            match page.body["meta"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(rows),
            }
        }
    }
}

/// `trunkline-control-plane` with a state folder and addresses of its own.
fn command(dir: &Path, listeners: &[String; 3], tls: bool) -> anyhow::Result<Command> {
    let mut command = Command::new(from_environment("TRUNKLINE_CP_BIN")?);
    command
        .env("TRUNKLINE_CP_STATE", dir.join(STATE))
        .env("TRUNKLINE_CP_LISTEN__PUBLIC", &listeners[0])
        .env("TRUNKLINE_CP_LISTEN__SYNC", &listeners[1])
        .env("TRUNKLINE_CP_LISTEN__METRICS", &listeners[2])
        .env("TRUNKLINE_CP_TLS__MODE", if tls { "always" } else { "auto" });
    Ok(command)
}

fn launch(dir: &Path, listeners: &[String; 3], tls: bool) -> anyhow::Result<(Process, [String; 3])> {
    let endpoints = dir.join(STATE).join("endpoints.json");
    let _ = std::fs::remove_file(&endpoints);
    let mut process = Process::start("control-plane", dir, command(dir, listeners, tls)?.arg("serve"))?;
    let bound = process.await_sign("the control plane's endpoints", START, |_| {
        serde_json::from_slice::<Value>(&std::fs::read(&endpoints).ok()?).ok()
    })?;
    let address = |name: &str| bound[name].as_str().map(str::to_owned).with_context(|| format!("no `{name}` endpoint"));
    Ok((process, [address("public")?, address("sync")?, address("metrics")?]))
}
