//! Configuration: defaults, file, environment and command line, merged by figment; every fault in them is reported
//! at once, with the place it was written at.

#[cfg(test)]
mod reference;
mod rules;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trunkline_configuration::{Diagnostic, Shape, layers, merge};

pub use schema::{Config, Database, Limits, Listen, Secrets, Tls, TlsMode};
pub use trunkline_configuration::Profile;

/// The file that is read when it is there and none is named.
pub const DEFAULT_FILE: &str = "/etc/trunkline-control-plane/control-plane.toml";
/// Prefix of environment variables; `__` nests, and a variable without `__` after the prefix sets a top-level key.
pub const ENV_PREFIX: &str = "TRUNKLINE_CP_";

/// Variables of the prefix that are no configuration: the binary under test, the file's name, the log's filter.
const NOT_KEYS: [&str; 3] = ["bin", "config", "log"];

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ConfigError(pub Vec<Diagnostic>);

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What the `prod` profile would refuse, with the `staging` profile only.
    pub warnings: Vec<Diagnostic>,
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
        let file = file.map(Path::to_path_buf).or_else(|| layers::is_there(&default).then_some(default));
        load_from(file.as_deref(), std::env::vars_os().filter_map(text).collect(), profile)
    }
}

fn load_from(
    file: Option<&Path>,
    environment: BTreeMap<String, String>,
    profile: Option<&str>,
) -> Result<Loaded, ConfigError> {
    let schema = Value::from(schemars::schema_for!(Config));
    let shape = Shape::new(&schema);
    let mut faults = Vec::new();
    let mut layers: Vec<_> = file.and_then(|file| layers::file(file, &mut faults)).into_iter().collect();
    layers.extend(layers::variables(environment, shape, set_by_variable));
    layers.extend(profile.map(|name| layers::argument("profile", name, &format!("--profile {name}"), shape)));
    let (config, origins) = merge::<Config>(&mut layers, shape, &mut faults);
    let Some(config) = config else { return Err(ConfigError(faults)) };

    faults.extend(rules::check(&config, &origins));
    let warnings = config.profile.judge(rules::unsafe_values(&config, &origins), &mut faults);
    if faults.is_empty() { Ok(Loaded { config, warnings }) } else { Err(ConfigError(faults)) }
}

/// The key that a variable sets, sections and keys joined by `__`.
fn set_by_variable(name: &str) -> Option<String> {
    let key = name.strip_prefix(ENV_PREFIX)?.to_ascii_lowercase();
    (!NOT_KEYS.contains(&key.as_str())).then_some(key)
}
