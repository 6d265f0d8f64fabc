//! A gateway of one's own: enrolled or standalone, on ports of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::process::{Process, from_environment};
use crate::rest::Rest;
use crate::wait;

/// How long a start may take on a busy machine: the first one compiles the plugins.
const START: Duration = Duration::from_secs(90);

/// How a gateway is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Environment beyond the rig's own, for example `TRUNKLINE_LIMITS__CHECKPOINT_S`.
    pub environment: Vec<(String, String)>,
    /// Plugins to install instead of the built ones.
    pub plugins: Option<PathBuf>,
    /// The program instead of the built one, for users who cannot reach the folder of the build.
    pub program: Option<PathBuf>,
    /// Umask of the running gateway instead of this process's, in octal.
    pub umask: Option<String>,
}

impl Options {
    /// These options and one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    dir: PathBuf,
    options: Options,
    sip: SocketAddr,
    admin: String,
}

impl Gateway {
    /// Enrols a gateway with `control_plane` and starts it in `<scratch>/gateway`.
    pub fn enrolled(scratch: &Path, control_plane: &ControlPlane, options: Options) -> anyhow::Result<Self> {
        let dir = scratch.join("gateway");
        std::fs::create_dir_all(&dir)?;
        let mut enrol = command(&dir, &options)?;
        enrol.args(["enrol", &control_plane.sync_url(), &control_plane.enrolment_token()?]);
        let output = enrol.output()?;
        ensure!(output.status.success(), "enrol: {}", String::from_utf8_lossy(&output.stderr));
        // The command has written down whose gateway it is.
        Self::launch(dir, options)
    }

    /// Starts a gateway without a control plane that serves the objects of `objects`, a TOML text.
    pub fn standalone(scratch: &Path, objects: &str, options: Options) -> anyhow::Result<Self> {
        let dir = scratch.join("gateway");
        let folder = dir.join("objects");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("objects.toml"), objects)?;
        Self::launch(dir, options.with("TRUNKLINE_OBJECTS__DIR", &folder.display().to_string()))
    }

    /// Starts one whose configuration, objects and state lie in `dir`, as [`Gateway::command_in`] leaves them.
    pub fn in_folder(dir: &Path, options: Options) -> anyhow::Result<Self> {
        Self::launch(dir.to_path_buf(), options)
    }

    /// `trunkline` as typed by an operator whose configuration is `<dir>/trunkline.toml`.
    pub fn command_in(dir: &Path, options: &Options) -> anyhow::Result<Command> {
        command(dir, options)
    }

    fn launch(dir: PathBuf, options: Options) -> anyhow::Result<Self> {
        let endpoints = dir.join("state/endpoints.json");
        let _ = std::fs::remove_file(&endpoints);
        let mut run = command(&dir, &options)?;
        run.arg("run");
        if let Some(umask) = &options.umask {
            run = under_umask(umask, &run);
        }
        let mut process = Process::start("gateway", &dir, &mut run)?;
        let bound = process.await_sign("the gateway's endpoints", START, |_| {
            serde_json::from_slice::<Value>(&std::fs::read(&endpoints).ok()?).ok()
        })?;
        let address = |name: &str| bound[name].as_str().with_context(|| format!("no `{name}` endpoint"));
        let (sip, admin) = (address("sip")?.parse()?, address("admin")?.to_owned());
        Ok(Self { process, dir, options, sip, admin })
    }

    /// Where it answers SIP.
    #[must_use]
    pub const fn sip(&self) -> SocketAddr {
        self.sip
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Its admin API.
    pub fn admin(&self) -> anyhow::Result<Rest> {
        let token = std::fs::read_to_string(self.state().join("admin.token"))?;
        Ok(Rest::new(&self.admin, &token))
    }

    /// The text of its metrics page.
    pub fn metrics(&self) -> anyhow::Result<String> {
        let mut response = ureq::get(format!("http://{}/metrics", self.admin)).call()?;
        Ok(response.body_mut().read_to_string()?)
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Calls in progress.
    pub fn calls(&self) -> anyhow::Result<Vec<Value>> {
        let calls = self.admin()?.get("/v1/calls")?;
        Ok(calls.as_array().cloned().unwrap_or_default())
    }

    /// Waits until it serves at least `agents` agents.
    pub fn await_agents(&self, agents: u64) -> anyhow::Result<()> {
        let admin = self.admin()?;
        wait::until_true("the agents at the gateway", Duration::from_secs(20), || {
            admin.get("/v1/status").is_ok_and(|status| status["agents"].as_u64() >= Some(agents))
        })
    }

    /// A command of the same installation, for example `trunkline calls`.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = command(&self.dir, &self.options)?;
        command.args(arguments);
        Ok(command)
    }

    /// Stops it as an operator would.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.process.stop(Duration::from_secs(60))?;
        ensure!(status.success(), "the gateway ended with {status}; its log:\n{}", self.process.log());
        Ok(())
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again on the same state.
    pub fn start_again(self) -> anyhow::Result<Self> {
        let Self { process, dir, options, .. } = self;
        drop(process);
        Self::launch(dir, options)
    }
}

/// The same command, started by a shell that sets the umask first.
fn under_umask(umask: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// `trunkline` with a state folder, ports and plugins of its own.
fn command(dir: &Path, options: &Options) -> anyhow::Result<Command> {
    let state = dir.join("state");
    std::fs::create_dir_all(&state)?;
    let plugins = match &options.plugins {
        Some(folder) => folder.clone(),
        None => from_environment("TRUNKLINE_PLUGINS")?,
    };
    let cache = crate::ear::cache(&from_environment("TRUNKLINE_PLUGINS")?);
    let mut command = Command::new(match &options.program {
        Some(program) => program.clone(),
        None => from_environment("TRUNKLINE_BIN")?,
    });
    command
        .arg("--config")
        .arg(dir.join("trunkline.toml"))
        .env("TRUNKLINE_PROFILE", "dev")
        .env("TRUNKLINE_GATEWAY__STATE_DIR", &state)
        .env("TRUNKLINE_GATEWAY__DRAIN_S", "2")
        .env("TRUNKLINE_SIP__LISTEN", "127.0.0.1:0")
        .env("TRUNKLINE_ADMIN__LISTEN", "127.0.0.1:0")
        // Tests share a machine that may be busy; what is refused for load is shown where that is asked for.
        .env("TRUNKLINE_ADMISSION__BUSY_PERCENT", "0")
        .env("TRUNKLINE_ADMISSION__LATE_MS", "0")
        .env("TRUNKLINE_PLUGINS__DIR", plugins)
        .env("TRUNKLINE_PLUGINS__CACHE_DIR", cache)
        .env("TRUNKLINE_PLUGINS__TRUSTED_KEYS_DIR", from_environment("TRUNKLINE_TRUSTED_KEYS")?)
        .envs(options.environment.iter().map(|(name, value)| (name, value)));
    if !dir.join("trunkline.toml").exists() {
        std::fs::write(dir.join("trunkline.toml"), "# Everything comes from the environment.\n")?;
    }
    Ok(command)
}
