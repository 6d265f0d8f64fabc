//! News of calls that leave, and of the trunks they leave over.

use std::sync::Arc;
use std::time::Instant;

use trunkline_api::Failure;
use trunkline_api::usage::EndReason;
use trunkline_leg::{CallTime, MediaSpec, RefusalCause, RingSizes};
use trunkline_media::LegStart;
use trunkline_sdp::Session;
use trunkline_sip::health::HealthState;
use trunkline_sip::registration::RegistrationEvent;
use trunkline_sip::{ByeReason, CallKey, OutgoingEvent, TrunkNews, TrunkToken};

use super::dialogs::Dialog;
use super::handing_over::Beginning;
use super::{DOWN_FRAMES, Intake, UP_FRAMES, sources, wall_us};
use crate::active::LegNews;
use crate::line::{Answering, Line};
use crate::outbound::{Dialled, Over, Whose};
use crate::recording::CallRecordings;
use crate::refusal::media_failure;
use crate::sound::leg_sound;
use crate::worker::Order;

/// How often it may be passed on whom a call has dialled and who has somebody dialled.
const HOPS_LEFT: u8 = 60;

impl Intake {
    /// News of a call that leaves.
    pub(super) fn leaving(&mut self, key: CallKey, news: OutgoingEvent) {
        if self.referrals.contains_key(&key) {
            return self.follows(key, news);
        }
        match news {
            OutgoingEvent::Trying => {}
            OutgoingEvent::Ringing { .. } => {
                if let Some(whose) = self.shared.outbound.whose(key) {
                    self.leg_news(&whose, LegNews::Ringing);
                }
            }
            OutgoingEvent::Answered { handle, sdp, .. } => self.left(key, Arc::new(handle), &sdp),
            OutgoingEvent::Refused(refused) => {
                let Some((whose, dialled)) = self.shared.outbound.refused(key) else { return };
                let cause = RefusalCause::of_status(refused.status);
                let status = refused.is_theirs.then_some(refused.status);
                match dialled {
                    None => self.leg_news(&whose, LegNews::Refused { cause, status }),
                    Some(dialled) => {
                        let (call, status) = (&dialled.record.call, refused.status);
                        tracing::info!(%call, status, cause = cause.name(), "a call that was placed was not answered");
                        self.was_not_answered(*dialled, EndReason::Failed, None);
                    }
                }
            }
        }
    }

    /// It was answered.
    pub(super) fn left(&mut self, key: CallKey, line: Arc<dyn Line>, sdp: &str) {
        let Some((whose, mut session, dialled)) = self.shared.outbound.answered(key) else {
            // Whoever wanted it is gone.
            let _ = line.bye(&ByeReason::normal());
            return;
        };
        let media = match session.accept_answer(sdp) {
            Ok(media) => media.clone(),
            Err(error) => {
                tracing::info!(%error, call = %whose.call, "the answer cannot be used; the call is ended");
                hang_up(&line, Failure::OfferUnacceptable);
                match dialled {
                    None => {
                        let (cause, status) = (RefusalCause::Failed, None);
                        self.leg_news(&whose, LegNews::Refused { cause, status });
                    }
                    Some(dialled) => {
                        self.was_not_answered(*dialled, EndReason::Failed, Some(Failure::OfferUnacceptable));
                    }
                }
                return;
            }
        };
        match (dialled, whose.worker) {
            (Some(dialled), _) => self.begin_dialled(key, *dialled, line, session, media),
            (None, Some(worker)) => {
                let (call, leg) = (whose.call.clone(), whose.leg);
                let rate = media.codec.sample_rate();
                let known = Dialog::new(call, leg, worker, session, rate, Arc::clone(&line));
                self.dialogs.insert(key, known.over(self.shared.outbound.trunk_of(key), HOPS_LEFT));
                self.leg_news(&whose, LegNews::Answered { line: Answering::new(line), media: Box::new(media) });
            }
            (None, None) => hang_up(&line, Failure::Internal),
        }
    }

