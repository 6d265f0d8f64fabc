//! The WebAssembly engines: a pool of small instances for what runs in place beside the media, a pool of large ones
//! for the side pool, and the ticker that gives both a sense of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::error::HostError;

/// The ticker's period; deadlines have its grain.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Most stack of a guest, bytes. The calling thread needs at least twice this.
const GUEST_STACK: usize = 512 << 10;

/// Address space reserved per memory so that the hardware checks bounds (virtual, not resident).
const FULL_RESERVATION: u64 = 4 << 30;

/// What one pool must hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolSize {
    pub(crate) sessions: u32,
    pub(crate) memory_mib: u32,
    /// Core memories and tables one component may have: one for compiled languages, several for interpreters.
    pub(crate) modules: u32,
}

/// How an engine's instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool of slots with hardware bounds checks.
    Pool,
    /// From a pool of slots no larger than the memory limit, with bounds checks in code.
    CompactPool,
    /// One by one, because this machine grants no pool (little address space or a limit on it).
    OnDemand,
}

/// An engine, how it allocates and how many sessions it has room for.
#[derive(Clone)]
pub(crate) struct SizedEngine {
    pub(crate) engine: Engine,
    pub(crate) allocation: Allocation,
    pub(crate) rooms: Arc<Rooms>,
}

/// Sessions of one pool. The pool counts them itself where there is one; this holds however memory is allocated.
#[derive(Debug)]
pub(crate) struct Rooms {
    most: u32,
    taken: AtomicU32,
}

/// A session's place, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Room(Arc<Rooms>);

impl Rooms {
    pub(crate) const fn new(most: u32) -> Self {
        Self { most, taken: AtomicU32::new(0) }
    }

    /// A place for a session; `None` when all are taken.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Room> {
        let one_more = |taken: u32| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Room(Arc::clone(self)))
    }

    pub(crate) const fn most(&self) -> u32 {
        self.most
    }

    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Acquire)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Makes an engine, trying the fastest allocation first.
pub(crate) fn sized(size: PoolSize) -> Result<SizedEngine, HostError> {
    let mut last = String::new();
    for allocation in [Allocation::Pool, Allocation::CompactPool, Allocation::OnDemand] {
        match Engine::new(&config(size, allocation)) {
            Ok(engine) => {
                if allocation != Allocation::Pool {
                    tracing::warn!(?allocation, why = last, "plugins get their memory in a slower way");
                }
                let rooms = Arc::new(Rooms::new(size.sessions.max(1)));
                return Ok(SizedEngine { engine, allocation, rooms });
            }
            Err(error) => last = format!("{error:#}"),
        }
    }
    Err(HostError::Engine(last))
}

fn config(size: PoolSize, allocation: Allocation) -> Config {
    let memory = usize::try_from(u64::from(size.memory_mib) << 20).unwrap_or(usize::MAX);
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.concurrency_support(false);
    config.max_wasm_stack(GUEST_STACK);
    config.async_stack_size(GUEST_STACK * 2);
    let reservation = match allocation {
        Allocation::Pool => FULL_RESERVATION.max(memory as u64),
        Allocation::CompactPool | Allocation::OnDemand => (memory as u64).max(64 << 20),
    };
    config.memory_reservation(reservation);
    if allocation == Allocation::OnDemand {
        return config;
    }
    let sessions = size.sessions.max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(sessions)
        .total_core_instances(sessions.saturating_mul(size.modules.saturating_mul(16)))
        .total_memories(sessions.saturating_mul(size.modules))
        .total_tables(sessions.saturating_mul(size.modules.saturating_mul(2)))
        .max_core_instances_per_component(size.modules.saturating_mul(16))
        .max_memories_per_component(size.modules)
        .max_tables_per_component(size.modules.saturating_mul(4))
        .table_elements(20_000)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(memory)
        .linear_memory_keep_resident(64 << 10)
        .max_unused_warm_slots(64);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// The thread that moves the engines' epochs on.
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engines: Vec<Engine>) -> Result<Self, HostError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engines.iter().for_each(Engine::increment_epoch);
            }
        };
        let thread = std::thread::Builder::new().name("plugin-ticker".to_owned()).spawn(run);
        Ok(Self { stop, thread: Some(thread.map_err(|error| HostError::Ticker(error.to_string()))?) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A ticker that panicked has nothing left to stop.
            drop(thread.join());
        }
    }
}

/// CPU time of the calling thread in microseconds.
pub(crate) fn thread_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000_000) + u64::try_from(time.tv_nsec / 1000).unwrap_or(0)
}
