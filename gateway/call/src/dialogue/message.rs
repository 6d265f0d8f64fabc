//! A message that the caller leaves: the call's recording runs until a key is pressed or its time is up.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::usage::EndReason;
use trunkline_leg::{CallTime, LegId};

use super::keypad::{Place, Then};
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::timers::Reason;

/// A message being left.
#[derive(Debug)]
pub(super) struct Message {
    max_s: u32,
    then: String,
    /// When the caller could begin.
    pub(super) began: Option<CallTime>,
}

impl Dialogue {
    /// Asks for a message.
    pub(super) fn begin_message(&mut self, fx: &mut Effects, line: &str, max_s: u32, then: &str) {
        self.go_to(fx, Place::Message(Message { max_s, then: then.to_owned(), began: None }));
        self.tell(fx, line);
        self.mouth.finish(fx);
    }

    /// The caller was told, and speaks.
    pub(super) fn message_begins(&mut self, fx: &mut Effects) {
        let now = fx.now();
        let Place::Message(message) = &mut self.keypad.place else { return };
        message.began = Some(now);
        fx.set_in(Reason::KeysWait, u64::from(message.max_s.clamp(1, 600)) * 1000);
        fx.command(Command::Record { leg: LegId::FIRST, on: true });
    }

    /// The message is over.
    pub(super) fn message_over(&mut self, fx: &mut Effects) {
        let Place::Message(message) = &self.keypad.place else { return };
        let then = message.then.clone();
        if self.message_left(fx) {
            fx.command(Command::Record { leg: LegId::FIRST, on: false });
        }
        fx.clear(Reason::KeysWait);
        match Then::of(&then) {
            Then::Menu(menu) => self.open_menu(fx, &menu),
            Then::Agent => {
                self.go_to(fx, Place::Conversation);
                fx.close("", EndReason::AgentHungUp, None, false);
            }
        }
    }

    /// Tells of the message, once; false when none was begun.
    pub(super) fn message_left(&mut self, fx: &mut Effects) -> bool {
        let Place::Message(message) = &mut self.keypad.place else { return false };
        let Some(began) = message.began.take() else { return false };
        let data = json!({ "duration_ms": fx.now().since_ms(began) });
        fx.turn_event(EventType::MessageRecorded, data);
        true
    }
}
