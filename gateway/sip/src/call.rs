//! A call as the driver holds it: commands that take effect at once or say why not, and never block.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use rsipstack::sip::{Header, Method, Request};
use rsipstack::transaction::key::TransactionKey;
use rsipstack::transaction::transaction::{TransactionEvent, TransactionEventSender};
use trunkline_sdp::Warning;

use crate::auth::DigestClient;
use crate::dialog::{Dialog, HangUp, Phase};
use crate::error::CommandError;
use crate::event::CallKey;
use crate::provisional::{self, Provisional, Reliably};
use crate::session_timer::{Granted, SessionTimer};
use crate::shared::{Shared, retry_after_s};
use crate::transport::Hop;
use crate::turns::{Turn, Turns};
use crate::{change, outgoing, referral, refresh};

/// Most offers of ours in one call whose answers are still listened for: one that waits, and those of half a minute before.
const MOST_CHANGES: usize = 16;

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// SIP status, 300..=699.
    pub status: u16,
    /// Q.850 cause for the Reason header (RFC 3326).
    pub q850: Option<u8>,
    /// Text for the Reason header.
    pub reason: Option<String>,
    /// Retry-After in seconds; a 503 without one gets 5 to 15, at random.
    pub retry_after_s: Option<u32>,
    /// What of the offer cannot be met, for the Warning header (RFC 3261 20.43).
    pub warning: Option<Warning>,
}

impl Refusal {
    /// A refusal that is only a status.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self { status, q850: None, reason: None, retry_after_s: None, warning: None }
    }

    fn headers(&self, shared: &Shared) -> Vec<Header> {
        let mut headers = Vec::new();
        if let Some(value) = reason_value(self.q850, self.reason.as_deref()) {
            headers.push(Header::Reason(value.into()));
        }
        let retry_after_s = match self.retry_after_s {
            None if self.status == 503 => Some(retry_after_s(u64::from(outgoing::random_u32()))),
            given => given.map(u64::from),
        };
        if let Some(seconds) = retry_after_s {
            headers.push(Header::Other("Retry-After".to_owned(), seconds.to_string()));
        }
        if let Some(Warning { code, text }) = self.warning {
            headers.push(Header::Warning(format!("{code} {} \"{text}\"", shared.local).into()));
        }
        headers
    }
}

/// Why we hang up, for the Reason header of BYE (RFC 3326).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByeReason {
    /// Q.850 cause.
    pub q850: u8,
    /// Text.
    pub text: String,
}

impl ByeReason {
    /// Normal call clearing.
    #[must_use]
    pub fn normal() -> Self {
        Self { q850: 16, text: "Normal call clearing".to_owned() }
    }

    fn value(&self) -> String {
        reason_value(Some(self.q850), Some(&self.text)).unwrap_or_default()
    }
}

/// A call within the endpoint.
pub(crate) struct Call {
    pub(crate) key: CallKey,
    pub(crate) began: Instant,
    /// When our 2xx was given to the transaction.
    pub(crate) answered: OnceLock<Instant>,
    dialog: Mutex<Dialog>,
    /// Our address for its far end.
    pub(crate) contact: String,
    invite: Mutex<Option<InviteLeg>>,
    /// The CSeq and tag of the INVITE, to recognise it when it comes again by another way (RFC 3261 8.2.2.2).
    pub(crate) invite_cseq: u32,
    /// What the far end's wishes for a password are answered with, in a call of ours.
    digest: Mutex<Option<DigestClient>>,
    /// The far end was asked to dial and tells us how far it is.
    referring: AtomicBool,
    /// One reference for this and one for each offer of ours whose answer is still listened for.
    changes: Arc<()>,
    /// Whether the INVITE had an offer.
    pub(crate) has_offer: bool,
    /// Its session timer, and what its 2xx grants.
    pub(crate) timer: Mutex<SessionTimer>,
    granted: Granted,
    /// For a caller that requires reliable provisional responses.
    pub(crate) reliably: Option<Mutex<Reliably>>,
    /// The order of its requests.
    pub(crate) turns: Turns,
    /// The turn of an ACK that is on its way through the stack.
    ack: Mutex<Option<Turn>>,
}

