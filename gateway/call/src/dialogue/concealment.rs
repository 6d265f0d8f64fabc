//! Concealment: while a secret is entered, what the caller says and presses reaches nobody. It begins before the secret is
//! asked for and ends a moment after the last key, so that what comes at its edges is hidden rather than shown.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_leg::{CallTime, LegId};

use super::entry::Ending;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::timers::Reason;

/// How long concealment outlasts the entry: the tone of the last key goes on for a while, and so may the caller.
const LINGERS_MS: u64 = 700;
/// Keys pressed meanwhile make it last, up to this.
const LONGEST_MS: u64 = 5000;

/// What is concealed.
#[derive(Debug, Default)]
pub(super) struct Concealment {
    /// The slot being collected.
    slot: Option<String>,
    /// When the entry was over, once it is.
    over: Option<CallTime>,
    /// When the last one ended: keys pressed before are hidden though they are told late.
    ended: Option<CallTime>,
}

impl Concealment {
    /// Whether anything is concealed.
    pub(super) const fn is_on(&self) -> bool {
        self.slot.is_some()
    }
}

impl Dialogue {
    /// Whether a key that was pressed then is nobody's business.
    pub(crate) fn conceals(&self, at: CallTime) -> bool {
        let hidden = &self.keypad.concealment;
        hidden.slot.is_some() || hidden.ended.is_some_and(|ended| at <= ended)
    }

    /// Whether nobody hears the caller now.
    pub(super) const fn is_concealed(&self) -> bool {
        self.keypad.concealment.is_on()
    }

    /// From here on nobody hears the caller.
    pub(super) fn conceal(&mut self, fx: &mut Effects, slot: &str) {
        let hidden = &mut self.keypad.concealment;
        hidden.over = None;
        fx.clear(Reason::Reveal);
        if hidden.slot.replace(slot.to_owned()).is_none() {
            fx.command(Command::Conceal { leg: LegId::FIRST, on: true });
        }
        fx.turn_event(EventType::Concealed, json!({ "slot": slot }));
    }

    /// The entry is over: the caller is heard again once all is quiet.
    pub(super) fn reveal_soon(&mut self, fx: &mut Effects) {
        self.keypad.concealment.over.get_or_insert(fx.now());
        fx.set_in(Reason::Reveal, LINGERS_MS);
    }

    /// A key that nobody is told of. True when there is nothing else to do about it.
    pub(super) fn hidden_key(&mut self, fx: &mut Effects) -> bool {
        let hidden = &self.keypad.concealment;
        if hidden.slot.is_none() {
            return true;
        }
        if let Some(over) = hidden.over {
            let latest = over.plus_ms(LONGEST_MS);
            let due = fx.now().plus_ms(LINGERS_MS).min(latest.max(fx.now().plus_ms(1)));
            fx.timers().set(Reason::Reveal, due);
            return true;
        }
        false
    }

    /// The caller is heard again, and what waited for that goes on.
    pub(super) fn reveal(&mut self, fx: &mut Effects) {
        let hidden = &mut self.keypad.concealment;
        let Some(slot) = hidden.slot.take() else { return };
        (hidden.over, hidden.ended) = (None, Some(fx.now()));
        fx.clear(Reason::Reveal);
        fx.command(Command::Conceal { leg: LegId::FIRST, on: false });
        let outcome = self.entry_ending().map_or("cancelled", Ending::name);
        fx.turn_event(EventType::Revealed, json!({ "slot": slot, "outcome": outcome }));
        if !self.closing {
            self.open_engine_that_waits(fx);
            self.entry_follows(fx);
            self.hear_words(fx);
        }
    }

    /// The call is over while something is concealed; it stays so.
    pub(super) fn concealed_to_the_end(&mut self, fx: &mut Effects) {
        if let Some(slot) = self.keypad.concealment.slot.clone() {
            let outcome = self.entry_ending().map_or("cancelled", Ending::name);
            self.keypad.concealment = Concealment { ended: Some(CallTime(u64::MAX)), ..Concealment::default() };
            fx.turn_event(EventType::Revealed, json!({ "slot": slot, "outcome": outcome }));
        }
    }
}
