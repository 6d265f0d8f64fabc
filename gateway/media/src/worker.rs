//! A media worker: one thread that serves its legs every 20 ms, a quarter of the time for a quarter of them.
//!
//! A phase is passes over its legs. All receive; then all say what the agent says and send it, so that sending never
//! waits for a denoiser; then every jitter buffer is pulled; then the chain works on all frames as one batch, eight
//! legs in the lanes of a register; then all hand up what was found. There is one chain for all phases, so that a leg
//! that moves to another phase loses nothing of what is known of its sound.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rtrb::{Consumer, Producer, PushError};
use trunkline_dsp::chain::{ChainConfig, Denoiser, DownlinkChain, UplinkBatch, UplinkChain, UplinkReport};
use trunkline_leg::EndCause;

use crate::leg::TICK_US;
use crate::signal::PhaseSignal;
use crate::stats::{SharedWorkerStats, WorkerStats};
use crate::sys::{self, Batch};

mod clock;
mod due;
mod load;
mod moving;
mod seat;

pub(crate) use clock::monotonic_us;
pub(crate) use moving::Peers;
pub(crate) use seat::Seat;

use clock::{Now, sleep_until};
use load::{Load, Step};

/// Phases of a tick and their length in microseconds.
const PHASES: usize = 4;
const PHASE_US: u64 = TICK_US / PHASES as u64;
/// A worker later than this gives up the ticks it missed; up to it they are made up for at once.
const CATCH_UP_US: u64 = 100_000;
/// A phase that begins later than this counts as late.
const LATE_US: u64 = 5_000;
/// Legs taken over per phase at most.
const ATTACH_PER_PHASE: usize = 16;
/// Real-time priority asked for: above everything ordinary, below the kernel's own threads.
const PRIORITY: i32 = 10;

/// What a worker and the plane share.
#[derive(Debug, Default)]
pub(crate) struct WorkerShared {
    pub(crate) stop: AtomicBool,
    /// Legs attached or on their way.
    pub(crate) legs: AtomicUsize,
    /// Load over the last second, in thousandths of its time.
    pub(crate) load: AtomicUsize,
    /// It has left out all it can: new legs are refused.
    pub(crate) refuses: AtomicBool,
    pub(crate) stats: SharedWorkerStats,
}

/// A worker's ends of the rings that legs come and go by.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) arrivals: Consumer<Box<Seat>>,
    /// Legs that are over: freed by another thread, because freeing takes time.
    pub(crate) departures: Producer<Box<Seat>>,
    pub(crate) peers: Peers,
    /// Wake-ups of the agent threads, by worker.
    pub(crate) signals: Vec<PhaseSignal>,
}

pub(crate) struct Worker {
    shared: Arc<WorkerShared>,
    doors: Doors,
    phases: [Phase; PHASES],
    uplink: UplinkChain,
    downlink: DownlinkChain,
    frames: UplinkBatch,
    reports: Vec<UplinkReport>,
    load: Load,
    /// Legs to be given to another worker: to which, and how many.
    gives: Option<(usize, usize)>,
    stats: WorkerStats,
}

