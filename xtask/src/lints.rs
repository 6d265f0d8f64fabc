//! Formatting and clippy, for every workspace and every target.

use crate::shell;
use crate::workspaces::{ALL, FUZZ, PRODUCT, Workspace};

/// `cargo fmt --check` everywhere.
pub(crate) fn format() -> anyhow::Result<()> {
    for workspace in ALL {
        shell::run(workspace.cargo("fmt").args(["--all", "--check"]))?;
    }
    Ok(())
}

/// `cargo clippy -D warnings` for the product.
pub(crate) fn product() -> anyhow::Result<()> {
    clippy(PRODUCT)
}

/// The same for every other workspace.
pub(crate) fn others() -> anyhow::Result<()> {
    for workspace in ALL.into_iter().filter(|workspace| workspace.name != PRODUCT.name) {
        println!("--- {}", workspace.name);
        clippy(workspace)?;
    }
    Ok(())
}

fn clippy(workspace: Workspace) -> anyhow::Result<()> {
    let mut clippy = workspace.cargo("clippy");
    if workspace.name == FUZZ.name {
        // Nothing is linked, so libFuzzer itself need not be compiled.
        clippy.env("CUSTOM_LIBFUZZER_PATH", shell::target_dir().join("libFuzzer.a"));
    }
    shell::run(clippy.args(["--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}
