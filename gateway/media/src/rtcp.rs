//! RTCP (RFC 3550 6): sender reports every 5 s, a BYE at the end, and what the far end reports about us.
//!
//! Packets are written by hand into a fixed buffer, because the media path allocates nothing; what arrives is parsed
//! by `rtcp-types`, which checks every length.

use rtcp_types::{Bye, Compound, Packet, ReceiverReport, ReportBlock, SenderReport};

use crate::reports::ReceptionReport;

/// Seconds from 1900 (NTP) to 1970 (Unix).
const NTP_EPOCH_S: u64 = 2_208_988_800;
/// Large enough for a report with one block, a name and a BYE.
pub(crate) const BUFFER: usize = 128;

/// A wall-clock instant in microseconds since 1970 as an NTP timestamp (RFC 3550 4).
pub(crate) const fn ntp(wall_us: u64) -> u64 {
    let seconds = wall_us / 1_000_000 + NTP_EPOCH_S;
    let fraction = ((wall_us % 1_000_000) << 32) / 1_000_000;
    (seconds << 32) | fraction
}

/// The middle 32 bits of an NTP timestamp, the unit of LSR.
pub(crate) const fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// What a report says about the sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) ssrc: u32,
    pub(crate) ntp: u64,
    pub(crate) rtp_timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) bytes: u32,
}

/// What a report says about the source it hears.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) ssrc: u32,
    pub(crate) report: ReceptionReport,
    /// Middle of the NTP timestamp of its last sender report, 0 for none.
    pub(crate) last_report: u32,
    /// Time since that report arrived, in 1/65536 s.
    pub(crate) since_report: u32,
}

/// Writes a compound packet: SR (RR before anything was sent), SDES with a CNAME, and BYE when `bye`. Returns its
/// length.
pub(crate) fn write(
    buffer: &mut [u8; BUFFER],
    sent: &Sent,
    heard: Option<&Heard>,
    cname: &[u8; 16],
    bye: bool,
) -> usize {
    let mut writer = Writer { buffer, len: 0 };
    let reports = u8::from(heard.is_some());
    let sender = sent.packets > 0;
    let words = if sender { 6 } else { 1 } + 6 * u16::from(reports);
    writer.header(reports, if sender { 200 } else { 201 }, words);
    writer.word(sent.ssrc);
    if sender {
        writer.word((sent.ntp >> 32) as u32);
        writer.word(sent.ntp as u32);
        writer.word(sent.rtp_timestamp);
        writer.word(sent.packets);
        writer.word(sent.bytes);
    }
    if let Some(heard) = heard {
        writer.word(heard.ssrc);
        writer.word(u32::from(heard.report.fraction_lost) << 24 | heard.report.cumulative_lost);
        writer.word(heard.report.highest_seq);
        writer.word(heard.report.jitter);
        writer.word(heard.last_report);
        writer.word(heard.since_report);
    }
    // SDES: one chunk of SSRC, CNAME item (type, length, 16 bytes) and two zeros to the word.
    writer.header(1, 202, 6);
    writer.word(sent.ssrc);
    writer.bytes(&[1, 16]);
    writer.bytes(cname);
    writer.bytes(&[0, 0]);
    if bye {
        writer.header(1, 203, 1);
        writer.word(sent.ssrc);
    }
    writer.len
}

struct Writer<'a> {
    buffer: &'a mut [u8; BUFFER],
    len: usize,
}

impl Writer<'_> {
    fn header(&mut self, count: u8, kind: u8, words: u16) {
        let [high, low] = words.to_be_bytes();
        self.bytes(&[0x80 | count, kind, high, low]);
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.buffer.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}

/// What a packet of the far end told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Learned {
    /// Its sender report: SSRC and middle of the NTP timestamp.
    pub(crate) sender_report: Option<(u32, u32)>,
    /// Packets of ours it reports lost.
    pub(crate) lost: Option<u32>,
    /// LSR and DLSR of its block about us, for the round trip (RFC 3550 6.4.1); only when it has had a report.
    pub(crate) echo: Option<(u32, u32)>,
    /// It says goodbye.
    pub(crate) bye: bool,
}

