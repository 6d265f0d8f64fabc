//! Desired state: what is in service, and the rules by which a revision may replace it.

use std::collections::BTreeMap;

use trunkline_api::Id;
use trunkline_api::object::{Kind, Object, ObjectError, REVISION_FORMAT, Revision};
use trunkline_api::signature::{SignatureError, Signed, verify};
use trunkline_api::sync::EnrolAnswer;

/// Why a revision was refused; what was in service stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// Not signed as it must be.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Not a revision.
    #[error("the signed text is not a revision: {0}")]
    Shape(String),
    /// Written by a later control plane.
    #[error("format {found} is later than this gateway's {REVISION_FORMAT}; upgrade the gateway")]
    Format {
        /// The format found.
        found: u32,
    },
    /// For another gateway.
    #[error("the revision is for gateway {0}")]
    OtherGateway(Id),
    /// Builds on a revision that is not in service here.
    #[error("the revision builds on {base}, but {applied} is in service; a new start is requested")]
    Base {
        /// Its base.
        base: u64,
        /// What is in service.
        applied: u64,
    },
    /// An object is not valid.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// The objects in service. A standalone gateway makes one of its local objects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DesiredState {
    /// Revision; 0 before the first.
    pub rev: u64,
    objects: BTreeMap<(Kind, Id), Object>,
}

impl DesiredState {
    /// A state of these objects; later ones replace earlier ones of the same kind and identifier.
    pub fn new(rev: u64, objects: impl IntoIterator<Item = Object>) -> Self {
        let objects = objects.into_iter().map(|object| ((object.kind, object.id.clone()), object)).collect();
        Self { rev, objects }
    }

    /// The objects, ordered by kind and identifier.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// The objects of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects.values().filter(move |object| object.kind == kind)
    }

    /// An object.
    #[must_use]
    pub fn get(&self, kind: Kind, id: &Id) -> Option<&Object> {
        self.objects.get(&(kind, id.clone()))
    }

    /// Verifies and parses what came down the stream.
    pub fn open(identity: &EnrolAnswer, signed: &Signed) -> Result<Revision, RevisionError> {
        let text = verify(signed, &identity.trusted_keys)?;
        let revision: Revision = serde_json::from_str(text).map_err(|error| RevisionError::Shape(error.to_string()))?;
        if revision.format > REVISION_FORMAT {
            return Err(RevisionError::Format { found: revision.format });
        }
        if revision.gateway != identity.gateway {
            return Err(RevisionError::OtherGateway(revision.gateway));
        }
        Ok(revision)
    }

    /// The state after a revision, every object of it validated. A delta may build on this state or an older one,
    /// since it carries each changed object whole.
    pub fn with(&self, revision: &Revision) -> Result<Self, RevisionError> {
        if let Some(base) = revision.base
            && base > self.rev
        {
            return Err(RevisionError::Base { base, applied: self.rev });
        }
        for object in &revision.upserts {
            object.typed()?;
        }
        let mut objects = if revision.base.is_some() { self.objects.clone() } else { BTreeMap::new() };
        for gone in &revision.removes {
            objects.remove(&(gone.kind, gone.id.clone()));
        }
        for object in &revision.upserts {
            objects.insert((object.kind, object.id.clone()), object.clone());
        }
        Ok(Self { rev: revision.rev, objects })
    }

    /// As stored by an earlier build: objects this build cannot serve are left out and named.
    pub fn restored(rev: u64, objects: Vec<Object>) -> (Self, Vec<ObjectError>) {
        let mut refused = Vec::new();
        let good: Vec<Object> = objects
            .into_iter()
            .filter(|object| match object.typed() {
                Ok(_) => true,
                Err(error) => {
                    refused.push(error);
                    false
                }
            })
            .collect();
        // With something left out, everything is fetched again.
        let rev = if refused.is_empty() { rev } else { 0 };
        (Self::new(rev, good), refused)
    }
}
