//! Whether there is time for another call: what is measured of the threads that calls wait for, against what calls are
//! known to cost. Calls that are up come first; a new one is refused while it would make them late.
//!
//! A call costs nothing worth measuring when it is answered, and more as soon as somebody speaks. So a part (the agent
//! workers, the side pool) is judged by the larger of what it does now and what its calls cost on the whole, plus the
//! cost of those that were taken so lately that it does not show yet. Apart from that, a part whose turns come late, for
//! longer than a moment, takes none.
//!
//! Time, figures and randomness are arguments; [`gauges`] has the clocks.

mod cost;
mod gauges;
#[cfg(test)]
mod host;
mod retry;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use cost::Cost;
pub(crate) use gauges::{Gauge, Gauges};
use retry::Retry;

/// Time between two samples.
pub(crate) const SAMPLE_EVERY_US: u64 = 250_000;
/// Samples by which it is judged how busy a part is: two seconds. The fullest is left out: a machine that stood still
/// for a moment is not busy.
const BUSY_OVER: usize = 8;
/// Late samples in a row after which a part is late, so that one late tick refuses nobody: a second.
const LATE_AFTER: u32 = 4;
/// Samples in a row, late by less than half of what is too late, after which it no longer is: two seconds.
const CALM_AFTER: u32 = 8;
/// How long it takes until what a call costs shows: callers listen to a greeting before they speak.
const SHOWS_AFTER_US: u64 = 4_000_000;
/// How much less than the limit a part must be expected to do before calls are taken again, in thousandths, so that
/// refusals come in stretches and not in turns with answers.
const BAND: u32 = 40;

/// A part of the gateway whose time runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The threads that step calls.
    AgentWorkers,
    /// The threads that heavy plugins run on.
    SidePool,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 2] = [Self::AgentWorkers, Self::SidePool];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentWorkers => "agent_workers",
            Self::SidePool => "side_pool",
        }
    }
}

/// How much may be used before new calls are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadPolicy {
    /// Share of a part's time that its calls may be expected to need, in thousandths; above 1000 for no limit.
    pub busy_permille: u32,
    /// How late turns may come for a second, in milliseconds; 0 for no limit.
    pub late_ms: u32,
    /// Sessions that a thread of the side pool takes on at a time before it is known what one costs, at least 1.
    pub untried_sessions: u32,
}

impl Default for LoadPolicy {
    fn default() -> Self {
        Self { busy_permille: 750, late_ms: 250, untried_sessions: 20 }
    }
}

/// What was measured of a part since the sample before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measured {
    /// Time its threads worked: that of its busiest thread where calls are bound to one, else the mean of all.
    pub(crate) busy_us: u64,
    /// The latest turn of all.
    pub(crate) late_us: u64,
    /// What calls have of it: calls, or sessions.
    pub(crate) units: u32,
}

/// A part as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLoad {
    /// Which.
    pub part: Part,
    /// Share of its time it worked over the last two seconds, in thousandths.
    pub busy_permille: u32,
    /// Share of its time that the calls which are up are expected to need, in thousandths.
    pub expected_permille: u32,
    /// The latest turn of the last quarter of a second, in microseconds.
    pub late_us: u64,
    /// What a call of the agent workers, or a session of the side pool, costs a thread, in millionths of its time.
    pub cost_ppm: u32,
    /// Whether calls that need it are refused.
    pub refuses: bool,
    /// Calls that were refused for it.
    pub refused: u64,
}

/// Why a call is not taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overload {
    /// The part that has no time for it.
    pub(crate) part: Part,
    /// What it is like.
    pub(crate) why: Why,
    /// After how many seconds it is worth another try, another time for each caller.
    pub(crate) retry_after_s: u32,
}

/// What a part without time is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its turns come late, by this much.
    Late { late_ms: u32 },
    /// With this call it would have this much to do, in thousandths.
    Busy { expected_permille: u32 },
}

