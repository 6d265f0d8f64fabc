//! The fleet client: desired state comes down, usage and events go up, and a heartbeat says how things are.
//!
//! [`Protocol`] is the whole protocol without I/O: time and randomness are arguments, requests come out of
//! [`Protocol::poll_transmit`], answers go in. [`SyncClient`] is the thin shell that carries them over
//! `trunkline-egress` on port 7001. What has to be durable is behind [`Spool`], which the gateway joins to its edge
//! store.
//!
//! ```text
//!            enrolled              answered               revision
//! Unenrolled ---------> Connecting ---------> Streaming <----------> (applied or rejected)
//!                         ^    |                  | silence, end, error
//!                         |    | two failures     v
//!                         +----|------------- BackingOff (1-60 s, jittered; Retry-After counts)
//!                         |    v                  ^
//!                         +-- LongPolling --------+
//! ```
//!
//! A revision is verified, parsed and validated whole before anything of it is in service; a bad one is reported in
//! the heartbeat and the last known good one stays. Uploads are at-least-once; `(gateway, epoch, stream, seq)` makes
//! their effect exactly-once.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod backoff;
mod clock;
mod downlink;
mod enrol;
mod error;
mod protocol;
mod shell;
mod spool;
mod state;
mod transport;
mod uplink;
mod url;

pub use clock::ClockOffset;
pub use enrol::enrol;
pub use error::SyncError;
pub use protocol::{Event, Link, Protocol, Reply, RequestId, Status, Transmit, Trouble, WakeUp};
pub use shell::{SyncClient, SyncConfig, SyncHandle};
pub use spool::{Spool, SpoolError};
pub use state::{DesiredState, RevisionError};
pub use url::BaseUrl;
