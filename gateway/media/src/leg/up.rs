//! The way up: packets that are believed become frames of sound for the agent.

use std::net::SocketAddr;

use rtp_types::RtpPacket;
use rtrb::Producer;
use trunkline_dsp::chain::{LegDsp, UplinkFrame, UplinkReport};
use trunkline_dsp::jitter::{FrameInfo, FrameKind, Inserted, JitterBuffer, Packet};
use trunkline_leg::{CallTime, Direction, FrameProducer, LegFact, LevelReport, UpFrame, UpHead};

use super::drift::DriftMeter;
use super::{Ledger, TICK_SAMPLES};
use crate::codec::LegDecoder;
use crate::config::{Feed, LegStart};
use crate::dtmf::{DtmfReceiver, Event, InbandDigits};
use crate::marks::SpeechMarks;
use crate::reports::Reception;
use crate::rtcp::Learned;
use crate::source::{Signalled, SourceGate, Verdict};
use crate::tones::Tones;

/// The static payload type of comfort noise (RFC 3389), taken even where it was not agreed on: it is no loss.
const COMFORT_NOISE: u8 = 13;
/// A far end whose RTCP came no longer ago than this lives, in microseconds: its longest interval, three times.
const CONTROL_LIVES_US: u64 = 20_000_000;
/// One that lives but sends no sound is waited for this many media time-outs.
const QUIET_TIMEOUTS: u64 = 4;
/// Ticks between two level reports.
const LEVEL_EVERY: u32 = 5;

/// What comes from the far end.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) gate: SourceGate,
    pub(super) reception: Reception,
    pub(super) drift: DriftMeter,
    dtmf: DtmfReceiver,
    /// Where telephone events were not agreed on; none at rates that it does not work at.
    inband: Option<Box<InbandDigits>>,
    /// While somebody wants to know of tones.
    pub(super) tones: Option<Box<Tones>>,
    jitter: JitterBuffer<LegDecoder>,
    ring: FrameProducer<UpHead>,
    levels: Producer<LevelReport>,
    pub(super) feed: Feed,
    pub(super) marks: SpeechMarks,
    /// The frame of this tick: as it was heard, as the chain gives it back, and what is known of it.
    heard: [i16; TICK_SAMPLES],
    cleaned: [i16; TICK_SAMPLES],
    raw: [i16; TICK_SAMPLES],
    pulled: Option<FrameInfo>,
    media_started: bool,
    first_arrival: Option<u64>,
    last_media: CallTime,
    last_control: Option<CallTime>,
    held_since: Option<CallTime>,
    timeout_us: u64,
    hold_timeout_us: u64,
    position: u64,
    frames: u32,
    woke: bool,
}

impl Up {
    pub(super) fn new(
        start: &LegStart,
        jitter: JitterBuffer<LegDecoder>,
        ring: FrameProducer<UpHead>,
        levels: Producer<LevelReport>,
        now: CallTime,
    ) -> Self {
        Self {
            gate: SourceGate::new(start.source.clone(), Signalled::of(&start.spec), start.signalling_ip, now.as_us()),
            reception: Reception::new(start.spec.codec.clock_rate()),
            drift: DriftMeter::default(),
            dtmf: DtmfReceiver::default(),
            inband: InbandDigits::new(jitter.rate()).ok().map(Box::new),
            tones: None,
            jitter,
            ring,
            levels,
            feed: start.sound.feed,
            marks: SpeechMarks::new(start.sound.hold_ms, start.sound.behind_db),
            heard: [0; TICK_SAMPLES],
            cleaned: [0; TICK_SAMPLES],
            raw: [0; TICK_SAMPLES],
            pulled: None,
            media_started: false,
            first_arrival: None,
            last_media: now,
            last_control: None,
            held_since: (!may_receive(start.spec.direction)).then_some(now),
            timeout_us: u64::from(start.media_timeout_ms) * 1000,
            hold_timeout_us: u64::from(start.hold_timeout_ms) * 1000,
            position: 0,
            frames: 0,
            woke: false,
        }
    }

