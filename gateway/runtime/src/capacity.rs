//! What calls use up: ports, descriptors, memory, plugin sessions. A call takes its share of all of it before it is
//! answered, or is refused by the name of what is short.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use trunkline_api::{Failure, Id};

/// How long a look at the machine's memory counts.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Something that calls use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// Calls, as `limits.max_calls` has them.
    Calls,
    /// Pairs of media ports.
    MediaPorts,
    /// File descriptors.
    Descriptors,
    /// Memory, in KiB.
    Memory,
    /// Sessions of plugins that run beside the media.
    MediaSessions,
    /// Sessions of heavy plugins.
    HeavySessions,
}

impl Pool {
    /// Every pool.
    pub const ALL: [Self; 6] =
        [Self::Calls, Self::MediaPorts, Self::Descriptors, Self::Memory, Self::MediaSessions, Self::HeavySessions];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::MediaPorts => "media_ports",
            Self::Descriptors => "descriptors",
            Self::Memory => "memory_kib",
            Self::MediaSessions => "media_sessions",
            Self::HeavySessions => "heavy_sessions",
        }
    }

    /// The failure of a call that finds it used up.
    #[must_use]
    pub const fn failure(self) -> Failure {
        match self {
            Self::Calls => Failure::GatewayFull,
            Self::MediaPorts => Failure::NoMediaPorts,
            Self::Descriptors => Failure::NoDescriptors,
            Self::Memory => Failure::NoMemory,
            Self::MediaSessions | Self::HeavySessions => Failure::NoPluginSessions,
        }
    }
}

/// An amount of each pool: what there is, what is used, or what one call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts([u32; Pool::ALL.len()]);

impl Amounts {
    /// The same amount of each.
    #[must_use]
    pub const fn all(amount: u32) -> Self {
        Self([amount; Pool::ALL.len()])
    }

    /// How many calls of `demand` each pool allows, and which allows the fewest.
    #[must_use]
    pub fn calls_of(&self, demand: &Self) -> (Vec<(Pool, u32)>, Pool) {
        let allows = |pool: Pool| self[pool].checked_div(demand[pool]).unwrap_or(u32::MAX);
        let by_pool: Vec<(Pool, u32)> = Pool::ALL.iter().map(|pool| (*pool, allows(*pool))).collect();
        let tightest = by_pool.iter().min_by_key(|(_, calls)| *calls).map_or(Pool::Calls, |(pool, _)| *pool);
        (by_pool, tightest)
    }

    /// The larger amount of each pool.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|pool| self.0[pool].max(other.0[pool])))
    }
}

impl Index<Pool> for Amounts {
    type Output = u32;

    fn index(&self, pool: Pool) -> &u32 {
        &self.0[pool as usize]
    }
}

impl IndexMut<Pool> for Amounts {
    fn index_mut(&mut self, pool: Pool) -> &mut u32 {
        &mut self.0[pool as usize]
    }
}

/// Memory that may still be taken on this machine, in KiB; `None` when it cannot be told.
pub type MemoryLeft = Arc<dyn Fn() -> Option<u32> + Send + Sync>;

/// Gives calls their share.
pub(crate) struct Admission {
    most: Amounts,
    memory_left: MemoryLeft,
    shares: Mutex<Shares>,
}

#[derive(Default)]
struct Shares {
    used: Amounts,
    /// Calls by trunk, by tenant and by agent.
    calls_of: BTreeMap<Id, u32>,
    memory: Option<MemoryLook>,
}

/// What the machine had left, less what was promised since.
struct MemoryLook {
    at: Instant,
    left_kib: u32,
}

/// A call's share, given back when it is dropped.
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    demand: Amounts,
    counted: [Id; 3],
}

impl Admission {
    /// Shares out `most`; a call is refused for memory also when the machine has less left than it takes.
    pub(crate) fn new(most: Amounts, memory_left: MemoryLeft) -> Arc<Self> {
        Arc::new(Self { most, memory_left, shares: Mutex::default() })
    }

