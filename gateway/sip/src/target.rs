//! Where our requests within a dialog go (RFC 3261 12.2.1.1) when what the far end says of itself cannot be reached: from
//! behind NAT it names an address of its own network, or a port that its router has changed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use trunkline_api::object::NatPolicy;

use crate::address::{parameter_of_uri, socket_addr};
use crate::transport::{Hop, Transport};

/// Where the next request goes: to the first Route, or to the remote target without one, or to `source`, from where the
/// dialog's last INVITE or target refresh came. A UDP peer takes requests where it sends from: it got our answers there
/// (RFC 3581 4); the far end of a connection takes them over that connection (RFC 5923).
pub(crate) fn next_hop(nat: NatPolicy, route: Option<&str>, target: &str, source: Hop) -> Hop {
    // Names are not resolved: to wait for a name server is not for a call that is to end.
    let Some(hop) = named(route.unwrap_or(target), source).filter(|_| nat != NatPolicy::Source) else {
        return source;
    };
    // What came so that nobody could read along is not answered so that anybody can.
    if source.transport.is_secure() && !hop.transport.is_secure() {
        return source;
    }
    if nat == NatPolicy::Contact {
        return hop;
    }
    let (near, far) = (source.address.ip(), hop.address.ip());
    let unreachable = match route {
        // A proxy of our own network may stand behind another one; from the Internet nobody is sent into a private network.
        Some(_) => is_private(far) && !is_private(near),
        // Another transport is asked for by those who mean it; another port is what a router makes.
        None => hop != source && (is_private(far) && far != near || far == near && hop.transport == source.transport),
    };
    if unreachable { source } else { hop }
}

/// Where a URI leads, when its host is an address and it is spoken there what we speak: over the transport that the call came
/// over when it names none, and from the same socket.
pub(crate) fn named(uri: &str, came: Hop) -> Option<Hop> {
    let scheme = uri.split_once(':')?.0;
    let transport = match parameter_of_uri(uri, "transport") {
        Some(name) => Transport::named(name)?,
        None => came.transport,
    };
    // A WebSocket is opened by the client alone (RFC 7118 5).
    if !scheme.eq_ignore_ascii_case("sip") || matches!(transport, Transport::Ws | Transport::Wss) {
        return None;
    }
    let address = socket_addr(uri, transport.default_port())?;
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let socket = if transport.is_reliable() { 0 } else { came.socket };
    (!address.ip().is_unspecified() && !address.ip().is_multicast()).then_some(Hop { transport, address, socket })
}

