//! Address ranges that belong to a trunk.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address range in CIDR notation; a bare address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    ip: IpAddr,
    bits: u8,
}

/// Text that is no address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address range; 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32 are expected")]
pub struct CidrError(String);

impl Cidr {
    /// The range of so many bits, at most 32 or 128, that an address is in. An IPv4 address within IPv6 counts as IPv4.
    #[must_use]
    pub fn around(ip: IpAddr, bits: u8) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let bits = bits.min(32);
                Self { ip: IpAddr::V4(masked_v4(ip.to_bits(), bits).into()), bits }
            }
            IpAddr::V6(ip) => {
                let bits = bits.min(128);
                Self { ip: IpAddr::V6(masked_v6(ip.to_bits(), bits).into()), bits }
            }
        }
    }

    /// How many leading bits must agree: the longer, the more specific.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// Its first address.
    #[must_use]
    pub const fn network(&self) -> IpAddr {
        self.ip
    }

    /// Whether an address is in the range. An IPv4 address within IPv6 (`::ffff:a.b.c.d`) counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(ip)) => {
                masked_v4(range.to_bits(), self.bits) == masked_v4(ip.to_bits(), self.bits)
            }
            (IpAddr::V6(range), IpAddr::V6(ip)) => {
                masked_v6(range.to_bits(), self.bits) == masked_v6(ip.to_bits(), self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn masked_v4(ip: u32, bits: u8) -> u32 {
    ip & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn masked_v6(ip: u128, bits: u8) -> u128 {
    ip & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Parses `address` or `address/bits`; bits of the address beyond the range are cleared.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError(text.chars().take(64).collect());
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
            None => most,
        };
        let ip = match ip {
            IpAddr::V4(ip) => IpAddr::V4(masked_v4(ip.to_bits(), bits).into()),
            IpAddr::V6(ip) => IpAddr::V6(masked_v6(ip.to_bits(), bits).into()),
        };
        Ok(Self { ip, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
            ("203.0.113.9/24", "203.0.113.255", "203.0.114.0"),
            ("0.0.0.0/0", "8.8.8.8", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("192.0.2.0/24", "::ffff:192.0.2.5", "::ffff:192.0.3.5"),
        ] {
            let range: Cidr = range.parse().unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!range.contains(outside.parse().unwrap()), "{range} {outside}");
        }
    }

    #[test]
    fn text_that_is_no_range_is_refused() {
        for text in
            ["", "x", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+8", "::/129", "1.2.3/24", "host.example"]
        {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
