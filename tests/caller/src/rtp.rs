//! RTP (RFC 3550) as one G.711 stream each way, and keys as telephone-events (RFC 4733).

use trunkline_dsp::codec::{ulaw_decode, ulaw_encode};

/// Samples in a 20 ms packet at 8 kHz.
pub(crate) const FRAME: usize = 160;

/// The sending side: one SSRC, a packet every 20 ms.
pub(crate) struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    key: Option<Key>,
    /// The next audio packet begins a talk spurt.
    marker: bool,
    /// Packets so far.
    pub(crate) packets: u64,
}

struct Key {
    event: u8,
    payload_type: u8,
    began: u32,
    /// Samples pressed so far and in all.
    held: u16,
    duration: u16,
    /// End packets sent of the three that RFC 4733 2.5.1.4 asks for.
    ends: u8,
}

impl Sender {
    /// `seed` decides SSRC, first sequence number and first timestamp.
    pub(crate) const fn new(seed: u64) -> Self {
        let ssrc = (seed >> 32) as u32 ^ seed as u32;
        let (sequence, timestamp) = ((seed >> 8) as u16, (seed >> 16) as u32);
        Self { ssrc, sequence, timestamp, key: None, marker: true, packets: 0 }
    }

    /// True while a key is being sent instead of audio.
    pub(crate) const fn pressing(&self) -> bool {
        self.key.is_some()
    }

    /// Presses `key` (0-9, *, #, A-D) for `duration_ms`; false when there is no such key.
    pub(crate) fn press(&mut self, key: char, duration_ms: u16, payload_type: u8) -> bool {
        let Some(event) = "0123456789*#ABCD".find(key.to_ascii_uppercase()).and_then(|e| u8::try_from(e).ok()) else {
            return false;
        };
        let duration = duration_ms.clamp(40, 8000) * 8;
        self.key = Some(Key { event, payload_type, began: self.timestamp, held: 0, duration, ends: 0 });
        true
    }

    /// The packet for the next 20 ms: the pressed key if there is one, otherwise `pcm`.
    pub(crate) fn next(&mut self, pcm: &[i16; FRAME]) -> Vec<u8> {
        let packet = self.key_packet().unwrap_or_else(|| {
            let mut packet = self.header(0, self.marker, self.timestamp);
            packet.extend(pcm.iter().map(|&s| ulaw_encode(s)));
            self.marker = false;
            packet
        });
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        self.packets += 1;
        packet
    }

    fn key_packet(&mut self) -> Option<Vec<u8>> {
        let mut key = self.key.take()?;
        let first = key.held == 0;
        key.held = key.held.saturating_add(FRAME as u16).min(key.duration);
        let ended = key.held == key.duration;
        let mut packet = self.header(key.payload_type, first, key.began);
        // Volume -10 dBm0.
        packet.extend([key.event, if ended { 0x80 } else { 0 } | 10]);
        packet.extend(key.held.to_be_bytes());
        key.ends += u8::from(ended);
        if key.ends < 3 {
            self.key = Some(key);
        } else {
            self.marker = true;
        }
        Some(packet)
    }

    fn header(&self, payload_type: u8, marker: bool, timestamp: u32) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type | if marker { 0x80 } else { 0 }];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet
    }
}

/// A received audio packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) pcm: Vec<i16>,
}

/// Reads a packet of payload type 0; `None` for anything else.
pub(crate) fn receive(datagram: &[u8]) -> Option<Received> {
    let (header, mut rest) = datagram.split_at_checked(12)?;
    if header[0] >> 6 != 2 || header[1] & 0x7f != 0 {
        return None;
    }
    rest = rest.get(usize::from(header[0] & 0x0f) * 4..)?;
    if header[0] & 0x10 != 0 {
        let words = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]);
        rest = rest.get(4 + usize::from(words) * 4..)?;
    }
    if header[0] & 0x20 != 0 {
        let padding = usize::from(*rest.last()?);
        rest = rest.get(..rest.len().checked_sub(padding)?)?;
    }
    Some(Received {
        sequence: u16::from_be_bytes([header[2], header[3]]),
        timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        pcm: rest.iter().map(|&code| ulaw_decode(code)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn audio_keeps_its_clock_and_survives_the_wire() {
        let mut sender = Sender::new(0x1234_5678_9abc_def0);
        let pcm = std::array::from_fn(|i| (i as i16 - 80) * 100);
        let first = receive(&sender.next(&pcm)).unwrap();
        let second = receive(&sender.next(&pcm)).unwrap();
        assert_eq!(second.sequence, first.sequence.wrapping_add(1));
        assert_eq!(second.timestamp, first.timestamp.wrapping_add(160));
        assert!(first.pcm.iter().zip(&pcm).all(|(a, b)| (a - b).abs() <= 1 + (b.abs() / 16)));
    }

    #[test]
    fn a_key_is_one_event_with_a_growing_duration_and_three_ends() {
        let mut sender = Sender::new(7);
        assert!(sender.press('#', 100, 101));
        let mut packets = Vec::new();
        while sender.pressing() {
            packets.push(sender.next(&[0; FRAME]));
        }
        let durations: Vec<u16> = packets.iter().map(|p| u16::from_be_bytes([p[14], p[15]])).collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
        let ends: Vec<bool> = packets.iter().map(|p| p[13] & 0x80 != 0).collect();
        assert_eq!(ends, [false, false, false, false, true, true, true]);
        assert!(packets.iter().all(|p| p[12] == 11 && p[4..8] == packets[0][4..8] && p[1] & 0x7f == 101));
        assert!(packets[0][1] & 0x80 != 0 && packets[1][1] & 0x80 == 0);
        assert!(!sender.press('x', 100, 101));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = receive(&bytes);
        }
    }
}
