//! What can be configured: one struct a section, every key with its default, unit and range.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_configuration::Profile;

/// Configuration of the control plane. Every key has a default; the defaults bind loopback only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How strictly unsafe values are taken.
    pub profile: Profile,
    /// State folder: database, secrets, certificate authority, `endpoints.json`.
    pub state: PathBuf,
    /// First tenant's name, used when the database is empty, 1..=100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub tenant: String,
    /// Listeners.
    pub listen: Listen,
    /// TLS of the public and the sync listener.
    pub tls: Tls,
    /// Where the two secrets of the installation come from.
    pub secrets: Secrets,
    /// Database.
    pub database: Database,
    /// Limits.
    pub limits: Limits,
}

/// Addresses to listen on; port 0 takes a free port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// REST API, reference pages and health.
    #[schemars(extend("format" = "socket-address"))]
    pub public: SocketAddr,
    /// Gateways: enrolment, desired state, uploads.
    #[schemars(extend("format" = "socket-address"))]
    pub sync: SocketAddr,
    /// Prometheus metrics; loopback only, because they need no key.
    #[schemars(extend("format" = "socket-address"))]
    pub metrics: SocketAddr,
}

/// TLS of the public and the sync listener.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Which listeners speak TLS.
    pub mode: TlsMode,
    /// Certificate chain, PEM, the server's first; watched and taken over while serving. Without it a certificate
    /// from an authority of the control plane's own is made and renewed.
    pub cert: Option<PathBuf>,
    /// Private key of `cert`, PEM.
    pub key: Option<PathBuf>,
    /// Certificate of the private authority that `cert` comes from, PEM; gateways pin its key. Without it `cert` must
    /// come from a public authority.
    pub ca: Option<PathBuf>,
    /// DNS names and addresses for the certificate made here, beside the host's name and addresses; at most 64.
    #[schemars(length(max = 64))]
    pub names: Vec<String>,
}

/// Which listeners speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Those off loopback.
    #[default]
    Auto,
    /// Both.
    Always,
    /// None; then both must be on loopback.
    Off,
}

/// References to secrets of 32 bytes: raw, hexadecimal or base64.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// Under which keys, tokens and credentials are hashed: `file:/path`, `credential:name` (systemd) or `env:NAME`;
    /// default: `pepper.key` in the state folder, made at first start.
    pub pepper: Option<String>,
    /// Seed of the Ed25519 key that signs desired state, likewise; default: `signing.key` in the state folder.
    pub signing_key: Option<String>,
}

/// Database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// SQLite file; default: `control-plane.db` in the state folder.
    pub path: Option<PathBuf>,
}

/// Limits that keep one peer from using everything up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of a REST body, 1024..=16777216.
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub body_bytes: usize,
    /// Most bytes of an upload, 65536..=67108864.
    #[schemars(range(min = 65_536, max = 67_108_864))]
    pub upload_bytes: usize,
    /// Most connections of a listener, 1..=100000.
    #[schemars(range(min = 1, max = 100_000))]
    pub connections: usize,
    /// Longest a REST request may take, seconds, 1..=300.
    #[schemars(range(min = 1, max = 300))]
    pub request_s: u64,
    /// Longest wait for requests in progress at shutdown, seconds, 0..=300.
    #[schemars(range(min = 0, max = 300))]
    pub drain_s: u64,
    /// Keep-alive comments on the state stream, milliseconds, 100..=60000.
    #[schemars(range(min = 100, max = 60_000))]
    pub keep_alive_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            state: PathBuf::from("/var/lib/trunkline-control-plane"),
            tenant: "default".to_owned(),
            listen: Listen::default(),
            tls: Tls::default(),
            secrets: Secrets::default(),
            database: Database::default(),
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

impl Config {
    /// The database file.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.database.path.clone().unwrap_or_else(|| self.state.join("control-plane.db"))
    }

    /// Whether a listener at `address` speaks TLS.
    #[must_use]
    pub fn is_tls(&self, address: SocketAddr) -> bool {
        match self.tls.mode {
            TlsMode::Auto => !address.ip().is_loopback(),
            TlsMode::Always => true,
            TlsMode::Off => false,
        }
    }
}
