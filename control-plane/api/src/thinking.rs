//! How an agent thinks: how much of the conversation a model is given, how its tools are run, what it looks up, and to
//! whom it may hand a call.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::AgentSpec;

/// How much of the conversation a model is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContextPolicy {
    /// Most tokens of a request, 1000..=2000000: prompt, tools, conversation and room for the reply. Counted by an
    /// estimate that is rather too high and that what providers report corrects. The oldest exchanges are left out.
    pub max_tokens: u32,
    /// Exchanges that are always given word for word unless they alone are too much, 2..=100.
    pub keep_turns: u32,
    /// Whether older exchanges are summed up by the model, in a request of its own while the caller is not waiting,
    /// before they would be left out.
    pub summarize: bool,
    /// Most tokens of that summary, 50..=4000.
    pub summary_tokens: u32,
    /// What the summary must hold, added to what the model is told for it.
    pub summary_prompt: String,
}

impl Default for ContextPolicy {
    fn default() -> Self {
        Self { max_tokens: 32_000, keep_turns: 4, summarize: false, summary_tokens: 400, summary_prompt: String::new() }
    }
}

/// A tool the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolRef {
    /// `hang_up`, `transfer` (built in), or a tool plugin's name.
    pub name: String,
    /// Settings of the tool plugin.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: serde_json::Map<String, Value>,
    /// How it is run.
    #[serde(default, skip_serializing_if = "ToolPolicy::is_default")]
    pub policy: ToolPolicy,
}

/// How a tool is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolPolicy {
    /// Milliseconds it has, 100..=120000; then the model is told that it did not answer.
    pub timeout_ms: u32,
    /// Said while it runs, when not empty and nothing else is being said.
    pub say: String,
    /// Milliseconds after the call at which `say` is said, 0..=60000.
    pub say_after_ms: u32,
    /// Whether `speech.fillers` are said while it runs.
    pub speak_while_waiting: bool,
    /// What becomes of it when the caller says something else meanwhile.
    pub on_interrupt: OnInterrupt,
    /// Whether calling it twice with the same arguments in one breath is calling it once.
    pub idempotent: bool,
}

/// What becomes of a tool that runs when the caller interrupts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnInterrupt {
    /// It is stopped.
    #[default]
    Cancel,
    /// It runs to its end, and the model learns what came of it: for what must not be done by half, such as a booking.
    Keep,
}

impl Default for ToolPolicy {
    fn default() -> Self {
        Self {
            timeout_ms: 10_000,
            say: String::new(),
            say_after_ms: 0,
            speak_while_waiting: true,
            on_interrupt: OnInterrupt::Cancel,
            idempotent: false,
        }
    }
}

/// How often and in what order tools are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolUse {
    /// Rounds of calls in a turn after which the model has to answer without, 1..=16.
    pub max_rounds: u32,
    /// Most calls of a turn, 1..=32.
    pub max_calls: u32,
    /// Whether calls of a round run at once; otherwise one after the other, in the model's order.
    pub parallel: bool,
}

impl Default for ToolUse {
    fn default() -> Self {
        Self { max_rounds: 4, max_calls: 8, parallel: true }
    }
}

/// To whom a call may be handed, by the built-in tool `hand_off` that the model is offered when there is anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Handoff {
    /// Agents, at most 16.
    pub agents: Vec<HandoffTarget>,
    /// Most hand-offs of a call that this agent answered, 1..=16: agents may hand a caller round and round.
    pub most: u32,
}

impl Default for Handoff {
    fn default() -> Self {
        Self { agents: Vec::new(), most: 4 }
    }
}

/// An agent that a call may be handed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandoffTarget {
    /// What the model calls it, 1..=64 characters.
    pub name: String,
    /// Its id, or its name among the agents of the tenant.
    pub agent: String,
    /// When to hand a call to it, for the model.
    #[serde(default)]
    pub description: String,
    /// What it is told of the conversation.
    #[serde(default)]
    pub carry: Carry,
    /// Said by the agent that hands over, when not empty.
    #[serde(default)]
    pub say: String,
}

