//! RTCP (RFC 3550 6, RFC 3611): sender and receiver reports, names, goodbyes and VoIP metrics, written and read.
//!
//! Packets are written by hand into a fixed buffer, because the media path allocates nothing. What arrives is parsed
//! by `rtcp-types`, which checks every length, but for the blocks of extended reports (`xr`), of which it does not
//! know the VoIP metrics.

use rtcp_types::prelude::{RtcpPacket as _, RtcpPacketParser as _};
use rtcp_types::{Bye, Compound, ReceiverReport, ReportBlock, SenderReport};

mod interval;
mod session;
mod writer;
mod xr;

pub(crate) use session::{Figures, RtcpSession};
use writer::Writer;
pub use xr::VoipMetrics;

use crate::reports::ReceptionReport;

/// Seconds from 1900 (NTP) to 1970 (Unix).
const NTP_EPOCH_S: u64 = 2_208_988_800;
/// Large enough for a report with one block, a name, an extended report of three blocks, and a goodbye.
pub(crate) const BUFFER: usize = 192;

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
    /// Of its last sender report.
    pub(crate) last_report: Since,
}

/// The middle of an NTP timestamp the far end sent, and how long ago it arrived in 1/65536 s; both 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Since {
    pub(crate) ntp_middle: u32,
    pub(crate) delay: u32,
}

/// What goes into the extended report (RFC 3611).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extended {
    /// About the source that is heard.
    pub(crate) voip: Option<VoipMetrics>,
    /// Our clock, for a far end that must answer with the delay since: only receivers need it (4.4).
    pub(crate) reference: Option<u64>,
    /// The answer to the far end's clock: its SSRC, and since when (4.5).
    pub(crate) answer: Option<(u32, Since)>,
}

/// A compound packet to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) sent: Sent,
    pub(crate) heard: Option<Heard>,
    pub(crate) extended: Extended,
    pub(crate) cname: &'a [u8; 16],
    pub(crate) bye: bool,
}

impl Report<'_> {
    /// Writes the packet: SR (RR before anything was sent), SDES with a CNAME, XR when there is something for it, and
    /// BYE. Returns its length.
    pub(crate) fn write(&self, buffer: &mut [u8; BUFFER]) -> usize {
        let Sent { ssrc, ntp, rtp_timestamp, packets, bytes } = self.sent;
        let mut writer = Writer::new(buffer);
        let reports = u8::from(self.heard.is_some());
        let sender = packets > 0;
        let words = if sender { 6 } else { 1 } + 6 * u16::from(reports);
        writer.header(reports, if sender { 200 } else { 201 }, words);
        writer.word(ssrc);
        if sender {
            writer.word((ntp >> 32) as u32);
            writer.word(ntp as u32);
            writer.word(rtp_timestamp);
            writer.word(packets);
            writer.word(bytes);
        }
        if let Some(heard) = &self.heard {
            writer.word(heard.ssrc);
            writer.word(u32::from(heard.report.fraction_lost) << 24 | heard.report.cumulative_lost & 0xff_ffff);
            writer.word(heard.report.highest_seq);
            writer.word(heard.report.jitter);
            writer.word(heard.last_report.ntp_middle);
            writer.word(heard.last_report.delay);
        }
        // SDES: one chunk of SSRC, CNAME item (type, length, 16 bytes) and two zeros to the word.
        writer.header(1, 202, 6);
        writer.word(ssrc);
        writer.bytes(&[1, 16]);
        writer.bytes(self.cname);
        writer.bytes(&[0, 0]);
        xr::write(&mut writer, ssrc, &self.extended);
        if self.bye {
            writer.header(1, 203, 1);
            writer.word(ssrc);
        }
        writer.len()
    }
}

/// What a packet of the far end told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learned {
    /// Its sender report: SSRC and middle of the NTP timestamp.
    pub sender_report: Option<(u32, u32)>,
    /// Its block about us.
    pub about_us: Option<AboutUs>,
    /// Its VoIP metrics about us (RFC 3611 4.7).
    pub voip: Option<VoipMetrics>,
    /// Its clock, to be answered (RFC 3611 4.4): SSRC and middle of the NTP timestamp.
    pub reference: Option<(u32, u32)>,
    /// Middle of an NTP timestamp of ours and the delay since in 1/65536 s, for the round trip: of its report block
    /// (RFC 3550 6.4.1) or its answer to our clock (RFC 3611 4.5). Only when it has had one.
    pub echo: Option<(u32, u32)>,
    /// A source that it says goodbye for.
    pub bye: Option<u32>,
}

/// What the far end reports of what it hears from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AboutUs {
    /// Lost since its report before, of 256.
    pub fraction_lost: u8,
    /// Lost since we began.
    pub lost: u32,
    /// Interarrival jitter in RTP timestamp units.
    pub jitter: u32,
}

/// Reads a compound packet; `None` when any part of it is malformed.
#[must_use]
pub fn read(data: &[u8], our_ssrc: u32) -> Option<Learned> {
    // Shorter than a header and an SSRC: nothing may be compared with it.
    if data.len() < 8 || !data.len().is_multiple_of(4) {
        return None;
    }
    let mut learned = Learned::default();
    // Every length of the compound packet is sound after this. Its packets are taken one by one and only those that tell
    // something: to parse a name (SDES) allocates.
    Compound::parse(data).ok()?;
    let mut rest = data;
    while let Some((&[flags, kind, high, low], _)) = rest.split_first_chunk::<4>() {
        let end = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let (packet, next) = rest.split_at_checked(end)?;
        match kind {
            SenderReport::PACKET_TYPE => {
                let report = SenderReport::parse(packet).ok()?;
                learned.sender_report = Some((report.ssrc(), ntp_middle(report.ntp_timestamp())));
                report.report_blocks().for_each(|block| learned.block(&block, our_ssrc));
            }
            ReceiverReport::PACKET_TYPE => {
                let report = ReceiverReport::parse(packet).ok()?;
                report.report_blocks().for_each(|block| learned.block(&block, our_ssrc));
            }
            Bye::PACKET_TYPE => {
                let bye = Bye::parse(packet).ok()?;
                learned.bye = learned.bye.or_else(|| bye.ssrcs().next());
            }
            xr::PACKET_TYPE => {
                let padding = if flags & 0x20 == 0 { 0 } else { usize::from(*packet.last()?) };
                xr::read(packet.get(4..end.checked_sub(padding)?)?, our_ssrc, &mut learned)?;
            }
            _ => {}
        }
        rest = next;
    }
    Some(learned)
}

impl Learned {
    fn block(&mut self, block: &ReportBlock<'_>, our_ssrc: u32) {
        if block.ssrc() == our_ssrc {
            // The count is signed 24 bits; duplicates can make it negative, which is no loss.
            let lost = block.cumulative_lost();
            self.about_us = Some(AboutUs {
                fraction_lost: block.fraction_lost(),
                lost: if lost & 0x80_0000 == 0 { lost } else { 0 },
                jitter: block.interarrival_jitter(),
            });
            let (last, delay) =
                (block.last_sender_report_timestamp(), block.delay_since_last_sender_report_timestamp());
            self.echo = (last != 0).then_some((last, delay)).or(self.echo);
        }
    }
}

#[cfg(test)]
mod tests;
