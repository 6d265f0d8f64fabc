//! An entry by keys: digits until `#`, until there are as many as there may be, or until no more come; `*` begins anew.

use std::sync::Arc;

use trunkline_api::slots::{Slot, SlotConfirm};

use super::keypad::{Place, Then};
use super::{Dialogue, Effects};
use crate::secret::Secret;
use crate::slot;
use crate::timers::Reason;

/// Least wait for a further key when there are enough already: people read long numbers off in groups.
const GROUP_MS: u64 = 2500;

/// An entry in the making.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its place in the agent's list.
    pub(super) slot: usize,
    then: Then,
    keys: Secret,
    stage: Stage,
    /// Entries that were not good.
    attempts: u32,
}

#[derive(Debug)]
enum Stage {
    First,
    /// A second time the same.
    Again(Secret),
    /// It was read back: `1` is yes.
    ReadBack(String),
    /// It is over; what follows waits for the end of the concealment.
    Over(Ending),
}

/// How an entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Filled,
    Refused,
    TimedOut,
}

impl Ending {
    /// Its name in events.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Filled => "filled",
            Self::Refused => "refused",
            Self::TimedOut => "timeout",
        }
    }
}

impl Entry {
    /// Whether a deadline for what has been entered runs already.
    pub(super) fn is_begun(&self) -> bool {
        !self.keys.is_empty() || matches!(self.stage, Stage::Over(_))
    }
}

impl Dialogue {
    /// Has a slot filled by keys.
    pub(super) fn begin_entry(&mut self, fx: &mut Effects, slot: usize, then: Then) {
        let spec = Arc::clone(&self.spec);
        let Some(policy) = spec.slots.get(slot) else { return };
        let entry = Entry { slot, then, keys: Secret::default(), stage: Stage::First, attempts: 0 };
        self.go_to(fx, Place::Entry(entry));
        if policy.secure.is_some() {
            self.conceal(fx, &policy.name);
        }
        self.ask_for_entry(fx, policy);
    }

    /// A key of an entry.
    pub(super) fn entry_key(&mut self, fx: &mut Effects, key: char) {
        let spec = Arc::clone(&self.spec);
        let Place::Entry(entry) = &mut self.keypad.place else { return };
        let Some(policy) = spec.slots.get(entry.slot) else { return };
        let (min, max) = policy.kind.keys().unwrap_or((1, trunkline_api::slots::MOST_DIGITS));
        match (&entry.stage, key) {
            (Stage::Over(_), _) => {}
            (Stage::ReadBack(_), '1') => self.entry_filled(fx, policy, true),
            (Stage::ReadBack(_), _) => self.entry_refused(fx, policy, Ending::Refused, "the caller did not confirm it"),
            (Stage::First | Stage::Again(_), '*') => {
                entry.keys.clear();
                fx.clear(Reason::KeysWait);
            }
            (Stage::First | Stage::Again(_), '#') => self.entry_complete(fx, policy),
            (Stage::First | Stage::Again(_), '0'..='9') => {
                entry.keys.push(key);
                let count = u32::try_from(entry.keys.len()).unwrap_or(u32::MAX);
                if count >= max {
                    self.entry_complete(fx, policy);
                    return;
                }
                let wait_ms = if count >= min {
                    GROUP_MS.max(u64::from(spec.turn.dtmf_gap_ms))
                } else {
                    u64::from(policy.key_wait_ms)
                };
                fx.set_in(Reason::KeysWait, wait_ms);
            }
            (Stage::First | Stage::Again(_), _) => {}
        }
    }

    /// No further key has come.
    pub(super) fn entry_overdue(&mut self, fx: &mut Effects) {
        let spec = Arc::clone(&self.spec);
        let Place::Entry(entry) = &self.keypad.place else { return };
        let Some(policy) = spec.slots.get(entry.slot) else { return };
        if matches!(entry.stage, Stage::Over(_)) {
            return;
        }
        if entry.keys.is_empty() {
            self.entry_refused(fx, policy, Ending::TimedOut, "no key was pressed");
        } else {
            self.entry_complete(fx, policy);
        }
    }

    /// The prompt of the entry again: its sound was lost.
    pub(super) fn entry_again(&mut self, fx: &mut Effects) {
        let spec = Arc::clone(&self.spec);
        if let Place::Entry(entry) = &self.keypad.place
            && !entry.is_begun()
            && let Some(policy) = spec.slots.get(entry.slot)
        {
            self.ask_for_entry(fx, policy);
        }
    }

