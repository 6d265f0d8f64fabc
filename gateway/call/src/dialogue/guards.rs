//! Guardrails: what the caller said is checked before the model sees it, and each sentence of the model's before it is
//! spoken and remembered. An agent that says the same again and again, or talks for ever, is stopped.

use std::collections::BTreeMap;

use serde_json::json;
use trunkline_api::agent::{GuardAction, GuardRule};
use trunkline_api::usage::EndReason;
use trunkline_api::words::{Message, Role};
use trunkline_api::{EventType, Failure};

use super::failure::action_name;
use super::mind::Then;
use super::{Dialogue, Effects};

/// Stands in the conversation for words that the model must not see.
const WITHHELD: &str = "[what the caller said is withheld]";
/// Letters and digits of a sentence from which on it is counted: "Okay." may be said often.
const COUNTED: usize = 12;
/// Most sentences of a turn that are counted.
const MOST: usize = 64;

/// What the agent has said in turns that follow one another, and how often.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    turn: u32,
    before: BTreeMap<String, u32>,
    now: BTreeMap<String, u32>,
}

impl Repeats {
    /// A sentence is said in a turn; in how many turns in a row it now was.
    fn said(&mut self, turn: u32, sentence: &str) -> u32 {
        if turn != self.turn {
            let before = std::mem::take(&mut self.now);
            self.before = if turn == self.turn + 1 { before } else { BTreeMap::new() };
            self.turn = turn;
        }
        let bare: String = sentence.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        if bare.chars().count() < COUNTED || (self.now.len() >= MOST && !self.now.contains_key(&bare)) {
            return 0;
        }
        let count = 1 + self.before.get(&bare).copied().unwrap_or(0);
        self.now.insert(bare, count);
        count
    }
}

impl Dialogue {
    /// What the model may see of what the caller said; `None` when the turn is dealt with without it.
    pub(super) fn may_see(&mut self, fx: &mut Effects, text: &str) -> Option<String> {
        let spec = std::sync::Arc::clone(&self.spec);
        let mut seen = text.to_owned();
        for rule in spec.guardrails.input.iter().filter(|rule| !rule_is_idle(rule)) {
            if !rule.applies(&seen) {
                continue;
            }
            tripped(fx, &rule.name, "input", &rule.action);
            match &rule.action {
                GuardAction::Replace { with } => seen = rule.replaced(&seen, with),
                action @ (GuardAction::Block { .. }
                | GuardAction::HangUp { .. }
                | GuardAction::HandOff { .. }
                | GuardAction::Transfer { .. }) => {
                    self.memory.push(Message::text(Role::User, WITHHELD));
                    self.instead_of_thinking(fx, action);
                    return None;
                }
            }
        }
        Some(seen)
    }

    /// Whether the model may be asked beforehand: words that a rule applies to are dealt with once they are certain.
    pub(super) fn may_guess(&self, text: &str) -> bool {
        !self.spec.guardrails.input.iter().any(|rule| rule.applies(text))
    }

    /// What may be said of a sentence of the model's; `None` when the reply is cut short there.
    pub(super) fn may_say(&mut self, fx: &mut Effects, sentence: String) -> Option<String> {
        let spec = std::sync::Arc::clone(&self.spec);
        let guards = &spec.guardrails;
        let mut said = sentence;
        for rule in &guards.output {
            if !rule.applies(&said) {
                continue;
            }
            tripped(fx, &rule.name, "output", &rule.action);
            let then = match &rule.action {
                GuardAction::Replace { with } => {
                    said = rule.replaced(&said, with);
                    continue;
                }
                GuardAction::Block { .. } => Then::Listen,
                GuardAction::HangUp { .. } => Then::HangUp,
                GuardAction::HandOff { to } => self.hand_off_to(to, String::new()).unwrap_or_default(),
                GuardAction::Transfer { to } => Then::Transfer(to.clone()),
            };
            let line = match &rule.action {
                GuardAction::Block { say } => say.as_str(),
                GuardAction::HangUp { text } => text,
                GuardAction::Replace { .. } | GuardAction::HandOff { .. } | GuardAction::Transfer { .. } => "",
            };
            self.cut_short(fx, line, then);
            return None;
        }
        if let Some(topic) = guards.topics.iter().find(|topic| topic.is_in(&said)) {
            let action = GuardAction::Block { say: guards.refusal.clone() };
            tripped(fx, topic.source(), "output", &action);
            self.cut_short(fx, &guards.refusal, Then::Listen);
            return None;
        }
        Some(said)
    }

