//! The protocol without I/O: what to ask next, what an answer means, when to wake up.
//!
//! Times are microseconds of a monotonic clock that the caller chooses. After each `handle_*` call the caller drains
//! [`Protocol::poll_event`] and [`Protocol::poll_transmit`], then sleeps until [`Protocol::poll_timeout`].

use std::collections::VecDeque;
use std::sync::Arc;

use trunkline_api::Id;
use trunkline_api::object::Revision;
use trunkline_api::signature::Signed;
use trunkline_api::sync::{
    EnrolAnswer, Heartbeat, HeartbeatAnswer, MAX_UPLOAD_RECORDS, RejectedRevision, Stream, UploadAck, UploadBatch,
};

use crate::backoff::Backoff;
use crate::clock::ClockOffset;
use crate::downlink::{Downlink, Stage};
use crate::state::DesiredState;
use crate::uplink::{Found, Uplink};

/// Between heartbeats, microseconds.
const HEARTBEAT_US: u64 = 10_000_000;
/// Longest wait for the answer to one.
const HEARTBEAT_ANSWER_US: u64 = 10_000_000;

/// Names a request; an answer to a request that is not awaited any more is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the shell does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Transmit {
    /// `GET stream`; answer with [`Reply::StreamOpened`], then [`Protocol::handle_stream`] for each revision.
    OpenStream {
        /// The request.
        id: RequestId,
        /// `Last-Event-ID`; 0 asks for everything.
        after: u64,
    },
    /// Drop the stream or long poll of this request.
    Abandon(RequestId),
    /// `GET state`; answer with [`Reply::State`].
    LongPoll {
        /// The request.
        id: RequestId,
        /// The revision in service.
        after: u64,
        /// How long the server may hold it, seconds.
        wait_s: u32,
    },
    /// `POST heartbeat`; answer with [`Reply::Heartbeat`].
    Heartbeat {
        /// The request.
        id: RequestId,
        /// Its body.
        body: Heartbeat,
    },
    /// Read the oldest pending records and give them to [`Protocol::handle_pending`].
    ReadPending {
        /// The stream.
        stream: Stream,
        /// Most records.
        max: usize,
    },
    /// `POST upload`; answer with [`Reply::Upload`].
    Upload {
        /// The request.
        id: RequestId,
        /// Its body.
        batch: UploadBatch,
    },
    /// Tell the store, then [`Protocol::handle_acknowledged`].
    Acknowledge(UploadAck),
}

/// What the caller should know or do.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Store this durably, then call [`Protocol::handle_applied`]; it is in service from then on.
    Apply {
        /// The revision.
        revision: Revision,
        /// Its signed text.
        signed: Signed,
        /// The state after it.
        state: Arc<DesiredState>,
    },
    /// A revision was refused; the one in service stays.
    Rejected(RejectedRevision),
    /// The whole state came with a lower number than the one in service, which stays: the control plane's own store
    /// may have gone back in time.
    Older {
        /// Its revision.
        rev: u64,
        /// The one in service.
        applied: u64,
    },
    /// The way down changed.
    Link(Link),
}

/// A good answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The stream is open.
    StreamOpened,
    /// A revision, or nothing new (204).
    State(Option<Signed>),
    /// The control plane's marks.
    Upload(UploadAck),
    /// The control plane's clock.
    Heartbeat(HeartbeatAnswer),
}

/// No good answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trouble {
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// `Retry-After`, microseconds.
    pub retry_after_us: Option<u64>,
    /// What happened, for the operator.
    pub detail: String,
    /// The other side did not prove to be the control plane; nothing was said to it.
    pub untrusted: bool,
}

/// The way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// No identity yet; see `trunkline enrol`.
    Unenrolled,
    /// Asked, not answered yet.
    Connecting,
    /// Revisions arrive as they are made.
    Streaming,
    /// Revisions arrive by long poll, since streams do not get through.
    LongPolling,
    /// The control plane cannot be reached; the last known good state serves.
    BackingOff,
}

