//! Who is never banned: ends of calls that are up, servers of trunks, and, but for wrong passwords, whoever belongs to a trunk.

use std::collections::BTreeSet;
use std::net::IpAddr;

use trunkline_api::cidr::Cidr;

use super::BanReason;
use crate::shared::Shared;

/// A range of peers that is wider says nothing about an address.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 32;

/// Addresses and ranges.
#[derive(Debug, Default)]
pub(super) struct Spared {
    addresses: BTreeSet<IpAddr>,
    ranges: BTreeSet<Cidr>,
    /// Peers of trunks.
    peers: BTreeSet<Cidr>,
}

impl Spared {
    #[cfg(test)]
    pub(super) fn new(addresses: impl IntoIterator<Item = IpAddr>, ranges: impl IntoIterator<Item = Cidr>) -> Self {
        let peers = BTreeSet::new();
        Self { addresses: addresses.into_iter().collect(), ranges: ranges.into_iter().collect(), peers }
    }

    #[cfg(test)]
    pub(super) fn of_trunk(peers: impl IntoIterator<Item = Cidr>) -> Self {
        Self { peers: peers.into_iter().collect(), ..Self::default() }
    }

    /// Whoever an endpoint's calls are up with, and the servers of its trunks.
    pub(super) fn of(shared: &Shared) -> Self {
        let mut spared = Self { peers: shared.policy.peers().into_iter().collect(), ..Self::default() };
        let calls: Vec<_> = shared.calls().values().cloned().collect();
        for call in calls {
            let dialog = call.dialog();
            spared.addresses.insert(dialog.source.address.ip().to_canonical());
            spared.ranges.extend(dialog.peers().iter().copied().filter(speaks_for_its_addresses));
        }
        let servers = shared.keeping.status().into_iter().flat_map(|trunk| trunk.servers());
        spared.addresses.extend(servers.map(|server| server.address.ip().to_canonical()));
        spared
    }

    /// Whether a source is not to be banned for a reason; of IPv6 the whole network of 64 bits is not.
    pub(super) fn holds(&self, source: IpAddr, reason: BanReason) -> bool {
        let same = |address: &IpAddr| match (source.to_canonical(), address) {
            (IpAddr::V6(source), IpAddr::V6(address)) => source.to_bits() >> 64 == address.to_bits() >> 64,
            (source, address) => source == *address,
        };
        let near = match source.to_canonical() {
            // The first of the network is the least that can be the same.
            IpAddr::V6(ip) => IpAddr::from(std::net::Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            ip => ip,
        };
        self.addresses.range(near..).next().is_some_and(same)
            || self.ranges.iter().any(|range| holds(range, source))
            || (reason != BanReason::Password && self.peers.iter().any(|range| holds(range, source)))
    }
}

fn speaks_for_its_addresses(range: &Cidr) -> bool {
    range.bits() >= if range.network().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 }
}

/// Whether a range holds a source, or lies within the network of 64 bits that a source of IPv6 is of.
fn holds(range: &Cidr, source: IpAddr) -> bool {
    range.contains(source)
        || match (range.network(), source) {
            (IpAddr::V6(range), IpAddr::V6(source)) => range.to_bits() >> 64 == source.to_bits() >> 64,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_and_ranges_are_spared_and_their_neighbours_are_not() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let range = |text: &str| text.parse::<Cidr>().unwrap();
        let addresses = ["192.0.2.7", "2001:db8:0:1::9"].map(ip);
        let spared = Spared::new(addresses, ["198.51.100.0/28", "2001:db8:0:2::80/122"].map(range));
        for held in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8:0:1::1", "2001:db8:0:1:ffff::", "198.51.100.15"] {
            assert!(spared.holds(ip(held), BanReason::Password), "{held}");
        }
        assert!(spared.holds(ip("2001:db8:0:2::1"), BanReason::Scanner), "a ban would be of the whole network");
        for other in ["192.0.2.8", "192.0.2.6", "2001:db8::9", "2001:db8:0:3::9", "198.51.100.16"] {
            assert!(!spared.holds(ip(other), BanReason::Scanner), "{other}");
        }
        let trunks = Spared::of_trunk([range("192.0.2.0/24")]);
        assert!(
            trunks.holds(ip("192.0.2.8"), BanReason::Scanner) && !trunks.holds(ip("192.0.2.8"), BanReason::Password)
        );
        assert!(!speaks_for_its_addresses(&range("0.0.0.0/0")) && speaks_for_its_addresses(&range("10.0.0.0/24")));
    }
}
