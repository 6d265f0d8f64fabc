//! One leg's media, without sockets or clocks: packets and ticks in, packets and facts out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rtrb::{Consumer, Producer};
use trunkline_dsp::chain::{Denoiser, DownlinkChain, DownlinkFrame, LegDsp, UplinkChain, UplinkFrame, UplinkReport};
use trunkline_dsp::echo::Interruption;
use trunkline_leg::{CallTime, DtmfDigit, EndCause, LegFact, MediaEnd, MediaQuality, MediaSpec, ReadyMark};

use crate::codec::LegCodec;
use crate::conference::ConferenceSeat;
use crate::config::LegStart;
use crate::dtmf::DtmfSender;
use crate::error::MediaError;
use crate::facts::FactQueue;
use crate::playback::Playback;
use crate::srtp::{MAX_OVERHEAD, Refused, Srtp};
use crate::stats::LegStats;
use crate::tapping::Taps;

mod ambience;
mod down;
mod drift;
mod duck;
mod hold;
mod order;
mod ringback;
mod rtcp;
mod shared;
mod thinking;
mod up;

pub(crate) use drift::Drift;
pub(crate) use hold::Held;
pub(crate) use order::LegOrder;
pub use order::check_change;
pub(crate) use shared::LegShared;

use down::Down;
use order::encryption;
use rtcp::Reports;
use up::Up;

/// Length of a tick.
const TICK_MS: u32 = 20;
/// The same in microseconds.
pub(crate) const TICK_US: u64 = TICK_MS as u64 * 1000;
/// Most samples of a tick: 20 ms at 16 kHz.
const TICK_SAMPLES: usize = 320;
/// Most samples of a packet: 60 ms at 16 kHz, and the frame that completes it.
const PENDING: usize = 3 * TICK_SAMPLES + TICK_SAMPLES;
/// Largest RTP packet taken, in bytes.
const MAX_PACKET: usize = 1500;
/// The detector of speech, as facts and metrics name it.
pub const DETECTOR: &str = "fused+silero";
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

/// What every part of a leg goes by and writes to.
#[derive(Debug)]
struct Ledger {
    spec: MediaSpec,
    moment: Moment,
    facts: FactQueue,
    stats: LegStats,
}

/// A leg's ends of the rings to its owner.
#[derive(Debug)]
pub(crate) struct OwnerEnd {
    pub(crate) orders: Consumer<LegOrder>,
    /// What was replaced, to be dropped by the owner.
    pub(crate) spent: Producer<LegOrder>,
}

/// One leg's media.
///
/// A tick takes it through the passes of its worker: [`begin`](Self::begin), [`say`](Self::say) and
/// [`poll_transmit`](Self::poll_transmit), [`pull`](Self::pull), the worker's chain on
/// [`uplink_frame`](Self::uplink_frame), and [`publish`](Self::publish).
#[derive(Debug)]
pub(crate) struct Leg {
    state: State,
    shared: Arc<LegShared>,
    owner: OwnerEnd,
    ledger: Ledger,
    ready: ReadyMark,
    srtp: Option<Box<Srtp>>,
    /// A report of ours, protected.
    report: [u8; crate::rtcp::BUFFER + MAX_OVERHEAD],
    dsp: Box<LegDsp>,
    /// The engine that was reported last.
    told_denoiser: Option<Denoiser>,
    up: Up,
    down: Down,
    reports: Reports,
    taps: Taps,
    conference: Option<Box<ConferenceSeat>>,
    #[cfg(test)]
    pub(crate) explode: bool,
    #[cfg(test)]
    pub(crate) explode_in_chain: bool,
}

