//! Where the caller is: in the conversation, in a menu, at an entry by keys, or leaving a message. Only in the conversation
//! do words and keys make turns.

use trunkline_leg::{CallTime, DtmfDigit};

use super::concealment::Concealment;
use super::entry::Entry;
use super::menus::Open;
use super::message::Message;
use super::{Dialogue, Effects};
use crate::timers::{Reason, Still};

/// Where the caller is.
#[derive(Debug, Default)]
pub(super) enum Place {
    #[default]
    Conversation,
    Menu(Open),
    Entry(Entry),
    Message(Message),
}

/// Where the caller goes once the tools of a reply have answered.
#[derive(Debug)]
pub(super) enum Leave {
    /// Into a menu.
    Menu(String),
    /// To the entry of a slot, by its place in the agent's list.
    Entry(usize),
    /// What a slot does that could not be filled.
    Failed(usize),
}

/// What follows an entry or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    Menu(String),
    Agent,
}

impl Then {
    /// What an action's `then` says.
    pub(super) fn of(menu: &str) -> Self {
        if menu.is_empty() { Self::Agent } else { Self::Menu(menu.to_owned()) }
    }
}

/// The caller's keys and who gets them.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    pub(super) place: Place,
    pub(super) concealment: Concealment,
    pub(super) leaves: Option<Leave>,
    /// The menu from which the caller was passed on, to come back to when nobody takes the call.
    pub(super) back_to: Option<String>,
}

impl Keypad {
    /// Whether the caller is anywhere but in the conversation.
    pub(super) const fn is_away(&self) -> bool {
        !matches!(self.place, Place::Conversation)
    }

    /// Whether words of the caller count.
    pub(super) const fn hears(&self) -> bool {
        match &self.place {
            Place::Conversation => true,
            Place::Menu(open) => open.words,
            Place::Entry(_) | Place::Message(_) => false,
        }
    }
}

impl Dialogue {
    /// A key of a caller who is not in the conversation.
    pub(super) fn keypad_key(&mut self, fx: &mut Effects, digit: DtmfDigit) {
        if !self.mouth.is_protected() {
            self.hush(fx);
        }
        match &self.keypad.place {
            Place::Conversation => {}
            Place::Menu(_) => self.menu_key(fx, digit.as_char()),
            Place::Entry(_) => self.entry_key(fx, digit.as_char()),
            Place::Message(_) => self.message_over(fx),
        }
    }

    /// The caller has pressed nothing for long, or the time of a message is up.
    pub(super) fn keypad_overdue(&mut self, fx: &mut Effects) {
        match &self.keypad.place {
            Place::Conversation => {}
            Place::Menu(_) => self.menu_unanswered(fx, false),
            Place::Entry(_) => self.entry_overdue(fx),
            Place::Message(_) => self.message_over(fx),
        }
    }

    /// Arms what watches over a caller who is not in the conversation, after every input.
    pub(super) fn settle_keypad(&mut self, fx: &mut Effects, live: bool) {
        if !live || self.closing || !self.keypad.is_away() {
            fx.clear(Reason::KeysWait);
            return;
        }
        let idle = self.mouth.is_silent() && self.ears.is_quiet() && !self.ears.speech_on();
        let wait_ms = match &self.keypad.place {
            Place::Conversation => return,
            Place::Menu(open) => self.spec.menus.get(&open.name).map_or(0, |menu| u64::from(menu.timeout_ms)),
            Place::Entry(entry) if entry.is_begun() => return,
            Place::Entry(entry) => self.spec.slots.get(entry.slot).map_or(0, |slot| u64::from(slot.key_wait_ms)),
            Place::Message(message) if message.began.is_some() => return,
            Place::Message(_) => {
                if self.mouth.is_silent() {
                    self.message_begins(fx);
                }
                return;
            }
        };
        if !idle {
            fx.clear(Reason::KeysWait);
        } else if !fx.timers().is_set(Reason::KeysWait) {
            fx.set_in(Reason::KeysWait, wait_ms.max(1000));
        }
    }

