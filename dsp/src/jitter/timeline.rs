//! The sender's numbers without their wrap-around, and whether a packet belongs to the stream at all.

use super::Packet;

/// Sequence numbers and times this far from the stream's belong to another stream (RFC 3550 A.1 MAX_DROPOUT).
const MAX_DROPOUT: i32 = 3000;
const MAX_TIME_JUMP_US: i64 = 2_000_000;
/// Extended numbers start here, so that the first packets may be older than the very first.
const FIRST_SEQ: u64 = 1 << 32;
const FIRST_TIME: u64 = 1 << 40;

/// A packet's place in the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Extended sequence number.
    pub(super) seq: u64,
    /// Media time of its first sample, in samples.
    pub(super) time: u64,
}

/// What the timeline says of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    /// It belongs to the stream.
    Continues(Place),
    /// It does not fit; the next one decides.
    Suspect,
    /// The second in a row that does not fit: the far end itself jumped. The stream starts anew with it.
    Jumped,
}

#[derive(Debug)]
pub(super) struct Timeline {
    rate: u32,
    clock_rate: u32,
    /// A packet whose media time runs ahead of its arrival by more than this is not believed at once.
    max_ahead_us: i64,
    /// Newest packet: extended sequence number, extended timestamp and arrival of the newest with sound.
    newest_seq: u64,
    newest_stamp: u64,
    newest_arrival: u64,
    suspect_seq: Option<u16>,
}

impl Timeline {
    /// For sound at `rate` Hz with timestamps that count at `clock_rate` Hz, in a buffer that delays by `max_delay_us`
    /// at most: what claims to be further ahead would drop everything that waits.
    pub(super) fn new(rate: u32, clock_rate: u32, max_delay_us: u64) -> Self {
        let max_ahead_us = i64::try_from(max_delay_us).unwrap_or(MAX_TIME_JUMP_US).clamp(100_000, MAX_TIME_JUMP_US);
        Self { rate, clock_rate, max_ahead_us, newest_seq: 0, newest_stamp: 0, newest_arrival: 0, suspect_seq: None }
    }

    /// The stream begins with this packet.
    pub(super) fn begin(&mut self, packet: &Packet<'_>) -> Place {
        self.newest_seq = FIRST_SEQ + u64::from(packet.seq);
        self.newest_stamp = FIRST_TIME + u64::from(packet.timestamp);
        self.newest_arrival = packet.arrival;
        self.suspect_seq = None;
        Place { seq: self.newest_seq, time: self.time(self.newest_stamp) }
    }

    /// Where the packet belongs.
    pub(super) fn locate(&mut self, packet: &Packet<'_>) -> Verdict {
        let seq_step = i32::from(packet.seq.wrapping_sub(self.newest_seq as u16) as i16);
        let stamp_step = i64::from(packet.timestamp.wrapping_sub(self.newest_stamp as u32) as i32);
        if self.is_foreign(packet, seq_step, stamp_step) {
            if self.suspect_seq != Some(packet.seq.wrapping_sub(1)) {
                self.suspect_seq = Some(packet.seq);
                return Verdict::Suspect;
            }
            return Verdict::Jumped;
        }
        self.suspect_seq = None;
        let stamp = self.newest_stamp.wrapping_add_signed(stamp_step);
        Verdict::Continues(Place {
            seq: self.newest_seq.wrapping_add_signed(i64::from(seq_step)),
            time: self.time(stamp),
        })
    }

    /// The packet was taken.
    pub(super) fn accept(&mut self, place: Place, packet: &Packet<'_>) {
        self.newest_seq = self.newest_seq.max(place.seq);
        let step = i64::from(packet.timestamp.wrapping_sub(self.newest_stamp as u32) as i32);
        if !packet.payload.is_empty() && step >= 0 {
            self.newest_stamp = self.newest_stamp.wrapping_add_signed(step);
            self.newest_arrival = packet.arrival;
        }
    }

    /// What timestamps count at, in Hz.
    pub(super) const fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// The newest extended sequence number.
    pub(super) const fn newest_seq(&self) -> u64 {
        self.newest_seq
    }

    /// Media time of the newest packet with sound.
    pub(super) fn newest_time(&self) -> u64 {
        self.time(self.newest_stamp)
    }

    /// Microseconds of a media time.
    pub(super) fn media_us(&self, time: u64) -> i64 {
        (u128::from(time) * 1_000_000 / u128::from(self.rate.max(1))) as i64
    }

    fn time(&self, stamp: u64) -> u64 {
        if self.clock_rate == self.rate {
            return stamp;
        }
        (u128::from(stamp) * u128::from(self.rate) / u128::from(self.clock_rate.max(1))) as u64
    }

    fn is_foreign(&self, packet: &Packet<'_>, seq_step: i32, stamp_step: i64) -> bool {
        if seq_step.abs() > MAX_DROPOUT {
            return true;
        }
        if packet.payload.is_empty() {
            return false; // events keep the timestamp of their beginning
        }
        let clock = packet.arrival.wrapping_sub(self.newest_arrival) as i64;
        let media = stamp_step * 1_000_000 / i64::from(self.clock_rate.max(1));
        let behind = clock.saturating_sub(media);
        behind > MAX_TIME_JUMP_US || behind < -self.max_ahead_us
    }
}
