//! The driver: takes calls from SIP, gives them media, and steps their conversations over plugin sessions.
//!
//! This is the only crate that maps what plugins say to what calls understand. One agent worker thread serves each
//! media worker; heavy plugins run on a side pool; nothing here waits for a network, and only intake, before an
//! answer, waits for the disk.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod active;
mod beats;
mod counters;
mod directory;
mod intake;
mod listening;
mod readiness;
mod redacting;
mod serving;
mod session;
mod shared;
mod speaking;
mod worker;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use trunkline_api::{Event, Id};
use trunkline_call::Operator;
use trunkline_edge_store::EdgeStore;
use trunkline_media::MediaPlane;
use trunkline_plugin_host::PluginRegistry;
use trunkline_sip::{CallTrace, SipConfig, SipEndpoint, SipError, SipStats, TrunkToken};

pub use beats::{Beat, stuck};
pub use counters::Counters;
pub use directory::CallInfo;
pub use readiness::{AgentFault, Lacking};
pub use serving::{ResolvedProvider, ServedAgent, Serving};
pub use shared::RuntimeConfig;

use beats::IntakePulse;
use intake::Intake;
use session::pool::SidePool;
use shared::Shared;
use worker::{Order, Worker};

/// Why a runtime did not start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// SIP did not start.
    #[error(transparent)]
    Sip(#[from] SipError),
    /// A thread or the recordings' folder could not be made.
    #[error("a thread could not be started or the recordings' folder not be made: {0}; check limits and permissions")]
    System(#[from] io::Error),
}

/// What a runtime stands on.
pub struct Parts {
    /// Media.
    pub plane: MediaPlane,
    /// Durable records.
    pub store: Arc<dyn EdgeStore>,
    /// Plugins.
    pub plugins: Arc<PluginRegistry>,
    /// What new calls are served by; replaced as desired state changes.
    pub serving: Arc<ArcSwap<Serving>>,
}

/// A running gateway, without its configuration and its shells.
pub struct Runtime {
    shared: Arc<Shared>,
    plane: MediaPlane,
    sip: Option<SipEndpoint>,
    workers: Vec<Worker>,
    threads: Vec<JoinHandle<()>>,
    intake: Option<JoinHandle<()>>,
    draining: Arc<AtomicBool>,
    pulse: Arc<IntakePulse>,
    pool: Option<SidePool>,
}

impl Runtime {
    /// Starts taking calls.
    pub fn start(config: RuntimeConfig, sip: SipConfig, parts: Parts) -> Result<Self, RuntimeError> {
        let heavy_workers = config.heavy_workers;
        std::fs::create_dir_all(&config.recordings)?;
        let shared = Arc::new(Shared {
            config,
            store: parts.store,
            plugins: parts.plugins,
            serving: parts.serving,
            directory: directory::Directory::default(),
            counters: Counters::default(),
        });
        let pool = SidePool::start(heavy_workers)?;
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        for index in 0..parts.plane.workers() {
            let signal = parts.plane.signal(index);
            let (worker, thread) = Worker::start(index, signal, Arc::clone(&shared), pool.queue())?;
            workers.push(worker);
            threads.push(thread);
        }
        let serving = Arc::clone(&shared.serving);
        let policy = move |source: IpAddr| {
            let serving = serving.load();
            serving.table.trunk(source).map(|trunk| TrunkToken(Arc::from(trunk.id.to_string())))
        };
        let (sip, events) = SipEndpoint::start(sip, Arc::new(policy))?;
        let draining = Arc::new(AtomicBool::new(false));
        let pulse = Arc::new(IntakePulse::default());
        let intake = Intake::new(Arc::clone(&shared), parts.plane.clone(), workers.clone(), Arc::clone(&draining));
        let beat = Arc::clone(&pulse);
        let intake = std::thread::Builder::new().name("intake".to_owned()).spawn(move || intake.run(events, &beat))?;
        Ok(Self {
            shared,
            plane: parts.plane,
            sip: Some(sip),
            workers,
            threads,
            intake: Some(intake),
            draining,
            pulse,
            pool: Some(pool),
        })
    }

    /// The address SIP is served on.
    #[must_use]
    pub fn sip_addr(&self) -> Option<std::net::SocketAddr> {
        self.sip.as_ref().map(SipEndpoint::local_addr)
    }

    /// Counters of SIP.
    #[must_use]
    pub fn sip_stats(&self) -> Option<SipStats> {
        self.sip.as_ref().map(SipEndpoint::stats)
    }

    /// Media, for its counters.
    #[must_use]
    pub const fn plane(&self) -> &MediaPlane {
        &self.plane
    }

    /// Counters of calls and failures.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Signs of life of the threads that calls depend on.
    #[must_use]
    pub fn beats(&self) -> Vec<Beat> {
        let intake = self.intake.as_ref().is_some_and(|thread| !thread.is_finished());
        let agents = beats::of_agents(self.workers.iter().map(Worker::rounds), &self.threads);
        let others = [beats::of_sip(self.sip.as_ref()), self.pulse.beat(intake)];
        beats::of_media(&self.plane).chain(agents).chain(others).collect()
    }

    /// Calls in progress, with `ended` also the last ones that ended.
    #[must_use]
    pub fn calls(&self, ended: bool) -> Vec<CallInfo> {
        self.shared.directory.list(ended)
    }

    /// Number of calls in progress, counting those whose record is not durable yet.
    #[must_use]
    pub fn active(&self) -> usize {
        self.shared.directory.active()
    }

    /// A call and what happened on it so far.
    #[must_use]
    pub fn timeline(&self, call: &Id) -> Option<(CallInfo, Vec<Event>)> {
        self.shared.directory.timeline(call)
    }

    /// The SIP messages of a call.
    #[must_use]
    pub fn ladder(&self, call: &Id) -> Option<CallTrace> {
        let (info, _) = self.shared.directory.timeline(call)?;
        self.sip.as_ref()?.trace(&info.sip_call_id)
    }

    /// Hangs up a call; false when there is none of that id.
    #[must_use]
    pub fn hang_up(&self, call: &Id) -> bool {
        let worker = self.shared.directory.worker(call).and_then(|index| self.workers.get(index));
        worker.is_some_and(|worker| worker.order(Order::Operator(call.clone(), Operator::HangUp)))
    }

    /// Takes no new calls; those in progress go on.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Release);
        if let Some(sip) = &self.sip {
            sip.set_draining(draining);
        }
    }

    /// Whether new calls are refused.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Takes no new calls, waits for those in progress and asks what is left after `patience` to come to an end.
    pub fn drain(&self, patience: Duration) {
        /// For the last words, the BYE and the record of calls that were asked to end.
        const FAREWELL: Duration = Duration::from_secs(10);
        self.set_draining(true);
        self.wait_idle(patience);
        if self.active() > 0 {
            for worker in &self.workers {
                worker.order(Order::Drain);
            }
            self.wait_idle(FAREWELL);
        }
    }

    fn wait_idle(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.active() > 0 && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(sip) = self.sip.take() {
            sip.stop();
        }
        for worker in &self.workers {
            worker.order(Order::Stop);
        }
        for thread in self.threads.drain(..).chain(self.intake.take()) {
            let _ = thread.join();
        }
        drop(self.pool.take());
    }
}
