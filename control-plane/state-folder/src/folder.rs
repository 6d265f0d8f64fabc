//! Folders that nobody but their owner may look into, whatever the umask was when they were made.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::StateFolder;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It, or a file in it, cannot be made, looked at or changed.
    #[error("{path}: {source}; check its owner, mode and disk, or set another state folder", path = .path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to user {owner}, and this process runs as user {user}; run it as its owner (or as root, which \
         acts as the owner), or name another folder",
        path = .path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
        /// Our number.
        user: u32,
    },
    /// Others use it as well, so that closing it would shut them out.
    #[error(
        "{path} has mode {mode:03o} and holds what is not {program}'s; name a folder that is {program}'s alone",
        path = .path.display()
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Whose it should be.
        program: &'static str,
    },
}

/// Everything this process makes from now on is its owner's only, unless it says otherwise.
pub fn umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

impl StateFolder {
    /// Makes the folder, or takes group's and others' access away from one that is there and is the program's own. A
    /// folder that others use, such as `/tmp` or `/var/lib`, is refused, not closed.
    ///
    /// # Errors
    /// [`FolderError`]: the system's, another owner, or a folder that is not the program's alone.
    pub fn open(&self, path: &Path) -> Result<(), FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        let mode = make(path)?;
        if mode & 0o077 != 0 {
            let ours = self.names.iter().any(|name| path.join(name).exists());
            let empty = std::fs::read_dir(path).map_err(io)?.next().is_none();
            if mode & 0o1000 != 0 || !(ours || empty) {
                return Err(FolderError::Shared { path: path.to_owned(), mode, program: self.program });
            }
            close(path, mode, 0o700).map_err(io)?;
        }
        for file in self.closed.iter().map(|name| path.join(name)) {
            let Ok(found) = std::fs::symlink_metadata(&file) else { continue };
            let mode = found.permissions().mode() & 0o777;
            if found.is_file() && found.uid() == user() && mode & 0o077 != 0 {
                close(&file, mode, 0o600).map_err(|source| FolderError::Io { path: file.clone(), source })?;
            }
        }
        Ok(())
    }
}

/// Makes a folder that an operator may share with a group on purpose, such as that of recordings; everybody else is
/// shut out.
///
/// # Errors
/// [`FolderError`]: the system's, or a loose folder of another owner.
pub fn open_to_a_group(path: &Path) -> Result<(), FolderError> {
    let io = |source| FolderError::Io { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    let found = std::fs::metadata(path).map_err(io)?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o007 == 0 {
        return Ok(());
    }
    if found.uid() != user() {
        return Err(FolderError::Foreign { path: path.to_owned(), owner: found.uid(), user: user() });
    }
    close(path, mode, mode & 0o770).map_err(io)
}

/// Makes a folder unless it is there; its mode. One of somebody else is refused.
fn make(path: &Path) -> Result<u32, FolderError> {
    let io = |source| FolderError::Io { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    let found = std::fs::metadata(path).map_err(io)?;
    if found.uid() != user() {
        return Err(FolderError::Foreign { path: path.to_owned(), owner: found.uid(), user: user() });
    }
    Ok(found.permissions().mode() & 0o7777)
}

fn close(path: &Path, found: u32, mode: u32) -> std::io::Result<()> {
    tracing::warn!(path = %path.display(), "was open to other users (mode {found:o}); now {mode:o}");
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: StateFolder = StateFolder {
        program: "the program",
        user: "nobody-of-that-name",
        path: "/nonexistent/state",
        names: &["endpoints.json", "program.db"],
        closed: &["program.db"],
    };

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_missing_folder_is_made_private_and_a_loose_one_tightened_with_its_files() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("a/b");
        OURS.open(&state).unwrap();
        assert_eq!((mode(&state), mode(state.parent().unwrap())), (0o700, 0o700));
        set(&state, 0o755);
        OURS.open(&state).unwrap();
        assert_eq!(mode(&state), 0o700, "an empty folder is nobody else's");
        let database = state.join("program.db");
        std::fs::write(&database, "").unwrap();
        set(&database, 0o664);
        set(&state, 0o755);
        OURS.open(&state).unwrap();
        assert_eq!((mode(&state), mode(&database)), (0o700, 0o600));
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(OURS.open(&file).is_err());
    }

    #[test]
    fn a_folder_that_others_use_is_refused_and_left_as_it_was() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("somebody's"), "").unwrap();
        set(scratch.path(), 0o755);
        assert!(matches!(OURS.open(scratch.path()), Err(FolderError::Shared { mode: 0o755, .. })));
        assert_eq!(mode(scratch.path()), 0o755);
        std::fs::write(scratch.path().join("endpoints.json"), "").unwrap();
        OURS.open(scratch.path()).unwrap();
        assert_eq!(mode(scratch.path()), 0o700);
        set(scratch.path(), 0o1777);
        assert!(OURS.open(scratch.path()).is_err());
    }

    #[test]
    fn a_group_may_be_let_in_and_nobody_else() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("recordings");
        open_to_a_group(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        for (found, left) in [(0o750, 0o750), (0o755, 0o750)] {
            set(&folder, found);
            open_to_a_group(&folder).unwrap();
            assert_eq!(mode(&folder), left);
        }
    }
}
