//! The commands of the CLI, a file each.

pub(crate) mod bans;
pub(crate) mod calls;
pub(crate) mod capture;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod conference;
pub(crate) mod dial;
pub(crate) mod doctor;
pub(crate) mod enrol;
pub(crate) mod licences;
mod listener;
pub(crate) mod manual;
pub(crate) mod new;
pub(crate) mod offline;
pub(crate) mod recording;
pub(crate) mod replay;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod usage;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use crate::config::{self, Loaded};
use crate::{Configuration, exit};

/// Loads the configuration or prints every fault in it.
pub(crate) fn load(configuration: &Configuration) -> Result<Loaded, u8> {
    let mut set = configuration.set.clone();
    set.extend(configuration.profile.iter().map(|profile| format!("profile={profile}")));
    config::load(configuration.config.as_deref(), &set).map_err(|diagnostics| {
        for diagnostic in &diagnostics {
            eprintln!("{diagnostic}");
        }
        exit::CONFIGURATION
    })
}

/// A file of its owner only, which must not exist yet.
pub(crate) fn new_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(bytes).with_context(|| path.display().to_string())
}
