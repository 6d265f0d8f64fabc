//! `trunkline.agent/v1`: what an agent is.
//!
//! Stored and synced texts keep fields this build does not know; [`AgentSpec::unknown_fields`] lists them so that
//! REST can refuse them, and [`AgentSpec::unsupported`] lists what this build parses and keeps but cannot do yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::analysis::{AfterCall, Analysis};
use crate::answering::AnsweringPolicy;
pub use crate::dialogue::{InterruptionMode, InterruptionPolicy, SpeechPolicy, TurnPolicy};
use crate::failure::Failure;
pub use crate::guardrails::{GuardAction, GuardRule, Guardrails};
use crate::menu::Menu;
pub use crate::pattern::{Pattern, Phrase};
use crate::slots::Slot;
use crate::sound::SoundPolicy;
pub use crate::survival::{Survival, SurvivalEngines};
pub use crate::thinking::{
    Carry, ContextPolicy, Handoff, HandoffTarget, LookupMode, LookupPolicy, OnInterrupt, ToolPolicy, ToolRef, ToolUse,
};
use crate::transfer::TransferPolicy;
use crate::words::{ProviderKind, RedactionChannel};

/// The schema name every spec carries.
pub const SCHEMA: &str = "trunkline.agent/v1";

/// Features a spec may `require` of this build.
pub const FEATURES: &[&str] = &[
    "cascade",
    "realtime",
    "barge_in",
    "dtmf",
    "recording",
    "redaction",
    "sound",
    "slots",
    "menus",
    "survival",
    "handoff",
    "knowledge",
    "guardrails",
];

type Extra = BTreeMap<String, Value>;

fn spec_schema() -> String {
    SCHEMA.to_owned()
}

/// An agent, as created, versioned, synced and run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct AgentSpec {
    /// Always `trunkline.agent/v1`.
    #[serde(default = "spec_schema")]
    pub schema: String,
    /// Features a gateway must have to run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Name, 1..=100 characters.
    pub name: String,
    /// BCP 47 language tag.
    #[serde(default = "english")]
    pub language: String,
    /// What hears, thinks and speaks.
    pub pipeline: Pipeline,
    /// IANA name of the time zone that `{now}` is told in, such as `Europe/Berlin`; UTC when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// System prompt; `{name}` is replaced by the variable of that name, `{name|there}` by it or, when it is unset or
    /// empty, by `there`; `{{name}}` stands for `{name}` itself. Built in are `call.from`, `call.to`, `call.id`, `now`,
    /// `now.date`, `now.time` and `now.weekday`.
    #[serde(default)]
    pub prompt: String,
    /// First line spoken, when not empty; filled in as the prompt is.
    #[serde(default)]
    pub greeting: String,
    /// Variables for prompt and greeting.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// How much of the conversation a model is given.
    #[serde(default, skip_serializing_if = "ContextPolicy::is_default")]
    pub context: ContextPolicy,
    /// Tools the model may call, by name.
    #[serde(default)]
    pub tools: Vec<ToolRef>,
    /// How often and in what order tools are called.
    #[serde(default, skip_serializing_if = "ToolUse::is_default")]
    pub tool_use: ToolUse,
    /// To whom a call may be handed.
    #[serde(default, skip_serializing_if = "Handoff::is_default")]
    pub handoff: Handoff,
    /// Knowledge bases by name: folders of texts on the gateway.
    #[serde(default)]
    pub knowledge: Vec<String>,
    /// How they are asked.
    #[serde(default, skip_serializing_if = "LookupPolicy::is_default")]
    pub lookup: LookupPolicy,
    /// What is checked before the model sees it and before the caller hears it.
    #[serde(default, skip_serializing_if = "Guardrails::is_default")]
    pub guardrails: Guardrails,
    /// End-of-turn policy.
    #[serde(default)]
    pub turn: TurnPolicy,
    /// Interruption policy.
    #[serde(default)]
    pub interruption: InterruptionPolicy,
    /// How it speaks, and what is said while the caller waits.
    #[serde(default, skip_serializing_if = "SpeechPolicy::is_default")]
    pub speech: SpeechPolicy,
    /// What is done to the call's sound.
    #[serde(default, skip_serializing_if = "SoundPolicy::is_empty")]
    pub sound: SoundPolicy,
    /// To whom callers may be passed on.
    #[serde(default, skip_serializing_if = "TransferPolicy::is_default")]
    pub transfer: TransferPolicy,
    /// What is done about whoever answers a call that the agent places; left out, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answering: Option<AnsweringPolicy>,
    /// What to do about a failure, by failure name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub failures: BTreeMap<Failure, FailureAction>,
    /// Redaction by channel.
    #[serde(default)]
    pub redaction: Redaction,
    /// Recording.
    #[serde(default)]
    pub recording: Recording,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
    /// What a caller gets when every provider is gone.
    #[serde(default)]
    pub survival: Survival,
    /// What the agent collects of a caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
    /// Choices by keys, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub menus: BTreeMap<String, Menu>,
    /// What a call begins with behind the greeting: `menu:` and the name of a menu, or nothing for the conversation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub start: String,
    /// What is found out about a call once it is over: `summary`, `disposition`, `topics`, `sentiment`, `emotion`.
    #[serde(default)]
    pub analysis: Vec<String>,
    /// How that is done.
    #[serde(default, skip_serializing_if = "AfterCall::is_default")]
    pub after_call: AfterCall,
    /// Fields this build does not know.
    #[serde(flatten)]
    #[schemars(skip)]
    #[schema(ignore)]
    pub extra: Extra,
}