/// Why to wake up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeUp {
    /// The way down: a wait is over or an answer overdue.
    Downlink,
    /// The way up.
    Uplink,
    /// A heartbeat is due or its answer overdue.
    Heartbeat,
}

/// How the client is, for `trunkline doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// This gateway, once enrolled.
    pub gateway: Option<Id>,
    /// The way down.
    pub link: Link,
    /// Revision in service.
    pub applied_rev: u64,
    /// A revision that was refused since.
    pub rejected: Option<RejectedRevision>,
    /// Microseconds to add to the local wall clock.
    pub clock_offset_us: Option<i64>,
    /// Monotonic time of the last good answer, microseconds.
    pub last_contact_us: Option<u64>,
    /// What went wrong last on the way down, until it works again.
    pub downlink_trouble: Option<String>,
    /// What went wrong last on the way up, until it works again.
    pub uplink_trouble: Option<String>,
    /// Records acknowledged since the start, `usage` then `events`.
    pub uploaded: [u64; 2],
}

#[derive(Debug, Default)]
struct Pulse {
    due_us: u64,
    awaited: Option<(RequestId, u64)>,
}

/// The fleet client's protocol.
#[derive(Debug)]
pub struct Protocol {
    identity: Option<EnrolAnswer>,
    state: Arc<DesiredState>,
    rejected: Option<RejectedRevision>,
    version: String,
    calls: u32,
    next_id: u64,
    downlink: Downlink,
    uplink: Uplink,
    pulse: Pulse,
    jitter: Backoff,
    clock: ClockOffset,
    last_contact_us: Option<u64>,
    link: Link,
    events: VecDeque<Event>,
    transmits: VecDeque<Transmit>,
}

impl Protocol {
    /// A client of `version` with the last known good state; `seed` is its randomness.
    #[must_use]
    pub fn new(seed: u64, version: &str, identity: Option<EnrolAnswer>, state: DesiredState, now_us: u64) -> Self {
        let mut jitter = Backoff::new(seed);
        let mut protocol = Self {
            identity: None,
            state: Arc::new(state),
            rejected: None,
            version: version.to_owned(),
            calls: 0,
            next_id: 1,
            downlink: Downlink::new(jitter.next()),
            uplink: Uplink::new(jitter.next()),
            pulse: Pulse::default(),
            jitter,
            clock: ClockOffset::default(),
            last_contact_us: None,
            link: Link::Unenrolled,
            events: VecDeque::new(),
            transmits: VecDeque::new(),
        };
        if let Some(identity) = identity {
            protocol.handle_enrolled(now_us, identity);
        }
        protocol
    }

    /// The gateway has an identity, or another one.
    pub fn handle_enrolled(&mut self, now_us: u64, identity: EnrolAnswer) {
        if self.identity.as_ref().is_some_and(|known| known.gateway != identity.gateway) {
            self.state = Arc::default();
            self.rejected = None;
        }
        if let Some(old) = self.downlink.restart(now_us) {
            self.transmits.push_back(Transmit::Abandon(old));
        }
        self.uplink.restart(now_us);
        self.identity = Some(identity);
        self.pulse = Pulse { due_us: now_us, awaited: None };
        self.advance(now_us);
    }

    /// Calls in progress, for the next heartbeat.
    pub const fn handle_calls(&mut self, calls: u32) {
        self.calls = calls;
    }

    /// There is something new to upload.
    pub fn handle_new_records(&mut self, now_us: u64) {
        self.uplink.poke(now_us);
        self.advance(now_us);
    }

    /// A revision came down the stream of request `id`, or (`None`) a sign of life.
    pub fn handle_stream(&mut self, now_us: u64, id: RequestId, revision: Option<Signed>) {
        if !self.downlink.alive(now_us, id) {
            return;
        }
        self.last_contact_us = Some(now_us);
        if let Some(signed) = revision {
            self.revision(now_us, signed);
        }
        self.advance(now_us);
    }

