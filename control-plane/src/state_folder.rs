//! The state folder belongs to one user and is readable by nobody else, whatever the umask and whoever made it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Files of ours that an earlier version, or a copy, may have left readable. A readable secret is not in this list: it
/// has to be taken for known, so it is refused where it is read.
const TIGHTENED: [&str; 6] =
    ["control-plane.db", "control-plane.db-wal", "control-plane.db-shm", "endpoints.json", "serve.lock", "admin.key"];

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It cannot be made, read or written.
    #[error("state folder {path}: {source}; create it for this user or set `state`")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// It belongs to somebody else.
    #[error(
        "state folder {path} belongs to user {owner}, and this process runs as user {user}; run it as its owner (or as \
         root, which acts as the owner), or set another `state`"
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
        "state folder {path} has mode {mode:03o} and holds what is not the control plane's; set `state` to a folder of \
         its own, or `chmod 700 {path}` if it may be closed to others"
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Makes the folder, or takes group's and others' access away from one of ours that is there. A folder that others use,
/// such as `/tmp` or `/var/lib`, is refused, not closed.
pub(crate) fn open(path: &Path) -> Result<(), FolderError> {
    let io = |source| FolderError::Io { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    let folder = std::fs::metadata(path).map_err(io)?;
    let user = rustix::process::geteuid().as_raw();
    if folder.uid() != user {
        return Err(FolderError::Foreign { path: path.to_owned(), owner: folder.uid(), user });
    }
    let mode = folder.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let ours = TIGHTENED.iter().any(|name| path.join(name).exists());
        let empty = std::fs::read_dir(path).map_err(io)?.next().is_none();
        if mode & 0o1000 != 0 || !(ours || empty) {
            return Err(FolderError::Shared { path: path.to_owned(), mode });
        }
        tighten(path, 0o700).map_err(io)?;
    }
    for file in TIGHTENED.map(|name| path.join(name)) {
        let there = std::fs::symlink_metadata(&file).is_ok_and(|file| file.is_file() && file.uid() == user);
        if there {
            tighten(&file, 0o600).map_err(|source| FolderError::Io { path: file.clone(), source })?;
        }
    }
    Ok(())
}

fn tighten(path: &Path, mode: u32) -> std::io::Result<()> {
    let found = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if found & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "was open to other users (mode {found:o}); now {mode:o}");
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Makes an empty file of mode 0600 unless it is there, for those who open files without saying a mode.
pub(crate) fn reserve(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Replaces a file in one durable step: readers see all of it or the one before, also after a crash.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let aside = aside(path, bytes)?;
    std::fs::rename(&aside, path)?;
    sync_folder(path)
}

/// Makes a file whole and durable unless there is one; whether it did.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> std::io::Result<bool> {
    let aside = aside(path, bytes)?;
    let linked = std::fs::hard_link(&aside, path);
    std::fs::remove_file(&aside)?;
    match linked {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn aside(path: &Path, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let aside = PathBuf::from(name);
    let _ = std::fs::remove_file(&aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(aside)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_left_open_is_tightened_with_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b");
        open(&state).unwrap();
        assert_eq!((mode(&state), mode(state.parent().unwrap())), (0o700, 0o700));
        std::fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
        let database = state.join("control-plane.db");
        std::fs::write(&database, "").unwrap();
        std::fs::set_permissions(&database, Permissions::from_mode(0o664)).unwrap();
        open(&state).unwrap();
        assert_eq!((mode(&state), mode(&database)), (0o700, 0o600));
    }

    #[test]
    fn a_folder_that_others_use_is_refused_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("somebody's"), "").unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(open(folder.path()), Err(FolderError::Shared { mode: 0o755, .. })));
        assert_eq!(mode(folder.path()), 0o755);
    }

    #[test]
    fn files_are_private_and_made_once_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        assert!(create(&file, b"one").unwrap() && !create(&file, b"two").unwrap());
        assert_eq!((std::fs::read(&file).unwrap(), mode(&file)), (b"one".to_vec(), 0o600));
        replace(&file, b"three").unwrap();
        assert_eq!((std::fs::read(&file).unwrap(), mode(&file)), (b"three".to_vec(), 0o600));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