    /// Rate of the sound in Hz.
    pub(super) const fn rate(&self) -> u32 {
        self.jitter.rate()
    }

    /// Takes a packet of RTP that arrived at `arrival_us` of the call.
    pub(super) fn handle(&mut self, ledger: &mut Ledger, arrival_us: u64, source: SocketAddr, data: &[u8]) {
        let Ok(packet) = RtpPacket::parse(data) else {
            ledger.stats.dropped_malformed += 1;
            return;
        };
        let kind = packet.payload_type();
        let content = if kind == ledger.spec.payload_type {
            Content::Sound
        } else if ledger.spec.dtmf_payload_type == Some(kind) {
            Content::Event
        } else if ledger.spec.comfort_noise_payload_type == Some(kind) || kind == COMFORT_NOISE {
            Content::Noise
        } else {
            ledger.stats.dropped_payload_type += 1;
            return;
        };
        match self.gate.judge(arrival_us, source, packet.ssrc(), packet.sequence_number()) {
            Verdict::Accept => {}
            Verdict::AcceptNewStream => self.begin_stream(ledger, arrival_us),
            Verdict::WrongSource => {
                ledger.stats.dropped_source += 1;
                return;
            }
            Verdict::WrongSsrc => {
                ledger.stats.dropped_ssrc += 1;
                return;
            }
        }
        self.last_media = CallTime(arrival_us);
        if !receives(ledger) {
            ledger.stats.dropped_direction += 1;
            return;
        }
        self.accept(ledger, arrival_us, &packet, content);
    }

    /// Somebody else is at the far end, and `gate` tells whose packets are theirs.
    pub(super) fn swap_far_end(&mut self, gate: &mut SourceGate, ledger: &Ledger) {
        let now = ledger.moment.call;
        gate.begin(now.as_us());
        std::mem::swap(&mut self.gate, gate);
        self.last_control = None;
        self.last_media = self.last_media.max(now);
    }

    /// Follows what was negotiated anew.
    pub(super) fn renegotiate(&mut self, ledger: &Ledger) {
        let now = ledger.moment.call;
        self.gate.signal(Signalled::of(&ledger.spec), now.as_us());
        self.reception.set_clock_rate(ledger.spec.codec.clock_rate());
        self.held_since = (!receives(ledger)).then(|| self.held_since.unwrap_or(now));
        // Whoever comes back from hold gets the whole time-out again.
        self.last_media = self.last_media.max(now);
    }

    /// Goes on with another codec's buffer, of the same rate, and leaves this one in its place.
    pub(super) fn swap_jitter(&mut self, jitter: &mut JitterBuffer<LegDecoder>) {
        jitter.take_over(&self.jitter);
        std::mem::swap(&mut self.jitter, jitter);
    }

    /// What the far end's RTCP says beside its figures.
    pub(super) fn control(&mut self, ledger: &Ledger, learned: &Learned) {
        self.last_control = Some(ledger.moment.call);
        if let Some(ssrc) = learned.bye {
            self.gate.end_source(ssrc);
        }
    }

    /// Whether the far end has been silent for too long although it should send, or on hold for too long. One that
    /// sends RTCP but no sound is taken for holding without saying so, and is given more time.
    pub(super) fn timed_out(&self, ledger: &Ledger) -> bool {
        let now = ledger.moment.call;
        if let Some(since) = self.held_since {
            return self.hold_timeout_us > 0 && now.since_us(since) >= self.hold_timeout_us;
        }
        let lives = self.last_control.is_some_and(|at| now.since_us(at) < CONTROL_LIVES_US);
        let limit = self.timeout_us * if lives { QUIET_TIMEOUTS } else { 1 };
        self.timeout_us > 0 && now.since_us(self.last_media) >= limit
    }

    /// The delay that the jitter buffer aims for, in microseconds.
    pub(super) const fn target_delay_us(&self) -> u64 {
        self.jitter.target_delay_us()
    }