/// The server transaction of the INVITE, until it is over.
pub(crate) struct InviteLeg {
    /// With our tag in To.
    pub(crate) request: Request,
    pub(crate) transaction: TransactionEventSender,
    pub(crate) transaction_key: TransactionKey,
}

/// What an INVITE asks of the call beside being answered.
pub(crate) struct Asked {
    pub(crate) has_offer: bool,
    pub(crate) timer: SessionTimer,
    pub(crate) granted: Granted,
    pub(crate) reliably: Option<Mutex<Reliably>>,
}

impl Call {
    pub(crate) fn new(key: CallKey, dialog: Dialog, contact: String, invite: InviteLeg, asked: Asked) -> Self {
        let invite_cseq = dialog.remote_cseq.unwrap_or_default();
        Self {
            key,
            began: Instant::now(),
            answered: OnceLock::new(),
            dialog: Mutex::new(dialog),
            contact,
            invite: Mutex::new(Some(invite)),
            invite_cseq,
            digest: Mutex::new(None),
            referring: AtomicBool::new(false),
            changes: Arc::default(),
            has_offer: asked.has_offer,
            timer: Mutex::new(asked.timer),
            granted: asked.granted,
            reliably: asked.reliably,
            turns: Turns::default(),
            ack: Mutex::default(),
        }
    }

    /// A call of ours that was answered.
    pub(crate) fn placed(
        key: CallKey,
        dialog: Dialog,
        contact: String,
        timer: SessionTimer,
        digest: Option<DigestClient>,
    ) -> Self {
        Self {
            key,
            began: Instant::now(),
            answered: OnceLock::new(),
            dialog: Mutex::new(dialog),
            contact,
            invite: Mutex::new(None),
            invite_cseq: 0,
            digest: Mutex::new(digest),
            referring: AtomicBool::new(false),
            changes: Arc::default(),
            has_offer: true,
            timer: Mutex::new(timer),
            granted: Granted::default(),
            reliably: None,
            turns: Turns::default(),
            ack: Mutex::default(),
        }
    }

    /// What answers a wish for a password, if there is a password.
    pub(crate) fn digest(&self) -> MutexGuard<'_, Option<DigestClient>> {
        self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn dialog(&self) -> MutexGuard<'_, Dialog> {
        self.dialog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invite(&self) -> MutexGuard<'_, Option<InviteLeg>> {
        self.invite.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kept for as long as the answer to an offer of ours may come again.
    pub(crate) fn lingers(&self) -> Arc<()> {
        Arc::clone(&self.changes)
    }

    /// Whether the far end dials for us from now on; true when it did so before.
    pub(crate) fn refers(&self, on: bool) -> bool {
        self.referring.swap(on, Ordering::AcqRel)
    }

    /// Whether it does.
    pub(crate) fn is_referring(&self) -> bool {
        self.referring.load(Ordering::Acquire)
    }

    /// An ACK came off the socket: what comes behind it waits until it has been told.
    pub(crate) fn ack_came(&self, cseq: u32) {
        if self.dialog().awaits_ack(cseq) {
            let mut ack = self.ack.lock().unwrap_or_else(PoisonError::into_inner);
            if ack.is_none() {
                *ack = self.turns.take();
            }
        }
    }

    /// The ACK has been told.
    pub(crate) fn ack_told(&self) {
        self.ack.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// How long ago its INVITE came, in milliseconds: the clock of its machines.
    pub(crate) fn age_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sends the 2xx.
    pub(crate) fn answer(&self, shared: &Shared, sdp: Option<String>) {
        let _ = self.answered.set(Instant::now());
        self.respond(shared, 200, refresh::grant(self, &self.granted), sdp);
    }

    /// Responds to the INVITE, if its transaction still lives.
    pub(crate) fn respond(&self, shared: &Shared, status: u16, extra: Vec<Header>, sdp: Option<String>) {
        if status >= 200 {
            provisional::end(self);
        }
        if let Some(leg) = self.invite().as_ref() {
            let mut headers = extra;
            if (101..300).contains(&status) {
                headers.extend(shared.dialog_headers(&leg.request, &self.contact));
            }
            let response = shared.response(&leg.request, status, headers, sdp);
            if leg.transaction.send(TransactionEvent::Respond(response)).is_err() {
                tracing::debug!(call = self.key.0, status, "the INVITE transaction had ended before its response");
            }
        }
    }

    /// Ends the INVITE transaction: no more retransmissions of its 2xx.
    pub(crate) fn end_invite(&self) {
        if let Some(leg) = self.invite().take() {
            let _ = leg.transaction.send(TransactionEvent::Terminate(leg.transaction_key));
        }
    }

    /// The INVITE transaction is over by itself.
    pub(crate) fn invite_over(&self) {
        self.invite().take();
    }
}

/// Commands on a call. Cheap to clone; none of them blocks.
#[derive(Clone)]
pub struct CallHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) call: Arc<Call>,
}