fn english() -> String {
    "en".to_owned()
}

/// What hears, thinks and speaks; each list is in fail-over order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pipeline {
    /// Recogniser, language model, synthesiser.
    Cascade {
        /// Recognisers; may be empty for an agent that only speaks and takes DTMF.
        #[serde(default)]
        asr: Vec<ProviderRef>,
        /// Language models.
        #[serde(default)]
        llm: Vec<ProviderRef>,
        /// Synthesisers.
        tts: Vec<ProviderRef>,
    },
    /// Speech-to-speech engines, which hear, think and speak in one.
    Realtime {
        /// Engines, 1..=8.
        engines: Vec<ProviderRef>,
        /// What takes over when every engine has failed; without it that is the failure `providers_exhausted`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cascade: Option<CascadeLists>,
    },
}

/// The lists of a cascade, each in fail-over order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CascadeLists {
    /// Recognisers.
    #[serde(default)]
    pub asr: Vec<ProviderRef>,
    /// Language models.
    #[serde(default)]
    pub llm: Vec<ProviderRef>,
    /// Synthesisers. They also say what is said while the engine is late, and the agent's own lines for an engine that
    /// says no text word by word.
    pub tts: Vec<ProviderRef>,
}

impl Pipeline {
    /// The providers of a kind in fail-over order; none of a kind that the pipeline does not list.
    #[must_use]
    pub fn providers(&self, kind: ProviderKind) -> &[ProviderRef] {
        match (self, kind) {
            (Self::Cascade { asr, .. }, ProviderKind::Asr) => asr,
            (Self::Cascade { llm, .. }, ProviderKind::Llm) => llm,
            (Self::Cascade { tts, .. }, ProviderKind::Tts) => tts,
            (Self::Realtime { engines, .. }, ProviderKind::Realtime) => engines,
            (Self::Realtime { cascade: Some(cascade), .. }, ProviderKind::Asr) => &cascade.asr,
            (Self::Realtime { cascade: Some(cascade), .. }, ProviderKind::Llm) => &cascade.llm,
            (Self::Realtime { cascade: Some(cascade), .. }, ProviderKind::Tts) => &cascade.tts,
            _ => &[],
        }
    }

