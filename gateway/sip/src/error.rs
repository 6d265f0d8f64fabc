//! What can go wrong at the endpoint's border.

use std::io::ErrorKind;
use std::net::SocketAddr;

/// Why the endpoint did not start.
#[derive(Debug, thiserror::Error)]
pub enum SipError {
    /// The address could not be bound.
    #[error("cannot listen for SIP on {address}: {why}; {}", what_to_do(.why))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        why: std::io::Error,
    },
    /// A certificate, a key or an authority cannot be used.
    #[error("sip.tls: {path}: {why}; correct the file or the setting that names it", path = .path.display())]
    Tls {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        why: String,
    },
    /// Its threads could not be started.
    #[error("cannot start the SIP threads: {0}; raise the limit on threads")]
    Threads(std::io::Error),
    /// A setting makes no sense.
    #[error("{setting}: {expected}")]
    Setting {
        /// Its key.
        setting: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// No randomness for tags and branches.
    #[error("the system gave no random bytes; SIP cannot be served without them")]
    Random,
}

/// What an operator does about an address that cannot be bound.
fn what_to_do(why: &std::io::Error) -> &'static str {
    match why.kind() {
        ErrorKind::AddrInUse => "end whoever listens there (`ss -lunp`) or change `sip.listen`",
        ErrorKind::AddrNotAvailable => "set `sip.listen` to an address of this host",
        ErrorKind::PermissionDenied => {
            "choose a port from 1024 on in `sip.listen`, or give the service CAP_NET_BIND_SERVICE"
        }
        _ => "change `sip.listen`",
    }
}

/// Why a command on a call had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The call is over: cancelled, refused, hung up.
    #[error("the call is over")]
    Over,
    /// The call was answered already.
    #[error("the call was answered already")]
    Answered,
    /// The call was not answered yet.
    #[error("the call was not answered yet")]
    NotAnswered,
    /// The far end was asked to dial already.
    #[error("the far end was asked to dial already")]
    Referring,
    /// The session is being changed already, by either side.
    #[error("the session is being changed already; try again in a moment")]
    Changing,
    /// What is to be dialled is no URI that can be sent.
    #[error("a `sip:`, `sips:` or `tel:` URI is expected, without spaces, quotes and angle brackets")]
    Uri,
    /// The SIP status does not refuse anything; 300-699 do.
    #[error("a refusal's status is in 300..=699")]
    Status,
}