impl std::fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CallHandle").field(&self.call.key.0).finish()
    }
}

impl CallHandle {
    /// The call's name in events.
    #[must_use]
    pub fn key(&self) -> CallKey {
        self.call.key
    }

    /// Sends 180 Ringing, or with a description 183 Session Progress: the answer to the INVITE's offer, which is also
    /// what [`CallHandle::accept`] must be given, for sound that begins before the call is answered (RFC 3960).
    ///
    /// # Errors
    /// When the call was answered or is over.
    pub fn ring(&self, sdp: Option<String>) -> Result<(), CommandError> {
        let dialog = self.call.dialog();
        match dialog.phase {
            crate::dialog::Phase::Ringing => {}
            crate::dialog::Phase::Answered | crate::dialog::Phase::Confirmed => return Err(CommandError::Answered),
            crate::dialog::Phase::Ended => return Err(CommandError::Over),
        }
        let response = Provisional { status: if sdp.is_some() { 183 } else { 180 }, sdp };
        provisional::send(&self.shared, &self.call, response);
        drop(dialog);
        Ok(())
    }

    /// Answers with 200 and a description: the answer to the INVITE's offer, or an offer when it had none.
    ///
    /// # Errors
    /// When the call was answered or is over: the caller may just have cancelled.
    pub fn accept(&self, sdp: String) -> Result<(), CommandError> {
        let mut dialog = self.call.dialog();
        dialog.answer(true)?;
        dialog.await_ack(self.call.invite_cseq, !self.call.has_offer);
        provisional::accept(&self.shared, &self.call, sdp);
        drop(dialog);
        Ok(())
    }

    /// Refuses the call.
    ///
    /// # Errors
    /// When the call was answered or is over, or the status refuses nothing.
    pub fn reject(&self, refusal: &Refusal) -> Result<(), CommandError> {
        if !(300..700).contains(&refusal.status) {
            return Err(CommandError::Status);
        }
        let mut dialog = self.call.dialog();
        dialog.answer(false)?;
        let headers = refusal.headers(&self.shared);
        self.call.respond(&self.shared, refusal.status, headers, None);
        self.shared.forget(&dialog.key);
        drop(dialog);
        Ok(())
    }

    /// Hangs up: BYE now, or as soon as our answer is acknowledged (RFC 3261 15). No event of this call follows.
    ///
    /// # Errors
    /// When the call was not answered (refuse it instead) or is over.
    pub fn bye(&self, reason: &ByeReason) -> Result<(), CommandError> {
        let mut dialog = self.call.dialog();
        let when = dialog.hang_up(reason.value())?;
        drop(dialog);
        if when == HangUp::Now {
            outgoing::bye(&self.shared, &self.call, reason.value());
        }
        Ok(())
    }
}

impl CallHandle {
    /// Asks the far end to dial `to` itself, a `sip:`, `sips:` or `tel:` URI (REFER, RFC 3515). How far it comes is told by
    /// [`crate::SipEvent::Referral`]; the call goes on meanwhile.
    ///
    /// # Errors
    /// When the call is not up, one such request is under way already, or the URI cannot be sent.
    pub fn refer(&self, to: &str) -> Result<(), CommandError> {
        if !referral::is_uri(to) {
            return Err(CommandError::Uri);
        }
        let mut dialog = self.call.dialog();
        if self.call.is_referring() {
            // Once it is over that is what counts.
            return Err(if dialog.phase == Phase::Ended { CommandError::Over } else { CommandError::Referring });
        }
        let now = dialog.refer(to)?;
        self.call.refers(true);
        drop(dialog);
        if now {
            referral::refer(&self.shared, &self.call, to);
        }
        Ok(())
    }

