//! Commands that read what a gateway keeps while none runs: straight from its edge store.

use std::path::Path;

use trunkline_edge_store::EdgeStore;

use trunkline_state_folder::Acting;

use crate::{exit, wiring};

/// Opens the store as the state folder's owner and reads it. `unreachable` says why no gateway was asked instead.
pub(crate) fn read(
    state: &Path,
    unreachable: &anyhow::Error,
    read: impl FnOnce(&dyn EdgeStore) -> anyhow::Result<u8>,
) -> u8 {
    let store = std::fs::metadata(state.join("store"));
    if store.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        eprintln!("no gateway runs and none has run here: {} holds no calls ({unreachable:#})", state.display());
        return exit::UNREACHABLE;
    }
    let done = || {
        if let Acting::Done(code) = crate::state::FOLDER.act_as_owner(state)? {
            return Ok(code);
        }
        let store = wiring::open_store(state)?;
        read(store.as_ref())
    };
    match done() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the gateway cannot be reached ({unreachable:#}), and its store not be read: {error:#}");
            exit::UNREACHABLE
        }
    }
}
