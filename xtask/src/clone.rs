//! One target directory serves one clone at a time. Cargo tells crates of two clones apart by their path from the
//! workspace's root, which is the same in both, and believes what an older clone built to be fresh; its programs
//! then look for files in a folder that may be gone. So whoever comes from another clone forgets its crates, and
//! keeps what both depend on.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

use crate::{metadata, shell, workspaces};

/// Makes the target directory this clone's, before anything is built.
pub(crate) fn claim_target_dir() -> anyhow::Result<()> {
    let target = shell::target_dir();
    let owner = target.join("clone");
    let root = shell::root().display().to_string();
    if fs::read_to_string(&owner).is_ok_and(|owner| owner == root) {
        return Ok(());
    }
    let mut crates = Vec::new();
    for workspace in workspaces::ALL {
        crates.extend(metadata::packages(workspace)?.into_iter().map(|package| package.name));
    }
    forget(&target, &crates, 4)?;
    fs::create_dir_all(&target).and_then(|()| fs::write(&owner, root)).context("cannot write the target directory")
}

/// Removes what cargo remembers of `crates` in every profile's folder, at most `depth` folders down.
fn forget(folder: &Path, crates: &[String], depth: usize) -> anyhow::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        let remembers = folder.file_name().is_some_and(|name| name == ".fingerprint");
        if remembers && is_of(&entry.file_name().to_string_lossy(), crates) {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        } else if !remembers && depth > 0 && entry.file_name() != "deps" && entry.file_name() != "incremental" {
            forget(&path, crates, depth - 1)?;
        }
    }
    Ok(())
}

/// True when a folder named CRATE-HASH belongs to one of `crates`.
fn is_of(folder: &str, crates: &[String]) -> bool {
    folder.rsplit_once('-').is_some_and(|(name, _)| crates.iter().any(|own| own == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_clones_crates_are_forgotten_and_dependencies_kept() {
        let target = std::env::temp_dir().join(format!("trunkline-claim-{}", std::process::id()));
        let remembered = |name: &str| target.join("guests/wasm32/release/.fingerprint").join(name);
        for name in ["trunkline-dsp-0123", "trunkline-dsp-peers-0123", "serde-0123"] {
            fs::create_dir_all(remembered(name)).expect("a scratch folder");
        }
        forget(&target, &["trunkline-dsp".to_owned()], 4).expect("it can be read");
        assert!(!remembered("trunkline-dsp-0123").exists());
        assert!(remembered("trunkline-dsp-peers-0123").exists());
        assert!(remembered("serde-0123").exists());
        fs::remove_dir_all(&target).expect("it can be removed");
        forget(&target, &[], 4).expect("no target directory is nothing to forget");
    }
}