    /// Whether engines hear, think and speak in one.
    #[must_use]
    pub const fn is_realtime(&self) -> bool {
        matches!(self, Self::Realtime { .. })
    }

    /// What is out of range or inconsistent, by its place in the spec.
    fn problems(&self) -> Vec<(String, &'static str)> {
        match self {
            Self::Cascade { asr, llm, tts } => lists_problems("/pipeline/cascade", asr, llm, tts),
            Self::Realtime { engines, cascade } => {
                let at = "/pipeline/realtime/engines";
                let mut problems = list_problems(at, engines);
                if engines.is_empty() {
                    problems.push((at.to_owned(), "expected at least one engine"));
                }
                if let Some(CascadeLists { asr, llm, tts }) = cascade {
                    let at = "/pipeline/realtime/cascade";
                    problems.extend(lists_problems(at, asr, llm, tts));
                    if asr.is_empty() {
                        let why = "expected at least one recogniser: it is to go on with a conversation";
                        problems.push((format!("{at}/asr"), why));
                    }
                }
                problems
            }
        }
    }
}

/// The same of the lists of a cascade.
fn lists_problems(
    at: &str,
    asr: &[ProviderRef],
    llm: &[ProviderRef],
    tts: &[ProviderRef],
) -> Vec<(String, &'static str)> {
    let mut problems = Vec::new();
    if tts.is_empty() {
        problems.push((format!("{at}/tts"), "expected at least one synthesiser"));
    }
    if llm.is_empty() && !asr.is_empty() {
        problems.push((format!("{at}/llm"), "a recogniser without a language model has nobody to talk to"));
    }
    for (list, refs) in [("asr", asr), ("llm", llm), ("tts", tts)] {
        problems.extend(list_problems(&format!("{at}/{list}"), refs));
    }
    problems
}

fn list_problems(at: &str, refs: &[ProviderRef]) -> Vec<(String, &'static str)> {
    let mut problems = Vec::new();
    if refs.len() > 8 {
        problems.push((at.to_owned(), "expected at most 8 providers"));
    }
    for (index, entry) in refs.iter().enumerate() {
        if !(1..=100).contains(&entry.provider.len()) {
            problems.push((format!("{at}/{index}/provider"), "expected 1 to 100 characters"));
        }
    }
    problems
}

/// A provider of a list with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderRef {
    /// Name of a configured provider, else of an installed plugin.
    pub provider: String,
    /// Settings merged over the provider's own and checked against the plugin's schema.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: serde_json::Map<String, Value>,
}

/// What to do about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum FailureAction {
    /// Go to the next provider of the list; say `bridge` meanwhile when it is not empty.
    NextProvider {
        /// Line spoken meanwhile.
        #[serde(default)]
        bridge: String,
    },
    /// Say a line and go on.
    Say {
        /// The line.
        text: String,
    },
    /// Transfer to a human.
    Transfer {
        /// Number or SIP URI.
        to: String,
    },
    /// Say a line, when not empty, and hang up.
    HangUp {
        /// The line.
        #[serde(default)]
        text: String,
    },
    /// Only record it.
    Record,
}

/// Redaction by channel: a redactor plugin and what it removes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redaction {
    /// The redactor plugin; empty means no redaction.
    pub redactor: String,
    /// Entity types to redact; empty means all.
    pub entity_types: Vec<String>,
    /// Where texts are redacted on their way to. A channel that this build does not redact is refused by name.
    pub channels: Vec<RedactionChannel>,
}

/// Recording: two channels, caller left, agent right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recording {
    /// Whether calls are recorded from the answer on. Otherwise a recording can still be started in a call.
    pub enabled: bool,
    /// How the sound is stored.
    pub format: RecordingFormat,
    /// Whether the caller hears a tone that tells of it.
    pub beep: RecordingBeep,
    /// What happens when the tenant has no `recording_key` to seal recordings to.
    pub without_key: WithoutKey,
    /// Length at which a recording ends, 1..=86400 seconds.
    pub max_s: u32,
    /// Size at which a recording ends, 1..=4095 MiB.
    pub max_mib: u32,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            enabled: false,
            format: RecordingFormat::default(),
            beep: RecordingBeep::default(),
            without_key: WithoutKey::default(),
            max_s: 14_400,
            max_mib: 1024,
        }
    }
}

