//! The running control plane: what every handler shares, the three listeners, and an orderly end.
//!
//! A start goes: state folder, database, secrets, sockets, certificate, serving, first key, `endpoints.json`, ready.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trunkline_api::Id;
use trunkline_api::enrolment::{EnrolmentToken, Fingerprint};

use crate::bootstrap::BootstrapError;
use crate::config::Config;
use crate::http::access::Rules;
use crate::http::edge::Edge;
use crate::http::serve;
use crate::keyring::{Keyring, Missing};
use crate::metrics::Metrics;
use crate::secret::SecretError;
use crate::store::{Db, StoreError, fleet};
use crate::tls::{self, Tls, TlsError};
use crate::{FolderError, api, bootstrap, clock, notify, state, sync};

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no first tenant or no new key.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Another process serves from the same folder.
    #[error("state folder {0}: another control plane uses it; stop that one or set another `state`")]
    InUse(PathBuf),
    /// An address cannot be bound.
    #[error("cannot listen on {address} ({name}): {source}; free the port or change `listen.{name}`")]
    Bind {
        /// Which listener.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The secrets cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no tenant yet.
    #[error("there is no tenant yet; run `trunkline-control-plane serve` once")]
    NoTenant,
}

/// What handlers share.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) db: Db,
    pub(crate) keyring: Keyring,
    /// The key by which gateways that enrol know this control plane.
    pub(crate) pin: Option<Fingerprint>,
    pub(crate) metrics: Metrics,
    pub(crate) rules: Rules,
    pub(crate) document: String,
    pub(crate) stopping: CancellationToken,
    changes: Mutex<BTreeMap<Id, watch::Sender<u64>>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App(..)")
    }
}

/// Shared by every handler.
pub(crate) type Shared = Arc<App>;

impl App {
    /// Wakes the tenant's streams: its desired state or the standing of a gateway changed.
    pub(crate) fn changed(&self, tenant: &Id) {
        if let Ok(changes) = self.changes.lock()
            && let Some(sender) = changes.get(tenant)
        {
            sender.send_modify(|count| *count += 1);
        }
    }

    /// Follows the tenant's changes.
    pub(crate) fn watch(&self, tenant: &Id) -> watch::Receiver<u64> {
        let mut changes = match self.changes.lock() {
            Ok(changes) => changes,
            Err(poisoned) => poisoned.into_inner(),
        };
        changes.entry(tenant.clone()).or_insert_with(|| watch::channel(0).0).subscribe()
    }
}

/// A control plane that serves.
pub struct Running {
    /// Address of the REST API.
    pub public: SocketAddr,
    /// Address of the gateway listener.
    pub sync: SocketAddr,
    /// Address of the metrics.
    pub metrics: SocketAddr,
    /// The admin key, on the first run only.
    pub admin_key: Option<String>,
    app: Shared,
    tasks: TaskTracker,
    renew: Arc<Notify>,
    _lock: File,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("public", &self.public).field("sync", &self.sync).finish_non_exhaustive()
    }
}

async fn bind(name: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let io = |source| ServeError::Bind { name, address, source };
    let listener = TcpListener::bind(address).await.map_err(io)?;
    let bound = listener.local_addr().map_err(io)?;
    Ok((listener, bound))
}

/// Opens state folder, database and secrets, making what is missing, binds the listeners and serves until
/// [`Running::stop`]. When it returns, the first admin key and `endpoints.json` are written.
pub async fn start(config: Config) -> Result<Running, ServeError> {
    let state = config.state.clone();
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| FolderError::Io { path, source }
    };
    let (lock, db, keyring) = open(&config).await?;
    let (public, public_at) = bind("public", config.listen.public).await?;
    let (sync_listener, sync_at) = bind("sync", config.listen.sync).await?;
    let (metrics, metrics_at) = bind("metrics", config.listen.metrics).await?;
    let bound: Vec<SocketAddr> = [public_at, sync_at].into_iter().filter(|address| config.is_tls(*address)).collect();
    let tls = if bound.is_empty() { None } else { Some(Tls::start(&config, bound)?) };
    let acceptor = |address| match &tls {
        Some(tls) if config.is_tls(address) => tls.acceptor().map(Some),
        _ => Ok(None),
    };
    let (public_tls, sync_tls) = (acceptor(public_at)?, acceptor(sync_at)?);
    let pin = if sync_tls.is_some() { tls.as_ref().map(Tls::pin).transpose()?.flatten() } else { None };
    let (router, document) = api::router();
    let stopping = CancellationToken::new();
    let app = Arc::new(App {
        rules: crate::http::access::rules(&document),
        document: document.to_string(),
        db,
        keyring,
        pin,
        metrics: Metrics::new(),
        stopping: stopping.clone(),
        changes: Mutex::new(BTreeMap::new()),
        config,
    });
    let (tasks, renew) = (TaskTracker::new(), Arc::new(Notify::new()));
    if let Some(tls) = tls {
        tasks.spawn(tls.keep(Arc::clone(&renew), stopping.clone()));
    }
    let request_limit = Duration::from_secs(app.config.limits.request_s);
    let urls = [("public", public_at, public_tls.is_some()), ("sync", sync_at, sync_tls.is_some())];
    let listeners = [
        ("public", public, public_tls, api::with_access(router, &app), request_limit),
        ("sync", sync_listener, sync_tls, sync::router(&app), request_limit + sync::LONGEST_WAIT),
        ("metrics", metrics, None, api::metrics_router(&app), request_limit),
    ];
    for (name, listener, tls, router, limit) in listeners {
        let edge = Edge { app: Arc::clone(&app), router, listener: name, limit };
        let connections = app.config.limits.connections;
        tasks.spawn(serve::run(listener, tls, edge, connections, stopping.clone(), tasks.clone()));
    }
    let mut running = Running {
        public: public_at,
        sync: sync_at,
        metrics: metrics_at,
        admin_key: None,
        app,
        tasks,
        renew,
        _lock: lock,
    };
    // Only now, so that a key is not handed out by a control plane that cannot serve.
    let app = &running.app;
    let first = bootstrap::first_run(&app.db, &app.keyring, &app.config.tenant, &state).await;
    let mut endpoints = serde_json::json!({
        "public": public_at.to_string(), "sync": sync_at.to_string(), "metrics": metrics_at.to_string(),
    });
    for (name, address, tls) in urls {
        let scheme = if tls { "https" } else { "http" };
        endpoints["urls"][name] = format!("{scheme}://{address}").into();
    }
    let path = state.join("endpoints.json");
    let ended = match first {
        Ok(key) => {
            running.admin_key = key;
            trunkline_state_folder::replace(&path, endpoints.to_string().as_bytes())
                .map_err(|error| io(&path)(error).into())
        }
        Err(error) => Err(ServeError::from(error)),
    };
    if let Err(error) = ended {
        running.stop().await;
        return Err(error);
    }
    tracing::info!(public = %endpoints["urls"]["public"], sync = %endpoints["urls"]["sync"], metrics = %metrics_at, "serving");
    running.tasks.spawn(notify::feed_watchdog(running.app.db.clone(), stopping));
    notify::ready();
    Ok(running)
}