    /// The arrival of the first packet, once.
    pub(super) fn take_first_arrival(&mut self) -> Option<u64> {
        self.first_arrival.take()
    }

    /// Whether a frame went up since the last call.
    pub(super) fn take_woke(&mut self) -> bool {
        std::mem::take(&mut self.woke)
    }

    /// Samples of a frame.
    fn samples(&self) -> usize {
        ((self.rate() / 50) as usize).min(TICK_SAMPLES)
    }

    /// Pulls the frame of this tick, once media has begun. `missed` ticks before it never happened: time goes on.
    pub(super) fn pull(&mut self, ledger: &mut Ledger, missed: u64) {
        if !self.media_started {
            return;
        }
        let samples = self.samples();
        self.position += missed * samples as u64;
        let info = self.jitter.get(ledger.moment.due.as_us(), &mut self.heard[..samples]);
        self.listen_for_digits(ledger);
        self.listen_for_tones(ledger);
        self.measure(ledger, &info);
        self.pulled = Some(info);
        self.restore();
    }

    /// Puts the frame back as it was heard, for a chain that has failed on it.
    pub(super) fn restore(&mut self) {
        self.cleaned = self.heard;
        self.raw = self.heard;
    }

    /// The frame of this tick for the chain; empty while there is nothing to hear, because time goes on there too.
    pub(super) fn frame<'a>(&'a mut self, leg: &'a mut LegDsp) -> UplinkFrame<'a> {
        let samples = if self.pulled.is_some() { self.samples() } else { 0 };
        let raw = if self.feed == Feed::Raw { samples } else { 0 };
        UplinkFrame {
            leg,
            pcm: &mut self.cleaned[..samples],
            raw: &mut self.raw[..raw],
            report: UplinkReport::default(),
        }
    }

    /// What was heard in this tick, for a recording; silence while nothing was.
    pub(super) fn heard(&mut self) -> &[i16] {
        let samples = self.samples();
        if self.pulled.is_none() {
            self.heard.fill(0);
        }
        &self.heard[..samples]
    }

    /// What was heard in this tick, cleaned, for others to hear; empty while nothing was.
    pub(super) fn cleaned(&self) -> &[i16] {
        let samples = if self.pulled.is_some() { self.samples() } else { 0 };
        &self.cleaned[..samples]
    }

    /// Hands the frame of this tick up with what was found in it. Signal processing gave it back `delay_us` late.
    pub(super) fn hand_up(&mut self, ledger: &mut Ledger, report: &UplinkReport, delay_us: u64) {
        let Some(info) = self.pulled.take() else { return };
        let (rate, samples) = (self.rate(), self.samples());
        let late = delay_us * u64::from(rate) / 1_000_000;
        let pcm = if self.feed == Feed::Raw { &self.raw[..samples] } else { &self.cleaned[..samples] };
        let position = self.position.saturating_sub(late);
        let arrival = CallTime(info.arrival.saturating_sub(delay_us));
        let activity = report.activity;
        let mark = self.marks.mark(report);
        // A frame never exceeds the ring's frame size, so the error cannot happen.
        if let Ok(mut frame) = UpFrame::new(pcm, rate, position, arrival) {
            frame.vad = mark;
            frame.concealed = info.kind != FrameKind::Decoded;
            if self.ring.push(frame).is_ok() {
                self.woke = true;
                self.marks.told(&mark);
            } else {
                ledger.stats.up_dropped += 1;
            }
        }
        self.position += samples as u64;
        self.frames = self.frames.wrapping_add(1);
        if self.frames.is_multiple_of(LEVEL_EVERY) {
            let report = LevelReport {
                at: ledger.moment.call,
                level_dbfs: activity.level_dbfs,
                noise_dbfs: activity.noise_dbfs,
                speech: mark.speech,
            };
            // Levels may be dropped.
            let _ = self.levels.push(report);
        }
    }

