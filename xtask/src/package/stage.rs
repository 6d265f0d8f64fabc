//! Lays a package's files out as they are installed, in a folder from which any kind of package can be made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::files::{Entry, Package, Roots};
use crate::shell;

/// A package whose files lie in a folder.
pub(super) struct Staged {
    pub(super) name: String,
    pub(super) any_architecture: bool,
    pub(super) root: PathBuf,
    pub(super) entries: Vec<Entry>,
}

/// Copies every file of the package to where it belongs below `root`, with its mode.
pub(super) fn lay(package: &Package, roots: &Roots, root: &Path) -> anyhow::Result<Staged> {
    let mut entries = package.entries(roots)?;
    for entry in &mut entries {
        let mut to = below(root, &entry.to);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        match &entry.from {
            None => fs::create_dir_all(&to)?,
            Some(from) => {
                fs::copy(from, &to)?;
                if entry.to.starts_with("/usr/share/man/") {
                    // Without name and time, which would differ from run to run.
                    shell::run(Command::new("gzip").args(["-9", "-n", "-f"]).arg(&to))?;
                    entry.to.push_str(".gz");
                    to = below(root, &entry.to);
                }
            }
        }
        fs::set_permissions(&to, fs::Permissions::from_mode(entry.mode))?;
    }
    open_folders(root, &entries)?;
    Ok(Staged {
        name: package.name.clone(),
        any_architecture: package.any_architecture,
        root: root.to_owned(),
        entries,
    })
}

/// A path of the installed machine below the folder that stands for it.
pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Folders that nobody listed are everybody's to enter, whatever the umask of this run.
pub(super) fn open_folders(root: &Path, entries: &[Entry]) -> anyhow::Result<()> {
    for path in folders(root)? {
        let listed = entries.iter().any(|entry| below(root, &entry.to) == path);
        if !listed {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// The folder itself and all below it.
pub(super) fn folders(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                found.push(path);
            }
        }
    }
    Ok(found)
}