    /// A far end that does not hear, or cannot be heard, presses nothing.
    pub(super) fn hold_keypad(&self, fx: &mut Effects, held: bool) {
        let counts = match &self.keypad.place {
            Place::Entry(entry) => entry.is_begun(),
            Place::Message(_) => true,
            Place::Conversation | Place::Menu(_) => false,
        };
        if !counts {
            // Whoever comes back has the whole time.
            fx.clear(Reason::KeysWait);
        }
        fx.timers().stand_still(Reason::KeysWait, Still::Hold, held);
    }

    /// Leaves wherever the caller is for `place`: nothing of before is said, thought or waited for.
    pub(super) fn go_to(&mut self, fx: &mut Effects, place: Place) {
        if self.keypad.concealment.is_on() && !matches!(place, Place::Entry(_)) {
            self.reveal_soon(fx);
        }
        self.keypad.place = place;
        self.keys.forget(fx);
        fx.clear(Reason::KeysWait);
        self.pending.clear();
        self.rest.clear();
        (self.overlap, self.rejoin) = (None, None);
        self.overheard = false;
        self.mouth.resume(fx);
        self.stop_thinking(fx);
        self.ears.stop_listening(fx);
        if self.keypad.hears() {
            self.hear_words(fx);
        } else {
            self.ears.close(fx);
        }
    }

    /// Back to the conversation. `line` is said first; without one the agent answers `note`, which tells it what happened.
    pub(super) fn hand_to_agent(&mut self, fx: &mut Effects, line: &str, note: &str) {
        self.go_to(fx, Place::Conversation);
        self.silence_prompts = 0;
        if line.is_empty() && !note.is_empty() {
            let now = fx.now();
            self.ears.keyed(now, now);
            self.input(fx, note);
            return;
        }
        if !note.is_empty() && self.can_think() {
            self.engine_learns(note);
            let note = trunkline_api::words::Message::text(trunkline_api::words::Role::User, note);
            self.memory.push(note);
        }
        let line = self.with_variables(fx.now(), line);
        self.say(fx, &line, false);
        self.mouth.finish(fx);
    }

    /// Goes on behind an entry or a message.
    pub(super) fn go_on_with(&mut self, fx: &mut Effects, then: &Then, note: &str) {
        match then {
            Then::Menu(menu) => self.open_menu(fx, menu),
            Then::Agent => self.hand_to_agent(fx, "", note),
        }
    }

    /// The tools of a reply have answered, and one of them leads elsewhere.
    pub(super) fn leave(&mut self, fx: &mut Effects, leave: Leave) {
        let (_, tools) = self.mind.over();
        self.abandon_tools(fx, tools);
        self.mouth.finish(fx);
        match leave {
            Leave::Menu(menu) => self.open_menu(fx, &menu),
            Leave::Entry(slot) => self.begin_entry(fx, slot, Then::Agent),
            Leave::Failed(slot) => {
                let spec = std::sync::Arc::clone(&self.spec);
                if let Some(action) = spec.slots.get(slot).and_then(|slot| slot.on_failure.as_ref()) {
                    self.act_on(fx, None, action);
                }
            }
        }
        self.turn_over(fx);
    }

    /// Says a line of the agent's with its variables, after which nothing follows.
    pub(super) fn tell(&mut self, fx: &mut Effects, line: &str) {
        let line = self.with_variables(fx.now(), line);
        self.say(fx, &line, false);
    }

    /// When the caller entered something last, at most now.
    pub(super) fn touched(&mut self, fx: &Effects, at: CallTime) {
        self.silence_prompts = 0;
        self.quiet_since = self.quiet_since.max(at.min(fx.now()));
    }

    /// Stops what is being said: the caller has heard enough of it.
    fn hush(&mut self, fx: &mut Effects) {
        self.rest.clear();
        if self.mouth.is_speaking() || self.mouth.is_cutting() {
            self.mouth.stop(fx);
        }
    }

    /// Has a recogniser listen, where words count.
    pub(super) fn hear_words(&mut self, fx: &mut Effects) {
        if self.keypad.concealment.is_on() || !self.keypad.hears() {
            return;
        }
        if !self.ears.is_deaf_by_choice() && !self.ears.pushes_to_talk() && !self.ears.is_open() {
            self.ears.open(fx, None);
        }
    }
}