    /// What a model is told of the topics that it must leave alone.
    pub(super) fn forbidden(&self) -> String {
        let topics: Vec<&str> = self.spec.guardrails.topics.iter().map(|topic| topic.source()).collect();
        if topics.is_empty() { String::new() } else { format!("Never speak about: {}.", topics.join(", ")) }
    }

    /// A sentence is about to be said: true when the agent has said it too often.
    pub(super) fn repeats_itself(&mut self, fx: &mut Effects, sentence: &str) -> bool {
        let most = self.spec.guardrails.max_repeats;
        if most == 0 || self.repeats.said(fx.turn(), sentence) <= most {
            return false;
        }
        self.mind.cut_short(fx, Then::Listen);
        self.mind.forget_outgoing();
        self.guard_failed(fx, Failure::AgentRepeats, &format!("guardrails.max_repeats is {most}"));
        true
    }

    /// Whether the call has had its turns.
    pub(super) fn has_had_its_turns(&mut self, fx: &mut Effects) -> bool {
        let most = self.spec.guardrails.max_turns;
        if most == 0 || fx.turn() < most {
            return false;
        }
        self.pending.clear();
        self.drop_guess(fx);
        self.guard_failed(fx, Failure::TooManyTurns, &format!("guardrails.max_turns is {most}"));
        true
    }

    fn guard_failed(&mut self, fx: &mut Effects, failure: Failure, detail: &str) {
        let action = self.action_without_next(failure);
        fx.raise(failure, "", detail, action_name(&action));
        self.act(fx, failure, action);
    }

    /// The rest of the reply is not said; a line is, when there is one.
    fn cut_short(&mut self, fx: &mut Effects, line: &str, then: Then) {
        self.mind.cut_short(fx, then);
        if !line.is_empty() {
            self.mind.hand_over(fx, line.to_owned());
        }
    }

    /// The model is not asked about a turn.
    fn instead_of_thinking(&mut self, fx: &mut Effects, action: &GuardAction) {
        match action {
            GuardAction::Block { say } => self.say(fx, say, false),
            GuardAction::HangUp { text } => fx.close(text, EndReason::AgentHungUp, None, false),
            GuardAction::HandOff { to } => {
                if let Some(Then::HandOff(target, told)) = self.hand_off_to(to, String::new()) {
                    self.hand_off_soon(fx, target, told);
                }
            }
            GuardAction::Transfer { to } => {
                self.author_transfers(fx, to);
            }
            GuardAction::Replace { .. } => {}
        }
        self.mouth.finish(fx);
        self.turn_over(fx);
    }
}

/// A rule without anything to look for applies to nothing; validation refuses it.
fn rule_is_idle(rule: &GuardRule) -> bool {
    rule.phrases.is_empty() && rule.patterns.is_empty()
}

fn tripped(fx: &mut Effects, rule: &str, side: &str, action: &GuardAction) {
    fx.turn_event(EventType::GuardrailTripped, json!({ "rule": rule, "side": side, "action": action.name() }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_turns_that_follow_one_another_count() {
        let mut repeats = Repeats::default();
        let line = "I did not understand that.";
        assert_eq!(repeats.said(1, line), 1);
        assert_eq!(repeats.said(1, line), 1, "once a turn");
        assert_eq!(repeats.said(2, "i did not understand that"), 2);
        assert_eq!(repeats.said(4, line), 1);
        assert_eq!(repeats.said(5, "Okay."), 0);
        assert_eq!(repeats.said(6, line), 1);
    }
}
