//! A leg in a conference with legs of other calls.

use trunkline_call::Input;
use trunkline_leg::{CallTime, LegFact, LegId};

use super::Active;

impl Active {
    /// Puts a leg into a conference of the tenant's; what is said to it waits.
    pub(super) fn join(&mut self, now: CallTime, leg: LegId, room: &str) {
        let Some(ports) = self.ports.of_mut(leg) else { return };
        let joined = self.shared.conferences.enter(&self.setup.tenant, room, &self.id).and_then(|(sound, place)| {
            ports.handle().mute(false);
            let joined = ports.sit(Some(sound));
            joined
                .inspect_err(|error| tracing::warn!(call = %self.id, %error, "a leg could not join a conference"))
                .ok()?;
            Some(place)
        });
        match joined {
            Some(place) => {
                ports.leg().playout.hold(true);
                self.conference = Some(place);
            }
            None => self.tell(now, Input::Leg { leg, fact: LegFact::NotJoined { at: now } }),
        }
    }

    /// Takes it out.
    pub(super) fn leave(&mut self, leg: LegId) {
        self.conference = None;
        let Some(ports) = self.ports.of_mut(leg) else { return };
        if let Err(error) = ports.sit(None) {
            tracing::debug!(call = %self.id, %error, "a leg had left its conference");
        }
        // Whoever the caller is connected with next hears them.
        ports.handle().mute(false);
        ports.leg().playout.hold(false);
    }

    /// Whether the others do not hear it.
    pub(super) fn mute(&self, leg: LegId, on: bool) {
        if let (Some(ports), Some(place)) = (self.ports.of(leg), &self.conference) {
            ports.handle().mute(on);
            place.mute(on);
        }
    }
}