impl Leg {
    /// A leg that starts at `now`. Not for a media thread: it allocates.
    pub(crate) fn new(
        start: &LegStart,
        end: MediaEnd,
        owner: OwnerEnd,
        taps: Taps,
        seed: Seed,
        now: CallTime,
    ) -> Result<(Self, Arc<LegShared>), MediaError> {
        let (codec, rate) = (start.spec.codec, start.spec.codec.sample_rate());
        let unable = MediaError::Codec { codec, rate };
        let LegCodec { encoder, jitter } = LegCodec::new(&start.spec, rate)?;
        let Ok(playback) = Playback::new(rate, end.down, end.playout) else { return Err(unable) };
        let Ok(dsp) = LegDsp::new(&start.sound.chain, rate) else { return Err(unable) };
        let (shared, digits) = LegShared::new();
        let shared = Arc::new(shared);
        let leg = Self {
            state: State::Live,
            shared: shared.clone(),
            owner,
            ledger: Ledger {
                spec: start.spec.clone(),
                moment: Moment { call: now, due: now, wall_us: 0 },
                facts: FactQueue::new(end.facts),
                stats: LegStats::default(),
            },
            ready: end.ready,
            srtp: start.spec.srtp.as_ref().map(encryption).transpose()?,
            report: [0; crate::rtcp::BUFFER + MAX_OVERHEAD],
            dsp: Box::new(dsp),
            told_denoiser: None,
            up: Up::new(start, jitter, end.up, end.levels, now),
            down: Down::new(start, encoder, playback, DtmfSender::new(digits), &seed),
            reports: Reports::new(start, &seed, now),
            taps,
            conference: None,
            #[cfg(test)]
            explode: false,
            #[cfg(test)]
            explode_in_chain: false,
        };
        Ok((leg, shared))
    }

    /// Takes its places in the chain of the worker `worker`; without room its sound is left as it is.
    pub(crate) fn adopt(&mut self, chain: &mut UplinkChain, worker: usize) {
        self.shared.worker.store(worker, Ordering::Release);
        if !chain.adopt(&mut self.dsp) {
            self.ledger.stats.unprocessed = 1;
        }
    }

    /// Gives its places back.
    pub(crate) fn detach(&mut self, chain: &mut UplinkChain) {
        chain.detach(&mut self.dsp);
    }

    /// Where it should stand among the legs of its phase.
    pub(crate) fn order(&self, chain: &UplinkChain) -> u32 {
        chain.order(&self.dsp)
    }

    /// The engine that takes the noise out.
    pub(crate) fn denoiser(&self, chain: &UplinkChain) -> Denoiser {
        chain.denoiser(&self.dsp)
    }

    /// Takes a packet from the RTP socket that arrived at `arrival_us` of the call; `cut` when it was longer than
    /// `data`.
    pub(crate) fn handle_rtp(&mut self, moment: Moment, arrival_us: u64, source: SocketAddr, data: &[u8], cut: bool) {
        if self.state != State::Live {
            return;
        }
        if cut || data.len() > MAX_PACKET {
            self.ledger.stats.dropped_size += 1;
            return;
        }
        // RFC 5761: packet types 192-223 in the second byte are RTCP on the same port.
        if data.get(1).is_some_and(|kind| (192..=223).contains(kind)) {
            self.take_rtcp(moment, source, data, true);
            return;
        }
        self.ledger.moment = moment;
        let mut plain = [0; MAX_PACKET];
        let data = match &mut self.srtp {
            None => data,
            Some(srtp) => match srtp.open_rtp(data, &mut plain) {
                Ok(length) => &plain[..length],
                Err(why) => return count_refused(&mut self.ledger.stats, why),
            },
        };
        self.up.handle(&mut self.ledger, arrival_us, source, data);
    }

    /// Takes a digit that came beside the sound.
    pub(crate) fn handle_digit(&mut self, moment: Moment, digit: DtmfDigit) {
        if self.state == State::Live {
            self.ledger.stats.dtmf_digits += 1;
            self.ledger.facts.push(LegFact::Dtmf { digit, at: moment.call });
        }
    }

    /// Takes a packet from the RTCP socket.
    pub(crate) fn handle_rtcp(&mut self, moment: Moment, source: SocketAddr, data: &[u8]) {
        self.take_rtcp(moment, source, data, false);
    }

