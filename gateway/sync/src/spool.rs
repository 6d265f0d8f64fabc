//! What the fleet client needs to be durable.

use trunkline_api::object::{Object, Revision};
use trunkline_api::signature::Signed;
use trunkline_api::sync::{EnrolAnswer, Stream, UploadBatch};

/// The durable side failed; the client tries again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the edge store failed: {0}")]
pub struct SpoolError(pub String);

/// What has to survive the process. Every method may block on a disk; the shell calls them off its own thread.
pub trait Spool: Send + Sync + 'static {
    /// Who this gateway is, once enrolled.
    fn identity(&self) -> Result<Option<EnrolAnswer>, SpoolError>;

    /// Stores who this gateway is.
    fn put_identity(&self, identity: &EnrolAnswer) -> Result<(), SpoolError>;

    /// The last known good revision number and objects; number 0 asks for everything anew.
    fn objects(&self) -> Result<(u64, Vec<Object>), SpoolError>;

    /// Applies a revision durably, whole or not at all.
    fn apply_revision(&self, revision: &Revision, signed: &Signed) -> Result<(), SpoolError>;

    /// The oldest records not acknowledged, at most `max`, of one epoch, gap-free.
    fn pending(&self, stream: Stream, max: usize) -> Result<Option<UploadBatch>, SpoolError>;

    /// Drops records up to and including `high_water`.
    fn acknowledge(&self, stream: Stream, epoch: u64, high_water: u64) -> Result<(), SpoolError>;
}
