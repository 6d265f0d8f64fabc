//! The edge store: what a gateway must not forget, on one disk, whatever happens to the process.
//!
//! [`EdgeStore`] is the seam; [`DurableStore`] is the backend that ships: `redb` for state (desired state, identity,
//! the journal of open calls, marks, settings) and segmented append logs of our own for the `usage` and `events`
//! streams. Every record and every value carries a CRC32C. One thread writes, in groups, so that no caller on a
//! call's path ever waits for a disk: it submits a [`Write`] and looks at the [`Completion`] later.
//!
//! Promises, each with a test:
//!
//! * A write whose completion is `Ok` survives `kill -9` and a power cut.
//! * A closed call is in the `usage` stream exactly once, whenever the process died; a call that was open is closed
//!   by [`EdgeStore::recover`] as `gateway_crashed` with its last checkpoint.
//! * A sequence number that may have been uploaded is never given to another record.
//! * A torn tail is cut; damage elsewhere costs the damaged records only, which go up as `null` bodies so that the
//!   stream stays free of gaps; the damaged bytes are kept under `damaged/`, and an [`Alarm`] counts what was lost.
//! * A state file that cannot be opened is moved aside, the last copy restored, and desired state fetched again.
//! * A disk that is full or broken makes new calls fail with [`StoreError::Unavailable`]; what calls in progress have
//!   to write waits, in a bounded queue, and goes out when the disk works again.
//!
//! On disk: `format`, `lock`, `state.redb`, `state.copy.redb`, `reserve`, `usage/*.seg`, `events/*.seg`, `damaged/`.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod aside;
mod completion;
pub mod conformance;
mod durable;
mod error;
mod files;
mod history;
mod journal;
mod log;
mod record;
mod recovery;
mod renumbering;
mod segment;
mod state;
mod store;
mod upload;
mod writer;

pub use completion::{Completer, Completion};
pub use durable::{DurableStore, StoreOptions};
pub use error::StoreError;
pub use files::{Disk, Files, SegmentFile};
pub use history::{Position, Retired};
pub use record::{MAX_BODY_BYTES, Record, RecordFault, decode, encode};
pub use store::{Alarm, EdgeStore, Health, StoredObjects, Write};
