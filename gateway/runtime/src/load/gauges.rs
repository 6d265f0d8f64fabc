//! Where the figures of load come from: counters that threads keep of themselves, read four times a second by whoever
//! takes calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Load, LoadPolicy, Measured, Overload, Part, PartLoad, SAMPLE_EVERY_US};
use crate::session::pool::PoolQueue;

/// Work and lateness of a thread, or of threads that share their work, since somebody last asked.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    busy_us: AtomicU64,
    late_us: AtomicU64,
}

impl Gauge {
    /// It has worked for so long.
    pub(crate) fn worked(&self, busy: Duration) {
        self.busy_us.fetch_add(us(busy), Ordering::Relaxed);
    }

    /// Something came so late.
    pub(crate) fn was_late(&self, late_us: u64) {
        self.late_us.fetch_max(late_us, Ordering::Relaxed);
    }

    fn take(&self) -> (u64, u64) {
        (self.busy_us.swap(0, Ordering::Relaxed), self.late_us.swap(0, Ordering::Relaxed))
    }
}

/// The load of a running gateway.
pub(crate) struct Gauges {
    epoch: Instant,
    agents: Vec<Gauge>,
    /// `None` for a gateway without a side pool.
    pool: Option<PoolQueue>,
    load: Mutex<Load>,
}

impl Gauges {
    /// Of so many agent workers and of the pool.
    pub(crate) fn new(policy: LoadPolicy, agents: usize, pool: Option<PoolQueue>) -> Self {
        let count = |threads: usize| u32::try_from(threads).unwrap_or(u32::MAX);
        let threads = [count(agents), count(pool.as_ref().map_or(1, PoolQueue::threads))];
        Self {
            epoch: Instant::now(),
            agents: std::iter::repeat_with(Gauge::default).take(agents).collect(),
            pool,
            load: Mutex::new(Load::new(policy, threads)),
        }
    }

    /// What an agent worker keeps count in.
    pub(crate) fn agent(&self, worker: usize) -> Option<&Gauge> {
        self.agents.get(worker)
    }

    /// Takes a sample if it is time; says how long it is until the next. There are so many calls, with so many heavy
    /// sessions.
    pub(crate) fn sample(&self, calls: u32, heavy_sessions: u32) -> Duration {
        let now_us = us(self.epoch.elapsed());
        let mut load = self.held();
        let next_us = load.sampled_us() + SAMPLE_EVERY_US;
        if now_us < next_us {
            return Duration::from_micros(next_us - now_us);
        }
        let agents = self.agents.iter().map(Gauge::take).fold((0, 0), |most: (u64, u64), (busy_us, late_us)| {
            // A call is bound to its worker, however idle others are.
            (most.0.max(busy_us), most.1.max(late_us))
        });
        let pool = self.pool.as_ref().map_or((0, 0), |pool| {
            let (busy_us, late_us) = pool.gauge().take();
            (busy_us / pool.threads() as u64, late_us.max(pool.longest_wait_us()))
        });
        let measured = |(busy_us, late_us), units| Measured { busy_us, late_us, units };
        load.sample(now_us, [measured(agents, calls), measured(pool, heavy_sessions)], calls);
        Duration::from_micros(SAMPLE_EVERY_US)
    }

    /// Whether there is time for another call with so many heavy sessions.
    ///
    /// # Errors
    /// Which part has none.
    pub(crate) fn admit(&self, heavy_sessions: u32, random: u32) -> Result<(), Overload> {
        self.held().admit(us(self.epoch.elapsed()), [1, heavy_sessions], random)
    }

    /// Every part as operators see it.
    pub(crate) fn parts(&self) -> [PartLoad; Part::ALL.len()] {
        self.held().parts(us(self.epoch.elapsed()))
    }

    /// Has every part be so late for the last seconds, with so many calls.
    #[cfg(test)]
    pub(crate) fn pretend(&self, late_us: u64, units: u32) {
        let mut load = self.held();
        for _ in 0..20 {
            let now_us = load.sampled_us() + SAMPLE_EVERY_US;
            load.sample(now_us, [Measured { busy_us: 0, late_us, units }; Part::ALL.len()], units);
        }
    }

    fn held(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{self, Hold, Puppet};
    use crate::session::Session;
    use crate::session::pool::SidePool;

    #[test]
    fn a_session_that_waits_for_a_thread_is_seen_before_its_turn_has_come() {
        let (plane, pool) = (rig::plane(1), SidePool::start(1).unwrap());
        let (place, _leg) = rig::place(&plane, pool.queue());
        let gauges = Gauges::new(LoadPolicy { late_ms: 10, ..LoadPolicy::default() }, 1, Some(pool.queue()));
        let hold = Hold::of(&place);
        let session = Session::open(&place, true, |_| Puppet::new(Default::default()).0.opener());
        session.serve(&place, 0);
        rig::until("the wait to be too long", || {
            gauges.sample(2, 2);
            gauges.parts()[1].refuses
        });
        let overload = gauges.admit(1, 0).unwrap_err();
        assert_eq!(overload.part, Part::SidePool);
        assert_eq!(gauges.admit(0, 0), Ok(()), "who needs no session of it is taken");
        drop(hold);
        rig::until("calm", || {
            gauges.sample(2, 2);
            !gauges.parts()[1].refuses
        });
    }

    #[test]
    fn what_threads_have_worked_and_how_late_they_were_is_taken_once() {
        let gauges = Gauges::new(LoadPolicy::default(), 2, None);
        gauges.agent(0).unwrap().worked(Duration::from_millis(3));
        gauges.agent(1).unwrap().was_late(7_000);
        gauges.agent(1).unwrap().was_late(5_000);
        assert!(gauges.agent(2).is_none());
        rig::until("a sample", || gauges.sample(1, 0) == Duration::from_micros(SAMPLE_EVERY_US));
        assert_eq!(gauges.parts()[0].late_us, 7_000);
        rig::until("another", || gauges.sample(1, 0) == Duration::from_micros(SAMPLE_EVERY_US));
        assert_eq!(gauges.parts()[0].late_us, 0);
    }
}
