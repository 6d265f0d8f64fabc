//! The running control plane: what every handler shares, the three listeners, and an orderly end.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trunkline_api::Id;

use crate::config::Config;
use crate::http::access::Rules;
use crate::http::edge::Edge;
use crate::http::serve;
use crate::metrics::Metrics;
use crate::secret::{Keyring, SecretError};
use crate::store::{Db, StoreError, fleet, keys};
use crate::{api, bootstrap, clock, sync};

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The state folder cannot be used.
    #[error("state folder {path}: {source}; create it for this user or set `state`")]
    State {
        /// The folder or file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
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
    _lock: File,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("public", &self.public).field("sync", &self.sync).finish_non_exhaustive()
    }
}

fn make_folder(path: &Path) -> Result<(), ServeError> {
    let io = |source| ServeError::State { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)
}

async fn bind(name: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let io = |source| ServeError::Bind { name, address, source };
    let listener = TcpListener::bind(address).await.map_err(io)?;
    let bound = listener.local_addr().map_err(io)?;
    Ok((listener, bound))
}

/// Opens state folder, secrets and database, making what is missing, binds the listeners, writes `endpoints.json`
/// and serves until [`Running::stop`].
pub async fn start(config: Config) -> Result<Running, ServeError> {
    let state = config.state.clone();
    make_folder(&state)?;
    let lock_path = state.join("serve.lock");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ServeError::State { path, source }
    };
    let lock = File::create(&lock_path).map_err(io(&lock_path))?;
    if lock.try_lock().is_err() {
        return Err(ServeError::InUse(state));
    }
    let keyring = Keyring::open(&state)?;
    let db = Db::open(&config.database_path()).await?;
    let admin_key = bootstrap::first_run(&db, &keyring, &config.tenant).await?;
    let (public, public_at) = bind("public", config.listen.public).await?;
    let (sync_listener, sync_at) = bind("sync", config.listen.sync).await?;
    let (metrics, metrics_at) = bind("metrics", config.listen.metrics).await?;
    if !public_at.ip().is_loopback() {
        tracing::warn!(%public_at, "the public listener is plain HTTP; put a TLS proxy in front of it");
    }
    let (router, document) = api::router();
    let stopping = CancellationToken::new();
    let app = Arc::new(App {
        rules: crate::http::access::rules(&document),
        document: document.to_string(),
        db,
        keyring,
        metrics: Metrics::new(),
        stopping: stopping.clone(),
        changes: Mutex::new(BTreeMap::new()),
        config,
    });
    let tasks = TaskTracker::new();
    let request_limit = Duration::from_secs(app.config.limits.request_s);
    let listeners = [
        ("public", public, api::with_access(router, &app), request_limit),
        ("sync", sync_listener, sync::router(&app), request_limit + sync::LONGEST_WAIT),
        ("metrics", metrics, api::metrics_router(&app), request_limit),
    ];
    for (name, listener, router, limit) in listeners {
        let edge = Edge { app: Arc::clone(&app), router, listener: name, limit };
        let connections = app.config.limits.connections;
        tasks.spawn(serve::run(listener, edge, connections, stopping.clone(), tasks.clone()));
    }
    let endpoints = serde_json::json!({
        "public": public_at.to_string(), "sync": sync_at.to_string(), "metrics": metrics_at.to_string(),
    });
    write_whole(&state.join("endpoints.json"), endpoints.to_string().as_bytes()).map_err(io(&state))?;
    tracing::info!(public = %public_at, sync = %sync_at, metrics = %metrics_at, "serving");
    Ok(Running { public: public_at, sync: sync_at, metrics: metrics_at, admin_key, app, tasks, _lock: lock })
}

/// Replaces a file in one step, so that a reader sees all of it or the one before.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    std::fs::rename(&aside, path)
}

impl Running {
    /// Takes no new connections, ends the streams, waits for requests in progress and closes the database.
    pub async fn stop(self) {
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
    make_folder(&config.state)?;
    Db::open(&config.database_path()).await?.close().await;
    Ok(())
}

/// Makes a one-time enrolment token for the first tenant, beside a server that may be running.
pub async fn enrolment_token(config: &Config, lifetime: Duration) -> Result<String, ServeError> {
    let (db, keyring, tenant) = beside(config).await?;
    let now = clock::now_us();
    let lifetime = i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX / 4);
    let mut tx = db.begin().await?;
    let token = fleet::create_token(&mut tx, &keyring, &tenant, now + lifetime, now).await?;
    tx.commit().await?;
    db.close().await;
    Ok(token)
}

/// Makes another admin key, for whoever holds the state folder but lost the first key.
pub async fn admin_key(config: &Config) -> Result<String, ServeError> {
    let (db, keyring, tenant) = beside(config).await?;
    let mut tx = db.begin().await?;
    let scopes = ["admin".to_owned()];
    let (_, text) = keys::create(&mut tx, &keyring, &tenant, "admin key", &scopes, None, clock::now_us()).await?;
    tx.commit().await?;
    db.close().await;
    Ok(text)
}

async fn beside(config: &Config) -> Result<(Db, Keyring, Id), ServeError> {
    make_folder(&config.state)?;
    let keyring = Keyring::open(&config.state)?;
    let db = Db::open(&config.database_path()).await?;
    let tenant = bootstrap::first_tenant(&db).await?.ok_or(ServeError::NoTenant)?;
    Ok((db, keyring, tenant))
}
