//! A loaded plugin: verified, compiled, tried once, and from then on the pattern of its sessions.

use std::sync::Arc;

use serde_json::Value;
use trunkline_egress::{Egress, HostPattern};
use url::Url;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Engine, Store};

use crate::bindings::{asr, lifecycle, llm, redactor, tool, tts};
use crate::cache::Compiled;
use crate::engine::Rooms;
use crate::error::SessionError;
use crate::host::SecretSource;
use crate::inbox::{Inbox, Wake};
use crate::manifest::{HostGrant, Manifest};
use crate::network::{Network, Reach};
use crate::outgoing::SessionSecret;
use crate::session::{Runner, SessionStart, guarded, name, store};
use crate::state::{Beginning, State};
use crate::vocabulary::{AudioFormat, Capability, ToolDefinition};

/// Most problems named when settings do not fit.
const MAX_PROBLEMS: usize = 8;

/// Where the exports of each world are.
pub(crate) enum World {
    Asr(asr::ProviderIndices),
    Llm(llm::ProviderIndices),
    Tts(tts::ProviderIndices),
    Tool(tool::ProviderIndices),
    Redactor(redactor::ProviderIndices),
}

/// What sessions need of the host they run on.
pub(crate) struct Services {
    pub(crate) egress: Egress,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) granted: Vec<HostPattern>,
    pub(crate) secrets: Arc<dyn SecretSource>,
}

/// The settings a plugin takes.
pub(crate) struct Schema {
    pub(crate) json: Value,
    pub(crate) validator: jsonschema::Validator,
}

