//! What SIP travels over, and where a message came from or goes: transport and address together.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A transport of SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Its name in configuration and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Its name in Via (RFC 3261 25.1, RFC 7118 5.2).
    pub(crate) const fn in_via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The one that a URI parameter, or Via, names; `ws` is both kinds of WebSocket in a URI.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name().eq_ignore_ascii_case(name))
    }

    /// What is said of it in a URI of ours: nothing where it is what is meant without.
    pub(crate) const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
            Self::Ws | Self::Wss => ";transport=ws",
        }
    }

    /// Whether nobody on the way can read along.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether what is sent arrives, or the connection ends: nothing is sent again (RFC 3261 17).
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    pub(crate) const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// The service that SRV records are kept under.
    pub(crate) const fn service(self) -> &'static str {
        match self {
            Self::Udp => "_sip._udp",
            Self::Tcp => "_sip._tcp",
            Self::Tls => "_sips._tcp",
            Self::Ws => "_sip._ws",
            Self::Wss => "_sips._ws",
        }
    }

    pub(crate) fn of_naptr(service: &str) -> Option<Self> {
        let known = [
            ("SIP+D2U", Self::Udp),
            ("SIP+D2T", Self::Tcp),
            ("SIPS+D2T", Self::Tls),
            ("SIP+D2W", Self::Ws),
            ("SIPS+D2W", Self::Wss),
        ];
        known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(service)).map(|(_, transport)| transport)
    }
}

/// Where a message came from or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// Over what.
    pub transport: Transport,
    /// The far end: of a connection that it opened, the port that it opened it from.
    pub address: SocketAddr,
    /// Which UDP socket of ours, in the order of configuration: a far end behind NAT hears nobody but the one that it spoke
    /// to. 0 for connections.
    pub socket: u8,
}

impl Hop {
    /// An address that is spoken to over UDP.
    #[must_use]
    pub const fn udp(address: SocketAddr) -> Self {
        Self { transport: Transport::Udp, address, socket: 0 }
    }

    /// The same, spoken to from another socket of ours.
    #[must_use]
    pub const fn from_socket(self, socket: u8) -> Self {
        Self { socket, ..self }
    }

    /// A far end.
    #[must_use]
    pub const fn new(transport: Transport, address: SocketAddr) -> Self {
        Self { transport, address, socket: 0 }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport.name(), self.address)
    }
}

/// From whom a message is, as far as that can be known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Its address; an IPv4 one as such, whatever socket it came to.
    pub address: IpAddr,
    /// Over what it came.
    pub transport: Transport,
    /// The DNS names of the certificate that the far end proved to have (RFC 5922), where it was asked for one.
    pub names: &'a [String],
}

impl Origin<'_> {
    /// A datagram's.
    #[must_use]
    pub const fn udp(address: IpAddr) -> Self {
        Self { address, transport: Transport::Udp, names: &[] }
    }
}
