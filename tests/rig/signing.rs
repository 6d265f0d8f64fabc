//! Signatures of plugins that tests make or change: with the build's development key, or with a key nobody trusts.

use std::path::Path;

use anyhow::Context as _;
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use sha2::{Digest as _, Sha256};

use crate::process::from_environment;

/// The SHA-256 that a manifest names a file by.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signs the manifest of a plugin's folder with the development key, which every gateway of the rig trusts.
pub fn sign(plugin: &Path) -> anyhow::Result<()> {
    let file = from_environment("TRUNKLINE_TRUSTED_KEYS")?.with_file_name("development.key");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}: cargo xtask plugins", file.display()))?;
    put(plugin, &SecretKeyBox::from_string(&text)?.into_unencrypted_secret_key()?)
}

/// Signs the manifest of a plugin's folder with a key made just now, and returns the text of its public key's file.
pub fn sign_as_a_stranger(plugin: &Path) -> anyhow::Result<String> {
    let key = KeyPair::generate_unencrypted_keypair()?;
    put(plugin, &key.sk)?;
    Ok(key.pk.to_box()?.into_string())
}

fn put(plugin: &Path, key: &SecretKey) -> anyhow::Result<()> {
    let manifest = std::fs::read(plugin.join("plugin.toml"))?;
    let signature = minisign::sign(None, key, &manifest[..], None, None)?;
    Ok(std::fs::write(plugin.join("plugin.toml.minisig"), signature.into_string())?)
}
