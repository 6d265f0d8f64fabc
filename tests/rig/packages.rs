//! Packages of the binaries under test, made once a test run by the command that makes those for others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, ensure};

use crate::process::from_environment;

/// Those made so far in this run, by kind and revision.
static MADE: Mutex<BTreeMap<(String, u32), PathBuf>> = Mutex::new(BTreeMap::new());

/// The folder with all packages of a kind (`deb`, `rpm`, `oci`), packaged for the given time.
pub fn made(kind: &str, revision: u32) -> anyhow::Result<PathBuf> {
    let mut made = MADE.lock().map_err(|_| anyhow::anyhow!("another test failed while it made packages"))?;
    if let Some(folder) = made.get(&(kind.to_owned(), revision)) {
        return Ok(folder.clone());
    }
    let plugins = from_environment("TRUNKLINE_PLUGINS")?;
    let target = plugins.parent().context("TRUNKLINE_PLUGINS is not in a target directory")?;
    let folder = target.join("packages/tests").join(format!("{kind}-{revision}"));
    make(kind, revision, &folder)?;
    made.insert((kind.to_owned(), revision), folder.clone());
    Ok(folder)
}

/// Makes packages of a kind in `folder`, which is emptied first.
pub fn make(kind: &str, revision: u32, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let mut xtask = Command::new(from_environment("TRUNKLINE_XTASK")?);
    xtask.args(["package", kind, "--profile", "dev", "--built", "--revision", &revision.to_string(), "--out"]);
    let output = xtask.arg(folder).output().context("cannot run xtask")?;
    ensure!(output.status.success(), "cargo xtask package {kind}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The files in a folder of packages with this ending, by name.
pub fn files(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    ensure!(!files.is_empty(), "{} holds no *{ending}", folder.display());
    Ok(files)
}
