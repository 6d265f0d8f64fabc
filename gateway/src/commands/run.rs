//! `trunkline run`: the gateway until it is asked to end.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use trunkline_configuration::Profile;

use crate::config::Loaded;
use crate::endpoints::Endpoints;
use crate::{Configuration, admin, audiosocket, exit, logging, secrets, service, state, wiring};

/// Runs until SIGTERM or SIGINT, then lets calls come to an end.
pub(crate) fn run(configuration: &Configuration) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let state = &loaded.config.gateway.state_dir;
    let served = state::FOLDER.become_owner(state).map_err(Into::into).and_then(|()| serve(&loaded));
    match served {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("trunkline cannot run: {error:#}");
            exit::FAILED
        }
    }
}

fn serve(loaded: &Loaded) -> anyhow::Result<()> {
    let config = &loaded.config;
    logging::start(&config.log)?;
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    let secrets = secrets::resolve(&config.secrets);
    safe_enough(loaded, &secrets.exposed)?;
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // From here on, so that whoever asks it to end while it starts is answered once it has started, and not by the
    // system, which would end it there and then.
    let ends = tokio.block_on(async { Ends::listen() })?;
    let state = config.gateway.state_dir.as_path();
    let mut gateway = wiring::start(loaded, secrets, tokio.handle())?;

    let token = admin::token(state)?;
    let listener = tokio.block_on(TcpListener::bind(config.admin.listen)).with_context(|| {
        format!("admin.listen {}: is another gateway running, or the port taken?", config.admin.listen)
    })?;
    let audiosocket = audiosocket::start(config, &gateway.runtime, tokio.handle())?;
    let endpoints = Endpoints {
        sip: gateway.runtime.sip_addr().context("SIP is not served")?,
        admin: listener.local_addr()?,
        audiosocket: audiosocket.as_ref().map(|served| served.address),
        pid: std::process::id(),
    };
    let api = Arc::new(admin::Admin {
        runtime: Arc::clone(&gateway.runtime),
        store: Arc::clone(&gateway.store),
        audiosocket: audiosocket.map(|served| served.stats),
        status: Box::new(gateway.status()),
        token,
        control_plane: config.control_plane.url.clone(),
    });
    // A folder whose name is too long for a socket has the port alone.
    let socket = {
        let _inside = tokio.enter();
        admin::socket::listen(state).inspect_err(|error| tracing::warn!("no admin socket: {error:#}")).ok()
    };
    let local = socket.map(|socket| tokio.spawn(axum::serve(socket, admin::router(Arc::clone(&api))).into_future()));
    let (stop_api, stopped) = oneshot::channel::<()>();
    let api = tokio.spawn(async move {
        let shutdown = async move {
            let _ = stopped.await;
        };
        axum::serve(listener, admin::router(api)).with_graceful_shutdown(shutdown).await
    });
    endpoints.write(state)?;
    tracing::info!(sip = %endpoints.sip, admin = %endpoints.admin, profile = config.profile.name(), "trunkline runs");
    let (ready, agents) = {
        let serving = gateway.serving.load();
        (serving.ready(), serving.agents())
    };
    service::ready(&format!("SIP on {}, {ready} of {agents} agents ready", endpoints.sip));
    service::watch(&gateway.runtime, tokio.handle());

    tokio.block_on(ends.asked());
    let patience = Duration::from_secs(u64::from(config.gateway.drain_s));
    tracing::info!(calls = gateway.runtime.active(), patience_s = config.gateway.drain_s, "draining");
    service::stopping(gateway.runtime.active(), patience);
    gateway.runtime.drain(patience);

    let _ = stop_api.send(());
    // Open connections to the admin API do not keep the gateway alive.
    let _ = tokio.block_on(async { tokio::time::timeout(Duration::from_secs(2), api).await });
    if let Some(local) = local {
        local.abort();
        admin::socket::remove(state);
    }
    drop(gateway.sync.take());
    let left = gateway.runtime.active();
    drop(gateway);
    Endpoints::remove(state);
    tokio.shutdown_timeout(Duration::from_secs(2));
    if left > 0 {
        tracing::warn!(left, "calls were still there; they are closed as crashed at the next start");
    }
    tracing::info!("ended");
    Ok(())
}

/// Holds what only shows on this machine against the profile; values of the configuration were held against it before.
fn safe_enough(loaded: &Loaded, exposed: &[String]) -> anyhow::Result<()> {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut found = exposed.to_vec();
    if rustix::process::geteuid().is_root() && loaded.config.profile != Profile::Dev {
        found.push(
            "running as root: a fault in the gateway would be one of the whole machine; run it as a user of its \
                    own, as the packaged unit does"
                .to_owned(),
        );
    }
    if loaded.config.profile == Profile::Prod && !found.is_empty() {
        bail!("profile prod refuses: {}", found.join("; "));
    }
    for line in found {
        tracing::warn!("unsafe in service: {line}");
    }
    Ok(())
}

/// The signals that ask it to end.
struct Ends {
    term: Signal,
    interrupt: Signal,
}

impl Ends {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
