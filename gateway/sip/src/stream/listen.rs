//! Takes connections: TCP, TLS and WebSocket, each served by a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::serve::{STRANGER, serve_theirs};
use super::websocket;
use crate::shared::Shared;
use crate::transport::{Hop, Origin, Transport};
use crate::wires::{canonical, keep_alive};

/// Takes connections until the endpoint stops.
pub(crate) async fn listen(shared: Arc<Shared>, listener: TcpListener, transport: Transport) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok((tcp, peer)) => (tcp, canonical(peer)),
            Err(error) => {
                // Too many open files, or a far end that was gone at once: neither ends serving.
                tracing::debug!(%error, "a connection was not taken");
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
        };
        // Over TLS a certificate may yet say who it is.
        let trunk = shared.policy.trunk(peer.ip());
        let origin = Origin { address: peer.ip(), transport, names: &[] };
        let by_address = trunk.as_ref().is_some_and(|trunk| !shared.is_unproven(&origin, trunk));
        if !transport.is_secure() && shared.bans.keep_out(peer.ip(), trunk.is_some(), b"") {
            shared.counters.dropped(crate::stats::Dropped::Banned);
            continue;
        }
        if shared.wires.flows.count() >= shared.config.limits.max_connections {
            shared.counters.dropped(crate::stats::Dropped::Full);
            continue;
        }
        keep_alive(&tcp);
        tokio::spawn(serve(Arc::clone(&shared), tcp, peer, transport, by_address));
    }
}

async fn serve(shared: Arc<Shared>, tcp: TcpStream, peer: SocketAddr, transport: Transport, by_address: bool) {
    let hop = Hop::new(transport, peer);
    let mut names = Vec::new();
    if !transport.is_secure() {
        return match transport {
            Transport::Ws => websocket::serve(&shared, tcp, hop, names).await,
            _ => serve_theirs(&shared, tcp, hop, names).await,
        };
    }
    let Some(tls) = shared.wires.flows.tls.clone() else { return };
    // The handshake costs: until it is over nobody has shown who it is.
    let tls = {
        let Some(_stranger) = shared.wires.flows.stranger(peer.ip(), by_address) else {
            return shared.counters.dropped(crate::stats::Dropped::Rate);
        };
        match tokio::time::timeout(STRANGER, tls.accept(tcp)).await {
            Ok(Ok((tls, proven))) => {
                names = proven;
                tls
            }
            Ok(Err(error)) => return tracing::debug!(peer = %hop, %error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!(peer = %hop, "a TLS handshake took too long"),
        }
    };
    match transport {
        Transport::Wss => websocket::serve(&shared, tls, hop, names).await,
        _ => serve_theirs(&shared, tls, hop, names).await,
    }
}
