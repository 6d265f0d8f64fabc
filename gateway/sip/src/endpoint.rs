//! The endpoint: socket, stack and tasks on a small runtime of their own, so that nothing else in the process can
//! delay a 100 Trying.

use std::future::Future;
use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::transaction::Endpoint;
use rsipstack::transaction::endpoint::EndpointOption;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipConnection, TransportLayer};
use tokio::net::UdpSocket;
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
use crate::receive;
use crate::shared::Shared;
use crate::sight::HepExport;
use crate::stats::{Counters, SipStats};
use crate::wire::Wire;
use crate::{farewell, quiet, refresh, uas};

/// Threads of the runtime: one may parse while the other answers.
const THREADS: usize = 2;

/// So many T1 an ACK is awaited (RFC 3261 13.3.1.4), and so long the stack is left to notice it first.
const ACK_T1S: u32 = 64;
const ACK_GRACE: Duration = Duration::from_secs(2);

/// A SIP endpoint on one UDP socket. Dropping it stops it: see [`SipEndpoint::stop`].
pub struct SipEndpoint {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
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
        let bind = |why| SipError::Bind { address: config.listen, why };
        let socket = std::net::UdpSocket::bind(config.listen).map_err(bind)?;
        socket.set_nonblocking(true).map_err(bind)?;
        let local_addr = socket.local_addr().map_err(bind)?;
        let advertised = advertised(&config, local_addr);
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
        let (socket, hep) = {
            let _context = runtime.enter();
            let hep = config.hep.clone().map(HepExport::start).transpose().map_err(SipError::Threads)?;
            (Arc::new(UdpSocket::from_std(socket).map_err(bind)?), hep)
        };

        let stop = CancellationToken::new();
        let counters = Arc::new(Counters::default());
        let ladder = Arc::new(Ladder::new(config.limits.max_traces));
        let wire = Arc::new(Wire { socket: Arc::clone(&socket), advertised, counters, ladder, hep });
        let (endpoint, connection) = stack(&config, Arc::clone(&wire), stop.clone()).map_err(bind)?;
        let (events, receiver) = mpsc::channel(config.limits.event_queue.max(1));
        let guard = Guard::new(RandomState::new(), branch_prefix.clone(), &config.limits, config.unknown_peer)
            .looking_for(&config.bans.scanners);
        let shared = Arc::new(Shared::new(
            config,
            Arc::clone(&endpoint.inner),
            connection,
            local_addr,
            Arc::clone(&wire),
            policy,
            events,
            runtime.handle().clone(),
            branch_prefix,
            Doorkeeper::new(nonces),
        ));
        let vital = spawn(&runtime, &shared, endpoint, wire, socket, guard, &stop)?;
        Ok((Self { shared, local_addr, stop, vital, runtime: Some(runtime) }, SipEvents(receiver)))
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

    /// The bound address.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
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
            ended: self.shared.stack.finished_transactions.len(),
            bans: self.shared.bans.counts(),
            busy_permille: self.shared.pressure.busy_permille(),
            hep: self.shared.wire.hep.as_ref().map(HepExport::counts),
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
    /// ours that nobody has answered taken back, for which their far ends have two seconds; without calls nothing is waited for.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for SipEndpoint {
    fn drop(&mut self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.close();
        let runtime = self.runtime.take();
        if let Some(runtime) = runtime.as_ref().filter(|_| self.calls() > 0) {
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

/// What Contact and Via say. An unspecified bind address advertises the address that the default route leaves by.
fn advertised(config: &SipConfig, local: SocketAddr) -> SocketAddr {
    let ip = config.advertised.unwrap_or_else(|| {
        if !local.ip().is_unspecified() {
            return local.ip();
        }
        let probe = || {
            let socket = std::net::UdpSocket::bind(SocketAddr::new(local.ip(), 0)).ok()?;
            // Connecting a UDP socket sends nothing; it only picks a route.
            let far = if local.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
            socket.connect(far).ok()?;
            socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
        };
        probe().unwrap_or(if local.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        })
    });
    SocketAddr::new(ip, local.port())
}

fn stack(config: &SipConfig, wire: Arc<Wire>, stop: CancellationToken) -> std::io::Result<(Endpoint, SipConnection)> {
    let t1 = config.timers.t1;
    // The call is async for other platforms' sake only; here it is complete when first polled.
    let mut connecting = pin!(UdpConnection::from_socket(wire, None, None));
    let Poll::Ready(connection) = connecting.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        return Err(std::io::Error::other("the socket was not ready"));
    };
    let connection = SipConnection::Udp(connection.map_err(|error| std::io::Error::other(error.to_string()))?);
    let option = EndpointOption { t1, t2: t1 * 8, t4: t1 * 10, t1x64: t1 * 64, ..EndpointOption::default() };
    let endpoint = EndpointBuilder::new()
        .with_user_agent(&config.user_agent)
        .with_cancel_token(stop.clone())
        .with_transport_layer(TransportLayer::new(stop))
        .with_option(option)
        .build();
    Ok((endpoint, connection))
}

fn spawn(
    runtime: &Runtime,
    shared: &Arc<Shared>,
    endpoint: Endpoint,
    wire: Arc<Wire>,
    socket: Arc<UdpSocket>,
    guard: Guard,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, SipError> {
    let mut transactions = endpoint
        .incoming_transactions()
        .map_err(|error| SipError::Threads(std::io::Error::other(error.to_string())))?;
    let stack = runtime.spawn(async move { endpoint.serve().await });
    let receiver = runtime.spawn(receive::run(Arc::clone(shared), wire, socket, guard, stop.clone()));
    let serving = Arc::clone(shared);
    let server = runtime.spawn(async move {
        while let Some(transaction) = transactions.recv().await {
            // The stack hands them up in the order of arrival; what is spawned runs in any.
            let within = uas::within(&serving, &transaction.original);
            tokio::spawn(uas::serve(Arc::clone(&serving), transaction, within));
        }
    });
    runtime.spawn(sweep(Arc::clone(shared), stop.clone()));
    Ok(vec![stack, receiver, server])
}

/// Once a second: calls that ring too long are refused with 480, sessions refreshed, and those that nobody refreshed or whose
/// answer nobody acknowledged ended.
async fn sweep(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1).min(shared.config.timers.max_ringing));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        shared.counters.sweeps.fetch_add(1, Ordering::Relaxed);
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
