//! Hand-off: the call goes on with another agent on the same leg. What the one says is said to its end, then the other is
//! the agent: its prompt, tools, language, providers and rules. Sessions of providers that both have go on.

use std::sync::Arc;

use serde_json::{Value, json};
use trunkline_api::agent::{Carry, HandoffTarget, ProviderRef};
use trunkline_api::usage::HandedTo;
use trunkline_api::words::{Message, ProviderKind, Role, ToolDefinition};
use trunkline_api::{AgentSpec, EventType, Failure};

use super::mind::Then;
use super::slots::Slots;
use super::voices::Voices;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::setup::{CallSetup, OtherAgent};
use crate::speech::Rules;

/// Most bytes of what one agent tells another.
const MAX_TOLD_BYTES: usize = 4000;

/// To whom the call may go, and how often it went.
#[derive(Debug)]
pub(super) struct Others {
    agents: std::collections::BTreeMap<String, Arc<OtherAgent>>,
    /// How often it may still be handed over.
    left: u32,
    /// The agent that goes on as soon as what is being said was heard, by its place in the list, and what it is told.
    next: Option<(usize, String)>,
    /// Those that have taken over and that the record has yet to be told of.
    news: Vec<HandedTo>,
}

impl Others {
    pub(super) fn new(setup: &CallSetup) -> Self {
        Self { agents: setup.others.clone(), left: setup.spec.handoff.most, next: None, news: Vec::new() }
    }
}

impl Dialogue {
    /// The tool by which the model hands the call over.
    pub(super) fn hand_off_definition(&self) -> Option<ToolDefinition> {
        let targets: Vec<&HandoffTarget> =
            self.spec.handoff.agents.iter().filter(|target| self.other(target).is_ok()).collect();
        if targets.is_empty() {
            return None;
        }
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let told: Vec<String> =
            targets.iter().map(|target| format!("{}: {}", target.name, target.description)).collect();
        let parameters = json!({
            "type": "object", "required": ["name", "reason"], "additionalProperties": false,
            "properties": {
                "name": { "type": "string", "enum": names },
                "reason": { "type": "string", "description": "What the caller wants and what is known already." },
            },
        });
        Some(ToolDefinition {
            name: "hand_off".to_owned(),
            description: format!("Hands the call to a colleague, who goes on with it. {}", told.join(" ")),
            parameters: parameters.to_string(),
        })
    }

    /// The model hands the call over; what it reads of that, or why not.
    pub(super) fn wants_hand_off(&mut self, arguments: &str) -> Result<String, String> {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let field = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        let (name, mut told) = (field("name"), field("reason").to_owned());
        let end = (0..=MAX_TOLD_BYTES.min(told.len())).rev().find(|&at| told.is_char_boundary(at)).unwrap_or(0);
        told.truncate(end);
        let then =
            self.hand_off_to(name, told).ok_or_else(|| format!("{name} cannot take the call; go on yourself"))?;
        self.then(then);
        Ok(format!("The call goes on with {name}."))
    }

    /// What follows when the call is handed to one of the agent's list; `None` when it cannot be.
    pub(super) fn hand_off_to(&self, name: &str, told: String) -> Option<Then> {
        let at = self.spec.handoff.agents.iter().position(|target| target.name == name)?;
        self.other(&self.spec.handoff.agents[at]).ok().map(|_| Then::HandOff(at, told))
    }

    /// The call is handed over once what is being said was heard.
    pub(super) fn hand_off_soon(&mut self, fx: &mut Effects, target: usize, told: String) {
        let line = self.spec.handoff.agents.get(target).map(|target| target.say.clone()).unwrap_or_default();
        self.others.next = Some((target, told));
        self.say(fx, &line, false);
    }

