//! The legs that a call dials itself: placed by the outbound routes, as any call that leaves, and told of as facts.

use trunkline_api::outbound::OutboundUse;
use trunkline_api::{Failure, SoundPolicy};
use trunkline_call::Input;
use trunkline_leg::{CallTime, EndCause, LegFact, LegId};

use super::Active;
use super::legs::{LegNews, Terms};
use crate::intake::sources;
use crate::outbound::{Wanted, Whose, request};
use crate::sound::leg_sound;

impl Active {
    /// Dials somebody, as a leg of this call.
    pub(super) fn dial(
        &mut self,
        now: CallTime,
        leg: LegId,
        to: &str,
        from: Option<&str>,
        ring_ms: u32,
        headers: Vec<(String, String)>,
    ) {
        let shared = &self.shared;
        // As the objects say now: a destination that was closed meanwhile is closed for calls that are up, too.
        let serving = shared.serving.load_full();
        let wanted = Wanted {
            request: request(&self.setup.tenant, &self.setup.agent, OutboundUse::Transfer, to),
            only: None,
            from,
            headers,
            ring_ms,
            hops: self.hops.saturating_sub(1),
        };
        let worker = shared.directory.worker(&self.id);
        let whose = Whose { call: self.id.clone(), leg, worker };
        match shared.outbound.place(shared, &serving, wanted, whose) {
            Ok((placed, socket)) => {
                let trunk = serving.table.trunk_by_id(&placed.trunk);
                let spec = &self.setup.spec;
                let usual = SoundPolicy::default();
                let policy = spec.sound.over(trunk.map_or(&usual, |trunk| &trunk.sound));
                let terms = Terms {
                    socket,
                    source: trunk.map(sources).unwrap_or_default(),
                    sound: leg_sound(&policy, &spec.interruption),
                    media_timeout_ms: shared.config.media_timeout_ms,
                    began: self.began(),
                };
                self.ports.dialled(leg, placed, terms);
            }
            Err(not) => {
                tracing::info!(call = %self.id, failure = not.failure.name(), "a leg was not dialled: {}", not.why);
                let fact = LegFact::Refused { cause: not.cause, status: Some(not.failure.sip_status()), at: now };
                self.tell(now, Input::Leg { leg, fact });
            }
        }
    }

    /// News of a leg, from whoever reads its signalling.
    pub(crate) fn leg_news(&mut self, leg: LegId, news: LegNews) {
        let now = self.now();
        let fact = match news {
            LegNews::Ringing => Some(LegFact::Ringing { at: now }),
            LegNews::Answered { line, media } => {
                self.ports.answered(now, leg, self.shared.outbound.plane(), line, *media)
            }
            LegNews::Refused { cause, status } => {
                self.ports.refused(leg).then_some(LegFact::Refused { cause, status, at: now })
            }
            LegNews::DialogEnded(cause) => {
                self.ports.dialog_ended(leg, cause);
                None
            }
            LegNews::MediaChanged(spec) => {
                if let Some(input) = self.ports.media_changed(leg, *spec, now) {
                    self.told(input);
                }
                None
            }
            LegNews::Pressed(digit) => {
                if let Some(input) = self.ports.pressed(leg, digit, now) {
                    self.told(input);
                }
                None
            }
            LegNews::SpendReached => {
                tracing::warn!(call = %self.id, leg = leg.0, "the tenant has spent what it may; the leg ends");
                self.shared.counters.failed(Failure::OutboundLimit);
                self.ports.hang_up(leg, Some(Failure::OutboundLimit), EndCause::Local);
                None
            }
        };
        if let Some(fact) = fact {
            self.told(Input::Leg { leg, fact });
        }
    }
}
