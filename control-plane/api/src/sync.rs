//! What gateways and control plane say to each other on the sync port (7001).
//!
//! | Route | Does |
//! |---|---|
//! | `POST /sync/v1/enrol` | one-time token -> gateway identity |
//! | `GET /sync/v1/stream` | SSE: event `revision`, id = revision number, data = [`Signed`] of a `Revision` |
//! | `GET /sync/v1/state?after=REV&wait=SECONDS` | the same by long poll; 204 when nothing new |
//! | `POST /sync/v1/upload` | [`UploadBatch`] -> [`UploadAck`] |
//! | `POST /sync/v1/heartbeat` | [`Heartbeat`] -> [`HeartbeatAnswer`] |
//!
//! Everything but `enrol` carries `Authorization: Bearer <credential>`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::enrolment::Fingerprint;
use crate::id::Id;
use crate::signature::{Signed, TrustedKey};

/// Most records of one upload.
pub const MAX_UPLOAD_RECORDS: usize = 500;

/// A gateway asks to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The one-time token's secret.
    pub token: String,
    /// A name for the operator, 1..=100 characters.
    pub name: String,
    /// The gateway's version.
    pub version: String,
}

/// The control plane's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EnrolAnswer {
    /// The gateway's identifier.
    #[schemars(with = "String")]
    pub gateway: Id,
    /// Bearer credential for every later request; shown once.
    pub credential: String,
    /// Keys that sign desired state.
    pub trusted_keys: Vec<TrustedKey>,
    /// The control plane's authority, kept with the identity. The gateway has it from its enrolment token; what a
    /// control plane sends here is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<Fingerprint>,
}

/// The streams a gateway uploads, each with a high-water mark of its own; `usage` goes first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Closed call records, and what was used in no call.
    Usage,
    /// Timeline events.
    Events,
}

impl Stream {
    /// Every stream, in upload order.
    pub const ALL: [Self; 2] = [Self::Usage, Self::Events];

    /// Its name on the wire and on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Events => "events",
        }
    }
}

/// One record of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct StreamRecord {
    /// Sequence number within `(gateway, epoch, stream)`, from 1, gap-free.
    pub seq: u64,
    /// A `CallRecord` or `RenderingRecord` on `usage`, an `Event` on `events`. `null` stands for a record that the gateway lost to disk
    /// damage: it takes its place in the sequence, counts for nothing, and never replaces or contradicts a record
    /// that arrived before under the same number.
    #[schema(value_type = Object)]
    pub body: Value,
}

impl StreamRecord {
    /// Whether it only stands for a record that the gateway lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.body.is_null()
    }
}

/// Records going up, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct UploadBatch {
    /// The store's epoch: random at its creation, so that a restored disk cannot reuse numbers.
    pub epoch: u64,
    /// Which stream.
    pub stream: Stream,
    /// At most [`MAX_UPLOAD_RECORDS`], `seq` ascending without gaps.
    pub records: Vec<StreamRecord>,
}

/// What the control plane has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct UploadAck {
    /// The epoch.
    pub epoch: u64,
    /// Which stream.
    pub stream: Stream,
    /// Every record up to this one is durable; the gateway may drop them. 0 when there is none.
    pub high_water: u64,
}

/// A gateway reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct Heartbeat {
    /// Revision in service; 0 before the first.
    pub applied_rev: u64,
    /// A revision it refused, and why; the one in service stays.
    pub rejected: Option<RejectedRevision>,
    /// Calls in progress.
    pub calls: u32,
    /// Its version.
    pub version: String,
}

/// A revision that was refused whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct RejectedRevision {
    /// The revision.
    pub rev: u64,
    /// Why.
    pub problem: String,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct HeartbeatAnswer {
    /// The control plane's clock, microseconds since the Unix epoch.
    pub server_time_us: u64,
}

/// A revision as streamed.
pub type SignedRevision = Signed;
