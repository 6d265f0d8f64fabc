//! Our own addresses as others are told of them in Via and Contact: by transport and address family, since a peer that
//! was told of another one could not answer.

use std::net::{IpAddr, SocketAddr};

use crate::transport::{Hop, Transport};

/// Where we can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locals(Vec<Local>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Local {
    transport: Transport,
    advertised: SocketAddr,
    bound: SocketAddr,
    socket: u8,
}

impl Locals {
    /// One UDP address.
    #[must_use]
    pub fn udp(advertised: SocketAddr) -> Self {
        let mut locals = Self::default();
        locals.add(Transport::Udp, advertised, advertised, 0);
        locals
    }

    /// One more: of a UDP socket its place among those. Of two that serve alike the first is told of.
    pub(crate) fn add(&mut self, transport: Transport, advertised: SocketAddr, bound: SocketAddr, socket: u8) {
        self.0.push(Local { transport, advertised, bound, socket });
    }

    /// The same with another address, where one is given: what peers of some trunk reach us at.
    #[must_use]
    pub(crate) fn seen_at(&self, ip: Option<IpAddr>) -> Self {
        let seen = |local: &Local| match ip {
            Some(ip) if ip.is_ipv4() == local.advertised.is_ipv4() => {
                Local { advertised: SocketAddr::new(ip, local.advertised.port()), ..*local }
            }
            _ => *local,
        };
        Self(self.0.iter().map(seen).collect())
    }

    /// Host and port that the far end of a hop reaches us at: over its transport and family if we listen there; else
    /// what comes closest, which serves as a name, since the answer comes back over the connection that we opened.
    #[must_use]
    pub fn advertised(&self, to: Hop) -> SocketAddr {
        let closeness = |local: &&Local| {
            let family = local.advertised.is_ipv4() == to.address.is_ipv4();
            let alike = local.transport == to.transport;
            (family, alike, alike && local.socket == to.socket, local.transport == Transport::Tcp)
        };
        // Of those that are equally close the first: `max_by_key` takes the last.
        let best = self.0.iter().rev().max_by_key(closeness);
        best.map_or(SocketAddr::from(([127, 0, 0, 1], 5060)), |local| local.advertised)
    }

    /// The value of Via.
    pub(crate) fn via(&self, to: Hop, branch: &str) -> String {
        format!("SIP/2.0/{} {};branch={branch};rport", to.transport.in_via(), self.advertised(to))
    }

    /// A request that was written for one hop, as it goes over another.
    pub(crate) fn readdressed(&self, text: &str, from: Hop, to: Hop) -> String {
        let head = |hop: Hop| format!("SIP/2.0/{} {}", hop.transport.in_via(), self.advertised(hop));
        text.replacen(&head(from), &head(to), 1)
    }

    /// A URI that requests reach us by.
    pub(crate) fn uri(&self, to: Hop) -> String {
        format!("sip:{}{}", self.advertised(to), to.transport.parameter())
    }

    /// The same with a user.
    pub(crate) fn uri_of(&self, user: &str, to: Hop) -> String {
        format!("sip:{user}@{}{}", self.advertised(to), to.transport.parameter())
    }

    /// Whether an address is one of ours.
    pub(crate) fn is_ours(&self, address: SocketAddr) -> bool {
        self.0.iter().any(|local| local.advertised == address || local.bound == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locals() -> Locals {
        let mut locals = Locals::default();
        for (transport, advertised) in [
            (Transport::Udp, "192.0.2.1:5060"),
            (Transport::Udp, "[2001:db8::1]:5060"),
            (Transport::Tcp, "192.0.2.1:5060"),
            (Transport::Tls, "192.0.2.1:5061"),
            (Transport::Udp, "192.0.2.1:5070"),
        ] {
            let advertised: SocketAddr = advertised.parse().unwrap();
            let socket = u8::from(advertised.port() == 5070);
            locals.add(transport, advertised, advertised, socket);
        }
        locals
    }

    #[test]
    fn a_peer_is_told_of_what_it_can_reach() {
        for (to, expected) in [
            (Hop::udp("203.0.113.9:5060".parse().unwrap()), "sip:192.0.2.1:5060"),
            (Hop::udp("203.0.113.9:5060".parse().unwrap()).from_socket(1), "sip:192.0.2.1:5070"),
            (Hop::udp("[2001:db8::9]:5060".parse().unwrap()), "sip:[2001:db8::1]:5060"),
            (Hop::new(Transport::Tcp, "203.0.113.9:5060".parse().unwrap()), "sip:192.0.2.1:5060;transport=tcp"),
            (Hop::new(Transport::Tls, "203.0.113.9:5061".parse().unwrap()), "sip:192.0.2.1:5061;transport=tls"),
            (Hop::new(Transport::Wss, "203.0.113.9:443".parse().unwrap()), "sip:192.0.2.1:5060;transport=ws"),
            (Hop::new(Transport::Tls, "[2001:db8::9]:5061".parse().unwrap()), "sip:[2001:db8::1]:5060;transport=tls"),
        ] {
            assert_eq!(locals().uri(to), expected, "{to}");
        }
    }

    #[test]
    fn a_trunk_may_know_us_by_another_address() {
        let to = Hop::udp("203.0.113.9:5060".parse().unwrap());
        let seen = locals().seen_at(Some("198.51.100.7".parse().unwrap()));
        assert_eq!(seen.via(to, "b"), "SIP/2.0/UDP 198.51.100.7:5060;branch=b;rport");
        let other = Hop::udp("[2001:db8::9]:5060".parse().unwrap());
        assert_eq!(seen.uri(other), "sip:[2001:db8::1]:5060", "of the other family nothing was said");
        assert_eq!(locals().seen_at(None), locals());
        assert!(
            locals().is_ours("192.0.2.1:5061".parse().unwrap()) && !locals().is_ours("192.0.2.1:1".parse().unwrap())
        );
    }
}
