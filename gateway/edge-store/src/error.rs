//! Why the store refused; each message says what the operator can do.

use std::path::PathBuf;

use trunkline_api::Failure;
use trunkline_api::sync::Stream;

/// Why the store refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full or broken, or the store is closing.
    #[error("the edge store cannot write ({detail}); new calls are refused until the state disk has room and works")]
    Unavailable {
        /// What the operating system said.
        detail: String,
    },
    /// Too many writes wait already.
    #[error("{waiting} writes wait for the state disk; try again, and look for a slow disk if this lasts")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// A record is larger than the store takes.
    #[error("a record of {bytes} bytes is over the limit of {limit}; shorten what the agent puts into one event")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The call was closed before.
    #[error("call {call} is closed already; its usage record is written once only")]
    AlreadyClosed {
        /// The call.
        call: String,
    },
    /// The call is not open.
    #[error("call {call} is not open; open it before a checkpoint")]
    NotOpen {
        /// The call.
        call: String,
    },
    /// Another process has the store open.
    #[error("{path} is in use by another gateway process; stop it or configure another state folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was written by a version this build does not read.
    #[error("{path} has store format `{found}`, this build reads format {known}; run the version that wrote it")]
    Format {
        /// The folder.
        path: PathBuf,
        /// What the folder says.
        found: String,
        /// What this build reads.
        known: u32,
    },
    /// The folder cannot be used at all.
    #[error("cannot use the state folder {path}: {detail}; check its owner, mode and disk")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        detail: String,
    },
    /// A stored value failed its checksum.
    #[error("the stored {what} is damaged; it was left out and will be fetched again")]
    Damaged {
        /// Which value.
        what: String,
    },
    /// The control plane acknowledged what was never sent.
    #[error(
        "the control plane has {stream} records of epoch {epoch} up to {high_water}, but only {offered} were sent: this \
         state folder is a copy or an old backup; enrol this gateway anew with an empty state folder",
        stream = stream.as_str()
    )]
    BeyondOffered {
        /// The stream.
        stream: Stream,
        /// The epoch.
        epoch: u64,
        /// The acknowledged mark.
        high_water: u64,
        /// The highest sequence number that was handed out for upload.
        offered: u64,
    },
}

impl StoreError {
    /// The failure this is to a call.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        match self {
            Self::Unavailable { .. } | Self::Busy { .. } | Self::InUse { .. } | Self::Folder { .. } => {
                Failure::StoreUnavailable
            }
            _ => Failure::Internal,
        }
    }

    pub(crate) fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::Unavailable { detail: error.to_string() }
    }

    pub(crate) fn folder(path: &std::path::Path, error: impl std::fmt::Display) -> Self {
        Self::Folder { path: path.to_path_buf(), detail: error.to_string() }
    }
}