/// The state folder, for one process alone, with what is in it. Secrets are made only while no tenant needs them.
async fn open(config: &Config) -> Result<(File, Db, Keyring), ServeError> {
    state::FOLDER.open(&config.state)?;
    let path = config.state.join("serve.lock");
    let io = |source| FolderError::Io { path: path.clone(), source };
    trunkline_state_folder::reserve(&path).map_err(io)?;
    let lock = File::options().write(true).open(&path).map_err(io)?;
    if lock.try_lock().is_err() {
        return Err(ServeError::InUse(config.state.clone()));
    }
    let db = Db::open(&config.database_path()).await?;
    let missing = match bootstrap::first_tenant(&db).await? {
        Some(_) => Missing::Refuse,
        None => Missing::Make,
    };
    let keyring = Keyring::open(&config.state, &config.secrets, missing)?;
    Ok((lock, db, keyring))
}

impl Running {
    /// Renews the certificate, or reads its files again, now.
    pub fn renew_certificate(&self) {
        self.renew.notify_one();
    }

    /// Takes no new connections, ends the streams, waits for requests in progress and closes the database.
    pub async fn stop(self) {
        notify::stopping();
        self.app.stopping.cancel();
        self.tasks.close();
        let limit = Duration::from_secs(self.app.config.limits.drain_s);
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("requests were still in progress after `limits.drain_s`; they are cut");
        }
        self.app.db.close().await;
        let _ = std::fs::remove_file(self.app.config.state.join("endpoints.json"));
        tracing::info!("stopped");
    }
}

/// Brings the database up to date without serving.
pub async fn migrate(config: &Config) -> Result<(), ServeError> {
    state::FOLDER.open(&config.state)?;
    Db::open(&config.database_path()).await?.close().await;
    Ok(())
}

/// Makes a one-time enrolment token for the first tenant, beside a server that may be running.
pub async fn enrolment_token(config: &Config, lifetime: Duration) -> Result<String, ServeError> {
    let (db, keyring, tenant) = beside(config).await?;
    let control_plane = tls::pin(config)?;
    let now = clock::now_us();
    let lifetime = i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX / 4);
    let mut tx = db.begin().await?;
    let secret = fleet::create_token(&mut tx, &keyring, &tenant, now + lifetime, now).await?;
    tx.commit().await?;
    db.close().await;
    Ok(EnrolmentToken { secret, control_plane }.to_string())
}

/// Where [`admin_key`] and the first start leave a key.
#[must_use]
pub fn admin_key_file(config: &Config) -> PathBuf {
    config.state.join(bootstrap::ADMIN_KEY)
}

/// Makes another admin key, for whoever holds the state folder but lost the first key. `in_file`: it is also left in
/// [`admin_key_file`].
pub async fn admin_key(config: &Config, in_file: bool) -> Result<String, ServeError> {
    let (db, keyring, tenant) = beside(config).await?;
    let file = in_file.then_some(config.state.as_path());
    let text = bootstrap::another_key(&db, &keyring, &tenant, file).await?;
    db.close().await;
    Ok(text)
}

/// The certificate authority that clients have to trust, in PEM; none when its certificate is from a public one.
pub fn authority(config: &Config) -> Result<Option<String>, ServeError> {
    state::FOLDER.open(&config.state)?;
    Ok(tls::authority_pem(config)?)
}

async fn beside(config: &Config) -> Result<(Db, Keyring, Id), ServeError> {
    state::FOLDER.open(&config.state)?;
    let db = Db::open(&config.database_path()).await?;
    let tenant = bootstrap::first_tenant(&db).await?.ok_or(ServeError::NoTenant)?;
    let keyring = Keyring::open(&config.state, &config.secrets, Missing::Refuse)?;
    Ok((db, keyring, tenant))
}
