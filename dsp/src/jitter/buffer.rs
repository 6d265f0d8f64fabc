//! The buffer itself: packets are put in their place as they come, and sound is taken out frame by frame.

use super::decision_logic::{DecisionLogic, Operation, Situation};
use super::delay_manager::DelayManager;
use super::expand::{Expand, HISTORY_US};
use super::packet_buffer::{Entry, PacketBuffer};
use super::sync_buffer::SyncBuffer;
use super::time_stretch::TimeStretch;
use super::timeline::{Place, Timeline, Verdict};
use super::{FrameInfo, FrameKind, Inserted, JitterConfig, JitterStats, Packet};
use crate::codec::Decoder;
use crate::comfort_noise::{ComfortNoise, ComfortNoiseDecoder, MAX_ORDER};
use crate::fade::fade_out;
use crate::simd::Simd;

/// The most samples asked for in one go: 20 ms at 48 kHz.
const MAX_FRAME: usize = 960;
/// Longest packet in microseconds (RFC 6716 knows none longer); what is decoded beyond is cut.
const MAX_PACKET_US: usize = 120_000;
/// Where the noise of silence begins; any number will do.
const NOISE_SEED: u32 = 3389;
/// Longest stretch that is bridged in one go, in microseconds.
pub(super) const BRIDGE_MAX_US: usize = 60_000;

/// A jitter buffer for one source. See the [module](super) for how it is used.
#[derive(Debug)]
pub struct JitterBuffer<D> {
    pub(super) decoder: D,
    pub(super) rate: u32,
    max_delay_us: u64,
    pub(super) packets: PacketBuffer,
    pub(super) timeline: Timeline,
    pub(super) delay: DelayManager,
    logic: DecisionLogic,
    pub(super) sync: SyncBuffer,
    pub(super) expand: Expand,
    stretch: TimeStretch,
    pub(super) stats: JitterStats,
    /// Whether any packet came since the last reset, and whether the first one is being played.
    started: bool,
    playing: bool,
    first_arrival: u64,
    /// Sequence numbers below this had their turn; bit n of `had` says whether `head - 1 - n` came.
    pub(super) head: u64,
    had: u64,
    /// Media time of the sample after the last one that waits in the sync buffer.
    pub(super) next_time: u64,
    /// Samples already made up beyond `next_time`, because nothing was there and nothing newer either.
    pub(super) ahead: u64,
    /// The far end is silent on purpose, or the last payload was damaged.
    pub(super) quiet: bool,
    pub(super) damaged: bool,
    /// What its silence sounds like, and whether it said so for this silence.
    pub(super) noise: ComfortNoiseDecoder,
    pub(super) noisy: bool,
    /// The pause that the delay was last changed in, by the packet after it.
    pub(super) settled_before: u64,
    /// Samples of the newest packet, and of the frames asked for.
    pub(super) packet: usize,
    pub(super) frame: usize,
    pub(super) payload: Box<[u8]>,
    pub(super) decoded: Box<[i16]>,
}

impl<D: Decoder> JitterBuffer<D> {
    /// A buffer that decodes with `decoder`; all its memory is taken here.
    #[must_use]
    pub fn new(decoder: D, config: JitterConfig) -> Self {
        Self::with_simd(Simd::detect(), decoder, config)
    }

    /// The same with the instructions that `simd` allows; the sound is the same bit for bit.
    #[must_use]
    pub fn with_simd(simd: Simd, decoder: D, config: JitterConfig) -> Self {
        let rate = decoder.rate().clamp(1_000, 384_000);
        let samples = |us: usize| rate as usize * us / 1_000_000;
        let clock_rate = if config.clock_rate == 0 { rate } else { config.clock_rate };
        let packets = PacketBuffer::new(config.packets, config.max_payload, config.bytes);
        // A frame less one sample waits, a gap is bridged to the longest packet, and a period is inserted.
        let waiting = MAX_FRAME + samples(BRIDGE_MAX_US) + samples(MAX_PACKET_US) + samples(20_000);
        Self {
            rate,
            decoder,
            max_delay_us: config.max_delay_us.min(60_000_000),
            payload: vec![0; packets.max_payload()].into_boxed_slice(),
            packets,
            timeline: Timeline::new(rate, clock_rate, config.max_delay_us),
            delay: DelayManager::new(&config),
            logic: DecisionLogic::default(),
            sync: SyncBuffer::new(samples(HISTORY_US), waiting),
            expand: Expand::new(simd, rate),
            stretch: TimeStretch::new(simd, rate),
            stats: JitterStats::default(),
            started: false,
            playing: false,
            first_arrival: 0,
            head: 0,
            had: 0,
            next_time: 0,
            ahead: 0,
            quiet: false,
            damaged: false,
            noise: ComfortNoiseDecoder::new(rate, NOISE_SEED),
            noisy: false,
            settled_before: 0,
            packet: samples(20_000),
            frame: samples(20_000),
            decoded: vec![0; samples(MAX_PACKET_US)].into_boxed_slice(),
        }
    }

