//! What we ask of others: the calling side of a call (RFC 3261 8.1, 9.1, 13.2, RFC 3262, RFC 6026), and single requests
//! such as OPTIONS and REGISTER.
//!
//! The machines own their transactions, timers included, and no socket and no clock: what came goes in with its time,
//! what is to be sent comes out. So a forked answer that crosses a CANCEL is a test on virtual time. Their shells send,
//! sleep, and hand them the responses whose branch is theirs.

mod answer;
mod asking;
mod attempt;
mod awaiting;
mod call;
mod fork;
mod outgoing;
mod request;
mod shell;

pub use answer::Answer;
pub use call::{ClientCall, ClientEvent, Ourselves, Refused, Transmit};
pub use outgoing::{DialError, Outgoing};
pub use shell::{DialHandle, OutgoingEvent};

pub(crate) use asking::{Asked, Asking};
pub(crate) use awaiting::Awaiting;
pub(crate) use shell::dial;
