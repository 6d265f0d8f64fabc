//! Which addresses the open Internet owns. Everything else may be the operator's own network, so reaching it needs the
//! operator's word (IANA special-purpose registries, RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// Globally reachable unicast.
    Public,
    /// This host (127.0.0.0/8, ::1).
    Loopback,
    /// Private or shared networks (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// Link-local (RFC 3927, RFC 4291 2.5.6), where cloud metadata services live.
    LinkLocal,
    /// Unspecified, multicast, reserved, documentation or benchmarking.
    Special,
}

/// The class of an address. An IPv6 address that embeds an IPv4 address (mapped, 6to4, NAT64, Teredo) has the class of
/// whichever is the less public.
#[must_use]
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (127, ..) => AddressClass::Loopback,
        (169, 254, _) => AddressClass::LinkLocal,
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => AddressClass::Private,
        (0, ..) | (224..=255, ..) => AddressClass::Special,
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => AddressClass::Special,
        _ => AddressClass::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    let segments = address.segments();
    let tail = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        classify_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Special,
        // Mapped, compatible and translated IPv4 (RFC 4291 2.5.5, RFC 6052, RFC 2765).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => tail(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => tail(high, low),
        // Local-use NAT64 (RFC 8215) and discard-only (RFC 6666).
        [0x64, 0xff9b, 1, ..] | [0x100, ..] => AddressClass::Special,
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => tail(high, low),
        // Teredo (RFC 4380), ORCHID, benchmarking and the rest of 2001::/23; documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => AddressClass::Special,
        [first, ..] if first & 0xfe00 == 0xfc00 => AddressClass::Private,
        [first, ..] if first & 0xff80 == 0xfe80 => AddressClass::LinkLocal,
        [first, ..] if first & 0xe000 == 0x2000 => AddressClass::Public,
        _ => AddressClass::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_the_operators_network_are_not_public_in_any_notation() {
        use AddressClass::{LinkLocal, Loopback, Private, Public, Special};
        for (text, class) in [
            ("8.8.8.8", Public),
            ("127.9.9.9", Loopback),
            ("169.254.169.254", LinkLocal),
            ("10.0.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.0.1", Private),
            ("100.64.0.1", Private),
            ("0.0.0.0", Special),
            ("255.255.255.255", Special),
            ("224.0.0.1", Special),
            ("198.18.0.1", Special),
            ("::1", Loopback),
            ("::", Special),
            ("::ffff:127.0.0.1", Loopback),
            ("::127.0.0.1", Loopback),
            ("::ffff:8.8.8.8", Public),
            ("64:ff9b::a00:1", Private),
            ("2002:7f00:1::", Loopback),
            ("2001::1", Special),
            ("fd00::1", Private),
            ("fe80::1", LinkLocal),
            ("fec0::1", LinkLocal),
            ("ff02::1", Special),
            ("2606:4700::1", Public),
        ] {
            assert_eq!(classify(text.parse().unwrap()), class, "{text}");
        }
    }
}