    /// The stream of request `id` ended.
    pub fn handle_stream_end(&mut self, now_us: u64, id: RequestId, trouble: &Trouble) {
        self.downlink.failed(now_us, id, trouble);
        self.advance(now_us);
    }

    /// The answer to a request. `wall_us` is the local wall clock.
    pub fn handle_answer(&mut self, now_us: u64, wall_us: u64, id: RequestId, answer: Result<Reply, Trouble>) {
        if answer.is_ok() {
            self.last_contact_us = Some(now_us);
        }
        match answer {
            Ok(Reply::StreamOpened) => self.downlink.opened(now_us, id),
            Ok(Reply::State(revision)) => {
                if self.downlink.polled(now_us, id)
                    && let Some(signed) = revision
                {
                    self.revision(now_us, signed);
                }
            }
            Ok(Reply::Upload(ack)) => {
                if let Some(ack) = self.uplink.answered(now_us, id, ack) {
                    self.transmits.push_back(Transmit::Acknowledge(ack));
                }
            }
            Ok(Reply::Heartbeat(answer)) => {
                if let Some((awaited, sent_us)) = self.pulse.awaited
                    && awaited == id
                {
                    self.pulse.awaited = None;
                    self.clock.sample(sent_us, now_us, wall_us, answer.server_time_us);
                }
            }
            Err(trouble) => {
                self.downlink.failed(now_us, id, &trouble);
                self.uplink.failed(now_us, id, &trouble);
                self.pulse.awaited = self.pulse.awaited.filter(|awaited| awaited.0 != id);
            }
        }
        self.advance(now_us);
    }

    /// What [`Transmit::ReadPending`] found; `Err` when the store failed.
    pub fn handle_pending(&mut self, now_us: u64, stream: Stream, batch: Result<Option<UploadBatch>, String>) {
        let id = RequestId(self.next_id);
        match self.uplink.read(now_us, stream, batch, id) {
            Found::Nothing => {}
            Found::Batch(batch) => {
                self.next_id += 1;
                self.transmits.push_back(Transmit::Upload { id, batch });
            }
            Found::Next(stream) => {
                self.transmits.push_back(Transmit::ReadPending { stream, max: MAX_UPLOAD_RECORDS });
            }
        }
        self.advance(now_us);
    }

    /// The store dropped what was acknowledged, or could not.
    pub fn handle_acknowledged(&mut self, now_us: u64, ack: UploadAck, outcome: Result<(), String>) {
        self.uplink.acknowledged(now_us, ack, outcome);
        self.advance(now_us);
    }

