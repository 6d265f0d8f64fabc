//! The far end of a call has us dial somebody who takes its place (REFER, RFC 3515): judged as every call that leaves, dialled
//! for the leg that is there, which goes on with another dialog once somebody has answered.
//!
//! Whoever passes the call on may hang up before it is known what comes of it (RFC 5589 6.1): its leg then waits on hold.

use std::sync::Arc;

use trunkline_api::Failure;
use trunkline_api::outbound::OutboundUse;
use trunkline_leg::{Direction, EndCause, LegId};
use trunkline_media::check_change;
use trunkline_route::Trunk;
use trunkline_sip::{CallKey, OutgoingEvent, ReferProgress, Referred};

use super::dialogs::Dialog;
use super::leaving::hang_up;
use super::{Intake, sources};
use crate::active::{Follower, LegNews};
use crate::line::{Answering, Line};
use crate::outbound::{MediaOf, Placed, Wanted, Whose, request};
use crate::worker::Order;

/// How long whom we are to dial may ring, in milliseconds.
const RING_MS: u32 = 60_000;

/// A far end whose place somebody is to take.
pub(super) struct Referral {
    /// The dialog that is to give way.
    old: CallKey,
    /// Why its far end is gone, if it is.
    gone: Option<EndCause>,
    progress: ReferProgress,
    placed: Placed,
}

impl Intake {
    /// A far end wants us to dial.
    pub(super) fn referred(&mut self, referred: Referred) {
        let Referred { call: old, to, is_near, replaces, by, handle } = referred;
        let known = self.dialogs.get(&old).and_then(|dialog| {
            let info = self.shared.directory.info(&dialog.call)?;
            Some((dialog, info))
        });
        let Some((dialog, info)) = known else { return handle.refuse(481) };
        let serving = self.shared.serving.load_full();
        let over = dialog.trunk.as_ref().and_then(|trunk| serving.table.trunk_by_id(trunk));
        let to = destination(&to, is_near, over);
        let mut headers = Vec::new();
        if let Some(replaces) = replaces {
            headers.push(("Replaces".to_owned(), replaces));
            headers.push(("Require".to_owned(), "replaces".to_owned()));
        }
        let wanted = Wanted {
            request: request(&info.tenant, &info.agent, OutboundUse::Refer, &to),
            only: None,
            // Who is joined with the caller is shown the caller; whom the agent goes on with, the number of the trunk.
            from: (dialog.leg != LegId::FIRST).then_some(info.from.as_str()),
            variables: Default::default(),
            referred_by: by,
            headers,
            media: MediaOf::Leg(dialog.sdp.rtp_port()),
            ring_ms: RING_MS,
            hops: dialog.hops.saturating_sub(1),
        };
        let whose = Whose { call: dialog.call.clone(), leg: dialog.leg, worker: Some(dialog.worker) };
        match self.shared.outbound.place_on(&self.shared, &serving, wanted, whose) {
            Ok(placed) => {
                tracing::info!(call = %dialog.call, leg = dialog.leg.0, "the far end has somebody dialled who takes its place");
                let progress = handle.accept();
                self.referrals.insert(placed.dialling.key(), Referral { old, gone: None, progress, placed });
            }
            Err(not) => {
                let status = not.failure.sip_status();
                tracing::info!(
                    call = %dialog.call, failure = not.failure.name(), "the far end has nobody dialled: {}", not.why
                );
                let (worker, order) = (dialog.worker, dialog.followed(status));
                handle.refuse(status);
                self.order(worker, order);
            }
        }
    }

    /// Whether a far end is gone that somebody is to take the place of; its leg waits for them then.
    pub(super) fn waits_for_another(&mut self, old: CallKey, cause: EndCause) -> bool {
        let Some(referral) = self.referrals.values_mut().find(|referral| referral.old == old) else { return false };
        let Some(dialog) = self.dialogs.get(&old) else { return false };
        referral.gone.get_or_insert(cause);
        if let Some(media) = dialog.sdp.media() {
            let mut media = media.clone();
            media.direction = Direction::Inactive;
            let (worker, order) = (dialog.worker, dialog.media_changed(media));
            self.order(worker, order);
        }
        true
    }

    /// News of somebody who is to take a far end's place.
    pub(super) fn follows(&mut self, key: CallKey, news: OutgoingEvent) {
        match news {
            OutgoingEvent::Trying => {}
            OutgoingEvent::Ringing { status, .. } => {
                if let Some(referral) = self.referrals.get(&key) {
                    referral.progress.rings(status);
                }
            }
            OutgoingEvent::Answered { handle, sdp, .. } => self.followed(key, Arc::new(handle), &sdp),
            OutgoingEvent::Refused(refused) => {
                if let Some(referral) = self.referrals.remove(&key) {
                    self.is_not_followed(referral, refused.status);
                }
            }
        }
    }