/// The legs that are served together.
struct Phase {
    seats: Vec<Box<Seat>>,
    /// The chain's arrangement that they are sorted by; `None` when they are not.
    sorted: Option<u64>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<WorkerShared>, doors: Doors, max_legs: usize) -> Self {
        Self {
            shared,
            doors,
            phases: std::array::from_fn(|_| Phase { seats: Vec::with_capacity(max_legs), sorted: None }),
            uplink: UplinkChain::new(ChainConfig::new(max_legs)),
            downlink: DownlinkChain::new(),
            frames: UplinkBatch::new(max_legs),
            reports: Vec::with_capacity(max_legs),
            load: Load::default(),
            gives: None,
            stats: WorkerStats::default(),
        }
    }

    /// Serves legs until the plane stops.
    pub(crate) fn run(mut self, realtime: bool) {
        if realtime {
            self.stats.realtime = u64::from(sys::try_realtime(PRIORITY));
        }
        let mut batch = Batch::new();
        // Every worker keeps to the same grid: a leg that moves to another finds its phase there.
        let mut deadline = monotonic_us() / PHASE_US * PHASE_US;
        while !self.shared.stop.load(Ordering::Acquire) {
            deadline += PHASE_US;
            sleep_until(deadline);
            let now = Now::read();
            let late = now.mono_us.saturating_sub(deadline);
            if late > CATCH_UP_US {
                let ticks = late / TICK_US;
                deadline += ticks * TICK_US;
                self.stats.skipped_phases += ticks * PHASES as u64;
            }
            let phase = (deadline / PHASE_US) as usize % PHASES;
            self.adopt();
            self.serve(phase, deadline, now, &mut batch);
            self.give(phase);
            self.account(phase, late, now);
        }
        self.end_all(&mut batch);
    }

    /// Takes over legs: new ones into the phase with the fewest, those of other workers into the phase they had.
    fn adopt(&mut self) {
        for _ in 0..ATTACH_PER_PHASE {
            let Ok(mut seat) = self.doors.arrivals.pop() else { break };
            seat.leg.adopt(&mut self.uplink, self.doors.peers.index());
            let emptiest = (0..PHASES).min_by_key(|phase| self.phases[*phase].seats.len()).unwrap_or(0);
            self.phases[emptiest].push(seat);
        }
        for _ in 0..ATTACH_PER_PHASE {
            let Some(mut seat) = self.doors.peers.arrive() else { break };
            seat.leg.adopt(&mut self.uplink, self.doors.peers.index());
            self.stats.moved_in += 1;
            self.phases[seat.phase()].push(seat);
        }
    }

    fn serve(&mut self, phase: usize, deadline: u64, now: Now, batch: &mut Batch) {
        let Self { phases, uplink, downlink, stats, .. } = self;
        let seats = &mut phases[phase].seats;
        each(seats, stats, |seat| seat.receive(phase, deadline, now, batch, uplink));
        each(seats, stats, |seat| seat.say(downlink));
        each(seats, stats, Seat::pull);
        phases[phase].sort(uplink);
        self.clean(phase);
        let Self { phases, uplink, stats, .. } = self;
        each(&mut phases[phase].seats, stats, |seat| seat.publish(uplink));
        self.wake(phase);
        self.place(phase);
    }

    /// Has the chain work on the frames of the phase. A panic of it is some leg's fault: the batch is done again leg by
    /// leg, and whoever fails alone is ended.
    fn clean(&mut self, phase: usize) {
        let Self { phases, uplink, frames, reports, stats, .. } = self;
        let seats = &mut phases[phase].seats;
        let theirs = seats.iter_mut().filter(|seat| seat.turn.in_batch()).filter_map(|seat| seat.leg.uplink_frame());
        let done = frames.with(theirs, |row| {
            let done = catch_unwind(AssertUnwindSafe(|| uplink.process(row)));
            reports.clear();
            reports.extend(row.iter().map(|frame| frame.report));
            done
        });
        #[cfg(test)]
        let done = done.and_then(|()| explode_with(seats));
        let mut batch = seats.iter_mut().filter(|seat| seat.turn.in_batch() && seat.leg.is_live());
        if done.is_ok() {
            for (seat, report) in batch.zip(&*reports) {
                seat.turn.report = *report;
            }
            return;
        }
        stats.batches_redone += 1;
        batch.by_ref().for_each(|seat| seat.leg.recover(uplink));
        each(seats, stats, |seat| {
            if !seat.turn.in_batch() {
                return;
            }
            if let Some(frame) = seat.leg.uplink_frame() {
                let mut alone = [frame];
                uplink.process(&mut alone);
                seat.turn.report = alone[0].report;
            }
            #[cfg(test)]
            assert!(!seat.leg.explode_in_chain || !seat.leg.is_live(), "a defect in signal processing");
        });
    }

    /// Wakes the agents of the legs that have something, each agent thread once.
    fn wake(&self, phase: usize) {
        for (agent, signal) in self.doors.signals.iter().enumerate() {
            if self.phases[phase].seats.iter().any(|seat| seat.turn.wakes && seat.agent == agent) {
                signal.raise();
            }
        }
    }

    /// Legs go on in another phase, or leave.
    fn place(&mut self, phase: usize) {
        let mut index = 0;
        while let Some(seat) = self.phases[phase].seats.get_mut(index) {
            if seat.leg.is_done() {
                index += usize::from(!self.release(phase, index));
                continue;
            }
            let to = seat.next_phase(phase);
            if to == phase {
                index += 1;
            } else {
                let seat = self.phases[phase].remove(index);
                self.phases[to].push(seat);
            }
        }
    }

    /// Hands a leg that is over to the thread that frees it; false when that has no room now.
    fn release(&mut self, phase: usize, index: usize) -> bool {
        let mut seat = self.phases[phase].remove(index);
        seat.leg.detach(&mut self.uplink);
        match self.doors.departures.push(seat) {
            Ok(()) => {
                self.shared.legs.fetch_sub(1, Ordering::AcqRel);
                true
            }
            Err(PushError::Full(seat)) => {
                let seats = &mut self.phases[phase].seats;
                seats.push(seat);
                let last = seats.len() - 1;
                seats.swap(index, last);
                false
            }
        }
    }

    fn account(&mut self, phase: usize, late: u64, began: Now) {
        let busy_us = monotonic_us().saturating_sub(began.mono_us);
        self.stats.phases += 1;
        self.stats.late_phases += u64::from(late > LATE_US);
        self.stats.worst_late_us = self.stats.worst_late_us.max(late);
        self.stats.busy_us += busy_us;
        self.stats.legs = self.phases.iter().map(|phase| phase.seats.len() as u64).sum();
        if self.load.measure(phase, busy_us) {
            self.balance();
        }
        self.shared.stats.store(&self.stats);
    }

    /// Once a second: leaves out what there is no time for, and gives legs to a worker that has more of it.
    fn balance(&mut self) {
        let before = self.stats.shedding;
        let step = self.load.step();
        self.uplink.set_shedding(step.shedding());
        self.shared.load.store(self.load.mean() as usize, Ordering::Relaxed);
        self.shared.refuses.store(step == Step::Refuse, Ordering::Release);
        self.stats.load_permille = u64::from(self.load.fullest());
        self.stats.shedding = step as u64;
        self.stats.sheddings += u64::from(self.stats.shedding > before);
        self.count_engines();
        self.gives = self.doors.peers.relief(self.load.mean(), self.stats.legs as usize);
    }

    /// Gives legs of the phase that was just served to another worker, if that is due and no phase has more of them.
    /// They have most of a tick to get there.
    fn give(&mut self, phase: usize) {
        let Some((to, count)) = self.gives else { return };
        let legs = self.phases[phase].seats.len();
        if self.phases.iter().any(|other| other.seats.len() > legs) {
            return;
        }
        self.gives = None;
        for _ in 0..count {
            let seats = &self.phases[phase].seats;
            if !seats.last().is_some_and(|seat| seat.leg.is_live()) || !self.doors.peers.reserve(to) {
                return;
            }
            let mut seat = self.phases[phase].remove(seats.len() - 1);
            seat.leg.detach(&mut self.uplink);
            match self.doors.peers.send(to, seat) {
                Ok(()) => self.stats.moved_out += 1,
                Err(mut seat) => {
                    seat.leg.adopt(&mut self.uplink, self.doors.peers.index());
                    self.phases[phase].push(seat);
                    return;
                }
            }
        }
    }

    fn count_engines(&mut self) {
        let mut engines = [0; 4];
        for seat in self.phases.iter().flat_map(|phase| &phase.seats) {
            let engine = match seat.leg.denoiser(&self.uplink) {
                Denoiser::Lanes => 0,
                Denoiser::Economy => 1,
                Denoiser::Reference => 2,
                Denoiser::Off => 3,
            };
            engines[engine] += 1;
        }
        let stats = &mut self.stats;
        [stats.legs_lanes, stats.legs_economy, stats.legs_reference, stats.legs_off] = engines;
    }

    /// The plane stops: every leg says goodbye.
    fn end_all(&mut self, batch: &mut Batch) {
        while let Ok(seat) = self.doors.arrivals.pop() {
            self.phases[0].push(seat);
        }
        while let Some(seat) = self.doors.peers.arrive() {
            self.phases[0].push(seat);
        }
        let now = Now::read();
        for phase in 0..PHASES {
            for seat in &self.phases[phase].seats {
                seat.shared.ask_end(EndCause::Local);
            }
            self.serve(phase, now.mono_us, now, batch);
        }
        for signal in &self.doors.signals {
            signal.raise();
        }
    }
}

