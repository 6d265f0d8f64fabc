//! Slots: what the agent collects. The model finds out what to ask; whether a value is one, how it is written, whether the
//! caller has confirmed it and how often it may be wrong is decided here, and the model is told what to do next.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use trunkline_api::EventType;
use trunkline_api::agent::AgentSpec;
use trunkline_api::slots::{Slot, SlotConfirm, SlotKind};
use trunkline_api::words::{RedactionChannel, ToolCall, ToolDefinition};

use super::keypad::Leave;
use super::patience::Expected;
use super::{Dialogue, Effects};
use crate::secret::Secret;
use crate::slot::{self, Answer, Day};

/// Tools that are the call's own, beside those that end or transfer it.
const COLLECT: &str = "collect";
const CONFIRM: &str = "confirm";
const COLLECT_SECURE: &str = "collect_secure";
const OPEN_MENU: &str = "open_menu";
/// Longest value that the model may give, in bytes.
const LONGEST_VALUE: usize = 1000;

/// What is known of the agent's slots, each at its place in the agent's list.
#[derive(Debug)]
pub(super) struct Slots {
    states: Vec<State>,
    /// The one that is being asked for, as far as is known.
    asked: Option<usize>,
    /// Values that nobody may see.
    vault: BTreeMap<String, Secret>,
    told: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The value, once it counts; of a secret one what stands for it.
    value: Option<String>,
    /// A valid value that is not confirmed yet, and the turn it was given in.
    pending: Option<(String, u32)>,
    attempts: u32,
    gave_up: bool,
}

impl Slots {
    pub(super) fn new(spec: &AgentSpec) -> Self {
        let states = spec.slots.iter().map(|_| State::default()).collect();
        Self { states, asked: None, vault: BTreeMap::new(), told: false }
    }

    /// A slot's value, or what stands for it.
    pub(super) fn value(&self, at: usize) -> &str {
        self.states.get(at).and_then(|state| state.value.as_deref()).unwrap_or_default()
    }

    /// Forgets what nobody may see.
    pub(super) fn forget_secrets(&mut self) {
        self.vault.clear();
    }
}

/// What the model writes where a secret value is wanted.
fn token(name: &str) -> String {
    format!("{{{{secure:{name}}}}}")
}

impl Dialogue {
    /// Tools of the call's own that the model is offered.
    pub(super) fn own_definitions(&self) -> Vec<ToolDefinition> {
        let spec = &self.spec;
        let names = |wanted: fn(&Slot) -> bool| {
            spec.slots.iter().filter(|slot| wanted(slot)).map(|slot| slot.name.as_str()).collect::<Vec<_>>()
        };
        let (open, secret) = (names(|slot| slot.secure.is_none()), names(|slot| slot.secure.is_some()));
        let mut definitions = Vec::new();
        let mut define = |name: &str, description: String, properties: Value, required: &[&str]| {
            let parameters = json!({
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            });
            definitions.push(ToolDefinition { name: name.to_owned(), description, parameters: parameters.to_string() });
        };
        if !open.is_empty() {
            let mut what = "Checks and keeps what the caller gave for a slot. Pass it as it was said: the answer says \
                            whether it is valid and what to do next. Slots:"
                .to_owned();
            for slot in spec.slots.iter().filter(|slot| slot.secure.is_none()) {
                let need = if slot.required { "required" } else { "optional" };
                what.push_str(&format!(" {} ({}, {need})", slot.name, slot.kind.name()));
                if !slot.prompt.is_empty() {
                    what.push_str(&format!(": {:?}", slot.prompt));
                }
                what.push(';');
            }
            let value = json!({ "slot": { "enum": open }, "value": { "type": "string" } });
            define(COLLECT, what, value, &["slot", "value"]);
            if spec.slots.iter().any(|slot| slot.confirm == SlotConfirm::Readback && slot.secure.is_none()) {
                let what =
                    "Says whether the caller confirmed what was read back. Call it once the caller has answered.";
                let right = json!({ "slot": { "enum": open }, "right": { "type": "boolean" } });
                define(CONFIRM, what.to_owned(), right, &["slot", "right"]);
            }
        }
        if !secret.is_empty() {
            let what = "Has the caller enter a secret by keys, out of your hearing. Where a tool needs it, write \
                        {{secure:NAME}} with the slot's name as the argument.";
            define(COLLECT_SECURE, what.to_owned(), json!({ "slot": { "enum": secret } }), &["slot"]);
        }
        if spec.tools.iter().any(|tool| tool.name == OPEN_MENU) && !spec.menus.is_empty() {
            let menus: Vec<&String> = spec.menus.keys().collect();
            let what = "Leads the caller into a menu of keys; you are told what was chosen if it leads back to you.";
            define(OPEN_MENU, what.to_owned(), json!({ "menu": { "enum": menus } }), &["menu"]);
        }
        definitions
    }

