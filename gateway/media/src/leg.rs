//! One leg's media, without sockets or clocks: packets and ticks in, packets and facts out.

use std::net::SocketAddr;
use std::sync::Arc;

use rtp_types::RtpPacket;
use rtrb::{Consumer, Producer};
use trunkline_dsp::jitter::{FrameInfo, FrameKind, Inserted, JitterBuffer, JitterConfig, Packet};
use trunkline_dsp::to_f32;
use trunkline_dsp::vad::{Activity, Slot, SpectralBank, VadBank, VadFrame};
use trunkline_leg::{CallTime, Direction, EndCause, LegFact, LevelReport, MediaEnd, MediaSpec, UpFrame, VadMark};

use crate::codec::LegCodec;
use crate::config::{Idle, LegStart};
use crate::dtmf::{DtmfReceiver, Event};
use crate::facts::FactQueue;
use crate::playback::Playback;
use crate::recorder::Tap;
use crate::reports::Reception;
use crate::rtcp;
use crate::source::{SourceGate, Verdict};
use crate::stats::LegStats;

mod send;
mod shared;

pub(crate) use shared::LegShared;

/// Length of a tick in microseconds.
pub(crate) const TICK_US: u64 = 20_000;
/// Most samples of a tick: 20 ms at 16 kHz.
const TICK_SAMPLES: usize = 320;
/// Most samples of a packet: 60 ms at 16 kHz, and the frame that completes it.
const PENDING: usize = 3 * TICK_SAMPLES + TICK_SAMPLES;
/// Largest RTP packet taken, in bytes.
const MAX_PACKET: usize = 1500;
/// Comfort noise (RFC 3389): no sound of the stream, but no loss either.
const COMFORT_NOISE: u8 = 13;
/// First and later RTCP reports (RFC 3550 6.2) in microseconds.
const FIRST_REPORT_US: u64 = 2_500_000;
const REPORT_EVERY_US: u64 = 5_000_000;
/// Ticks between two level reports.
const LEVEL_EVERY: u32 = 5;
/// Frames over which the place of a leg's ticks is judged.
const DRIFT_FRAMES: u32 = 50;
/// Packets that wait this much longer than the jitter buffer wants could be had a phase earlier; packets that wait
/// this much less should get a phase more.
const SLACK_US: i64 = 6_500;
const SCARCE_US: i64 = -3_000;
/// How long a leg that is over waits for its agent to make room for the last facts, in microseconds.
const LINGER_US: u64 = 5_000_000;

/// Random numbers of a leg: SSRC, first sequence number and timestamp (RFC 3550 5.1), CNAME (RFC 7022).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub(crate) [u8; 32]);

/// The moment of a tick or packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) call: CallTime,
    /// When the tick should have been: the pull of the jitter buffer keeps to it, so that a late tick is not taken
    /// for a slow network.
    pub(crate) due: CallTime,
    /// Microseconds since 1970.
    pub(crate) wall_us: u64,
}

/// How a leg's ticks lie against its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drift {
    /// An earlier phase would do.
    TickLate,
    /// A later phase is needed.
    TickEarly,
}

/// A packet to send.
#[derive(Debug)]
pub(crate) struct Transmit<'a> {
    pub(crate) to: SocketAddr,
    /// On the RTCP socket.
    pub(crate) rtcp: bool,
    pub(crate) data: &'a [u8],
}

/// Where a leg lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    /// Over since; only the last facts and the BYE are still to be delivered.
    Over(CallTime),
}

