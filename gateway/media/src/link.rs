//! What a leg's sound comes and goes by: a pair of sockets, or a stream that somebody else reads and writes.

use std::net::SocketAddr;

use crate::ports::LegSocket;
use crate::stream::StreamLink;

/// What a leg is attached to.
#[derive(Debug)]
pub enum Link {
    /// RTP and RTCP.
    Rtp(LegSocket),
    /// A stream.
    Stream(Box<StreamLink>),
}

impl Link {
    /// Whether the far end is gone already; of RTP nobody knows.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Rtp(_) => false,
            Self::Stream(stream) => stream.is_over(),
        }
    }

    /// The address that RTP is bound to; `None` for a stream.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Rtp(socket) => Some(socket.local_addr()),
            Self::Stream(_) => None,
        }
    }
}

impl From<LegSocket> for Link {
    fn from(socket: LegSocket) -> Self {
        Self::Rtp(socket)
    }
}

impl From<StreamLink> for Link {
    fn from(link: StreamLink) -> Self {
        Self::Stream(Box::new(link))
    }
}
