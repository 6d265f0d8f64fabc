//! The media plane: its threads, its ports, and the way in for new legs.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use trunkline_dsp::resample;
use trunkline_leg::{AgentEnd, CallTime, MediaSpec, ReadySet, leg_rings_at};

use crate::config::{LegStart, MediaConfig};
use crate::error::MediaError;
use crate::handle::{LegHandle, Owner};
use crate::leg::{Leg, OwnerEnd, Seed};
use crate::link::Link;
use crate::ports::{LegSocket, Ports};
use crate::signal::PhaseSignal;
use crate::stats::WorkerStats;
use crate::tapping::Taps;
use crate::totals::{Census, LegTotals};
use crate::worker::{Doors, Peers, Seat, Worker, WorkerShared, monotonic_us};

/// Time between two rounds of the thread that frees legs.
const HOUSEKEEPING_EVERY: Duration = Duration::from_millis(100);
/// Changes of a leg that may wait for its tick.
const ORDERS: usize = 4;
/// Numbers of calls for each leg: an agent keeps its number until its record is durable, after the leg is gone.
const SLOTS_PER_LEG: usize = 2;

/// The media plane. Clones share it; when the last is dropped, every leg ends and the threads are joined.
#[derive(Debug, Clone)]
pub struct MediaPlane(Arc<Plane>);

#[derive(Debug)]
struct Plane {
    config: MediaConfig,
    ports: Arc<Ports>,
    census: Arc<Mutex<Census>>,
    workers: Vec<WorkerHandle>,
    /// Dropped to end the housekeeper.
    alive: Option<mpsc::Sender<()>>,
    housekeeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct WorkerHandle {
    shared: Arc<WorkerShared>,
    arrivals: Mutex<Producer<Box<Seat>>>,
    signal: PhaseSignal,
    ready: ReadySet,
    thread: Option<JoinHandle<()>>,
}

impl MediaPlane {
    /// Starts the workers.
    ///
    /// # Errors
    /// [`MediaError::Config`] for settings that make no sense, [`MediaError::Start`] when the system gives no thread
    /// or eventfd.
    pub fn start(config: MediaConfig) -> Result<Self, MediaError> {
        if config.workers == 0 {
            return Err(MediaError::Config { setting: "media workers", problem: "must be at least 1" });
        }
        if config.max_legs_per_worker == 0 {
            return Err(MediaError::Config { setting: "legs per media worker", problem: "must be at least 1" });
        }
        let ports = Arc::new(Ports::new(config.bind_ip, &config.ports)?);
        // Filters are made here, so that no leg has to make one while it plays.
        for (from, to) in resample::RATES.into_iter().flat_map(|rate| [(rate, 8000), (rate, 16_000)]) {
            if resample::prepare(from, to).is_err() {
                tracing::warn!(from, to, "no filter for a rate that agents may use");
            }
        }
        let mut workers = Vec::with_capacity(config.workers);
        let mut departures = Vec::with_capacity(config.workers);
        let shared: Vec<_> = (0..config.workers).map(|_| Arc::new(WorkerShared::default())).collect();
        let signals: Vec<_> =
            (0..config.workers).map(|_| PhaseSignal::new()).collect::<Result<_, _>>().map_err(MediaError::Start)?;
        for peers in Peers::connect(&shared, config.max_legs_per_worker) {
            let (worker, gone) = start_worker(peers, &shared, &signals, &config)?;
            workers.push(worker);
            departures.push(gone);
        }
        let (alive, gone) = mpsc::channel();
        let census = Arc::<Mutex<Census>>::default();
        let kept = Arc::clone(&census);
        let housekeeper = std::thread::Builder::new()
            .name("tl-media-free".to_owned())
            .spawn(move || keep_house(&gone, departures, &kept))
            .map_err(MediaError::Start)?;
        Ok(Self(Arc::new(Plane { config, ports, census, workers, alive: Some(alive), housekeeper: Some(housekeeper) })))
    }

