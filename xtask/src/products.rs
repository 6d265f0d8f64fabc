//! Builds the product once, with one profile, and hands its binaries to whoever drives them.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::Context as _;

use crate::plugins::{BuildOptions, BuiltPlugin};
use crate::progress::{self, Lane};
use crate::{crates, shell};

/// The plugins of the demo's agent.
const DEMO_PLUGINS: [&str; 4] = ["espeak", "grammar", "pii", "scripted"];

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
            .env("TRUNKLINE_RELEASED_BIN", shell::target_dir().join("release/trunkline"))
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
    shell::run(shell::cargo().args(["build", "--locked"]).args(selection(more)))
}

/// What cargo is told to build.
fn selection<'a>(more: &[&'a str]) -> Vec<&'a str> {
    // The features of the whole workspace, so that every build shares its dependencies; only these are compiled.
    let mut selection = vec!["--workspace"];
    for name in BINARIES.iter().chain(more) {
        selection.extend(["--bin", name]);
    }
    selection
}

/// Builds binaries as they ship.
pub(crate) fn released(names: &[&str]) -> anyhow::Result<Products> {
    let mut build = shell::cargo();
    build.args(["build", "--locked", "--release", "--workspace"]);
    for name in names {
        build.args(["--bin", name]);
    }
    shell::run(&mut build)?;
    Ok(Products { bin: shell::target_dir().join("release") })
}

/// Builds the plugins.
pub(crate) fn plugins() -> anyhow::Result<Vec<BuiltPlugin>> {
    crate::plugins::build(&BuildOptions::default(), &|now| progress::say(now)).context("building the plugins")
}

/// Builds what the demo runs and nothing else. Binaries and plugins are built side by side: while one waits for a
/// download, a linker or its last crate, the other has the processor.
pub(crate) fn build_for_the_demo() -> anyhow::Result<Products> {
    let binaries = Lane::open("[2/4] product");
    let guests = Lane::open("[3/4] plugins");
    let only = DEMO_PLUGINS.map(str::to_owned).to_vec();
    thread::scope(|scope| {
        let plugins = scope.spawn(|| {
            let built =
                crate::plugins::build(&BuildOptions { only, ..BuildOptions::default() }, &|now| guests.now(now));
            let built = built.context("building the plugins")?;
            guests.finish(&format!("{} built and signed", built.len()));
            anyhow::Ok(())
        });
        let product = crates::build(&binaries, &selection(&[])).context("building the product");
        if product.is_ok() {
            binaries.finish("built");
        }
        // Both are waited for; of two failures the product's is the one to look at first.
        let plugins = plugins.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the build of the plugins panicked")));
        product.and(plugins)
    })?;
    Ok(Products::built())
}
