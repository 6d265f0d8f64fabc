//! The control plane's state folder, as the package makes it and as it is told from others.

use trunkline_state_folder::StateFolder;

const FILES: [&str; 6] =
    ["control-plane.db", "control-plane.db-wal", "control-plane.db-shm", "endpoints.json", "serve.lock", "admin.key"];

/// What the control plane's state folder looks like.
pub const FOLDER: StateFolder = StateFolder {
    program: "the control plane",
    user: "trunkline-cp",
    path: "/var/lib/trunkline-control-plane",
    names: &FILES,
    closed: &FILES,
};
