//! Licences, bans, sources and known vulnerabilities of every dependency of every workspace, by `cargo deny`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::shell;
use crate::workspaces::{ALL, Workspace};

const VERSION: &str = "0.20.2";

/// Fetches what the locks name and runs what needs no advisory database.
pub(crate) fn check() -> anyhow::Result<()> {
    install()?;
    for workspace in ALL {
        println!("--- {}", workspace.name);
        // Its own answer for a fetch that fails is a page of log lines; cargo's is one sentence.
        shell::run(workspace.cargo("fetch").arg("--locked"))?;
        shell::run(deny(workspace, true).args(["check", "-A", "unused-wrapper", "bans", "licenses", "sources"]))?;
    }
    Ok(())
}

/// Compares the locks with the advisory database; says why when there is none to be had.
pub(crate) fn advisories() -> anyhow::Result<Option<String>> {
    install()?;
    // The one step that needs the network. An older database is better than none.
    let fetched = deny(ALL[0], false)
        .args(["fetch", "db"])
        // Where nothing answers at all, git itself would wait for minutes.
        .env("GIT_HTTP_LOW_SPEED_LIMIT", "1000")
        .env("GIT_HTTP_LOW_SPEED_TIME", "30")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !fetched && !cached() {
        return Ok(Some("no database".to_owned()));
    }
    if !fetched {
        println!("the advisory database could not be fetched; the one on this machine may be old");
    }
    for workspace in ALL {
        println!("--- {}", workspace.name);
        shell::run(deny(workspace, true).args(["check", "advisories"]))?;
    }
    Ok(None)
}

/// The same, where having no database is a failure.
pub(crate) fn advisories_or_fail() -> anyhow::Result<()> {
    match advisories()? {
        None => Ok(()),
        Some(why) => bail!("advisories were not checked: {why}; this command needs the network once"),
    }
}

/// `cargo install` of a tool that runs for seconds: compiled quickly rather than to run fast.
pub(crate) fn light_install() -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_TARGET_DIR", shell::target_dir().join("tools"))
        .args(["install", "--locked"]);
    cargo
}

fn install() -> anyhow::Result<()> {
    let present =
        Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if present {
        return Ok(());
    }
    shell::run(light_install().args(["cargo-deny", "--version", VERSION])).context("installing cargo-deny")
}

/// One configuration for all: what is forbidden in one workspace is forbidden in each.
fn deny(workspace: Workspace, offline: bool) -> Command {
    let mut cargo = shell::cargo();
    cargo.arg("deny").arg("--manifest-path").arg(shell::root().join(workspace.manifest));
    if offline {
        cargo.arg("--offline");
    }
    cargo.arg("--config").arg(shell::root().join("deny.toml"));
    cargo
}

/// True when an earlier run left a database where `cargo deny` keeps it.
fn cached() -> bool {
    let home = std::env::var_os("CARGO_HOME").map_or_else(|| shell::home().join(".cargo"), Into::into);
    ["advisory-dbs", "advisory-db"].iter().any(|name| {
        std::fs::read_dir(home.join(name))
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.path().is_dir())))
    })
}