    /// A call of its own begins.
    fn begin_dialled(
        &mut self,
        key: CallKey,
        mut dialled: Dialled,
        line: Arc<dyn Line>,
        session: Session,
        media: MediaSpec,
    ) {
        let Some((placed, socket)) = dialled.way.take() else { return hang_up(&line, Failure::Internal) };
        let (began, now_us) = (Instant::now(), wall_us());
        let shared = Arc::clone(&self.shared);
        let Dialled { agent, agent_id, trunk, serving, mut record, ticket, .. } = dialled;
        let over = serving.table.trunk_by_id(&trunk);
        let sound = over.map_or_else(|| agent.spec.sound.clone(), |over| agent.spec.sound.over(&over.sound));
        let (codec, suite) = (media.codec, media.srtp.as_ref().map(|srtp| srtp.suite.name()));
        let key_of_recordings = serving.recording_key(&record.tenant).cloned();
        let mut recordings = CallRecordings::new(record.call.clone(), agent.spec.recording.clone(), key_of_recordings);
        let begun = recordings.begin_with_call(&shared.recorder, &shared.config, codec.sample_rate());
        let attached = begun.and_then(|recording| {
            let (tap, began_recording) = recording.unzip();
            let mut start = LegStart::new(media, began);
            start.source = over.map(sources).unwrap_or_default();
            start.signalling_ip = line.source();
            start.tap = tap;
            start.media_timeout_ms = shared.config.media_timeout_ms;
            start.sound = leg_sound(&sound, &agent.spec.interruption);
            let rate = codec.sample_rate();
            if let Some(ambience) = &sound.ambience {
                // What is not rendered yet is not waited for: somebody has answered.
                shared.beds.prepare(ambience, rate);
                start.ambience = shared.beds.of(ambience, rate);
            }
            start.rings = RingSizes { up: UP_FRAMES, down: DOWN_FRAMES, rate, ..RingSizes::default() };
            let (leg, handle) = self.plane.attach(socket, start).map_err(|error| media_failure(&error))?;
            Ok((leg, handle, began_recording))
        });
        let (leg, handle, began_recording) = match attached {
            Ok(attached) => attached,
            Err(failure) => {
                hang_up(&line, failure);
                return self.close_unanswered(record, ticket, (EndReason::Failed, Some(failure)));
            }
        };
        record.answered_us = now_us;
        record.recording = recordings.path().map(str::to_owned);
        debug_assert_eq!(record.agent, agent_id, "the record is of the agent that speaks");
        shared.outbound.began(key, handle.worker());
        self.hand_over(Beginning {
            key,
            line,
            sip_call_id: placed.dialling.call_id().to_owned(),
            from: placed.caller.clone(),
            to: placed.user.clone(),
            variables: Default::default(),
            hops: 70,
            began,
            wall_us: now_us,
            serving,
            agent,
            trunk,
            codec,
            suite,
            session: Some(session),
            record,
            recordings,
            recording: began_recording.map(|began| (CallTime::ZERO, began)),
            ticket,
            leg,
            handle,
            placed: Some(placed),
        });
    }

    /// Nobody who is still rung will be spoken with any more.
    pub(super) fn give_up_placed(&mut self) {
        for dialled in self.shared.outbound.give_up() {
            self.was_not_answered(dialled, EndReason::Failed, Some(Failure::GatewayDraining));
        }
    }

    fn was_not_answered(&mut self, dialled: Dialled, reason: EndReason, failure: Option<Failure>) {
        let Dialled { record, ticket, way, .. } = dialled;
        drop(way);
        self.close_unanswered(record, ticket, (reason, failure));
    }

    fn leg_news(&mut self, whose: &Whose, news: LegNews) {
        // A call of its own has nobody to tell before it begins.
        if let Some(worker) = whose.worker {
            self.order(worker, Order::Leg(whose.call.clone(), whose.leg, news));
        }
    }

    /// Tells calls that leave of other objects, and ends those whose tenants have spent what they may.
    pub(super) fn look_after(&mut self) {
        self.forget_referrals();
        let serving = self.shared.serving.load_full();
        if self.told.as_ptr() != Arc::as_ptr(&serving) {
            self.told = Arc::downgrade(&serving);
            self.shared.outbound.serve(&serving);
        }
        self.over(self.shared.outbound.pay());
        self.keeping.look(Instant::now());
    }

    /// Ends calls that are not to go on.
    pub(super) fn over(&mut self, all: Vec<Over>) {
        for over in all {
            match over {
                Over::Spent(whose) => self.leg_news(&whose, LegNews::SpendReached),
                Over::Forgotten(whose, None) => {
                    let (cause, status) = (RefusalCause::Failed, None);
                    self.leg_news(&whose, LegNews::Refused { cause, status });
                }
                Over::Forgotten(whose, Some(dialled)) => {
                    tracing::error!(call = %whose.call, "SIP never said what became of a call that was placed");
                    self.was_not_answered(*dialled, EndReason::Failed, Some(Failure::Internal));
                }
            }
        }
    }
}

pub(super) fn hang_up(line: &Arc<dyn Line>, failure: Failure) {
    let text = failure.name().to_owned();
    if let Err(error) = line.bye(&ByeReason { q850: failure.q850_cause(), text }) {
        tracing::debug!(%error, "the dialog was already over");
    }
}

/// Writes news of a trunk into the log.
pub(super) fn tell(trunk: &TrunkToken, news: &TrunkNews) {
    let trunk = &*trunk.0;
    match news {
        TrunkNews::Health { host, from, to, why } => {
            let (from, to) = (from.name(), to.name());
            if to == HealthState::Down.name() {
                tracing::warn!(trunk, host, from, to, ?why, "a trunk's server changed");
            } else {
                tracing::info!(trunk, host, from, to, ?why, "a trunk's server changed");
            }
        }
        TrunkNews::Registration(RegistrationEvent::Registered { expires_s, .. }) => {
            tracing::info!(trunk, expires_s, "registered");
        }
        TrunkNews::Registration(RegistrationEvent::Failed { why, lost, .. }) => {
            tracing::warn!(trunk, ?why, lost, "a registrar failed; another try follows");
        }
        TrunkNews::Registration(RegistrationEvent::Expired) => {
            tracing::warn!(trunk, "the registration expired; no calls come by it until it is renewed");
        }
        TrunkNews::Registration(RegistrationEvent::Ended { confirmed }) => {
            tracing::info!(trunk, confirmed, "unregistered");
        }
    }
}
