//! Configuration: layers merged by figment, faults found with file, line and key.

mod schema;

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use trunkline_api::object::Object;

pub(crate) use schema::{Config, Log, LogFormat, Secret, UnknownPeer};

/// The file when none is named.
const DEFAULT_FILE: &str = "/etc/trunkline/trunkline.toml";

/// A configuration that was found to be in order.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) objects: Vec<Object>,
}

/// A fault.
#[derive(Debug)]
pub(crate) struct Diagnostic(String);

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Loads everything.
pub(crate) fn load(file: Option<&Path>, set: &[String]) -> Result<Loaded, Vec<Diagnostic>> {
    let path = file.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_path_buf);
    let mut figment = Figment::from(Serialized::defaults(Config::default())).merge(Toml::file(&path));
    figment = figment.merge(Env::prefixed("TRUNKLINE_").filter(|key| key.as_str().contains("__")).split("__"));
    for pair in set {
        if let Some((key, value)) = pair.split_once('=') {
            let value: figment::value::Value = value.parse().unwrap_or_else(|_| value.into());
            figment = figment.merge((key, value));
        }
    }
    let config: Config = figment.extract().map_err(|errors| errors.into_iter().map(|e| Diagnostic(e.to_string())).collect::<Vec<_>>())?;
    Ok(Loaded { config, objects: Vec::new() })
}
