//! A call's packets as a pcap file, for Wireshark and its kin: link type 101 (raw IP), each message as one UDP datagram
//! whatever carried it, since that is what an analyser puts together without the rest of a connection.

use std::net::{IpAddr, SocketAddr};

/// Raw IP: the packet begins with its IPv4 or IPv6 header.
const LINKTYPE_RAW: u32 = 101;
const UDP: u8 = 17;
const UDP_HEAD: usize = 8;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcapPacket<'a> {
    /// Microseconds since the Unix epoch.
    pub at_us: u64,
    /// Who sent it.
    pub from: SocketAddr,
    /// Who got it.
    pub to: SocketAddr,
    /// What it held, or its first bytes.
    pub payload: &'a [u8],
    /// How long it was: more than `payload` for a packet of which only the header was kept.
    pub length: usize,
}

/// A pcap file in the making.
#[derive(Debug, Clone)]
pub struct Pcap(Vec<u8>);

impl Default for Pcap {
    fn default() -> Self {
        Self::new()
    }
}

impl Pcap {
    /// A file without packets.
    #[must_use]
    pub fn new() -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&0xa1b2_c3d4_u32.to_be_bytes());
        bytes.extend_from_slice(&2_u16.to_be_bytes());
        bytes.extend_from_slice(&4_u16.to_be_bytes());
        // Time zone and accuracy, which nobody uses, then the longest packet.
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&65_535_u32.to_be_bytes());
        bytes.extend_from_slice(&LINKTYPE_RAW.to_be_bytes());
        Self(bytes)
    }

    /// Adds a packet.
    pub fn add(&mut self, packet: &PcapPacket<'_>) {
        let v4 = packet.from.ip().to_canonical().is_ipv4() && packet.to.ip().to_canonical().is_ipv4();
        let head = if v4 { 20 } else { 40 } + UDP_HEAD;
        let room = usize::from(u16::MAX) - head;
        let payload = packet.payload.get(..room).unwrap_or(packet.payload);
        let length = packet.length.clamp(payload.len(), room);
        let datagram = datagram(packet, v4, payload, length);
        let seconds = u32::try_from(packet.at_us / 1_000_000).unwrap_or(u32::MAX);
        let micros = u32::try_from(packet.at_us % 1_000_000).unwrap_or(0);
        let kept = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
        let whole = u32::try_from(head + length).unwrap_or(u32::MAX);
        for field in [seconds, micros, kept, whole] {
            self.0.extend_from_slice(&field.to_be_bytes());
        }
        self.0.extend_from_slice(&datagram);
    }

    /// The file.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn datagram(packet: &PcapPacket<'_>, v4: bool, payload: &[u8], length: usize) -> Vec<u8> {
    let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    let udp_length = short(UDP_HEAD + length);
    let (mut out, addresses) = match (packet.from.ip().to_canonical(), packet.to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) if v4 => {
            let addresses = [from.octets(), to.octets()].concat();
            let mut head = vec![0x45, 0];
            head.extend_from_slice(&short(20 + UDP_HEAD + length));
            // No fragments; 64 hops.
            head.extend_from_slice(&[0, 0, 0x40, 0, 64, UDP, 0, 0]);
            head.extend_from_slice(&addresses);
            let sum = checksum(&[&head]).to_be_bytes();
            if let Some(field) = head.get_mut(10..12) {
                field.copy_from_slice(&sum);
            }
            (head, addresses)
        }
        (from, to) => {
            let v6 = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let addresses = [v6(from), v6(to)].concat();
            let mut head = vec![0x60, 0, 0, 0];
            head.extend_from_slice(&udp_length);
            head.extend_from_slice(&[UDP, 64]);
            head.extend_from_slice(&addresses);
            (head, addresses)
        }
    };
    let mut udp = [packet.from.port().to_be_bytes(), packet.to.port().to_be_bytes(), udp_length, [0, 0]].concat();
    // Over a packet of which the end is missing no sum can be right; 0 says that there is none.
    if payload.len() == length {
        let pseudo = [addresses.as_slice(), &[0, UDP], &udp_length].concat();
        let sum = match checksum(&[&pseudo, &udp, payload]) {
            0 => 0xffff,
            sum => sum,
        };
        if let Some(field) = udp.get_mut(6..8) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
    out.extend_from_slice(&udp);
    out.extend_from_slice(payload);
    out
}

