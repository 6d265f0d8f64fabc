//! `trunkline enrol`: trades a one-time token for this gateway's identity.

use std::io::Read as _;
use std::sync::Arc;

use crate::spool::StoreSpool;
use crate::{Configuration, exit, wiring};

/// Enrols and stores the identity.
pub(crate) fn run(configuration: &Configuration, url: &str, token: &str) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let config = &loaded.config.gateway;
    let enrolled = token_text(token).and_then(|token| {
        let store = wiring::open_store(&config.state_dir)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let spool = Arc::new(StoreSpool(store));
        Ok(runtime.block_on(trunkline_sync::enrol(&wiring::sync_config(url), spool, &token, &config.name))?)
    });
    match enrolled {
        Ok(identity) => {
            println!("enrolled as {}; set control_plane.url = \"{url}\" and start the gateway", identity.gateway);
            exit::OK
        }
        Err(error) => {
            eprintln!("not enrolled: {error:#}");
            match error.downcast_ref::<trunkline_sync::SyncError>() {
                Some(trunkline_sync::SyncError::Protocol(_) | trunkline_sync::SyncError::Unreachable(_)) => {
                    exit::UNREACHABLE
                }
                _ => exit::FAILED,
            }
        }
    }
}

/// The token itself, or standard input for `-`, so that it need not stand on the command line.
fn token_text(token: &str) -> anyhow::Result<String> {
    if token != "-" {
        return Ok(token.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}
