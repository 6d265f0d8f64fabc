//! Extended reports (RFC 3611): VoIP metrics, and the two blocks by which a receiver measures the round trip.

use super::writer::Writer;
use super::{Extended, Learned, ntp_middle};

pub(super) const PACKET_TYPE: u8 = 207;
/// Block types: receiver reference time, its answer, VoIP metrics.
const RRTR: u8 = 4;
const DLRR: u8 = 5;
const VOIP: u8 = 7;
/// A level, rating or opinion that is not known.
const UNAVAILABLE: u8 = 127;
/// Receiver configuration (4.7.6): enhanced concealment, adaptive jitter buffer, adjustment rate not stated.
const CONCEALS_AND_ADAPTS: u8 = 0b1011_0000;

/// The VoIP metrics block (RFC 3611 4.7) of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VoipMetrics {
    /// The source.
    pub ssrc: u32,
    /// Packets lost, of 256.
    pub loss_rate: u8,
    /// Packets that came too late, of 256.
    pub discard_rate: u8,
    /// Missing within bursts, of 256.
    pub burst_density: u8,
    /// Missing within gaps, of 256.
    pub gap_density: u8,
    /// Mean length of bursts in ms.
    pub burst_duration_ms: u16,
    /// Mean length of gaps in ms.
    pub gap_duration_ms: u16,
    /// Round trip in ms; 0 when unknown.
    pub round_trip_ms: u16,
    /// What the reporter's own end adds in ms.
    pub end_system_delay_ms: u16,
    /// Consecutive packets that end a burst.
    pub gmin: u8,
    /// R factor, 0..=100; `None` when not known.
    pub r_factor: Option<u8>,
    /// MOS-LQ and MOS-CQ in tenths, 10..=50; `None` when not known.
    pub mos_lq: Option<u8>,
    /// As above, with the delay.
    pub mos_cq: Option<u8>,
    /// Nominal, greatest and greatest possible delay of the jitter buffer in ms.
    pub jitter_buffer_ms: [u16; 3],
}

/// Writes an extended report, unless there is nothing for it.
pub(super) fn write(writer: &mut Writer<'_>, ssrc: u32, extended: &Extended) {
    let words = 9 * u16::from(extended.voip.is_some())
        + 3 * u16::from(extended.reference.is_some())
        + 4 * u16::from(extended.answer.is_some());
    if words == 0 {
        return;
    }
    writer.header(0, PACKET_TYPE, 1 + words);
    writer.word(ssrc);
    if let Some(ntp) = extended.reference {
        writer.bytes(&[RRTR, 0, 0, 2]);
        writer.word((ntp >> 32) as u32);
        writer.word(ntp as u32);
    }
    if let Some((theirs, since)) = extended.answer {
        writer.bytes(&[DLRR, 0, 0, 3]);
        writer.word(theirs);
        writer.word(since.ntp_middle);
        writer.word(since.delay);
    }
    if let Some(voip) = &extended.voip {
        writer.bytes(&[VOIP, 0, 0, 8]);
        writer.word(voip.ssrc);
        writer.bytes(&[voip.loss_rate, voip.discard_rate, voip.burst_density, voip.gap_density]);
        writer.half(voip.burst_duration_ms);
        writer.half(voip.gap_duration_ms);
        writer.half(voip.round_trip_ms);
        writer.half(voip.end_system_delay_ms);
        // Levels and echo are not reported.
        writer.bytes(&[UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, voip.gmin]);
        let or_unavailable = |value: Option<u8>| value.unwrap_or(UNAVAILABLE);
        writer.bytes(&[or_unavailable(voip.r_factor), UNAVAILABLE]);
        writer.bytes(&[or_unavailable(voip.mos_lq), or_unavailable(voip.mos_cq)]);
        writer.bytes(&[CONCEALS_AND_ADAPTS, 0]);
        for ms in voip.jitter_buffer_ms {
            writer.half(ms);
        }
    }
}

/// Reads what follows the header of an extended report, its SSRC first; `None` when a block is longer than it.
pub(super) fn read(data: &[u8], our_ssrc: u32, learned: &mut Learned) -> Option<()> {
    let (ssrc, mut rest) = word(data)?;
    while let Some((&[kind, _, high, low], body)) = rest.split_first_chunk::<4>() {
        let (block, next) = body.split_at_checked(4 * usize::from(u16::from_be_bytes([high, low])))?;
        match kind {
            RRTR => {
                let (seconds, after) = word(block)?;
                let (fraction, _) = word(after)?;
                learned.reference = Some((ssrc, ntp_middle(u64::from(seconds) << 32 | u64::from(fraction))));
            }
            DLRR => {
                for answer in block.chunks_exact(12) {
                    let (to, after) = word(answer)?;
                    let (last, after) = word(after)?;
                    let (delay, _) = word(after)?;
                    if to == our_ssrc && last != 0 {
                        learned.echo = learned.echo.or(Some((last, delay)));
                    }
                }
            }
            VOIP => learned.voip = voip(block).filter(|voip| voip.ssrc == our_ssrc).or(learned.voip),
            _ => {}
        }
        rest = next;
    }
    Some(())
}

fn voip(block: &[u8]) -> Option<VoipMetrics> {
    let (ssrc, rest) = word(block)?;
    let block: &[u8; 28] = rest.first_chunk()?;
    let half = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let known = |at: usize| Some(block[at]).filter(|value| *value != UNAVAILABLE);
    Some(VoipMetrics {
        ssrc,
        loss_rate: block[0],
        discard_rate: block[1],
        burst_density: block[2],
        gap_density: block[3],
        burst_duration_ms: half(4),
        gap_duration_ms: half(6),
        round_trip_ms: half(8),
        end_system_delay_ms: half(10),
        gmin: block[15],
        r_factor: known(16),
        mos_lq: known(18),
        mos_cq: known(19),
        jitter_buffer_ms: [half(22), half(24), half(26)],
    })
}

fn word(data: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = data.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}
