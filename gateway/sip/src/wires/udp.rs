//! A UDP socket as the stack sees it: it may only send, and everything it sends is counted and traced. Receiving is
//! ours ([`crate::receive`]).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rsipstack::platform::net::UdpSocket as StackSocket;
use rsipstack::transport::SipConnection;
use rsipstack::transport::udp::UdpConnection;
use tokio::net::UdpSocket;

use super::notes::Notes;
use crate::transport::Hop;

/// A socket, and the stack's end of it.
pub(crate) struct Udp {
    pub(crate) sending: Arc<Sending>,
    stack: SipConnection,
}

/// The sending half.
pub(crate) struct Sending {
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) bound: SocketAddr,
    /// Its place among the UDP sockets.
    pub(crate) number: u8,
    pub(crate) advertised: SocketAddr,
    notes: Arc<Notes>,
}

impl Udp {
    /// A bound socket.
    pub(crate) fn new(
        socket: Arc<UdpSocket>,
        (bound, number): (SocketAddr, u8),
        advertised: SocketAddr,
        notes: Arc<Notes>,
    ) -> io::Result<Self> {
        let sending = Arc::new(Sending { socket, bound, number, advertised, notes });
        // The call is async for other platforms' sake only; here it is complete when first polled.
        let socket: Arc<dyn StackSocket> = Arc::clone(&sending) as _;
        let mut connecting = pin!(UdpConnection::from_socket(socket, None, None));
        let Poll::Ready(connection) = connecting.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(io::Error::other("the socket was not ready"));
        };
        let stack = SipConnection::Udp(connection.map_err(|error| io::Error::other(error.to_string()))?);
        Ok(Self { sending, stack })
    }

    /// What the stack sends over.
    pub(crate) fn stack(&self) -> SipConnection {
        self.stack.clone()
    }

    /// Whether it can send there: a socket that is bound to all IPv6 addresses serves both families.
    pub(crate) fn reaches(&self, address: SocketAddr) -> bool {
        let bound = self.sending.bound;
        bound.is_ipv4() == address.is_ipv4() || (bound.is_ipv6() && bound.ip().is_unspecified())
    }

    /// Sends.
    pub(crate) async fn send(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<()> {
        self.sending.send(bytes, peer).await.map(drop)
    }
}

impl Sending {
    async fn send(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.notes.note(bytes, Hop::udp(peer), self.advertised);
        // An IPv4 peer of a socket for both families has to be named as that socket knows it.
        let peer = match peer {
            SocketAddr::V4(peer) if self.bound.is_ipv6() => SocketAddr::from((peer.ip().to_ipv6_mapped(), peer.port())),
            peer => peer,
        };
        self.socket.send_to(bytes, peer).await
    }
}

impl StackSocket for Sending {
    fn recv_from<'life0, 'life1, 'async_trait>(
        &'life0 self,
        _buffer: &'life1 mut [u8],
    ) -> Pin<Box<dyn Future<Output = Result<(usize, SocketAddr), rsipstack::Error>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(std::future::pending())
    }

    fn send_to<'life0, 'life1, 'async_trait>(
        &'life0 self,
        bytes: &'life1 [u8],
        peer: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = Result<usize, rsipstack::Error>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move { Ok(self.send(bytes, peer).await?) })
    }

    fn local_addr(&self) -> Result<SocketAddr, rsipstack::Error> {
        Ok(self.advertised)
    }
}