    /// What follows an entry that is over, now that nothing is concealed any more.
    pub(super) fn entry_follows(&mut self, fx: &mut Effects) {
        let spec = Arc::clone(&self.spec);
        let Place::Entry(Entry { slot, then, stage: Stage::Over(ending), .. }) = &self.keypad.place else { return };
        let (slot, then, ending) = (*slot, then.clone(), *ending);
        let Some(policy) = spec.slots.get(slot) else { return };
        let name = &policy.name;
        if ending == Ending::Filled {
            let value = self.slots.value(slot).to_owned();
            self.go_on_with(fx, &then, &format!("[{name} entered by keys: {value}]"));
        } else if let Some(action) = &policy.on_failure {
            self.act_on(fx, None, action);
        } else {
            self.go_on_with(fx, &then, &format!("[{name} could not be collected by keys]"));
        }
    }

    /// How the entry ended, when it has.
    pub(super) const fn entry_ending(&self) -> Option<Ending> {
        match &self.keypad.place {
            Place::Entry(Entry { stage: Stage::Over(ending), .. }) => Some(*ending),
            Place::Entry(_) | Place::Conversation | Place::Menu(_) | Place::Message(_) => None,
        }
    }

    fn ask_for_entry(&mut self, fx: &mut Effects, policy: &Slot) {
        fx.clear(Reason::KeysWait);
        self.tell(fx, &policy.prompt);
        self.mouth.finish(fx);
    }

    /// All keys of the entry are there.
    fn entry_complete(&mut self, fx: &mut Effects, policy: &Slot) {
        fx.clear(Reason::KeysWait);
        let today = slot::Day::of_wall_us(fx.wall_us());
        let Place::Entry(entry) = &mut self.keypad.place else { return };
        let keys = std::mem::take(&mut entry.keys);
        let checked = if keys.is_empty() {
            Err("no key was pressed")
        } else {
            slot::keyed(&policy.kind, keys.expose(), today).map(|value| Secret::from(value.as_str()))
        };
        let value = match checked {
            Ok(value) => value,
            Err(why) => return self.entry_refused(fx, policy, Ending::Refused, why),
        };
        match (policy.confirm, std::mem::replace(&mut entry.stage, Stage::First)) {
            (SlotConfirm::DoubleEntry, Stage::Again(first)) if first.expose() != value.expose() => {
                self.entry_refused(fx, policy, Ending::Refused, "the second entry is another one");
            }
            (SlotConfirm::DoubleEntry, Stage::First) => {
                entry.stage = Stage::Again(value);
                self.ask_for_entry(fx, policy);
            }
            (SlotConfirm::Readback, _) => {
                let language = self.spec.language.clone();
                let line = slot::read_back_and_ask(&policy.kind, value.expose(), &language);
                entry.stage = Stage::ReadBack(value.expose().to_owned());
                self.say(fx, &line, false);
                self.mouth.finish(fx);
            }
            (SlotConfirm::Never | SlotConfirm::DoubleEntry, stage) => {
                entry.keys = value;
                self.entry_filled(fx, policy, matches!(stage, Stage::Again(_)));
            }
        }
    }

    fn entry_filled(&mut self, fx: &mut Effects, policy: &Slot, confirmed: bool) {
        let Place::Entry(entry) = &mut self.keypad.place else { return };
        let value = match std::mem::replace(&mut entry.stage, Stage::Over(Ending::Filled)) {
            Stage::ReadBack(value) => Secret::from(value.as_str()),
            Stage::First | Stage::Again(_) | Stage::Over(_) => std::mem::take(&mut entry.keys),
        };
        let (slot, attempts) = (entry.slot, entry.attempts + 1);
        self.slot_filled(fx, slot, &value, "keys", confirmed, attempts);
        self.entry_over(fx, policy);
    }

    fn entry_refused(&mut self, fx: &mut Effects, policy: &Slot, ending: Ending, why: &str) {
        let Place::Entry(entry) = &mut self.keypad.place else { return };
        fx.clear(Reason::KeysWait);
        entry.attempts += 1;
        entry.keys.clear();
        let gave_up = entry.attempts >= policy.attempts;
        let (slot, attempts) = (entry.slot, entry.attempts);
        entry.stage = if gave_up { Stage::Over(ending) } else { Stage::First };
        self.slot_refused(fx, slot, why, attempts, gave_up);
        if gave_up {
            self.entry_over(fx, policy);
        } else {
            self.ask_for_entry(fx, policy);
        }
    }

    /// A concealed entry is followed once nothing is concealed any more.
    fn entry_over(&mut self, fx: &mut Effects, policy: &Slot) {
        fx.clear(Reason::KeysWait);
        if policy.secure.is_some() {
            self.reveal_soon(fx);
        } else {
            self.entry_follows(fx);
        }
    }
}
