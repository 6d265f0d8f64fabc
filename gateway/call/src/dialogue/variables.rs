//! What stands in braces in a prompt or greeting: the agent's variables, those that tools have set, and what is known of
//! the call. Nothing of it reaches the model past the redactor, whoever it came from.

use std::collections::BTreeMap;

use trunkline_api::time_zone::local_time;
use trunkline_api::words::RedactionChannel;
use trunkline_leg::{Anchor, CallTime};

use super::{Dialogue, Effects};
use crate::setup::CallSetup;
use crate::template::{fill, names};

/// Who calls, signed by whoever answers for the number.
const SIGNED: &str = "sip_identity";
/// Names that come from whoever calls.
const FROM_OUTSIDE: [&str; 2] = ["call.from", "call.to"];

/// What is known of the call.
#[derive(Debug)]
pub(super) struct Facts {
    call: String,
    anchor: Anchor,
    /// What came from outside, by name, as far as the redactor has let it through.
    outside: BTreeMap<String, String>,
    /// The same as it came.
    raw: [String; 2],
    /// Variables that were handed over with the call, as they came.
    given: BTreeMap<String, String>,
    /// The greeting waits for the redactor.
    greets: bool,
}

impl Facts {
    pub(super) fn new(setup: &CallSetup) -> Self {
        Self {
            call: setup.call.to_string(),
            anchor: setup.anchor,
            outside: BTreeMap::new(),
            raw: [setup.from.clone(), setup.to.clone()],
            given: setup.variables.clone(),
            greets: false,
        }
    }

    fn is_outside(&self, name: &str) -> bool {
        FROM_OUTSIDE.contains(&name) || self.given.contains_key(name)
    }
}

impl Dialogue {
    /// Learns who calls whom, where the agent's texts ask for it; true when the greeting has to wait for the redactor.
    pub(super) fn learn_who_calls(&mut self, fx: &mut Effects) -> bool {
        let spec = std::sync::Arc::clone(&self.spec);
        let called = FROM_OUTSIDE.into_iter().map(str::to_owned).zip(self.facts.raw.clone());
        let outside: Vec<(String, String)> = called.chain(self.facts.given.clone()).collect();
        for (name, value) in outside {
            let known =
                self.facts.outside.contains_key(&name) || self.redacting.iter().any(|(_, other)| *other == name);
            // What applications hand over may be asked for by any text and is handed on; the rest only by these.
            let given = is_handed_over(&name);
            if !known && (given || names(&spec.prompt, &name) || names(&spec.greeting, &name)) {
                match fx.redact(RedactionChannel::LlmInput, &value) {
                    Some(ticket) => self.redacting.push((ticket, name)),
                    None => drop(self.facts.outside.insert(name, value)),
                }
            }
        }
        let asks = names(&spec.greeting, "call.") || self.facts.given.keys().any(|name| names(&spec.greeting, name));
        self.facts.greets = self.waits_for_facts() && asks;
        self.facts.greets
    }

    /// A value is back from the redactor; false when it is another text.
    pub(super) fn variable_redacted(&mut self, fx: &mut Effects, ticket: u64, text: &str) -> bool {
        let Some(at) = self.redacting.iter().position(|(known, _)| *known == ticket) else { return false };
        let (_, name) = self.redacting.remove(at);
        if self.facts.is_outside(&name) {
            self.facts.outside.insert(name, text.to_owned());
            if self.facts.greets && !self.waits_for_facts() {
                self.facts.greets = false;
                if self.owes_greeting() {
                    return true;
                }
                self.greet(fx);
            }
        } else {
            self.variables.insert(name, text.to_owned());
        }
        true
    }

    fn waits_for_facts(&self) -> bool {
        self.redacting.iter().any(|(_, name)| self.facts.is_outside(name))
    }

    /// A text with its variables filled in, as of `now`.
    pub(super) fn with_variables(&self, now: CallTime, text: &str) -> String {
        fill(text, |name| self.variable(now, name))
    }

    /// What is handed over to whoever is dialled: `x_` variables, what one application tells the other, and who calls, signed.
    pub(super) fn handed_over(&self) -> Vec<(String, String)> {
        let names = self.facts.outside.keys().chain(self.variables.keys()).collect::<std::collections::BTreeSet<_>>();
        let goes = |name: &&&String| is_handed_over(name);
        let value = |name: &String| self.variables.get(name).or_else(|| self.facts.outside.get(name)).cloned();
        let mut handed: Vec<_> =
            names.iter().filter(goes).filter_map(|name| Some(((*name).clone(), value(name)?))).collect();
        // As it came, not as a redactor has left it, nor as anybody has set it: it is signed.
        handed.extend(self.facts.given.get_key_value(SIGNED).map(|(name, value)| (name.clone(), value.clone())));
        handed
    }

    /// Sets a variable, by way of the redactor when what goes to the model is redacted.
    pub(super) fn set_variable(&mut self, fx: &mut Effects, name: String, value: String) {
        match fx.redact(RedactionChannel::LlmInput, &value) {
            Some(ticket) => self.redacting.push((ticket, name)),
            None => {
                self.variables.insert(name, value);
            }
        }
    }

    /// The value of a name. What is known of the call cannot be set by anybody.
    fn variable(&self, now: CallTime, name: &str) -> Option<String> {
        let local = || local_time(self.facts.anchor.wall_us(now), &self.spec.time_zone);
        match name {
            "call.from" | "call.to" => Some(self.facts.outside.get(name).cloned().unwrap_or_default()),
            "call.id" => Some(self.facts.call.clone()),
            "now" => {
                let local = local();
                Some(format!("{} {} {}", local.weekday, local.date, local.time))
            }
            "now.date" => Some(local().date),
            "now.time" => Some(local().time),
            "now.weekday" => Some(local().weekday),
            // What a tool has set is newer than what was handed over.
            _ => self.variables.get(name).or_else(|| self.facts.outside.get(name)).cloned(),
        }
    }
}

/// Whether a variable is what applications tell each other by the call.
fn is_handed_over(name: &str) -> bool {
    name.starts_with("x_") || name == "sip_user_to_user"
}
