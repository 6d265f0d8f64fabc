//! Builds the product once, with one profile, and hands its binaries to whoever drives them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::plugins::BuiltPlugin;
use crate::shell;

/// What was built.
pub(crate) struct Products {
    bin: PathBuf,
}

impl Products {
    /// What a build left in the target directory.
    pub(crate) fn built() -> Self {
        Self { bin: shell::target_dir().join("debug") }
    }

    /// One of our binaries, told where the others are.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir(shell::root());
        self.environment(&mut command);
        command
    }

    /// Tells `command` where the binaries and plugins are, and whose signatures the plugins carry, and
    /// what this program is called.
    pub(crate) fn environment(&self, command: &mut Command) {
        if let Ok(xtask) = std::env::current_exe() {
            command.env("TRUNKLINE_XTASK", xtask);
        }
        command
            .env("TRUNKLINE_BIN", self.bin.join("trunkline"))
            .env("TRUNKLINE_CP_BIN", self.bin.join("trunkline-control-plane"))
            .env("TRUNKLINE_CALLER_BIN", self.bin.join("trunkline-caller"))
            .env("TRUNKLINE_PLUGINS", shell::target_dir().join("plugins"))
            .env("TRUNKLINE_TRUSTED_KEYS", crate::plugins::trusted_dir(&shell::target_dir()));
    }
}

/// What a demo and the whole-product tests run. Benches are built where they are run.
const BINARIES: &[&str] = &["trunkline", "trunkline-control-plane", "trunkline-caller", "trunkline-demo"];

/// Builds what a demo needs, and every plugin.
pub(crate) fn build() -> anyhow::Result<Products> {
    binaries()?;
    plugins()?;
    Ok(Products::built())
}

/// Builds the binaries alone.
pub(crate) fn binaries() -> anyhow::Result<()> {
    binaries_and(&[])
}

/// Builds the binaries, and further ones of the workspace.
pub(crate) fn binaries_and(more: &[&str]) -> anyhow::Result<()> {
    let mut cargo = shell::cargo();
    // The features of the whole workspace, so that every build shares its dependencies; only these are compiled.
    cargo.args(["build", "--locked", "--workspace"]);
    for name in BINARIES.iter().chain(more) {
        cargo.args(["--bin", name]);
    }
    shell::run(&mut cargo)
}

/// Builds the plugins.
pub(crate) fn plugins() -> anyhow::Result<Vec<BuiltPlugin>> {
    crate::plugins::build(&crate::plugins::BuildOptions::default()).context("building the plugins")
}
