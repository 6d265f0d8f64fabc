//! Files of a state folder: private from their first byte, and whole or not there.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Makes an empty file of mode 0600 unless it is there, for those who open files without saying a mode.
///
/// # Errors
/// What the operating system says.
pub fn reserve(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Replaces a file in one durable step: readers see all of it or the one before, also after a crash.
///
/// # Errors
/// What the operating system says.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let aside = aside(path, bytes)?;
    std::fs::rename(&aside, path).inspect_err(|_| drop(std::fs::remove_file(&aside)))?;
    sync_folder(path)
}

/// Makes a file whole and durable unless there is one; whether it did.
///
/// # Errors
/// What the operating system says.
pub fn create(path: &Path, bytes: &[u8]) -> std::io::Result<bool> {
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
    match file.write_all(bytes).and_then(|()| file.sync_all()) {
        Ok(()) => Ok(aside),
        Err(error) => {
            // Half a file would lie there for good: the next one to be made has another name.
            let _ = std::fs::remove_file(&aside);
            Err(error)
        }
    }
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_private_and_made_once_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        let held = || {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            (std::fs::read(&file).unwrap(), mode)
        };
        assert!(create(&file, b"one").unwrap() && !create(&file, b"two").unwrap());
        assert_eq!(held(), (b"one".to_vec(), 0o600));
        replace(&file, b"three").unwrap();
        assert_eq!(held(), (b"three".to_vec(), 0o600));
        reserve(&file).unwrap();
        assert_eq!(held(), (b"three".to_vec(), 0o600), "what is there is left");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
