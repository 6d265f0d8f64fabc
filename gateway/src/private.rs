//! Folders that nobody but their owner may look into, whatever the umask was when they were made.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Why a folder is not private.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateError {
    /// It cannot be made, looked at or changed.
    #[error("{folder}: {error}; check its owner, mode and disk", folder = .folder.display())]
    System {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// Others may look into it, and only its owner can change that.
    #[error(
        "{folder} has mode {mode:03o} and belongs to user {owner}: others may look into it; type `chmod 700 {folder}` \
         as its owner, or name another folder",
        folder = .folder.display()
    )]
    Open {
        /// The folder.
        folder: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner's number.
        owner: u32,
    },
    /// Others may look into it, and it is not this gateway's alone, so that tightening it would shut others out.
    #[error(
        "{folder} has mode {mode:03o} and holds what is not this gateway's; name a folder of its own, or type \
         `chmod 700 {folder}` if it may be closed to others",
        folder = .folder.display()
    )]
    Shared {
        /// The folder.
        folder: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no folder.
    #[error("{folder} is no folder; name another one", folder = .folder.display())]
    NoFolder {
        /// What was named.
        folder: PathBuf,
    },
}

/// What lies in a state folder from the first start on, and in a folder that holds configuration and state together.
const OURS: [&str; 4] = ["store", "admin.token", "endpoints.json", "trunkline.toml"];

/// Everything this process makes from now on is its owner's only, unless it says otherwise.
pub(crate) fn umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Makes a folder that is its owner's only; one that is there already and is ours is tightened, one that is not ours
/// must be tight. A folder of others, such as `/tmp` or `/var/lib`, is refused, not closed. True when it was tightened.
pub(crate) fn folder(path: &Path) -> Result<bool, PrivateError> {
    let failed = |error| PrivateError::System { folder: path.to_path_buf(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_dir() {
        return Err(PrivateError::NoFolder { folder: path.to_path_buf() });
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(PrivateError::Open { folder: path.to_path_buf(), mode, owner: found.uid() });
    }
    let shared =
        mode & 0o1000 != 0 || (!OURS.iter().any(|name| path.join(name).exists()) && !is_empty(path).map_err(failed)?);
    if shared {
        return Err(PrivateError::Shared { folder: path.to_path_buf(), mode });
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700)).map_err(failed)?;
    Ok(true)
}

/// As [`folder`], for one that an operator may share with a group on purpose, such as that of recordings: everybody
/// else must be shut out.
pub(crate) fn shared_folder(path: &Path) -> Result<(), PrivateError> {
    let failed = |error| PrivateError::System { folder: path.to_path_buf(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let found = std::fs::metadata(path).map_err(failed)?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o007 == 0 {
        return Ok(());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(PrivateError::Open { folder: path.to_path_buf(), mode, owner: found.uid() });
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode & 0o770)).map_err(failed)
}

fn is_empty(path: &Path) -> std::io::Result<bool> {
    Ok(std::fs::read_dir(path)?.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_missing_folder_is_made_private_and_a_loose_one_tightened() {
        let scratch = tempfile::tempdir().unwrap();
        let made = scratch.path().join("made");
        assert!(!folder(&made).unwrap());
        assert_eq!(mode(&made), 0o700);
        std::fs::set_permissions(&made, Permissions::from_mode(0o755)).unwrap();
        assert!(folder(&made).unwrap());
        assert_eq!(mode(&made), 0o700);
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(folder(&file).is_err());
    }

    #[test]
    fn a_folder_that_others_use_is_refused_and_left_as_it_was() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("somebody's"), "").unwrap();
        std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(folder(scratch.path()), Err(PrivateError::Shared { mode: 0o755, .. })));
        assert_eq!(mode(scratch.path()), 0o755);
        std::fs::write(scratch.path().join("endpoints.json"), "").unwrap();
        assert!(folder(scratch.path()).unwrap());
        std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o1777)).unwrap();
        assert!(folder(scratch.path()).is_err());
    }
}
