//! `trunkline run`: the gateway until it is asked to end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::Loaded;
use crate::endpoints::Endpoints;
use crate::{Configuration, admin, exit, logging, owner, wiring};

/// Runs until SIGTERM or SIGINT, then lets calls come to an end.
pub(crate) fn run(configuration: &Configuration) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let owned = owner::become_owner(&loaded.config.gateway.state_dir);
    match owned.map_err(Into::into).and_then(|()| serve(&loaded)) {
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
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let state = config.gateway.state_dir.as_path();
    let mut gateway = wiring::start(loaded, tokio.handle())?;

    let token = admin::token(state)?;
    let listener = tokio.block_on(TcpListener::bind(config.admin.listen)).with_context(|| {
        format!("admin.listen {}: is another gateway running, or the port taken?", config.admin.listen)
    })?;
    let endpoints = Endpoints {
        sip: gateway.runtime.sip_addr().context("SIP is not served")?,
        admin: listener.local_addr()?,
        pid: std::process::id(),
    };
    let api = Arc::new(admin::Admin {
        runtime: Arc::clone(&gateway.runtime),
        store: Arc::clone(&gateway.store),
        status: Box::new(gateway.status()),
        token,
    });
    let (stop_api, stopped) = oneshot::channel::<()>();
    let api = tokio.spawn(async move {
        let shutdown = async move {
            let _ = stopped.await;
        };
        axum::serve(listener, admin::router(api)).with_graceful_shutdown(shutdown).await
    });
    endpoints.write(state)?;
    tracing::info!(sip = %endpoints.sip, admin = %endpoints.admin, "trunkline runs");

    tokio.block_on(asked_to_end())?;
    let patience = Duration::from_secs(u64::from(config.gateway.drain_s));
    tracing::info!(calls = gateway.runtime.active(), patience_s = config.gateway.drain_s, "draining");
    gateway.runtime.drain(patience);

    let _ = stop_api.send(());
    // Open connections to the admin API do not keep the gateway alive.
    let _ = tokio.block_on(async { tokio::time::timeout(Duration::from_secs(2), api).await });
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

async fn asked_to_end() -> anyhow::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
