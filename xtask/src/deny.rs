//! Licences, bans and sources of every dependency, by `cargo deny`.

use std::process::Command;

use crate::shell;

const VERSION: &str = "0.20.2";

/// Installs `cargo-deny` when it is missing, fetches what the lock names and runs what needs no advisory database.
pub(crate) fn check() -> anyhow::Result<()> {
    let present =
        Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !present {
        shell::run(light_install().args(["cargo-deny", "--version", VERSION]))?;
    }
    // Its own answer for a fetch that fails is a page of log lines; cargo's is one sentence.
    shell::run(shell::cargo().args(["fetch", "--locked"]))?;
    shell::run(shell::cargo().args(["deny", "--offline", "check", "bans", "licenses", "sources"]))
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
