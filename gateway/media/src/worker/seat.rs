//! A leg with what it needs of the operating system, and when it is served.

use std::sync::Arc;

use trunkline_dsp::chain::{DownlinkChain, UplinkChain, UplinkReport};
use trunkline_leg::{CallTime, EndCause};

use super::clock::Now;
use super::due::Due;
use super::{CATCH_UP_US, PHASE_US, PHASES, TICK_US};
use crate::leg::{Drift, Leg, LegShared, Moment};
use crate::link::Link;
use crate::stream::{Brought, PACKET, StreamLink};
use crate::sys::{BATCH, Batch};

/// Packets taken from a leg per tick at most, in batches: a flood fills the socket's buffer, not the tick.
const BATCHES: usize = 3;
/// Ticks between two looks at the RTCP socket.
const RTCP_EVERY: u32 = 10;

/// A leg with its sockets and its place in time.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) leg: Leg,
    pub(crate) shared: Arc<LegShared>,
    link: Link,
    /// Zero of the call's time on the monotonic clock, in microseconds.
    epoch_us: u64,
    /// The worker whose agent thread is woken for it, wherever the leg is served.
    pub(super) agent: usize,
    ticks: u32,
    said: Due,
    heard: Due,
    /// Where it stands among the legs of its phase.
    pub(super) order: u32,
    /// The phase that it should be served in, as this tick has found.
    place: usize,
    pub(super) turn: Turn,
}

/// What a leg does in the phase in work.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Ticks before this frame that never happened, for each way that has a frame now.
    pub(super) says: Option<u64>,
    pub(super) hears: Option<u64>,
    pub(super) report: UplinkReport,
    /// It has something for its agent.
    pub(super) wakes: bool,
}

impl Turn {
    /// Whether the leg has a part in the batch of the chain.
    pub(super) const fn in_batch(&self) -> bool {
        self.says.is_some() || self.hears.is_some()
    }
}

impl Seat {
    /// A leg whose call began at `epoch_us` of the monotonic clock and whose agent lives with worker `agent`.
    pub(crate) fn new(leg: Leg, shared: Arc<LegShared>, link: Link, epoch_us: u64, agent: usize) -> Self {
        Self {
            leg,
            shared,
            link,
            epoch_us,
            agent,
            ticks: 0,
            said: Due::default(),
            heard: Due::default(),
            order: u32::MAX,
            place: 0,
            turn: Turn::default(),
        }
    }

    /// The phase that it is served in.
    pub(super) const fn phase(&self) -> usize {
        self.place
    }

    /// Takes in what has arrived, and finds out what is due.
    pub(super) fn receive(
        &mut self,
        phase: usize,
        deadline: u64,
        now: Now,
        batch: &mut Batch,
        chain: &mut UplinkChain,
    ) {
        self.turn = Turn::default();
        self.place = phase;
        let moment = Moment {
            call: CallTime(now.mono_us.saturating_sub(self.epoch_us)),
            due: CallTime(deadline.saturating_sub(self.epoch_us)),
            wall_us: now.wall_us,
        };
        self.take_packets(moment, now, batch);
        self.ticks = self.ticks.wrapping_add(1);
        let first = self.leg.take_first_arrival();
        if let Some(arrival) = first {
            self.place = self.best_phase(phase, deadline, arrival);
        }
        // The first packet plays now if it has waited long enough, else when the leg's new phase comes.
        let ready = first.is_none_or(|arrival| moment.due.as_us() >= arrival + PHASE_US);
        if ready || self.place == phase {
            self.turn.hears = self.heard.take(deadline);
        }
        self.turn.says = self.said.take(deadline);
        self.leg.begin(moment, chain);
    }

    /// Says what is due and sends what is complete.
    pub(super) fn say(&mut self, chain: &mut DownlinkChain) {
        if let Some(missed) = self.turn.says {
            self.leg.say(chain, missed);
        }
        while let Some(transmit) = self.leg.poll_transmit() {
            let sent = match &mut self.link {
                Link::Rtp(sockets) => {
                    let socket = if transmit.rtcp { &sockets.rtcp } else { &sockets.rtp };
                    socket.send_to(transmit.data, transmit.to).is_ok()
                }
                Link::Stream(_) if transmit.rtcp => true,
                Link::Stream(stream) => stream.send(transmit.data),
            };
            if !sent {
                self.leg.count_send_error();
            }
        }
    }

    /// Pulls the frame that is due out of the jitter buffer.
    pub(super) fn pull(&mut self) {
        if let Some(missed) = self.turn.hears {
            self.leg.pull(missed);
        }
    }

    /// Hands up and publishes.
    pub(super) fn publish(&mut self, chain: &UplinkChain) {
        let Turn { says, report, .. } = &self.turn;
        let said = says.is_some();
        self.turn.wakes = self.leg.publish(chain, report, said);
    }

    /// The phase the leg goes on in, `phase` or another.
    pub(super) fn next_phase(&mut self, phase: usize) -> usize {
        // A stream's frames arrive when they are taken: there is no network whose time the leg could keep.
        if self.place == phase && matches!(self.link, Link::Rtp(_)) {
            self.place = match self.leg.take_drift() {
                Some(Drift::TickLate) => (phase + PHASES - 1) % PHASES,
                Some(Drift::TickEarly) => (phase + 1) % PHASES,
                None => phase,
            };
        }
        if self.place != phase {
            self.leg.restart_drift();
        }
        self.place
    }

    fn take_packets(&mut self, moment: Moment, now: Now, batch: &mut Batch) {
        let sockets = match &mut self.link {
            Link::Rtp(sockets) => sockets,
            Link::Stream(stream) => {
                let mut packet = [0; PACKET];
                stream.tick();
                for _ in 0..BATCHES * BATCH {
                    match stream.receive(&mut packet) {
                        Some(Brought::Packet(data)) => {
                            self.leg.handle_rtp(moment, moment.call.as_us(), StreamLink::source(), data, false);
                        }
                        Some(Brought::Digit(digit)) => self.leg.handle_digit(moment, digit),
                        None => break,
                    }
                }
                if stream.is_over() {
                    let failed = stream.has_failed();
                    self.shared.ask_end(if failed { EndCause::Failed } else { EndCause::RemoteHangUp });
                }
                return;
            }
        };
        for _ in 0..BATCHES {
            let count = batch.receive(&sockets.rtp);
            for packet in (0..count).filter_map(|index| batch.get(index)) {
                // The kernel's receive time is wall time: carried over as an age, and bounded in case that clock
                // was set meanwhile.
                let age = packet.received_us.map_or(0, |at| now.wall_us.saturating_sub(at)).min(CATCH_UP_US);
                let arrival = moment.call.as_us().saturating_sub(age);
                self.leg.handle_rtp(moment, arrival, packet.source, packet.data, packet.cut);
            }
            if count < BATCH {
                break;
            }
        }
        if self.ticks.is_multiple_of(RTCP_EVERY) {
            let count = batch.receive(&sockets.rtcp);
            for packet in (0..count).filter_map(|index| batch.get(index)) {
                self.leg.handle_rtcp(moment, packet.source, packet.data);
            }
        }
    }

    /// The phase that comes first once a packet like the first has waited as long as the jitter buffer wants.
    pub(super) fn best_phase(&self, phase: usize, deadline: u64, arrival: u64) -> usize {
        let ready = (self.epoch_us + arrival + PHASE_US) as i64;
        let ahead = (ready - deadline as i64).rem_euclid(TICK_US as i64) as u64;
        (phase + ahead.div_ceil(PHASE_US) as usize) % PHASES
    }
}
