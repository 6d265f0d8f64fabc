//! What cargo says of the product's workspace: its crates, where they lie, what they depend on and which tests they
//! have.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::shell;
use crate::workspaces::Workspace;

/// A crate of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// What a crate depends on.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None for an ordinary one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

/// What a crate consists of.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    /// Whether `cargo test` builds it.
    pub(crate) test: bool,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

impl Package {
    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or_else(|| Path::new(""))
    }

    /// Its folder from the repository's root.
    pub(crate) fn place(&self) -> String {
        self.folder().strip_prefix(shell::root()).unwrap_or_else(|_| self.folder()).display().to_string()
    }

    /// True for what ships or stands behind what ships, as opposed to tests, benches and this program.
    pub(crate) fn is_product(&self) -> bool {
        const PRODUCT: [&str; 5] = ["gateway", "dsp", "control-plane", "plugins/host", "plugins/conformance"];
        let place = self.place();
        PRODUCT.iter().any(|folder| place == *folder || place.starts_with(&format!("{folder}/")))
    }
}

/// The crates of a workspace.
pub(crate) fn packages(workspace: Workspace) -> anyhow::Result<Vec<Package>> {
    let text = shell::output(workspace.cargo("metadata").args(["--locked", "--no-deps", "--format-version=1"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cargo's metadata")?;
    Ok(metadata.packages)
}
