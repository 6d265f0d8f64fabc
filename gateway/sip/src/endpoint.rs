//! The endpoint: sockets, stack and tasks on a small runtime of their own, so that nothing else in the process can
//! delay a 100 Trying.

use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::transaction::Endpoint;
use rsipstack::transaction::endpoint::EndpointOption;
use rsipstack::transport::TransportLayer;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::bans::Ban;
use crate::call::Call;
use crate::config::SipConfig;
use crate::dialler::Dialler;
use crate::dialog::Phase;
use crate::doorkeeper::Doorkeeper;
use crate::error::SipError;
use crate::event::SipEvent;
use crate::guard::Guard;
use crate::ladder::{CallTrace, Ladder};
use crate::shared::Shared;
use crate::sight::HepExport;
use crate::sockets::Sockets;
use crate::stats::{Counters, SipStats};
use crate::transport::Transport;
use crate::wires::{Flows, Notes, Tls, Udp, Wires};
use crate::{farewell, quiet, receive, refresh, stream, uas};

/// Threads of the runtime: one may parse while the other answers.
const THREADS: usize = 2;

/// So many T1 an ACK is awaited (RFC 3261 13.3.1.4), and so long the stack is left to notice it first.
const ACK_T1S: u32 = 64;
const ACK_GRACE: Duration = Duration::from_secs(2);

/// So many sweeps lie between two looks at the files of certificates.
const CERTIFICATES: u64 = 5;

/// A SIP endpoint: its UDP sockets, and what listens for connections. Dropping it stops it: see [`SipEndpoint::stop`].
pub struct SipEndpoint {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    bound: Vec<(Transport, Option<SocketAddr>)>,
    stop: CancellationToken,
    /// Tasks without which nothing is received or answered.
    vital: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// What the endpoint tells its driver, in order.
#[derive(Debug)]
pub struct SipEvents(mpsc::Receiver<SipEvent>);

impl SipEvents {
    /// The next event; `None` once the endpoint has stopped.
    pub async fn recv(&mut self) -> Option<SipEvent> {
        self.0.recv().await
    }

    /// The next event, waiting on this thread; not to be called within a runtime.
    pub fn blocking_recv(&mut self) -> Option<SipEvent> {
        self.0.blocking_recv()
    }

    /// The next event if there is one.
    pub fn try_recv(&mut self) -> Option<SipEvent> {
        self.0.try_recv().ok()
    }
}

impl SipEndpoint {
    /// Binds and starts serving. Install the process's log subscriber first: the endpoint's threads take the one
    /// that is current now.
    ///
    /// # Errors
    /// When the address cannot be bound, a setting makes no sense, or threads or randomness cannot be had.
    pub fn start(config: SipConfig, policy: Arc<dyn Admission>) -> Result<(Self, SipEvents), SipError> {
        validate(&config)?;
        let tls = Arc::new(Tls::load(config.tls.clone())?);
        let sockets = Sockets::bind(&config)?;
        if sockets.are_secure() && !tls.can_serve() {
            return Err(SipError::Setting {
                setting: "sip.tls",
                expected: "a certificate and a key are expected to listen for TLS",
            });
        }
        let local_addr = sockets.first;
        let mut secret = [0; 4];
        getrandom::fill(&mut secret).map_err(|_| SipError::Random)?;
        let mut nonces = [0; 32];
        getrandom::fill(&mut nonces).map_err(|_| SipError::Random)?;
        let branch_prefix = format!("z9hG4bKtl{:08x}", u32::from_ne_bytes(secret));

        let logs = tracing::dispatcher::get_default(Clone::clone);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(2)
            .thread_name("sip")
            .on_thread_start(move || quiet::on_this_thread(&logs))
            .enable_all()
            .build()
            .map_err(SipError::Threads)?;
        let stop = CancellationToken::new();
        let counters = Arc::new(Counters::default());
        let ladder = Arc::new(Ladder::new(config.limits.max_traces));
        let (udp, streams, locals, notes) = {
            let _context = runtime.enter();
            let hep = config.hep.clone().map(HepExport::start).transpose().map_err(SipError::Threads)?;
            let notes = Arc::new(Notes { counters, ladder, hep });
            let (udp, streams, locals) = sockets.serve(&notes)?;
            (udp, streams, locals, notes)
        };
        let endpoint = stack(&config, stop.clone());
        let (events, receiver) = mpsc::channel(config.limits.event_queue.max(1));
        let guard = Guard::new(RandomState::new(), branch_prefix.clone(), &config.limits, config.unknown_peer)
            .looking_for(&config.bans.scanners);
        let flows = Flows::new(config.limits.max_connections, Some(tls));
        let shared = Arc::new(Shared::new(
            config,
            Arc::clone(&endpoint.inner),
            Wires::new(udp.clone(), flows, locals, notes),
            local_addr,
            guard,
            policy,
            events,
            runtime.handle().clone(),
            stop.clone(),
            branch_prefix,
            Doorkeeper::new(nonces),
        ));
        shared.wires.flows.served_by(&shared);
        let bound = streams.iter().map(|(listener, transport)| (*transport, listener.local_addr().ok())).collect();
        let vital = spawn(&runtime, &shared, endpoint, udp, streams)?;
        Ok((Self { shared, local_addr, bound, stop, vital, runtime: Some(runtime) }, SipEvents(receiver)))
    }

