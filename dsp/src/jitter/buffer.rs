//! The buffer itself: which sample plays next, and what stands in for one that is not there.

use super::conceal::Concealer;
use super::delay::DelayEstimator;
use super::store::Store;
use super::{FrameInfo, FrameKind, Inserted, JitterConfig, JitterStats, Packet};
use crate::codec::Decoder;
use crate::fade::cross_fade;
use crate::level::rms_dbfs;

/// Sequence numbers and times this far from the stream's belong to another stream (RFC 3550 A.1 MAX_DROPOUT).
const MAX_DROPOUT: i32 = 3000;
const MAX_TIME_JUMP_US: i64 = 2_000_000;
/// Extended numbers start here, so that the first packets may be older than the very first.
const FIRST_SEQ: u64 = 1 << 32;
const FIRST_TIME: u64 = 1 << 40;
/// Frames below this level may be dropped or doubled without anyone hearing it.
const QUIET_DBFS: f32 = -45.0;
/// Above the wanted delay by this much, even loud frames are dropped.
const FORCE_US: i64 = 80_000;
/// Two changes of the delay lie at least this far apart.
const RETIME_EVERY_US: u64 = 100_000;
/// The most samples asked for in one go: 20 ms at 48 kHz.
const MAX_FRAME: usize = 960;

/// A jitter buffer for one source. See the [module](super) for how it is used.
#[derive(Debug)]
pub struct JitterBuffer<D> {
    decoder: D,
    rate: u32,
    max_delay_us: u64,
    store: Store,
    delay: DelayEstimator,
    concealer: Concealer,
    stats: JitterStats,
    /// Whether any packet came since the last reset, and whether the first one is being played.
    started: bool,
    playing: bool,
    first_arrival: u64,
    /// Newest packet: extended sequence number, extended timestamp and arrival of the newest with sound.
    newest_seq: u64,
    newest_time: u64,
    newest_arrival: u64,
    /// A packet that did not fit the stream: the next one decides.
    suspect_seq: Option<u16>,
    /// Sequence numbers below this had their turn; bit n of `had` says whether `head - 1 - n` came.
    head: u64,
    had: u64,
    /// Media time of the next sample to play.
    next_time: u64,
    /// Samples already made up beyond `next_time`, because nothing was there and nothing newer either.
    ahead: u64,
    decoded: Box<[i16]>,
    decoded_from: usize,
    decoded_to: usize,
    decoded_arrival: u64,
    last_retime: u64,
    last_level: f32,
}

impl<D: Decoder> JitterBuffer<D> {
    /// A buffer that decodes with `decoder`; all its memory is taken here.
    #[must_use]
    pub fn new(decoder: D, config: JitterConfig) -> Self {
        let rate = decoder.rate();
        Self {
            rate,
            decoder,
            max_delay_us: config.max_delay_us,
            store: Store::new(config.packets, config.max_payload),
            delay: DelayEstimator::new(config.min_delay_us, config.max_delay_us),
            concealer: Concealer::new(rate),
            stats: JitterStats::default(),
            started: false,
            playing: false,
            first_arrival: 0,
            newest_seq: 0,
            newest_time: 0,
            newest_arrival: 0,
            suspect_seq: None,
            head: 0,
            had: 0,
            next_time: 0,
            ahead: 0,
            // No codec makes more than one sample a payload byte at G.711's density; wider ones are cut here.
            decoded: vec![0; config.max_payload.max(MAX_FRAME)].into_boxed_slice(),
            decoded_from: 0,
            decoded_to: 0,
            decoded_arrival: 0,
            last_retime: 0,
            last_level: 0.0,
        }
    }

    /// Takes a packet. Never fails: what cannot be used is counted and named.
    pub fn insert(&mut self, packet: &Packet<'_>) -> Inserted {
        let outcome = self.place(packet);
        match outcome {
            Inserted::Stored => self.stats.stored += 1,
            Inserted::Duplicate => self.stats.duplicate += 1,
            Inserted::Late => self.stats.late += 1,
            Inserted::Oversize => self.stats.oversize += 1,
            Inserted::Suspect => self.stats.suspect += 1,
        }
        outcome
    }

