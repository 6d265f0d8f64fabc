//! Where our requests within a dialog go (RFC 3261 12.2.1.1) when what the far end says of itself cannot be reached: from
//! behind NAT it names an address of its own network, or a port that its router has changed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use trunkline_api::object::NatPolicy;

use crate::address::{parameter_of_uri, socket_addr};

/// The address for the next request: that of the first Route, or of the remote target without one, or `source`, from where
/// the dialog's last INVITE or target refresh came. A UDP peer takes requests where it sends from: it got our answers there
/// (RFC 3581 4).
pub(crate) fn next_hop(nat: NatPolicy, route: Option<&str>, target: &str, source: SocketAddr) -> SocketAddr {
    let uri = route.unwrap_or(target);
    if nat == NatPolicy::Source || !is_udp(uri) {
        return source;
    }
    // Names are not resolved: to wait for a name server is not for a call that is to end.
    let Some(hop) = socket_addr(uri).filter(|hop| !hop.ip().is_unspecified() && !hop.ip().is_multicast()) else {
        return source;
    };
    let hop = SocketAddr::new(hop.ip().to_canonical(), hop.port());
    if nat == NatPolicy::Contact {
        return hop;
    }
    let unreachable = match route {
        // A proxy of our own network may stand behind another one; from the Internet nobody is sent into a private network.
        Some(_) => is_private(hop.ip()) && !is_private(source.ip()),
        None => hop != source && (is_private(hop.ip()) || hop.ip() == source.ip()),
    };
    if unreachable { source } else { hop }
}

/// Whether a URI is served: over UDP, and not only where every hop is encrypted. What is not goes back the way the call came.
fn is_udp(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("sip"))
        && parameter_of_uri(uri, "transport").is_none_or(|transport| transport.eq_ignore_ascii_case("udp"))
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
        next_hop(nat, route, target, source.parse().unwrap()).to_string()
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
    fn what_is_not_spoken_over_udp_goes_back_the_way_the_call_came() {
        let source = "203.0.113.7:5060";
        for contact in [
            "sip:a@198.51.100.1;transport=tcp",
            "sip:a@198.51.100.1;user=phone;Transport=TLS",
            "sips:a@198.51.100.1",
            "tel:+4930",
        ] {
            for nat in [NatPolicy::Auto, NatPolicy::Contact] {
                assert_eq!(hop(nat, None, contact, source), source, "{contact}");
            }
        }
    }
}
