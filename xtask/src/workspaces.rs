//! The cargo workspaces of the repository. Each has a lock of its own, so that none builds what only another needs;
//! formatting, lints, licences and advisories are checked in all of them.

use std::process::Command;

use crate::shell;

/// One workspace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workspace {
    /// What it is called in the output.
    pub(crate) name: &'static str,
    /// Its manifest, from the repository's root.
    pub(crate) manifest: &'static str,
}

/// The product: gateway, control plane, plugin host, their tests and benches.
pub(crate) const PRODUCT: Workspace = Workspace { name: "product", manifest: "Cargo.toml" };
/// The plugins, built for this machine where they are tested and linted.
pub(crate) const GUESTS: Workspace = Workspace { name: "plugins", manifest: "plugins/Cargo.toml" };
/// The fuzz targets.
pub(crate) const FUZZ: Workspace = Workspace { name: "fuzz", manifest: "fuzz/Cargo.toml" };
/// The program that builds the grammar recogniser's component.
pub(crate) const GRAMMAR_PACKER: Workspace =
    Workspace { name: "grammar packer", manifest: "plugins/providers/grammar/pack/Cargo.toml" };

/// All of them.
pub(crate) const ALL: [Workspace; 4] = [PRODUCT, GUESTS, FUZZ, GRAMMAR_PACKER];

impl Workspace {
    /// `cargo SUBCOMMAND` in this workspace, with the one target directory: their profiles for this machine are the
    /// same, so that what they share is built once.
    pub(crate) fn cargo(self, subcommand: &str) -> Command {
        let mut cargo = shell::cargo();
        cargo.arg(subcommand).arg("--manifest-path").arg(shell::root().join(self.manifest));
        cargo
    }
}
