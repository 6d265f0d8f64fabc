//! Wraps the snapshot as a component and writes the plugin folder.

use crate::fetch::hex;
use crate::guest;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// Encodes `module` as a component of the world `asr-provider` in `wit`; imports outside that world are an error.
pub(crate) fn encode(mut module: Vec<u8>, wit: &Path) -> Result<Vec<u8>> {
    let (resolve, world) = guest::world(wit)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .module(&module)
        .context("read the core module")?
        .validate(true)
        .encode()
        .context("encode the component")
}

/// Writes `plugin.wasm`, its manifest with both digests filled in, and the settings schema to `out`.
pub(crate) fn write(out: &Path, component: &[u8], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("create {}", out.display()))?;
    let manifest = std::fs::read_to_string(folder.join("plugin.toml")).context("read plugin.toml")?;
    let schema = std::fs::read(folder.join("settings.schema.json")).context("read settings.schema.json")?;
    let blank = "sha256 = \"\"";
    ensure!(
        manifest.matches(blank).count() == 2,
        "plugin.toml must hold the line {blank} twice: for the component, and for the schema under [settings]"
    );
    let digest = |bytes: &[u8]| format!("sha256 = \"{}\"", hex(&Sha256::digest(bytes)));
    let filled = manifest.replacen(blank, &digest(component), 1).replacen(blank, &digest(&schema), 1);
    std::fs::write(out.join("plugin.wasm"), component)?;
    std::fs::write(out.join("settings.schema.json"), schema)?;
    std::fs::write(out.join("plugin.toml"), filled)?;
    Ok(())
}