    fn take_rtcp(&mut self, moment: Moment, source: SocketAddr, data: &[u8], multiplexed: bool) {
        self.ledger.moment = moment;
        let believed = data.len() <= MAX_PACKET && self.up.gate.believes_rtcp(source, multiplexed);
        let mut plain = [0; MAX_PACKET];
        let data = match &mut self.srtp {
            Some(srtp) if believed => match srtp.open_rtcp(data, &mut plain) {
                Ok(length) => &plain[..length],
                Err(why) => return count_refused(&mut self.ledger.stats, why),
            },
            Some(_) | None => data,
        };
        match believed.then(|| self.reports.handle(&mut self.ledger, data)).flatten() {
            Some(learned) => {
                self.ledger.stats.rtcp_in += 1;
                self.up.control(&self.ledger, &learned);
            }
            None => self.ledger.stats.rtcp_dropped += 1,
        }
    }

    /// Begins a tick: orders are carried out, and whatever time brings.
    pub(crate) fn begin(&mut self, moment: Moment, chain: &mut UplinkChain) {
        self.ledger.moment = moment;
        self.ledger.facts.flush();
        if self.state == State::Live {
            self.take_orders(chain);
            if let Some(cause) = self.shared.asked_end() {
                self.finish(cause);
            } else if self.ledger.facts.overflowed() {
                self.finish(EndCause::Failed);
            } else if self.up.timed_out(&self.ledger) {
                self.finish(EndCause::MediaTimeout);
            }
        }
        #[cfg(test)]
        assert!(!self.explode, "a defect in the processing of one leg");
    }

    /// A frame down: what the agent says, limited, in line to be sent. `missed` ticks before it never happened.
    pub(crate) fn say(&mut self, chain: &mut DownlinkChain, missed: u64) {
        if self.state != State::Live {
            return;
        }
        self.ledger.stats.ticks_skipped += missed;
        self.taps.begin(missed);
        let reachable = self.up.gate.destination().is_some();
        if self.down.say(&mut self.ledger, reachable, missed) {
            self.dsp.rearm();
        }
        if let Some(conference) = &mut self.conference {
            self.down.join(conference);
        }
        chain.process(&mut [DownlinkFrame { leg: &mut self.dsp, pcm: self.down.frame() }]);
        self.down.beep(&mut self.taps);
        self.down.line_up();
    }

    /// A frame up out of the jitter buffer. `missed` ticks before it never happened.
    pub(crate) fn pull(&mut self, missed: u64) {
        if self.state == State::Live {
            self.up.pull(&mut self.ledger, missed);
        }
    }

