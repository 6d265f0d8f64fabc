//! The driver: takes calls from SIP, gives them media, and steps their conversations over plugin sessions.
//!
//! This is the only crate that maps what plugins say to what calls understand. One agent worker thread serves each
//! media worker and steps the calls that have something; heavy plugins run on a side pool; nothing here waits for a
//! network or for the disk: a call is answered once its record is durable, and meanwhile others are served.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod active;
mod agenda;
mod ambience;
mod beats;
mod bell;
mod capacity;
mod captures;
mod conferences;
mod counters;
mod demand;
mod directory;
mod durations;
mod echo;
mod engines;
mod health;
mod intake;
mod knowledge;
mod line;
mod listening;
mod load;
mod lookups;
mod offer;
mod openings;
mod outbound;
mod outbox;
mod prompts;
mod readiness;
mod recording;
mod redacting;
mod redirections;
mod refusal;
#[cfg(test)]
mod rig;
mod ringing;
mod routing;
mod serving;
mod session;
mod shared;
mod sound;
mod speaking;
mod streams;
mod tool_times;
mod turn_stages;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use trunkline_api::{Event, Id};
use trunkline_call::Operator;
use trunkline_edge_store::EdgeStore;
use trunkline_media::MediaPlane;
use trunkline_plugin_host::PluginRegistry;
use trunkline_recording::{Recorder, RecorderStats};
use trunkline_route::Decision;
use trunkline_route::outbound::{OutboundDecision, OutboundRequest};
use trunkline_sip::{Ban, CallTrace, SipConfig, SipEndpoint, SipError, SipStats, TrunkStatus};

pub use beats::{Beat, stuck};
pub use capacity::{Amounts, MemoryLeft, Pool};
pub use captures::{CaptureOrder, CaptureRefused, CaptureRule, CaptureState, CaptureStates};
pub use conferences::{ConferenceInfo, ConferenceMember};
pub use counters::Counters;
pub use directory::CallInfo;
pub use durations::{DURATION_BOUNDS_MS, DurationCounts};
pub use intake::{CallerProof, CertificateFetcher, FetchAnswer};
pub use knowledge::Library;
pub use load::{LoadPolicy, Part, PartLoad};
pub use outbound::{DialOrder, DialRefused};
pub use readiness::{AgentFault, Lacking};
pub use recording::{RecordingOrder, RecordingRefused, RecordingState};
pub use routing::InboundQuestion;
pub use serving::{ResolvedProvider, ServedAgent, Serving};
pub use shared::RuntimeConfig;
pub use streams::{StreamCall, StreamRefused};
pub use tool_times::ToolTimes;
pub use turn_stages::TurnStages;

use beats::IntakePulse;
use capacity::Admission;
use intake::Intake;
use load::Gauges;
use outbound::{Door, Outbound};
use prompts::Renderer;
use session::pool::SidePool;
use shared::Shared;
use streams::Doorway;
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
    /// Writes recordings.
    pub recorder: Recorder,
    /// What new calls are served by; replaced as desired state changes.
    pub serving: Arc<ArcSwap<Serving>>,
    /// Memory that calls may still take on this machine.
    pub memory_left: MemoryLeft,
    /// Passwords of trunks, by the name that trunks give them.
    pub secrets: BTreeMap<String, String>,
    /// What callers are verified by; without it no Identity is believed.
    pub callers: Option<CallerProof>,
}

/// A running gateway, without its configuration and its shells.
pub struct Runtime {
    shared: Arc<Shared>,
    plane: MediaPlane,
    sip: Option<SipEndpoint>,
    workers: Vec<Worker>,
    threads: Vec<JoinHandle<()>>,
    intake: Option<JoinHandle<()>>,
    doorway: Arc<Doorway>,
    draining: Arc<AtomicBool>,
    pulse: Arc<IntakePulse>,
    pool: Option<SidePool>,
    renderer: Option<Renderer>,
}