/// How a recording's sound is stored.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RecordingFormat {
    /// WAV, 16-bit PCM: about 2 MB a minute of telephone sound.
    #[default]
    Wav,
    /// Opus in Ogg: about 350 kB a minute.
    Opus,
}

/// Whether the caller hears a tone that tells of the recording.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RecordingBeep {
    /// No tone.
    #[default]
    Never,
    /// One when the recording begins.
    Start,
    /// One when it begins and one every 15 s.
    Repeat,
}

/// What happens to a recording that cannot be sealed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WithoutKey {
    /// It is stored in clear.
    #[default]
    Clear,
    /// It is not made: calls that would be recorded are refused before they are answered.
    Refuse,
}

/// Limits of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest call, seconds, 1..=86400.
    pub max_call_s: u32,
    /// Longest wait for a model's first token, or for an engine to open and for its first sound, before the next provider, ms.
    pub llm_first_token_ms: u32,
    /// Wait for a model's first token after which the next of the list is asked, too, and whoever answers first is heard,
    /// 100..=10000 ms, or 0 for never: it costs a second request.
    pub llm_hedge_ms: u32,
    /// Longest wait for a synthesiser's first sound before the next provider, ms.
    pub tts_first_byte_ms: u32,
    /// Silence after which the caller is asked, ms.
    pub caller_silence_ms: u32,
    /// How often the caller is asked before the hang-up.
    pub silence_prompts: u32,
    /// Most tokens of one reply.
    pub max_reply_tokens: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_call_s: 3600,
            llm_first_token_ms: 1500,
            llm_hedge_ms: 0,
            tts_first_byte_ms: 1500,
            caller_silence_ms: 10_000,
            silence_prompts: 2,
            max_reply_tokens: 512,
        }
    }
}

