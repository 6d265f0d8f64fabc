//! A media worker: one thread that serves its legs every 20 ms, a quarter of the time for a quarter of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rtrb::{Consumer, Producer, PushError};
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{Timespec, clock_gettime};
use trunkline_dsp::vad::{SpectralBank, VadBank};
use trunkline_leg::{CallTime, EndCause};

use crate::leg::{Drift, Leg, LegShared, Moment, TICK_US};
use crate::ports::LegSocket;
use crate::signal::PhaseSignal;
use crate::stats::{SharedWorkerStats, WorkerStats};
use crate::sys::{self, BATCH, Batch};

/// Phases of a tick and their length in microseconds.
const PHASES: usize = 4;
const PHASE_US: u64 = TICK_US / PHASES as u64;
/// A worker later than this gives up the ticks it missed; up to it they are made up for at once.
const CATCH_UP_US: u64 = 100_000;
/// A phase that begins later than this counts as late.
const LATE_US: u64 = 5_000;
/// Packets taken from a leg per tick at most, in batches: a flood fills the socket's buffer, not the tick.
const BATCHES: usize = 3;
/// Ticks between two looks at the RTCP socket.
const RTCP_EVERY: u32 = 10;
/// Legs taken over per phase at most.
const ATTACH_PER_PHASE: usize = 16;
/// Real-time priority asked for: above everything ordinary, below the kernel's own threads.
const PRIORITY: i32 = 10;
/// A leg with what it needs of the operating system.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) leg: Leg,
    pub(crate) shared: Arc<LegShared>,
    pub(crate) sockets: LegSocket,
    /// Zero of the call's time on the monotonic clock, in microseconds.
    pub(crate) epoch_us: u64,
    pub(crate) ticks: u32,
    /// The worker's count of missed ticks when this leg was last served.
    pub(crate) missed: u64,
}

/// What a worker and the plane share.
#[derive(Debug, Default)]
pub(crate) struct WorkerShared {
    pub(crate) stop: AtomicBool,
    /// Legs attached or on their way.
    pub(crate) legs: AtomicUsize,
    pub(crate) stats: SharedWorkerStats,
}

pub(crate) struct Worker {
    shared: Arc<WorkerShared>,
    arrivals: Consumer<Box<Seat>>,
    /// Legs that are over: freed by another thread, because freeing takes time.
    departures: Producer<Box<Seat>>,
    signal: PhaseSignal,
    phases: [Vec<Box<Seat>>; PHASES],
    bank: SpectralBank,
    stats: WorkerStats,
    missed: u64,
}

/// What follows for a leg from being served.
enum Next {
    Stay,
    Move(usize),
    Leave,
}

