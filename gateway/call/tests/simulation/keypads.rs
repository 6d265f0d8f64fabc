//! Calls with menus, slots and secrets: what of them an agent has, and what is promised of a secret: that no digit of one
//! appears in anything the call says, asks for or keeps.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use trunkline_api::Event;
use trunkline_api::words::{Content, Message};
use trunkline_call::{Call, Command};

use crate::random::Random;

/// The keys of a secret, one after the other: a run of them is in nothing else of this world.
pub(crate) const SECRET: [&str; 3] = ["4111111111111111#", "7395861", "4929182736451#"];
/// What would give one away, wherever it begins.
const RUNS: [&str; 3] = ["411111", "739586", "492918"];

/// Adds menus, slots and survival to one agent in three.
pub(crate) fn add_to(spec: &mut Value, random: &mut Random) {
    if !random.percent(33) {
        return;
    }
    let then = |random: &mut Random| *random.pick(&["", "main", "other"]);
    let option = |key: &str, action: Value| json!({ "key": key, "label": format!("number {key}"), "action": action });
    let collect = json!({ "action": "collect", "slot": "card", "then": then(random) });
    let record = json!({ "action": "record", "text": "Speak now.", "max_s": 5, "then": then(random) });
    spec["slots"] = json!([
        { "name": "card", "kind": "card_number", "prompt": "Enter your card.", "attempts": 2, "key_wait_ms": 3000,
          "secure": { "tools": ["booking"] }, "confirm": random.pick(&["never", "double_entry"]) },
        { "name": "pin", "kind": { "digits": { "min": 7, "max": 7 } }, "prompt": "Enter your PIN.", "secure": { "tools": ["booking"] }, "key_wait_ms": 2000 },
        { "name": "people", "kind": { "digits": { "min": 1, "max": 2 } }, "confirm": random.pick(&["never", "readback"]),
          "prompt": "How many are you?", "key_wait_ms": 2000 },
    ]);
    spec["menus"] = json!({
        "main": {
            "prompt": "For a card press four, for the agent press one.", "timeout_ms": 2000 + random.below(4000),
            "retries": random.below(3), "words": random.percent(40), "invalid_say": "There is no such choice.",
            "options": [
                option("4", collect), option("1", json!({ "action": "agent" })), option("9", record),
                option("*", json!({ "action": "repeat" })), option("#", json!({ "action": "menu", "menu": "other" })),
            ],
        },
        "other": {
            "prompt": "For people press one.", "timeout_ms": 3000, "retries": 1,
            "on_timeout": { "action": "agent", "text": "I am with you." },
            "options": [
                option("1", json!({ "action": "collect", "slot": "people" })),
                option("4", json!({ "action": "say", "text": "Four it is.", "then": then(random) })),
                option("9", json!({ "action": "set_variable", "name": "x", "value": "y", "then": then(random) })),
                option("#", json!({ "action": "hang_up", "text": "Bye." })),
            ],
        },
    });
    if random.percent(50) {
        spec["start"] = "menu:main".into();
    }
    if random.percent(60) {
        spec["survival"] = json!({ "menu": "main", "restored": "We are back.", "prerendered": random.percent(50) });
    }
}

/// Nothing of a secret is in what the call says or asks for.
pub(crate) fn shows_nothing(text: &str) {
    assert!(!RUNS.iter().any(|run| text.contains(run)), "a secret is shown: {text}");
}

/// What happened of all this, by name.
const TOLD: [&str; 6] =
    ["menu.chosen", "slot.filled", "concealed", "message.recorded", "survival.entered", "survival.left"];

static COUNTS: [AtomicU64; TOLD.len()] = [const { AtomicU64::new(0) }; TOLD.len()];

/// How often each has happened in this process.
pub(crate) fn counts() -> Vec<(&'static str, u64)> {
    TOLD.into_iter().zip(COUNTS.iter().map(|count| count.load(Ordering::Relaxed))).collect()
}

/// Calls of an agent that can do without providers meet some where all of a kind are ill.
pub(crate) fn make_ill(survives: bool, has_prompts: bool, seed: u64, ill: &mut [Vec<bool>; 3]) {
    let mut random = Random::new(!seed);
    if survives && random.percent(25) {
        ill[1].fill(true);
    }
    if survives && has_prompts && random.percent(10) {
        ill[2].fill(true);
    }
}

/// Whether lines were rendered beforehand for a call.
pub(crate) fn has_prompts(seed: u64) -> bool {
    Random::new(seed ^ 0x5eed).percent(40)
}

/// An event holds nothing of it.
pub(crate) fn event_shows_nothing(event: &Event) {
    if let Some(at) = TOLD.iter().position(|kind| *kind == event.kind) {
        COUNTS[at].fetch_add(1, Ordering::Relaxed);
    }
    value_shows_nothing(&event.data);
}

/// Nor does anything in it.
fn value_shows_nothing(value: &Value) {
    match value {
        Value::String(text) => shows_nothing(text),
        Value::Array(values) => values.iter().for_each(value_shows_nothing),
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            shows_nothing(key);
            value_shows_nothing(value);
        }),
        Value::Number(number) => shows_nothing(&number.to_string()),
        Value::Null | Value::Bool(_) => {}
    }
}

fn message_shows_nothing(message: &Message) {
    for content in &message.content {
        match content {
            Content::Text(text) => shows_nothing(text),
            Content::ToolCall(call) => shows_nothing(&call.arguments),
            Content::ToolResult { output, .. } => shows_nothing(output),
        }
    }
}

/// Nor does what anybody is asked to do.
pub(crate) fn command_shows_nothing(command: &Command) {
    match command {
        Command::StartTool { arguments, .. } => shows_nothing(arguments),
        Command::StartLlm { messages, .. } => messages.iter().for_each(message_shows_nothing),
        Command::Speak { text, .. } | Command::Play { text, .. } | Command::Redact { text, .. } => shows_nothing(text),
        _ => {}
    }
}

/// Nor does the call when it is printed, and when it is over it holds none.
pub(crate) fn end_shows_nothing(call: &Call) {
    // Times are written in digits, too, so that a short run tells nothing here.
    assert!(!format!("{call:?}").contains("41111111"), "a secret is printed");
    let left = call.tool_arguments("booking", "{{secure:card}}{{secure:pin}}");
    assert_eq!(left, "{{secure:card}}{{secure:pin}}", "a secret outlives its call");
}
