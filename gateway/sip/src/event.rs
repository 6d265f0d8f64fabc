//! What the endpoint tells its driver.

use std::fmt;
use std::net::SocketAddr;

use trunkline_leg::DtmfDigit;
use trunkline_sdp::redacted;

use crate::admission::TrunkToken;
use crate::call::{CallHandle, ReofferHandle};
use crate::change::Reoffered;
use crate::client::OutgoingEvent;
use crate::keep::TrunkNews;
use crate::transport::Transport;

/// Names a call within one endpoint, for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(pub u64);

/// What happened. After [`SipEvent::Cancelled`], [`SipEvent::Bye`], [`SipEvent::NoAck`] or [`SipEvent::Failed`] the
/// call is over and no further event names it.
#[derive(Debug)]
pub enum SipEvent {
    /// A new call; 100 Trying has been sent. Answer with [`CallHandle::accept`] or [`CallHandle::reject`].
    Invite(Box<IncomingInvite>),
    /// The caller gave up before the answer (487 has been sent).
    Cancelled {
        /// Which call.
        call: CallKey,
    },
    /// The answer, or the answer to a re-INVITE, was acknowledged.
    Acked {
        /// Which call.
        call: CallKey,
        /// The ACK's SDP: the answer to our offer when the INVITE had none (RFC 3261 13.2.1).
        answer: Option<String>,
    },
    /// The far end hung up (200 has been sent).
    Bye {
        /// Which call.
        call: CallKey,
        /// Its Reason header (RFC 3326).
        reason: Option<String>,
    },
    /// The answer was not acknowledged for 64 T1; BYE has been sent (RFC 3261 13.3.1.4).
    NoAck {
        /// Which call.
        call: CallKey,
    },
    /// A key was pressed at the far end, told by INFO.
    Digit {
        /// Which call.
        call: CallKey,
        /// Which key.
        digit: DtmfDigit,
    },
    /// The far end wants to change the session (re-INVITE, or UPDATE with an offer).
    ReInvite(Box<Reoffer>),
    /// What came of an offer of ours, of [`CallHandle::reoffer`].
    Reoffered {
        /// Which call.
        call: CallKey,
        /// What.
        outcome: Reoffered,
    },
    /// How far the far end has come that was asked to dial: 100 when it will try, 101 to 199 when it rings, 2xx when it
    /// speaks with whom it dialled, 300 to 699 when it does not, and when it would not try.
    Referral {
        /// Which call.
        call: CallKey,
        /// The SIP status.
        status: u16,
    },
    /// News of a call that we place.
    Outgoing {
        /// Which call.
        call: CallKey,
        /// What.
        news: Box<OutgoingEvent>,
    },
    /// News of a trunk that is looked after.
    Trunk {
        /// Which trunk.
        trunk: TrunkToken,
        /// What.
        news: Box<TrunkNews>,
    },
    /// The call ended because of the endpoint: it rang too long (480), nobody acknowledged that it rings (504), nobody
    /// refreshed its session (408), or an offer of ours found nobody (408) or nobody who knows the call (481).
    Failed {
        /// Which call.
        call: CallKey,
        /// The SIP status that was or would have been sent.
        status: u16,
    },
}

/// A new call. The values are the caller's own: not to be logged above DEBUG.
pub struct IncomingInvite {
    /// What to answer with.
    pub handle: CallHandle,
    /// Where it came from.
    pub source: SocketAddr,
    /// What it came over.
    pub transport: Transport,
    /// The trunk that address belongs to.
    pub trunk: TrunkToken,
    /// The Call-ID header.
    pub call_id: String,
    /// From as it was written.
    pub from: String,
    /// User part of From's URI (for `tel:` the number).
    pub from_user: String,
    /// Display name of From.
    pub from_display: Option<String>,
    /// User part of the request-URI: what was dialled.
    pub to_user: String,
    /// To, Date, P-Asserted-Identity, Remote-Party-ID, Privacy, Diversion, User-to-User, User-Agent, Identity and `X-`
    /// headers, as received; at most 32.
    pub headers: Vec<(String, String)>,
    /// Max-Forwards: how often it may still be passed on; 70 where it says nothing.
    pub max_forwards: u8,
    /// The SDP offer, `None` when the INVITE had none and the answer must carry an offer.
    pub offer: Option<String>,
}

/// A re-INVITE, or an UPDATE with an offer.
pub struct Reoffer {
    /// Which call.
    pub call: CallKey,
    /// What to answer with; dropped unanswered it answers 500.
    pub handle: ReofferHandle,
    /// The new offer, `None` when the answer must carry one.
    pub offer: Option<String>,
}

// An offer may hold the key that the call is encrypted with, and whatever is printed may end up in a log.

impl fmt::Debug for IncomingInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingInvite")
            .field("handle", &self.handle)
            .field("source", &self.source)
            .field("trunk", &self.trunk)
            .field("call_id", &self.call_id)
            .field("from_user", &self.from_user)
            .field("to_user", &self.to_user)
            .field("offer", &self.offer.as_deref().map(redacted))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reoffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offer = self.offer.as_deref().map(redacted);
        f.debug_struct("Reoffer")
            .field("call", &self.call)
            .field("handle", &self.handle)
            .field("offer", &offer)
            .finish()
    }
}