/// The moment a phase is served: both clocks, read once.
#[derive(Clone, Copy)]
struct Now {
    mono_us: u64,
    wall_us: u64,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<WorkerShared>,
        arrivals: Consumer<Box<Seat>>,
        departures: Producer<Box<Seat>>,
        signal: PhaseSignal,
        max_legs: usize,
    ) -> Self {
        Self {
            shared,
            arrivals,
            departures,
            signal,
            phases: std::array::from_fn(|_| Vec::with_capacity(max_legs)),
            bank: SpectralBank::new(max_legs),
            stats: WorkerStats::default(),
            missed: 0,
        }
    }

    /// Serves legs until the plane stops.
    pub(crate) fn run(mut self, realtime: bool) {
        if realtime {
            self.stats.realtime = u64::from(sys::try_realtime(PRIORITY));
        }
        let mut batch = Batch::new();
        let mut deadline = monotonic_us();
        let mut phase = 0;
        while !self.shared.stop.load(Ordering::Acquire) {
            deadline += PHASE_US;
            sleep_until(deadline);
            let now = Now { mono_us: monotonic_us(), wall_us: wall_us() };
            let late = now.mono_us.saturating_sub(deadline);
            if late > CATCH_UP_US {
                let ticks = late / TICK_US;
                deadline += ticks * TICK_US;
                self.missed += ticks;
                self.stats.skipped_phases += ticks * PHASES as u64;
            }
            self.adopt();
            self.serve(phase, deadline, now, &mut batch);
            self.account(late, now);
            phase = (phase + 1) % PHASES;
        }
        self.end_all(&mut batch);
    }

    /// Takes over legs that were attached, into the phase with the fewest.
    fn adopt(&mut self) {
        for _ in 0..ATTACH_PER_PHASE {
            let Ok(mut seat) = self.arrivals.pop() else { return };
            let slot = self.bank.attach(8000);
            seat.leg.set_vad(slot);
            seat.missed = self.missed;
            let emptiest = (0..PHASES).min_by_key(|phase| self.phases[*phase].len()).unwrap_or(0);
            self.phases[emptiest].push(seat);
        }
    }

    fn serve(&mut self, phase: usize, deadline: u64, now: Now, batch: &mut Batch) {
        let mut wake = false;
        let mut index = 0;
        while index < self.phases[phase].len() {
            let seat = &mut self.phases[phase][index];
            let missed = self.missed - seat.missed;
            seat.missed = self.missed;
            let bank = &mut self.bank;
            let served = catch_unwind(AssertUnwindSafe(|| seat.serve(phase, deadline, now, missed, bank, batch)));
            let next = served.unwrap_or_else(|_| {
                // Only this leg's state is in doubt: it is ended and not touched again but for its last facts.
                self.stats.panics += 1;
                seat.leg.fail();
                (true, Next::Stay)
            });
            wake |= next.0;
            match next.1 {
                Next::Stay => index += 1,
                Next::Move(to) => {
                    let seat = self.phases[phase].swap_remove(index);
                    self.phases[to].push(seat);
                }
                Next::Leave => index += usize::from(!self.release(phase, index)),
            }
        }
        if wake {
            self.signal.raise();
        }
    }

    /// Hands a leg that is over to the thread that frees it; false when that has no room now.
    fn release(&mut self, phase: usize, index: usize) -> bool {
        let seat = self.phases[phase].swap_remove(index);
        if let Some(slot) = seat.leg.vad() {
            self.bank.detach(slot);
        }
        match self.departures.push(seat) {
            Ok(()) => {
                self.shared.legs.fetch_sub(1, Ordering::AcqRel);
                true
            }
            Err(PushError::Full(mut seat)) => {
                seat.leg.set_vad(None);
                self.phases[phase].push(seat);
                let last = self.phases[phase].len() - 1;
                self.phases[phase].swap(index, last);
                false
            }
        }
    }

    fn account(&mut self, late: u64, began: Now) {
        self.stats.phases += 1;
        self.stats.late_phases += u64::from(late > LATE_US);
        self.stats.worst_late_us = self.stats.worst_late_us.max(late);
        self.stats.busy_us += monotonic_us().saturating_sub(began.mono_us);
        self.stats.legs = self.phases.iter().map(|legs| legs.len() as u64).sum();
        self.shared.stats.store(&self.stats);
    }

    /// The plane stops: every leg says goodbye.
    fn end_all(&mut self, batch: &mut Batch) {
        while let Ok(seat) = self.arrivals.pop() {
            self.phases[0].push(seat);
        }
        let now = Now { mono_us: monotonic_us(), wall_us: wall_us() };
        for phase in 0..PHASES {
            for mut seat in self.phases[phase].drain(..) {
                seat.shared.ask_end(EndCause::Local);
                let bank = &mut self.bank;
                let _ = catch_unwind(AssertUnwindSafe(|| seat.serve(phase, now.mono_us, now, 0, bank, batch)));
            }
        }
        self.signal.raise();
    }
}

impl Seat {
    /// One tick of the leg; the flag tells whether its agent has something to look at.
    fn serve(
        &mut self,
        phase: usize,
        deadline: u64,
        now: Now,
        missed: u64,
        bank: &mut SpectralBank,
        batch: &mut Batch,
    ) -> (bool, Next) {
        let moment = Moment {
            call: CallTime(now.mono_us.saturating_sub(self.epoch_us)),
            due: CallTime(deadline.saturating_sub(self.epoch_us)),
            wall_us: now.wall_us,
        };
        self.receive(moment, now, batch);
        let first = self.leg.take_first_arrival();
        let place = first.map(|arrival| self.best_phase(phase, deadline, arrival));
        // The first packet plays now if it has waited long enough, else when the leg's new phase comes.
        let ready = first.is_none_or(|arrival| moment.due.as_us() >= arrival + PHASE_US);
        let hear = ready || place == Some(phase);
        let wake = self.leg.tick(moment, missed, hear, bank);
        self.transmit();
        self.ticks = self.ticks.wrapping_add(1);
        if self.leg.is_done() {
            return (wake, Next::Leave);
        }
        let to = match (place, self.leg.take_drift()) {
            (Some(place), _) => place,
            (None, Some(Drift::TickLate)) => (phase + PHASES - 1) % PHASES,
            (None, Some(Drift::TickEarly)) => (phase + 1) % PHASES,
            (None, None) => phase,
        };
        if to == phase {
            return (wake, Next::Stay);
        }
        self.leg.restart_drift();
        (wake, Next::Move(to))
    }