    /// A count that grows at least once a second while signalling is served; `None` when a task it needs has ended.
    #[must_use]
    pub fn beats(&self) -> Option<u64> {
        let served = !self.vital.iter().any(JoinHandle::is_finished);
        served.then(|| self.shared.counters.sweeps.load(Ordering::Relaxed))
    }

    /// Takes no new calls from now on (or does again): OPTIONS and INVITE get 503; calls that are up go on.
    pub fn set_draining(&self, draining: bool) {
        self.shared.draining.store(draining, Ordering::Relaxed);
    }

    /// Whether it takes no new calls.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.is_draining()
    }

    /// The address that the first UDP socket is bound to.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address that connections of a transport are taken at: of several the first.
    #[must_use]
    pub fn listens_at(&self, transport: Transport) -> Option<SocketAddr> {
        match transport {
            Transport::Udp => Some(self.local_addr),
            _ => self.bound.iter().find(|(other, _)| *other == transport).and_then(|(_, address)| *address),
        }
    }

    /// Connections now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.wires.flows.count()
    }

    /// What places calls and looks after trunks.
    #[must_use]
    pub fn dialler(&self) -> Dialler {
        Dialler(Arc::clone(&self.shared))
    }

    /// Calls now: ringing, up, being placed, or waiting for the answer to a BYE. 0 means that nothing is left to say.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.calls().len() + self.shared.awaiting.calls()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> SipStats {
        SipStats {
            calls: self.calls(),
            transactions: self.shared.stack.transactions.len(),
            connections: self.connections(),
            ended: self.shared.stack.finished_transactions.len(),
            bans: self.shared.bans.counts(),
            busy_permille: self.shared.pressure.busy_permille(),
            hep: self.shared.wires.notes.hep.as_ref().map(HepExport::counts),
            ..self.shared.counters.snapshot()
        }
    }

    /// The signalling of a recent call, by its Call-ID.
    #[must_use]
    pub fn trace(&self, call_id: &str) -> Option<CallTrace> {
        self.shared.ladder.trace(call_id)
    }

    /// Sources that are not listened to now, those first whose ban ends last.
    #[must_use]
    pub fn bans(&self) -> Vec<Ban> {
        self.shared.bans.list()
    }

    /// Listens to a source again; false when it is not banned.
    pub fn lift_ban(&self, source: IpAddr) -> bool {
        self.shared.bans.lift(source)
    }

    /// Stops serving and frees the socket. Calls that are still up are hung up first, and those that ring refused with 503, and those of
    /// ours that nobody has answered taken back, and so are registrations, for which the far ends have two seconds; without calls
    /// and registrations nothing is waited for.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for SipEndpoint {
    fn drop(&mut self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.close();
        let runtime = self.runtime.take();
        if let Some(runtime) = runtime.as_ref().filter(|_| self.calls() > 0 || self.shared.keeping.registers()) {
            let (shared, handle) = (Arc::clone(&self.shared), runtime.handle().clone());
            // On a thread of its own: this one may belong to another runtime, which must not be waited on.
            let farewell = std::thread::Builder::new().name("sip-farewell".to_owned());
            if let Ok(farewell) = farewell.spawn(move || handle.block_on(farewell::all(&shared))) {
                let _ = farewell.join();
            }
        }
        self.stop.cancel();
        self.shared.calls().clear();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for SipEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SipEndpoint").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

fn validate(config: &SipConfig) -> Result<(), SipError> {
    let wrong = |setting, expected| Err(SipError::Setting { setting, expected });
    if config.timers.t1 < Duration::from_millis(10) || config.timers.t1 > Duration::from_secs(4) {
        return wrong("sip.t1_ms", "10 to 4000 milliseconds are expected");
    }
    if config.limits.max_message < 1300 || config.limits.max_message > 65_507 {
        return wrong("sip.max_message", "1300 to 65507 bytes are expected");
    }
    if config.user_agent.chars().any(|c| c.is_control() || !c.is_ascii()) || config.user_agent.len() > 128 {
        return wrong("sip.user_agent", "at most 128 printable ASCII characters are expected");
    }
    if config.advertised.is_some_and(|address| address.is_unspecified() || address.is_multicast()) {
        return wrong("sip.advertised", "a unicast address that peers can reach is expected");
    }
    Ok(())
}

fn stack(config: &SipConfig, stop: CancellationToken) -> Endpoint {
    let t1 = config.timers.t1;
    let option = EndpointOption { t1, t2: t1 * 8, t4: t1 * 10, t1x64: t1 * 64, ..EndpointOption::default() };
    EndpointBuilder::new()
        .with_user_agent(&config.user_agent)
        .with_cancel_token(stop.clone())
        .with_transport_layer(TransportLayer::new(stop))
        .with_option(option)
        .build()
}

fn spawn(
    runtime: &Runtime,
    shared: &Arc<Shared>,
    endpoint: Endpoint,
    udp: Vec<Arc<Udp>>,
    streams: Vec<(TcpListener, Transport)>,
) -> Result<Vec<JoinHandle<()>>, SipError> {
    let mut transactions = endpoint
        .incoming_transactions()
        .map_err(|error| SipError::Threads(std::io::Error::other(error.to_string())))?;
    let mut vital = vec![runtime.spawn(async move { endpoint.serve().await })];
    vital.extend(udp.into_iter().map(|udp| runtime.spawn(receive::datagrams(Arc::clone(shared), udp))));
    let taking = |(listener, transport)| runtime.spawn(stream::listen(Arc::clone(shared), listener, transport));
    vital.extend(streams.into_iter().map(taking));
    let serving = Arc::clone(shared);
    vital.push(runtime.spawn(async move {
        while let Some(transaction) = transactions.recv().await {
            // The stack hands them up in the order of arrival; what is spawned runs in any.
            let within = uas::within(&serving, &transaction.original);
            tokio::spawn(uas::serve(Arc::clone(&serving), transaction, within));
        }
    }));
    runtime.spawn(sweep(Arc::clone(shared)));
    Ok(vital)
}

/// Once a second: calls that ring too long are refused with 480, sessions refreshed, and those that nobody refreshed or whose
/// answer nobody acknowledged ended.
async fn sweep(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1).min(shared.config.timers.max_ringing));
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let sweeps = shared.counters.sweeps.fetch_add(1, Ordering::Relaxed);
        if sweeps.is_multiple_of(CERTIFICATES) {
            let shared = Arc::clone(&shared);
            // Files are read: not on a thread that serves.
            tokio::task::spawn_blocking(move || shared.wires.flows.tls.as_ref().map(|tls| tls.refresh()));
        }
        shared.bans.spare(&shared);
        shared.pressure.sample(&shared.runtime.metrics());
        let limit = shared.config.timers.max_ringing;
        let late: Vec<Arc<Call>> =
            shared.calls().values().filter(|call| call.began.elapsed() > limit).cloned().collect();
        for call in late {
            let key = {
                let mut dialog = call.dialog();
                if dialog.phase != Phase::Ringing {
                    continue;
                }
                dialog.end();
                dialog.key.clone()
            };
            call.respond(&shared, 480, Vec::new(), None);
            shared.forget(&key);
            shared.tell(SipEvent::Failed { call: call.key, status: 480 }).await;
        }
        let calls: Vec<Arc<Call>> = shared.calls().values().cloned().collect();
        for call in &calls {
            refresh::look(&shared, call).await;
        }
        // The stack says when an answer was not acknowledged; where it does not, nobody else would end the call.
        let patience = shared.config.timers.t1 * ACK_T1S + ACK_GRACE;
        let waited = |call: &Arc<Call>| call.answered.get().is_some_and(|answered| answered.elapsed() > patience);
        let unanswered: Vec<Arc<Call>> = shared.calls().values().filter(|call| waited(call)).cloned().collect();
        for call in unanswered {
            let answered = call.dialog().phase == Phase::Answered;
            if answered {
                uas::no_ack(&shared, &call).await;
            }
        }
    }
}