    /// Writes the next `out.len()` samples (at most 20 ms at 48 kHz; the rest is silenced) as of `now`, in
    /// microseconds on the clock of the arrivals.
    pub fn get(&mut self, now: u64, out: &mut [i16]) -> FrameInfo {
        let length = out.len().min(MAX_FRAME);
        let (out, beyond) = out.split_at_mut(length);
        beyond.fill(0);
        if !self.start_playing(now) {
            out.fill(0);
            return FrameInfo { kind: FrameKind::Waiting, concealed: 0, delay: 0, arrival: now };
        }
        self.drop_beyond_max(now);
        if let Some(info) = self.lengthen(now, out) {
            return info;
        }
        let mut info = self.fill(now, out);
        self.shorten(now, out, &mut info);
        self.last_level = rms_dbfs(out);
        if info.concealed > 0 && info.kind != FrameKind::Silence {
            self.stats.concealed_samples += u64::from(info.concealed);
        }
        info
    }

    /// Starts anew for another source: drops every packet and all estimates, keeps the counters. The last sound is
    /// kept for concealment, so that the change makes no click.
    pub fn reset(&mut self) {
        self.store.clear();
        self.delay.reset();
        self.decoder.reset();
        self.started = false;
        self.playing = false;
        self.suspect_seq = None;
        self.had = 0;
        self.ahead = 0;
        self.decoded_from = 0;
        self.decoded_to = 0;
    }

    /// Counters since the buffer was made.
    #[must_use]
    pub const fn stats(&self) -> JitterStats {
        self.stats
    }

    /// The delay aimed for above the fastest packets, in microseconds.
    #[must_use]
    pub const fn target_delay_us(&self) -> u64 {
        self.delay.target()
    }

    /// The decoder, to change the codec of a stream; call [`JitterBuffer::reset`] with it. The rate must stay.
    pub const fn decoder_mut(&mut self) -> &mut D {
        &mut self.decoder
    }

    /// The rate of the sound in Hz.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    fn place(&mut self, packet: &Packet<'_>) -> Inserted {
        if packet.payload.len() > self.store.max_payload() {
            return Inserted::Oversize;
        }
        if !self.started {
            self.begin(packet);
        }
        let mut seq_step = i32::from(packet.seq.wrapping_sub(self.newest_seq as u16) as i16);
        let mut time_step = i64::from(packet.timestamp.wrapping_sub(self.newest_time as u32) as i32);
        if self.is_foreign(packet, seq_step, time_step) {
            if self.suspect_seq != Some(packet.seq.wrapping_sub(1)) {
                self.suspect_seq = Some(packet.seq);
                return Inserted::Suspect;
            }
            // Two in a row: the far end itself jumped.
            self.reset();
            self.begin(packet);
            (seq_step, time_step) = (0, 0);
        }
        self.suspect_seq = None;
        let seq = self.newest_seq.wrapping_add_signed(i64::from(seq_step));
        let time = self.newest_time.wrapping_add_signed(time_step);