/// What is known of one part.
#[derive(Debug)]
struct State {
    part: Part,
    /// Shares of its time, in thousandths, the latest last.
    busy: VecDeque<u32>,
    sampled_us: u64,
    late_us: u64,
    late_samples: u32,
    calm_samples: u32,
    late: bool,
    /// It was too busy for the last call that asked.
    full: bool,
    threads: u32,
    /// Thousandths of a unit that each thread has.
    milliunits: u64,
    cost: Cost,
    /// When units were taken lately, and thousandths of one for each thread.
    young: VecDeque<(u64, u64)>,
    refused: u64,
}

/// The load of a gateway.
#[derive(Debug)]
pub(crate) struct Load {
    policy: LoadPolicy,
    sampled_us: u64,
    parts: [State; Part::ALL.len()],
    retry: Retry,
}

impl Load {
    /// Nothing was measured yet of parts with so many threads.
    pub(crate) fn new(policy: LoadPolicy, threads: [u32; Part::ALL.len()]) -> Self {
        Self {
            policy,
            sampled_us: 0,
            parts: [
                State::new(Part::AgentWorkers, threads[0], Cost::of_call()),
                State::new(Part::SidePool, threads[1], Cost::of_session(&policy)),
            ],
            retry: Retry::default(),
        }
    }

    /// What was measured of each part since the sample before, and how many calls there are.
    pub(crate) fn sample(&mut self, now_us: u64, measured: [Measured; Part::ALL.len()], calls: u32) {
        let took_us = now_us.saturating_sub(self.sampled_us);
        if took_us == 0 {
            return;
        }
        self.sampled_us = now_us;
        for (state, measured) in self.parts.iter_mut().zip(measured) {
            state.sample(&self.policy, now_us, took_us, measured);
        }
        self.retry.sample(now_us, took_us, calls);
    }

    /// When the last sample was taken.
    pub(crate) const fn sampled_us(&self) -> u64 {
        self.sampled_us
    }

    /// Whether a call that takes `units` of each part is taken at `now_us`; a part it takes nothing of does not keep it out.
    /// `random` spreads those that are told to come again.
    ///
    /// # Errors
    /// Which part has no time for it; it counts for nothing then.
    pub(crate) fn admit(&mut self, now_us: u64, units: [u32; Part::ALL.len()], random: u32) -> Result<(), Overload> {
        for (state, units) in self.parts.iter_mut().zip(units) {
            if let Err(why) = state.room_for(&self.policy, now_us, units) {
                state.refused += 1;
                let retry_after_s = self.retry.after_s(now_us, random);
                return Err(Overload { part: state.part, why, retry_after_s });
            }
        }
        for (state, units) in self.parts.iter_mut().zip(units) {
            state.took(now_us, units);
        }
        self.retry.admitted();
        Ok(())
    }

    /// Every part as operators see it.
    pub(crate) fn parts(&self, now_us: u64) -> [PartLoad; Part::ALL.len()] {
        std::array::from_fn(|part| self.parts[part].told(&self.policy, now_us))
    }
}

impl State {
    fn new(part: Part, threads: u32, cost: Cost) -> Self {
        Self {
            part,
            busy: VecDeque::with_capacity(BUSY_OVER),
            sampled_us: 0,
            late_us: 0,
            late_samples: 0,
            calm_samples: 0,
            late: false,
            full: false,
            threads: threads.max(1),
            milliunits: 0,
            cost,
            young: VecDeque::new(),
            refused: 0,
        }
    }