    /// Carries out a tool of the call's own: what the model reads, and whether it is an error. `None` when it is not one.
    pub(super) fn own_tool(&mut self, fx: &mut Effects, call: &ToolCall) -> Option<(String, bool)> {
        let spec = Arc::clone(&self.spec);
        let ours = match call.name.as_str() {
            COLLECT | CONFIRM | COLLECT_SECURE => !spec.slots.is_empty(),
            OPEN_MENU => spec.tools.iter().any(|tool| tool.name == OPEN_MENU),
            _ => false,
        };
        if !ours {
            return None;
        }
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let text = |field: &str| arguments.get(field).and_then(Value::as_str).unwrap_or_default().trim();
        if matches!(call.name.as_str(), OPEN_MENU | COLLECT_SECURE) {
            if self.keypad.leaves.is_some() {
                return Some(("one thing at a time: the caller is led elsewhere already".to_owned(), true));
            }
            if self.tel.transfer.is_some() {
                // Whoever takes the call would be heard while nobody may be.
                return Some(("the caller is being passed on and enters nothing now".to_owned(), true));
            }
        }
        if call.name == OPEN_MENU {
            let menu = text("menu");
            if !spec.menus.contains_key(menu) {
                return Some((format!("there is no menu named {menu:?}"), true));
            }
            self.keypad.leaves = Some(Leave::Menu(menu.to_owned()));
            return Some(("The caller is led into the menu now.".to_owned(), false));
        }
        let name = text("slot");
        let Some((at, slot)) = spec.slots.iter().enumerate().find(|(_, slot)| slot.name == name) else {
            return Some((format!("there is no slot named {name:?}"), true));
        };
        let secret = slot.secure.is_some();
        Some(match call.name.as_str() {
            COLLECT_SECURE if secret => {
                self.keypad.leaves = Some(Leave::Entry(at));
                let output =
                    format!("The caller enters it now, out of your hearing. It is {} from then on.", token(name));
                (output, false)
            }
            COLLECT_SECURE => (format!("{name} is not secret; ask for it and call {COLLECT}"), true),
            _ if secret => (format!("{name} is secret; call {COLLECT_SECURE}"), true),
            CONFIRM => {
                let right = arguments.get("right").and_then(Value::as_bool).unwrap_or_default();
                self.confirm(fx, at, slot, right)
            }
            _ => {
                // A model may well write a number where a text is asked for.
                let given = match arguments.get("value") {
                    Some(Value::String(text)) => text.clone(),
                    Some(other @ (Value::Number(_) | Value::Bool(_))) => other.to_string(),
                    Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => String::new(),
                };
                self.collect(fx, at, slot, &given)
            }
        })
    }

