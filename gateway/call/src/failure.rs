//! What is done about a failure: the agent's own rule, else the default of the failure table. Nothing fails silently.

use serde_json::json;
use trunkline_api::agent::FailureAction;
use trunkline_api::failure::DefaultAction;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};

use crate::call::{Call, set_some};
use crate::input::ProviderKind;

/// What became of a failed provider's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next provider is in service; say this meanwhile, when it is not empty.
    Switched(String),
    /// Go on without what was being done; say this, when it is not empty.
    Abandoned(String),
    /// The call is being ended; nothing more to do.
    Ending,
}

impl Call {
    /// Writes a failure into the timeline, with what is done about it.
    pub(crate) fn raise(&mut self, failure: Failure, provider: Option<String>, detail: String, action: &str) {
        let mut data = json!({ "failure": failure.name(), "action": action });
        set_some(&mut data, "provider", provider.filter(|provider| !provider.is_empty()));
        set_some(&mut data, "detail", Some(detail).filter(|detail| !detail.is_empty()).map(bounded));
        self.event_at(self.now, EventType::FailureRaised, Some(self.turn), data);
    }

    /// A provider failed: raises the failure, finds the next provider or ends the call.
    pub(crate) fn provider_failed(&mut self, kind: ProviderKind, failure: Failure, detail: String) -> Verdict {
        let action = self.provider_action(failure);
        let from = self.providers(kind).name();
        self.raise(failure, Some(from.clone()), detail, action_name(&action));
        match action {
            FailureAction::NextProvider { bridge } => {
                if self.providers(kind).fail() {
                    let to = self.providers(kind).name();
                    self.turn_event(
                        EventType::ProviderSwitched,
                        json!({ "kind": kind.name(), "from": from, "to": to, "failure": failure.name() }),
                    );
                    Verdict::Switched(bridge)
                } else {
                    self.exhausted(kind)
                }
            }
            FailureAction::Say { text } => Verdict::Abandoned(text),
            FailureAction::Record => Verdict::Abandoned(String::new()),
            action @ (FailureAction::HangUp { .. } | FailureAction::Transfer { .. }) => {
                self.act(failure, action);
                Verdict::Ending
            }
        }
    }

    /// Carries out an action for a failure that was raised already. The first engine has no transfer: it says that
    /// the service is unavailable and hangs up.
    pub(crate) fn act(&mut self, failure: Failure, action: FailureAction) {
        match action {
            FailureAction::Say { text } => {
                self.say(&text, false);
                if self.thinking.is_none() {
                    self.finish_speech();
                }
            }
            FailureAction::HangUp { text } => self.close_call(&text, EndReason::Failed, Some(failure)),
            FailureAction::Transfer { to } => {
                let detail = format!("transfer to {to} is not available in this version");
                self.raise(Failure::UnsupportedFeature, None, detail, "hang_up");
                let line = self.setup.spec.survival.unavailable.clone();
                self.close_call(&line, EndReason::Failed, Some(failure));
            }
            FailureAction::NextProvider { .. } | FailureAction::Record => {}
        }
    }

    /// The agent's own action for a failure, else its default.
    pub(crate) fn action_for(&self, failure: Failure) -> FailureAction {
        let survival = &self.setup.spec.survival;
        self.setup.spec.failures.get(&failure).cloned().unwrap_or_else(|| match failure.default_action() {
            DefaultAction::NextProvider => FailureAction::NextProvider { bridge: survival.bridge.clone() },
            DefaultAction::PromptCaller => FailureAction::HangUp { text: survival.goodbye.clone() },
            DefaultAction::HangUp if failure == Failure::ProvidersExhausted => {
                FailureAction::HangUp { text: survival.unavailable.clone() }
            }
            DefaultAction::HangUp | DefaultAction::RefuseCall => FailureAction::HangUp { text: String::new() },
            DefaultAction::Record | DefaultAction::FailClosed => FailureAction::Record,
        })
    }

    /// As [`Self::action_for`], but a provider's failure always has the next provider for a default.
    fn provider_action(&self, failure: Failure) -> FailureAction {
        if self.setup.spec.failures.contains_key(&failure) || failure.default_action() == DefaultAction::NextProvider {
            self.action_for(failure)
        } else {
            FailureAction::NextProvider { bridge: self.setup.spec.survival.bridge.clone() }
        }
    }

    /// Every provider of a list failed: survival.
    fn exhausted(&mut self, kind: ProviderKind) -> Verdict {
        let failure = Failure::ProvidersExhausted;
        let action = self.action_for(failure);
        let detail = format!("every {} provider failed", kind.name());
        if kind == ProviderKind::Tts {
            self.raise(failure, None, detail, "hang_up");
            self.hang_up_now(EndReason::Failed, Some(failure));
            return Verdict::Ending;
        }
        self.raise(failure, None, detail, action_name(&action));
        // Whoever goes on after this may try them all again.
        self.providers(kind).succeeded();
        match action {
            FailureAction::Say { text } => Verdict::Abandoned(text),
            FailureAction::Record | FailureAction::NextProvider { .. } => Verdict::Abandoned(String::new()),
            action => {
                self.act(failure, action);
                Verdict::Ending
            }
        }
    }

    fn providers(&mut self, kind: ProviderKind) -> &mut crate::failover::Providers {
        match kind {
            ProviderKind::Asr => &mut self.asr,
            ProviderKind::Tts => &mut self.tts,
            ProviderKind::Llm | ProviderKind::Tool | ProviderKind::Redactor => &mut self.llm,
        }
    }
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

/// A vendor's text may be of any length; an event's may not.
fn bounded(mut detail: String) -> String {
    const MAX_BYTES: usize = 1000;
    if detail.len() > MAX_BYTES {
        let end = (0..=MAX_BYTES).rev().find(|&at| detail.is_char_boundary(at)).unwrap_or(0);
        detail.truncate(end);
    }
    detail
}
