//! The host: engines, cache, egress and policy, and the one way by which a folder becomes a plugin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use trunkline_egress::{Egress, EgressConfig, HostPattern};
use wasmtime::Engine;
use wasmtime::component::InstancePre;

use crate::bindings::{asr, lifecycle, llm, redactor, tool, tts};
use crate::cache::Cache;
use crate::engine::{Allocation, PoolSize, SizedEngine, Ticker, sized};
use crate::error::{HostError, LoadError, SessionError};
use crate::files;
use crate::manifest::{Manifest, SettingsSchema};
use crate::plugin::{Plugin, Schema, Services, World};
use crate::session::{SessionStart, guarded, name};
use crate::state::State;
use crate::trust::{SignatureFault, TrustedKeys};
use crate::vocabulary::Capability;
use crate::world;

/// Most bytes of a component.
const MAX_COMPONENT: u64 = 256 << 20;
/// Most bytes of a manifest, schema or signature.
const MAX_TEXT: u64 = 1 << 20;
/// What a session takes at least, KiB: its stack and tables.
const LEAST_SESSION_KIB: u32 = 64;

/// Where secrets come from. The values stay on the host's side.
pub trait SecretSource: Send + Sync {
    /// The secret of a name as configured for a plugin.
    fn secret(&self, plugin: &str, name: &str) -> Option<String>;
}

/// No secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl SecretSource for NoSecrets {
    fn secret(&self, _: &str, _: &str) -> Option<String> {
        None
    }
}

/// The operator's bounds on every plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLimits {
    /// Memory a media plugin may ask for, MiB.
    pub media_memory_mib: u32,
    /// Memory a heavy plugin may ask for, MiB.
    pub heavy_memory_mib: u32,
    /// Longest handler of a media plugin, ms.
    pub media_deadline_ms: u32,
    /// Longest handler of a heavy plugin, ms.
    pub heavy_deadline_ms: u32,
    /// Sessions of media plugins at a time.
    pub media_sessions: u32,
    /// Sessions of heavy plugins at a time.
    pub heavy_sessions: u32,
}

impl Default for HostLimits {
    /// 64 and 256 MiB, 100 ms and 5 s, 2000 and 256 sessions.
    fn default() -> Self {
        Self {
            media_memory_mib: 64,
            heavy_memory_mib: 256,
            media_deadline_ms: 100,
            heavy_deadline_ms: 5_000,
            media_sessions: 2_000,
            heavy_sessions: 256,
        }
    }
}

/// How a host is set up.
#[derive(Clone)]
pub struct HostConfig {
    /// Folder of compiled code; created, and refused unless only this user may write it.
    pub cache_dir: PathBuf,
    /// The runtime connections run on.
    pub runtime: tokio::runtime::Handle,
    /// Bounds.
    pub limits: HostLimits,
    /// What may be reached at all.
    pub egress: EgressConfig,
    /// Hosts that agents' settings may name, for manifests with `settings:/...`; an exact one may be at a private address.
    pub granted_hosts: Vec<HostPattern>,
    /// Secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// Whose plugins are loaded.
    pub trusted_keys: TrustedKeys,
    /// Load plugins without a signature. For development; every load is logged as a warning.
    pub allow_unsigned: bool,
    /// Told the name of each plugin that is about to be compiled, which takes seconds.
    pub on_compile: Option<OnCompile>,
}

/// Is told that a plugin is about to be compiled.
pub type OnCompile = Arc<dyn Fn(&str) + Send + Sync>;

impl HostConfig {
    /// Default limits, public addresses only, no secrets, no trusted keys, signatures required.
    #[must_use]
    pub fn new(cache_dir: impl Into<PathBuf>, runtime: tokio::runtime::Handle) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            runtime,
            limits: HostLimits::default(),
            egress: EgressConfig::default(),
            granted_hosts: Vec::new(),
            secrets: Arc::new(NoSecrets),
            trusted_keys: TrustedKeys::default(),
            allow_unsigned: false,
            on_compile: None,
        }
    }
}

/// Loads plugins.
pub struct PluginHost {
    media: SizedEngine,
    heavy: SizedEngine,
    cache: Cache,
    limits: HostLimits,
    keys: TrustedKeys,
    allow_unsigned: bool,
    on_compile: Option<OnCompile>,
    services: Arc<Services>,
    _ticker: Ticker,
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginHost")
            .field("limits", &self.limits)
            .field("allocation", &self.allocation())
            .finish_non_exhaustive()
    }
}