    fn sample(&mut self, policy: &LoadPolicy, now_us: u64, took_us: u64, measured: Measured) {
        let permille = u32::try_from(measured.busy_us.saturating_mul(1000) / took_us).unwrap_or(u32::MAX).min(1000);
        if self.busy.len() == BUSY_OVER {
            self.busy.pop_front();
        }
        self.busy.push_back(permille);
        self.sampled_us = now_us;
        self.milliunits = self.milli(measured.units);
        self.young.retain(|(since_us, _)| now_us.saturating_sub(*since_us) < SHOWS_AFTER_US);
        // Those that have yet to show what they cost would teach that calls are cheap.
        self.cost.learn(took_us, permille, self.milliunits.saturating_sub(self.unseen(now_us)));

        self.late_us = measured.late_us;
        let limit_us = u64::from(policy.late_ms) * 1000;
        let (late, calm) = (limit_us > 0 && measured.late_us > limit_us, measured.late_us <= limit_us / 2);
        self.late_samples = if late { self.late_samples.saturating_add(1) } else { 0 };
        self.calm_samples = if calm { self.calm_samples.saturating_add(1) } else { 0 };
        self.late |= self.late_samples >= LATE_AFTER;
        self.late &= self.calm_samples < CALM_AFTER;
    }

    /// Share of its time, the fullest sample apart.
    fn busy_permille(&self) -> u32 {
        let samples = u32::try_from(self.busy.len()).unwrap_or(u32::MAX);
        let all: u32 = self.busy.iter().sum();
        let fullest = self.busy.iter().max().copied().unwrap_or(0);
        (all - fullest).checked_div(samples.saturating_sub(1)).unwrap_or(0)
    }

    /// Thousandths of a unit for each thread whose cost does not show yet, of those that were taken lately.
    fn unseen(&self, now_us: u64) -> u64 {
        let unseen = |since_us: u64| SHOWS_AFTER_US - now_us.saturating_sub(since_us).min(SHOWS_AFTER_US);
        self.young.iter().map(|(since_us, units)| units * unseen(*since_us) / SHOWS_AFTER_US).sum()
    }

    /// What it will have to do for the calls that are up, in thousandths.
    fn expected_permille(&self, now_us: u64) -> u32 {
        // Those that were taken since the last sample are not counted in it.
        let uncounted = self.young.iter().filter(|(since_us, _)| *since_us >= self.sampled_us);
        let units = self.milliunits + uncounted.map(|(_, units)| units).sum::<u64>();
        let on_the_whole = self.cost.of(units).saturating_add(self.cost.swing_permille());
        self.busy_permille().saturating_add(self.cost.of(self.unseen(now_us))).max(on_the_whole)
    }

    /// Thousandths of a unit for each thread.
    fn milli(&self, units: u32) -> u64 {
        u64::from(units) * 1000 / u64::from(self.threads)
    }

    fn room_for(&mut self, policy: &LoadPolicy, now_us: u64, units: u32) -> Result<(), Why> {
        // Whoever is alone is taken: whatever it costs, it costs nobody else.
        if units == 0 || (self.milliunits == 0 && self.young.is_empty()) {
            return Ok(());
        }
        if self.late {
            return Err(Why::Late { late_ms: u32::try_from(self.late_us / 1000).unwrap_or(u32::MAX) });
        }
        let expected_permille = self.expected_permille(now_us).saturating_add(self.cost.of(self.milli(units)));
        let limit = if self.full { policy.busy_permille.saturating_sub(BAND) } else { policy.busy_permille };
        self.full = policy.busy_permille <= 1000 && expected_permille > limit;
        if self.full { Err(Why::Busy { expected_permille }) } else { Ok(()) }
    }

    fn took(&mut self, now_us: u64, units: u32) {
        if units > 0 {
            self.young.push_back((now_us, self.milli(units)));
        }
    }

    fn told(&self, policy: &LoadPolicy, now_us: u64) -> PartLoad {
        let expected_permille = self.expected_permille(now_us);
        let still_full = self.full && expected_permille > policy.busy_permille.saturating_sub(BAND);
        PartLoad {
            part: self.part,
            busy_permille: self.busy_permille(),
            expected_permille,
            late_us: self.late_us,
            cost_ppm: self.cost.ppm(),
            refuses: self.late || still_full,
            refused: self.refused,
        }
    }
}
