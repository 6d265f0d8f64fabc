//! What the other side reports of our packets (RFC 3550 6.4).

use rtcp_types::{Compound, Packet};

/// Packets of `ssrc` that the sender of this RTCP datagram says it has lost in all; duplicates can make it negative.
pub(crate) fn lost(datagram: &[u8], ssrc: u32) -> Option<i32> {
    let mut found = None;
    for packet in Compound::parse(datagram).ok()?.flatten() {
        let cumulative = match &packet {
            Packet::Sr(report) => {
                report.report_blocks().find(|block| block.ssrc() == ssrc).map(|block| block.cumulative_lost())
            }
            Packet::Rr(report) => {
                report.report_blocks().find(|block| block.ssrc() == ssrc).map(|block| block.cumulative_lost())
            }
            _ => None,
        };
        // 24 bits with a sign.
        found = cumulative.map(|lost| (lost << 8).cast_signed() >> 8).or(found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_about_us_is_read_and_one_about_others_is_not() {
        let report = |lost: [u8; 3]| {
            let mut packet = vec![0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 0];
            packet.extend(lost);
            packet.extend([0; 16]);
            packet
        };
        assert_eq!(lost(&report([0, 1, 2]), 9), Some(258));
        assert_eq!(lost(&report([0xff, 0xff, 0xfe]), 9), Some(-2));
        assert_eq!(lost(&report([0, 1, 2]), 8), None);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = lost(&bytes, 9);
        }
    }
}