impl Runtime {
    /// Starts taking calls.
    pub fn start(config: RuntimeConfig, sip: SipConfig, parts: Parts) -> Result<Self, RuntimeError> {
        let heavy_workers = config.heavy_workers;
        let admission = Admission::new(config.capacity, parts.memory_left);
        std::fs::create_dir_all(&config.recordings)?;
        let pool = SidePool::start(heavy_workers)?;
        let secrets = Arc::new(parts.secrets);
        let load = Gauges::new(config.load, parts.plane.workers(), Some(pool.queue()));
        let beds = ambience::Beds::start(config.state_dir.join("ambience"))?;
        let shared = Arc::new(Shared {
            captures: captures::Captures::new(&config.state_dir),
            outbound: Outbound::new(Arc::clone(&secrets)),
            redirections: redirections::Redirections::default(),
            conferences: Arc::default(),
            config,
            store: parts.store,
            plugins: parts.plugins,
            serving: parts.serving,
            admission,
            directory: directory::Directory::default(),
            counters: Counters::default(),
            health: health::Health::default(),
            load,
            recorder: parts.recorder,
            prompts: Arc::default(),
            beds,
            librarian: lookups::Librarian::start()?,
        });
        let renderer = Renderer::start(Arc::clone(&shared))?;
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        for index in 0..parts.plane.workers() {
            let signal = parts.plane.signal(index);
            let ready = parts.plane.ready(index);
            let (worker, thread) = Worker::start(index, signal, ready, Arc::clone(&shared), pool.queue())?;
            workers.push(worker);
            threads.push(thread);
        }
        let door = Door { serving: Arc::clone(&shared.serving), secrets };
        let (sip, events) = SipEndpoint::start(sip, Arc::new(door))?;
        shared.outbound.connect(Arc::new(sip.dialler()), parts.plane.clone());
        let draining = Arc::new(AtomicBool::new(false));
        let pulse = Arc::new(IntakePulse::default());
        let intake = Intake::new(Arc::clone(&shared), parts.plane.clone(), workers.clone(), Arc::clone(&draining))
            .proving(parts.callers);
        let (beat, doorway) = (Arc::clone(&pulse), intake.doorway());
        let intake = std::thread::Builder::new().name("intake".to_owned()).spawn(move || intake.run(events, &beat))?;
        Ok(Self {
            shared,
            plane: parts.plane,
            sip: Some(sip),
            workers,
            threads,
            intake: Some(intake),
            doorway,
            draining,
            pulse,
            pool: Some(pool),
            renderer: Some(renderer),
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

    /// Sources that SIP does not listen to now.
    #[must_use]
    pub fn bans(&self) -> Vec<Ban> {
        self.sip.as_ref().map(SipEndpoint::bans).unwrap_or_default()
    }

    /// Has SIP listen to a source again; false when it is not banned.
    pub fn lift_ban(&self, source: IpAddr) -> bool {
        self.sip.as_ref().is_some_and(|sip| sip.lift_ban(source))
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

    /// Number of calls in progress, counting those whose record is not durable yet, at their beginning or end.
    #[must_use]
    pub fn active(&self) -> usize {
        self.shared.admission.calls() as usize
    }

    /// What calls use up: every pool with what there is of it and what is used.
    #[must_use]
    pub fn pools(&self) -> [(Pool, u32, u32); Pool::ALL.len()] {
        self.shared.admission.pools()
    }

    /// How busy the threads are that calls wait for, and whether new calls are refused for it.
    #[must_use]
    pub fn load(&self) -> [PartLoad; Part::ALL.len()] {
        self.shared.load.parts()
    }

    /// A call and what happened on it so far.
    #[must_use]
    pub fn timeline(&self, call: &Id) -> Option<(CallInfo, Vec<Arc<Event>>)> {
        self.shared.directory.timeline(call)
    }

    /// The SIP messages of a call.
    #[must_use]
    pub fn ladder(&self, call: &Id) -> Option<CallTrace> {
        let (info, _) = self.shared.directory.timeline(call)?;
        self.sip.as_ref()?.trace(&info.sip_call_id)
    }

    /// Explains what would become of a call that came in now; `None` when it is not said where from.
    #[must_use]
    pub fn explain(&self, question: &InboundQuestion) -> Option<Decision> {
        let serving = self.shared.serving.load();
        Some(routing::decide(&self.shared, &serving, self.is_draining(), &question.request()?))
    }

    /// Explains whether a call may leave, as far as routes and trunks go: counts and costs are not looked at.
    #[must_use]
    pub fn explain_outbound(&self, request: &OutboundRequest<'_>) -> OutboundDecision {
        self.shared.outbound.explain(&self.shared, &self.shared.serving.load(), request)
    }

    /// Places a call: an agent calls somebody, and speaks with whoever answers. Waits for the disk, so that it is not for a
    /// thread that serves others.
    ///
    /// # Errors
    /// [`DialRefused`] saying why not.
    pub fn dial(&self, order: &DialOrder) -> Result<Id, DialRefused> {
        outbound::dial(&self.shared, self.is_draining(), order)
    }

    /// How the trunks are that have a server.
    #[must_use]
    pub fn trunks(&self) -> Vec<TrunkStatus> {
        self.shared.outbound.trunks()
    }

    /// What new calls are served by.
    #[must_use]
    pub fn serving(&self) -> Arc<Serving> {
        self.shared.serving.load_full()
    }

    /// Gives an operator's order about a call, which carries it out in its next step and tells of it in its timeline; false
    /// when there is no call of that id, or its worker is swamped.
    #[must_use]
    pub fn operate(&self, call: &Id, order: Operator) -> bool {
        let worker = self.shared.directory.worker(call).and_then(|index| self.workers.get(index));
        worker.is_some_and(|worker| worker.order(Order::Operator(call.clone(), order)))
    }

    /// Conferences of calls that are up.
    #[must_use]
    pub fn conferences(&self) -> Vec<ConferenceInfo> {
        self.shared.conferences.all()
    }

    /// Carries out an operator's order about a call's recording. Waits for the call's worker, so that it is not for a
    /// thread that serves others.
    ///
    /// # Errors
    /// [`RecordingRefused`] saying why not.
    pub fn record(&self, call: &Id, order: RecordingOrder) -> Result<RecordingState, RecordingRefused> {
        /// A worker answers in its next round; only one that is stuck does not.
        const PATIENCE: Duration = Duration::from_secs(2);
        let worker = self.shared.directory.worker(call).and_then(|index| self.workers.get(index));
        let worker = worker.ok_or(RecordingRefused::NoCall)?;
        let (answer, answered) = sync_channel(1);
        if !worker.order(Order::Recording(call.clone(), order, answer)) {
            return Err(RecordingRefused::NoAnswer);
        }
        match answered.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(RecordingRefused::NoAnswer),
            // The call was over by then.
            Err(RecvTimeoutError::Disconnected) => Err(RecordingRefused::NoCall),
        }
    }

    /// Has calls captured that begin from now on. Looks at the disk, so that it is not for a thread that serves others.
    ///
    /// # Errors
    /// [`CaptureRefused`] saying why not.
    pub fn capture(&self, order: CaptureOrder) -> Result<CaptureRule, CaptureRefused> {
        self.shared.captures.order(order, self.shared.serving.load().has_recording_key())
    }

    /// Captures no further calls and ends those captures in progress; says how many orders and captures that were.
    #[must_use]
    pub fn stop_captures(&self) -> (usize, usize) {
        self.shared.captures.stop()
    }

    /// Orders to capture, and captures. Looks at the disk.
    ///
    /// # Errors
    /// What the operating system says of the folder.
    pub fn captures(&self) -> io::Result<CaptureStates> {
        self.shared.captures.states()
    }

    /// The file of a call's capture. Looks at the disk.
    #[must_use]
    pub fn capture_file(&self, call: &Id) -> Option<std::path::PathBuf> {
        self.shared.captures.file(call)
    }

    /// Figures of recordings.
    #[must_use]
    pub fn recordings(&self) -> RecorderStats {
        self.shared.recorder.stats()
    }

    /// Takes a call that comes over a stream, as one that comes by SIP: its source finds the trunk, and what it is called by
    /// the agent. It is refused by dropping its link.
    ///
    /// # Errors
    /// [`StreamRefused`] when too many wait already.
    pub fn stream_call(&self, call: StreamCall) -> Result<(), StreamRefused> {
        self.doorway.enter(call)
    }

    /// Whether calls from `source` have a trunk.
    #[must_use]
    pub fn knows(&self, source: IpAddr) -> bool {
        self.shared.serving.load().table.trunk(source).is_some()
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
        drop(self.renderer.take());
        drop(self.pool.take());
    }
}