    /// A slot has its value.
    pub(super) fn slot_filled(
        &mut self,
        fx: &mut Effects,
        at: usize,
        value: &Secret,
        by: &str,
        confirmed: bool,
        attempts: u32,
    ) {
        let spec = Arc::clone(&self.spec);
        let (Some(slot), Some(state)) = (spec.slots.get(at), self.slots.states.get_mut(at)) else { return };
        if slot.secure.is_none() {
            self.fill(fx, at, value.expose(), by, confirmed, attempts);
            return;
        }
        let name = &slot.name;
        self.slots.vault.insert(name.clone(), value.clone());
        (state.pending, state.gave_up, state.value) = (None, false, Some(token(name)));
        self.slots.asked = None;
        let data = json!({
            "slot": name, "kind": slot.kind.name(), "by": by, "confirmed": confirmed, "attempts": attempts,
        });
        fx.turn_event(EventType::SlotFilled, data);
        self.variables.insert(format!("slot.{name}"), token(name));
        self.expect_next();
    }

    /// What was given for a slot is not good.
    pub(super) fn slot_refused(&mut self, fx: &mut Effects, at: usize, why: &str, attempt: u32, gave_up: bool) {
        let spec = Arc::clone(&self.spec);
        let (Some(slot), Some(state)) = (spec.slots.get(at), self.slots.states.get_mut(at)) else { return };
        (state.pending, state.gave_up) = (None, gave_up);
        self.slots.asked = (!gave_up).then_some(at);
        // Why a secret is none may tell how long it was.
        let why = if slot.secure.is_some() { "not a valid entry" } else { why };
        let data = json!({ "slot": slot.name, "reason": why, "attempt": attempt, "gave_up": gave_up });
        fx.turn_event(EventType::SlotRefused, data);
        self.expect_next();
    }

    /// The ears are told what is being asked for, so that they give the caller time for it.
    pub(super) fn expect_next(&mut self) {
        let open = |(_, (slot, state)): &(usize, (&Slot, &State))| {
            slot.required && slot.secure.is_none() && state.value.is_none() && !state.gave_up
        };
        let mut slots = self.spec.slots.iter().zip(&self.slots.states).enumerate();
        let at = self.slots.asked.or_else(|| slots.find(open).map(|(at, _)| at));
        let kind = at.and_then(|at| self.spec.slots.get(at)).map(|slot| &slot.kind);
        let expected = kind.and_then(|kind| match kind {
            SlotKind::Digits { min, max } => Some(Expected { min: *min, max: *max }),
            SlotKind::Phone => Some(Expected { min: 5, max: u32::MAX }),
            SlotKind::CardNumber => Some(Expected { min: 12, max: 19 }),
            SlotKind::Iban
            | SlotKind::Name
            | SlotKind::Email
            | SlotKind::Custom { .. }
            | SlotKind::PostalCode { .. } => Some(Expected { min: 0, max: u32::MAX }),
            SlotKind::Text
            | SlotKind::Date
            | SlotKind::Time
            | SlotKind::Number
            | SlotKind::Choice { .. }
            | SlotKind::YesNo
            | SlotKind::CardExpiry => None,
        });
        self.ears.expects(expected);
    }

    /// What the call has collected, once, at its end.
    pub(super) fn tell_slots(&mut self, fx: &mut Effects) {
        if self.spec.slots.is_empty() || std::mem::replace(&mut self.slots.told, true) {
            return;
        }
        let hidden = fx.redacts(RedactionChannel::Transcript);
        let (mut filled, mut missing) = (Map::new(), Map::new());
        for (slot, state) in self.spec.slots.iter().zip(&self.slots.states) {
            match &state.value {
                Some(_) if hidden || slot.secure.is_some() => filled.insert(slot.name.clone(), Value::Null),
                Some(value) => filled.insert(slot.name.clone(), value.clone().into()),
                None => missing.insert(slot.name.clone(), slot.required.into()),
            };
        }
        fx.event(EventType::SlotsCollected, json!({ "filled": filled, "missing": missing }));
    }

    /// Arguments of a tool with the secret values that it may have in the place of what stands for them.
    pub(crate) fn with_secrets(&self, tool: &str, arguments: &str) -> String {
        let mut filled = arguments.to_owned();
        for slot in &self.spec.slots {
            let may = slot.secure.as_ref().is_some_and(|secure| secure.tools.iter().any(|name| name == tool));
            if let (true, Some(value)) = (may, self.slots.vault.get(&slot.name)) {
                // Nothing but digits, so that it needs no escape.
                filled = filled.replace(&token(&slot.name), value.expose());
            }
        }
        filled
    }

