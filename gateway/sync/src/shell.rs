//! The thin shell: carries requests over HTTP, asks the store, keeps the clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use trunkline_api::signature::Signed;
use trunkline_api::sync::{EnrolAnswer, HeartbeatAnswer, Stream, UploadAck, UploadBatch};

use crate::protocol::{Event, Protocol, Reply, RequestId, Status, Transmit, Trouble};
use crate::transport::Transport;
use crate::{BaseUrl, DesiredState, Spool, SpoolError, SyncError};

/// Answers that may wait for the client.
const INBOX: usize = 64;

/// How to reach the control plane.
#[derive(Debug, Clone)]
pub struct SyncConfig {
    /// Base URL of its sync port, for example `https://control.example.com:7001`.
    pub url: String,
    /// Root certificates (DER) trusted beside Mozilla's.
    pub extra_roots: Vec<Vec<u8>>,
    /// This gateway's version.
    pub version: String,
}

/// Starts the client.
#[derive(Debug)]
pub struct SyncClient;

/// A running client; dropping it stops the client.
pub struct SyncHandle {
    state: watch::Receiver<Arc<DesiredState>>,
    status: watch::Receiver<Status>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    calls: AtomicU32,
    records: Notify,
    identity: Notify,
}

enum Wake {
    Input(Input),
    Records,
    Identity,
    Timer,
}

enum Input {
    Answer(RequestId, Result<Reply, Trouble>),
    Stream(RequestId, Option<Signed>),
    StreamEnd(RequestId, Trouble),
    Pending(Stream, Result<Option<UploadBatch>, SpoolError>),
    Acknowledged(UploadAck, Result<(), SpoolError>),
    Identity(Option<EnrolAnswer>),
}

impl SyncClient {
    /// Starts the client on `runtime`. The last known good state is read before this returns, so that the gateway can
    /// serve at once. Refuses a URL that would send the credential in the clear.
    pub fn start(config: SyncConfig, spool: Arc<dyn Spool>, runtime: &Handle) -> Result<SyncHandle, SyncError> {
        let base = BaseUrl::parse(&config.url)?;
        let (rev, objects) = spool.objects()?;
        let (restored, refused) = DesiredState::restored(rev, objects);
        for error in refused {
            tracing::error!(%error, "a stored object cannot be served by this version");
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| SyncError::Protocol(error.to_string()))?;
        let begun = Instant::now();
        let identity = spool.identity()?;
        let pin = identity.as_ref().and_then(|identity| identity.control_plane);
        let transport = Transport::new(base.clone(), config.extra_roots.clone(), pin)?;
        let protocol = Protocol::new(u64::from_le_bytes(seed), &config.version, identity.clone(), restored, 0);
        let shared = Arc::new(Shared::default());
        let (state_out, state) = watch::channel(Arc::clone(protocol.state()));
        let (status_out, status) = watch::channel(protocol.status());
        let (inbox, inputs) = mpsc::channel(INBOX);
        let requests = BTreeMap::new();
        let roots = config.extra_roots;
        let carrier = Carrier { protocol, spool, transport, base, roots, begun, inbox, requests, identity };
        let task = runtime.spawn(carrier.run(inputs, Arc::clone(&shared), state_out, status_out));
        Ok(SyncHandle { state, status, shared, task: task.abort_handle() })
    }
}

impl SyncHandle {
    /// Desired state in service; changes are seen by `changed().await` or `has_changed()`.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Arc<DesiredState>> {
        self.state.clone()
    }

    /// How the client is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The same, to wait for a change.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Microseconds to add to the local wall clock, 0 before the first heartbeat was answered.
    #[must_use]
    pub fn clock_offset_us(&self) -> i64 {
        self.status.borrow().clock_offset_us.unwrap_or(0)
    }

    /// Calls in progress, for the heartbeat.
    pub fn set_calls(&self, calls: u32) {
        self.shared.calls.store(calls, Ordering::Relaxed);
    }

    /// A call was closed: upload now rather than within two seconds.
    pub fn new_records(&self) {
        self.shared.records.notify_one();
    }

    /// The store has an identity now: use it.
    pub fn enrolled(&self) {
        self.shared.identity.notify_one();
    }
}

