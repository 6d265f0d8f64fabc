//! One call's sound both ways: what is sent next, and what became of what came.

use std::sync::Arc;

use rtp_types::RtpPacket;

use crate::figures::Figures;
use crate::lateness::Lateness;
use crate::onset::Onsets;
use crate::random::Random;
use crate::sound::{FRAME, SILENCE, Sound};

/// PCMU (RFC 3551).
const PAYLOAD_TYPE: u8 = 0;
/// A mark that did not come back in this time never will, in microseconds.
const MARK_US: u64 = 1_000_000;
/// Packets back from the newest that a late one is told from a second one.
const WINDOW: u32 = 64;
/// A timestamp that goes on further than this has begun anew, in frames.
const JUMP: i64 = 500;
/// A packet that is sent: header and sound.
pub(crate) const PACKET: usize = 12 + FRAME;

/// One call's sound.
pub(crate) struct Stream {
    sound: Arc<Sound>,
    at: usize,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    marker: bool,
    mark: Option<u64>,
    theirs: Option<Theirs>,
    received: u64,
    onsets: Onsets,
    lateness: Lateness,
    heard: Option<Vec<u8>>,
    reported_lost: Option<i32>,
}

/// The other side's packets, as far as they came.
struct Theirs {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// Samples since its first packet.
    media: u64,
    /// The newest packet and those before it, a bit each.
    seen: u64,
    lost: u64,
}

impl Stream {
    pub(crate) fn new(sound: Arc<Sound>, seed: u64, keep: bool) -> Self {
        let mut random = Random::new(seed);
        Self {
            at: random.below(sound.len() as u64) as usize,
            sound,
            sequence: random.bits() as u16,
            timestamp: random.bits() as u32,
            ssrc: random.bits() as u32,
            marker: true,
            mark: None,
            theirs: None,
            received: 0,
            onsets: Onsets::default(),
            lateness: Lateness::default(),
            heard: keep.then(Vec::new),
            reported_lost: None,
        }
    }

    /// Packets that came.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// The packet for the next 20 ms, which sets out at `now`.
    pub(crate) fn next_packet(&mut self, now: u64, figures: &mut Figures, measuring: bool) -> [u8; PACKET] {
        let (frame, mark) = self.sound.frame(self.at);
        self.at += 1;
        if self.mark.is_some_and(|sent| now > sent + MARK_US) {
            self.mark = None;
            figures.marks += 1;
        }
        if mark && measuring {
            self.mark = Some(now);
        }
        let mut packet = [0; PACKET];
        packet[0] = 0x80;
        packet[1] = PAYLOAD_TYPE | if self.marker { 0x80 } else { 0 };
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        packet[12..].copy_from_slice(frame);
        self.marker = false;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        packet
    }

    /// A datagram that arrived at `arrival`.
    pub(crate) fn handle_packet(&mut self, arrival: u64, datagram: &[u8], figures: &mut Figures, measuring: bool) {
        let Ok(packet) = RtpPacket::parse(datagram) else { return };
        let (sequence, timestamp) = (packet.sequence_number(), packet.timestamp());
        let Some(theirs) = self.theirs.as_mut().filter(|theirs| theirs.ssrc == packet.ssrc()) else {
            self.settle(figures);
            let ssrc = packet.ssrc();
            self.theirs = Some(Theirs { ssrc, sequence, timestamp, media: 0, seen: 1, lost: 0 });
            self.listen(arrival, &packet, figures, measuring);
            return;
        };
        let ahead = sequence.wrapping_sub(theirs.sequence).cast_signed();
        if ahead <= 0 {
            let back = u32::from(ahead.unsigned_abs());
            let bit = 1_u64.checked_shl(back).filter(|_| back < WINDOW).unwrap_or(0);
            if bit != 0 && theirs.seen & bit == 0 {
                theirs.seen |= bit;
                theirs.lost = theirs.lost.saturating_sub(1);
                figures.reordered += 1;
                figures.received += 1;
            } else {
                figures.duplicate += 1;
            }
            return;
        }
        let ahead = u32::from(ahead.unsigned_abs());
        let frames = i64::from(timestamp.wrapping_sub(theirs.timestamp).cast_signed()) / FRAME as i64;
        theirs.lost += u64::from(ahead - 1);
        theirs.seen = theirs.seen.checked_shl(ahead).unwrap_or(0) | 1;
        theirs.sequence = sequence;
        theirs.timestamp = timestamp;
        if (0..JUMP).contains(&frames) {
            figures.skipped += (frames - i64::from(ahead)).max(0).unsigned_abs();
            theirs.media += frames.unsigned_abs() * FRAME as u64;
            let missing = (frames - 1).max(0).unsigned_abs() as usize * FRAME;
            self.onsets.skip(missing);
            if let Some(heard) = &mut self.heard {
                heard.resize(heard.len() + missing, SILENCE);
            }
        } else {
            self.lateness.settle(&mut figures.late);
        }
        self.listen(arrival, &packet, figures, measuring);
    }