    /// Takes a packet. Never fails: what cannot be used is counted and named.
    pub fn insert(&mut self, packet: &Packet<'_>) -> Inserted {
        let outcome = self.place(packet, None);
        self.count(outcome)
    }

    /// Takes a packet of comfort noise (RFC 3389), in the stream's own order: from its turn until there is sound again
    /// the silence is filled with the noise that its payload describes.
    pub fn insert_noise(&mut self, packet: &Packet<'_>) -> Inserted {
        let described = packet.payload.get(..MAX_ORDER + 1).unwrap_or(packet.payload);
        let outcome = self.place(&Packet { payload: &[], ..*packet }, Some(described));
        self.count(outcome)
    }

    fn count(&mut self, outcome: Inserted) -> Inserted {
        match outcome {
            Inserted::Stored => self.stats.stored += 1,
            Inserted::Duplicate => self.stats.duplicate += 1,
            Inserted::Late => self.stats.late += 1,
            Inserted::Oversize => self.stats.oversize += 1,
            Inserted::Full => self.stats.overrun += 1,
            Inserted::Suspect => self.stats.suspect += 1,
        }
        outcome
    }

    /// Writes the next `out.len()` samples (at most 960, which are 20 ms at 48 kHz; the rest is silenced) as of `now`,
    /// in microseconds on the clock of the arrivals.
    pub fn get(&mut self, now: u64, out: &mut [i16]) -> FrameInfo {
        let length = out.len().min(MAX_FRAME);
        let (out, beyond) = out.split_at_mut(length);
        beyond.fill(0);
        if !self.start_playing(now) {
            self.wait(out);
            return FrameInfo { kind: FrameKind::Waiting, concealed: 0, delay: 0, arrival: now };
        }
        self.frame = length.max(1);
        self.drop_beyond_max();
        let operation = self.logic.decide(now, &self.situation(), self.excess_us(now));
        if let Operation::Accelerate { most, .. } = operation {
            self.prepare(length + most.min(self.rate as usize / 50));
        }
        let made_up = self.fill(now, length);
        if !made_up {
            self.modify(now, length, operation);
        }
        let taken = self.sync.take(out);
        self.stats.concealed_samples += taken.concealed as u64;
        let concealed = (taken.concealed + taken.silent) as u32;
        match taken.arrival {
            Some(arrival) => {
                FrameInfo { kind: FrameKind::Decoded, concealed, delay: now.saturating_sub(arrival), arrival }
            }
            None => {
                let kind = if taken.concealed > 0 { FrameKind::Concealed } else { FrameKind::Silence };
                FrameInfo { kind, concealed, delay: 0, arrival: now }
            }
        }
    }

    /// Starts anew for another source: drops every packet and all estimates, keeps the counters. The last sound is
    /// kept for concealment, so that the change makes no click.
    pub fn reset(&mut self) {
        self.packets.clear();
        self.delay.reset();
        self.decoder.reset();
        if self.playing {
            self.drop_waiting();
        }
        self.started = false;
        self.playing = false;
        self.had = 0;
        self.ahead = 0;
        self.quiet = false;
        self.damaged = false;
        self.noisy = false;
    }

    /// Another codec from here on, whose sound has the same rate and whose timestamps count at `clock_rate` Hz (0: at the
    /// sound's rate), without allocating. The delay that was found stays, and so does the stream where the timestamps
    /// count on as before: what waits is decoded as far as there is room, the rest counts as lost. Returns the decoder of
    /// before, to be dropped elsewhere.
    ///
    /// # Errors
    /// The new decoder, and nothing changes, when its rate is another one: make a buffer for it, and let that
    /// [take over](Self::take_over).
    pub fn replace_decoder(&mut self, decoder: D, clock_rate: u32) -> Result<D, D> {
        if decoder.rate() != self.rate {
            return Err(decoder);
        }
        let clock_rate = if clock_rate == 0 { self.rate } else { clock_rate };
        if clock_rate == self.timeline.clock_rate() && self.playing {
            self.prepare((self.sync.waiting() + self.sync.room()).saturating_sub(self.packet));
            self.packets.clear();
            return Ok(std::mem::replace(&mut self.decoder, decoder));
        }
        let before = std::mem::replace(&mut self.decoder, decoder);
        let delay = self.delay.clone();
        self.reset();
        self.delay.follow(&delay);
        self.timeline = Timeline::new(self.rate, clock_rate, self.max_delay_us);
        Ok(before)
    }