/// Reads a compound packet; `None` when any part of it is malformed.
pub(crate) fn read(data: &[u8], our_ssrc: u32) -> Option<Learned> {
    // Shorter than a header and an SSRC: nothing may be compared with it.
    if data.len() < 8 || !data.len().is_multiple_of(4) {
        return None;
    }
    let mut learned = Learned::default();
    for packet in Compound::parse(data).ok()? {
        match packet.ok()? {
            Packet::Sr(report) => {
                learned.sender_report = Some((report.ssrc(), ntp_middle(report.ntp_timestamp())));
                sender_blocks(&report, our_ssrc, &mut learned);
            }
            Packet::Rr(report) => receiver_blocks(&report, our_ssrc, &mut learned),
            Packet::Bye(bye) => learned.bye |= names_any(&bye),
            _ => {}
        }
    }
    Some(learned)
}

fn names_any(bye: &Bye<'_>) -> bool {
    bye.ssrcs().next().is_some()
}

fn sender_blocks(report: &SenderReport<'_>, our_ssrc: u32, learned: &mut Learned) {
    report.report_blocks().for_each(|block| about_us(&block, our_ssrc, learned));
}

fn receiver_blocks(report: &ReceiverReport<'_>, our_ssrc: u32, learned: &mut Learned) {
    report.report_blocks().for_each(|block| about_us(&block, our_ssrc, learned));
}

fn about_us(block: &ReportBlock<'_>, our_ssrc: u32, learned: &mut Learned) {
    if block.ssrc() == our_ssrc {
        // The count is signed 24 bits; duplicates can make it negative, which is no loss.
        let lost = block.cumulative_lost();
        learned.lost = Some(if lost & 0x80_0000 == 0 { lost } else { 0 });
        let (last, delay) = (block.last_sender_report_timestamp(), block.delay_since_last_sender_report_timestamp());
        learned.echo = (last != 0).then_some((last, delay));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent() -> Sent {
        Sent { ssrc: 7, ntp: ntp(1_700_000_000_500_000), rtp_timestamp: 99, packets: 50, bytes: 8000 }
    }

    fn heard() -> Heard {
        let report = ReceptionReport { fraction_lost: 3, cumulative_lost: 12, highest_seq: 4000, jitter: 17 };
        Heard { ssrc: 42, report, last_report: 0x1234_5678, since_report: 65536 }
    }

    #[test]
    fn a_report_reads_back_as_written() {
        let mut buffer = [0; BUFFER];
        let len = write(&mut buffer, &sent(), Some(&heard()), b"0123456789abcdef", true);
        let learned = read(&buffer[..len], 42).unwrap();
        assert_eq!(learned.sender_report, Some((7, ntp_middle(sent().ntp))));
        assert_eq!(learned.lost, Some(12));
        assert_eq!(learned.echo, Some((0x1234_5678, 65536)));
        assert!(learned.bye);
        let mut kinds = Vec::new();
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            kinds.push(rest[1]);
            rest = &rest[4 * (usize::from(u16::from_be_bytes([rest[2], rest[3]])) + 1)..];
        }
        assert_eq!(kinds, [200, 202, 203]);
    }

    #[test]
    fn before_anything_was_sent_it_is_a_receiver_report() {
        let mut buffer = [0; BUFFER];
        let len = write(&mut buffer, &Sent { packets: 0, ..sent() }, None, b"0123456789abcdef", false);
        assert_eq!(buffer[1], 201);
        assert_eq!(read(&buffer[..len], 7).unwrap(), Learned::default());
    }

    #[test]
    fn the_time_is_seconds_since_1900_and_a_binary_fraction() {
        assert_eq!(ntp(500_000), NTP_EPOCH_S << 32 | 0x8000_0000);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_or_read_and_never_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&data, 1);
        }

        #[test]
        fn damaged_reports_never_panic(at in 0..80_usize, value: u8, cut in 0..80_usize) {
            let mut buffer = [0; BUFFER];
            let len = write(&mut buffer, &sent(), Some(&heard()), b"0123456789abcdef", true);
            buffer[at] = value;
            let _ = read(&buffer[..len.saturating_sub(cut)], 42);
        }
    }
}
