//! HEP version 3, the encapsulation that Homer and other capture servers read: chunks of vendor, type, length and value,
//! all in network byte order.

use std::net::{IpAddr, SocketAddr};

/// Generic chunks have vendor 0.
const VENDOR: u16 = 0;
/// Bytes of a chunk's head, and of the packet's.
const CHUNK: usize = 6;
const HEAD: usize = 6;

/// What carried the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HepTransport {
    /// UDP.
    Udp,
    /// TCP, with TLS or WebSocket inside or without.
    Tcp,
}

/// What the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HepProtocol {
    /// SIP.
    Sip,
    /// RTCP.
    Rtcp,
    /// A report as JSON.
    Json,
    /// A line of a log.
    Log,
}

/// A message as a capture server gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hep<'a> {
    /// Microseconds since the Unix epoch.
    pub at_us: u64,
    /// Who sent it.
    pub from: SocketAddr,
    /// Who got it.
    pub to: SocketAddr,
    /// What carried it.
    pub transport: HepTransport,
    /// What it is.
    pub protocol: HepProtocol,
    /// Number of this gateway among those that capture.
    pub agent: u32,
    /// The server's password; none when it is empty.
    pub password: &'a str,
    /// What belongs together, a Call-ID for one; none when it is empty.
    pub correlation: &'a str,
    /// The message.
    pub payload: &'a [u8],
}

impl Hep<'_> {
    /// As one datagram of at most 65 535 bytes; what is longer loses its end.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + 128 + self.payload.len());
        out.extend_from_slice(b"HEP3\0\0");
        let (from, to) = match (self.from.ip().to_canonical(), self.to.ip().to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                chunk(&mut out, 0x0001, &[2]);
                (from.octets().to_vec(), to.octets().to_vec())
            }
            (from, to) => {
                let v6 = |ip: IpAddr| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets().to_vec(),
                    IpAddr::V6(ip) => ip.octets().to_vec(),
                };
                chunk(&mut out, 0x0001, &[10]);
                (v6(from), v6(to))
            }
        };
        chunk(&mut out, 0x0002, &[if self.transport == HepTransport::Udp { 17 } else { 6 }]);
        let (source, destination) = if from.len() == 4 { (0x0003, 0x0004) } else { (0x0005, 0x0006) };
        chunk(&mut out, source, &from);
        chunk(&mut out, destination, &to);
        chunk(&mut out, 0x0007, &self.from.port().to_be_bytes());
        chunk(&mut out, 0x0008, &self.to.port().to_be_bytes());
        let seconds = u32::try_from(self.at_us / 1_000_000).unwrap_or(u32::MAX);
        let micros = u32::try_from(self.at_us % 1_000_000).unwrap_or(0);
        chunk(&mut out, 0x0009, &seconds.to_be_bytes());
        chunk(&mut out, 0x000a, &micros.to_be_bytes());
        let protocol = match self.protocol {
            HepProtocol::Sip => 1,
            HepProtocol::Rtcp => 5,
            HepProtocol::Json => 34,
            HepProtocol::Log => 100,
        };
        chunk(&mut out, 0x000b, &[protocol]);
        chunk(&mut out, 0x000c, &self.agent.to_be_bytes());
        if !self.password.is_empty() {
            chunk(&mut out, 0x000e, bounded(self.password.as_bytes(), 255));
        }
        if !self.correlation.is_empty() {
            chunk(&mut out, 0x0011, bounded(self.correlation.as_bytes(), 1024));
        }
        let room = usize::from(u16::MAX) - out.len() - CHUNK;
        chunk(&mut out, 0x000f, bounded(self.payload, room));
        let length = u16::try_from(out.len()).unwrap_or(u16::MAX).to_be_bytes();
        if let Some(field) = out.get_mut(4..6) {
            field.copy_from_slice(&length);
        }
        out
    }
}

