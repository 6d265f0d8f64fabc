//! Why a plugin was not loaded and why a session ended, each by name.

use std::path::PathBuf;

use trunkline_api::failure::Failure;

use crate::vocabulary::{Capability, ProviderError};

/// Why a plugin was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file of the plugin's folder cannot be read.
    #[error("{path} cannot be read: {why}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// The manifest is not what a manifest is.
    #[error("bad manifest {path}: {why}", path = path.display())]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// Key and reason.
        why: String,
    },
    /// The settings schema is not a JSON Schema.
    #[error("bad settings schema {path}: {why}", path = path.display())]
    BadSchema {
        /// The schema.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The component or the settings schema is not the one the manifest names.
    #[error("{path} is not the file its manifest names: its SHA-256 is {found}, the manifest says {expected}; build the plugin again or fetch it anew", path = path.display())]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// From the manifest.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// There is no signature.
    #[error("plugin {plugin} is not signed: {path} is missing; sign it, or allow unsigned plugins on a development machine", path = path.display())]
    Unsigned {
        /// Name of its folder.
        plugin: String,
        /// Where the signature would be.
        path: PathBuf,
    },
    /// The signature is by a key that is not trusted.
    #[error(
        "plugin {plugin} is signed with key {key}, which is not trusted here (trusted: {trusted}); if you trust its maker, add that public key to the trusted keys"
    )]
    UntrustedKey {
        /// Name of its folder.
        plugin: String,
        /// The id of the key that signed it, as minisign shows it.
        key: String,
        /// The ids of the trusted keys and where they come from.
        trusted: String,
    },
    /// The signature is none, or of another manifest.
    #[error(
        "the signature of plugin {plugin} does not fit its plugin.toml, which was changed after it was signed, or is damaged ({why}); fetch the plugin anew"
    )]
    BadSignature {
        /// Name of its folder.
        plugin: String,
        /// The reason.
        why: String,
    },
    /// The world is not one this host knows.
    #[error("world `{world}` is not known; this host has {}", known_worlds())]
    UnknownWorld {
        /// From the manifest.
        world: String,
    },
    /// The component's exports are not those of the manifest's world.
    #[error("the component is not of world `{world}`: it does not export `{missing}`; it exports {found}")]
    WrongWorld {
        /// From the manifest.
        world: String,
        /// The interface that is missing.
        missing: String,
        /// What there is.
        found: String,
    },
    /// The component's exports or imports have the right names and another shape.
    #[error("the component does not fit world `{world}`: {why}; build it against the contract of this version")]
    WrongShape {
        /// From the manifest.
        world: String,
        /// The first difference.
        why: String,
    },
    /// The component wants something its world does not give.
    #[error("the component imports `{import}`, which world `{world}` does not give")]
    ForbiddenImport {
        /// From the manifest.
        world: String,
        /// The import.
        import: String,
    },
    /// Not a WebAssembly component, or the compiler refused it.
    #[error("the component cannot be compiled: {0}")]
    Compile(String),
    /// The smoke run of `init` failed.
    #[error("the plugin's init failed, so it stays out of service: {0}")]
    Init(String),
    /// The component calls itself something else than the manifest.
    #[error("the manifest says {expected}, the component describes itself as {found}")]
    Misnamed {
        /// Name and version of the manifest.
        expected: String,
        /// Name and version of the component.
        found: String,
    },
    /// The manifest wants more than this host grants.
    #[error(
        "the manifest asks for {what} of {asked}, this host grants at most {granted}; raise the host's limit if it should run"
    )]
    TooDemanding {
        /// `memory_mib` or `deadline_ms`.
        what: &'static str,
        /// Asked for.
        asked: u32,
        /// Granted.
        granted: u32,
    },
}

fn known_worlds() -> String {
    Capability::ALL.map(|capability| format!("{}@0.1", capability.world())).join(", ")
}

/// Why the host cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The WebAssembly engine cannot be made.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The cache folder cannot be used.
    #[error("the plugin cache {path} cannot be used: {why}; it must be a folder only this user may write", path = path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The outgoing client cannot be made.
    #[error("{0}")]
    Egress(String),
    /// The ticker thread cannot be started.
    #[error("the deadline ticker cannot start: {0}")]
    Ticker(String),
}

/// Why a session ended or did not begin. After any of these the session is dead, its memory is gone and its
/// connections are closed; every other session goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The settings do not fit the plugin's schema.
    #[error("the settings do not fit plugin {plugin}: {why}")]
    Settings {
        /// Plugin name.
        plugin: String,
        /// JSON pointer and reason of each problem, separated by `; `.
        why: String,
    },
    /// A host named by the settings was not granted by the operator.
    #[error(
        "the settings name {origin}, which the operator did not grant to plugins; add it to the granted hosts if it should be reached"
    )]
    HostNotGranted {
        /// `scheme://host:port`.
        origin: String,
    },
    /// The plugin is of another world.
    #[error("plugin {plugin} is no {wanted}")]
    WrongCapability {
        /// Plugin name.
        plugin: String,
        /// The world wanted.
        wanted: &'static str,
    },
    /// No room for another instance.
    #[error("no room for another plugin session: {0}; raise the session limit or wait for calls to end")]
    Exhausted(String),
    /// The guest trapped.
    #[error("plugin {plugin} trapped: {why}")]
    Trapped {
        /// Plugin name.
        plugin: String,
        /// The trap.
        why: String,
    },
    /// A handler ran past its deadline.
    #[error("plugin {plugin} ran past its deadline of {limit_ms} ms")]
    Deadline {
        /// Plugin name.
        plugin: String,
        /// The deadline.
        limit_ms: u32,
    },
    /// The guest wanted more memory than its limit.
    #[error("plugin {plugin} asked for more than its {limit_mib} MiB of memory")]
    Memory {
        /// Plugin name.
        plugin: String,
        /// The limit.
        limit_mib: u32,
    },
    /// The guest called the host more often, or with more bytes, than one handler may.
    #[error("plugin {plugin} used up its host-call budget: {what}")]
    Budget {
        /// Plugin name.
        plugin: String,
        /// Which budget.
        what: &'static str,
    },
    /// The guest broke the contract.
    #[error("plugin {plugin} broke the contract: {what}")]
    Contract {
        /// Plugin name.
        plugin: String,
        /// How.
        what: String,
    },
    /// The guest's `init` refused.
    #[error("plugin {plugin} refused to start: {why}")]
    Init {
        /// Plugin name.
        plugin: String,
        /// Its words.
        why: String,
    },
    /// A handler answered with an error.
    #[error("{0}")]
    Provider(ProviderError),
    /// The session was closed by its owner.
    #[error("the session is closed")]
    Closed,
}

impl SessionError {
    /// The named failure this is for a provider of the given capability.
    #[must_use]
    pub const fn failure(&self, capability: Capability) -> Failure {
        match self {
            Self::Trapped { .. } | Self::Budget { .. } | Self::Contract { .. } | Self::Init { .. } => {
                Failure::PluginTrapped
            }
            Self::Deadline { .. } => Failure::PluginDeadline,
            Self::Memory { .. } => Failure::PluginMemory,
            Self::Settings { .. } | Self::HostNotGranted { .. } | Self::WrongCapability { .. } => {
                Failure::PluginRefused
            }
            Self::Exhausted(_) | Self::Closed => capability.unavailable(),
            Self::Provider(error) => error.failure(capability),
        }
    }
}