    /// Offers the far end another session (re-INVITE, RFC 3261 14.1): what comes of it is told by
    /// [`crate::SipEvent::Reoffered`], and until then what was agreed on before is in force.
    ///
    /// # Errors
    /// When the call is not up, or the session is being changed by either side: then it may be tried again in a moment.
    pub fn reoffer(&self, offer: String) -> Result<(), CommandError> {
        if Arc::strong_count(&self.call.changes) > MOST_CHANGES {
            return Err(CommandError::Changing);
        }
        self.call.dialog().change()?;
        change::begin(&self.shared, &self.call, offer);
        Ok(())
    }

    /// A URI for [`CallHandle::refer`] of another call: whose far end dials it takes this call over (RFC 3891).
    #[must_use]
    pub fn replacing(&self) -> String {
        referral::replacing(&self.call.dialog())
    }

    /// Where the far end's last INVITE, or its answer to ours, came from.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        self.call.dialog().source.address
    }

    /// The URI that the far end said it is reached by.
    #[must_use]
    pub fn remote_target(&self) -> String {
        self.call.dialog().remote_target.clone()
    }
}

/// Answers a re-INVITE or UPDATE. Dropped, it answers 500.
pub struct ReofferHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) call: Arc<Call>,
    pub(crate) request: Request,
    pub(crate) transaction: TransactionEventSender,
    /// The new remote target and where it was said, in force once we accept (RFC 3261 12.2.2).
    pub(crate) target: Option<String>,
    pub(crate) source: Hop,
    pub(crate) has_offer: bool,
    /// The session timer that a 2xx grants.
    pub(crate) granted: Granted,
    pub(crate) cseq: u32,
}

impl std::fmt::Debug for ReofferHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReofferHandle").field(&self.call.key.0).finish()
    }
}

impl ReofferHandle {
    /// Accepts with 200 and a description: the answer to the offer, or an offer when there was none, whose answer comes
    /// with [`crate::SipEvent::Acked`].
    ///
    /// # Errors
    /// When it was answered already, for lack of time or because it was cancelled: the description is not sent.
    pub fn answer(mut self, sdp: String) -> Result<(), CommandError> {
        self.finish(200, Vec::new(), Some(sdp))
    }

    /// Refuses; the session stays as it was (RFC 3261 14.2). 488 says that the offer cannot be met. What is no status of a
    /// refusal is sent as 500.
    pub fn refuse(mut self, refusal: &Refusal) {
        let status = if (300..700).contains(&refusal.status) { refusal.status } else { 500 };
        let headers = refusal.headers(&self.shared);
        // Who was answered for lack of time has been refused, in effect.
        let _ = self.finish(status, headers, None);
    }

    fn finish(&mut self, status: u16, mut headers: Vec<Header>, sdp: Option<String>) -> Result<(), CommandError> {
        let mut dialog = self.call.dialog();
        if !dialog.reoffer_done(self.cseq) {
            return Err(CommandError::Answered);
        }
        if status == 200 {
            headers.extend(self.shared.dialog_headers(&self.request, &self.call.contact));
            headers.extend(refresh::grant(&self.call, &self.granted));
            dialog.refresh(self.target.take(), self.source);
            if self.request.method == Method::Invite {
                dialog.await_ack(self.cseq, !self.has_offer);
            }
        }
        drop(dialog);
        let response = self.shared.response(&self.request, status, headers, sdp);
        let _ = self.transaction.send(TransactionEvent::Respond(response));
        Ok(())
    }
}

impl Drop for ReofferHandle {
    fn drop(&mut self) {
        let _ = self.finish(500, Vec::new(), None);
    }
}

/// A Reason header's value (RFC 3326); quotes and control characters of the text are left out.
pub(crate) fn reason_value(q850: Option<u8>, text: Option<&str>) -> Option<String> {
    let text: Option<String> =
        text.map(|text| text.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).take(128).collect());
    match (q850, text) {
        (Some(cause), Some(text)) => Some(format!("Q.850;cause={cause};text=\"{text}\"")),
        (Some(cause), None) => Some(format!("Q.850;cause={cause}")),
        (None, Some(text)) => Some(format!("SIP;text=\"{text}\"")),
        (None, None) => None,
    }
}