/// Addresses that are not routed on the Internet: RFC 1918, 6598, 3927, 4193, 4291 and loopback.
fn is_private(ip: IpAddr) -> bool {
    let shared = |ip: Ipv4Addr| ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback() || shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(nat: NatPolicy, route: Option<&str>, target: &str, source: &str) -> String {
        next_hop(nat, route, target, Hop::udp(source.parse().unwrap())).address.to_string()
    }

    #[test]
    fn a_contact_that_cannot_be_reached_from_here_gives_way_to_where_the_call_came_from() {
        let source = "203.0.113.7:40001";
        for (contact, expected) in [
            ("sip:a@192.168.1.20:5060", source),
            ("sip:a@10.0.0.1", source),
            ("sip:a@172.31.255.255", source),
            ("sip:a@100.64.0.9:5060", source),
            ("sip:a@169.254.3.4", source),
            ("sip:a@127.0.0.1:5060", source),
            ("sip:a@[fd00::1]:5060", source),
            ("sip:a@[fe80::1]:5060", source),
            ("sip:a@[::1]:5060", source),
            ("sip:a@[::ffff:192.168.1.20]:5060", source),
            ("sip:a@0.0.0.0:5060", source),
            ("sip:a@224.0.1.75", source),
            ("sip:a@pbx.example", source),
            ("sip:a@203.0.113.7:5060", source),
            ("sip:a@203.0.113.7", source),
            ("sip:a@203.0.113.8:5070", "203.0.113.8:5070"),
            ("sip:a@198.51.100.1", "198.51.100.1:5060"),
            ("sip:a@[2001:db8::1]", "[2001:db8::1]:5060"),
            ("sip:a@198.51.100.1;transport=UDP", "198.51.100.1:5060"),
        ] {
            assert_eq!(hop(NatPolicy::Auto, None, contact, source), expected, "{contact}");
        }
    }

    #[test]
    fn within_one_private_network_the_contact_is_where_the_call_came_from_or_it_is_not_believed() {
        assert_eq!(hop(NatPolicy::Auto, None, "sip:a@10.0.0.5:5060", "10.0.0.5:5060"), "10.0.0.5:5060");
        assert_eq!(hop(NatPolicy::Auto, None, "sip:a@10.0.0.9:5060", "10.0.0.5:5060"), "10.0.0.5:5060");
        assert_eq!(hop(NatPolicy::Contact, None, "sip:a@10.0.0.9:5060", "10.0.0.5:5060"), "10.0.0.9:5060");
    }

    #[test]
    fn a_route_is_followed_unless_it_leads_from_the_internet_into_a_private_network() {
        let contact = "sip:a@192.168.1.20";
        let to = |route, source| hop(NatPolicy::Auto, Some(route), contact, source);
        assert_eq!(to("sip:198.51.100.1:5070;lr", "203.0.113.7:5060"), "198.51.100.1:5070");
        assert_eq!(to("sip:203.0.113.7:5070;lr", "203.0.113.7:5060"), "203.0.113.7:5070");
        assert_eq!(to("sip:10.0.0.7;lr", "10.0.0.5:5060"), "10.0.0.7:5060");
        assert_eq!(to("sip:10.0.0.7;lr", "203.0.113.7:5060"), "203.0.113.7:5060");
    }

    #[test]
    fn the_policy_of_a_trunk_decides_where_it_says_so() {
        let source = "203.0.113.7:40001";
        assert_eq!(hop(NatPolicy::Contact, None, "sip:a@192.168.1.20", source), "192.168.1.20:5060");
        assert_eq!(hop(NatPolicy::Contact, None, "sip:a@203.0.113.7", source), "203.0.113.7:5060");
        assert_eq!(hop(NatPolicy::Source, None, "sip:a@198.51.100.1", source), source);
        assert_eq!(hop(NatPolicy::Source, Some("sip:198.51.100.1;lr"), "sip:a@h", source), source);
    }

    #[test]
    fn what_is_not_spoken_goes_back_the_way_the_call_came() {
        let source = "203.0.113.7:5060";
        for contact in
            ["sip:a@198.51.100.1;transport=sctp", "sip:a@198.51.100.1;transport=ws", "sips:a@198.51.100.1", "tel:+4930"]
        {
            for nat in [NatPolicy::Auto, NatPolicy::Contact] {
                assert_eq!(hop(nat, None, contact, source), source, "{contact}");
            }
        }
    }

    #[test]
    fn a_contact_may_ask_for_another_transport_but_not_for_less_secrecy() {
        let at = |nat, contact: &str, source: Hop| next_hop(nat, None, contact, source).to_string();
        let udp = Hop::udp("203.0.113.7:5060".parse().unwrap());
        let tcp = Hop::new(Transport::Tcp, "203.0.113.7:40001".parse().unwrap());
        let tls = Hop::new(Transport::Tls, "203.0.113.7:40001".parse().unwrap());
        let ws = Hop::new(Transport::Wss, "203.0.113.7:40001".parse().unwrap());
        for nat in [NatPolicy::Auto, NatPolicy::Contact] {
            assert_eq!(at(nat, "sip:a@198.51.100.1;transport=TCP", udp), "tcp 198.51.100.1:5060");
            assert_eq!(at(nat, "sip:a@203.0.113.7;transport=tcp", udp), "tcp 203.0.113.7:5060");
            assert_eq!(at(nat, "sip:a@198.51.100.1;transport=tls", tls), "tls 198.51.100.1:5061");
            assert_eq!(at(nat, "sip:a@198.51.100.1", tls), "tls 198.51.100.1:5061", "as the call came");
            assert_eq!(at(nat, "sip:a@198.51.100.1;transport=udp", tls), "tls 203.0.113.7:40001");
            assert_eq!(at(nat, "sip:a@df7jal23ls0d.invalid;transport=ws", ws), "wss 203.0.113.7:40001");
        }
        assert_eq!(at(NatPolicy::Auto, "sip:a@203.0.113.7:5060;transport=tcp", tcp), "tcp 203.0.113.7:40001", "reused");
        assert_eq!(at(NatPolicy::Auto, "sip:a@10.0.0.9:5060;transport=tcp", tcp), "tcp 203.0.113.7:40001");
        assert_eq!(at(NatPolicy::Auto, "sip:a@10.0.0.9:5060;transport=tcp", udp), "udp 203.0.113.7:5060");
        assert_eq!(at(NatPolicy::Source, "sip:a@198.51.100.1;transport=tcp", tcp), "tcp 203.0.113.7:40001");
    }
}
