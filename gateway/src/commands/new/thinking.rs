//! How an agent thinks, as its file shows it: context, tools, hand-off, knowledge and rules, each with its default.

use serde_json::json;
use trunkline_api::agent::{ContextPolicy, Guardrails, Handoff, LookupPolicy, ToolUse};

use super::file::{File, inline};

/// Every section with every key.
pub(super) fn write(file: &mut File) {
    let context = ContextPolicy::default();
    file.section("How much of the conversation a model is given.", "object.body.context");
    let about = "Most tokens of a request, 1000 to 2000000: prompt, tools, conversation and room for the reply.";
    file.default(about, "max_tokens", &context.max_tokens.to_string());
    let about = "Exchanges that are always given word for word, 2 to 100.";
    file.default(about, "keep_turns", &context.keep_turns.to_string());
    let about = "Whether the model sums up older ones, in requests of its own, before they would be left out.";
    file.default(about, "summarize", &context.summarize.to_string());
    file.default("Most tokens of that summary, 50 to 4000.", "summary_tokens", &context.summary_tokens.to_string());
    file.default("What it must hold besides.", "summary_prompt", "\"\"");

    let tools = ToolUse::default();
    file.section("How often and in what order tools are called.", "object.body.tool_use");
    file.default("Rounds of a turn, 1 to 16.", "max_rounds", &tools.max_rounds.to_string());
    file.default("Calls of a turn, 1 to 32.", "max_calls", &tools.max_calls.to_string());
    file.default("Whether calls of a round run at once.", "parallel", &tools.parallel.to_string());

    let handoff = Handoff::default();
    file.section("Agents that a call may be handed to, by the tool `hand_off`.", "object.body.handoff");
    let about = "Each with `name`, `agent` (name or id), `description`, `carry` (full, summary or nothing) and `say`.";
    file.default(about, "agents", "[]");
    file.default("Most hand-offs of a call, 1 to 16.", "most", &handoff.most.to_string());

    let lookup = LookupPolicy::default();
    file.section("How the bases of `knowledge` are asked.", "object.body.lookup");
    file.default("always, in every turn, or on_demand, by the tool `search_knowledge`.", "mode", "\"always\"");
    file.default("Most passages, 1 to 20.", "top", &lookup.top.to_string());
    file.default("Most tokens of them together, 50 to 20000.", "max_tokens", &lookup.max_tokens.to_string());
    let about = "Longest wait for them before the model is asked without, 20 to 5000 ms.";
    file.default(about, "deadline_ms", &lookup.deadline_ms.to_string());

    let guards = Guardrails::default();
    file.section("What is checked before the model sees it and before the caller hears it.", "object.body.guardrails");
    let about = "Rules for what the caller says, each with `name`, `phrases`, `patterns` and `action`: block { say }, \
                 replace { with }, hang_up { text }, hand_off { to } or transfer { to }.";
    file.default(about, "input", "[]");
    file.default("The same for each sentence of the model's.", "output", "[]");
    file.default("What it must not speak about.", "topics", "[]");
    let refusal = inline(&json!(guards.refusal)).unwrap_or_default();
    file.default("Said in place of a sentence about one of these.", "refusal", &refusal);
    let about = "How often the same answer may follow itself, 2 to 20, or 0 for ever.";
    file.default(about, "max_repeats", &guards.max_repeats.to_string());
    file.default("Most turns of a call, or 0 for any number.", "max_turns", &guards.max_turns.to_string());
}
