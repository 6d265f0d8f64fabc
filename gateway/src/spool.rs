//! Joins the fleet client to the edge store: adapters do not see each other, the binary introduces them.

use std::sync::Arc;

use trunkline_api::object::{Object, Revision};
use trunkline_api::signature::Signed;
use trunkline_api::sync::{EnrolAnswer, Stream, UploadBatch};
use trunkline_edge_store::{EdgeStore, StoreError};
use trunkline_sync::{Spool, SpoolError};

/// The edge store as the fleet client sees it.
pub(crate) struct StoreSpool(pub(crate) Arc<dyn EdgeStore>);

fn failed(error: StoreError) -> SpoolError {
    SpoolError(error.to_string())
}

impl Spool for StoreSpool {
    fn identity(&self) -> Result<Option<EnrolAnswer>, SpoolError> {
        self.0.identity().map_err(failed)
    }

    fn put_identity(&self, identity: &EnrolAnswer) -> Result<(), SpoolError> {
        self.0.put_identity(identity).map_err(failed)
    }

    fn objects(&self) -> Result<(u64, Vec<Object>), SpoolError> {
        self.0.objects().map(|stored| (stored.rev, stored.objects)).map_err(failed)
    }

    fn apply_revision(&self, revision: &Revision, signed: &Signed) -> Result<(), SpoolError> {
        self.0.apply_revision(revision, signed).map_err(failed)
    }

    fn pending(&self, stream: Stream, max: usize) -> Result<Option<UploadBatch>, SpoolError> {
        self.0.pending(stream, max).map_err(failed)
    }

    fn acknowledge(&self, stream: Stream, epoch: u64, high_water: u64) -> Result<(), SpoolError> {
        self.0.acknowledge(stream, epoch, high_water).map_err(failed)
    }
}