impl Drop for SyncHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Carrier {
    protocol: Protocol,
    spool: Arc<dyn Spool>,
    transport: Transport,
    base: BaseUrl,
    roots: Vec<Vec<u8>>,
    begun: Instant,
    inbox: mpsc::Sender<Input>,
    /// Streams and polls that may have to be abandoned; at most a few.
    requests: BTreeMap<RequestId, AbortHandle>,
    identity: Option<EnrolAnswer>,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        for request in self.requests.values() {
            request.abort();
        }
    }
}

impl Carrier {
    async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        shared: Arc<Shared>,
        state: watch::Sender<Arc<DesiredState>>,
        status: watch::Sender<Status>,
    ) {
        loop {
            self.drain().await;
            state.send_if_modified(|current| {
                let changed = !Arc::ptr_eq(current, self.protocol.state());
                if changed {
                    *current = Arc::clone(self.protocol.state());
                }
                changed
            });
            status.send_if_modified(|current| {
                let now = self.protocol.status();
                let changed = *current != now;
                *current = now;
                changed
            });
            let timer = self.protocol.poll_timeout().map(|(at_us, _)| self.begun + Duration::from_micros(at_us));
            let wake = tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => Wake::Input(input),
                    None => return,
                },
                () = shared.records.notified() => Wake::Records,
                () = shared.identity.notified() => Wake::Identity,
                () = sleep_until(timer) => Wake::Timer,
            };
            self.protocol.handle_calls(shared.calls.load(Ordering::Relaxed));
            match wake {
                Wake::Input(input) => self.input(input),
                Wake::Records => self.protocol.handle_new_records(self.now_us()),
                Wake::Identity => self.read_identity(),
                Wake::Timer => self.protocol.handle_timeout(self.now_us()),
            }
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn input(&mut self, input: Input) {
        let now_us = self.now_us();
        match input {
            Input::Answer(id, answer) => {
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let wall_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
                if !matches!(answer, Ok(Reply::StreamOpened)) {
                    self.requests.remove(&id);
                }
                self.protocol.handle_answer(now_us, wall_us, id, answer);
            }
            Input::Stream(id, revision) => self.protocol.handle_stream(now_us, id, revision),
            Input::StreamEnd(id, trouble) => {
                self.requests.remove(&id);
                self.protocol.handle_stream_end(now_us, id, &trouble);
            }
            Input::Pending(stream, batch) => {
                self.protocol.handle_pending(now_us, stream, batch.map_err(|error| error.to_string()));
            }
            Input::Acknowledged(ack, outcome) => {
                self.protocol.handle_acknowledged(now_us, ack, outcome.map_err(|error| error.to_string()));
            }
            Input::Identity(Some(identity)) if self.identity.as_ref() != Some(&identity) => {
                match Transport::new(self.base.clone(), self.roots.clone(), identity.control_plane) {
                    Ok(transport) => self.transport = transport,
                    Err(error) => return tracing::error!(%error, "the new identity cannot be used"),
                }
                self.identity = Some(identity.clone());
                self.protocol.handle_enrolled(now_us, identity);
            }
            Input::Identity(_) => {}
        }
    }

    /// Does what the protocol asks for, until it asks for nothing more.
    async fn drain(&mut self) {
        loop {
            if let Some(event) = self.protocol.poll_event() {
                self.event(event).await;
            } else if let Some(transmit) = self.protocol.poll_transmit() {
                self.transmit(transmit);
            } else {
                return;
            }
        }
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Apply { revision, signed, state } => {
                let spool = Arc::clone(&self.spool);
                let rev = revision.rev;
                let applied = tokio::task::spawn_blocking(move || spool.apply_revision(&revision, &signed)).await;
                let outcome = match applied {
                    Ok(outcome) => outcome.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                match &outcome {
                    Ok(()) => tracing::info!(rev, "desired state is in service"),
                    Err(error) => tracing::error!(rev, error, "desired state could not be stored"),
                }
                let now_us = self.now_us();
                self.protocol.handle_applied(now_us, state, outcome);
            }
            Event::Rejected(rejected) => {
                tracing::error!(
                    rev = rejected.rev,
                    problem = rejected.problem,
                    "a revision was refused; the last one stays"
                );
            }
            Event::Older { rev, applied } => {
                tracing::warn!(rev, applied, "the control plane sent an older state; the one in service stays");
            }
            Event::Link(link) => tracing::info!(?link, "the way to the control plane changed"),
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        let (transport, inbox) = (self.transport.clone(), self.inbox.clone());
        let credential = self.identity.as_ref().map_or_else(String::new, |identity| identity.credential.clone());
        match transmit {
            Transmit::Abandon(id) => {
                if let Some(request) = self.requests.remove(&id) {
                    request.abort();
                }
            }
            Transmit::OpenStream { id, after } => {
                let stream = tokio::spawn(follow(transport, credential, after, id, inbox));
                self.requests.insert(id, stream.abort_handle());
            }
            Transmit::LongPoll { id, after, wait_s } => {
                let poll = tokio::spawn(async move {
                    let answer = transport.long_poll(&credential, after, wait_s).await;
                    let _ = inbox.send(Input::Answer(id, answer)).await;
                });
                self.requests.insert(id, poll.abort_handle());
            }
            Transmit::Heartbeat { id, body } => {
                tokio::spawn(async move {
                    let answer = transport.post::<_, HeartbeatAnswer>("heartbeat", Some(&credential), &body).await;
                    let _ = inbox.send(Input::Answer(id, answer.map(Reply::Heartbeat))).await;
                });
            }
            Transmit::Upload { id, batch } => {
                tokio::spawn(async move {
                    let answer = transport.post::<_, UploadAck>("upload", Some(&credential), &batch).await;
                    let _ = inbox.send(Input::Answer(id, answer.map(Reply::Upload))).await;
                });
            }
            Transmit::ReadPending { stream, max } => {
                self.ask_store(move |spool| spool.pending(stream, max), move |found| Input::Pending(stream, found));
            }
            Transmit::Acknowledge(ack) => {
                self.ask_store(
                    move |spool| spool.acknowledge(ack.stream, ack.epoch, ack.high_water),
                    move |done| Input::Acknowledged(ack, done),
                );
            }
        }
    }

    fn read_identity(&self) {
        self.ask_store(|spool| spool.identity(), |found| Input::Identity(found.ok().flatten()));
    }

    /// Asks the store off this thread.
    fn ask_store<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Spool) -> Result<T, SpoolError> + Send + 'static,
        tell: impl FnOnce(Result<T, SpoolError>) -> Input + Send + 'static,
    ) {
        let (spool, inbox) = (Arc::clone(&self.spool), self.inbox.clone());
        tokio::task::spawn_blocking(move || {
            let _ = inbox.blocking_send(tell(ask(&*spool)));
        });
    }
}

async fn follow(transport: Transport, credential: String, after: u64, id: RequestId, inbox: mpsc::Sender<Input>) {
    let mut revisions = match transport.stream(&credential, after).await {
        Ok(revisions) => revisions,
        Err(trouble) => {
            let _ = inbox.send(Input::Answer(id, Err(trouble))).await;
            return;
        }
    };
    if inbox.send(Input::Answer(id, Ok(Reply::StreamOpened))).await.is_err() {
        return;
    }
    loop {
        let input = match revisions.next().await {
            Ok(Some(revision)) => Input::Stream(id, revision),
            Ok(None) => Input::StreamEnd(
                id,
                Trouble { detail: "the control plane ended the stream".to_owned(), ..Trouble::default() },
            ),
            Err(trouble) => Input::StreamEnd(id, trouble),
        };
        let last = matches!(input, Input::StreamEnd(..));
        if inbox.send(input).await.is_err() || last {
            return;
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