    /// Binds a port pair for a leg that will be attached, or not, later.
    ///
    /// # Errors
    /// [`MediaError::NoPorts`] when every pair is taken (answer 503), [`MediaError::Socket`] for any other refusal of
    /// the system.
    pub fn allocate(&self) -> Result<LegSocket, MediaError> {
        let [a, b, c, d, e, f, g, h, ..] = seed()?.0;
        self.0.ports.allocate(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Port pairs that calls could have now; `None` when the operating system chooses them.
    #[must_use]
    pub fn free_pairs(&self) -> Option<usize> {
        self.0.ports.free_pairs()
    }

    /// Port pairs of the range in all; `None` when the operating system chooses them.
    #[must_use]
    pub fn port_pairs(&self) -> Option<usize> {
        self.0.ports.pairs()
    }

    /// Starts a leg on `link`. Its worker serves it from its next tick on; this call does not wait for that.
    ///
    /// # Errors
    /// [`MediaError::Full`] when every worker has its number of legs, [`MediaError::Overloaded`] when none has time for
    /// another, [`MediaError::PacketTime`] for one that the codec cannot be sent in.
    pub fn attach(&self, link: impl Into<Link>, start: LegStart) -> Result<(AgentEnd, LegHandle), MediaError> {
        check_packet_time(&start.spec)?;
        let index = self.reserve()?;
        let seated = self.seat(index, link.into(), start);
        if seated.is_err() {
            self.0.workers[index].shared.legs.fetch_sub(1, Ordering::AcqRel);
        }
        seated
    }

    /// Number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.0.workers.len()
    }

    /// Legs attached now.
    #[must_use]
    pub fn legs(&self) -> usize {
        self.0.workers.iter().map(|worker| worker.shared.legs.load(Ordering::Acquire)).sum()
    }

    /// The wake-up of worker `worker`.
    ///
    /// # Panics
    /// When there is no such worker; numbers come from [`LegHandle::worker`] and [`MediaPlane::workers`].
    #[must_use]
    pub fn signal(&self, worker: usize) -> PhaseSignal {
        self.0.workers[worker].signal.clone()
    }

    /// The calls of worker `worker`, by the number of their [`AgentEnd::slot`], that have something for their agent.
    ///
    /// # Panics
    /// When there is no such worker.
    #[must_use]
    pub fn ready(&self, worker: usize) -> ReadySet {
        self.0.workers[worker].ready.clone()
    }

    /// Counters of worker `worker`.
    ///
    /// # Panics
    /// When there is no such worker.
    #[must_use]
    pub fn worker_stats(&self, worker: usize) -> WorkerStats {
        self.0.workers[worker].shared.stats.load()
    }

    /// Sums over all legs, as of the last tick of each.
    #[must_use]
    pub fn totals(&self) -> LegTotals {
        self.0.census.lock().unwrap_or_else(PoisonError::into_inner).totals()
    }

    /// Refuses a leg that no worker could serve, before anything is done for it: ask before answering a call.
    ///
    /// # Errors
    /// [`MediaError::Full`] and [`MediaError::Overloaded`], as [`MediaPlane::attach`].
    pub fn check_room(&self) -> Result<(), MediaError> {
        self.emptiest().map(drop)
    }

    /// The worker with the fewest legs among those that take any, and how many it has; load breaks ties.
    fn emptiest(&self) -> Result<(usize, usize), MediaError> {
        let max = self.0.config.max_legs_per_worker;
        let takes = |worker: &WorkerHandle| !worker.shared.refuses.load(Ordering::Acquire);
        let legs = |worker: &WorkerHandle| worker.shared.legs.load(Ordering::Acquire);
        let by_legs = |worker: &WorkerHandle| (legs(worker), worker.shared.load.load(Ordering::Relaxed));
        let taking = self.0.workers.iter().enumerate().filter(|(_, worker)| takes(worker));
        let (index, worker) = taking.min_by_key(|(_, worker)| by_legs(worker)).ok_or(MediaError::Overloaded)?;
        let legs = legs(worker);
        if legs >= max { Err(MediaError::Full { max }) } else { Ok((index, legs)) }
    }

    /// Takes a place on the emptiest worker.
    fn reserve(&self) -> Result<usize, MediaError> {
        let max = self.0.config.max_legs_per_worker;
        let (index, _) = self.emptiest()?;
        let worker = &self.0.workers[index];
        if worker.shared.legs.fetch_add(1, Ordering::AcqRel) >= max {
            worker.shared.legs.fetch_sub(1, Ordering::AcqRel);
            return Err(MediaError::Full { max });
        }
        Ok(index)
    }

    fn seat(&self, index: usize, link: Link, mut start: LegStart) -> Result<(AgentEnd, LegHandle), MediaError> {
        let worker = &self.0.workers[index];
        let slot = worker.ready.claim().ok_or(MediaError::Full { max: self.0.config.max_legs_per_worker })?;
        let (media, agent) = leg_rings_at(start.rings, slot);
        let (orders, incoming) = RingBuffer::new(ORDERS);
        // One more than can wait: what was replaced meanwhile.
        let (outgoing, spent) = RingBuffer::new(ORDERS + 1);
        let elapsed_us = u64::try_from(start.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let epoch_us = monotonic_us().saturating_sub(elapsed_us);
        let rate = start.spec.codec.sample_rate();
        let ends = OwnerEnd { orders: incoming, spent: outgoing };
        let (taps, further) = Taps::new(start.tap.take());
        let (leg, shared) = Leg::new(&start, media, ends, taps, seed()?, CallTime(elapsed_us))?;
        let address = link.local_addr();
        shared.worker.store(index, Ordering::Release);
        let seat = Box::new(Seat::new(leg, shared.clone(), link, epoch_us, index));
        // Held until the leg is in it, so that none ends before it is known.
        let mut census = self.0.census.lock().unwrap_or_else(PoisonError::into_inner);
        let mut arrivals = worker.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.push(seat).map_err(|_| MediaError::Full { max: self.0.config.max_legs_per_worker })?;
        drop(arrivals);
        census.begin(Arc::clone(&shared));
        drop(census);
        let owner = Mutex::new(Owner { orders, spent, rate, spec: start.spec, sound: start.sound });
        Ok((agent, LegHandle { shared, owner, taps: Mutex::new(further), agent: index, address }))
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.shared.stop.store(true, Ordering::Release);
        }
        for worker in &mut self.workers {
            join(worker.thread.take());
        }
        // The last legs are on their way to it.
        self.alive = None;
        join(self.housekeeper.take());
    }
}

/// Refuses packet times that the 20 ms tick cannot pace or the codec has no frames of.
pub(crate) fn check_packet_time(spec: &MediaSpec) -> Result<(), MediaError> {
    if spec.codec.takes_ptime_ms(spec.ptime_ms) {
        Ok(())
    } else {
        Err(MediaError::PacketTime { ms: spec.ptime_ms, codec: spec.codec })
    }
}

fn start_worker(
    peers: Peers,
    shared: &[Arc<WorkerShared>],
    signals: &[PhaseSignal],
    config: &MediaConfig,
) -> Result<(WorkerHandle, Consumer<Box<Seat>>), MediaError> {
    let index = peers.index();
    let (shared, signal) = (shared[index].clone(), signals[index].clone());
    let (arrivals, taken) = RingBuffer::new(config.max_legs_per_worker);
    let (leaving, gone) = RingBuffer::new(config.max_legs_per_worker);
    let doors = Doors { arrivals: taken, departures: leaving, peers, signals: signals.to_vec() };
    let worker = Worker::new(shared.clone(), doors, config.max_legs_per_worker);
    let realtime = config.realtime;
    let thread = std::thread::Builder::new()
        .name(format!("tl-media-{index}"))
        .spawn(move || worker.run(realtime))
        .map_err(MediaError::Start)?;
    let ready = ReadySet::new(config.max_legs_per_worker * SLOTS_PER_LEG);
    Ok((WorkerHandle { shared, arrivals: Mutex::new(arrivals), signal, ready, thread: Some(thread) }, gone))
}

/// Frees legs that are over, until the plane is gone. It touches no disk, so that nothing but this can hold it up.
fn keep_house(alive: &mpsc::Receiver<()>, mut departures: Vec<Consumer<Box<Seat>>>, census: &Mutex<Census>) {
    loop {
        let stopping = alive.recv_timeout(HOUSEKEEPING_EVERY) == Err(RecvTimeoutError::Disconnected);
        for gone in &mut departures {
            while let Ok(seat) = gone.pop() {
                census.lock().unwrap_or_else(PoisonError::into_inner).end(&seat.shared);
                drop(seat);
            }
        }
        if stopping {
            return;
        }
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("a media thread panicked outside of any leg; this is a defect, please report it");
    }
}

fn seed() -> Result<Seed, MediaError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| MediaError::Start(std::io::Error::other(error.to_string())))?;
    Ok(Seed(bytes))
}
