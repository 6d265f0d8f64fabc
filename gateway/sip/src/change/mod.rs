//! Changes of a session that we ask for: a re-INVITE with an offer of ours (RFC 3261 14.1), as for hold and resume. What the
//! far end refuses leaves the session as it was; one that knows the call no more, or does not answer at all, has ended it.

mod attempt;
mod pause;
mod shell;

pub(crate) use shell::begin;

/// What came of an offer of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reoffered {
    /// It was accepted, and that was acknowledged.
    Accepted {
        /// The answer to the offer; `None` from a far end that forgot it. Keys may stand in it: not to be logged.
        answer: Option<String>,
    },
    /// It was refused; the session is as it was.
    Refused {
        /// Status, 300 to 699.
        status: u16,
        /// After how many milliseconds it may be tried again, with an offer made anew: both had offered at once, or the far
        /// end said when (RFC 3261 14.1). Nothing where trying again would change nothing.
        again_ms: Option<u64>,
    },
}