/// What an agent is told of a conversation that it takes over.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Carry {
    /// All of it, and what tools have set.
    #[default]
    Full,
    /// What the agent before says of it when it hands over, and what tools have set.
    Summary,
    /// Nothing.
    Nothing,
}

/// How the bases of `knowledge` are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LookupPolicy {
    /// When.
    pub mode: LookupMode,
    /// Most passages, 1..=20.
    pub top: u32,
    /// Most tokens of them together, 50..=20000.
    pub max_tokens: u32,
    /// Longest wait for them before the model is asked without, 20..=5000 ms.
    pub deadline_ms: u32,
}

/// When an agent's knowledge is asked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LookupMode {
    /// In every turn, by the caller's words and the agent's question before them.
    #[default]
    Always,
    /// When the model calls the built-in tool `search_knowledge`.
    OnDemand,
}

impl Default for LookupPolicy {
    fn default() -> Self {
        Self { mode: LookupMode::Always, top: 4, max_tokens: 1000, deadline_ms: 150 }
    }
}

macro_rules! is_default {
    ($($name:ident),+) => {
        $(impl $name {
            /// Whether nothing was chosen.
            #[must_use]
            pub fn is_default(&self) -> bool {
                *self == Self::default()
            }
        })+
    };
}

is_default!(ContextPolicy, ToolPolicy, ToolUse, Handoff, LookupPolicy);

