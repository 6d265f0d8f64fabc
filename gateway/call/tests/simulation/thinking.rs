//! How simulated agents think beside their turns: summaries, knowledge, rules, tools that must not be stopped half way, and
//! colleagues to whom they hand callers. What a summary says is what the agent is told to have said, so that memory can be
//! held against what was heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trunkline_api::id::{Id, Prefix};
use trunkline_api::words::{Content, FinishReason, Message, Role, ToolCall, ToolDefinition};
use trunkline_api::{AgentSpec, Failure};
use trunkline_call::{LlmEvent, OtherAgent, Passage};

use crate::random::Random;

/// Stands before a summary in what a model is told.
const BEFORE: &str = "What was said before, in short:";

/// Gives half of the agents something to think with.
pub(crate) fn choose(spec: &mut Value, random: &mut Random) {
    if random.percent(50) {
        return;
    }
    spec["context"] = json!({
        "max_tokens": random.between(1024, 1300), "keep_turns": 2, "summarize": random.percent(80),
    });
    // There is room for few words beside the prompt, for calls are short.
    spec["limits"]["max_reply_tokens"] = json!(500);
    spec["prompt"] = json!("Be brief. ".repeat(random.between(20, 80) as usize));
    spec["tools"][2]["policy"] = json!({
        "on_interrupt": "keep", "timeout_ms": random.between(800, 6000), "idempotent": random.percent(50),
        "say": *random.pick(&["", "I am booking it now."]), "say_after_ms": random.below(1500),
    });
    spec["tool_use"] = json!({ "parallel": random.percent(70), "max_rounds": random.between(1, 5) });
    if random.percent(40) {
        spec["knowledge"] = json!(["faq"]);
        spec["lookup"] = json!({ "mode": *random.pick(&["always", "on_demand"]) });
    }
    if random.percent(40) {
        spec["guardrails"] = json!({
            "input": [{ "name": "table", "phrases": ["table"], "action": { "block": { "say": "Not that, please." } } }],
            "output": [{ "name": "money", "phrases": ["euros"], "action": *random.pick(&[
                &json!({ "block": { "say": "I cannot tell you the price." } }), &json!({ "replace": { "with": "coins" } }),
            ]) }],
            "max_repeats": 3 * random.below(2), "topics": *random.pick(&[&json!([]), &json!(["tomorrow"])]),
        });
    }
    if random.percent(40) {
        spec["handoff"] = json!({ "agents": [{
            "name": "colleague", "agent": "other", "say": *random.pick(&["", "I will put you through."]),
            "carry": *random.pick(&["full", "summary", "nothing"]),
        }] });
    }
}

/// Whoever calls are handed to: the same agent with other voices, ears and models, and now and then another greeting.
pub(crate) fn others(spec: &Arc<AgentSpec>, seed: u64) -> BTreeMap<String, Arc<OtherAgent>> {
    if spec.handoff.agents.is_empty() {
        return BTreeMap::new();
    }
    let mut other = AgentSpec::clone(spec);
    if seed.is_multiple_of(2) {
        "de".clone_into(&mut other.language);
    }
    if seed.is_multiple_of(3) {
        other.greeting.clear();
    }
    let agent = Id::mint(Prefix::Agent, 1_700_000_000_000, [2; 10]);
    let other = OtherAgent { agent, version: 2, spec: Arc::new(other), tools: Vec::new() };
    BTreeMap::from([("other".to_owned(), Arc::new(other))])
}

/// Whether a request is for a summary.
pub(crate) fn is_summary(messages: &[Message]) -> bool {
    matches!(messages[0].content.first(), Some(Content::Text(text)) if text.starts_with("Sum up this telephone"))
}

