//! From a configuration to a running gateway: each part is started in the order in which others stand on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use serde_json::json;
use tokio::runtime::Handle;
use trunkline_api::trunk::SipTransport;
use trunkline_edge_store::{DurableStore, EdgeStore, StoreOptions};
use trunkline_media::{MediaConfig, MediaPlane};
use trunkline_plugin_host::{PluginHost, PluginRegistry};
use trunkline_recording::{FolderDisk, Recorder, RecorderConfig};
use trunkline_runtime::{AgentFault, Lacking, Library, PartLoad, Parts, Pool, Runtime, RuntimeConfig, Serving};
use trunkline_sip::sight::HepConfig;
use trunkline_sip::{Listener, Rate, SipConfig, TlsFiles, Transport, UnknownPeer as SipUnknownPeer};
use trunkline_sync::{DesiredState, SyncClient, SyncConfig, SyncHandle};

use crate::config::{Config, Hep, Loaded, SipListener, SipTls, UnknownPeer};
use crate::enrolment;
use crate::plugins::{self, Refused};
use crate::secrets::Secrets;
use crate::spool::StoreSpool;
use crate::{capacity, history, service, state as state_folder, stir};

/// How often the fleet client is told of calls.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Share of its time that the busiest thread of signalling may work, in thousandths.
const SIGNALLING_BUSY_PERMILLE: u32 = 900;

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) store: Arc<dyn EdgeStore>,
    pub(crate) sync: Option<Arc<SyncHandle>>,
    pub(crate) plugins: Arc<PluginRegistry>,
    pub(crate) refused: Arc<Vec<Refused>>,
    pub(crate) serving: Arc<ArcSwap<Serving>>,
    /// What agents lack, of the revision in service.
    faults: Arc<ArcSwap<Vec<AgentFault>>>,
    /// Objects of the revision in service that cannot serve, and why.
    left_out: Arc<ArcSwap<Vec<String>>>,
    secrets_lacking: Arc<Vec<String>>,
    /// Kept for as long as plugins run: it ticks their deadlines.
    _plugin_host: PluginHost,
}

/// The edge store of a state folder.
pub(crate) fn open_store(state: &Path) -> anyhow::Result<Arc<dyn EdgeStore>> {
    state_folder::FOLDER.open(state)?;
    Ok(Arc::new(DurableStore::open(&state.join("store"), StoreOptions::default())?))
}

/// Starts everything.
pub(crate) fn start(loaded: &Loaded, secrets: Secrets, tokio: &Handle) -> anyhow::Result<Gateway> {
    let config = &loaded.config;
    capacity::raise_descriptors();
    let store = open_store(&config.gateway.state_dir)?;
    enrolment::take_in(&config.gateway.state_dir, &*store)?;
    for alarm in store.health().alarms {
        tracing::error!(alarm = alarm.name, lost_records = alarm.lost_records, "{}", alarm.detail);
    }
    for record in store.recover()? {
        tracing::warn!(call = %record.call, "a call of an earlier run was closed as gateway_crashed");
    }

    for lacking in &secrets.lacking {
        tracing::error!("{lacking}; calls to agents whose plugins name it are refused");
    }
    let compiling = |plugin: &str| {
        tracing::info!(plugin, "compiling for the first time on this machine, which takes some seconds");
        service::compiling(plugin);
    };
    let passwords = secrets.values.clone();
    let host = plugins::host(config, tokio.clone(), secrets.values, Arc::new(compiling))?;
    let (registry, refused) = plugins::load(&host, &config.plugins.dir);
    for refused in &refused {
        tracing::error!(folder = %refused.folder.display(), "plugin refused: {}", refused.error);
    }
    let plugins = Arc::new(registry);
    let named = secrets.lacking.iter().map(|lacking| (lacking.name.as_str(), lacking.why.as_str()));
    let lacking = plugins::lacking(&refused, named);

    let sync = match config.control_plane.url.as_str() {
        "" => None,
        url => Some(Arc::new(SyncClient::start(sync_config(url), Arc::new(StoreSpool(Arc::clone(&store))), tokio)?)),
    };
    let (serving, faults, left_out) = (Arc::default(), Arc::default(), Arc::default());
    let service = Service {
        loaded: loaded.clone(),
        plugins: Arc::clone(&plugins),
        lacking,
        serving: Arc::clone(&serving),
        faults: Arc::clone(&faults),
        left_out: Arc::clone(&left_out),
        library: ArcSwap::default(),
    };
    service.serve(sync.as_ref().map(|sync| sync.state().borrow().clone()).as_deref());

    let recorder = recorder(config)?;
    let sip = sip_config(config, &passwords);
    let plane = MediaPlane::start(media_config(config))?;
    let gateway = store.identity()?.map(|identity| identity.gateway);
    let parts = Parts {
        plane,
        store: Arc::clone(&store),
        plugins: Arc::clone(&plugins),
        recorder,
        serving: Arc::clone(&serving),
        memory_left: Arc::new(capacity::memory_left_kib),
        secrets: passwords,
        callers: stir::start(&config.sip.stir, tokio)?,
    };
    let runtime = Arc::new(Runtime::start(runtime_config(config, gateway), sip, parts)?);
    match &sync {
        Some(sync) => {
            follow(sync, service, tokio);
            tell(sync, &runtime, tokio);
        }
        None => history::keep_bounded(&store, &config.history, tokio)?,
    }
    Ok(Gateway {
        runtime,
        store,
        sync,
        plugins,
        refused: Arc::new(refused),
        serving,
        faults,
        left_out,
        secrets_lacking: Arc::new(secrets.lacking.iter().map(ToString::to_string).collect()),
        _plugin_host: host,
    })
}

