//! Whole answers, driven the way the host drives them.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_plugin_kit::ErrorCode;
use trunkline_plugin_kit::llm::{Content, FinishReason, LlmEvent, Message, Request, Role, ToolCall, ToolResult};
use trunkline_plugin_kit::testing::{Bench, TestHost};
use trunkline_plugin_scripted::Dialogue;

fn say(role: Role, text: &str) -> Message {
    Message { role, content: vec![Content::Text(text.to_owned())] }
}

fn request(messages: Vec<Message>) -> Request {
    Request { messages, tools: Vec::new(), max_tokens: None, temperature: None }
}

fn caller(text: &str) -> Request {
    request(vec![say(Role::System, "Be brief."), say(Role::Assistant, "Hello."), say(Role::User, text)])
}

fn answer(settings: &str, request: Request) -> Vec<(u64, LlmEvent)> {
    let mut bench = Bench::<Dialogue, _>::llm(TestHost::new(settings), request).unwrap();
    bench.run_timers().unwrap()
}

fn spoken(events: &[(u64, LlmEvent)]) -> String {
    events
        .iter()
        .filter_map(|(_, event)| match event {
            LlmEvent::TextDelta(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn the_callers_words_appear_in_the_reply() {
    let events = answer("", caller("Tell me about billing."));
    assert_eq!(spoken(&events), "You said: Tell me about billing.");
    assert_eq!(events.first().unwrap().1, LlmEvent::Started);
    assert_eq!(events.last().unwrap().1, LlmEvent::Finished(FinishReason::Stop));
}

#[test]
fn the_first_rule_that_holds_answers() {
    let script = r#"{
        "rules": [
            {"when": {"dtmf": "any"}, "say": "You pressed {dtmf}."},
            {"when": {"any": ["goodbye", "bye"]}, "say": "Bye.", "hang_up": true},
            {"when": {"all": ["account", "balance"]}, "say": "{var:name}, your balance is {var:sum}."},
            {"when": {"any": ["balance"]}, "say": "Which balance?"}
        ],
        "variables": {"name": "Ada", "sum": "ten pounds"}
    }"#;
    assert_eq!(spoken(&answer(script, caller("The balance of my account"))), "Ada, your balance is ten pounds.");
    assert_eq!(spoken(&answer(script, caller("balance"))), "Which balance?");
    assert_eq!(spoken(&answer(script, caller("[DTMF 7]"))), "You pressed 7.");
    let bye = answer(script, caller("OK, goodbye"));
    assert!(matches!(&bye[bye.len() - 3].1, LlmEvent::ToolCall(call) if call.name == "hang_up"));
    assert_eq!(bye.last().unwrap().1, LlmEvent::Finished(FinishReason::ToolCalls));
}

#[test]
fn a_tools_result_is_spoken_and_can_have_its_own_rule() {
    let script = r#"{
        "rules": [
            {"when": {"any": ["weather"]}, "say": "One moment.", "call_tool": {"name": "weather", "arguments": {"said": "{heard}"}}},
            {"when": {"tool": "weather"}, "say": "It is {tool_output}."}
        ]
    }"#;
    let asked = answer(script, caller("the weather"));
    let call = asked
        .iter()
        .find_map(|(_, event)| match event {
            LlmEvent::ToolCall(call) => Some(call.clone()),
            _ => None,
        })
        .unwrap();
    assert_eq!(call.arguments, r#"{"said":"the weather"}"#);
    let with_result = |call: ToolCall, output: &str| {
        request(vec![
            say(Role::User, "the weather"),
            Message {
                role: Role::Tool,
                content: vec![Content::ToolResult(ToolResult { call_id: call.id.clone(), output: output.to_owned() })],
            },
        ])
    };
    let mut known = with_result(call.clone(), "sunny");
    known.messages.insert(1, Message { role: Role::Assistant, content: vec![Content::ToolCall(call.clone())] });
    assert_eq!(spoken(&answer(script, known)), "It is sunny.");
    assert_eq!(spoken(&answer(script, with_result(call, "raw output"))), "raw output");
}

#[test]
fn events_are_spaced_and_delayed_as_written() {
    let script = r#"{"fallback": {"say": "one two three", "delay_ms": 50},
                     "first_token_delay_ms": 100, "event_interval_ms": 20, "words_per_event": 2}"#;
    let events = answer(script, caller("hi"));
    let times: Vec<_> = events
        .iter()
        .filter(|(_, event)| matches!(event, LlmEvent::TextDelta(_)))
        .map(|(at, event)| (*at, event.clone()))
        .collect();
    assert_eq!(
        times,
        [(150_000, LlmEvent::TextDelta("one two ".to_owned())), (170_000, LlmEvent::TextDelta("three".to_owned()))]
    );
}

#[test]
fn faults_happen_where_they_were_ordered() {
    let failing = r#"{"fail_after": 2, "fail_with": "rate-limited"}"#;
    let events = answer(failing, caller("a b c d"));
    assert_eq!(spoken(&events), "You said: ");
    assert!(
        matches!(&events.last().unwrap().1, LlmEvent::Failed(error) if error.code == ErrorCode::RateLimited && error.retryable)
    );
    assert_eq!(answer(r#"{"stall": true}"#, caller("hi")), []);
    assert_eq!(spoken(&answer(r#"{"stall_after": 1}"#, caller("hi"))), "You ");
    assert_eq!(spoken(&answer(r#"{"stall": true, "fault_turns": [2]}"#, caller("hi"))), "You said: hi.");
}

#[test]
fn cancelling_ends_the_generation_at_once() {
    let mut bench = Bench::<Dialogue, _>::llm(TestHost::new(r#"{"event_interval_ms": 10}"#), caller("a b c")).unwrap();
    let first = bench.host.fire_timer().unwrap();
    assert_eq!(bench.deliver(first).unwrap().len(), 2);
    let events =
        bench.run(|session, host, out| trunkline_plugin_kit::llm::Generation::cancel(session, host, out)).unwrap();
    assert_eq!(events, [LlmEvent::Finished(FinishReason::Cancelled)]);
    assert_eq!(bench.run_timers().unwrap(), [], "nothing follows a cancellation");
}

#[test]
fn mistakes_in_the_script_are_named() {
    for (settings, part) in [
        (r#"{"fallback": {"say": "{nobody}"}}"#, "{nobody}"),
        (r#"{"rulez": []}"#, "rulez"),
        (r#"{"words_per_event": 0}"#, "words_per_event"),
    ] {
        let error = Bench::<Dialogue, _>::llm(TestHost::new(settings), caller("hi")).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidSettings);
        assert!(error.message.contains(part), "{}", error.message);
    }
}
