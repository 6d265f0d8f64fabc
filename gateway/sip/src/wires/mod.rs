//! Everything that SIP leaves by: the UDP sockets and the connections, chosen by where a message goes.

mod flow;
mod flows;
mod notes;
mod tls;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rsipstack::transport::SipConnection;

use crate::client::Transmit;
use crate::locals::Locals;
use crate::locate::Server;
use crate::transport::{Hop, Origin, Transport};

pub(crate) use flow::{Flow, Outgoing};
pub(crate) use flows::{Flows, canonical, keep_alive};
pub(crate) use notes::{Notes, wall_us};
pub(crate) use tls::Tls;
pub(crate) use udp::Udp;

/// The sockets, and who we are over each.
pub(crate) struct Wires {
    udp: Vec<Arc<Udp>>,
    pub(crate) flows: Flows,
    pub(crate) locals: Locals,
    pub(crate) notes: Arc<Notes>,
}

impl Wires {
    pub(crate) const fn new(udp: Vec<Arc<Udp>>, flows: Flows, locals: Locals, notes: Arc<Notes>) -> Self {
        Self { udp, flows, locals, notes }
    }

    /// Sends a message. Of a connection that is not there yet one is opened, which takes at most some seconds; `name` is
    /// what the far end's certificate must be for.
    pub(crate) async fn send(&self, bytes: &[u8], to: Hop, name: Option<&str>) -> io::Result<()> {
        if to.transport == Transport::Udp {
            return self.udp_to(to)?.send(bytes, to.address).await;
        }
        let flow = self.flows.to(to, name).await?;
        self.notes.note(bytes, to, flow.local);
        flow.push(Bytes::copy_from_slice(bytes))
    }

    /// The same of a request of ours, which may go another way when nobody can be reached where it is meant to go.
    pub(crate) async fn transmit(&self, transmit: &Transmit, names: &CertificateNames) -> io::Result<()> {
        let to = transmit.to;
        let sent = self.send(transmit.text.as_bytes(), to, names.of_hop(to)).await;
        match (sent, transmit.detour) {
            (Err(error), Some(detour)) => {
                tracing::debug!(%error, %to, %detour, "nobody can be reached there");
                let text = self.locals.readdressed(&transmit.text, to, detour);
                self.send(text.as_bytes(), detour, names.of_hop(detour)).await
            }
            (sent, _) => sent,
        }
    }

    /// What the stack sends over to get somewhere.
    pub(crate) async fn stack(&self, to: Hop) -> io::Result<SipConnection> {
        if to.transport == Transport::Udp {
            return Ok(self.udp_to(to)?.stack());
        }
        Ok(self.flows.to(to, None).await?.stack.clone())
    }

    /// The names that the far end of an open connection has proven.
    pub(crate) fn with_origin<T>(&self, hop: Hop, look: impl FnOnce(&Origin<'_>) -> T) -> T {
        let flow = self.flows.open(hop);
        let names = flow.as_ref().map_or(&[][..], |flow| &flow.names);
        look(&Origin { address: hop.address.ip(), transport: hop.transport, names })
    }

    /// The place of the UDP socket that a transaction came by; 0 for a connection.
    pub(crate) fn socket_of(&self, connection: Option<&SipConnection>) -> u8 {
        let Some(SipConnection::Udp(udp)) = connection else { return 0 };
        let known = SocketAddr::try_from(udp.get_addr().addr.clone()).ok();
        let found = self.udp.iter().find(|udp| Some(udp.sending.advertised) == known);
        found.map_or(0, |udp| udp.sending.number)
    }

    /// The socket that a hop is meant for, or one that reaches its address.
    fn udp_to(&self, to: Hop) -> io::Result<&Arc<Udp>> {
        let reaches = |udp: &&Arc<Udp>| udp.reaches(to.address);
        let meant = self.udp.get(usize::from(to.socket)).filter(reaches);
        meant.or_else(|| self.udp.iter().find(reaches)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::AddrNotAvailable, "no UDP socket of ours reaches addresses of that family")
        })
    }
}

/// Which name the certificate of which server must be for (RFC 5922 4).
#[derive(Debug, Clone, Default)]
pub(crate) struct CertificateNames(Vec<(SocketAddr, String)>);

impl CertificateNames {
    pub(crate) fn of<'a>(servers: impl IntoIterator<Item = &'a Server>) -> Self {
        let named = servers.into_iter().filter(|server| server.transport.is_secure());
        Self(named.map(|server| (server.address, server.certificate_name.clone())).collect())
    }

    pub(crate) fn of_hop(&self, to: Hop) -> Option<&str> {
        self.0.iter().find(|(address, _)| *address == to.address).map(|(_, name)| name.as_str())
    }
}