    /// Number of calls that have a share: in all, of a trunk and of a tenant.
    pub(crate) fn load(&self, trunk: &Id, tenant: &Id) -> (u32, u32, u32) {
        let shares = self.held();
        let of = |id: &Id| shares.calls_of.get(id).copied().unwrap_or(0);
        (shares.used[Pool::Calls], of(trunk), of(tenant))
    }

    /// Number of calls that an agent began and that have a share.
    pub(crate) fn calls_of(&self, agent: &Id) -> u32 {
        self.held().calls_of.get(agent).copied().unwrap_or(0)
    }

    /// Number of calls that have a share.
    pub(crate) fn calls(&self) -> u32 {
        self.held().used[Pool::Calls]
    }

    /// Every pool: what there is, and what is used.
    pub(crate) fn pools(&self) -> [(Pool, u32, u32); Pool::ALL.len()] {
        let used = self.held().used;
        Pool::ALL.map(|pool| (pool, self.most[pool], used[pool]))
    }

    /// A call's share of everything.
    ///
    /// # Errors
    /// The first pool that has not enough left; nothing is taken then.
    pub(crate) fn admit(
        self: &Arc<Self>,
        [trunk, tenant, agent]: [&Id; 3],
        demand: Amounts,
        now: Instant,
    ) -> Result<Ticket, Pool> {
        let mut shares = self.held();
        let enough = |pool: &Pool| demand[*pool] <= self.most[*pool].saturating_sub(shares.used[*pool]);
        if let Some(short) = Pool::ALL.iter().find(|pool| !enough(pool)) {
            return Err(*short);
        }
        if !self.machine_has(&mut shares.memory, demand[Pool::Memory], now) {
            return Err(Pool::Memory);
        }
        for pool in Pool::ALL {
            shares.used[pool] += demand[pool];
        }
        let counted = [trunk.clone(), tenant.clone(), agent.clone()];
        for id in &counted {
            *shares.calls_of.entry(id.clone()).or_default() += 1;
        }
        drop(shares);
        Ok(Ticket { admission: Arc::clone(self), demand, counted })
    }

    /// Looks at the machine now and then; in between, what was promised is taken off what was seen.
    fn machine_has(&self, look: &mut Option<MemoryLook>, kib: u32, now: Instant) -> bool {
        if look.as_ref().is_none_or(|look| now.duration_since(look.at) >= LOOK_EVERY) {
            *look = (self.memory_left)().map(|left_kib| MemoryLook { at: now, left_kib });
        }
        let Some(look) = look else { return true };
        match look.left_kib.checked_sub(kib) {
            Some(left) => {
                look.left_kib = left;
                true
            }
            None => false,
        }
    }