/// A plugin in service. Sessions hold on to theirs, whatever is loaded later.
pub struct Plugin {
    pub(crate) manifest: Manifest,
    pub(crate) short_name: Arc<str>,
    pub(crate) engine: Engine,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) session_kib: u32,
    pub(crate) instance_pre: InstancePre<State>,
    pub(crate) lifecycle: lifecycle::LifecycleIndices,
    pub(crate) world: World,
    pub(crate) schema: Option<Schema>,
    pub(crate) services: Arc<Services>,
    pub(crate) compiled: Compiled,
    pub(crate) formats: Vec<AudioFormat>,
    pub(crate) tools: Vec<ToolDefinition>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("manifest", &self.manifest)
            .field("compiled", &self.compiled)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.manifest.version
    }

    /// What it is for.
    #[must_use]
    pub fn capability(&self) -> Capability {
        self.manifest.capability
    }

    /// Whether its sessions belong on the side pool instead of beside the media.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        self.manifest.heavy
    }

    /// Memory that a session took when the plugin was loaded, right after it began, in KiB. While it works it takes more,
    /// at most what the manifest's limit allows.
    #[must_use]
    pub const fn session_kib(&self) -> u32 {
        self.session_kib
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether its code was compiled for this load or found in the cache.
    #[must_use]
    pub fn compiled(&self) -> Compiled {
        self.compiled
    }

    /// Formats a recogniser accepts, best first; empty for other worlds.
    #[must_use]
    pub fn asr_formats(&self) -> &[AudioFormat] {
        &self.formats
    }

    /// The tools of a tool provider; empty for other worlds.
    #[must_use]
    pub fn tool_definitions(&self) -> &[ToolDefinition] {
        &self.tools
    }

    /// Whether settings fit the manifest's schema; without a schema only `{}` and `null` do.
    ///
    /// # Errors
    /// [`SessionError::Settings`] with the pointer and reason of every problem, at most eight.
    pub fn check_settings(&self, settings: &Value) -> Result<(), SessionError> {
        let refused = |why: String| SessionError::Settings { plugin: self.manifest.name.clone(), why };
        let Some(schema) = &self.schema else {
            let none = settings.is_null() || settings.as_object().is_some_and(serde_json::Map::is_empty);
            return if none { Ok(()) } else { Err(refused("it takes no settings".to_owned())) };
        };
        let problems: Vec<String> =
            schema.validator.iter_errors(settings).take(MAX_PROBLEMS).map(|error| problem(&error)).collect();
        if problems.is_empty() { Ok(()) } else { Err(refused(problems.join("; "))) }
    }

    /// Whether a session with these settings could begin: they fit the schema and name no host that the operator did
    /// not grant.
    ///
    /// # Errors
    /// [`SessionError::Settings`] or [`SessionError::HostNotGranted`].
    pub fn admits(&self, settings: &Value) -> Result<(), SessionError> {
        self.check_settings(settings)?;
        self.resolve(&self.manifest.hosts, settings)?;
        self.manifest.secrets.iter().try_for_each(|grant| self.resolve(&grant.hosts, settings).map(drop))
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn is_no(&self, wanted: &'static str) -> SessionError {
        SessionError::WrongCapability { plugin: self.manifest.name.clone(), wanted }
    }

    /// Patterns of a list of grants, those from settings resolved and checked against what the operator granted.
    fn resolve(&self, grants: &[HostGrant], settings: &Value) -> Result<Vec<HostPattern>, SessionError> {
        let mut patterns = Vec::new();
        for grant in grants {
            match grant {
                HostGrant::Fixed(pattern) => patterns.push(pattern.clone()),
                HostGrant::FromSettings(pointer) => {
                    let given = settings.pointer(pointer).or_else(|| self.default_of(pointer));
                    let Some(text) = given.and_then(Value::as_str) else { continue };
                    let origin = Url::parse(text).ok().and_then(|url| HostPattern::origin_of(&url));
                    let refused = || SessionError::HostNotGranted { origin: text.chars().take(200).collect() };
                    let origin = origin.ok_or_else(refused)?;
                    // What the manifest itself names needs no further grant.
                    let named = |grant: &HostGrant| matches!(grant, HostGrant::Fixed(host) if host.covers(&origin));
                    let granted = self.services.granted.iter().any(|granted| granted.covers(&origin));
                    if !granted && !self.manifest.hosts.iter().any(named) {
                        return Err(SessionError::HostNotGranted { origin: origin.to_string() });
                    }
                    patterns.push(origin);
                }
            }
        }
        Ok(patterns)
    }

    /// The schema's default of a top-level setting, which a guest falls back to by itself.
    fn default_of(&self, pointer: &str) -> Option<&Value> {
        self.schema.as_ref()?.json.get("properties")?.pointer(pointer)?.get("default")
    }

    fn network(&self, settings: &Value, wake: Wake) -> Result<Option<Network>, SessionError> {
        if self.manifest.capability == Capability::Redactor {
            return Ok(None);
        }
        let allow: Arc<[HostPattern]> = self.resolve(&self.manifest.hosts, settings)?.into();
        let mut secrets = Vec::new();
        for grant in &self.manifest.secrets {
            if let Some(value) = self.services.secrets.secret(&self.manifest.name, &grant.name) {
                secrets.push(SessionSecret {
                    name: grant.name.clone(),
                    value,
                    scope: self.resolve(&grant.hosts, settings)?,
                });
            }
        }
        let reach = Reach {
            egress: self.services.egress.clone(),
            runtime: self.services.runtime.clone(),
            allow,
            secrets: secrets.into(),
        };
        Ok(Some(Network::new(reach, Inbox::new(wake))))
    }

    /// The network of the smoke run, whose settings are nobody's: everything is there and nothing can be reached.
    pub(crate) fn no_network(&self) -> Option<Network> {
        let (egress, runtime) = (self.services.egress.clone(), self.services.runtime.clone());
        let reach = Reach { egress, runtime, allow: Arc::new([]), secrets: Arc::new([]) };
        (self.manifest.capability != Capability::Redactor).then(|| Network::new(reach, Inbox::new(Arc::new(|| {}))))
    }

    /// An instance whose `init` has passed, and the time that took.
    pub(crate) fn instantiate(
        &self,
        settings: &Value,
        start: &SessionStart,
        network: Option<Network>,
    ) -> Result<(Store<State>, Instance, u64), SessionError> {
        let Some(room) = self.rooms.take() else {
            return Err(SessionError::Exhausted(format!("all {} are open", self.rooms.most())));
        };
        let beginning = Beginning {
            room,
            plugin: Arc::clone(&self.short_name),
            settings: settings.to_string(),
            now_us: start.now_us,
            seed: start.seed,
            memory_mib: self.manifest.memory_mib,
            deadline_ms: self.manifest.deadline_ms,
            network,
        };
        let mut store = store(&self.engine, State::new(beginning));
        let (started, took_us) = guarded(&mut store, start.now_us, |store| {
            let instance = self.instance_pre.instantiate(&mut *store)?;
            let world = self.lifecycle.load(&mut *store, &instance)?;
            let answer = world.trunkline_plugin_lifecycle().call_init(&mut *store)?;
            Ok((instance, answer))
        });
        match started {
            Ok((instance, Ok(()))) => Ok((store, instance, took_us)),
            Ok((_, Err(why))) => Err(SessionError::Init {
                plugin: self.manifest.name.clone(),
                why: crate::text::plain(why).chars().take(1024).collect(),
            }),
            Err(error) => Err(name(&error, store.data())),
        }
    }

    /// Opens what every session has.
    pub(crate) fn open<E, W>(
        self: &Arc<Self>,
        settings: &Value,
        start: SessionStart,
        load: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<W>,
    ) -> Result<(Runner<E>, W), SessionError> {
        let empty = Value::Object(serde_json::Map::new());
        let settings = if settings.is_null() { &empty } else { settings };
        self.check_settings(settings)?;
        let queue = start.queue;
        let network = self.network(settings, Arc::clone(&start.wake))?;
        let now_us = start.now_us;
        let (store, instance, took_us) = self.instantiate(settings, &start, network)?;
        let mut runner = Runner::new(Arc::clone(self), store, queue, took_us);
        let world = runner.call(now_us, |store| load(store, &instance))?;
        Ok((runner, world))
    }
}

fn problem(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "/".to_owned() } else { place };
    format!("{place}: {error}")
}
