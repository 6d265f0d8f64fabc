//! A command typed as root acts as the owner of the state folder, so that no file of root's keeps the service out.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Starts this process over as the owner of `state` when it runs as root and the folder belongs to somebody else.
/// Returns only when there is nothing to do, or with the error that kept it from doing it.
pub fn act_as(state: &Path) -> std::io::Result<()> {
    let Ok(folder) = std::fs::metadata(state) else { return Ok(()) };
    if !rustix::process::geteuid().is_root() || folder.uid() == 0 {
        return Ok(());
    }
    let mut again = Command::new(std::env::current_exe()?);
    // With another user and no groups named, the supplementary groups of root are given up as well.
    Err(again.args(std::env::args_os().skip(1)).uid(folder.uid()).gid(folder.gid()).exec())
}
