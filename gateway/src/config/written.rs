//! Configuration files that commands write: whole or not at all, never over another one, and readable by those who may
//! read the folder they lie in: in `/etc/trunkline` the service's group, whoever typed the command.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Owner reads and writes, the service's group reads, others see nothing.
const MODE: u32 = 0o640;
/// The same for folders.
const FOLDER_MODE: u32 = 0o750;

/// Writes a file that must not exist yet ([`io::ErrorKind::AlreadyExists`] otherwise), and its folder when that is
/// missing.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    let part = write_part(path, text)?;
    let linked = std::fs::hard_link(&part, path);
    let removed = std::fs::remove_file(&part);
    linked.and(removed)
}

/// As [`create`], in the place of a file that may exist.
#[cfg_attr(not(test), allow(dead_code, reason = "for commands that write again what they wrote before"))]
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let part = write_part(path, text)?;
    std::fs::rename(&part, path).inspect_err(|_| drop(std::fs::remove_file(&part)))
}

fn write_part(path: &Path, text: &str) -> io::Result<std::path::PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(folder)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or_else(|| io::Error::other("a file needs a name"))?);
    name.push(format!(".{}.part", std::process::id()));
    let part = folder.join(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        share(&part, folder, MODE)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    match write() {
        Ok(()) => Ok(part),
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            Err(error)
        }
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(above)?;
    std::fs::create_dir(folder)?;
    share(folder, above, FOLDER_MODE)
}

/// Gives `path` the group of the folder around it. Only root, or a member of that group, can do so; otherwise the
/// file keeps the writer's own.
fn share(path: &Path, folder: &Path, mode: u32) -> io::Result<()> {
    let group = std::fs::metadata(folder)?.gid();
    if std::fs::metadata(path)?.gid() != group
        && let Err(error) = std::os::unix::fs::chown(path, None, Some(group))
        && error.kind() != io::ErrorKind::PermissionDenied
    {
        return Err(error);
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_never_written_over_unless_asked_and_nothing_is_left_behind() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("conf.d/objects/a.toml");
        create(&path, "a = 1\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(create(&path, "a = 2\n").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a = 1\n");
        replace(&path, "a = 3\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a = 3\n");
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_file_has_the_group_of_its_folder() {
        let scratch = tempfile::tempdir().unwrap();
        // Only root can try this with a group that is not its own.
        let other = if rustix::process::geteuid().is_root() { Some(12_345) } else { None };
        std::os::unix::fs::chown(scratch.path(), None, other).unwrap();
        let path = scratch.path().join("deeper/a.toml");
        create(&path, "").unwrap();
        let group = |path: &Path| std::fs::metadata(path).unwrap().gid();
        assert_eq!(group(&path), group(scratch.path()));
        assert_eq!(group(path.parent().unwrap()), group(scratch.path()));
    }
}