    /// The frame of this tick for the worker's chain; `None` when the leg is over.
    pub(crate) fn uplink_frame(&mut self) -> Option<UplinkFrame<'_>> {
        (self.state == State::Live).then(|| self.up.frame(&mut self.dsp))
    }

    /// Makes the frame and the leg's part of the chain whole again after the chain has failed on a batch.
    pub(crate) fn recover(&mut self, chain: &mut UplinkChain) {
        chain.recover(&mut self.dsp);
        self.up.restore();
        // Of a suspicion that the chain has forgotten nothing more is heard.
        let _ = self.down.duck.release();
    }

    /// Ends a tick: hands up what was heard, with what was found in it, and publishes what is to be seen from outside.
    /// True when the agent should be woken.
    pub(crate) fn publish(&mut self, chain: &UplinkChain, report: &UplinkReport, said: bool) -> bool {
        if self.state == State::Live {
            self.tell_sound(chain);
            if said && self.taps.record(self.up.heard(), self.down.frame()) {
                self.ledger.stats.recording_dropped += 1;
            }
            if let Some(conference) = &mut self.conference {
                // A visit without a frame, as after a move to a later phase, is no silence.
                let cleaned = self.up.cleaned();
                if !cleaned.is_empty() && !self.shared.is_muted() {
                    conference.say(cleaned);
                }
            }
            self.yield_to_the_caller(report);
            self.up.hand_up(&mut self.ledger, report, chain.delay_us(&self.dsp));
            self.reports.tick(&mut self.ledger, &self.up);
        }
        self.count();
        self.has_news()
    }

    /// Turns the agent down while somebody may be interrupting it.
    fn yield_to_the_caller(&mut self, report: &UplinkReport) {
        let stats = &mut self.ledger.stats;
        // What happens while the agent is silent interrupts nobody.
        match report.interruption.filter(|_| self.down.is_speaking()) {
            Some(Interruption::Suspected) => {
                stats.interruptions_suspected += u64::from(self.down.duck.suspect());
            }
            Some(Interruption::Confirmed) => {
                self.down.duck.confirm();
                stats.interruptions_confirmed += 1;
            }
            Some(Interruption::Dismissed) => {
                stats.interruptions_dismissed += u64::from(self.down.duck.release());
            }
            None => {}
        }
    }

    /// The next packet to send, until there is none.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        let Some(to) = self.up.gate.destination() else {
            self.down.forget_pending();
            self.reports.forget();
            return None;
        };
        let rtcp_to = self.up.gate.rtcp_destination();
        if self.state == State::Live {
            // Reports on the same port keep its bindings open, too.
            let multiplexed = rtcp_to.is_some_and(|(_, multiplexed)| multiplexed);
            let mut made = self.down.poll(&mut self.ledger, self.srtp.as_deref_mut());
            if made.is_none() && !multiplexed {
                made = self.down.keepalive(&mut self.ledger, self.srtp.as_deref_mut());
            }
            if let Some(length) = made {
                return Some(Transmit { to, rtcp: false, data: self.down.packet(length) });
            }
        }
        let (to, multiplexed) = rtcp_to?;
        let (timestamp, sends) = (self.down.timestamp, self.down.is_sending());
        let data = self.reports.poll(&mut self.ledger, &mut self.up, timestamp, sends)?;
        let rtcp = !multiplexed;
        let Some(srtp) = &mut self.srtp else { return Some(Transmit { to, rtcp, data }) };
        self.report.get_mut(..data.len())?.copy_from_slice(data);
        let length = srtp.protect_rtcp(&mut self.report, data.len())?;
        Some(Transmit { to, rtcp, data: self.report.get(..length)? })
    }

    /// Ends the leg because its processing failed.
    pub(crate) fn fail(&mut self) {
        if self.state == State::Live {
            self.finish(EndCause::Failed);
            self.count();
            self.has_news();
        }
    }

    /// Counts a packet that the operating system did not take.
    pub(crate) fn count_send_error(&mut self) {
        self.ledger.stats.send_errors += 1;
    }

    /// Whether the leg is not over.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// Whether everything is over and delivered.
    pub(crate) fn is_done(&self) -> bool {
        match self.state {
            State::Live => false,
            State::Over(since) => self.ledger.facts.is_empty() || self.ledger.moment.call.since_us(since) >= LINGER_US,
        }
    }

    /// The arrival of the first packet, once.
    pub(crate) fn take_first_arrival(&mut self) -> Option<u64> {
        self.up.take_first_arrival()
    }

    /// Whether the leg's ticks come too late or too early after its packets, once a second.
    pub(crate) fn take_drift(&mut self) -> Option<Drift> {
        self.up.drift.take()
    }

    /// Measures anew: the leg's ticks have moved.
    pub(crate) fn restart_drift(&mut self) {
        self.up.drift = drift::DriftMeter::default();
    }

    /// Marks the call as ready when a frame or a fact went up since the last look, and says so.
    fn has_news(&mut self) -> bool {
        let news = self.ledger.facts.take_sent() | self.up.take_woke();
        if news {
            self.ready.mark();
        }
        news
    }

    fn take_orders(&mut self, chain: &mut UplinkChain) {
        // What was replaced must have room on its way back: freeing it here would take time.
        while self.owner.spent.slots() > 0
            && let Ok(mut order) = self.owner.orders.pop()
        {
            match &mut order {
                LegOrder::Media { spec, codec, srtp, far_end: None } => {
                    self.renegotiate(spec, codec.as_deref_mut(), srtp);
                }
                LegOrder::Media { spec, codec, srtp, far_end: Some(gate) } => {
                    // Its counters are not those of who was before.
                    std::mem::swap(&mut self.srtp, srtp);
                    self.up.swap_far_end(gate, &self.ledger);
                    self.renegotiate(spec, codec.as_deref_mut(), &mut None);
                }
                LegOrder::Conference(seat) => {
                    std::mem::swap(&mut self.conference, seat);
                    // Its memory is freed elsewhere and later; its place is free now.
                    seat.iter_mut().for_each(|seat| seat.leave());
                }
                LegOrder::Held(held) => self.down.swap_held(held),
                LegOrder::Tones(tones) => std::mem::swap(&mut self.up.tones, tones),
                LegOrder::Sound { sound, change } => {
                    if chain.apply(&mut self.dsp, change) {
                        self.up.feed = sound.feed;
                        self.up.marks.change(sound.hold_ms, sound.behind_db);
                        self.down.comfort_noise = sound.comfort_noise;
                        self.down.duck.set(sound.duck_db);
                        self.told_denoiser = None;
                    }
                }
            }
            // There was room.
            let _ = self.owner.spent.push(order);
        }
    }

    fn renegotiate(&mut self, spec: &mut MediaSpec, codec: Option<&mut LegCodec>, srtp: &mut Option<Box<Srtp>>) {
        std::mem::swap(&mut self.ledger.spec, spec);
        if let Some(LegCodec { encoder, jitter }) = codec {
            self.down.swap_codec(encoder);
            self.up.swap_jitter(jitter);
        }
        match (&mut self.srtp, srtp) {
            (Some(ours), Some(next)) => ours.rekey(next),
            (Some(_), None) if self.ledger.spec.srtp.is_some() => {}
            (ours, next) => std::mem::swap(ours, next),
        }
        self.up.renegotiate(&self.ledger);
    }

    /// Reports the engine at work when it is another than before.
    fn tell_sound(&mut self, chain: &UplinkChain) {
        let denoiser = chain.denoiser(&self.dsp);
        if self.told_denoiser != Some(denoiser) {
            self.told_denoiser = Some(denoiser);
            self.ledger.facts.push(LegFact::SoundApplied {
                denoiser: denoiser_name(denoiser),
                detector: DETECTOR,
                shed: denoiser != self.dsp.sound().denoiser,
                at: self.ledger.moment.call,
            });
        }
    }

    fn finish(&mut self, cause: EndCause) {
        let now = self.ledger.moment.call;
        let sent = self.down.is_sending() || self.ledger.stats.packets_out > 0;
        self.down.abandon(now, &mut self.ledger.facts);
        self.tell_quality();
        self.ledger.facts.push(LegFact::Ended { cause, at: now });
        self.state = State::Over(now);
        if let Some(conference) = &mut self.conference {
            conference.leave();
        }
        if sent {
            self.reports.say_goodbye();
        }
        self.shared.set_over();
    }

    /// What the media was like, if there was any.
    fn tell_quality(&mut self) {
        self.reports.rate(&mut self.ledger, &self.up);
        self.up.count(&mut self.ledger);
        let stats = &self.ledger.stats;
        if stats.packets_in + stats.packets_out == 0 {
            return;
        }
        let quality = MediaQuality {
            packets_in: stats.packets_in,
            lost_in: stats.lost,
            jitter_in_us: stats.jitter_us,
            mos_in: stats.mos_in,
            packets_out: stats.packets_out,
            lost_out: stats.remote_lost,
            jitter_out_us: stats.remote_jitter_us,
            mos_out: stats.mos_out,
            round_trip_us: stats.rtt_us,
        };
        self.ledger.facts.push(LegFact::Quality { quality, at: self.ledger.moment.call });
    }

    fn count(&mut self) {
        self.up.count(&mut self.ledger);
        self.ledger.stats.down_dropped = self.down.dropped();
        self.shared.stats.store(&self.ledger.stats);
    }
}

fn count_refused(stats: &mut LegStats, why: Refused) {
    match why {
        Refused::Malformed => stats.dropped_malformed += 1,
        Refused::Replayed => stats.srtp_replayed += 1,
        Refused::Forged => stats.srtp_forged += 1,
    }
}

/// The name of an engine in facts and metrics.
pub(crate) const fn denoiser_name(denoiser: Denoiser) -> &'static str {
    match denoiser {
        Denoiser::Off => "off",
        Denoiser::Economy => "economy",
        Denoiser::Lanes => "lanes",
        Denoiser::Reference => "reference",
    }
}

#[cfg(test)]
mod tests;
