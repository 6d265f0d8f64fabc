//! The SIP side of a call, as far as the driver commands it: the endpoint's handle, or a test's.

use std::net::IpAddr;
use std::sync::Arc;

use trunkline_api::Id;
use trunkline_sip::{ByeReason, CallHandle, CallKey, CommandError, IncomingInvite, Refusal};

use crate::offer::Offer;

/// Commands on a call's dialog; none of them blocks.
pub(crate) trait Line: Send + Sync {
    /// Tells the caller that the call rings: 180, or 183 with a description when sound begins already.
    fn ring(&self, sdp: Option<String>) -> Result<(), CommandError>;

    /// Answers with 200 and a description.
    fn accept(&self, sdp: String) -> Result<(), CommandError>;

    /// Refuses the call.
    fn reject(&self, refusal: &Refusal) -> Result<(), CommandError>;

    /// Hangs up.
    fn bye(&self, reason: &ByeReason) -> Result<(), CommandError>;

    /// Asks the far end to dial.
    fn refer(&self, _to: &str) -> Result<(), CommandError> {
        Err(CommandError::Over)
    }

    /// Offers the far end another session. What comes of it is told by [`trunkline_sip::SipEvent::Reoffered`].
    fn reoffer(&self, _offer: String) -> Result<(), CommandError> {
        Err(CommandError::Over)
    }

    /// What whoever takes this call over is to dial; `None` where there is no signalling.
    fn replacing(&self) -> Option<String> {
        None
    }

    /// Where its signalling comes from; `None` where there is none.
    fn source(&self) -> Option<IpAddr> {
        None
    }

    /// The URI that the far end says it is reached by.
    fn remote_target(&self) -> Option<String> {
        None
    }
}

/// The line of somebody who has answered, until a call takes it: whoever answers to nobody, since the call that wanted them is
/// over, is hung up.
pub(crate) struct Answering(Option<Arc<dyn Line>>);

impl Answering {
    /// Somebody has answered.
    pub(crate) fn new(line: Arc<dyn Line>) -> Self {
        Self(Some(line))
    }

    /// A call takes it, and is to hang it up.
    pub(crate) fn take(mut self) -> Option<Arc<dyn Line>> {
        self.0.take()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(line) = self.0.take()
            && let Err(error) = line.bye(&ByeReason::normal())
        {
            tracing::debug!(%error, "whoever had answered to nobody was gone");
        }
    }
}

impl Line for CallHandle {
    fn ring(&self, sdp: Option<String>) -> Result<(), CommandError> {
        self.ring(sdp)
    }

    fn accept(&self, sdp: String) -> Result<(), CommandError> {
        self.accept(sdp)
    }

    fn reject(&self, refusal: &Refusal) -> Result<(), CommandError> {
        self.reject(refusal)
    }

    fn bye(&self, reason: &ByeReason) -> Result<(), CommandError> {
        self.bye(reason)
    }

    fn refer(&self, to: &str) -> Result<(), CommandError> {
        self.refer(to)
    }

    fn reoffer(&self, offer: String) -> Result<(), CommandError> {
        self.reoffer(offer)
    }

    fn replacing(&self) -> Option<String> {
        Some(self.replacing())
    }

    fn source(&self) -> Option<IpAddr> {
        Some(self.source().ip())
    }

    fn remote_target(&self) -> Option<String> {
        Some(self.remote_target())
    }
}

/// A call that wants to begin.
#[derive(Clone)]
pub(crate) struct Invite {
    /// Its name in what follows.
    pub(crate) key: CallKey,
    /// What to answer with.
    pub(crate) line: Arc<dyn Line>,
    /// Where it comes from.
    pub(crate) source: IpAddr,
    /// The trunk that its message was let in for; found by its address where nobody said.
    pub(crate) trunk: Option<Id>,
    /// Its Call-ID header.
    pub(crate) call_id: String,
    /// From as it was written.
    pub(crate) from: String,
    /// Who calls.
    pub(crate) from_user: String,
    /// Who is called.
    pub(crate) to_user: String,
    /// How often what it leads to may be passed on: its Max-Forwards.
    pub(crate) hops: u8,
    /// Headers that routes may look at, as received.
    pub(crate) headers: Vec<(String, String)>,
    /// What was found out of who calls, by names of variables; routes may look at it as at headers.
    pub(crate) findings: Vec<(String, String)>,
    /// What its sound would come by.
    pub(crate) offer: Offer,
}

impl From<IncomingInvite> for Invite {
    fn from(invite: IncomingInvite) -> Self {
        Self {
            key: invite.handle.key(),
            line: Arc::new(invite.handle),
            source: invite.source.ip(),
            trunk: invite.trunk.0.parse().ok(),
            call_id: invite.call_id,
            from: invite.from,
            from_user: invite.from_user,
            to_user: invite.to_user,
            hops: invite.max_forwards,
            headers: invite.headers,
            findings: Vec::new(),
            offer: Offer::Sdp(invite.offer),
        }
    }
}
