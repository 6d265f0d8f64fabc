//! Calls that are up, as signalling knows them: what was agreed on with each far end, and how that changes until it hangs up.

use std::sync::Arc;
use std::time::Instant;

use trunkline_api::{Failure, Id};
use trunkline_leg::{Direction, EndCause, LegId, MediaSpec};
use trunkline_media::check_change;
use trunkline_sdp::Session;
use trunkline_sip::{ByeReason, CallKey, Refusal, Reoffer};

use super::turning::Turning;
use super::{Intake, Rung, unanswered_end};
use crate::active::LegNews;
use crate::line::Line;
use crate::worker::Order;

pub(super) struct Dialog {
    pub(super) call: Id,
    /// Which of its legs.
    pub(super) leg: LegId,
    pub(super) worker: usize,
    pub(super) sdp: Session,
    /// Rate of the leg's sound in Hz, whatever codec comes later.
    pub(super) rate: u32,
    pub(super) line: Arc<dyn Line>,
    /// Which ways sound is to go by our own wish, and what was offered last.
    pub(super) turning: Turning,
    pub(super) offered: Direction,
    /// The trunk it is over, and how often what it leads to may be passed on.
    pub(super) trunk: Option<Id>,
    pub(super) hops: u8,
}

impl Dialog {
    pub(super) fn new(call: Id, leg: LegId, worker: usize, sdp: Session, rate: u32, line: Arc<dyn Line>) -> Self {
        let (turning, offered) = (Turning::new(Instant::now()), Direction::SendRecv);
        Self { call, leg, worker, sdp, rate, line, turning, offered, trunk: None, hops: 0 }
    }

    pub(super) fn over(self, trunk: Option<Id>, hops: u8) -> Self {
        Self { trunk, hops, ..self }
    }

    pub(super) fn media_changed(&self, media: MediaSpec) -> Order {
        let (call, media) = (self.call.clone(), Box::new(media));
        match self.leg {
            LegId::FIRST => Order::MediaChanged(call, media),
            leg => Order::Leg(call, leg, LegNews::MediaChanged(media)),
        }
    }

    pub(super) fn ended(&self, cause: EndCause) -> Order {
        match self.leg {
            LegId::FIRST => Order::DialogEnded(self.call.clone(), cause),
            leg => Order::Leg(self.call.clone(), leg, LegNews::DialogEnded(cause)),
        }
    }
}

impl Intake {
    pub(super) fn reoffer(&mut self, reoffer: Reoffer) {
        let Some(dialog) = self.dialogs.get_mut(&reoffer.call) else {
            reoffer.handle.refuse(&Refusal::status(481));
            return;
        };
        let Some(offer) = reoffer.offer.as_deref() else {
            let offer = dialog.sdp.offer();
            if reoffer.handle.answer(offer).is_err() {
                dialog.sdp.withdraw();
            }
            return;
        };
        // Until the far end is told otherwise the session is as it was.
        let mut changed = dialog.sdp.clone();
        let answer = match changed.answer(offer) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(%error, call = %dialog.call, "the new offer cannot be answered; the call goes on as it was");
                let refusal = Refusal { warning: error.warning(), ..Refusal::status(error.sip_status()) };
                return reoffer.handle.refuse(&refusal);
            }
        };
        if let Err(error) = check_change(&answer.media, dialog.rate) {
            tracing::warn!(%error, call = %dialog.call, "media cannot be changed; the call goes on as it was");
            return reoffer.handle.refuse(&Refusal::status(488));
        }
        if let Err(error) = reoffer.handle.answer(answer.sdp) {
            tracing::debug!(%error, "a change of media was no longer waited for");
            return;
        }
        dialog.sdp = changed;
        let (worker, order) = (dialog.worker, dialog.media_changed(answer.media));
        self.order(worker, order);
    }

    /// Our answer was acknowledged; when it carried an offer, theirs comes with the ACK. Without one that can be used a call
    /// has no sound and is ended, but one whose media was settled before goes on as it was.
    pub(super) fn acked(&mut self, key: CallKey, answer: Option<&str>) {
        // An ACK that was still to be heard of when an offer of ours went out carries nothing of that.
        let awaits = |dialog: &&mut Dialog| dialog.sdp.is_offering() && !dialog.turning.is_offered();
        let Some(dialog) = self.dialogs.get_mut(&key).filter(awaits) else { return };
        let (call, worker) = (dialog.call.clone(), dialog.worker);
        let taken = dialog.sdp.accept_answer(answer.unwrap_or_default()).cloned();
        let ended = dialog.ended(EndCause::Failed);
        match taken {
            Ok(media) => {
                let order = dialog.media_changed(media);
                self.order(worker, order);
            }
            Err(error) if dialog.sdp.media().is_some() => {
                tracing::info!(%error, %call, "the answer of the ACK cannot be used; the call goes on as it was");
            }
            Err(error) => {
                tracing::info!(%error, %call, "the answer of the ACK cannot be used; the call is ended");
                let failure = Failure::OfferUnacceptable;
                let _ = dialog.line.bye(&ByeReason { q850: failure.q850_cause(), text: failure.name().to_owned() });
                self.dialogs.remove(&key);
                self.order(worker, ended);
            }
        }
    }

    /// The far end is gone, whether the call was answered or not.
    pub(crate) fn ended(&mut self, key: CallKey, cause: EndCause) {
        if self.proving.as_mut().is_some_and(|proving| proving.give_up(key)) {
            tracing::info!(?cause, "the caller was gone before it was known who calls");
        } else if let Some(opening) = self.openings.give_up(key, cause) {
            // Its ports are free at once, its record must be durable before it can be closed.
            opening.settled.link = None;
        } else if let Some(Rung { opening, early }) = self.ringing.give_up(key) {
            drop(early);
            tracing::info!(call = %opening.record.call, ?cause, "the caller was gone before the answer");
            self.close_unanswered(opening.record, opening.ticket, unanswered_end(cause));
        } else if self.waits_for_another(key, cause) {
            tracing::info!(?cause, "the far end passed the call on and is gone");
        } else if let Some(dialog) = self.dialogs.remove(&key) {
            self.order(dialog.worker, dialog.ended(cause));
        }
    }
}