impl Phase {
    fn push(&mut self, seat: Box<Seat>) {
        self.seats.push(seat);
        self.sorted = None;
    }

    fn remove(&mut self, index: usize) -> Box<Seat> {
        self.sorted = None;
        self.seats.swap_remove(index)
    }

    /// Puts legs that share the chain's lanes side by side: a batch in that order costs the least.
    fn sort(&mut self, chain: &UplinkChain) {
        let arrangement = chain.arrangement();
        if self.sorted != Some(arrangement) {
            self.seats.iter_mut().for_each(|seat| seat.order = seat.leg.order(chain));
            self.seats.sort_unstable_by_key(|seat| seat.order);
            self.sorted = Some(arrangement);
        }
    }
}

/// Does something to every leg. Of one that panics only its own state is in doubt: it is ended and not touched again
/// but for its last facts.
fn each(seats: &mut [Box<Seat>], stats: &mut WorkerStats, mut act: impl FnMut(&mut Seat)) {
    for seat in seats {
        if catch_unwind(AssertUnwindSafe(|| act(seat))).is_err() {
            stats.panics += 1;
            seat.leg.fail();
        }
    }
}

#[cfg(test)]
fn explode_with(seats: &[Box<Seat>]) -> std::thread::Result<()> {
    let defect = seats.iter().any(|seat| seat.leg.explode_in_chain && seat.leg.is_live());
    catch_unwind(|| assert!(!defect, "a defect in signal processing"))
}

#[cfg(test)]
mod tests;
