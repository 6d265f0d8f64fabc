//! `endpoints.json` in the state folder: the addresses really bound, so that port 0 works for every listener.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

const FILE: &str = "endpoints.json";

/// Addresses bound by a running gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    /// SIP over UDP.
    pub(crate) sip: SocketAddr,
    /// Admin API.
    pub(crate) admin: SocketAddr,
    /// AudioSocket over TCP, when it is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audiosocket: Option<SocketAddr>,
    /// Process id.
    pub(crate) pid: u32,
}

impl Endpoints {
    /// Writes the file whole or not at all.
    pub(crate) fn write(&self, state: &Path) -> anyhow::Result<()> {
        let path = state.join(FILE);
        trunkline_state_folder::replace(&path, &serde_json::to_vec_pretty(self)?)
            .with_context(|| path.display().to_string())
    }

    /// Reads the file of a running gateway.
    pub(crate) fn read(state: &Path) -> anyhow::Result<Self> {
        let path = state.join(FILE);
        let text = fs::read(&path).with_context(|| {
            let hint = match fs::metadata(&path).map_err(|error| error.kind()) {
                Err(std::io::ErrorKind::PermissionDenied) => "type the command with `sudo`, or as the gateway's user",
                _ => "is the gateway running?",
            };
            format!("{}: {hint}", path.display())
        })?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Removes the file when the gateway ends.
    pub(crate) fn remove(state: &Path) {
        let _ = fs::remove_file(state.join(FILE));
    }
}