    /// Puts what stands for a secret in its place, wherever a tool gives one away.
    pub(super) fn without_secrets(&self, text: &mut String) {
        for (name, value) in &self.slots.vault {
            hide(text, value.expose(), &token(name));
        }
    }

    fn collect(&mut self, fx: &mut Effects, at: usize, slot: &Slot, given: &str) -> (String, bool) {
        let today = Day::of_wall_us(fx.wall_us());
        let turn = fx.turn();
        let Some(state) = self.slots.states.get_mut(at) else { return (String::new(), true) };
        if state.gave_up {
            return (format!("{} was given up; go on without it", slot.name), true);
        }
        let value = if given.len() > LONGEST_VALUE {
            Err("it is too long".to_owned())
        } else {
            slot::said(&slot.kind, given, &self.spec.language, today)
        };
        let value = match value {
            Ok(value) => value,
            Err(why) => return self.refused(fx, at, slot, &why),
        };
        let first = state.pending.take();
        match slot.confirm {
            SlotConfirm::Never => {}
            SlotConfirm::Readback => {
                let line = slot::read_back(&slot.kind, &value, &self.spec.language);
                state.pending = Some((value, turn));
                self.slots.asked = Some(at);
                let output = format!(
                    "Valid. Now say exactly: \"{line}\" and ask whether that is right. When the caller has answered, call \
                     {CONFIRM}. It does not count before."
                );
                return (output, false);
            }
            SlotConfirm::DoubleEntry => match first {
                None => {
                    state.pending = Some((value, turn));
                    self.slots.asked = Some(at);
                    let output = format!(
                        "Valid. Ask the caller to say it once more and call {COLLECT} with that. It does not count before."
                    );
                    return (output, false);
                }
                Some((first, given_in)) if given_in == turn => {
                    state.pending = Some((first, given_in));
                    let output = "The caller has not said it a second time yet; ask for it.";
                    return (output.to_owned(), true);
                }
                Some((first, _)) if first != value => {
                    return self.refused(fx, at, slot, "the second one differs from the first");
                }
                Some(_) => {}
            },
        }
        self.filled_by_words(fx, at, slot, &value, slot.confirm != SlotConfirm::Never)
    }

    fn confirm(&mut self, fx: &mut Effects, at: usize, slot: &Slot, right: bool) -> (String, bool) {
        let turn = fx.turn();
        let Some(state) = self.slots.states.get_mut(at) else { return (String::new(), true) };
        let Some((value, given_in)) = state.pending.take() else {
            return (format!("nothing is waiting to be confirmed; call {COLLECT} first"), true);
        };
        let words = self.mind.reply().map_or("", |reply| reply.input.as_str());
        let answer = slot::answer(words, &self.spec.language);
        if given_in == turn {
            state.pending = Some((value, given_in));
            return ("The caller has not answered yet: read it back and wait for the answer.".to_owned(), true);
        }
        match (right, answer) {
            (true, Answer::No) | (false, _) => self.refused(fx, at, slot, "the caller says it is wrong"),
            (true, Answer::Unclear) if words.trim().is_empty() => {
                state.pending = Some((value, given_in));
                ("The caller has not answered; ask again.".to_owned(), true)
            }
            (true, Answer::Yes | Answer::Unclear) => self.filled_by_words(fx, at, slot, &value, true),
        }
    }