    /// Nothing is being said or thought: hands the call over, if that was to be. True when the other agent says or thinks
    /// something now.
    pub(super) fn hand_off(&mut self, fx: &mut Effects) -> bool {
        let Some((at, told)) = self.others.next.take() else { return false };
        let Some(target) = self.spec.handoff.agents.get(at).cloned() else { return false };
        let Ok(other) = self.other(&target).cloned() else { return false };
        // A guess at what the caller is about to say is the other agent's to make.
        self.drop_guess(fx);
        self.others.left -= 1;
        let carry = match target.carry {
            Carry::Full => "full",
            Carry::Summary => "summary",
            Carry::Nothing => "nothing",
        };
        let data = json!({
            "to": target.name, "agent": other.agent, "agent_version": other.version, "carry": carry,
        });
        fx.turn_event(EventType::AgentHandedOff, data);
        let (agent, agent_version) = (other.agent.clone(), other.version);
        self.others.news.push(HandedTo { agent, agent_version, at_us: fx.wall_us() });
        let (before, spec) = (Arc::clone(&self.spec), Arc::clone(&other.spec));
        let (asr, llm, tts) = lists(&spec);
        let one_language = self.language == spec.language;
        let keeps_voices = lists(&before).2 == tts && before.speech.voices == spec.speech.voices && one_language;
        fx.command(Command::HandOff { agent: target.agent.clone(), keeps_voices });
        self.stop_summing(fx);
        self.kept_are_anothers();
        let keeps_ears = lists(&before).0 == asr && one_language;
        let engines = &spec.survival.engines;
        self.ears.becomes(fx, &spec.turn, &spec.language, (asr, &engines.asr), keeps_ears);
        self.mind.becomes(llm, &spec.limits, &spec.tool_use, spec.speech.first_clause);
        self.mind.models().and_engines(&engines.llm);
        let mut voices = Voices::new(tts, &spec.speech, &spec.language);
        voices.and_engines(&engines.tts);
        self.mouth.becomes(voices, spec.limits.tts_first_byte_ms, keeps_voices);
        self.tell_slots(fx);
        (self.slots, self.rules) = (Slots::new(&spec), Rules::new(&spec.speech));
        self.language.clone_from(&spec.language);
        self.carry(&before, &spec, &target, &told);
        self.spec = spec;
        self.bindings.clone_from(&other.tools);
        (self.lookups, self.repeats, self.fillers_said) = Default::default();
        self.rejoin = None;
        self.waterfall_done(fx);
        self.opens(fx, target.carry)
    }

    /// Agents that the call was handed to since this was last asked.
    pub(crate) fn newly_handed_to(&mut self) -> Vec<HandedTo> {
        std::mem::take(&mut self.others.news)
    }

    /// Forgets a hand-off that was to be.
    pub(super) fn stay(&mut self) {
        self.others.next = None;
    }

    /// The other agent's first words: its greeting, else what its model says to what it was told.
    fn opens(&mut self, fx: &mut Effects, carry: Carry) -> bool {
        if self.learn_who_calls(fx) {
            return false;
        }
        if !self.spec.greeting.is_empty() {
            self.greet(fx);
            return !self.mouth.is_silent();
        }
        if self.mind.is_empty() || !self.pending.is_empty() {
            return false;
        }
        if carry != Carry::Full {
            // A model is asked by somebody.
            self.memory.push(Message::text(Role::User, "[The caller was put through to you.]"));
        }
        self.mind.begin(String::new(), String::new(), None, false);
        if let Some(reply) = self.mind.reply_mut() {
            reply.written = true;
        }
        self.ask(fx);
        true
    }

    /// What the other agent knows.
    fn carry(&mut self, before: &AgentSpec, spec: &AgentSpec, target: &HandoffTarget, told: &str) {
        let set = std::mem::replace(&mut self.variables, spec.variables.clone());
        if target.carry != Carry::Nothing {
            let set = set.into_iter().filter(|(name, value)| before.variables.get(name) != Some(value));
            self.variables.extend(set);
        }
        match target.carry {
            Carry::Full => {}
            Carry::Summary => self.memory.begin_anew(told),
            Carry::Nothing => self.memory.begin_anew(""),
        }
    }

    /// The agent behind an entry of the list, when the call can be handed to it.
    fn other(&self, target: &HandoffTarget) -> Result<&Arc<OtherAgent>, Failure> {
        let other = self.others.agents.get(&target.agent).ok_or(Failure::AgentUnready)?;
        let fits = other.spec.redaction == self.spec.redaction && !lists(&other.spec).2.is_empty();
        let fits = fits && !self.spec.pipeline.is_realtime() && !other.spec.pipeline.is_realtime();
        if fits && self.others.left > 0 { Ok(other) } else { Err(Failure::UnsupportedFeature) }
    }
}

/// Recognisers, models and synthesisers of an agent.
pub(super) fn lists(spec: &AgentSpec) -> (&[ProviderRef], &[ProviderRef], &[ProviderRef]) {
    let of = |kind| spec.pipeline.providers(kind);
    (of(ProviderKind::Asr), of(ProviderKind::Llm), of(ProviderKind::Tts))
}
