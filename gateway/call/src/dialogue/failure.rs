//! What is done about a failure: the agent's own rule, else the default of the failure table. Nothing fails silently.

use serde_json::json;
use trunkline_api::agent::FailureAction;
use trunkline_api::failure::DefaultAction;
use trunkline_api::usage::EndReason;
use trunkline_api::words::ProviderKind;
use trunkline_api::{AgentSpec, EventType, Failure};

use super::{Dialogue, Effects};
use crate::providers::Providers;

/// What became of a failed provider's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next provider is in service; say this meanwhile, when it is not empty.
    Switched(String),
    /// Go on without what was being done; say this, when it is not empty.
    Abandoned(String),
    /// The call is being ended; nothing more to do.
    Ending,
}

impl Dialogue {
    /// A provider failed: raises the failure, finds the next provider or ends the call.
    pub(super) fn provider_failed(
        &mut self,
        fx: &mut Effects,
        kind: ProviderKind,
        index: usize,
        failure: Failure,
        detail: &str,
    ) -> Verdict {
        let action = self.provider_action(failure);
        let (list, at) = self.providers(kind, index);
        let from = list.name_of(at).to_owned();
        fx.raise(failure, &from, detail, action_name(&action));
        match action {
            FailureAction::NextProvider { bridge } => {
                let now = fx.now();
                let (list, at) = self.providers(kind, index);
                if list.fail(now, at) {
                    let to = list.name().to_owned();
                    fx.turn_event(
                        EventType::ProviderSwitched,
                        json!({ "kind": kind.name(), "from": from, "to": to, "failure": failure.name() }),
                    );
                    Verdict::Switched(bridge)
                } else if kind == ProviderKind::Realtime && self.has_cascade() {
                    self.cascade_takes_over(fx, &from, failure);
                    Verdict::Switched(bridge)
                } else {
                    self.exhausted(fx, kind)
                }
            }
            FailureAction::Say { text } => Verdict::Abandoned(text),
            FailureAction::Record => Verdict::Abandoned(String::new()),
            // Nobody is passed on from a last word.
            FailureAction::Transfer { .. } if self.closing => Verdict::Abandoned(String::new()),
            action @ (FailureAction::HangUp { .. } | FailureAction::Transfer { .. }) => {
                self.act(fx, failure, action);
                Verdict::Ending
            }
        }
    }

    /// The recogniser failed: the next one hears again what it owed.
    pub(super) fn recogniser_lost(&mut self, fx: &mut Effects, failure: Failure, detail: &str, open: bool) {
        let index = self.ears.lost(fx, open);
        match self.provider_failed(fx, ProviderKind::Asr, index, failure, detail) {
            Verdict::Switched(bridge) => {
                if self.ears.take_over(fx) {
                    self.meanwhile(fx, &bridge);
                }
            }
            Verdict::Abandoned(line) => {
                self.ears.give_up(fx);
                self.say(fx, &line, false);
                self.keep_floor(fx);
            }
            Verdict::Ending => {}
        }
    }

    /// Carries out an action for a failure that was raised already.
    pub(super) fn act(&mut self, fx: &mut Effects, failure: Failure, action: FailureAction) {
        match action {
            FailureAction::Say { text } => {
                self.say(fx, &text, false);
                if !self.mind.is_thinking() {
                    self.mouth.finish(fx);
                }
            }
            FailureAction::HangUp { text } => fx.close(&text, EndReason::Failed, Some(failure), false),
            FailureAction::Transfer { to } => self.failure_transfers(fx, failure, &to, true),
            FailureAction::NextProvider { .. } | FailureAction::Record => {}
        }
    }

    /// The agent's own action for a failure, else its default.
    pub(super) fn action_for(&self, failure: Failure) -> FailureAction {
        action_for(&self.spec, failure)
    }

    /// As [`Self::action_for`], where there is no next provider.
    pub(super) fn action_without_next(&self, failure: Failure) -> FailureAction {
        let action = self.action_for(failure);
        if matches!(action, FailureAction::NextProvider { .. }) { FailureAction::Record } else { action }
    }