/// What is out of range or inconsistent, each with its RFC 6901 pointer and what was expected.
pub(crate) fn problems(spec: &AgentSpec) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, pointer: &str, message: &str| {
        if !holds {
            found.push((pointer.to_owned(), message.to_owned()));
        }
    };
    let zone = "expected a time zone such as `Europe/Berlin`, or nothing for UTC";
    expect(crate::time_zone::is_time_zone(&spec.time_zone), "/time_zone", zone);
    let context = &spec.context;
    expect((1000..=2_000_000).contains(&context.max_tokens), "/context/max_tokens", "expected 1000 to 2000000");
    let room = context.max_tokens / 2;
    let reply = spec.limits.max_reply_tokens;
    expect(reply <= room, "/context/max_tokens", "expected at least twice `limits.max_reply_tokens`");
    expect((2..=100).contains(&context.keep_turns), "/context/keep_turns", "expected 2 to 100");
    expect((50..=4000).contains(&context.summary_tokens), "/context/summary_tokens", "expected 50 to 4000");
    let fits = context.summary_tokens <= context.max_tokens / 4;
    expect(fits, "/context/summary_tokens", "expected at most a quarter of `context.max_tokens`");
    expect(context.summary_prompt.len() <= 4096, "/context/summary_prompt", "expected at most 4096 bytes");
    for (index, tool) in spec.tools.iter().enumerate() {
        let (policy, at) = (&tool.policy, format!("/tools/{index}/policy"));
        let timeout = (100..=120_000).contains(&policy.timeout_ms);
        expect(timeout, &format!("{at}/timeout_ms"), "expected 100 to 120000");
        expect(policy.say.len() <= 1000, &format!("{at}/say"), "expected at most 1000 bytes");
        expect(policy.say_after_ms <= 60_000, &format!("{at}/say_after_ms"), "expected 0 to 60000");
    }
    expect((1..=16).contains(&spec.tool_use.max_rounds), "/tool_use/max_rounds", "expected 1 to 16");
    expect((1..=32).contains(&spec.tool_use.max_calls), "/tool_use/max_calls", "expected 1 to 32");
    expect(spec.handoff.agents.len() <= 16, "/handoff/agents", "expected at most 16");
    expect((1..=16).contains(&spec.handoff.most), "/handoff/most", "expected 1 to 16");
    let mut names = BTreeSet::new();
    for (index, target) in spec.handoff.agents.iter().enumerate() {
        let at = format!("/handoff/agents/{index}");
        expect((1..=64).contains(&target.name.chars().count()), &format!("{at}/name"), "expected 1 to 64 characters");
        expect(names.insert(&target.name), &format!("{at}/name"), "expected a name of its own");
        let agent = (1..=100).contains(&target.agent.chars().count());
        expect(agent, &format!("{at}/agent"), "expected 1 to 100 characters");
        expect(target.description.len() <= 1000, &format!("{at}/description"), "expected at most 1000 bytes");
        expect(target.say.len() <= 1000, &format!("{at}/say"), "expected at most 1000 bytes");
    }
    expect(spec.knowledge.len() <= 16, "/knowledge", "expected at most 16 bases");
    for (index, base) in spec.knowledge.iter().enumerate() {
        let fits =
            (1..=100).contains(&base.len()) && base.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        let message = "expected 1 to 100 letters, digits, `-` and `_`";
        expect(fits, &format!("/knowledge/{index}"), message);
    }
    expect((1..=20).contains(&spec.lookup.top), "/lookup/top", "expected 1 to 20");
    expect((50..=20_000).contains(&spec.lookup.max_tokens), "/lookup/max_tokens", "expected 50 to 20000");
    expect((20..=5000).contains(&spec.lookup.deadline_ms), "/lookup/deadline_ms", "expected 20 to 5000");
    let others: Vec<&str> = spec.handoff.agents.iter().map(|target| target.name.as_str()).collect();
    found.extend(spec.guardrails.problems(&others));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(more: Value) -> Vec<String> {
        let mut spec = json!({ "name": "a", "pipeline": { "cascade": { "tts": [{ "provider": "espeak" }] } } });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let spec: AgentSpec = serde_json::from_value(spec).unwrap();
        spec.problems().into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        assert_eq!(pointers(json!({})), Vec::<String>::new());
        let faults = pointers(json!({
            "time_zone": "Mars/Olympus", "context": { "max_tokens": 900, "keep_turns": 1 },
            "tools": [{ "name": "x" }, { "name": "y", "policy": { "timeout_ms": 5 } }],
            "tool_use": { "max_rounds": 0 }, "knowledge": ["faq", "../etc"], "lookup": { "top": 0 },
            "handoff": { "agents": [{ "name": "b", "agent": "billing" }, { "name": "b", "agent": "" }] },
            "guardrails": {
                "input": [{ "name": "r", "patterns": ["("], "action": { "block": { "say": "No." } } }],
                "output": [{ "name": "", "action": { "hand_off": { "to": "nobody" } } }], "max_repeats": 1,
            },
        }));
        assert_eq!(
            faults,
            [
                "/time_zone",
                "/context/max_tokens",
                "/context/max_tokens",
                "/context/keep_turns",
                "/context/summary_tokens",
                "/tools/1/policy/timeout_ms",
                "/tool_use/max_rounds",
                "/handoff/agents/1/name",
                "/handoff/agents/1/agent",
                "/knowledge/1",
                "/lookup/top",
                "/guardrails/input/0/patterns/0",
                "/guardrails/output/0/name",
                "/guardrails/output/0",
                "/guardrails/output/0/action/hand_off/to",
                "/guardrails/max_repeats",
            ]
        );
    }

    #[test]
    fn a_small_spec_is_stored_as_small_as_before() {
        let small = json!({ "name": "a", "tools": [{ "name": "x" }], "pipeline": { "cascade": { "tts": [{ "provider": "e" }] } } });
        let spec: AgentSpec = serde_json::from_value(small).unwrap();
        let stored = serde_json::to_value(&spec).unwrap();
        for absent in ["context", "tool_use", "handoff", "lookup", "guardrails", "time_zone"] {
            assert_eq!(stored.get(absent), None, "{absent}");
        }
        assert_eq!(stored["tools"][0].get("policy"), None);
    }
}
