//! Packet captures: RTP written for SIPp to play, and RTP that tcpdump saw, as samples.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// Classic pcap, little-endian, microseconds, Ethernet.
const HEADER: [u8; 24] = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];

/// Writes mu-law sound as RTP packets of 20 ms, payload type 0.
pub fn write_rtp(path: &Path, ulaw: &[u8]) -> anyhow::Result<()> {
    let mut file = HEADER.to_vec();
    for (index, chunk) in ulaw.chunks(160).enumerate() {
        let number = u16::try_from(index)?;
        let mut rtp = vec![0x80, 0x00];
        rtp.extend_from_slice(&number.to_be_bytes());
        rtp.extend_from_slice(&(u32::from(number) * 160).to_be_bytes());
        rtp.extend_from_slice(&0x5151_0001_u32.to_be_bytes());
        rtp.extend_from_slice(chunk);
        let udp = u16::try_from(rtp.len() + 8)?;
        let mut packet = vec![0; 12];
        packet.extend_from_slice(&[0x08, 0x00, 0x45, 0x00]);
        packet.extend_from_slice(&(udp + 20).to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        packet.extend_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
        packet.extend_from_slice(&udp.to_be_bytes());
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(&rtp);
        let at_us = u32::from(number) * 20_000;
        let length = u32::try_from(packet.len())?;
        for field in [at_us / 1_000_000, at_us % 1_000_000, length, length] {
            file.extend_from_slice(&field.to_le_bytes());
        }
        file.extend_from_slice(&packet);
    }
    Ok(std::fs::write(path, file)?)
}

/// Sound of one RTP stream, by its source port and synchronisation source: mu-law payloads in sequence.
pub type Streams = BTreeMap<(u16, u32), Vec<u8>>;

/// The PCMU streams that a capture of the loopback device holds.
pub fn read_pcmu(path: &Path) -> anyhow::Result<Streams> {
    let file = std::fs::read(path).with_context(|| path.display().to_string())?;
    ensure!(file.len() >= 24 && file[..4] == HEADER[..4], "{} is not a little-endian pcap file", path.display());
    let mut packets: BTreeMap<(u16, u32), BTreeMap<u16, Vec<u8>>> = BTreeMap::new();
    let mut at = 24;
    while let Some(head) = file.get(at..at + 16) {
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let Some(packet) = file.get(at + 16..at + 16 + length) else { break };
        at += 16 + length;
        // Ethernet, IPv4 without options, UDP, RTP version 2 of payload type 0.
        if packet.len() < 14 + 20 + 8 + 12 || packet[12..14] != [8, 0] || packet[23] != 17 {
            continue;
        }
        let rtp = &packet[42..];
        if rtp[0] != 0x80 || rtp[1] & 0x7f != 0 {
            continue;
        }
        let source = u16::from_be_bytes([packet[34], packet[35]]);
        let sequence = u16::from_be_bytes([rtp[2], rtp[3]]);
        let ssrc = u32::from_be_bytes([rtp[8], rtp[9], rtp[10], rtp[11]]);
        packets.entry((source, ssrc)).or_default().insert(sequence, rtp[12..].to_vec());
    }
    Ok(packets.into_iter().map(|(stream, packets)| (stream, packets.into_values().flatten().collect())).collect())
}

/// G.711 mu-law of a sample (ITU-T G.711 table 2a).
#[must_use]
pub fn to_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs() + 132).min(32_767);
    let exponent = (7..15).rev().find(|bit| magnitude >> bit != 0).unwrap_or(7) - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 15;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

/// The sample of a mu-law code.
#[must_use]
pub fn from_ulaw(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i32::from(code & 15) << 3) + 132) << ((code >> 4) & 7);
    let sample = magnitude - 132;
    (if code & 0x80 == 0 { sample } else { -sample }) as i16
}