/// What a model says to a request for a summary: all that the agent said, in its words.
pub(crate) fn summary(random: &mut Random, messages: &[Message]) -> Vec<(u64, LlmEvent)> {
    let wait = random.between(200, 4000);
    match random.below(10) {
        0 => return Vec::new(),
        1 => {
            return vec![(wait, LlmEvent::Failed { failure: Failure::LlmUnavailable, detail: "no".to_owned() })];
        }
        _ => {}
    }
    let Some(Content::Text(transcript)) = messages[1].content.first() else { panic!("a summary of nothing") };
    let mut words = String::new();
    for line in transcript.lines() {
        if let Some(said) = line.strip_prefix("Agent: ").or_else(|| line.strip_prefix(BEFORE)) {
            words.push_str(said.trim());
            words.push(' ');
        }
    }
    if words.is_empty() {
        "-".clone_into(&mut words);
    }
    vec![(wait, LlmEvent::TextDelta(words)), (wait + 100, LlmEvent::Finished(FinishReason::Stop))]
}

/// What a search of knowledge bases finds and how late; nothing at all now and then.
pub(crate) fn found(random: &mut Random) -> Option<(u64, Result<Vec<Passage>, String>)> {
    let passage = Passage { name: "faq/a.md: B".to_owned(), text: "We open at nine.".to_owned() };
    match random.below(12) {
        0 => None,
        1 => Some((20, Err("no such base".to_owned()))),
        2 => Some((400, Ok(vec![passage]))),
        _ => Some((random.between(1, 60), Ok(vec![passage]))),
    }
}

/// Has the model hand the call over, or look something up, where it may.
pub(crate) fn also_calls(random: &mut Random, tools: &[ToolDefinition], script: &mut [(u64, LlmEvent)]) {
    let offered = |name: &str| tools.iter().any(|tool| tool.name == name);
    for (name, arguments) in
        [("hand_off", r#"{"name":"colleague","reason":"bills"}"#), ("search_knowledge", r#"{"query":"hours"}"#)]
    {
        if offered(name) && random.percent(30) {
            let call = script.iter_mut().find(|(_, event)| matches!(event, LlmEvent::ToolCall(_)));
            if let Some((_, LlmEvent::ToolCall(call))) = call {
                let id = call.id.clone();
                *call = ToolCall { id, name: name.to_owned(), arguments: arguments.to_owned() };
            }
        }
    }
}

/// Whether what the agent is told to have said was heard. Word for word it is all there as long as nothing was left out;
/// otherwise what it is given word for word is the end of what was heard, and the summary claims nothing besides.
pub(crate) fn is_what_was_heard(messages: &[Message], said: &str, heard: &str) -> bool {
    let Some(left) = heard.strip_suffix(said) else { return false };
    let summary = summary_of(messages);
    let mut rest = left.chars();
    summary.chars().filter(|c| *c != '-').all(|c| rest.any(|heard| heard == c))
}

/// Whether something may have been left out: the agent has a small budget.
pub(crate) fn may_leave_out(spec: &AgentSpec) -> bool {
    spec.context.max_tokens < 2000
}

/// A request is within the agent's budget, by a count of characters that knows nothing of the call's own; only the newest
/// exchange may be larger.
pub(crate) fn fits(messages: &[Message], spec: &AgentSpec) {
    let asked = messages.iter().filter(|message| message.role == Role::User).count();
    let content = |content: &Content| match content {
        Content::Text(text) => text.len(),
        Content::ToolCall(call) => call.arguments.len(),
        Content::ToolResult { output, .. } => output.len(),
    };
    let bytes: usize = messages.iter().flat_map(|message| &message.content).map(content).sum();
    let most = (spec.context.max_tokens - spec.limits.max_reply_tokens) as usize;
    assert!(asked <= 2 || bytes / 5 <= most, "a request of {bytes} bytes for a budget of {most} tokens");
}

fn summary_of(messages: &[Message]) -> String {
    let system = messages.first().filter(|message| message.role == Role::System);
    let Some(Content::Text(text)) = system.and_then(|message| message.content.first()) else { return String::new() };
    let after = text.split_once(BEFORE).map_or("", |(_, after)| after);
    // What one agent tells another when it hands a call over is no more than that word.
    let summary = after.split("\n\n").next().unwrap_or_default().replace("bills", "");
    summary.chars().filter(|c| !c.is_whitespace()).collect()
}