    /// Writes the counters that are kept elsewhere.
    pub(super) fn count(&self, ledger: &mut Ledger) {
        let jitter = self.jitter.stats();
        let stats = &mut ledger.stats;
        stats.lost = jitter.lost;
        stats.late = jitter.late;
        stats.duplicate = jitter.duplicate;
        stats.dropped_overrun = jitter.overrun + jitter.suspect;
        stats.concealed_ms = jitter.concealed_samples * 1000 / u64::from(self.jitter.rate());
        stats.target_delay_us = self.jitter.target_delay_us();
        stats.jitter_us = self.reception.jitter_us();
    }

    fn begin_stream(&mut self, ledger: &mut Ledger, arrival_us: u64) {
        self.jitter.reset();
        self.dtmf.reset();
        self.reception.restart();
        ledger.stats.ssrc_changes += 1;
        ledger.facts.push(LegFact::SsrcChanged { at: CallTime(arrival_us) });
    }

    fn accept(&mut self, ledger: &mut Ledger, arrival_us: u64, packet: &RtpPacket<'_>, content: Content) {
        if !self.media_started {
            self.media_started = true;
            self.first_arrival = Some(arrival_us);
            ledger.facts.push(LegFact::MediaStarted { at: CallTime(arrival_us) });
        }
        ledger.stats.packets_in += 1;
        ledger.stats.bytes_in += packet.payload_len() as u64;
        if content == Content::Sound {
            self.reception.audio(packet.sequence_number(), packet.timestamp(), arrival_us);
        } else {
            self.reception.other(packet.sequence_number());
        }
        if content == Content::Event {
            match self.dtmf.handle(packet.sequence_number(), packet.timestamp(), packet.payload()) {
                Event::Digit(digit) => {
                    ledger.stats.dtmf_digits += 1;
                    ledger.facts.push(LegFact::Dtmf { digit, at: CallTime(arrival_us) });
                }
                Event::Known => {}
                Event::Malformed => ledger.stats.dropped_malformed += 1,
            }
        }
        let entry = Packet {
            seq: packet.sequence_number(),
            timestamp: packet.timestamp(),
            arrival: arrival_us,
            marker: packet.marker_bit(),
            payload: if content == Content::Event { &[] } else { packet.payload() },
        };
        let outcome = match content {
            Content::Sound | Content::Event => self.jitter.insert(&entry),
            Content::Noise => self.jitter.insert_noise(&entry),
        };
        match outcome {
            Inserted::Oversize => ledger.stats.dropped_size += 1,
            Inserted::Late => self.reception.discard(packet.sequence_number()),
            _ => {}
        }
    }

    /// Keys as tones, where they do not come as events.
    fn listen_for_digits(&mut self, ledger: &mut Ledger) {
        let samples = self.samples();
        let Some(inband) = self.inband.as_mut().filter(|_| ledger.spec.dtmf_payload_type.is_none()) else { return };
        let now = ledger.moment.due.as_us();
        inband.listen(&self.heard[..samples], |digit, ago_us| {
            ledger.stats.dtmf_digits += 1;
            ledger.facts.push(LegFact::Dtmf { digit, at: CallTime(now.saturating_sub(ago_us)) });
        });
    }

    fn listen_for_tones(&mut self, ledger: &mut Ledger) {
        let samples = self.samples();
        if let Some(tones) = &mut self.tones {
            let now = ledger.moment.due;
            tones.listen(&self.heard[..samples], now, |fact| ledger.facts.push(fact));
        }
    }

    fn measure(&mut self, ledger: &mut Ledger, info: &FrameInfo) {
        if info.kind == FrameKind::Decoded {
            ledger.stats.delay_us = info.delay;
            self.drift.measure(info.delay, self.jitter.target_delay_us());
        }
    }
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Sound,
    /// A digit (RFC 4733).
    Event,
    /// What a pause sounds like (RFC 3389).
    Noise,
}

/// Whether the far end may send.
fn receives(ledger: &Ledger) -> bool {
    may_receive(ledger.spec.direction)
}

const fn may_receive(direction: Direction) -> bool {
    matches!(direction, Direction::SendRecv | Direction::RecvOnly)
}
