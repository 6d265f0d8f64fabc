//! The way down: frames of playback become packets.

use rtp_types::RtpPacketBuilder;
use trunkline_dsp::codec::Encoder;
use trunkline_dsp::comfort_noise::{ComfortNoise, ComfortNoiseDecoder};
use trunkline_leg::{CallTime, Direction, FAR_BUFFER_US};

use super::ambience::Ambience;
use super::duck::Duck;
use super::hold::Held;
use super::ringback::Ringback;
use super::thinking::ThinkingSound;
use super::{Ledger, MAX_PACKET, PENDING, Seed, TICK_MS, TICK_SAMPLES};
use crate::codec::LegEncoder;
use crate::conference::ConferenceSeat;
use crate::config::{Idle, LegStart};
use crate::dtmf::{DtmfSender, Keyed, Way};
use crate::facts::FactQueue;
use crate::playback::{Playback, Played};
use crate::srtp::Srtp;
use crate::tapping::Taps;

/// Level of the noise between utterances, in dBov: what a quiet line has.
const COMFORT_DBOV: f32 = -65.0;

/// A leg that sends nothing else sends this often, in microseconds (RFC 6263 6).
const KEEPALIVE_US: u64 = 15_000_000;
/// A payload type that nobody agrees on: received, counted and dropped (RFC 6263 4.6).
const KEEPALIVE_TYPES: [u8; 4] = [126, 125, 124, 123];

/// What goes to the far end.
#[derive(Debug)]
pub(super) struct Down {
    encoder: LegEncoder,
    idle: Idle,
    playback: Playback,
    pub(super) duck: Duck,
    pub(super) comfort_noise: bool,
    comfort: ComfortNoiseDecoder,
    ringback: Ringback,
    thinking: ThinkingSound,
    ambience: Option<Ambience>,
    held: Option<Box<Held>>,
    /// The frame of this tick, and whether it is to be sent.
    frame: [i16; TICK_SAMPLES],
    framed: Option<Played>,
    /// It has the tone in it that tells of a recording.
    beeps: bool,
    /// It has others of a conference in it.
    joined: bool,
    pending: [i16; PENDING],
    pending_len: usize,
    pending_timestamp: u32,
    pub(super) ssrc: u32,
    seq: u16,
    /// Of the frame that is made next.
    pub(super) timestamp: u32,
    marker: bool,
    sending: bool,
    /// The agent says something in this tick.
    speaks: bool,
    /// A pause began, and the far end has not been told yet what it sounds like.
    noise_due: bool,
    digits: DtmfSender,
    /// A digit is being sent.
    keying: bool,
    /// The event packet of this tick.
    event: Option<(bool, u32, [u8; 4])>,
    last_sent_us: Option<u64>,
    packet: [u8; MAX_PACKET],
}