    /// What an RTCP datagram says.
    pub(crate) fn handle_report(&mut self, datagram: &[u8]) {
        self.reported_lost = crate::reports::lost(datagram, self.ssrc).or(self.reported_lost);
    }

    /// The call is over.
    pub(crate) fn finish(mut self, figures: &mut Figures) {
        self.settle(figures);
        if let Some(lost) = self.reported_lost {
            figures.reporting += 1;
            figures.reported_lost += u64::try_from(lost).unwrap_or(0);
        }
        figures.heard.extend(self.heard.take());
    }

    fn listen(&mut self, arrival: u64, packet: &RtpPacket<'_>, figures: &mut Figures, measuring: bool) {
        self.received += 1;
        figures.received += 1;
        if measuring && let Some(theirs) = &self.theirs {
            self.lateness.handle(arrival, theirs.media * 125, &mut figures.late);
        }
        if packet.payload_type() != PAYLOAD_TYPE {
            self.onsets.skip(FRAME);
            return;
        }
        let sound = packet.payload();
        if let Some(heard) = &mut self.heard {
            heard.extend_from_slice(sound);
        }
        if let Some(offset) = self.onsets.handle(sound)
            && let Some(sent) = self.mark
        {
            // Who plays the packet at once hears its sample `offset` that much later.
            let us = (arrival + offset as u64 * 125).saturating_sub(sent);
            if us <= MARK_US {
                self.mark = None;
                figures.marks += 1;
                figures.marks_heard += 1;
                figures.delay_ms.push(us as f64 / 1000.0);
            }
        }
    }

    fn settle(&mut self, figures: &mut Figures) {
        self.lateness.settle(&mut figures.late);
        if let Some(theirs) = self.theirs.take() {
            figures.lost += theirs.lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Arc<Sound> {
        let word: Vec<i16> = (0..4000).map(|n: i32| if n % 40 < 20 { 9000 } else { -9000 }).collect();
        Arc::new(Sound::speech(&[word]).unwrap())
    }

    /// A stream whose packets come back as `echo` says: packet number and what was sent in, what comes and when out.
    fn run(packets: u64, mut echo: impl FnMut(u64, u64, [u8; PACKET]) -> Vec<(u64, Vec<u8>)>) -> Figures {
        let mut figures = Figures::default();
        let mut stream = Stream::new(sound(), 5, false);
        for number in 0..packets {
            let now = 1_000_000 + number * 20_000;
            let packet = stream.next_packet(now, &mut figures, true);
            for (arrival, packet) in echo(number, now, packet) {
                stream.handle_packet(arrival, &packet, &mut figures, true);
            }
        }
        stream.finish(&mut figures);
        figures
    }

    #[test]
    fn marks_are_timed_to_the_sample() {
        // Sound comes back 2.5 packets later: half of each packet is the end of the one before.
        let mut before = [SILENCE; FRAME];
        let figures = run(600, |_, now, packet| {
            let mut late = packet;
            late[12..12 + FRAME / 2].copy_from_slice(&before[FRAME / 2..]);
            late[12 + FRAME / 2..].copy_from_slice(&packet[12..12 + FRAME / 2]);
            before.copy_from_slice(&packet[12..]);
            vec![(now + 40_000, late.to_vec())]
        });
        assert!(figures.marks >= 9 && figures.marks_heard == figures.marks, "{figures:?}");
        assert!(figures.delay_ms.iter().all(|ms| *ms == 50.0), "{:?}", figures.delay_ms);
        assert_eq!((figures.frames_lost(), figures.duplicate, figures.received), (0, 0, 600));
    }

    #[test]
    fn a_mark_that_never_comes_back_is_counted() {
        let figures = run(600, |_, now, packet| {
            let mut silent = packet;
            silent[12..].fill(SILENCE);
            vec![(now, silent.to_vec())]
        });
        assert!(figures.marks >= 8 && figures.marks_heard == 0, "{figures:?}");
    }

    #[test]
    fn lost_skipped_doubled_and_late_packets_are_told_apart() {
        let mut held = None;
        let mut skipped = 0_u32;
        let figures = run(1000, |number, now, mut packet| {
            if number == 500 {
                skipped = 480;
            }
            let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]).wrapping_add(skipped);
            packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
            let packet = packet.to_vec();
            match number {
                100..103 => vec![],
                200 => vec![(now, packet.clone()), (now, packet)],
                300 => {
                    held = Some(packet);
                    vec![]
                }
                301 => vec![(now, packet), (now, held.take().unwrap())],
                _ => vec![(now, packet)],
            }
        });
        let told = (figures.lost, figures.skipped, figures.duplicate, figures.reordered, figures.received);
        assert_eq!(told, (3, 3, 1, 1, 997));
    }
}
