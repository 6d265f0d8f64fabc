//! Running other programs: every command is shown when it fails, none goes through a shell.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// The repository's root folder: that of the clone in which cargo was called, wherever this program was built.
pub(crate) fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(xtask).join("..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

/// The one target directory, outside the clone unless `CARGO_TARGET_DIR` says otherwise.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => home().join(".cache/trunkline-target"),
    }
}

/// The user's home folder, where caches live.
pub(crate) fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// `cargo` of the product's workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    // What cargo told this program of itself: build scripts such as ring's look at it, and would build everything
    // above them again whenever somebody calls cargo without this program in between.
    for (name, _) in std::env::vars_os() {
        let own = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_BIN_")
        });
        if own {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Flags by which the compiler leaves this machine's folders out of what it makes, so that two machines make the same.
pub(crate) fn remapped_paths(target: &Path) -> Vec<String> {
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from);
    [(root(), "trunkline"), (cargo_home, "cargo"), (target.to_owned(), "target")]
        .map(|(folder, name)| format!("--remap-path-prefix={}=/usr/src/{name}", folder.display()))
        .into()
}

/// Runs `command` to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs `command` and returns what it printed; its errors stay visible.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} ended with {}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// True when `program` is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