    fn held(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut shares = self.admission.held();
        for pool in Pool::ALL {
            shares.used[pool] = shares.used[pool].saturating_sub(self.demand[pool]);
        }
        for id in &self.counted {
            if let Some(calls) = shares.calls_of.get_mut(id) {
                *calls -= 1;
                if *calls == 0 {
                    shares.calls_of.remove(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_api::Prefix;

    fn id(prefix: Prefix, n: u8) -> Id {
        Id::mint(prefix, 1, [n; 10])
    }

    fn demand(amounts: [u32; 6]) -> Amounts {
        Amounts(amounts)
    }

    fn plenty() -> MemoryLeft {
        Arc::new(|| None)
    }

    #[test]
    fn a_call_is_refused_by_the_name_of_what_is_short_and_takes_nothing() {
        let admission = Admission::new(demand([10, 10, 100, 1000, 4, 1]), plenty());
        let (trunk, tenant, agent, now) =
            (id(Prefix::Trunk, 1), id(Prefix::Tenant, 1), id(Prefix::Agent, 1), Instant::now());
        let takes = demand([1, 1, 3, 400, 2, 1]);
        let first = admission.admit([&trunk, &tenant, &agent], takes, now).unwrap();
        assert_eq!(admission.admit([&trunk, &tenant, &agent], takes, now).err(), Some(Pool::HeavySessions));
        let light = demand([1, 1, 3, 400, 2, 0]);
        let second = admission.admit([&trunk, &tenant, &agent], light, now).unwrap();
        assert_eq!(admission.admit([&trunk, &tenant, &agent], light, now).err(), Some(Pool::Memory));
        assert_eq!(admission.load(&trunk, &tenant), (2, 2, 2));
        assert_eq!(admission.load(&id(Prefix::Trunk, 2), &tenant), (2, 0, 2));
        assert_eq!((admission.calls_of(&agent), admission.calls_of(&id(Prefix::Agent, 2))), (2, 0));
        drop((first, second));
        assert!(admission.pools().iter().all(|(_, _, used)| *used == 0));
        assert_eq!(admission.load(&trunk, &tenant), (0, 0, 0));
        assert_eq!(Pool::HeavySessions.failure().sip_status(), 503);
    }

    #[test]
    fn a_machine_that_runs_out_refuses_until_it_has_memory_again() {
        let left = Arc::new(std::sync::atomic::AtomicU32::new(1000));
        let seen = Arc::clone(&left);
        let look: MemoryLeft = Arc::new(move || Some(seen.load(std::sync::atomic::Ordering::Relaxed)));
        let admission = Admission::new(Amounts::all(u32::MAX), look);
        let (trunk, tenant, agent, now) =
            (id(Prefix::Trunk, 1), id(Prefix::Tenant, 1), id(Prefix::Agent, 1), Instant::now());
        let takes = demand([1, 1, 1, 400, 1, 1]);
        let admit = |after| admission.admit([&trunk, &tenant, &agent], takes, now + after).map(std::mem::forget).err();
        assert_eq!(admit(Duration::ZERO), None);
        assert_eq!(admit(Duration::ZERO), None);
        assert_eq!(admit(Duration::ZERO), Some(Pool::Memory), "what was promised counts before it shows");
        assert_eq!(admit(LOOK_EVERY), None);
        left.store(300, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(admit(LOOK_EVERY * 2), Some(Pool::Memory));
    }

    #[test]
    fn the_tightest_pool_says_how_many_calls_there_can_be() {
        let most = demand([200, 8000, 1024, 4_000_000, 1000, 90]);
        let (by_pool, tightest) = most.calls_of(&demand([1, 1, 3, 800, 2, 2]));
        assert_eq!(tightest, Pool::HeavySessions);
        let calls: Vec<u32> = by_pool.iter().map(|(_, calls)| *calls).collect();
        assert_eq!(calls, [200, 8000, 341, 5000, 500, 45]);
        assert_eq!(most.calls_of(&demand([1, 1, 3, 800, 2, 0])).1, Pool::Calls, "what nobody takes bounds nobody");
    }

    proptest! {
        /// Whatever comes and goes, no pool is ever used beyond what there is, and all of it comes back.
        #[test]
        fn nothing_is_given_twice(steps in proptest::collection::vec((any::<bool>(), 0_u8..3, 0_u32..4), 1..100)) {
            let most = demand([12, 9, 40, 5000, 11, 5]);
            let admission = Admission::new(most, plenty());
            let mut tickets = Vec::new();
            for (comes, n, size) in steps {
                if comes {
                    let takes = demand([1, 1, 2 + size, 300 * size, size, size / 2]);
                    let ticket = admission.admit([&id(Prefix::Trunk, n), &id(Prefix::Tenant, 1), &id(Prefix::Agent, n)], takes, Instant::now());
                    tickets.extend(ticket.ok());
                } else if !tickets.is_empty() {
                    tickets.remove(usize::from(n) % tickets.len());
                }
                prop_assert!(admission.pools().iter().all(|(_, most, used)| used <= most));
                prop_assert_eq!(admission.calls() as usize, tickets.len());
            }
            tickets.clear();
            prop_assert!(admission.pools().iter().all(|(_, _, used)| *used == 0));
        }
    }
}
