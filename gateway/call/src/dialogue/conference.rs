//! A conference that an operator puts the caller into: they speak with everybody else in it, and the agent waits as on hold.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_leg::LegId;

use super::{Dialogue, Effects};
use crate::command::Command;

/// The caller's place.
#[derive(Debug)]
pub(super) struct Seat {
    room: String,
    muted: bool,
}

impl Dialogue {
    /// The caller speaks with that conference from now on.
    pub(super) fn joins(&mut self, fx: &mut Effects, room: String) {
        if self.tel.transfer.is_some() || self.tel.seat.as_ref().is_some_and(|seat| seat.room == room) {
            return;
        }
        self.take_back(fx);
        self.leaves_room(fx);
        // Nobody is heard from here on, so that it would never be known whether the caller interrupts.
        self.ears.stop_listening(fx);
        self.keep_floor(fx);
        fx.command(Command::Join { leg: LegId::FIRST, room: room.clone() });
        fx.event(EventType::ConferenceJoined, json!({ "leg": LegId::FIRST.0, "room": room }));
        self.tel.seat = Some(Seat { room, muted: false });
        self.follow_hold(fx);
    }

    /// The caller is with the agent again.
    pub(super) fn leaves_room(&mut self, fx: &mut Effects) {
        if let Some(seat) = self.tel.seat.take() {
            fx.command(Command::Leave { leg: LegId::FIRST });
            fx.event(EventType::ConferenceLeft, json!({ "leg": LegId::FIRST.0, "room": seat.room }));
            self.follow_hold(fx);
        }
    }

    /// Whether the others do not hear the caller.
    pub(super) fn mutes(&mut self, fx: &mut Effects, on: bool) {
        let Some(seat) = self.tel.seat.as_mut().filter(|seat| seat.muted != on) else { return };
        seat.muted = on;
        let data = json!({ "leg": LegId::FIRST.0, "room": seat.room, "muted": on });
        fx.command(Command::Mute { leg: LegId::FIRST, on });
        fx.event(EventType::ConferenceMuted, data);
    }

    /// There was no place for the caller.
    pub(crate) fn not_joined(&mut self, fx: &mut Effects) {
        if let Some(seat) = self.tel.seat.take() {
            let data = json!({ "leg": LegId::FIRST.0, "room": seat.room, "full": true });
            fx.event(EventType::ConferenceLeft, data);
            self.follow_hold(fx);
        }
    }
}
