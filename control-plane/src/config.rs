//! What the operator may set, from a TOML file and the environment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

/// Prefix of environment variables; `__` nests, and a variable without `__` after the prefix sets a top-level key.
pub const ENV_PREFIX: &str = "TRUNKLINE_CP_";

/// Configuration of the control plane. Every key has a default that binds loopback only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// State folder: database, secrets, `endpoints.json`.
    pub state: PathBuf,
    /// Listeners.
    pub listen: Listen,
    /// Database.
    pub database: Database,
    /// First tenant's name, used when the database is empty.
    pub tenant: String,
    /// Limits.
    pub limits: Limits,
}

/// Addresses to listen on; port 0 takes a free port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// REST API, reference pages and health.
    pub public: SocketAddr,
    /// Gateway sync; plain HTTP, therefore loopback only.
    pub sync: SocketAddr,
    /// Prometheus metrics.
    pub metrics: SocketAddr,
}

/// Database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// SQLite file; `control-plane.db` in the state folder when empty.
    pub path: Option<PathBuf>,
}

/// Limits that keep one peer from using everything up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of a REST body, 1024..=16777216.
    pub body_bytes: usize,
    /// Most bytes of an upload, 65536..=67108864.
    pub upload_bytes: usize,
    /// Most connections of a listener, 1..=100000.
    pub connections: usize,
    /// Longest a REST request may take, seconds, 1..=300.
    pub request_s: u64,
    /// Longest wait for requests in progress at shutdown, seconds, 0..=300.
    pub drain_s: u64,
    /// Keep-alive comments on the state stream, milliseconds, 100..=60000.
    pub keep_alive_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state: PathBuf::from("/var/lib/trunkline-control-plane"),
            listen: Listen::default(),
            database: Database::default(),
            tenant: "default".to_owned(),
            limits: Limits::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self { public: at(7000), sync: at(7001), metrics: at(7002) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            upload_bytes: 16 * 1024 * 1024,
            connections: 12_000,
            request_s: 30,
            drain_s: 10,
            keep_alive_ms: 15_000,
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file or variable does not have the expected shape.
    #[error("configuration: {0}")]
    Shape(Box<figment::Error>),
    /// The named file is not there.
    #[error("configuration: {0} does not exist; pass an existing file to --config or leave the option out")]
    NoFile(PathBuf),
    /// A value is outside its range.
    #[error("configuration: `{key}`: {message}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was expected.
        message: String,
    },
}

impl Config {
    /// Reads defaults, then `file` (which must exist when given), then `TRUNKLINE_CP_*` variables.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError::NoFile(file.to_owned()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        // TRUNKLINE_CP_BIN names the binary under test and is never configuration.
        let env = Env::prefixed(ENV_PREFIX).ignore(&["bin", "config", "log"]).split("__");
        let config: Self = figment.merge(env).extract().map_err(|error| ConfigError::Shape(Box::new(error)))?;
        config.checked()
    }

    /// The database file.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.database.path.clone().unwrap_or_else(|| self.state.join("control-plane.db"))
    }

    /// Refuses values outside their documented range.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let refuse = |key, message: &str| Err(ConfigError::Value { key, message: message.to_owned() });
        let limits = &self.limits;
        if !self.listen.sync.ip().is_loopback() {
            return refuse("listen.sync", "plain HTTP is for loopback only; bind 127.0.0.1 or [::1]");
        }
        if !self.listen.metrics.ip().is_loopback() {
            return refuse("listen.metrics", "metrics need no key, so they are for loopback only");
        }
        if !(1..=100).contains(&self.tenant.chars().count()) {
            return refuse("tenant", "expected 1 to 100 characters");
        }
        if !(1024..=16_777_216).contains(&limits.body_bytes) {
            return refuse("limits.body_bytes", "expected 1024 to 16777216");
        }
        if !(65_536..=67_108_864).contains(&limits.upload_bytes) {
            return refuse("limits.upload_bytes", "expected 65536 to 67108864");
        }
        if !(1..=100_000).contains(&limits.connections) {
            return refuse("limits.connections", "expected 1 to 100000");
        }
        if !(1..=300).contains(&limits.request_s) {
            return refuse("limits.request_s", "expected 1 to 300");
        }
        if limits.drain_s > 300 {
            return refuse("limits.drain_s", "expected 0 to 300");
        }
        if !(100..=60_000).contains(&limits.keep_alive_ms) {
            return refuse("limits.keep_alive_ms", "expected 100 to 60000");
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_bind_loopback_and_are_accepted() {
        assert_eq!(Config::default().checked().unwrap(), Config::default());
    }

    #[test]
    fn a_plain_sync_listener_for_everybody_is_refused() {
        let mut config = Config::default();
        config.listen.sync = "0.0.0.0:7001".parse().unwrap();
        assert!(config.checked().unwrap_err().to_string().contains("listen.sync"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cp.toml");
        std::fs::write(&file, "[listen]\npublik = \"127.0.0.1:1\"\n").unwrap();
        let message = Config::load(Some(&file)).unwrap_err().to_string();
        assert!(message.contains("publik") && message.contains("cp.toml"), "{message}");
    }
}
