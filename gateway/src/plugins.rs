//! Plugins of the configured folder: each is loaded or refused by name; a refused one keeps the others in service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use trunkline_egress::{EgressConfig, HostPattern};
use trunkline_plugin_host::{HostConfig, LoadError, PluginHost, PluginRegistry, SecretSource, TrustError, TrustedKeys};

use crate::config::{Config, Plugins};

/// Secrets as resolved at the start; any plugin whose manifest names one may have it sent to that manifest's hosts.
pub(crate) struct Secrets(pub(crate) BTreeMap<String, String>);

impl SecretSource for Secrets {
    fn secret(&self, _plugin: &str, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// A plugin that was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Why.
    pub(crate) error: LoadError,
}

/// The host as configured.
pub(crate) fn host(
    config: &Config,
    runtime: tokio::runtime::Handle,
    secrets: BTreeMap<String, String>,
) -> anyhow::Result<PluginHost> {
    let cache = config.plugins.cache_dir.clone().unwrap_or_else(|| config.gateway.state_dir.join("cache/plugins"));
    let granted = config
        .plugins
        .grant_hosts
        .iter()
        .map(|pattern| pattern.parse::<HostPattern>().with_context(|| format!("plugins.grant_hosts `{pattern}`")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let egress = EgressConfig { private_hosts: granted.clone(), ..EgressConfig::default() };
    let host = PluginHost::new(HostConfig {
        egress,
        granted_hosts: granted,
        secrets: Arc::new(Secrets(secrets)),
        trusted_keys: trusted(&config.plugins)?,
        allow_unsigned: config.plugins.allow_unsigned,
        ..HostConfig::new(cache, runtime)
    })?;
    Ok(host)
}

/// The keys written in the configuration and those of the folder.
fn trusted(config: &Plugins) -> Result<TrustedKeys, TrustError> {
    let mut keys = TrustedKeys::default();
    for (index, text) in config.trusted_keys.iter().enumerate() {
        keys.add(text, &format!("plugins.trusted_keys, entry {index}"))?;
    }
    let folder = &config.trusted_keys_dir;
    // The default folder comes with the packages; where they are not installed there is nothing in it to trust.
    if *folder != Plugins::default().trusted_keys_dir || folder.exists() {
        keys.add_folder(folder)?;
    }
    Ok(keys)
}

/// Loads every plugin of the folder.
pub(crate) fn load(host: &PluginHost, folder: &Path) -> (PluginRegistry, Vec<Refused>) {
    let registry = PluginRegistry::new();
    let mut refused = Vec::new();
    for folder in folders(folder) {
        match host.load(&folder) {
            Ok(plugin) => {
                registry.put(plugin);
            }
            Err(error) => refused.push(Refused { folder, error }),
        }
    }
    (registry, refused)
}

/// Folders with a manifest, by name.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("plugin.toml").is_file())
        .collect();
    folders.sort();
    folders
}
