//! An identity on its way from `trunkline enrol` to the edge store.
//!
//! The store belongs to the gateway that runs, and enrolling must not need it stopped. So the command leaves the identity
//! beside the store, and the next start takes it in.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use trunkline_api::sync::EnrolAnswer;
use trunkline_edge_store::EdgeStore;

const FILE: &str = "enrolled.json";

/// More than an identity takes, bytes.
const ROOM: usize = 16 * 1024;

/// Room on the disk for an identity, taken before a token is spent on one; given back unless the identity came.
pub(crate) struct Room<'s> {
    state: &'s Path,
    part: PathBuf,
    file: File,
}

impl<'s> Room<'s> {
    /// Writes as much as an identity needs. What cannot be written here could not be kept either.
    pub(crate) fn take(state: &'s Path) -> anyhow::Result<Self> {
        let part = state.join("enrolled.json.part");
        let _ = std::fs::remove_file(&part);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = file.with_context(|| not_writable(&part))?;
        let mut room = Self { state, part, file };
        // Not zeros, which some file systems keep no room for.
        let written = room.file.write_all(&[b' '; ROOM]).and_then(|()| room.file.sync_all());
        written.with_context(|| not_writable(&room.part))?;
        Ok(room)
    }

    /// Leaves the identity for the next start, whole or not at all.
    pub(crate) fn leave(mut self, identity: &EnrolAnswer) -> anyhow::Result<()> {
        let text = serde_json::to_vec(identity)?;
        let mut write = || {
            self.file.rewind()?;
            self.file.write_all(&text)?;
            self.file.set_len(text.len() as u64)?;
            self.file.sync_all()?;
            std::fs::rename(&self.part, self.state.join(FILE))?;
            File::open(self.state)?.sync_all()
        };
        write().with_context(|| not_writable(&self.part))
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // There is none any more once the identity was left.
        let _ = std::fs::remove_file(&self.part);
    }
}

fn not_writable(part: &Path) -> String {
    format!("{}: check the state folder's disk and owner", part.display())
}

/// Moves an identity that was left into the store. It is taken in again when a crash comes between the two steps, which
/// changes nothing.
pub(crate) fn take_in(state: &Path, store: &dyn EdgeStore) -> anyhow::Result<()> {
    let path = state.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let identity: EnrolAnswer = serde_json::from_slice(&text)
        .with_context(|| format!("{}: not an identity; remove it and enrol again", path.display()))?;
    store.put_identity(&identity)?;
    std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
    tracing::info!(gateway = %identity.gateway, "enrolled");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use trunkline_api::enrolment::Fingerprint;
    use trunkline_api::{Id, Prefix};

    use super::*;
    use crate::wiring::open_store;

    #[test]
    fn an_identity_is_taken_in_once_with_the_key_it_trusts() {
        let state = tempfile::tempdir().unwrap();
        let store = open_store(state.path()).unwrap();
        take_in(state.path(), &*store).unwrap();
        assert_eq!(store.identity().unwrap(), None);
        let identity = EnrolAnswer {
            gateway: Id::mint(Prefix::Gateway, 1, [1; 10]),
            credential: "secret".to_owned(),
            trusted_keys: Vec::new(),
            control_plane: Some(Fingerprint([7; 32])),
        };
        drop(Room::take(state.path()).unwrap());
        assert!(!state.path().join("enrolled.json.part").exists(), "an enrolment that came to nothing leaves nothing");
        // The store is open, as it is while the gateway runs.
        Room::take(state.path()).unwrap().leave(&identity).unwrap();
        assert!(!state.path().join("enrolled.json.part").exists());
        let file = state.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        take_in(state.path(), &*store).unwrap();
        assert_eq!(store.identity().unwrap(), Some(identity));
        assert!(!file.exists());
        std::fs::write(&file, "{").unwrap();
        assert!(format!("{:#}", take_in(state.path(), &*store).unwrap_err()).contains("enrol again"));
    }
}
