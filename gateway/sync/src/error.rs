//! Why the fleet client did not start or the gateway could not join.

use trunkline_api::enrolment::FingerprintError;
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
    /// The token names a key, and a plain URL has none to show.
    #[error("the token is for a control plane that speaks TLS, and `{url}` is plain HTTP; write https:// in the URL")]
    NotTls {
        /// As given.
        url: String,
    },
    /// The token was not copied whole.
    #[error("the token cannot be used: {0}")]
    Token(FingerprintError),
    /// Whoever answers is not the control plane of the token.
    #[error(
        "{0}; check the URL, and that the token was made by this control plane (`trunkline-control-plane enrol-token` \
         makes another)"
    )]
    Untrusted(String),
    /// The outgoing client could not be built or reach the control plane.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The store failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The control plane refused the enrolment.
    #[error("the control plane refused the enrolment: {detail}")]
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
