//! Survival: when every provider of a kind is gone, providers on the premises, a menu or a human stand in for them, and what
//! is said was rendered beforehand. When they are back so is the conversation, by itself.

use serde_json::json;
use trunkline_api::agent::FailureAction;
use trunkline_api::usage::EndReason;
use trunkline_api::words::ProviderKind;
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use super::keypad::Place;
use super::{Dialogue, Effects};
use crate::timers::Reason;

/// Least time between going without providers and trying them again; twice as long after every time, up to the last.
const LEAST_MS: u64 = 10_000;
const LONGEST_MS: u64 = 120_000;
/// How soon it is looked again whether providers are back that were not.
const AGAIN_MS: u64 = 5000;

const KINDS: [ProviderKind; 3] = [ProviderKind::Asr, ProviderKind::Llm, ProviderKind::Tts];

/// What is known of providers that are gone.
#[derive(Debug, Default)]
pub(super) struct Survival {
    /// Kinds whose lists were found exhausted by this input.
    wanted: Vec<ProviderKind>,
    /// Kinds that are done without, and since when.
    without: Vec<(ProviderKind, CallTime)>,
    /// Kinds served by providers behind the agent's lists, and since when.
    behind: Vec<(ProviderKind, CallTime)>,
    /// The menu was opened to stand in for the conversation.
    stands_in: bool,
    /// Not before then are providers tried again, which is so long after they were gone.
    not_before: CallTime,
    wait_ms: u64,
}

impl Dialogue {
    /// Whether the call can go on without providers of a kind. An agent that says what to do then is obeyed instead.
    pub(super) fn may_survive(&self, kind: ProviderKind) -> bool {
        if self.spec.failures.contains_key(&Failure::ProvidersExhausted) {
            return false;
        }
        let survival = &self.spec.survival;
        match kind {
            ProviderKind::Tts => self.mouth.has_prompts(),
            ProviderKind::Asr | ProviderKind::Llm | ProviderKind::Realtime => {
                !survival.menu.is_empty() || !survival.transfer_to.is_empty()
            }
            ProviderKind::Tool | ProviderKind::Redactor => false,
        }
    }

    /// Every provider of a kind is gone: what stands in for them is begun once this input has been dealt with.
    pub(super) fn survive_without(&mut self, kind: ProviderKind) {
        if !self.survival.wanted.contains(&kind) {
            self.survival.wanted.push(kind);
        }
        if kind == ProviderKind::Tts {
            self.mouth.plays_only(true);
        }
    }

    /// After every input: begins what was asked for, and leaves it when it is over.
    pub(super) fn settle_survival(&mut self, fx: &mut Effects, live: bool) {
        self.tell_of_engines(fx);
        for kind in std::mem::take(&mut self.survival.wanted) {
            if live && !self.closing {
                self.survive(fx, kind);
            }
        }
        if !live || self.closing || self.survival.without.is_empty() {
            fx.clear(Reason::Survival);
        } else if !fx.timers().is_set(Reason::Survival) {
            let due = self.survival.not_before.max(fx.now().plus_ms(AGAIN_MS));
            fx.timers().set(Reason::Survival, due);
        }
    }

    /// Providers may be back: it is worth trying once all that were gone are up.
    pub(super) fn try_to_leave(&mut self, fx: &mut Effects) {
        let now = fx.now();
        if self.closing || self.survival.without.is_empty() || now < self.survival.not_before {
            return;
        }
        let kinds: Vec<ProviderKind> = self.survival.without.iter().map(|(kind, _)| *kind).collect();
        let back = kinds.iter().all(|kind| self.providers(*kind, 0).0.any_up(now));
        // Whoever is choosing, entering or speaking is not taken away from it.
        let at_rest = match &self.keypad.place {
            Place::Conversation => true,
            Place::Menu(_) => self.mouth.is_silent(),
            Place::Entry(_) | Place::Message(_) => false,
        };
        if !back || !at_rest {
            return;
        }
        if kinds.contains(&ProviderKind::Realtime) {
            self.open_engine(fx, false);
            self.engine_hears(fx, self.ears.is_open());
        }
        for (kind, since) in std::mem::take(&mut self.survival.without) {
            let data = json!({ "kind": kind.name(), "after_ms": now.since_ms(since) });
            fx.turn_event(EventType::SurvivalLeft, data);
        }
        self.mouth.plays_only(false);
        if std::mem::take(&mut self.survival.stands_in) && matches!(self.keypad.place, Place::Menu(_)) {
            let line = self.spec.survival.restored.clone();
            let note = if line.is_empty() { "[the service is available again]" } else { "" };
            self.hand_to_agent(fx, &line, note);
        }
    }

    /// The call does without providers of a kind from here on.
    fn survive(&mut self, fx: &mut Effects, kind: ProviderKind) {
        let spec = std::sync::Arc::clone(&self.spec);
        let survival = &spec.survival;
        let prompt = spec.menus.get(&survival.menu).map(|menu| self.with_variables(fx.now(), &menu.prompt));
        // A menu that nobody can say is none.
        let menu = prompt.is_some_and(|prompt| self.mouth.can_say(&prompt));
        let away = self.keypad.is_away();
        let by = match () {
            () if menu || away => "menu",
            () if !survival.transfer_to.is_empty() => "transfer",
            () => "nothing",
        };
        let now = fx.now();
        if !self.survival.without.iter().any(|(gone, _)| *gone == kind) {
            self.survival.without.push((kind, now));
            let data = json!({ "kind": kind.name(), "by": by });
            fx.turn_event(EventType::SurvivalEntered, data);
            let wait_ms = self.survival.wait_ms.max(LEAST_MS);
            self.survival.not_before = now.plus_ms(wait_ms);
            self.survival.wait_ms = (2 * wait_ms).min(LONGEST_MS);
            fx.clear(Reason::Survival);
        }
        match &self.keypad.place {
            Place::Menu(_) => self.menu_again(fx),
            Place::Entry(_) => self.entry_again(fx),
            Place::Message(_) => {}
            Place::Conversation if by == "menu" => {
                self.survival.stands_in = true;
                self.open_menu(fx, &survival.menu);
            }
            Place::Conversation if by == "transfer" => {
                let action = FailureAction::Transfer { to: survival.transfer_to.clone() };
                self.act(fx, Failure::ProvidersExhausted, action);
            }
            Place::Conversation => {
                let failure = Some(Failure::ProvidersExhausted);
                fx.close(&survival.unavailable, EndReason::Failed, failure, false);
            }
        }
    }

    /// Tells when providers behind the agent's lists have taken over, and when they have given way.
    fn tell_of_engines(&mut self, fx: &mut Effects) {
        if self.spec.survival.engines.is_empty() {
            return;
        }
        let now = fx.now();
        for kind in KINDS {
            let beyond = self.providers(kind, 0).0.is_beyond();
            let known = self.survival.behind.iter().position(|(other, _)| *other == kind);
            match (beyond, known) {
                (true, None) => {
                    self.survival.behind.push((kind, now));
                    fx.turn_event(EventType::SurvivalEntered, json!({ "kind": kind.name(), "by": "engines" }));
                }
                (false, Some(at)) => {
                    let (_, since) = self.survival.behind.remove(at);
                    let data = json!({ "kind": kind.name(), "after_ms": now.since_ms(since) });
                    fx.turn_event(EventType::SurvivalLeft, data);
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
    }
}