    fn filled_by_words(
        &mut self,
        fx: &mut Effects,
        at: usize,
        slot: &Slot,
        value: &str,
        confirmed: bool,
    ) -> (String, bool) {
        let attempts = self.slots.states.get(at).map_or(0, |state| state.attempts) + 1;
        self.fill(fx, at, value, "words", confirmed, attempts);
        let left: Vec<&str> = self
            .spec
            .slots
            .iter()
            .zip(&self.slots.states)
            .filter(|(slot, state)| slot.required && state.value.is_none() && !state.gave_up)
            .map(|(slot, _)| slot.name.as_str())
            .collect();
        let next = match left.first() {
            None => "Everything that is required is there.".to_owned(),
            Some(next) => format!("Still required: {}. Ask for {next} next.", left.join(", ")),
        };
        (format!("Accepted: {} is {value}. {next}", slot.name), false)
    }

    fn fill(&mut self, fx: &mut Effects, at: usize, value: &str, by: &str, confirmed: bool, attempts: u32) {
        let spec = Arc::clone(&self.spec);
        let (Some(slot), Some(state)) = (spec.slots.get(at), self.slots.states.get_mut(at)) else { return };
        (state.pending, state.gave_up, state.value) = (None, false, Some(value.to_owned()));
        self.slots.asked = None;
        let mut data = json!({
            "slot": slot.name, "kind": slot.kind.name(), "by": by, "confirmed": confirmed, "attempts": attempts,
        });
        if !fx.redacts(RedactionChannel::Transcript) {
            data["value"] = value.into();
        }
        fx.turn_event(EventType::SlotFilled, data);
        self.set_variable(fx, format!("slot.{}", slot.name), value.to_owned());
        self.expect_next();
    }

    fn refused(&mut self, fx: &mut Effects, at: usize, slot: &Slot, why: &str) -> (String, bool) {
        let Some(state) = self.slots.states.get_mut(at) else { return (String::new(), true) };
        state.attempts += 1;
        let attempt = state.attempts;
        let gave_up = attempt >= slot.attempts;
        self.slot_refused(fx, at, why, attempt, gave_up);
        if !gave_up {
            let again = if slot.prompt.is_empty() { String::new() } else { format!(" {:?}", slot.prompt) };
            return (format!("Invalid: {why}. Ask the caller again.{again}"), true);
        }
        if slot.on_failure.is_some() {
            self.keypad.leaves = Some(Leave::Failed(at));
        }
        (format!("Invalid: {why}. That was the last attempt: go on without {}.", slot.name), true)
    }
}

/// Replaces digits that stand one after the other, with whatever spaces or hyphens lie between them.
fn hide(text: &mut String, secret: &str, instead: &str) {
    let mut from = 0;
    while let Some((begin, end)) = find(text, from, secret) {
        text.replace_range(begin..end, instead);
        // What stands for it may hold such digits itself.
        from = begin + instead.len();
    }
}

/// Where a secret stands in a text, from a place on.
fn find(text: &str, from: usize, secret: &str) -> Option<(usize, usize)> {
    let starts = text.char_indices().map(|(at, _)| at).skip_while(|at| *at < from);
    let first = secret.chars().next()?;
    starts.filter(|at| text[*at..].starts_with(first)).find_map(|begin| {
        let mut wanted = secret.chars().peekable();
        for (at, c) in text[begin..].char_indices() {
            if wanted.peek() == Some(&c) {
                wanted.next();
                if wanted.peek().is_none() {
                    return Some((begin, begin + at + c.len_utf8()));
                }
            } else if !matches!(c, ' ' | '-') {
                return None;
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_however_it_is_grouped() {
        for text in
            ["card 4111111111111111 charged", "card 4111 1111 1111 1111 charged", "card 4111-1111-1111-1111 charged"]
        {
            let mut text = text.to_owned();
            hide(&mut text, "4111111111111111", "{{secure:card}}");
            assert_eq!(text, "card {{secure:card}} charged");
        }
        let mut text = "12 1 2 123".to_owned();
        hide(&mut text, "12", "x");
        assert_eq!(text, "x x x3");
        let mut text = "1 and 2".to_owned();
        hide(&mut text, "1", "{{secure:pin1}}");
        assert_eq!(text, "{{secure:pin1}} and 2", "though its name has it, too");
    }
}