impl PluginHost {
    /// Starts the engines and the ticker thread. Keep the host as long as sessions of its plugins run: without the
    /// ticker no deadline passes.
    ///
    /// # Errors
    /// [`HostError`].
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let limits = config.limits;
        let media =
            sized(PoolSize { sessions: limits.media_sessions, memory_mib: limits.media_memory_mib, modules: 1 })?;
        let heavy =
            sized(PoolSize { sessions: limits.heavy_sessions, memory_mib: limits.heavy_memory_mib, modules: 4 })?;
        let cache = Cache::open(&config.cache_dir)?;
        let mut egress = config.egress;
        egress.private_hosts.extend(config.granted_hosts.iter().filter(|pattern| pattern.is_exact()).cloned());
        let egress = Egress::new(egress).map_err(|error| HostError::Egress(error.to_string()))?;
        let services =
            Services { egress, runtime: config.runtime, granted: config.granted_hosts, secrets: config.secrets };
        let ticker = Ticker::start(vec![media.engine.clone(), heavy.engine.clone()])?;
        Ok(Self {
            media,
            heavy,
            cache,
            limits,
            keys: config.trusted_keys,
            allow_unsigned: config.allow_unsigned,
            on_compile: config.on_compile,
            services: Arc::new(services),
            _ticker: ticker,
        })
    }

    /// How media and heavy instances get their memory on this machine.
    #[must_use]
    pub fn allocation(&self) -> (Allocation, Allocation) {
        (self.media.allocation, self.heavy.allocation)
    }

    /// Sessions of media and of heavy plugins: how many are open, and how many may be.
    #[must_use]
    pub fn sessions(&self) -> ((u32, u32), (u32, u32)) {
        let of = |engine: &SizedEngine| (engine.rooms.taken(), engine.rooms.most());
        (of(&self.media), of(&self.heavy))
    }

    /// Verifies, compiles and tries the plugin in a folder with `plugin.toml`, `plugin.wasm`, the settings schema and
    /// `plugin.toml.minisig`. The signature is of the manifest, which names the digests of the two others; each file is
    /// read once and what was verified is what is used. Other files of the folder are not looked at. It may take seconds
    /// the first time; call it away from anything that must not wait.
    ///
    /// # Errors
    /// [`LoadError`] names what was refused.
    pub fn load(&self, dir: &Path) -> Result<Arc<Plugin>, LoadError> {
        let path = Manifest::path_in(dir);
        let text = read_text(&path)?;
        self.check_signature(dir, text.as_bytes())?;
        let manifest = self.bounded(Manifest::parse(&text, &path)?)?;
        let schema = manifest.schema.as_ref().map(|named| read_schema(dir, named)).transpose()?;
        let wasm = read_named(&dir.join("plugin.wasm"), MAX_COMPONENT, &manifest.sha256)?;
        let SizedEngine { engine, rooms, .. } = if manifest.heavy { &self.heavy } else { &self.media };
        if let Some(tell) = self.on_compile.as_ref().filter(|_| !self.cache.has(engine, &manifest.sha256)) {
            tell(&manifest.name);
        }
        let (component, compiled) = self.cache.component(engine, &manifest.sha256, &wasm)?;
        let linker = world::linker(engine, &component, &manifest)?;
        let shape =
            |error: wasmtime::Error| LoadError::WrongShape { world: manifest.world.clone(), why: format!("{error:#}") };
        let instance_pre = linker.instantiate_pre(&component).map_err(shape)?;
        let lifecycle = lifecycle::LifecycleIndices::new(&instance_pre).map_err(shape)?;
        let world = indices(manifest.capability, &instance_pre).map_err(shape)?;
        let mut plugin = Plugin {
            short_name: manifest.name.as_str().into(),
            engine: Engine::clone(engine),
            rooms: Arc::clone(rooms),
            session_kib: 0,
            manifest,
            instance_pre,
            lifecycle,
            world,
            schema,
            services: Arc::clone(&self.services),
            compiled,
            formats: Vec::new(),
            tools: Vec::new(),
        };
        try_out(&mut plugin)?;
        tracing::info!(
            plugin = plugin.name(),
            version = plugin.version(),
            world = plugin.manifest.world,
            ?compiled,
            "plugin loaded"
        );
        Ok(Arc::new(plugin))
    }

    /// Before anything of the manifest is believed, or even parsed, which is why the folder names the plugin here.
    fn check_signature(&self, dir: &Path, manifest: &[u8]) -> Result<(), LoadError> {
        let plugin = || dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned();
        let path = dir.join("plugin.toml.minisig");
        if !path.try_exists().unwrap_or(true) {
            if self.allow_unsigned {
                tracing::warn!(
                    plugin = plugin(),
                    "loading an UNSIGNED plugin, because unsigned plugins are allowed on this host"
                );
                return Ok(());
            }
            return Err(LoadError::Unsigned { plugin: plugin(), path });
        }
        self.keys.verify(manifest, &read_text(&path)?).map_err(|fault| match fault {
            SignatureFault::Stranger { key, trusted } => LoadError::UntrustedKey { plugin: plugin(), key, trusted },
            SignatureFault::Wrong(why) => LoadError::BadSignature { plugin: plugin(), why },
        })
    }

    /// The manifest with its limits held against the operator's.
    fn bounded(&self, manifest: Manifest) -> Result<Manifest, LoadError> {
        let limits = &self.limits;
        let (memory, deadline) = if manifest.heavy {
            (limits.heavy_memory_mib, limits.heavy_deadline_ms)
        } else {
            (limits.media_memory_mib, limits.media_deadline_ms)
        };
        if manifest.memory_mib > memory {
            return Err(LoadError::TooDemanding {
                what: "limits.memory_mib",
                asked: manifest.memory_mib,
                granted: memory,
            });
        }
        if manifest.deadline_ms > deadline {
            return Err(LoadError::TooDemanding {
                what: "limits.deadline_ms",
                asked: manifest.deadline_ms,
                granted: deadline,
            });
        }
        Ok(manifest)
    }
}

