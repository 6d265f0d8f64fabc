//! What stands in braces: variables, what is known of the call, the time at the agent's place.

use serde_json::json;
use trunkline_api::words::ToolAction;
use trunkline_call::ToolOutcome;

use crate::rig::{Rig, agent, reply, tool_reply};

#[test]
fn a_prompt_and_a_greeting_know_the_call_and_the_time() {
    let more = json!({
        "time_zone": "Europe/Berlin", "greeting": "Good day, {name|dear caller}.",
        "prompt": "{who} {call.from} {call.to} {now} {now.weekday} {{who}} {unknown} {unknown|else}",
    });
    let mut rig = Rig::new(agent(1, 1, 1, more), &["Yes."]);
    rig.caller_says(2000, 500, "hello");
    rig.run_until(6000);
    assert_eq!(rig.said()[0], "Good day, dear caller.");
    // 1 700 000 000 s is 22:13 UTC.
    assert_eq!(
        rig.conversation()[0],
        "System: a clerk +4930123 100 Tuesday 2023-11-14 23:13 Tuesday {who} {unknown} else"
    );
}

#[test]
fn what_a_tool_sets_shows_in_the_next_request_and_names_nothing_itself() {
    let more = json!({ "prompt": "Speak as {who}.", "tools": [{ "name": "look" }] });
    let mut rig = Rig::new(agent(1, 1, 1, more), &[]).scripts(vec![tool_reply("", "look", "{}"), reply("Done.")]);
    let set = |name: &str, value: &str| ToolAction::SetVariable(name.to_owned(), value.to_owned());
    let actions = vec![set("who", "{call.to}"), set("call.to", "999")];
    let outcome = ToolOutcome { output: "ok".to_owned(), is_error: false, actions, failure: None };
    rig.tools.insert("look".to_owned(), Some((50, outcome)));
    rig.caller_says(1000, 500, "look it up");
    rig.run_until(6000);
    assert_eq!(rig.conversation()[0], "System: Speak as {call.to}.");
}

#[test]
fn a_callers_number_reaches_the_model_and_the_greeting_only_through_the_redactor() {
    let more = json!({
        "greeting": "You call from {call.from}.", "prompt": "The caller is {call.from}.",
        "redaction": { "redactor": "pii", "channels": ["llm-input"] },
    });
    let mut rig = Rig::new(agent(1, 1, 1, more), &["Yes."]);
    rig.caller_says(4000, 500, "hello");
    rig.run_until(8000);
    assert_eq!(rig.said()[0], "You call from +*******.");
    assert_eq!(rig.conversation()[..2], ["System: The caller is +*******.", "Assistant: You call from +*******."]);
}

#[test]
fn what_is_handed_over_with_a_call_goes_before_the_agents_own_and_through_the_redactor() {
    let more = json!({
        "greeting": "Good day, {x_name}.", "prompt": "{x_plan} {x_unknown|nothing}",
        "variables": { "x_name": "somebody", "x_plan": "basic" },
    });
    let given = [("x_name", "Kim"), ("x_plan", "gold 12345")];
    let mut rig = Rig::given(agent(1, 1, 1, more.clone()), &given, &["Yes."]);
    rig.caller_says(4000, 500, "hello");
    rig.run_until(8000);
    assert_eq!((rig.said()[0], rig.conversation()[0].as_str()), ("Good day, Kim.", "System: gold 12345 nothing"));

    let mut redacted = more.clone();
    redacted["redaction"] = json!({ "redactor": "pii", "channels": ["llm-input"] });
    let mut rig = Rig::given(agent(1, 1, 1, redacted), &given, &["Yes."]);
    rig.caller_says(4000, 500, "hello");
    rig.run_until(8000);
    assert_eq!(rig.conversation()[0], "System: gold ***** nothing");

    // Nothing was handed over: the agent's own hold.
    let mut rig = Rig::new(agent(1, 1, 1, more), &["Yes."]);
    rig.caller_says(4000, 500, "hello");
    rig.run_until(8000);
    assert_eq!(rig.said()[0], "Good day, somebody.");
}
