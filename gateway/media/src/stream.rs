//! A leg whose sound comes over a stream: its frames enter the leg as packets of L16 and leave it as such, so that what
//! smooths a network smooths a connection that stalls and catches up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use trunkline_leg::{Codec, DtmfDigit, Frame, MediaSpec, StreamEnd, StreamHead};

/// Who the packets are from and for: nobody on any network.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000);
/// Payload types of sound and digits.
const SOUND: u8 = 96;
const DIGITS: u8 = 101;
/// An RTP header without extensions.
const HEADER: usize = 12;
/// Samples of a frame at most: 20 ms at 16 kHz.
const SAMPLES: usize = 320;
/// Bytes of its packet.
pub(crate) const PACKET: usize = HEADER + 2 * SAMPLES;
/// A pause that is longer than this many ticks is one of the far end, and not of its network.
const PAUSE_TICKS: u32 = 10;

/// A stream at a leg's side, with what its packets need.
#[derive(Debug)]
pub struct StreamLink {
    end: StreamEnd,
    sequence: u16,
    timestamp: u32,
    /// Ticks without a frame.
    silent: u32,
}

/// What a stream has brought.
pub(crate) enum Brought<'a> {
    Packet(&'a [u8]),
    Digit(DtmfDigit),
}

impl StreamLink {
    /// A leg's side of a stream; `None` for a rate that no leg has (8000 or 16 000 Hz).
    #[must_use]
    pub fn new(end: StreamEnd) -> Option<Self> {
        codec(end.rate()).map(|_| Self { end, sequence: 0, timestamp: 0, silent: 0 })
    }

    /// What stands in for the outcome of a negotiation.
    #[must_use]
    pub fn spec(&self) -> MediaSpec {
        let codec = codec(self.end.rate()).unwrap_or(Codec::L16Narrowband);
        MediaSpec { dtmf_payload_type: Some(DIGITS), ..MediaSpec::new(codec, SOUND, PEER) }
    }

    /// Whom the packets are from.
    pub(crate) const fn source() -> SocketAddr {
        PEER
    }

    /// Begins a tick.
    pub(crate) const fn tick(&mut self) {
        self.silent = self.silent.saturating_add(1);
    }

    /// The next thing the far end has sent, written into `packet`.
    pub(crate) fn receive<'a>(&mut self, packet: &'a mut [u8; PACKET]) -> Option<Brought<'a>> {
        let frame = self.end.heard()?;
        if let Some(digit) = frame.digit {
            return Some(Brought::Digit(digit));
        }
        let pcm = frame.pcm().get(..SAMPLES).unwrap_or(frame.pcm());
        let paused = self.silent > PAUSE_TICKS;
        if paused {
            self.timestamp = self.timestamp.wrapping_add(self.silent * self.end.rate() / 50);
        }
        self.silent = 0;
        packet[0] = 0x80;
        packet[1] = SOUND | if paused || self.sequence == 0 { 0x80 } else { 0 };
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&1_u32.to_be_bytes());
        for (bytes, sample) in packet[HEADER..].chunks_exact_mut(2).zip(pcm) {
            bytes.copy_from_slice(&sample.to_be_bytes());
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(pcm.len() as u32);
        Some(Brought::Packet(&packet[..HEADER + 2 * pcm.len()]))
    }

    /// Sends what a packet of the leg holds; false when the far end does not take it. Reports and keep-alives are for
    /// networks, and go nowhere.
    pub(crate) fn send(&mut self, packet: &[u8]) -> bool {
        let (Some(kind), Some(payload)) = (packet.get(1), packet.get(HEADER..)) else { return true };
        let frame = match (kind & 0x7f, payload) {
            (SOUND, [_, _, ..]) => {
                let Ok(mut frame) = Frame::silence(StreamHead::default(), payload.len() / 2) else { return false };
                for (sample, bytes) in frame.pcm_mut().iter_mut().zip(payload.chunks_exact(2)) {
                    *sample = i16::from_be_bytes([bytes[0], bytes[1]]);
                }
                frame
            }
            // The first of an event's packets is marked (RFC 4733 2.5.1.1); the others say the same again.
            (DIGITS, [event, ..]) if kind & 0x80 != 0 => {
                let head = StreamHead { digit: DtmfDigit::from_event(*event) };
                let Ok(frame) = Frame::silence(head, 0) else { return false };
                frame
            }
            _ => return true,
        };
        self.end.say(&frame).is_ok()
    }

    /// Whether the far end is gone and everything it sent was taken.
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_over()
    }

    /// Whether it is gone for a fault and not by its own will.
    pub(crate) fn has_failed(&self) -> bool {
        self.end.has_failed()
    }
}

const fn codec(rate: u32) -> Option<Codec> {
    match rate {
        8000 => Some(Codec::L16Narrowband),
        16_000 => Some(Codec::L16Wideband),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_leg::stream_ends;

    #[test]
    fn frames_become_packets_in_order_and_a_pause_is_one_in_their_time() {
        let (mut peer, end) = stream_ends(8000);
        let mut link = StreamLink::new(end).unwrap();
        let mut packet = [0; PACKET];
        let mut next = |link: &mut StreamLink| match link.receive(&mut packet) {
            Some(Brought::Packet(data)) => {
                (data[1], data[3], u32::from_be_bytes([data[4], data[5], data[6], data[7]]), data[HEADER..].to_vec())
            }
            _ => panic!("no packet"),
        };
        peer.hear(&[1, -2]).unwrap();
        peer.hear(&[3; 160]).unwrap();
        link.tick();
        assert_eq!(next(&mut link), (0x80 | SOUND, 0, 0, vec![0, 1, 0xff, 0xfe]));
        assert_eq!(next(&mut link).2, 2);
        (0..50).for_each(|_| link.tick());
        peer.hear(&[4; 160]).unwrap();
        let (kind, sequence, timestamp, _) = next(&mut link);
        assert_eq!((kind, sequence, timestamp), (0x80 | SOUND, 2, 162 + 8000), "a second later, and marked");
        peer.press(DtmfDigit::from_char('#').unwrap()).unwrap();
        let digit = link.receive(&mut packet);
        assert!(matches!(digit, Some(Brought::Digit(digit)) if digit.as_char() == '#'));
        assert!(link.receive(&mut packet).is_none() && !link.is_over());
        drop(peer);
        assert!(link.is_over());
    }

    #[test]
    fn what_the_leg_sends_becomes_sound_and_digits_once() {
        let (mut peer, end) = stream_ends(16_000);
        let mut link = StreamLink::new(end).unwrap();
        assert_eq!(link.spec().codec, Codec::L16Wideband);
        let packet = |kind: u8, payload: &[u8]| [&[0x80, kind][..], &[0; 10], payload].concat();
        assert!(link.send(&packet(SOUND, &[0, 5, 0xff, 0xff])));
        assert!(link.send(&packet(0x80 | DIGITS, &[11, 10, 0, 160])) && link.send(&packet(DIGITS, &[11, 10, 1, 64])));
        // A keep-alive, and what is no packet at all.
        assert!(link.send(&packet(127, &[])) && link.send(&[]));
        assert_eq!(peer.said().unwrap().pcm(), [5, -1]);
        assert_eq!(peer.said().unwrap().digit.map(DtmfDigit::as_char), Some('#'));
        assert!(peer.said().is_none());
        while link.send(&packet(SOUND, &[0; 640])) {}
        assert_eq!(std::iter::from_fn(|| peer.said()).count(), 25, "the rest was refused");
    }

    #[test]
    fn no_leg_has_another_rate() {
        assert!(StreamLink::new(stream_ends(48_000).1).is_none());
    }
}
