//! Configuration: defaults, file, environment and command line, merged by figment; every fault in them is reported
//! at once, with the place it was written at.

mod layers;
#[cfg(test)]
mod reference;
mod rules;
mod schema;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use schema::{Config, Database, Limits, Listen, Profile, Secrets, Tls, TlsMode};

/// The file that is read when it is there and none is named.
pub const DEFAULT_FILE: &str = "/etc/trunkline-control-plane/control-plane.toml";
/// Prefix of environment variables; `__` nests, and a variable without `__` after the prefix sets a top-level key.
pub const ENV_PREFIX: &str = "TRUNKLINE_CP_";

/// Something wrong. Shown as `place: key: message (expected ...)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// File and line, or environment variable.
    pub place: String,
    /// The key, dotted; empty when it is about a file.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What was expected; may be empty.
    pub expected: String,
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Fault>);

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What the `prod` profile would refuse, with the `staging` profile only.
    pub warnings: Vec<Fault>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if self.expected.is_empty() { Ok(()) } else { write!(f, " (expected {})", self.expected) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads defaults, then `file` (which must exist when it is given) or [`DEFAULT_FILE`] (which need not), then
    /// `TRUNKLINE_CP_*` variables, then `profile`.
    pub fn load(file: Option<&Path>, profile: Option<&str>) -> Result<Loaded, ConfigError> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        let default = PathBuf::from(DEFAULT_FILE);
        let file = file.map(Path::to_path_buf).or_else(|| default.exists().then_some(default));
        load_from(file.as_deref(), std::env::vars_os().filter_map(text).collect(), profile)
    }
}

fn load_from(
    file: Option<&Path>,
    environment: BTreeMap<String, String>,
    profile: Option<&str>,
) -> Result<Loaded, ConfigError> {
    let schema = Value::from(schemars::schema_for!(Config));
    let mut faults = Vec::new();
    let layers = layers::Layers::read(file, environment, profile, &schema, &mut faults);
    let fitting = shape::fitting(&schema, &layers, &mut faults);
    let config = serde_json::from_value::<Config>(fitting).map_err(|error| {
        // The schema lets through what the types do not take: reported as the types say it.
        let place = file.map_or_else(|| "configuration".to_owned(), |file| file.display().to_string());
        let fault = Fault { place, key: String::new(), message: error.to_string(), expected: String::new() };
        ConfigError(faults.iter().cloned().chain([fault]).collect())
    })?;
    rules::check(&config, &layers, &mut faults);
    let mut unsafe_values = Vec::new();
    rules::unsafe_values(&config, &layers, &mut unsafe_values);
    let warnings = match config.profile {
        Profile::Dev => Vec::new(),
        Profile::Staging => unsafe_values,
        Profile::Prod => {
            faults.append(&mut unsafe_values);
            Vec::new()
        }
    };
    if faults.is_empty() { Ok(Loaded { config, warnings }) } else { Err(ConfigError(faults)) }
}
