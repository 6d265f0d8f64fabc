//! The sockets that the endpoint is given at its start, and what each is known as to peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};

use crate::config::{Listener, SipConfig};
use crate::error::SipError;
use crate::locals::Locals;
use crate::transport::Transport;
use crate::wires::{Notes, Udp};

/// How often a free port is looked for that UDP and TCP both have.
const TRIES: usize = 16;

/// Sockets that are bound and not served yet.
pub(crate) struct Sockets {
    /// Where the first of them is bound.
    pub(crate) first: SocketAddr,
    udp: Vec<(std::net::UdpSocket, Option<IpAddr>)>,
    streams: Vec<(std::net::TcpListener, Transport, Option<IpAddr>)>,
}

/// What is served: sockets for datagrams, those that take connections, and who we are over them.
type Served = (Vec<Arc<Udp>>, Vec<(TcpListener, Transport)>, Locals);

impl Sockets {
    /// Binds all that the configuration names.
    pub(crate) fn bind(config: &SipConfig) -> Result<Self, SipError> {
        let mut sockets = Self::bind_first(config)?;
        for Listener { transport, address, advertised } in config.listeners.iter().copied() {
            let why = |why| SipError::Bind { address, why };
            match transport {
                Transport::Udp => sockets.udp.push((udp(address).map_err(why)?, advertised)),
                _ => sockets.streams.push((tcp(address).map_err(why)?, transport, advertised)),
            }
        }
        Ok(sockets)
    }

    /// UDP and TCP at one address. Where any port will do one is looked for that both have.
    fn bind_first(config: &SipConfig) -> Result<Self, SipError> {
        let mut tries = if config.listen.port() == 0 { TRIES } else { 1 };
        loop {
            tries -= 1;
            let why = |why| SipError::Bind { address: config.listen, why };
            let datagrams = udp(config.listen).map_err(why)?;
            let first = datagrams.local_addr().map_err(why)?;
            let udp = vec![(datagrams, config.advertised)];
            if !config.tcp {
                return Ok(Self { first, udp, streams: Vec::new() });
            }
            match tcp(first) {
                Ok(stream) => {
                    return Ok(Self { first, udp, streams: vec![(stream, Transport::Tcp, config.advertised)] });
                }
                Err(_) if tries > 0 => {}
                Err(error) => return Err(SipError::Bind { address: first, why: error }),
            }
        }
    }

    /// Whether certificates are needed.
    pub(crate) fn are_secure(&self) -> bool {
        self.streams.iter().any(|(_, transport, _)| transport.is_secure())
    }

    /// Hands them to the runtime that this is called within.
    pub(crate) fn serve(self, notes: &Arc<Notes>) -> Result<Served, SipError> {
        let (mut udp, mut streams, mut locals) = (Vec::new(), Vec::new(), Locals::default());
        for (socket, advertised) in self.udp {
            let bound = socket.local_addr().map_err(SipError::Threads)?;
            let why = |why| SipError::Bind { address: bound, why };
            let number = u8::try_from(udp.len()).unwrap_or(u8::MAX);
            let known = known_as(&mut locals, Transport::Udp, (bound, number), advertised);
            let socket = Arc::new(UdpSocket::from_std(socket).map_err(why)?);
            udp.push(Arc::new(Udp::new(socket, (bound, number), known, Arc::clone(notes)).map_err(why)?));
        }
        for (socket, transport, advertised) in self.streams {
            let bound = socket.local_addr().map_err(SipError::Threads)?;
            let why = |why| SipError::Bind { address: bound, why };
            known_as(&mut locals, transport, (bound, 0), advertised);
            streams.push((TcpListener::from_std(socket).map_err(why)?, transport));
        }
        Ok((udp, streams, locals))
    }
}

fn udp(address: SocketAddr) -> std::io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn tcp(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = std::net::TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What peers know a socket as. One that is bound to all addresses is known by those that the default routes leave by: one
/// of each family, where it serves both.
fn known_as(
    locals: &mut Locals,
    transport: Transport,
    (bound, socket): (SocketAddr, u8),
    advertised: Option<IpAddr>,
) -> SocketAddr {
    let at = |ip| SocketAddr::new(ip, bound.port());
    if let Some(ip) = advertised {
        locals.add(transport, at(ip), bound, socket);
        return at(ip);
    }
    if !bound.ip().is_unspecified() {
        locals.add(transport, bound, bound, socket);
        return bound;
    }
    let mut known = Vec::new();
    if bound.is_ipv6() {
        known.extend(leaves_by(true));
    }
    known.extend(leaves_by(false));
    if known.is_empty() {
        known.push(if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    for ip in &known {
        locals.add(transport, at(*ip), bound, socket);
    }
    at(known[0])
}

/// The address that the default route of a family leaves by.
fn leaves_by(ipv6: bool) -> Option<IpAddr> {
    // Connecting a UDP socket sends nothing; it only picks a route.
    let (any, far): (IpAddr, _) = if ipv6 {
        (Ipv6Addr::UNSPECIFIED.into(), "[2001:db8::1]:9")
    } else {
        (Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1:9")
    };
    let socket = std::net::UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(far).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}