    fn receive(&mut self, moment: Moment, now: Now, batch: &mut Batch) {
        for _ in 0..BATCHES {
            let count = batch.receive(&self.sockets.rtp);
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
            let count = batch.receive(&self.sockets.rtcp);
            for packet in (0..count).filter_map(|index| batch.get(index)) {
                self.leg.handle_rtcp(moment, packet.source, packet.data);
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.leg.poll_transmit() {
            let socket = if transmit.rtcp { &self.sockets.rtcp } else { &self.sockets.rtp };
            if socket.send_to(transmit.data, transmit.to).is_err() {
                self.leg.count_send_error();
            }
        }
    }

    /// The phase that comes first once a packet like the first has waited as long as the jitter buffer wants.
    fn best_phase(&self, phase: usize, deadline: u64, arrival: u64) -> usize {
        let ready = (self.epoch_us + arrival + PHASE_US) as i64;
        let ahead = (ready - deadline as i64).rem_euclid(TICK_US as i64) as u64;
        (phase + ahead.div_ceil(PHASE_US) as usize) % PHASES
    }
}

/// The monotonic clock in microseconds.
pub(crate) fn monotonic_us() -> u64 {
    micros(clock_gettime(rustix::time::ClockId::Monotonic))
}

fn wall_us() -> u64 {
    micros(clock_gettime(rustix::time::ClockId::Realtime))
}

fn micros(time: Timespec) -> u64 {
    // Both clocks are past their zero on any running system.
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1000
}

fn sleep_until(us: u64) {
    let time = Timespec { tv_sec: (us / 1_000_000) as i64, tv_nsec: ((us % 1_000_000) * 1000) as _ };
    // A signal ends the sleep early: go on sleeping. Any other error cannot occur with a valid time.
    while clock_nanosleep_absolute(ClockId::Monotonic, &time) == Err(rustix::io::Errno::INTR) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LegStart;
    use crate::leg::Seed;
    use crate::ports::Ports;
    use rtrb::RingBuffer;
    use std::time::Instant;
    use trunkline_leg::{AgentEnd, Codec, Direction, LegFact, MediaSpec, leg_rings};

    fn seat(ports: &Arc<Ports>) -> (Box<Seat>, AgentEnd) {
        let spec = MediaSpec {
            codec: Codec::Pcmu,
            payload_type: 0,
            dtmf_payload_type: None,
            ptime_ms: 20,
            remote: "127.0.0.1:9".parse().unwrap(),
            direction: Direction::SendRecv,
        };
        let start = LegStart::new(spec, Instant::now());
        let (media, agent) = leg_rings(start.rings);
        let (_, updates) = RingBuffer::new(1);
        let (leg, shared) = Leg::new(&start, media, updates, None, Seed([1; 32]), CallTime::ZERO).unwrap();
        let sockets = ports.allocate(0).unwrap();
        (Box::new(Seat { leg, shared, sockets, epoch_us: 0, ticks: 0, missed: 0 }), agent)
    }

    #[test]
    fn a_leg_that_panics_ends_alone_and_is_released() {
        let ports = Arc::new(Ports::new("127.0.0.1".parse().unwrap(), &(0..=0)).unwrap());
        let (mut arrivals, taken) = RingBuffer::new(4);
        let (leaving, mut gone) = RingBuffer::new(4);
        let shared = Arc::new(WorkerShared::default());
        shared.legs.store(2, Ordering::Relaxed);
        let mut worker = Worker::new(shared.clone(), taken, leaving, PhaseSignal::new().unwrap(), 4);
        let (mut broken, mut its_agent) = seat(&ports);
        broken.leg.explode = true;
        let (sound, mut other_agent) = seat(&ports);
        let other = sound.shared.clone();
        arrivals.push(broken).unwrap();
        arrivals.push(sound).unwrap();
        worker.adopt();
        let mut batch = Batch::new();
        for tick in 1..=5 {
            let now = Now { mono_us: tick * TICK_US, wall_us: 1_000_000_000 };
            (0..PHASES).for_each(|phase| worker.serve(phase, now.mono_us, now, &mut batch));
            if let Some(seat) = worker.phases.iter_mut().flatten().find(|seat| seat.leg.explode) {
                seat.leg.explode = tick < 2;
            }
        }
        assert_eq!(worker.stats.panics, 2);
        let end = its_agent.facts.pop().unwrap();
        assert!(matches!(end, LegFact::Ended { cause: EndCause::Failed, .. }), "{end:?}");
        assert!(its_agent.facts.pop().is_err(), "and nothing after it");
        assert!(gone.pop().is_ok() && gone.pop().is_err(), "one leg left");
        assert_eq!(shared.legs.load(Ordering::Relaxed), 1);
        assert!(other_agent.facts.pop().is_err() && !other.is_over());
        assert_eq!(worker.phases.iter().flatten().count(), 1);
    }

    #[test]
    fn a_leg_is_placed_just_after_its_packets() {
        let ports = Arc::new(Ports::new("127.0.0.1".parse().unwrap(), &(0..=0)).unwrap());
        let (seat, _agent) = seat(&ports);
        // Phase 1 is served at 1 005 000 us; 5 ms are waited in any case.
        for (arrival, phase) in
            [(1_004_900, 2), (1_000_100, 2), (1_000_000, 1), (999_900, 1), (989_000, 3), (995_100, 1), (994_900, 0)]
        {
            assert_eq!(seat.best_phase(1, 1_005_000, arrival), phase, "{arrival}");
        }
    }
}