/// One leg's media.
#[derive(Debug)]
pub(crate) struct Leg {
    spec: MediaSpec,
    codec: LegCodec,
    idle: Idle,
    state: State,
    shared: Arc<LegShared>,
    updates: Consumer<MediaSpec>,
    stats: LegStats,
    facts: FactQueue,
    // Up.
    gate: SourceGate,
    dtmf: DtmfReceiver,
    reception: Reception,
    jitter: JitterBuffer<LegCodec>,
    up: Producer<UpFrame>,
    levels: Producer<LevelReport>,
    vad: Option<Slot>,
    media_started: bool,
    first_arrival: Option<u64>,
    last_media: CallTime,
    media_timeout_us: u64,
    position: u64,
    frames: u32,
    frames_measured: u32,
    frames_slack: u32,
    frames_enough: u32,
    woke: bool,
    // Down.
    playback: Playback,
    pending: [i16; PENDING],
    pending_len: usize,
    pending_timestamp: u32,
    ssrc: u32,
    seq: u16,
    timestamp: u32,
    marker: bool,
    sending: bool,
    packet: [u8; MAX_PACKET],
    // RTCP.
    cname: [u8; 16],
    report_at: u64,
    report_due: bool,
    bye_due: bool,
    moment: Moment,
    their_report: Option<(u32, u32, u64)>,
    rtcp_packet: [u8; rtcp::BUFFER],
    // Recording.
    tap: Option<Tap>,
    #[cfg(test)]
    pub(crate) explode: bool,
}

