//! The admin API on a socket in the state folder: commands need no port for it, and nobody but the folder's owner gets there.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use tokio::net::UnixListener;

/// The socket's file in the state folder.
pub(crate) const FILE: &str = "admin.sock";

/// Listens, in place of a gateway that ended without a word. To be called where there is a reactor.
pub(crate) fn listen(state: &Path) -> anyhow::Result<UnixListener> {
    let path = state.join(FILE);
    // Nothing but a socket is taken away; of a folder there is one gateway, which holds its store.
    if std::fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
    }
    let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| path.display().to_string())?;
    Ok(listener)
}

/// Takes it away when the gateway ends.
pub(crate) fn remove(state: &Path) {
    let _ = std::fs::remove_file(state.join(FILE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_its_owners_and_takes_the_place_of_one_that_was_left_behind() {
        let state = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        drop(listen(state.path()).unwrap());
        let path = state.path().join(FILE);
        assert!(path.exists(), "as after a crash");
        let again = listen(state.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(again);
        remove(state.path());
        assert!(!path.exists());
        std::fs::write(&path, "a file of somebody's").unwrap();
        assert!(listen(state.path()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file of somebody's");
    }
}
