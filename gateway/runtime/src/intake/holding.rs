//! Hold and resume of far ends: re-INVITEs with offers of ours (RFC 3264 8.4, RFC 3261 14.1).

use std::time::{Duration, Instant};

use trunkline_leg::{Direction, LegId};
use trunkline_media::check_change;
use trunkline_sip::{CallKey, CommandError, Reoffered};

use super::Intake;
use super::dialogs::Dialog;
use super::turning::Turning;
use crate::active::LegNews;
use crate::worker::Order;

impl Intake {
    /// Offers what workers want offered; how long it may be until something is to be offered again.
    pub(crate) fn turn(&mut self, now: Instant) -> Option<Duration> {
        for ((call, leg), direction) in self.shared.redirections.take() {
            // A stream has no signalling.
            let known = |(_, dialog): &(&CallKey, &mut Dialog)| dialog.call == call && dialog.leg == leg;
            let Some((key, dialog)) = self.dialogs.iter_mut().find(known) else { continue };
            dialog.turning.want(now, direction);
            if !self.turning.contains(key) {
                self.turning.push(*key);
            }
        }
        for key in self.turning.clone() {
            self.offer(now, key);
        }
        let dialogs = &self.dialogs;
        self.turning.retain(|key| dialogs.get(key).is_some_and(|dialog| !dialog.turning.is_settled()));
        let due = self.turning.iter().filter_map(|key| dialogs.get(key)?.turning.poll_timeout()).min();
        due.map(|due| due.saturating_duration_since(now))
    }

    fn offer(&mut self, now: Instant, key: CallKey) {
        let Some(dialog) = self.dialogs.get_mut(&key) else { return };
        let Some(direction) = dialog.turning.due(now) else { return };
        if dialog.sdp.is_offering() {
            // An answer of ours that is an offer waits for its ACK.
            return self.busy(now, key, direction);
        }
        let mut changed = dialog.sdp.clone();
        match dialog.line.reoffer(changed.offer_directions(direction)) {
            Ok(()) => {
                dialog.sdp = changed;
                dialog.turning.offered();
                dialog.offered = direction;
            }
            Err(CommandError::Changing | CommandError::NotAnswered) => self.busy(now, key, direction),
            // Its end is on its way, or it has no signalling.
            Err(error) => {
                tracing::debug!(call = %dialog.call, %error, "a far end was not told of a hold");
                dialog.turning = Turning::new(now);
            }
        }
    }

    fn busy(&mut self, now: Instant, key: CallKey, direction: Direction) {
        let Some(dialog) = self.dialogs.get_mut(&key) else { return };
        if !dialog.turning.is_busy(now) {
            let (worker, order) = (dialog.worker, dialog.redirected(direction, Some(491)));
            self.order(worker, order);
        }
    }

    /// What came of an offer.
    pub(super) fn reoffered(&mut self, key: CallKey, outcome: Reoffered) {
        let now = Instant::now();
        let Some(dialog) = self.dialogs.get_mut(&key) else { return };
        let (worker, offered) = (dialog.worker, dialog.offered);
        match outcome {
            Reoffered::Accepted { answer } => {
                let before = dialog.sdp.clone();
                let taken = dialog.sdp.accept_answer(answer.as_deref().unwrap_or_default()).cloned();
                let media = match taken {
                    Ok(media) => check_change(&media, dialog.rate).map(|()| media).map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                match media {
                    Ok(media) => {
                        dialog.turning.accepted(now, offered);
                        let orders = [dialog.media_changed(media), dialog.redirected(offered, None)];
                        orders.into_iter().for_each(|order| self.order(worker, order));
                    }
                    Err(error) => {
                        tracing::info!(%error, call = %dialog.call, "the answer cannot be used; the call goes on as it was");
                        dialog.sdp = before;
                        self.keep(now, key, 488, None);
                    }
                }
            }
            Reoffered::Refused { status, again_ms } => {
                self.keep(now, key, status, again_ms.map(Duration::from_millis));
            }
        }
    }

    /// The session is as it was.
    fn keep(&mut self, now: Instant, key: CallKey, status: u16, again: Option<Duration>) {
        let Some(dialog) = self.dialogs.get_mut(&key) else { return };
        dialog.sdp.withdraw();
        if let Some(agreed) = dialog.turning.refused(now, again) {
            dialog.sdp.set_direction(agreed);
            tracing::info!(call = %dialog.call, status, "the far end does not take a hold, or its end; the session is as it was");
            let (worker, order) = (dialog.worker, dialog.redirected(dialog.offered, Some(status)));
            self.order(worker, order);
        }
    }
}

impl Dialog {
    fn redirected(&self, direction: Direction, refused: Option<u16>) -> Order {
        let leg: LegId = self.leg;
        Order::Leg(self.call.clone(), leg, LegNews::Redirected { direction, refused })
    }
}