fn indices(capability: Capability, pre: &InstancePre<State>) -> wasmtime::Result<World> {
    Ok(match capability {
        Capability::Asr => World::Asr(asr::ProviderIndices::new(pre)?),
        Capability::Llm => World::Llm(llm::ProviderIndices::new(pre)?),
        Capability::Tts => World::Tts(tts::ProviderIndices::new(pre)?),
        Capability::Tool => World::Tool(tool::ProviderIndices::new(pre)?),
        Capability::Redactor => World::Redactor(redactor::ProviderIndices::new(pre)?),
    })
}

/// The smoke run: one instance, `init`, its own description, and what it offers.
fn try_out(plugin: &mut Plugin) -> Result<(), LoadError> {
    let init = |error: SessionError| LoadError::Init(error.to_string());
    let start = SessionStart::new(0, 0, Arc::new(|| {}));
    let before_kib = anonymous_kib();
    let (mut store, instance, _) =
        plugin.instantiate(&Value::Object(serde_json::Map::new()), &start, plugin.no_network()).map_err(init)?;
    let grown_kib = before_kib.zip(anonymous_kib()).map(|(before, after)| after.saturating_sub(before));
    plugin.session_kib = grown_kib.unwrap_or(0).max(LEAST_SESSION_KIB);
    let (asked, _) = guarded(&mut store, 0, |store| {
        let info =
            plugin.lifecycle.load(&mut *store, &instance)?.trunkline_plugin_lifecycle().call_describe(&mut *store)?;
        let formats = match &plugin.world {
            World::Asr(indices) => {
                indices.load(&mut *store, &instance)?.trunkline_plugin_asr().call_formats(&mut *store)?
            }
            _ => Vec::new(),
        };
        let tools = match &plugin.world {
            World::Tool(indices) => {
                indices.load(&mut *store, &instance)?.trunkline_plugin_tool().call_definitions(&mut *store)?
            }
            _ => Vec::new(),
        };
        Ok((info, formats, tools))
    });
    let (info, formats, tools) = asked.map_err(|error| init(name(&error, store.data())))?;
    if (info.name.as_str(), info.version.as_str()) != (plugin.name(), plugin.version()) {
        let expected = format!("{} {}", plugin.name(), plugin.version());
        return Err(LoadError::Misnamed { expected, found: format!("{} {}", info.name, info.version) });
    }
    plugin.formats = formats.into_iter().map(Into::into).collect();
    plugin.tools = tools.into_iter().map(Into::into).collect();
    Ok(())
}

/// Memory of this process that it shares with nobody and no file, in KiB: what one more session adds to it is what a
/// session takes. Pages that every session of a plugin reads alike are not in it.
fn anonymous_kib() -> Option<u32> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    files::read(path, limit).map_err(|error| LoadError::Unreadable { path: path.to_owned(), why: error.to_string() })
}

fn read_text(path: &Path) -> Result<String, LoadError> {
    String::from_utf8(read(path, MAX_TEXT)?)
        .map_err(|_| LoadError::Unreadable { path: path.to_owned(), why: "not UTF-8".to_owned() })
}

/// The bytes of a file, if they are those the manifest names.
fn read_named(path: &Path, limit: u64, sha256: &str) -> Result<Vec<u8>, LoadError> {
    let bytes = read(path, limit)?;
    let found = hex(&Sha256::digest(&bytes));
    if found == sha256 {
        return Ok(bytes);
    }
    Err(LoadError::WrongDigest { path: path.to_owned(), expected: sha256.to_owned(), found })
}

fn read_schema(dir: &Path, named: &SettingsSchema) -> Result<Schema, LoadError> {
    let path = dir.join(&named.file);
    let bytes = read_named(&path, MAX_TEXT, &named.sha256)?;
    let bad = |why: String| LoadError::BadSchema { path: path.clone(), why };
    let json: Value = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let validator = jsonschema::validator_for(&json).map_err(|error| bad(error.to_string()))?;
    Ok(Schema { json, validator })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