/// How this build presents itself to a control plane.
pub(crate) fn sync_config(url: &str) -> SyncConfig {
    SyncConfig { url: url.to_owned(), extra_roots: Vec::new(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// Puts revisions into service.
struct Service {
    loaded: Loaded,
    plugins: Arc<PluginRegistry>,
    lacking: Lacking,
    serving: Arc<ArcSwap<Serving>>,
    faults: Arc<ArcSwap<Vec<AgentFault>>>,
    left_out: Arc<ArcSwap<Vec<String>>>,
    /// Knowledge bases as they were read last.
    library: ArcSwap<Library>,
}

impl Service {
    /// Puts desired state and local objects into service. Agents whose plugins cannot serve them are named: their
    /// calls are refused before they are answered.
    fn serve(&self, state: Option<&DesiredState>) {
        let mut objects = self.loaded.objects.clone();
        if let Some(state) = state {
            objects.extend(state.objects().cloned());
        }
        let (next, mut problems) = Serving::build(&objects);
        let folder = self.loaded.objects_dir.join("knowledge");
        let (library, lacking) = Library::load(&folder, Some(&*self.library.load()));
        self.library.store(Arc::clone(&library));
        problems.extend(lacking);
        let next = next.knowing(library);
        for problem in &problems {
            tracing::error!("not in service: {problem}");
        }
        self.left_out.store(Arc::new(problems));
        // An echo speaks for every agent, whatever that one lacks.
        let echo = self.loaded.config.testing.echo;
        let (next, faults) = if echo { (next, Vec::new()) } else { next.against(&self.plugins, &self.lacking) };
        for fault in &faults {
            tracing::error!(agent = %fault.agent, plugin = fault.plugin, refused = fault.refuses_calls, "{fault}");
        }
        let rev = state.map(|state| state.rev);
        tracing::info!(agents = next.agents(), ready = next.ready(), rev, "serving");
        self.serving.store(Arc::new(next));
        self.faults.store(Arc::new(faults));
    }
}

/// Serves each revision as it comes.
fn follow(sync: &Arc<SyncHandle>, service: Service, tokio: &Handle) {
    let mut states = sync.state();
    tokio.spawn(async move {
        while states.changed().await.is_ok() {
            let state = states.borrow_and_update().clone();
            service.serve(Some(&state));
        }
    });
}

/// Tells the fleet client how many calls there are, and when one is finished.
fn tell(sync: &Arc<SyncHandle>, runtime: &Arc<Runtime>, tokio: &Handle) {
    let (sync, runtime) = (Arc::downgrade(sync), Arc::downgrade(runtime));
    tokio.spawn(async move {
        let mut finished = 0;
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            let (Some(sync), Some(runtime)) = (sync.upgrade(), runtime.upgrade()) else { return };
            sync.set_calls(u32::try_from(runtime.active()).unwrap_or(u32::MAX));
            let now = runtime.counters().finished.load(Ordering::Relaxed);
            if now != finished {
                finished = now;
                sync.new_records();
            }
        }
    });
}

fn media_config(config: &Config) -> MediaConfig {
    let workers = if config.media.workers == 0 { spare_cores() } else { config.media.workers };
    let calls = usize::try_from(config.limits.max_calls).unwrap_or(usize::MAX);
    MediaConfig {
        workers,
        bind_ip: config.rtp.bind,
        ports: config.rtp.port_min..=config.rtp.port_max,
        max_legs_per_worker: calls.div_ceil(workers).max(16),
        realtime: config.media.realtime,
    }
}

fn runtime_config(config: &Config, gateway: Option<trunkline_api::Id>) -> RuntimeConfig {
    let state = &config.gateway.state_dir;
    RuntimeConfig {
        gateway,
        capacity: capacity::most(config),
        checkpoint_us: u64::from(config.limits.checkpoint_s) * 1_000_000,
        recordings: recordings(config),
        state_dir: state.clone(),
        media_addr: config.rtp.advertise.unwrap_or(config.rtp.bind),
        media_timeout_ms: config.rtp.timeout_ms,
        heavy_workers: if config.media.heavy_workers == 0 { spare_cores() } else { config.media.heavy_workers },
        load: config.admission.policy(),
        echo: config.testing.echo,
    }
}

/// Starts what writes recordings, and sets right those that a crash cut, beside the calls: there may be very many.
fn recorder(config: &Config) -> anyhow::Result<Recorder> {
    let folder = recordings(config);
    trunkline_state_folder::open_to_a_group(&folder)?;
    let kept = trunkline_recording::of_before(&folder)
        .with_context(|| format!("recording.dir {} cannot be read", folder.display()))?;
    std::thread::Builder::new().name("recover".to_owned()).spawn(move || {
        let mended = trunkline_recording::recover(&kept);
        if mended > 0 {
            tracing::warn!(mended, "recordings of an earlier run were cut; they play to their last second");
        }
    })?;
    let disk = FolderDisk::open(&folder).with_context(|| format!("recording.dir {}", folder.display()))?;
    let settings = RecorderConfig {
        writers: config.recording.writers,
        max_recordings: usize::try_from(config.limits.max_calls).unwrap_or(usize::MAX).saturating_mul(2),
        min_free_bytes: u64::from(config.recording.min_free_mib) << 20,
    };
    Ok(Recorder::start(settings, Arc::new(disk))?)
}

/// Where recordings go.
fn recordings(config: &Config) -> std::path::PathBuf {
    config.recording.dir.clone().unwrap_or_else(|| config.gateway.state_dir.join("recordings"))
}

fn sip_config(config: &Config, secrets: &BTreeMap<String, String>) -> SipConfig {
    let mut sip = SipConfig::new(config.sip.listen);
    sip.advertised = config.sip.advertise;
    sip.tcp = config.sip.tcp;
    sip.listeners = config.sip.listeners.values().map(listener).collect();
    let SipTls { cert, key, client_ca, server_ca } = config.sip.tls.clone();
    sip.tls = TlsFiles { identity: cert.zip(key), client_ca, server_ca };
    sip.unknown_peer = match config.sip.unknown_peer {
        UnknownPeer::Reject => SipUnknownPeer::Reject,
        UnknownPeer::Drop => SipUnknownPeer::Drop,
    };
    sip.name_servers.clone_from(&config.sip.name_servers);
    sip.hep = hep_config(config, secrets);
    // Where calls are not refused for load, they are not for that of signalling either.
    sip.limits.busy_permille = (config.admission.busy_percent > 0).then_some(SIGNALLING_BUSY_PERMILLE);
    sip.limits.max_calls = usize::try_from(config.limits.max_calls).unwrap_or(usize::MAX);
    let trunkline_sip::Bans { for_s, after, scanners } = &mut sip.bans;
    (*for_s, *after) = (config.sip.ban_s, config.sip.ban_after);
    scanners.clone_from(&config.sip.ban_scanners);
    sip.limits.trunk_rate = Some(Rate { per_second: config.sip.source_rate, burst: config.sip.source_burst });
    sip
}

fn listener(listener: &SipListener) -> Listener {
    let transport = match listener.transport {
        SipTransport::Udp => Transport::Udp,
        SipTransport::Tcp => Transport::Tcp,
        SipTransport::Tls => Transport::Tls,
        SipTransport::Ws => Transport::Ws,
        SipTransport::Wss => Transport::Wss,
    };
    Listener { transport, address: listener.listen, advertised: listener.advertise }
}

/// The capture server, when there is one and its password is to be had.
fn hep_config(config: &Config, secrets: &BTreeMap<String, String>) -> Option<HepConfig> {
    let Hep { collector, agent, secret } = &config.hep;
    let collector = (*collector)?;
    let password = match secrets.get(secret) {
        Some(password) => password.clone(),
        None if secret.is_empty() => String::new(),
        None => {
            tracing::error!(secret, "the capture server's password cannot be had; no messages are shown to it");
            return None;
        }
    };
    Some(HepConfig { collector, agent: *agent, password: password.into() })
}

/// Cores but one, at least one.
fn spare_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

impl Gateway {
    /// What `trunkline doctor` and `/v1/status` look at.
    pub(crate) fn status(&self) -> impl Fn() -> serde_json::Value + Send + Sync + use<> {
        let (runtime, store) = (Arc::downgrade(&self.runtime), Arc::clone(&self.store));
        let (sync, plugins) = (self.sync.clone(), Arc::clone(&self.plugins));
        let (refused, serving) = (Arc::clone(&self.refused), Arc::clone(&self.serving));
        let (faults, secrets) = (Arc::clone(&self.faults), Arc::clone(&self.secrets_lacking));
        let left_out = Arc::clone(&self.left_out);
        move || {
            let health = store.health();
            let serving = serving.load();
            json!({
                "version": env!("CARGO_PKG_VERSION"),
                "calls": runtime.upgrade().map_or(0, |runtime| runtime.active()),
                "capacity": runtime.upgrade().map(|runtime| {
                    let pool = |(pool, most, used): (Pool, u32, u32)| (pool.name(), json!({ "most": most, "used": used }));
                    runtime.pools().map(pool).into_iter().collect::<BTreeMap<_, _>>()
                }),
                "load": runtime.upgrade().map(|runtime| {
                    let part = |load: PartLoad| {
                        let figures = json!({
                            "busy_permille": load.busy_permille,
                            "expected_permille": load.expected_permille,
                            "late_us": load.late_us,
                            "refuses": load.refuses,
                        });
                        (load.part.name(), figures)
                    };
                    runtime.load().map(part).into_iter().collect::<BTreeMap<_, _>>()
                }),
                "draining": runtime.upgrade().is_none_or(|runtime| runtime.is_draining()),
                "agents": serving.agents(),
                "agents_ready": serving.ready(),
                "agent_faults": faults.load().iter().map(ToString::to_string).collect::<Vec<_>>(),
                "not_in_service": **left_out.load(),
                "secrets_lacking": *secrets,
                "plugins": plugins.names(),
                "plugins_refused":
                    refused.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "store": {
                    "available": health.available,
                    "detail": health.detail,
                    "pending_usage": health.pending[0],
                    "pending_events": health.pending[1],
                    "open_calls": health.open_calls,
                    "alarms": health.alarms.iter().map(|alarm| alarm.name).collect::<Vec<_>>(),
                },
                "control_plane": sync.as_ref().map(|sync| {
                    let status = sync.status();
                    json!({
                        "connected": status.downlink_trouble.is_none() && status.last_contact_us.is_some(),
                        "gateway": status.gateway,
                        "applied_rev": status.applied_rev,
                        "rejected": status.rejected,
                        "trouble": status.downlink_trouble,
                        "upload_trouble": status.uplink_trouble,
                        "uploaded": status.uploaded,
                    })
                }),
            })
        }
    }
}