impl Down {
    pub(super) fn new(
        start: &LegStart,
        encoder: LegEncoder,
        playback: Playback,
        digits: DtmfSender,
        seed: &Seed,
    ) -> Self {
        let [s0, s1, s2, s3, q0, q1, t0, t1, t2, t3, ..] = seed.0;
        let mut comfort = ComfortNoiseDecoder::new(encoder.rate(), u32::from_be_bytes([q0, q1, t0, t1]));
        comfort.update(&ComfortNoise::new(COMFORT_DBOV, &[]));
        let ringback = Ringback::new(start.ringback_ms, encoder.rate());
        let thinking = ThinkingSound::new(encoder.rate());
        let ambience = start.ambience.as_ref().and_then(|ambience| Ambience::new(ambience, encoder.rate()));
        Self {
            encoder,
            idle: start.idle,
            playback,
            duck: Duck::new(start.sound.duck_db),
            comfort_noise: start.sound.comfort_noise,
            comfort,
            ringback,
            thinking,
            ambience,
            held: None,
            frame: [0; TICK_SAMPLES],
            framed: None,
            beeps: false,
            joined: false,
            pending: [0; PENDING],
            pending_len: 0,
            pending_timestamp: 0,
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            seq: u16::from_be_bytes([q0, q1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            marker: true,
            sending: false,
            speaks: false,
            noise_due: false,
            digits,
            keying: false,
            event: None,
            last_sent_us: None,
            packet: [0; MAX_PACKET],
        }
    }

    /// Goes on with another codec for sound of the same rate, and leaves this one in its place.
    pub(super) fn swap_codec(&mut self, encoder: &mut LegEncoder) {
        std::mem::swap(&mut self.encoder, encoder);
        // What waits is sent by the new codec, whose clock may count otherwise.
        self.pending_timestamp = self.timestamp.wrapping_sub(self.encoder.ticks(self.pending_len));
        self.marker = true;
    }

    /// Goes on with another sound of a hold, or none, and leaves this one in its place.
    pub(super) const fn swap_held(&mut self, held: &mut Option<Box<Held>>) {
        std::mem::swap(&mut self.held, held);
    }

    /// Whether something is said in this tick.
    pub(super) const fn is_speaking(&self) -> bool {
        self.speaks
    }

    /// Whether the leg is in the middle of sending sound.
    pub(super) const fn is_sending(&self) -> bool {
        self.sending
    }

    /// Drops what waits to be sent.
    pub(super) const fn forget_pending(&mut self) {
        self.pending_len = 0;
    }

    /// Cuts what was not played: the leg is over.
    pub(super) fn abandon(&mut self, now: CallTime, facts: &mut FactQueue) {
        self.playback.abandon(now, facts);
        self.pending_len = 0;
    }

    /// Frames dropped because they were cleared.
    pub(super) const fn dropped(&self) -> u64 {
        self.playback.dropped()
    }

    fn samples(&self) -> usize {
        ((self.encoder.rate() / 50) as usize).min(TICK_SAMPLES)
    }

    /// Makes the frame of this tick: the agent's sound, or silence. `reachable` when there is an address to send to;
    /// `missed` ticks before this one never happened: time goes on. True when an utterance begins with it.
    pub(super) fn say(&mut self, ledger: &mut Ledger, reachable: bool, missed: u64) -> bool {
        let samples = self.samples();
        let step = self.encoder.ticks(samples);
        self.timestamp = self.timestamp.wrapping_add((missed * u64::from(step)) as u32);
        let sends = matches!(ledger.spec.direction, Direction::SendRecv | Direction::SendOnly) && reachable;
        let frame = &mut self.frame[..samples];
        self.speaks = false;
        if !sends {
            // On hold playback waits, while the clock of the leg goes on.
            frame.fill(0);
            self.framed = None;
            self.sending = false;
            self.pending_len = 0;
            self.rest_ambience();
            self.digits.interrupt();
            self.keying = false;
            self.event = None;
            self.timestamp = self.timestamp.wrapping_add(step);
            return false;
        }
        match self.key(ledger, samples) {
            Some(Keyed::Event { marker, timestamp, payload }) => {
                self.frame[..samples].fill(0);
                self.framed = None;
                self.event = Some((marker, timestamp, payload));
                // Sound that follows begins anew.
                self.sending = false;
                self.rest_ambience();
                self.timestamp = self.timestamp.wrapping_add(step);
                return false;
            }
            Some(Keyed::Tone) => {
                self.framed = Some(Played::Speech { starts: false });
                return false;
            }
            None => {}
        }
        let frame = &mut self.frame[..samples];
        self.playback.set_delay_us(far_delay_us(ledger));
        let mut played = self.playback.next_frame(ledger.moment.call, ledger.moment.due, &mut ledger.facts, frame);
        // Ring-back and what fills pauses are nothing that somebody says.
        self.speaks = played != Played::Silence;
        let begins = self.playback.take_began();
        if begins {
            let _ = self.duck.release();
        }
        if self.speaks {
            self.duck.apply(frame);
        } else {
            self.duck.rest();
        }
        let on_hold = self.held.is_some();
        if self.held.as_mut().is_some_and(|held| held.fill(played, frame)) || self.ringback.fill(played, frame) {
            played = Played::Speech { starts: false };
        } else if let Some(ambience) = &mut self.ambience {
            ambience.mix(self.speaks, frame);
            if played == Played::Silence {
                // It is to be sent, whatever is sent where nothing is said.
                played = Played::Speech { starts: false };
            }
        }
        if self.thinking.mix(self.playback.is_thinking() && !self.speaks && !on_hold, frame)
            && played == Played::Silence
        {
            played = Played::Speech { starts: false };
        }
        if played == Played::Silence && self.comfort_noise && self.idle == Idle::Silence {
            self.comfort.fill(frame);
        }
        self.framed = Some(played);
        begins
    }

    fn rest_ambience(&mut self) {
        if let Some(ambience) = &mut self.ambience {
            ambience.rest();
        }
    }

    /// The frame of this tick, for whoever works on it before it is sent; silence where nothing is said.
    pub(super) fn frame(&mut self) -> &mut [i16] {
        let samples = self.samples();
        &mut self.frame[..samples]
    }

    /// Adds what others in a conference say to the frame of this tick, unless the leg is on hold or sends a digit.
    pub(super) fn join(&mut self, conference: &mut ConferenceSeat) {
        let joins = self.framed.is_some() && !self.keying;
        let mut unheard = [0; TICK_SAMPLES];
        let samples = self.samples();
        let frame = if joins { &mut self.frame[..samples] } else { &mut unheard[..samples] };
        self.joined = conference.hear(frame) && joins;
    }

    /// Mixes the tone that tells of a recording into the frame of this tick when it is due.
    pub(super) fn beep(&mut self, taps: &mut Taps) {
        self.beeps = self.framed.is_some() && taps.mix_beep(self.frame());
    }

    /// Puts the frame of this tick in line to be sent.
    pub(super) fn line_up(&mut self) {
        let Some(played) = self.framed.take() else { return };
        let samples = self.samples();
        if played == (Played::Speech { starts: true }) || !self.sending {
            self.marker |= self.pending_len == 0;
        }
        let others = std::mem::take(&mut self.joined) || self.beeps;
        if played == Played::Silence && !others && self.idle == Idle::Nothing && self.pending_len == 0 {
            self.noise_due |= self.sending;
            self.sending = false;
        } else if let Some(room) = self.pending.get_mut(self.pending_len..self.pending_len + samples) {
            if self.pending_len == 0 {
                self.pending_timestamp = self.timestamp;
            }
            room.copy_from_slice(&self.frame[..samples]);
            self.pending_len += samples;
            self.sending = true;
        }
        self.timestamp = self.timestamp.wrapping_add(self.encoder.ticks(samples));
    }

    /// Digits in place of this tick's sound. They begin between packets, never within one.
    fn key(&mut self, ledger: &mut Ledger, samples: usize) -> Option<Keyed> {
        if self.pending_len > 0 && !self.keying {
            return None;
        }
        let way = match ledger.spec.dtmf_payload_type {
            Some(_) => Way::Events { timestamp: self.timestamp, step: ledger.spec.dtmf_clock_rate / 50 },
            None => Way::Tones { rate: self.encoder.rate() },
        };
        let keyed = self.digits.tick(way, &mut self.frame[..samples]);
        self.keying = keyed.is_some();
        ledger.stats.dtmf_sent = self.digits.sent();
        keyed
    }

    /// Makes the next packet that is complete; its length, for [`Down::packet`].
    pub(super) fn poll(&mut self, ledger: &mut Ledger, srtp: Option<&mut Srtp>) -> Option<usize> {
        if let Some((marker, timestamp, payload)) = self.event.take() {
            let header = Header { payload_type: ledger.spec.dtmf_payload_type?, marker, timestamp };
            return self.send(ledger, srtp, header, &payload);
        }
        if std::mem::take(&mut self.noise_due)
            && let Some(payload_type) = ledger.spec.comfort_noise_payload_type
        {
            let mut payload = [0; 1];
            let length = ComfortNoise::new(COMFORT_DBOV, &[]).write(&mut payload);
            let header = Header { payload_type, marker: false, timestamp: self.timestamp };
            return self.send(ledger, srtp, header, &payload[..length]);
        }
        let samples = (self.encoder.rate() / 1000) as usize * usize::from(ledger.spec.ptime_ms);
        while self.pending_len >= samples {
            let mut payload = [0; PENDING];
            let length = self.encoder.encode(&self.pending[..samples], &mut payload);
            let timestamp = self.pending_timestamp;
            self.pending.copy_within(samples..self.pending_len, 0);
            self.pending_len -= samples;
            self.pending_timestamp = timestamp.wrapping_add(self.encoder.ticks(samples));
            if length > 0 {
                let marker = std::mem::take(&mut self.marker);
                let header = Header { payload_type: ledger.spec.payload_type, marker, timestamp };
                return self.send(ledger, srtp, header, &payload[..length]);
            }
            // The codec leaves out pauses itself; what comes after one begins a talkspurt (RFC 3551 4.1).
            self.marker = true;
        }
        None
    }

    /// Makes a packet that only keeps bindings of NATs open, when nothing else was sent for long (RFC 6263).
    pub(super) fn keepalive(&mut self, ledger: &mut Ledger, srtp: Option<&mut Srtp>) -> Option<usize> {
        let now = ledger.moment.call.as_us();
        let last = *self.last_sent_us.get_or_insert(now);
        if self.sending || now.saturating_sub(last) < KEEPALIVE_US {
            return None;
        }
        let spec = &ledger.spec;
        let agreed = [Some(spec.payload_type), spec.dtmf_payload_type, spec.comfort_noise_payload_type];
        let payload_type = KEEPALIVE_TYPES.into_iter().find(|kind| !agreed.contains(&Some(*kind)))?;
        ledger.stats.keepalives += 1;
        self.send(ledger, srtp, Header { payload_type, marker: false, timestamp: self.timestamp }, &[])
    }

    /// Makes a packet of a payload.
    fn send(
        &mut self,
        ledger: &mut Ledger,
        srtp: Option<&mut Srtp>,
        Header { payload_type, marker, timestamp }: Header,
        payload: &[u8],
    ) -> Option<usize> {
        let built = RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(payload_type)
            .marker_bit(marker)
            .sequence_number(self.seq)
            .timestamp(timestamp)
            .ssrc(self.ssrc)
            .payload(payload)
            .write_into(&mut self.packet);
        self.seq = self.seq.wrapping_add(1);
        self.last_sent_us = Some(ledger.moment.call.as_us());
        let made = built.ok().and_then(|length| match srtp {
            Some(srtp) => srtp.protect_rtp(&mut self.packet, length),
            None => Some(length),
        });
        if made.is_some() {
            ledger.stats.packets_out += 1;
            ledger.stats.bytes_out += payload.len() as u64;
        } else {
            ledger.stats.send_errors += 1;
        }
        made
    }

    /// The packet that was made last.
    pub(super) fn packet(&self, length: usize) -> &[u8] {
        self.packet.get(..length).unwrap_or_default()
    }
}

/// What a packet says of its payload.
#[derive(Debug, Clone, Copy)]
struct Header {
    payload_type: u8,
    marker: bool,
    timestamp: u32,
}

/// From a frame's tick to the far ear, in microseconds: the wait for the packet that it goes with, half the round trip
/// and the far end's buffer; 0 while the round trip is not known.
fn far_delay_us(ledger: &Ledger) -> u64 {
    let packing_us = u64::from(u32::from(ledger.spec.ptime_ms).saturating_sub(TICK_MS)) * 1000;
    match ledger.stats.rtt_us {
        0 => 0,
        round_trip => packing_us + round_trip / 2 + FAR_BUFFER_US,
    }
}