/// The Internet checksum (RFC 1071); every part but the last has an even number of bytes.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = words.map(|pair| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))).sum();
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a file back: time, length on the wire, and the packet.
    fn read(file: &[u8]) -> Vec<(u64, usize, Vec<u8>)> {
        let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((number(0), number(16), number(20)), (0xa1b2_c3d4, 65_535, 101));
        let (mut at, mut packets) = (24, Vec::new());
        while at < file.len() {
            let time = u64::from(number(at)) * 1_000_000 + u64::from(number(at + 4));
            let (kept, whole) = (number(at + 8) as usize, number(at + 12) as usize);
            packets.push((time, whole, file[at + 16..at + 16 + kept].to_vec()));
            at += 16 + kept;
        }
        packets
    }

    fn of(from: &str, to: &str, payload: &[u8], length: usize) -> Vec<u8> {
        let mut pcap = Pcap::new();
        pcap.add(&PcapPacket { at_us: 7, from: from.parse().unwrap(), to: to.parse().unwrap(), payload, length });
        pcap.into_bytes()
    }

    /// The header that the Internet checksum's usual example gives, 192.168.0.1 to 192.168.0.199, sums to zero as all do.
    #[test]
    fn headers_sum_up_as_they_should() {
        let (_, whole, packet) = read(&of("192.168.0.1:5060", "192.168.0.199:5061", b"abc", 3)).remove(0);
        assert_eq!((whole, packet.len(), packet[0]), (31, 31, 0x45));
        assert_eq!(checksum(&[&packet[..20]]), 0);
        let pseudo = [&packet[12..20], &[0, 17], &packet[24..26]].concat();
        assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);
        let example = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 192, 168, 0, 1, 192, 168, 0, 199];
        assert_eq!(checksum(&[&example]), 0xb861, "the example that RFC 1071 is taught with");
    }

    #[test]
    fn a_header_that_was_kept_of_a_packet_says_how_long_that_was() {
        let (_, whole, packet) = read(&of("[2001:db8::1]:4000", "[2001:db8::2]:4002", &[0x80; 12], 172)).remove(0);
        assert_eq!((whole, packet.len()), (40 + 8 + 172, 40 + 8 + 12));
        assert_eq!((packet[0], &packet[44..46], &packet[46..48]), (0x60, [0, 180].as_slice(), [0, 0].as_slice()));
    }

    proptest! {
        #[test]
        fn every_packet_is_read_back(
            from in any::<SocketAddr>(), to in any::<SocketAddr>(), payload in proptest::collection::vec(any::<u8>(), 0..200), at_us in 0..4_000_000_000_000_000_u64,
        ) {
            let mut pcap = Pcap::new();
            for _ in 0..2 {
                pcap.add(&PcapPacket { at_us, from, to, payload: &payload, length: payload.len() });
            }
            let packets = read(&pcap.into_bytes());
            prop_assert_eq!(packets.len(), 2);
            let (time, whole, packet) = &packets[1];
            prop_assert_eq!((*time, *whole), (at_us, packet.len()));
            prop_assert!(packet.ends_with(&payload));
            let v4 = packet[0] == 0x45;
            let (head, addresses) = if v4 { (20, &packet[12..20]) } else { (40, &packet[8..40]) };
            let pseudo = [addresses, &[0, 17], &packet[head + 4..head + 6]].concat();
            prop_assert_eq!(checksum(&[&pseudo, &packet[head..]]), 0);
            prop_assert!(!v4 || checksum(&[&packet[..20]]) == 0);
        }
    }
}