    /// Goes on where another buffer was, for a stream whose codec changed to one of another rate: with its counters, the
    /// delay that it had found, and its last sound to conceal from. For a buffer that has taken no packet yet. Does not
    /// allocate.
    pub fn take_over<E>(&mut self, before: &JitterBuffer<E>) {
        self.stats = before.stats;
        self.delay.follow(&before.delay);
        self.sync.remember(before.sync.around().0, before.rate, self.rate);
        if before.playing {
            self.expand.begin(self.sync.around().0);
        }
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

    /// The decoder, to change what it does within its codec. For another codec see [`JitterBuffer::replace_decoder`].
    pub const fn decoder_mut(&mut self) -> &mut D {
        &mut self.decoder
    }

    /// The rate of the sound in Hz.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// `noise` is what a packet without sound says of its silence.
    fn place(&mut self, packet: &Packet<'_>, noise: Option<&[u8]>) -> Inserted {
        let payload = noise.unwrap_or(packet.payload);
        if payload.len() > self.packets.max_payload() {
            return Inserted::Oversize;
        }
        let place = if !self.started {
            self.begin(packet)
        } else {
            match self.timeline.locate(packet) {
                Verdict::Continues(place) => place,
                Verdict::Suspect => return Inserted::Suspect,
                Verdict::Jumped => {
                    self.reset();
                    self.begin(packet)
                }
            }
        };
        let seq = place.seq;
        if seq < self.head {
            let age = self.head - 1 - seq;
            if self.playing || self.head - seq >= self.packets.capacity() / 2 {
                let had = age < 64 && self.had >> age & 1 == 1;
                if had {
                    return Inserted::Duplicate;
                }
                // It came too late, but that is a delay like any other.
                self.measure_late(packet, place);
                return Inserted::Late;
            }
            if self.timeline.newest_seq() - seq >= self.packets.capacity() {
                return Inserted::Late;
            }
            // Nothing was played yet: the stream simply began earlier than its first packet to arrive.
            self.head = seq;
        }
        if self.packets.get(seq).is_some() {
            return Inserted::Duplicate;
        }
        // A jump of the head over nothing must not take longer than one over a full buffer.
        while seq >= self.head + self.packets.capacity() {
            self.give_up_head();
        }
        while !self.packets.has_room(payload.len()) && self.head < seq {
            self.give_up_head();
        }
        if !self.packets.has_room(payload.len()) {
            return Inserted::Full;
        }
        self.packets.put(seq, place.time, packet.arrival, payload, noise.is_some());
        self.timeline.accept(place, packet);
        self.measure(packet, place);
        Inserted::Stored
    }

    fn measure(&mut self, packet: &Packet<'_>, place: Place) {
        if packet.payload.is_empty() {
            return;
        }
        let samples = self.decoder.samples(packet.payload).min(self.decoded.len());
        if samples > 0 {
            self.packet = samples;
        }
        let duration = samples as u64 * 1_000_000 / u64::from(self.rate);
        self.delay.packet(packet.arrival, self.transit(packet, place), duration);
    }

    /// As [`Self::measure`], for a packet that is not played: what is later than the buffer could ever wait for says
    /// nothing of the delay to choose.
    fn measure_late(&mut self, packet: &Packet<'_>, place: Place) {
        let excess = self.delay.excess(self.transit(packet, place));
        if !packet.payload.is_empty() && excess <= i64::try_from(self.max_delay_us).unwrap_or(i64::MAX) {
            let duration = self.packet as u64 * 1_000_000 / u64::from(self.rate);
            self.delay.packet(packet.arrival, self.transit(packet, place), duration);
        }
    }

    fn transit(&self, packet: &Packet<'_>, place: Place) -> i64 {
        (packet.arrival as i64).wrapping_sub(self.timeline.media_us(place.time))
    }

    fn begin(&mut self, packet: &Packet<'_>) -> Place {
        let place = self.timeline.begin(packet);
        self.started = true;
        self.first_arrival = packet.arrival;
        self.head = place.seq;
        self.next_time = place.time;
        self.had = 0;
        place
    }

    fn situation(&self) -> Situation {
        Situation { rate: self.rate, frame: self.frame, packet: self.packet, waiting: self.sync.waiting() }
    }

    /// How much longer than wanted a packet waits that is just needed, in microseconds.
    pub(super) fn excess_us(&self, now: u64) -> i64 {
        let next = self.next_time.wrapping_add(self.ahead).wrapping_sub(self.sync.waiting() as u64);
        let transit = (now as i64).wrapping_sub(self.timeline.media_us(next));
        self.delay.excess(transit.saturating_sub(self.situation().unused_us()))
    }

    /// The change of the delay that is due, in samples.
    pub(super) fn change_due(&self, now: u64) -> isize {
        self.situation().change(self.excess_us(now))
    }

    fn start_playing(&mut self, now: u64) -> bool {
        if self.playing {
            return true;
        }
        if !self.started || now < self.first_arrival.saturating_add(self.delay.target()) {
            return false;
        }
        self.pass_soundless();
        let Some(first) = self.first_with_sound() else { return false };
        self.next_time = first.time;
        self.ahead = 0;
        self.quiet = false;
        self.playing = true;
        self.logic.changed(now);
        true
    }

    /// Silence before a stream, with the last sound of the one before faded out.
    fn wait(&mut self, out: &mut [i16]) {
        let Self { sync, expand, .. } = self;
        if expand.active() {
            sync.append(out.len(), FrameKind::Waiting, 0, |to| {
                expand.extend(to);
                fade_out(to);
            });
            expand.end();
        } else {
            sync.append(out.len(), FrameKind::Waiting, 0, |to| to.fill(0));
        }
        sync.take(out);
    }

    /// Consumes packets at the head that hold no sound, so that they count neither as loss nor as sound.
    pub(super) fn pass_soundless(&mut self) {
        while let Some(entry) = self.packets.get(self.head).filter(Entry::is_soundless) {
            self.quiet = true;
            if entry.is_noise()
                && let Some(noise) = ComfortNoise::parse(self.packets.payload(&entry, &mut self.payload))
            {
                self.noise.update(&noise);
                self.noisy = true;
            }
            self.take_turn();
        }
    }

    /// The first packet in waiting that holds sound.
    pub(super) fn first_with_sound(&self) -> Option<Entry> {
        let newest = self.timeline.newest_seq();
        let mut from = self.head;
        while let Some(entry) = self.packets.first(from, newest) {
            if !entry.is_soundless() {
                return Some(entry);
            }
            from = entry.seq + 1;
        }
        None
    }

    /// The head had its turn: it was played, passed over or never came.
    pub(super) fn take_turn(&mut self) {
        let came = self.packets.remove(self.head);
        self.had = self.had << 1 | u64::from(came);
        self.head += 1;
    }

    fn give_up_head(&mut self) {
        if self.packets.get(self.head).is_some() {
            self.stats.overrun += 1;
        } else {
            self.stats.lost += 1;
        }
        self.take_turn();
    }

    /// Drops the oldest packets while more than the largest delay is waiting.
    fn drop_beyond_max(&mut self) {
        let max = (self.max_delay_us * u64::from(self.rate) / 1_000_000).max(1);
        let newest = self.timeline.newest_time();
        let playing = (self.next_time + self.ahead).saturating_sub(self.sync.waiting() as u64);
        if newest.saturating_sub(playing) <= max {
            return;
        }
        let keep_from = newest - max / 2;
        while let Some(entry) = self.packets.first(self.head, self.timeline.newest_seq()) {
            if entry.time >= keep_from {
                break;
            }
            while self.head < entry.seq {
                self.stats.lost += 1;
                self.take_turn();
            }
            self.give_up_head();
        }
        self.drop_waiting();
        self.ahead = 0;
        self.next_time = self.first_with_sound().map_or(keep_from, |entry| entry.time);
    }

    /// Drops the sound that waits; whatever comes next is joined to what was played.
    fn drop_waiting(&mut self) {
        let Self { sync, expand, .. } = self;
        expand.begin(sync.around().0);
        sync.clear_waiting();
    }

    /// Carries out a change of the delay on the sound that waits.
    fn modify(&mut self, now: u64, length: usize, operation: Operation) {
        let (past, ahead) = self.sync.around();
        let change = match operation {
            Operation::Normal => None,
            Operation::Accelerate { most, urgent } => {
                let spare = ahead.len().saturating_sub(length);
                self.stretch.accelerate(ahead, most.min(spare), urgent)
            }
            Operation::PreemptiveExpand { most, urgent } => {
                // A period that is longer than what is missing is still better than missing it.
                let longest = most.max(self.stretch.longest()).min(self.sync.room());
                self.stretch.preemptive_expand(past, ahead, (most, longest), urgent)
            }
        };
        let Some(change) = change else { return };
        self.sync.replace(change.old, &self.stretch.output[..change.new]);
        self.logic.changed(now);
        if change.new < change.old {
            self.stats.shortened += 1;
        } else {
            self.stats.lengthened += 1;
        }
    }
}
