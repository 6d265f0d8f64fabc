//! The seam between the gateway and its disk.

use std::sync::Arc;

use trunkline_api::Event;
use trunkline_api::object::{Object, Revision};
use trunkline_api::signature::Signed;
use trunkline_api::sync::{EnrolAnswer, Stream, UploadBatch};
use trunkline_api::usage::{CallRecord, RenderingRecord};

use crate::{Completion, Position, Retired, StoreError};

/// What is written: of a call, and what was used in none.
#[derive(Debug, Clone)]
pub enum Write {
    /// Journals the call as open; durable before the answer goes out.
    OpenCall(Box<CallRecord>),
    /// Replaces the journalled record of an open call, every 30 s.
    Checkpoint {
        /// Usage so far.
        record: Box<CallRecord>,
        /// Now, microseconds since the Unix epoch; the call's end if the gateway crashes before the next one.
        at_us: u64,
    },
    /// Appends the closed record to `usage` and takes the call out of the journal.
    CloseCall(Box<CallRecord>),
    /// Appends to `usage` what was used in no call.
    Used(Box<RenderingRecord>),
    /// Appends to `events`.
    Event(Arc<Event>),
}

/// The last known good objects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredObjects {
    /// Revision they belong to; 0 when there was none or when everything should be fetched again.
    pub rev: u64,
    /// The objects, ordered by kind and identifier.
    pub objects: Vec<Object>,
}

/// Something the operator should know about the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Stable name: `state_restored`, `state_lost`, `value_damaged`, `log_damaged`, `log_tail_cut`, `write_failed`.
    pub name: &'static str,
    /// What happened, with file names.
    pub detail: String,
    /// Records known to be lost.
    pub lost_records: u64,
    /// Bytes moved aside or skipped.
    pub bytes: u64,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Whether new calls may be taken.
    pub available: bool,
    /// Why not.
    pub detail: Option<String>,
    /// Epoch of new records on disk; [`EdgeStore::pending`] says in which one they go up.
    pub epoch: u64,
    /// Records not acknowledged yet, `usage` then `events`.
    pub pending: [u64; 2],
    /// Bytes of the segments on disk.
    pub log_bytes: u64,
    /// Calls in the journal.
    pub open_calls: usize,
    /// What happened since the store was opened, at most 64, oldest first.
    pub alarms: Vec<Alarm>,
}

/// A durable store. Reading methods and the blocking conveniences may wait for the disk; `submit` never does.
pub trait EdgeStore: Send + Sync {
    /// Queues a write and returns at once. [`StoreError::Busy`] when the queue is full; [`StoreError::Unavailable`]
    /// for a new call while the disk does not work.
    fn submit(&self, write: Write) -> Result<Completion, StoreError>;

    /// Closes the calls that an earlier process left open: `end = failed`, `failure = gateway_crashed`, `ended_us` =
    /// their last checkpoint, and a `call.ended` event with the next `seq` of the call unless it has one. Exactly
    /// once, however often it is called or interrupted. Returns the closed records.
    fn recover(&self) -> Result<Vec<CallRecord>, StoreError>;

    /// Calls in the journal, as of their last checkpoint.
    fn open_calls(&self) -> Result<Vec<CallRecord>, StoreError>;

    /// The oldest durable records that are not acknowledged, at most `max` of one epoch and 1 MiB; `None` when there
    /// are none. Records lost to disk damage are there with a `null` body, so that `seq` has no gaps.
    fn pending(&self, stream: Stream, max: usize) -> Result<Option<UploadBatch>, StoreError>;

    /// Drops records of `epoch` up to and including `high_water`. Repeated and older marks change nothing.
    fn acknowledge(&self, stream: Stream, epoch: u64, high_water: u64) -> Result<(), StoreError>;

    /// Applies a revision to the stored objects, whole or not at all, and keeps its signed text (the last 64).
    fn apply_revision(&self, revision: &Revision, signed: &Signed) -> Result<(), StoreError>;

    /// The last known good objects.
    fn objects(&self) -> Result<StoredObjects, StoreError>;

    /// Signed texts of the last applied revisions, oldest first.
    fn revisions(&self) -> Result<Vec<Signed>, StoreError>;

    /// Who this gateway is, once enrolled.
    fn identity(&self) -> Result<Option<EnrolAnswer>, StoreError>;

    /// Stores who this gateway is. Another gateway's objects are dropped; records that are not acknowledged go up as
    /// this gateway's, in epochs that begin with record 1.
    fn put_identity(&self, identity: &EnrolAnswer) -> Result<(), StoreError>;

    /// A small value kept for the gateway under `key`.
    fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores a small value, at most 64 KiB.
    fn put_setting(&self, key: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Calls `visit` with the durable records that are still on disk, oldest first and behind `after`, until it says
    /// false. With a control plane these are the ones it has not acknowledged, and a few older ones.
    fn history(
        &self,
        stream: Stream,
        after: Option<Position>,
        visit: &mut dyn FnMut(Position, &[u8]) -> bool,
    ) -> Result<(), StoreError>;

    /// Without a control plane: gives up the oldest records until the stream takes about `keep_bytes` on disk, usage
    /// into [`EdgeStore::retired`]; how many went. What open calls need stays, and so does everything once this gateway
    /// has an identity.
    fn retire(&self, stream: Stream, keep_bytes: u64) -> Result<u64, StoreError>;

    /// The sums of usage records that were given up.
    fn retired(&self) -> Result<Retired, StoreError>;

    /// How the store is; cheap.
    fn health(&self) -> Health;

    /// Blocking [`Write::OpenCall`].
    fn open_call(&self, record: &CallRecord) -> Result<(), StoreError> {
        self.submit(Write::OpenCall(Box::new(record.clone())))?.wait()
    }

    /// Blocking [`Write::Checkpoint`].
    fn checkpoint(&self, record: &CallRecord, at_us: u64) -> Result<(), StoreError> {
        self.submit(Write::Checkpoint { record: Box::new(record.clone()), at_us })?.wait()
    }

    /// Blocking [`Write::CloseCall`].
    fn close_call(&self, record: CallRecord) -> Result<(), StoreError> {
        self.submit(Write::CloseCall(Box::new(record)))?.wait()
    }

    /// [`Write::Event`] whose completion nobody waits for: it is durable before any later close is.
    fn append_event(&self, event: Event) -> Result<(), StoreError> {
        self.submit(Write::Event(Arc::new(event))).map(drop)
    }
}