    /// As [`Self::action_for`], but a provider's failure always has the next provider for a default.
    fn provider_action(&self, failure: Failure) -> FailureAction {
        if self.spec.failures.contains_key(&failure) || failure.default_action() == DefaultAction::NextProvider {
            self.action_for(failure)
        } else {
            FailureAction::NextProvider { bridge: self.spec.survival.bridge.clone() }
        }
    }

    /// Every provider of a list failed: survival.
    fn exhausted(&mut self, fx: &mut Effects, kind: ProviderKind) -> Verdict {
        let failure = Failure::ProvidersExhausted;
        let action = self.action_for(failure);
        let detail = format!("every {} provider failed", kind.name());
        if self.closing {
            // It was a last word: nobody is passed on, and no menu begins.
            fx.raise(failure, "", &detail, "record");
            self.providers(kind, 0).0.try_again();
            return Verdict::Abandoned(String::new());
        }
        if kind == ProviderKind::Tts && self.engine.serves() {
            // The engine goes on speaking.
            fx.raise(failure, "", &detail, "record");
            self.providers(kind, 0).0.try_again();
            return Verdict::Abandoned(String::new());
        }
        if self.may_survive(kind) {
            fx.raise(failure, "", &detail, "survive");
            self.providers(kind, 0).0.try_again();
            self.survive_without(kind);
            return Verdict::Abandoned(String::new());
        }
        if let (ProviderKind::Tts, FailureAction::Transfer { to }) = (kind, &action) {
            fx.raise(failure, "", &detail, action_name(&action));
            self.providers(kind, 0).0.try_again();
            let spoken = self.mouth.give_up(fx);
            self.spoken(fx, spoken);
            self.failure_transfers(fx, failure, to, false);
            return Verdict::Ending;
        }
        if kind == ProviderKind::Tts {
            fx.raise(failure, "", &detail, "hang_up");
            fx.close("", EndReason::Failed, Some(failure), true);
            return Verdict::Ending;
        }
        fx.raise(failure, "", &detail, action_name(&action));
        self.providers(kind, 0).0.try_again();
        match action {
            FailureAction::Say { text } => Verdict::Abandoned(text),
            FailureAction::Record | FailureAction::NextProvider { .. } => Verdict::Abandoned(String::new()),
            action @ (FailureAction::HangUp { .. } | FailureAction::Transfer { .. }) => {
                self.act(fx, failure, action);
                Verdict::Ending
            }
        }
    }

    /// The list that a provider is of, and its place there.
    pub(super) fn providers(&mut self, kind: ProviderKind, index: usize) -> (&mut Providers, usize) {
        if kind == ProviderKind::Tts
            && let Some(found) = self.mouth.voices().list_of(index)
        {
            return found;
        }
        let list = match kind {
            ProviderKind::Asr => self.ears.recognisers(),
            ProviderKind::Realtime => self.engine.engines(),
            ProviderKind::Llm | ProviderKind::Tts | ProviderKind::Tool | ProviderKind::Redactor => self.mind.models(),
        };
        (list, index)
    }
}

/// An agent's own action for a failure, else its default.
pub(crate) fn action_for(spec: &AgentSpec, failure: Failure) -> FailureAction {
    let survival = &spec.survival;
    spec.failures.get(&failure).cloned().unwrap_or_else(|| match failure.default_action() {
        DefaultAction::NextProvider => FailureAction::NextProvider { bridge: survival.bridge.clone() },
        DefaultAction::PromptCaller => FailureAction::HangUp { text: survival.goodbye.clone() },
        DefaultAction::HangUp
            if matches!(failure, Failure::ProvidersExhausted | Failure::AgentRepeats | Failure::TooManyTurns) =>
        {
            FailureAction::HangUp { text: survival.unavailable.clone() }
        }
        DefaultAction::HangUp | DefaultAction::RefuseCall => FailureAction::HangUp { text: String::new() },
        DefaultAction::Record | DefaultAction::FailClosed => FailureAction::Record,
    })
}

/// Name of an action in events.
pub(crate) const fn action_name(action: &FailureAction) -> &'static str {
    match action {
        FailureAction::NextProvider { .. } => "next_provider",
        FailureAction::Say { .. } => "say",
        FailureAction::Transfer { .. } => "transfer",
        FailureAction::HangUp { .. } => "hang_up",
        FailureAction::Record => "record",
    }
}