        if seq < self.head {
            let age = self.head - 1 - seq;
            if self.playing || self.head - seq >= self.store.capacity() / 2 {
                let had = age < 64 && self.had >> age & 1 == 1;
                return if had { Inserted::Duplicate } else { Inserted::Late };
            }
            // Nothing was played yet: the stream simply began earlier than its first packet to arrive.
            self.head = seq;
        }
        if self.store.get(seq).is_some() {
            return Inserted::Duplicate;
        }
        while seq >= self.head + self.store.capacity() {
            self.give_up_head();
        }
        self.store.put(seq, time, packet.arrival, packet.payload);
        self.newest_seq = self.newest_seq.max(seq);
        if !packet.payload.is_empty() {
            if time >= self.newest_time {
                self.newest_time = time;
                self.newest_arrival = packet.arrival;
            }
            self.delay.packet(packet.arrival, packet.arrival as i64 - self.media_us(time));
        }
        Inserted::Stored
    }

    fn begin(&mut self, packet: &Packet<'_>) {
        self.started = true;
        self.first_arrival = packet.arrival;
        self.newest_seq = FIRST_SEQ + u64::from(packet.seq);
        self.newest_time = FIRST_TIME + u64::from(packet.timestamp);
        self.newest_arrival = packet.arrival;
        self.head = self.newest_seq;
        self.next_time = self.newest_time;
        self.had = 0;
    }

    fn is_foreign(&self, packet: &Packet<'_>, seq_step: i32, time_step: i64) -> bool {
        if seq_step.abs() > MAX_DROPOUT {
            return true;
        }
        if packet.payload.is_empty() {
            return false; // events keep the timestamp of their beginning
        }
        let clock = packet.arrival as i64 - self.newest_arrival as i64;
        let media = time_step * 1_000_000 / i64::from(self.rate);
        (clock - media).abs() > MAX_TIME_JUMP_US
    }

    /// Microseconds of an extended media time since the first possible one.
    fn media_us(&self, time: u64) -> i64 {
        ((time - FIRST_TIME / 2) * 1_000_000 / u64::from(self.rate)) as i64
    }

    /// How far the next sample lies behind its wanted moment: positive when the delay is longer than wanted.
    fn excess_us(&self, now: u64) -> i64 {
        now as i64 - self.media_us(self.next_time) - self.delay.wanted_offset()
    }

    fn start_playing(&mut self, now: u64) -> bool {
        if self.playing {
            return true;
        }
        if !self.started || now < self.first_arrival + self.delay.target() {
            return false;
        }
        self.pass_soundless();
        let Some(first) = self.store.first(self.head, self.newest_seq) else { return false };
        self.next_time = first.timestamp;
        self.ahead = 0;
        self.playing = true;
        self.last_retime = now;
        true
    }

    /// Consumes packets at the head that hold no sound, so that they count neither as loss nor as sound.
    fn pass_soundless(&mut self) {
        while self.store.get(self.head).is_some_and(|(_, payload)| payload.is_empty()) {
            self.take_turn();
        }
    }

    /// The head had its turn: it was played, passed over or never came.
    fn take_turn(&mut self) {
        let came = self.store.remove(self.head);
        self.had = self.had << 1 | u64::from(came);
        self.head += 1;
    }

    fn give_up_head(&mut self) {
        if self.store.get(self.head).is_some() {
            self.stats.overrun += 1;
        } else {
            self.stats.lost += 1;
        }
        self.take_turn();
    }

    /// Fills `out` from packets, concealing what is missing, and moves the media time on.
    fn fill(&mut self, now: u64, out: &mut [i16]) -> FrameInfo {
        let mut filled = 0;
        let mut info = FrameInfo { kind: FrameKind::Silence, concealed: 0, delay: 0, arrival: now };
        let (mut decoded_any, mut lost_any) = (false, false);
        while filled < out.len() {
            if self.decoded_from == self.decoded_to {
                match self.next_gap() {
                    Gap::None => {}
                    Gap::Empty => {
                        let rest = &mut out[filled..];
                        self.concealer.fill(rest);
                        self.ahead += rest.len() as u64;
                        info.concealed += rest.len() as u32;
                        lost_any = true;
                        break;
                    }
                    Gap::Of { samples, lost } => {
                        let count = (out.len() - filled).min(usize::try_from(samples).unwrap_or(usize::MAX));
                        self.concealer.fill(&mut out[filled..filled + count]);
                        self.next_time += count as u64;
                        info.concealed += count as u32;
                        lost_any |= lost;
                        filled += count;
                        continue;
                    }
                }
            }
            let count = (out.len() - filled).min(self.decoded_to - self.decoded_from);
            let sound = &mut self.decoded[self.decoded_from..self.decoded_from + count];
            out[filled..filled + count].copy_from_slice(sound);
            self.concealer.remember(sound);
            self.decoded_from += count;
            self.next_time += count as u64;
            filled += count;
            decoded_any = true;
            info.arrival = self.decoded_arrival;
        }
        if decoded_any {
            info.kind = FrameKind::Decoded;
            info.delay = now.saturating_sub(info.arrival);
        } else if lost_any {
            info.kind = FrameKind::Concealed;
        }
        info
    }

    /// Decodes the packet that holds the next sample, or says what lies before it.
    fn next_gap(&mut self) -> Gap {
        loop {
            self.pass_soundless();
            let Some(entry) = self.store.first(self.head, self.newest_seq) else { return Gap::Empty };
            let missing = entry.seq - self.head;
            if entry.timestamp > self.next_time {
                // What was made up while nothing was there stands for this gap first.
                let covered = (entry.timestamp - self.next_time).min(self.ahead);
                self.next_time += covered;
                self.ahead -= covered;
                let samples = entry.timestamp - self.next_time;
                if samples > 0 {
                    return Gap::Of { samples, lost: missing > 0 };
                }
            }
            for _ in 0..missing {
                self.stats.lost += 1;
                self.take_turn();
            }
            let Some((entry, payload)) = self.store.get(self.head) else { return Gap::Empty };
            if payload.is_empty() {
                self.take_turn();
                continue;
            }
            let samples = self.decoder.decode(payload, &mut self.decoded);
            self.take_turn();
            // Sound whose time has passed (an overlap of timestamps) is skipped.
            let skip = self.next_time.saturating_sub(entry.timestamp);
            if skip >= samples as u64 {
                continue;
            }
            self.ahead = 0;
            self.decoded_from = skip as usize;
            self.decoded_to = samples;
            self.decoded_arrival = entry.arrival;
            self.concealer.recover(&mut self.decoded[self.decoded_from..self.decoded_to]);
            return Gap::None;
        }
    }

    /// Drops the oldest packets while more than the largest delay is waiting.
    fn drop_beyond_max(&mut self, now: u64) {
        let max = (self.max_delay_us * u64::from(self.rate) / 1_000_000).max(1);
        if self.newest_time.saturating_sub(self.next_time) <= max {
            return;
        }
        let keep_from = self.newest_time - max / 2;
        while let Some(entry) = self.store.first(self.head, self.newest_seq) {
            if entry.timestamp >= keep_from {
                break;
            }
            while self.head < entry.seq {
                self.stats.lost += 1;
                self.take_turn();
            }
            self.give_up_head();
        }
        self.decoded_from = self.decoded_to;
        self.ahead = 0;
        self.next_time = self.store.first(self.head, self.newest_seq).map_or(keep_from, |entry| entry.timestamp);
        self.last_retime = now;
    }

    /// Plays a frame of nothing new when packets have come to need a longer delay and the moment is quiet.
    fn lengthen(&mut self, now: u64, out: &mut [i16]) -> Option<FrameInfo> {
        let frame_us = (out.len() as u64 * 1_000_000 / u64::from(self.rate)) as i64;
        let due = now.saturating_sub(self.last_retime) >= RETIME_EVERY_US;
        if !due || self.last_level > QUIET_DBFS || self.excess_us(now) > -frame_us || self.store.is_empty() {
            return None;
        }
        self.last_retime = now;
        self.stats.lengthened += 1;
        self.concealer.fill(out);
        self.stats.concealed_samples += out.len() as u64;
        Some(FrameInfo { kind: FrameKind::Concealed, concealed: out.len() as u32, delay: 0, arrival: now })
    }

    /// Blends this frame into the next one when the delay is longer than wanted: in quiet, or when it is far off.
    fn shorten(&mut self, now: u64, out: &mut [i16], info: &mut FrameInfo) {
        let frame_us = (out.len() as u64 * 1_000_000 / u64::from(self.rate)) as i64;
        // The media time has moved on by this frame already; measure as before it.
        let excess = self.excess_us(now) + frame_us;
        let quiet = rms_dbfs(out) < QUIET_DBFS;
        let due = now.saturating_sub(self.last_retime) >= RETIME_EVERY_US;
        let wanted = (quiet && excess > frame_us + frame_us / 4) || excess > frame_us + FORCE_US;
        if !due || !wanted || self.newest_time < self.next_time {
            return;
        }
        self.last_retime = now;
        self.stats.shortened += 1;
        let mut scratch = [0; MAX_FRAME];
        let next = &mut scratch[..out.len()];
        let later = self.fill(now, next);
        let blend = out.len() / 4;
        cross_fade(&mut out[..blend], &next[..blend]);
        out[blend..].copy_from_slice(&next[blend..]);
        *info = FrameInfo { concealed: later.concealed, ..later };
    }
}

/// What lies before the next packet with sound.
enum Gap {
    /// Nothing: the next sample is decoded.
    None,
    /// Nothing is waiting at all.
    Empty,
    /// This many samples: lost, or never sent.
    Of { samples: u64, lost: bool },
}
