//! Plugins of the configured folder: each is loaded or refused by name; a refused one keeps the others in service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use trunkline_egress::{EgressConfig, HostPattern};
use trunkline_plugin_host::{
    Capability, HostConfig, HostLimits, LoadError, Manifest, OnCompile, PluginHost, PluginRegistry, SecretSource,
    TrustError, TrustedKeys,
};
use trunkline_runtime::{Lacking, Pool};

use crate::capacity;
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

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.folder.display(), self.error)
    }
}

/// The host as configured. `on_compile` is told of each plugin that is compiled for the first time.
pub(crate) fn host(
    config: &Config,
    runtime: tokio::runtime::Handle,
    secrets: BTreeMap<String, String>,
    on_compile: OnCompile,
) -> anyhow::Result<PluginHost> {
    let cache = config.plugins.cache_dir.clone().unwrap_or_else(|| config.gateway.state_dir.join("cache/plugins"));
    let granted = config
        .plugins
        .grant_hosts
        .iter()
        .map(|pattern| pattern.parse::<HostPattern>().with_context(|| format!("plugins.grant_hosts `{pattern}`")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let room = capacity::most(config);
    let limits = HostLimits {
        media_sessions: capacity::with_spare(room[Pool::MediaSessions]),
        heavy_sessions: capacity::with_spare(room[Pool::HeavySessions]),
        ..HostLimits::default()
    };
    let egress = EgressConfig { private_hosts: granted.clone(), ..EgressConfig::default() };
    let host = PluginHost::new(HostConfig {
        egress,
        granted_hosts: granted,
        secrets: Arc::new(Secrets(secrets)),
        trusted_keys: trusted(&config.plugins)?,
        allow_unsigned: config.plugins.allow_unsigned,
        on_compile: Some(on_compile),
        limits,
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
    for stray in without_manifest(folder) {
        tracing::warn!(folder = %stray.display(), "no plugin: there is no plugin.toml in it");
    }
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

/// What agents may ask for in vain. A refused plugin goes by the name of its folder: its manifest is not to be trusted.
pub(crate) fn lacking<'a>(refused: &[Refused], secrets: impl Iterator<Item = (&'a str, &'a str)>) -> Lacking {
    let name = |refused: &Refused| Some(refused.folder.file_name()?.to_string_lossy().into_owned());
    Lacking {
        plugins: refused.iter().filter_map(|refused| Some((name(refused)?, refused.error.to_string()))).collect(),
        secrets: secrets.map(|(name, why)| (name.to_owned(), why.to_owned())).collect(),
    }
}

/// A plugin of the folder, as its manifest says, loaded or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) capability: Capability,
    /// What it says of itself.
    pub(crate) description: String,
    /// The schema of its settings.
    pub(crate) schema: Option<PathBuf>,
}

/// Every plugin of the folder whose manifest can be read, by name.
pub(crate) fn installed(folder: &Path) -> Vec<Installed> {
    let read = |folder: &PathBuf| {
        let path = Manifest::path_in(folder);
        let manifest = Manifest::parse(&std::fs::read_to_string(&path).ok()?, &path).ok()?;
        let schema = manifest.schema.map(|schema| folder.join(schema.file));
        let Manifest { name, capability, description, .. } = manifest;
        Some(Installed { name, capability, description, schema })
    };
    let mut found: Vec<_> = folders(folder).iter().filter_map(read).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Folders of the folder that hold no plugin, by name: unpacked in the wrong place, or half copied.
pub(crate) fn without_manifest(folder: &Path) -> Vec<PathBuf> {
    let mut folders = entries(folder);
    folders.retain(|path| path.is_dir() && !path.join("plugin.toml").is_file());
    folders
}

/// Folders with a manifest, by name.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders = entries(folder);
    folders.retain(|path| path.join("plugin.toml").is_file());
    folders
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}