impl Leg {
    /// A leg that starts at `now`.
    pub(crate) fn new(
        start: &LegStart,
        end: MediaEnd,
        updates: Consumer<MediaSpec>,
        tap: Option<Tap>,
        seed: Seed,
        now: CallTime,
    ) -> Result<(Self, Arc<LegShared>), trunkline_dsp::resample::RateError> {
        let spec = start.spec.clone();
        let codec = LegCodec(spec.codec);
        let rate = spec.codec.sample_rate();
        let shared = Arc::new(LegShared::default());
        let [s0, s1, s2, s3, q0, q1, t0, t1, t2, t3, ..] = seed.0;
        let leg = Self {
            codec,
            idle: start.idle,
            state: State::Live,
            shared: shared.clone(),
            updates,
            stats: LegStats::default(),
            facts: FactQueue::new(end.facts),
            gate: SourceGate::new(start.source, spec.remote, start.signalling_ip, now.as_us()),
            dtmf: DtmfReceiver::default(),
            reception: Reception::default(),
            jitter: JitterBuffer::new(codec, JitterConfig::default()),
            up: end.up,
            levels: end.levels,
            vad: None,
            media_started: false,
            first_arrival: None,
            last_media: now,
            media_timeout_us: u64::from(start.media_timeout_ms) * 1000,
            position: 0,
            frames: 0,
            frames_measured: 0,
            frames_slack: 0,
            frames_enough: 0,
            woke: false,
            playback: Playback::new(rate, end.down, end.playout)?,
            pending: [0; PENDING],
            pending_len: 0,
            pending_timestamp: 0,
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            seq: u16::from_be_bytes([q0, q1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            marker: true,
            sending: false,
            packet: [0; MAX_PACKET],
            cname: cname(&seed.0),
            report_at: now.as_us() + FIRST_REPORT_US,
            report_due: false,
            bye_due: false,
            moment: Moment { call: now, due: now, wall_us: 0 },
            their_report: None,
            rtcp_packet: [0; rtcp::BUFFER],
            tap,
            spec,
            #[cfg(test)]
            explode: false,
        };
        Ok((leg, shared))
    }

    /// Gives the leg its place in the worker's detector.
    pub(crate) fn set_vad(&mut self, slot: Option<Slot>) {
        self.vad = slot;
    }

    pub(crate) const fn vad(&self) -> Option<Slot> {
        self.vad
    }

    /// Takes a packet from the RTP socket that arrived at `arrival_us` of the call; `cut` when it was longer than
    /// `data`.
    pub(crate) fn handle_rtp(&mut self, moment: Moment, arrival_us: u64, source: SocketAddr, data: &[u8], cut: bool) {
        if self.state != State::Live {
            return;
        }
        if cut || data.len() > MAX_PACKET {
            self.stats.dropped_size += 1;
            return;
        }
        // RFC 5761: packet types 192-223 in the second byte are RTCP on the same port.
        if data.get(1).is_some_and(|kind| (192..=223).contains(kind)) {
            self.handle_rtcp(moment, source, data);
            return;
        }
        let Ok(packet) = RtpPacket::parse(data) else {
            self.stats.dropped_malformed += 1;
            return;
        };
        let kind = packet.payload_type();
        let is_audio = kind == self.spec.payload_type;
        let is_event = !is_audio && self.spec.dtmf_payload_type == Some(kind);
        if !is_audio && !is_event && kind != COMFORT_NOISE {
            self.stats.dropped_payload_type += 1;
            return;
        }
        match self.gate.judge(moment.call.as_us(), source, packet.ssrc(), packet.sequence_number()) {
            Verdict::Accept => {}
            Verdict::AcceptNewStream => self.begin_stream(arrival_us),
            Verdict::WrongSource => {
                self.stats.dropped_source += 1;
                return;
            }
            Verdict::WrongSsrc => {
                self.stats.dropped_ssrc += 1;
                return;
            }
        }
        self.last_media = CallTime(arrival_us);
        if !matches!(self.spec.direction, Direction::SendRecv | Direction::RecvOnly) {
            self.stats.dropped_direction += 1;
            return;
        }
        self.accept(arrival_us, &packet, is_audio, is_event);
    }

    /// Takes a packet from the RTCP socket.
    pub(crate) fn handle_rtcp(&mut self, moment: Moment, source: SocketAddr, data: &[u8]) {
        let believed = self.gate.believes_rtcp(source) && data.len() <= MAX_PACKET;
        let Some(learned) = believed.then(|| rtcp::read(data, self.ssrc)).flatten() else {
            self.stats.rtcp_dropped += 1;
            return;
        };
        self.stats.rtcp_in += 1;
        if let Some((ssrc, ntp)) = learned.sender_report {
            self.their_report = Some((ssrc, ntp, moment.call.as_us()));
        }
        if let Some(lost) = learned.lost {
            self.stats.remote_lost = u64::from(lost);
        }
        if let Some((last, delay)) = learned.echo {
            let now = rtcp::ntp_middle(rtcp::ntp(moment.wall_us));
            let round_trip = now.wrapping_sub(last).wrapping_sub(delay);
            // A clock step can make it negative or absurd; more than a minute is neither.
            if round_trip < 60 << 16 {
                self.stats.rtt_us = (u64::from(round_trip) * 1_000_000) >> 16;
            }
        }
    }

    /// One tick: a frame up when `hear`, a frame down, and whatever time brings. `missed` ticks before this one
    /// never happened. True when the agent should be woken.
    pub(crate) fn tick(&mut self, moment: Moment, missed: u64, hear: bool, bank: &mut SpectralBank) -> bool {
        self.moment = moment;
        self.facts.flush();
        if self.state == State::Live {
            self.apply_updates();
            if let Some(cause) = self.shared.asked_end() {
                self.finish(cause);
            } else if self.facts.overflowed() {
                self.finish(EndCause::Failed);
            } else if self.media_timed_out() {
                self.finish(EndCause::MediaTimeout);
            }
        }
        #[cfg(test)]
        assert!(!self.explode, "a defect in the processing of one leg");
        if self.state == State::Live {
            self.skip(missed);
            let samples = (self.jitter.rate() / 50) as usize;
            let (mut heard, mut said) = ([0; TICK_SAMPLES], [0; TICK_SAMPLES]);
            if hear && self.media_started {
                self.hear(&mut heard[..samples], bank);
            }
            self.say(&mut said[..samples]);
            if let Some(tap) = &mut self.tap
                && tap.record(&heard[..samples], &said[..samples])
            {
                self.stats.recording_dropped += 1;
            }
            if moment.call.as_us() >= self.report_at {
                self.report_at = moment.call.as_us() + REPORT_EVERY_US;
                self.report_due = true;
            }
        }
        self.publish();
        self.facts.take_sent() | std::mem::take(&mut self.woke)
    }

    /// Ends the leg because its processing failed.
    pub(crate) fn fail(&mut self) {
        if self.state == State::Live {
            self.finish(EndCause::Failed);
            self.publish();
        }
    }

    /// Counts a packet that the operating system did not take.
    pub(crate) fn count_send_error(&mut self) {
        self.stats.send_errors += 1;
    }

    /// Whether everything is over and delivered.
    pub(crate) fn is_done(&self) -> bool {
        match self.state {
            State::Live => false,
            State::Over(since) => self.facts.is_empty() || self.moment.call.since_us(since) >= LINGER_US,
        }
    }

    /// The arrival of the first packet, once.
    pub(crate) fn take_first_arrival(&mut self) -> Option<u64> {
        self.first_arrival.take()
    }

    /// Whether the leg's ticks come too late or too early after its packets, by the fastest tenth of the last second;
    /// `None` until as many frames were measured. Single ticks that were late do not count.
    pub(crate) fn take_drift(&mut self) -> Option<Drift> {
        if self.frames_measured < DRIFT_FRAMES {
            return None;
        }
        let (slack, enough) = (self.frames_slack, self.frames_enough);
        self.restart_drift();
        if slack >= DRIFT_FRAMES / 10 {
            Some(Drift::TickLate)
        } else if enough < DRIFT_FRAMES / 10 {
            Some(Drift::TickEarly)
        } else {
            None
        }
    }

    /// Measures anew: the leg's ticks have moved.
    pub(crate) fn restart_drift(&mut self) {
        (self.frames_measured, self.frames_slack, self.frames_enough) = (0, 0, 0);
    }

    fn begin_stream(&mut self, arrival_us: u64) {
        self.jitter.reset();
        self.dtmf.reset();
        self.reception = Reception::default();
        self.stats.ssrc_changes += 1;
        self.facts.push(LegFact::SsrcChanged { at: CallTime(arrival_us) });
    }

    fn accept(&mut self, arrival_us: u64, packet: &RtpPacket<'_>, is_audio: bool, is_event: bool) {
        if !self.media_started {
            self.media_started = true;
            self.first_arrival = Some(arrival_us);
            self.facts.push(LegFact::MediaStarted { at: CallTime(arrival_us) });
        }
        self.stats.packets_in += 1;
        self.stats.bytes_in += packet.payload_len() as u64;
        self.reception.packet(packet.sequence_number(), packet.timestamp(), arrival_us, self.spec.codec.clock_rate());
        if is_event {
            match self.dtmf.handle(packet.timestamp(), packet.payload()) {
                Event::Digit(digit) => {
                    self.stats.dtmf_digits += 1;
                    self.facts.push(LegFact::Dtmf { digit, at: CallTime(arrival_us) });
                }
                Event::Known => {}
                Event::Malformed => self.stats.dropped_malformed += 1,
            }
        }
        let outcome = self.jitter.insert(&Packet {
            seq: packet.sequence_number(),
            timestamp: packet.timestamp(),
            arrival: arrival_us,
            marker: packet.marker_bit(),
            payload: if is_audio { packet.payload() } else { &[] },
        });
        if outcome == Inserted::Oversize {
            self.stats.dropped_size += 1;
        }
    }

    fn apply_updates(&mut self) {
        while let Ok(spec) = self.updates.pop() {
            let now = self.moment.call;
            self.gate.signal(spec.remote, now.as_us());
            if spec.codec != self.spec.codec {
                self.codec = LegCodec(spec.codec);
                *self.jitter.decoder_mut() = self.codec;
                self.jitter.reset();
            }
            // Whoever comes back from hold gets the whole time-out again.
            self.last_media = self.last_media.max(now);
            self.spec = spec;
        }
    }

    fn media_timed_out(&self) -> bool {
        self.media_timeout_us > 0
            && matches!(self.spec.direction, Direction::SendRecv | Direction::RecvOnly)
            && self.moment.call.since_us(self.last_media) >= self.media_timeout_us
    }

    fn finish(&mut self, cause: EndCause) {
        let now = self.moment.call;
        self.playback.abandon(now, &mut self.facts);
        self.facts.push(LegFact::Ended { cause, at: now });
        self.state = State::Over(now);
        self.bye_due = self.sending || self.stats.packets_out > 0;
        self.pending_len = 0;
        self.shared.set_over();
    }

    /// Keeps time across ticks that were too late to be caught up.
    fn skip(&mut self, missed: u64) {
        if missed > 0 {
            let samples = missed * u64::from(self.jitter.rate() / 50);
            self.position += samples;
            self.timestamp = self.timestamp.wrapping_add(samples as u32);
            self.stats.ticks_skipped += missed;
        }
    }

    fn hear(&mut self, pcm: &mut [i16], bank: &mut SpectralBank) {
        let info = self.jitter.get(self.moment.due.as_us(), pcm);
        let activity = self.judge(pcm, bank);
        self.measure(&info);
        // A frame never exceeds the ring's frame size, so the error cannot happen.
        if let Ok(mut frame) = UpFrame::new(pcm, self.jitter.rate(), self.position, CallTime(info.arrival)) {
            frame.vad =
                VadMark { speech: activity.speech, confidence: activity.confidence, level_dbfs: activity.level_dbfs };
            frame.concealed = info.kind != FrameKind::Decoded;
            if self.up.push(frame).is_ok() {
                self.woke = true;
            } else {
                self.stats.up_dropped += 1;
            }
        }
        self.position += pcm.len() as u64;
        self.frames = self.frames.wrapping_add(1);
        if self.frames.is_multiple_of(LEVEL_EVERY) {
            let report = LevelReport {
                at: self.moment.call,
                level_dbfs: activity.level_dbfs,
                noise_dbfs: activity.noise_dbfs,
                speech: activity.speech,
            };
            // Levels may be dropped.
            let _ = self.levels.push(report);
        }
    }

    fn judge(&self, pcm: &[i16], bank: &mut SpectralBank) -> Activity {
        let Some(slot) = self.vad else { return Activity::default() };
        let mut samples = [0.0; TICK_SAMPLES];
        for (slot, sample) in samples.iter_mut().zip(pcm) {
            *slot = to_f32(*sample);
        }
        let mut batch = [VadFrame { slot, pcm: &samples[..pcm.len()], activity: Activity::default() }];
        bank.process(&mut batch);
        batch[0].activity
    }

    fn measure(&mut self, info: &FrameInfo) {
        if info.kind == FrameKind::Decoded {
            self.stats.delay_us = info.delay;
            let spare = info.delay as i64 - self.jitter.target_delay_us() as i64;
            self.frames_measured += 1;
            self.frames_slack += u32::from(spare > SLACK_US);
            self.frames_enough += u32::from(spare >= SCARCE_US);
        }
    }

    fn publish(&mut self) {
        let jitter = self.jitter.stats();
        self.stats.lost = jitter.lost;
        self.stats.late = jitter.late;
        self.stats.duplicate = jitter.duplicate;
        self.stats.dropped_overrun = jitter.overrun + jitter.suspect;
        self.stats.concealed_ms = jitter.concealed_samples * 1000 / u64::from(self.jitter.rate());
        self.stats.target_delay_us = self.jitter.target_delay_us();
        self.stats.jitter_us = self.reception.jitter_us(self.spec.codec.clock_rate());
        self.stats.down_dropped = self.playback.dropped();
        self.shared.stats.store(&self.stats);
    }
}

/// Sixteen characters that identify this leg to RTCP and nothing else.
fn cname(seed: &[u8; 32]) -> [u8; 16] {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    std::array::from_fn(|n| LETTERS[usize::from(seed[16 + n] & 31)])
}

#[cfg(test)]
mod tests;