    /// The state of [`Event::Apply`] is durable, or could not be stored.
    pub fn handle_applied(&mut self, now_us: u64, state: Arc<DesiredState>, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                if self.rejected.as_ref().is_some_and(|rejected| rejected.rev <= state.rev) {
                    self.rejected = None;
                }
                self.state = state;
                // The control plane learns what is in service now, not in ten seconds.
                self.pulse.due_us = self.pulse.due_us.min(now_us);
            }
            Err(detail) => self.resume(now_us, detail),
        }
        self.advance(now_us);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now_us: u64) {
        self.advance(now_us);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next thing to do.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// When to call [`Self::handle_timeout`], and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(u64, WakeUp)> {
        self.identity.as_ref()?;
        let pulse = self.pulse.awaited.map_or(self.pulse.due_us, |awaited| awaited.1 + HEARTBEAT_ANSWER_US);
        let due = [
            (self.downlink.due_us(), WakeUp::Downlink),
            (self.uplink.due_us(), WakeUp::Uplink),
            (Some(pulse), WakeUp::Heartbeat),
        ];
        due.into_iter().filter_map(|(at, why)| Some((at?, why))).min_by_key(|wake| wake.0)
    }

    /// What is in service.
    #[must_use]
    pub const fn state(&self) -> &Arc<DesiredState> {
        &self.state
    }

    /// How things are.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            gateway: self.identity.as_ref().map(|identity| identity.gateway.clone()),
            link: self.link,
            applied_rev: self.state.rev,
            rejected: self.rejected.clone(),
            clock_offset_us: self.clock.offset_us(),
            last_contact_us: self.last_contact_us,
            downlink_trouble: self.downlink.trouble().map(str::to_owned),
            uplink_trouble: self.uplink.trouble().map(str::to_owned),
            uploaded: self.uplink.uploaded(),
        }
    }

    /// Verifies and validates a revision; nothing of a bad one is taken.
    fn revision(&mut self, now_us: u64, signed: Signed) {
        let Some(identity) = &self.identity else { return };
        let revision = match DesiredState::open(identity, &signed) {
            Ok(revision) => revision,
            Err(error) => {
                // The number of a text that is not to be trusted is only a hint for the operator.
                let claimed = serde_json::from_str::<serde_json::Value>(&signed.payload).ok();
                let rev = claimed.and_then(|text| text.get("rev")?.as_u64()).unwrap_or(0);
                return self.reject(now_us, rev, error.to_string());
            }
        };
        if revision.rev <= self.state.rev {
            if revision.rev < self.state.rev && revision.base.is_none() {
                self.events.push_back(Event::Older { rev: revision.rev, applied: self.state.rev });
            }
            return;
        }
        match self.state.with(&revision) {
            Ok(state) => self.events.push_back(Event::Apply { revision, signed, state: Arc::new(state) }),
            Err(crate::state::RevisionError::Base { .. }) => {
                self.resume(now_us, "a revision builds on one that is not in service here".to_owned());
            }
            Err(error) => self.reject(now_us, revision.rev, error.to_string()),
        }
    }

    fn reject(&mut self, now_us: u64, rev: u64, problem: String) {
        let rejected = RejectedRevision { rev, problem };
        if self.rejected.as_ref() != Some(&rejected) {
            self.pulse.due_us = self.pulse.due_us.min(now_us);
            self.events.push_back(Event::Rejected(rejected.clone()));
            self.rejected = Some(rejected);
        }
    }

    /// Asks again from what is in service.
    fn resume(&mut self, now_us: u64, detail: String) {
        if let Some(old) = self.downlink.fail(now_us, &Trouble { detail, ..Trouble::default() }) {
            self.transmits.push_back(Transmit::Abandon(old));
        }
    }

    fn advance(&mut self, now_us: u64) {
        if self.identity.is_none() {
            return;
        }
        if let Some(overdue) = self.downlink.overdue(now_us) {
            self.transmits.push_back(Transmit::Abandon(overdue));
        }
        let id = RequestId(self.next_id);
        if let Some(ask) = self.downlink.ask(now_us, id, self.state.rev) {
            self.next_id += 1;
            self.transmits.push_back(ask);
        }
        if let Some(stream) = self.uplink.ask(now_us) {
            self.transmits.push_back(Transmit::ReadPending { stream, max: MAX_UPLOAD_RECORDS });
        }
        self.beat(now_us);
        let link = match self.downlink.stage() {
            Stage::Waiting => Link::BackingOff,
            Stage::Opening => Link::Connecting,
            Stage::Streaming => Link::Streaming,
            Stage::Polling => Link::LongPolling,
        };
        if link != self.link {
            self.link = link;
            self.events.push_back(Event::Link(link));
        }
    }

    fn beat(&mut self, now_us: u64) {
        if self.pulse.awaited.is_some_and(|awaited| now_us >= awaited.1 + HEARTBEAT_ANSWER_US) {
            self.pulse.awaited = None;
        }
        if self.pulse.awaited.is_some() || now_us < self.pulse.due_us {
            return;
        }
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.pulse.awaited = Some((id, now_us));
        // A tenth of jitter keeps a fleet from beating in step.
        self.pulse.due_us = now_us + HEARTBEAT_US - self.jitter.next() % (HEARTBEAT_US / 10);
        let body = Heartbeat {
            applied_rev: self.state.rev,
            rejected: self.rejected.clone(),
            calls: self.calls,
            version: self.version.clone(),
        };
        self.transmits.push_back(Transmit::Heartbeat { id, body });
    }
}