fn bounded(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&VENDOR.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&u16::try_from(CHUNK + value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Reads a packet as a capture server does; chunks by type.
    fn decode(bytes: &[u8]) -> Option<BTreeMap<u16, Vec<u8>>> {
        let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        if !bytes.starts_with(b"HEP3") || usize::from(number(4)?) != bytes.len() {
            return None;
        }
        let (mut at, mut chunks) = (HEAD, BTreeMap::new());
        while at < bytes.len() {
            let (vendor, kind, length) = (number(at)?, number(at + 2)?, usize::from(number(at + 4)?));
            let value = bytes.get(at + CHUNK..at + length)?.to_vec();
            assert!(vendor == 0 && chunks.insert(kind, value).is_none());
            at += length;
        }
        Some(chunks)
    }

    fn message<'a>(from: &str, to: &str, payload: &'a [u8]) -> Hep<'a> {
        Hep {
            at_us: 1_700_000_000_000_007,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            transport: HepTransport::Udp,
            protocol: HepProtocol::Sip,
            agent: 2001,
            password: "myHep",
            correlation: "a84b4c76e66710",
            payload,
        }
    }

    #[test]
    fn a_message_is_laid_out_byte_by_byte_as_the_description_has_it() {
        let plain = Hep { password: "", correlation: "", ..message("192.0.2.1:5060", "192.0.2.2:5080", b"OPTIONS") };
        let expected = [
            b"HEP3\0\x6a".as_slice(),
            &[0, 0, 0, 1, 0, 7, 2],
            &[0, 0, 0, 2, 0, 7, 17],
            &[0, 0, 0, 3, 0, 10, 192, 0, 2, 1],
            &[0, 0, 0, 4, 0, 10, 192, 0, 2, 2],
            &[0, 0, 0, 7, 0, 8, 0x13, 0xc4],
            &[0, 0, 0, 8, 0, 8, 0x13, 0xd8],
            &[0, 0, 0, 9, 0, 10, 0x65, 0x53, 0xf1, 0x00],
            &[0, 0, 0, 10, 0, 10, 0, 0, 0, 7],
            &[0, 0, 0, 11, 0, 7, 1],
            &[0, 0, 0, 12, 0, 10, 0, 0, 0x07, 0xd1],
            &[0, 0, 0, 15, 0, 13],
            b"OPTIONS",
        ]
        .concat();
        assert_eq!(plain.encode(), expected);
    }

    #[test]
    fn families_are_not_mixed_and_what_is_too_long_loses_its_end() {
        let v6 = message("[2001:db8::1]:5060", "192.0.2.2:5060", &[b'x'; 70_000]).encode();
        assert_eq!(v6.len(), 65_535);
        let chunks = decode(&v6).unwrap();
        assert_eq!((chunks[&1].as_slice(), chunks[&5].len(), chunks[&6].len()), ([10].as_slice(), 16, 16));
        assert!(!chunks.contains_key(&3) && chunks[&15].len() < 65_535);
        let mapped = decode(&message("[::ffff:192.0.2.1]:5060", "192.0.2.2:5060", b"").encode()).unwrap();
        assert_eq!(mapped[&3], [192, 0, 2, 1]);
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_read_back(
            from in any::<std::net::SocketAddr>(), to in any::<std::net::SocketAddr>(), at_us in 0..4_000_000_000_000_000_u64,
            password in "\\PC{0,40}", correlation in "\\PC{0,40}", payload in proptest::collection::vec(any::<u8>(), 0..300), tcp in any::<bool>(),
        ) {
            let transport = if tcp { HepTransport::Tcp } else { HepTransport::Udp };
            let hep = Hep { at_us, from, to, transport, protocol: HepProtocol::Sip, agent: 7, password: &password, correlation: &correlation, payload: &payload };
            let chunks = decode(&hep.encode()).unwrap();
            prop_assert_eq!(&chunks[&15], &payload);
            prop_assert_eq!(chunks.get(&14).map_or(&b""[..], |text| text), password.as_bytes());
            prop_assert_eq!(chunks.get(&17).map_or(&b""[..], |text| text), correlation.as_bytes());
            let number = |kind: u16| chunks[&kind].iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
            prop_assert_eq!(number(9) * 1_000_000 + number(10), at_us);
            prop_assert_eq!((number(7), number(8)), (u64::from(from.port()), u64::from(to.port())));
        }
    }
}
