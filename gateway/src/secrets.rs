//! Secrets by reference: resolved from environment, file or systemd credential when the gateway starts, and handed to
//! the plugin host only.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::config::Secret;

/// Resolves every configured secret.
pub(crate) fn resolve(secrets: &BTreeMap<String, Secret>) -> anyhow::Result<BTreeMap<String, String>> {
    secrets
        .iter()
        .map(|(name, secret)| {
            let value = one(&secret.from).with_context(|| format!("secrets.{name}.from = `{}`", secret.from))?;
            Ok((name.clone(), value))
        })
        .collect()
}

fn one(reference: &str) -> anyhow::Result<String> {
    let text = match reference.split_once(':') {
        Some(("env", name)) => {
            std::env::var(name).with_context(|| format!("environment variable {name} is not set"))?
        }
        Some(("file", path)) => fs::read_to_string(path)?,
        Some(("credential", name)) => {
            let dir = std::env::var_os("CREDENTIALS_DIRECTORY").context("no systemd credentials for this process")?;
            fs::read_to_string(PathBuf::from(dir).join(name))?
        }
        _ => bail!("expected `env:NAME`, `file:/path` or `credential:name`"),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        bail!("it is empty");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inline_secret_is_refused_and_a_file_is_read_without_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(one(&format!("file:{}", path.display())).unwrap(), "s3cret");
        assert!(one("sk-live-123").is_err());
    }
}