/// A fault in a spec, at an RFC 6901 pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecProblem {
    /// Where.
    pub pointer: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl AgentSpec {
    /// Pointers of fields this build does not know; REST refuses them, sync keeps them.
    #[must_use]
    pub fn unknown_fields(&self) -> Vec<String> {
        self.extra.keys().map(|key| format!("/{key}")).collect()
    }

    /// What is out of range or inconsistent.
    #[must_use]
    pub fn problems(&self) -> Vec<SpecProblem> {
        let mut problems = Vec::new();
        let mut expect = |holds: bool, pointer: &str, message: &str| {
            if !holds {
                problems.push(SpecProblem { pointer: pointer.to_owned(), message: message.to_owned() });
            }
        };
        expect(self.schema == SCHEMA, "/schema", "expected `trunkline.agent/v1`");
        expect((1..=100).contains(&self.name.chars().count()), "/name", "expected 1 to 100 characters");
        expect(self.prompt.len() <= 65_536, "/prompt", "expected at most 65536 bytes");
        expect(self.greeting.len() <= 4096, "/greeting", "expected at most 4096 bytes");
        for (pointer, message) in crate::dialogue::problems(&self.turn, &self.interruption, &self.speech) {
            expect(false, pointer, message);
        }
        for (pointer, message) in self.after_call.problems() {
            expect(false, pointer, message);
        }
        for (pointer, message) in crate::thinking::problems(self) {
            expect(false, &pointer, &message);
        }
        for (pointer, message) in self.sound.problems() {
            expect(false, pointer, message);
        }
        let menu = Some(self.survival.menu.as_str());
        let collecting = crate::menu::problems(&self.menus, &self.start, menu, &self.slots);
        let collecting = collecting.into_iter().chain(crate::slots::problems(&self.slots));
        for (pointer, message) in collecting.chain(crate::survival::problems(&self.survival)) {
            expect(false, &pointer, &message);
        }
        for (pointer, message) in self.transfer.problems() {
            expect(false, &pointer, message);
        }
        for (pointer, message) in self.answering.iter().flat_map(AnsweringPolicy::problems) {
            expect(false, &pointer, message);
        }
        expect((1..=86_400).contains(&self.recording.max_s), "/recording/max_s", "expected 1 to 86400");
        expect((1..=4095).contains(&self.recording.max_mib), "/recording/max_mib", "expected 1 to 4095");
        expect((1..=86_400).contains(&self.limits.max_call_s), "/limits/max_call_s", "expected 1 to 86400");
        let hedge = self.limits.llm_hedge_ms;
        expect(hedge == 0 || (100..=10_000).contains(&hedge), "/limits/llm_hedge_ms", "expected 100 to 10000, or 0");
        for (pointer, message) in self.pipeline.problems() {
            expect(false, &pointer, message);
        }
        problems
    }

    /// Every provider of a kind that a call of the agent may ask.
    pub fn providers(&self, kind: ProviderKind) -> impl Iterator<Item = &ProviderRef> {
        let voices = self.speech.voices.values().filter(move |_| kind == ProviderKind::Tts);
        let (engines, others): (&[ProviderRef], &[ProviderRef]) = match kind {
            ProviderKind::Asr => (&self.survival.engines.asr, &[]),
            ProviderKind::Llm => (&self.survival.engines.llm, &self.after_call.llm),
            ProviderKind::Tts => (&self.survival.engines.tts, &[]),
            ProviderKind::Tool | ProviderKind::Redactor | ProviderKind::Realtime => (&[], &[]),
        };
        self.pipeline.providers(kind).iter().chain(engines).chain(others).chain(voices)
    }

    /// Names of what this build parses and keeps but cannot do: unknown `requires`, and parts not built yet.
    #[must_use]
    pub fn unsupported(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .requires
            .iter()
            .filter(|feature| !FEATURES.contains(&feature.as_str()))
            .map(|feature| format!("requires `{feature}`"))
            .collect();
        if self.pipeline.is_realtime() {
            names.extend(self.not_with_engines().into_iter().map(|what| format!("{what} with pipeline `realtime`")));
        }
        let unknown = self.analysis.iter().filter(|name| Analysis::from_name(name).is_none());
        names.extend(unknown.map(|name| format!("analysis `{name}`")));
        let unserved = self.redaction.channels.iter().filter(|channel| !channel.is_served());
        names.extend(unserved.map(|channel| format!("redaction channel `{}`", channel.name())));
        names
    }

    /// What the agent asks for and engines cannot give: they hear sound and speak, so that nothing can come between the
    /// caller's words and what they make of them, nor between that and what the caller hears.
    fn not_with_engines(&self) -> Vec<&'static str> {
        let redacts = |channel| !self.redaction.redactor.is_empty() && self.redaction.channels.contains(&channel);
        let guards = &self.guardrails;
        let asked = [
            (!guards.input.is_empty(), "guardrails `input`"),
            (!guards.output.is_empty(), "guardrails `output`"),
            (!guards.topics.is_empty(), "guardrails `topics`"),
            (guards.max_repeats > 0, "guardrails `max_repeats`"),
            (redacts(RedactionChannel::LlmInput), "redaction channel `llm-input`"),
            (redacts(RedactionChannel::LlmOutput), "redaction channel `llm-output`"),
            (!self.knowledge.is_empty() && self.lookup.mode == LookupMode::Always, "lookup mode `always`"),
            (self.context.summarize, "context `summarize`"),
            (!self.handoff.agents.is_empty(), "handoff"),
        ];
        asked.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> AgentSpec {
        serde_json::from_str(text).unwrap()
    }

    const SMALL: &str = r#"{"name":"a","pipeline":{"cascade":{"tts":[{"provider":"espeak"}]}}}"#;

    #[test]
    fn a_small_spec_gets_its_defaults_and_round_trips() {
        let small = spec(SMALL);
        assert_eq!(small.problems(), []);
        assert!(small.interruption.barge_in && small.unsupported().is_empty());
        assert_eq!(spec(&serde_json::to_string(&small).unwrap()), small);
    }

    #[test]
    fn recording_limits_are_held_to_what_a_file_can_be() {
        let text = SMALL.replace("\"name\"", r#""recording":{"enabled":true,"max_mib":4096,"max_s":0},"name""#);
        let pointers: Vec<_> = spec(&text).problems().into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(pointers, ["/recording/max_s", "/recording/max_mib"]);
        assert_eq!(spec(SMALL).recording.without_key, WithoutKey::Clear);
    }

    #[test]
    fn unknown_fields_are_kept_and_named() {
        let text = SMALL.replace("\"name\"", "\"shiny\":{\"x\":1},\"name\"");
        let kept = spec(&text);
        assert_eq!(kept.unknown_fields(), ["/shiny"]);
        assert_eq!(serde_json::to_value(&kept).unwrap()["shiny"]["x"], 1);
    }

    #[test]
    fn an_agent_of_engines_names_them_and_what_takes_over() {
        let text = r#"{"name":"a","pipeline":{"realtime":{"engines":[{"provider":"e"}],
            "cascade":{"asr":[{"provider":"ear"}],"llm":[{"provider":"mind"}],"tts":[{"provider":"voice"}]}}}}"#;
        let whole = spec(text);
        assert_eq!((whole.problems(), whole.unsupported()), (vec![], vec![]));
        let names = |kind| whole.providers(kind).map(|entry| entry.provider.as_str()).collect::<Vec<_>>();
        let kinds = [ProviderKind::Realtime, ProviderKind::Asr, ProviderKind::Llm, ProviderKind::Tts];
        assert_eq!(kinds.map(names), [["e"], ["ear"], ["mind"], ["voice"]]);
        assert_eq!(spec(&serde_json::to_string(&whole).unwrap()), whole);
        let bad = text.replace(r#"{"provider":"ear"}"#, "").replace(r#"{"provider":"e"}"#, "");
        let pointers: Vec<_> = spec(&bad).problems().into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(pointers, ["/pipeline/realtime/engines", "/pipeline/realtime/cascade/asr"]);
    }

    #[test]
    fn what_engines_cannot_do_is_refused_by_name() {
        let text = r#"{"name":"a","pipeline":{"realtime":{"engines":[{"provider":"e"}]}},
            "guardrails":{"topics":["war"],"max_turns":9},"knowledge":["faq"],"context":{"summarize":true},
            "redaction":{"redactor":"pii","channels":["transcript","llm-input"]},
            "handoff":{"agents":[{"name":"x","agent":"y"}]}}"#;
        let names = ["guardrails `topics`", "redaction channel `llm-input`", "lookup mode `always`"];
        let names = names.into_iter().chain(["context `summarize`", "handoff"]);
        let names: Vec<String> = names.map(|what| format!("{what} with pipeline `realtime`")).collect();
        assert_eq!(spec(text).unsupported(), names);
    }

    #[test]
    fn what_cannot_be_done_yet_is_refused_by_name() {
        let text = SMALL.replace("\"name\"", "\"requires\":[\"teleport\"],\"analysis\":[\"mood\"],\"name\"");
        assert_eq!(spec(&text).unsupported(), ["requires `teleport`", "analysis `mood`"]);
        let text =
            SMALL.replace("\"name\"", r#""redaction":{"redactor":"pii","channels":["transcript","log"]},"name""#);
        assert_eq!(spec(&text).unsupported(), ["redaction channel `log`"]);
        assert!(serde_json::from_str::<AgentSpec>(&text.replace("\"log\"", "\"transkript\"")).is_err());
    }
}