    /// It was answered: the leg goes on with them.
    pub(super) fn followed(&mut self, key: CallKey, line: Arc<dyn Line>, sdp: &str) {
        let Some(referral) = self.referrals.remove(&key) else { return hang_up(&line, Failure::Internal) };
        let Some((_, mut session, _)) = self.shared.outbound.answered(key) else {
            hang_up(&line, Failure::Internal);
            return self.is_not_followed(referral, 500);
        };
        let Some(dialog) = self.dialogs.get(&referral.old) else {
            // The call was over meanwhile.
            return hang_up(&line, Failure::Internal);
        };
        let rate = dialog.rate;
        let agreed = session.accept_answer(sdp).cloned().map_err(|error| error.to_string());
        let agreed =
            agreed.and_then(|media| check_change(&media, rate).map(|()| media).map_err(|error| error.to_string()));
        let media = match agreed {
            Ok(media) => media,
            Err(error) => {
                tracing::info!(%error, call = %dialog.call, "whoever was to take the far end's place cannot be heard");
                hang_up(&line, Failure::OfferUnacceptable);
                return self.is_not_followed(referral, 488);
            }
        };
        let serving = self.shared.serving.load_full();
        let Referral { old, progress, placed, .. } = referral;
        let Some(before) = self.dialogs.remove(&old) else { return };
        self.turning.retain(|key| *key != old);
        let (call, leg, worker) = (before.call, before.leg, before.worker);
        let source = serving.table.trunk_by_id(&placed.trunk).map(sources).unwrap_or_default();
        let now = Dialog::new(call.clone(), leg, worker, session, rate, Arc::clone(&line));
        self.dialogs.insert(key, now.over(Some(placed.trunk.clone()), before.hops.saturating_sub(1)));
        tracing::info!(%call, leg = leg.0, "the far end gave its place to whom it had dialled");
        let follower = Follower { line: Answering::new(line), placed, media, source };
        self.order(worker, Order::Leg(call, leg, LegNews::Followed(Ok(Box::new(follower)))));
        progress.ends(200);
    }

    fn is_not_followed(&mut self, referral: Referral, status: u16) {
        let Referral { old, gone, progress, .. } = referral;
        let Some(dialog) = self.dialogs.get(&old) else { return };
        let (worker, order, ended) = (dialog.worker, dialog.followed(status), gone.map(|cause| dialog.ended(cause)));
        progress.ends(status);
        self.order(worker, order);
        if let Some(ended) = ended {
            self.dialogs.remove(&old);
            self.order(worker, ended);
        }
    }

    /// Gives up on whom nobody waits for any more: their calls are over.
    pub(super) fn forget_referrals(&mut self) {
        if self.referrals.is_empty() {
            return;
        }
        let (directory, dialogs) = (&self.shared.directory, &self.dialogs);
        self.referrals.retain(|_, referral| {
            dialogs.get(&referral.old).is_some_and(|dialog| directory.worker(&dialog.call).is_some())
        });
    }
}

impl Dialog {
    /// Nobody takes the far end's place.
    fn followed(&self, status: u16) -> Order {
        Order::Leg(self.call.clone(), self.leg, LegNews::Followed(Err(status)))
    }
}

/// What outbound routes are asked for: the number alone where it is the far end's own side, or ours, that is to know it, else
/// the whole address.
fn destination(uri: &str, is_near: bool, trunk: Option<&Trunk>) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    if scheme.eq_ignore_ascii_case("tel") {
        return rest.split(';').next().unwrap_or("").to_owned();
    }
    let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    let host = host.split([';', '?']).next().unwrap_or("");
    let user = user.split(';').next().unwrap_or("");
    let bare = host.rsplit_once(':').map_or(host, |(bare, port)| if port.parse::<u16>().is_ok() { bare } else { host });
    let named = trunk.and_then(|trunk| trunk.server.as_ref()).is_some_and(|server| {
        server.uri_host().eq_ignore_ascii_case(bare) || server.places().any(|(name, _)| name.eq_ignore_ascii_case(bare))
    });
    if (is_near || named) && !user.is_empty() {
        return user.to_owned();
    }
    let scheme = if scheme.eq_ignore_ascii_case("sips") { "sips" } else { "sip" };
    let at = if user.is_empty() { "" } else { "@" };
    format!("{scheme}:{user}{at}{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_far_ends_own_side_are_numbers_and_others_are_addresses() {
        for (uri, is_near, expected) in [
            ("tel:+4930555;ext=2", false, "+4930555"),
            ("sip:20@pbx.example;user=phone", true, "20"),
            ("sip:20@pbx.example;transport=tcp", false, "sip:20@pbx.example"),
            ("sip:20;phone-context=x@pbx.example:5062", false, "sip:20@pbx.example:5062"),
            ("SIPS:bob@[2001:db8::1]:5061", false, "sips:bob@[2001:db8::1]:5061"),
            ("sip:pbx.example", true, "sip:pbx.example"),
        ] {
            assert_eq!(destination(uri, is_near, None), expected, "{uri}");
        }
    }
}
