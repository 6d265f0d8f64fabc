//! The gateway's state folder, as the package makes it and as it is told from others.

use trunkline_state_folder::StateFolder;

/// What the gateway's state folder looks like.
pub(crate) const FOLDER: StateFolder = StateFolder {
    program: "this gateway",
    user: "trunkline",
    path: "/var/lib/trunkline",
    // Configuration and state may lie in one folder.
    names: &["store", "admin.token", "admin.sock", "endpoints.json", "trunkline.toml"],
    closed: &[],
};
