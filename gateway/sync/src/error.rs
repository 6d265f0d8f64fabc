//! Why the fleet client did not start or the gateway could not join.

use trunkline_egress::EgressError;

use crate::SpoolError;

/// Why the fleet client did not start or the gateway could not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The URL cannot be used.
    #[error("`{url}` is not the URL of a control plane: {why}; write for example https://control.example.com:7001")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Plain HTTP would leave this machine.
    #[error(
        "`{url}` is plain HTTP to another machine, which would show the credential to everybody on the way; use https, or \
         plain HTTP only to a control plane on this machine's loopback"
    )]
    PlainHttp {
        /// As configured.
        url: String,
    },
    /// The outgoing client could not be built or reach the control plane.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The store failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The control plane refused the enrolment.
    #[error("the control plane refused the enrolment (HTTP {status}: {detail}); ask for a new token and use it once")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said, shortened.
        detail: String,
    },
    /// The control plane did not answer.
    #[error("the control plane cannot be reached: {0}")]
    Unreachable(String),
    /// The control plane's answer makes no sense.
    #[error("the control plane's answer was not understood ({0}); check that the URL is its sync port")]
    Protocol(String),
}
