//! The media plane: its threads, its ports, and the way in for new legs.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use trunkline_dsp::resample;
use trunkline_leg::{AgentEnd, CallTime, leg_rings};

use crate::config::{LegStart, MediaConfig};
use crate::error::MediaError;
use crate::handle::LegHandle;
use crate::leg::{Leg, Seed};
use crate::ports::{LegSocket, Ports};
use crate::recorder::Recording;
use crate::signal::PhaseSignal;
use crate::stats::WorkerStats;
use crate::worker::{Seat, Worker, WorkerShared, monotonic_us};

/// Time between two rounds of the thread that writes recordings and frees legs.
const HOUSEKEEPING_EVERY: Duration = Duration::from_millis(100);
/// Changes of a leg's description that may wait for its tick.
const UPDATES: usize = 4;

/// The media plane. Clones share it; when the last is dropped, every leg ends, recordings are completed and the
/// threads are joined.
#[derive(Debug, Clone)]
pub struct MediaPlane(Arc<Plane>);

#[derive(Debug)]
struct Plane {
    config: MediaConfig,
    ports: Arc<Ports>,
    workers: Vec<WorkerHandle>,
    recordings: Option<mpsc::Sender<Recording>>,
    housekeeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct WorkerHandle {
    shared: Arc<WorkerShared>,
    arrivals: Mutex<Producer<Box<Seat>>>,
    signal: PhaseSignal,
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
        for (from, to) in resample::RATES.into_iter().map(|rate| (rate, 8000)) {
            if resample::prepare(from, to).is_err() {
                tracing::warn!(from, to, "no filter for a rate that agents may use");
            }
        }
        let mut workers = Vec::with_capacity(config.workers);
        let mut departures = Vec::with_capacity(config.workers);
        for index in 0..config.workers {
            let (worker, gone) = start_worker(index, &config)?;
            workers.push(worker);
            departures.push(gone);
        }
        let (recordings, incoming) = mpsc::channel();
        let housekeeper = std::thread::Builder::new()
            .name("tl-recorder".to_owned())
            .spawn(move || keep_house(&incoming, departures))
            .map_err(MediaError::Start)?;
        Ok(Self(Arc::new(Plane {
            config,
            ports,
            workers,
            recordings: Some(recordings),
            housekeeper: Some(housekeeper),
        })))
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

    /// Starts a leg on `socket`. Its worker serves it from its next tick on; this call does not wait for that.
    ///
    /// # Errors
    /// [`MediaError::Full`] when every worker has its number of legs, [`MediaError::Recording`] when the file cannot
    /// be created, [`MediaError::PacketTime`] for one that cannot be paced.
    pub fn attach(&self, socket: LegSocket, start: LegStart) -> Result<(AgentEnd, LegHandle), MediaError> {
        check_packet_time(start.spec.ptime_ms)?;
        let index = self.reserve()?;
        let seated = self.seat(index, socket, start);
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

    /// Counters of worker `worker`.
    ///
    /// # Panics
    /// When there is no such worker.
    #[must_use]
    pub fn worker_stats(&self, worker: usize) -> WorkerStats {
        self.0.workers[worker].shared.stats.load()
    }

    /// Takes a place on the worker with the fewest legs.
    fn reserve(&self) -> Result<usize, MediaError> {
        let max = self.0.config.max_legs_per_worker;
        let legs = |worker: &WorkerHandle| worker.shared.legs.load(Ordering::Acquire);
        let emptiest = self.0.workers.iter().enumerate().min_by_key(|(_, worker)| legs(worker));
        let (index, worker) = emptiest.ok_or(MediaError::Full { max })?;
        if worker.shared.legs.fetch_add(1, Ordering::AcqRel) >= max {
            worker.shared.legs.fetch_sub(1, Ordering::AcqRel);
            return Err(MediaError::Full { max });
        }
        Ok(index)
    }

    fn seat(&self, index: usize, sockets: LegSocket, start: LegStart) -> Result<(AgentEnd, LegHandle), MediaError> {
        let worker = &self.0.workers[index];
        let (media, agent) = leg_rings(start.rings);
        let (updates, incoming) = RingBuffer::new(UPDATES);
        let elapsed_us = u64::try_from(start.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let epoch_us = monotonic_us().saturating_sub(elapsed_us);
        let rate = start.spec.codec.sample_rate();
        let (mut file, mut tap, mut recording) = (None, None, None);
        if let Some(path) = &start.recording {
            let made = Recording::create(path, rate, self.0.config.max_recording_s)
                .map_err(|source| MediaError::Recording { path: path.clone(), source })?;
            (file, tap, recording) = (Some(made.0), Some(made.1), Some(made.2));
        }
        let (leg, shared) = Leg::new(&start, media, incoming, tap, seed()?, CallTime(elapsed_us))
            .map_err(|_| MediaError::Config { setting: "codec", problem: "has a rate that cannot be resampled" })?;
        let address = sockets.local_addr();
        let seat = Box::new(Seat { leg, shared: shared.clone(), sockets, epoch_us, ticks: 0, missed: 0 });
        let mut arrivals = worker.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.push(seat).map_err(|_| MediaError::Full { max: self.0.config.max_legs_per_worker })?;
        drop(arrivals);
        if let (Some(file), Some(recordings)) = (file, &self.0.recordings) {
            // The recorder lives as long as the plane, so there is always someone to take it.
            let _ = recordings.send(file);
        }
        Ok((agent, LegHandle { shared, updates: Mutex::new(updates), worker: index, address, recording }))
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
        // With the workers gone every recording is over; the recorder completes them and leaves.
        self.recordings = None;
        join(self.housekeeper.take());
    }
}

/// Refuses packet times that the 20 ms tick cannot pace.
pub(crate) fn check_packet_time(ptime_ms: u8) -> Result<(), MediaError> {
    if (10..=60).contains(&ptime_ms) && ptime_ms.is_multiple_of(10) {
        Ok(())
    } else {
        Err(MediaError::PacketTime(ptime_ms))
    }
}

fn start_worker(index: usize, config: &MediaConfig) -> Result<(WorkerHandle, Consumer<Box<Seat>>), MediaError> {
    let shared = Arc::new(WorkerShared::default());
    let signal = PhaseSignal::new().map_err(MediaError::Start)?;
    let (arrivals, taken) = RingBuffer::new(config.max_legs_per_worker);
    let (leaving, gone) = RingBuffer::new(config.max_legs_per_worker);
    let worker = Worker::new(shared.clone(), taken, leaving, signal.clone(), config.max_legs_per_worker);
    let realtime = config.realtime;
    let thread = std::thread::Builder::new()
        .name(format!("tl-media-{index}"))
        .spawn(move || worker.run(realtime))
        .map_err(MediaError::Start)?;
    Ok((WorkerHandle { shared, arrivals: Mutex::new(arrivals), signal, thread: Some(thread) }, gone))
}

/// Writes recordings and frees legs that are over, until the plane is gone and every recording complete.
fn keep_house(incoming: &mpsc::Receiver<Recording>, mut departures: Vec<Consumer<Box<Seat>>>) {
    let mut recordings: Vec<Recording> = Vec::new();
    let mut scratch = Vec::new();
    loop {
        let first = incoming.recv_timeout(HOUSEKEEPING_EVERY);
        let stopping = matches!(first, Err(RecvTimeoutError::Disconnected));
        recordings.extend(first.ok().into_iter().chain(incoming.try_iter()));
        for gone in &mut departures {
            while let Ok(seat) = gone.pop() {
                drop(seat);
            }
        }
        recordings.retain_mut(|recording| !recording.advance(&mut scratch));
        if stopping && recordings.is_empty() {
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
