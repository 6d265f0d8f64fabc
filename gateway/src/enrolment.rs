//! An identity on its way from `trunkline enrol` to the edge store.
//!
//! The store belongs to the gateway that runs, and enrolling must not need it stopped. So the command leaves the identity
//! beside the store, and the next start takes it in.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use trunkline_api::sync::EnrolAnswer;
use trunkline_edge_store::EdgeStore;

const FILE: &str = "enrolled.json";

/// Leaves an identity for the next start, whole or not at all.
pub(crate) fn leave(state: &Path, identity: &EnrolAnswer) -> anyhow::Result<()> {
    let aside = state.join("enrolled.json.part");
    let write = || {
        let _ = std::fs::remove_file(&aside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(&serde_json::to_vec(identity)?)?;
        file.sync_all()?;
        std::fs::rename(&aside, state.join(FILE))?;
        File::open(state)?.sync_all()
    };
    write().with_context(|| format!("{}: check the state folder's disk and owner", aside.display()))
}

/// Whether an identity can be left, seen before a token is spent on one.
pub(crate) fn can_leave(state: &Path) -> anyhow::Result<()> {
    let probe = state.join("enrolled.json.part");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe);
    file.and_then(|_| std::fs::remove_file(&probe))
        .with_context(|| format!("{}: check the state folder's disk and owner", probe.display()))
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
        can_leave(state.path()).unwrap();
        // The store is open, as it is while the gateway runs.
        leave(state.path(), &identity).unwrap();
        let file = state.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        take_in(state.path(), &*store).unwrap();
        assert_eq!(store.identity().unwrap(), Some(identity));
        assert!(!file.exists());
        std::fs::write(&file, "{").unwrap();
        assert!(format!("{:#}", take_in(state.path(), &*store).unwrap_err()).contains("enrol again"));
    }
}
