//! Tools as their policy says: a time and a line of their own, at once or in order, once for equal calls; and one that must
//! not be stopped half way is not, whatever the caller says meanwhile.

use serde_json::{Value, json};
use trunkline_api::words::{FinishReason, ToolAction, ToolCall};
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, LlmEvent, ToolOutcome};

use crate::rig::{Rig, agent, reply, tool_reply};

fn outcome(output: &str) -> ToolOutcome {
    ToolOutcome { output: output.to_owned(), is_error: false, actions: Vec::new(), failure: None }
}

fn calls(calls: &[(&str, &str)]) -> Vec<(u64, LlmEvent)> {
    let call = |(n, (name, arguments)): (usize, &(&str, &str))| {
        let call = ToolCall { id: format!("c{n}"), name: (*name).to_owned(), arguments: (*arguments).to_owned() };
        (50, LlmEvent::ToolCall(call))
    };
    let mut script: Vec<_> = calls.iter().enumerate().map(call).collect();
    script.push((10, LlmEvent::Finished(FinishReason::ToolCalls)));
    script
}

fn rig(policy: Value, scripts: Vec<Vec<(u64, LlmEvent)>>) -> Rig {
    let tools = json!([{ "name": "booking", "policy": policy }, { "name": "weather" }]);
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "tools": tools, "speech": { "filler_after_ms": 2000 } })), &[])
        .scripts(scripts);
    rig.caller_says(1000, 500, "book a table");
    rig
}

fn started(rig: &Rig) -> Vec<(&str, u64)> {
    let start = |(at, command): &'_ (trunkline_leg::CallTime, Command)| match command {
        Command::StartTool { name, .. } => Some((if name == "booking" { "booking" } else { "weather" }, at.as_ms())),
        _ => None,
    };
    rig.commands.iter().filter_map(start).collect()
}

fn cancelled(rig: &Rig) -> usize {
    rig.commands.iter().filter(|(_, command)| matches!(command, Command::CancelTool { .. })).count()
}

#[test]
fn each_has_its_own_time() {
    let scripts = vec![calls(&[("booking", "{}"), ("weather", "{}")]), reply("It rains, and nothing was booked.")];
    let mut rig = rig(json!({ "timeout_ms": 1500 }), scripts);
    rig.tools.insert("weather".to_owned(), Some((3000, outcome("rain"))));
    rig.run_until(12_000);
    let returned = rig.all(EventType::ToolReturned);
    assert_eq!((returned[0]["name"].as_str(), returned[1]["output"].as_str()), (Some("booking"), Some("rain")));
    assert_eq!(rig.first_ms(EventType::ToolReturned), rig.first_ms(EventType::ToolCalled) + 1500);
    assert_eq!(rig.failures(), [(Failure::ToolTimeout, "record")]);
    assert_eq!(rig.conversation().last().unwrap(), "Tool: -> tool_timeout: the tool did not answer in time -> rain");
}

#[test]
fn its_line_is_said_when_it_takes_long_and_not_when_it_is_quick() {
    for (takes_ms, lines) in [(400, vec!["Hello.", "Booked."]), (1600, vec!["Hello.", "I am booking it.", "Booked."])] {
        let policy = json!({ "say": "I am booking it.", "say_after_ms": 800 });
        let mut rig = rig(policy, vec![tool_reply("", "booking", "{}"), reply("Booked.")]);
        rig.tools.insert("booking".to_owned(), Some((takes_ms, outcome("ok"))));
        rig.run_until(9000);
        assert_eq!(rig.said(), lines);
    }
}

#[test]
fn it_can_run_in_silence() {
    let policy = json!({ "speak_while_waiting": false });
    let mut rig = rig(policy, vec![tool_reply("", "booking", "{}"), reply("Booked.")]);
    rig.tools.insert("booking".to_owned(), Some((8000, outcome("ok"))));
    rig.run_until(16_000);
    assert_eq!(rig.said(), ["Hello.", "Booked."]);
}

#[test]
fn one_after_the_other_when_the_agent_wants_it() {
    let tools = json!([{ "name": "booking" }, { "name": "weather" }]);
    let more = json!({ "tools": tools, "tool_use": { "parallel": false } });
    let scripts = vec![calls(&[("booking", "{}"), ("weather", "{}")]), reply("Done.")];
    let mut rig = Rig::new(agent(1, 1, 1, more), &[]).scripts(scripts);
    rig.tools.insert("booking".to_owned(), Some((700, outcome("ok"))));
    rig.tools.insert("weather".to_owned(), Some((300, outcome("rain"))));
    rig.caller_says(1000, 500, "book a table");
    rig.run_until(9000);
    let started = started(&rig);
    assert_eq!((started[0].0, started[1].0, started[1].1), ("booking", "weather", started[0].1 + 700));
    assert_eq!(rig.conversation().last().unwrap(), "Tool: -> ok -> rain");
}

#[test]
fn equal_calls_in_one_breath_are_one_where_that_is_the_same() {
    for idempotent in [true, false] {
        let twice = calls(&[("booking", "{\"a\":1}"), ("booking", "{\"a\":1}"), ("booking", "{\"a\":2}")]);
        let mut rig = rig(json!({ "idempotent": idempotent }), vec![twice, reply("Booked.")]);
        rig.tools.insert("booking".to_owned(), Some((300, outcome("ok"))));
        rig.run_until(9000);
        assert_eq!(started(&rig).len(), if idempotent { 2 } else { 3 });
        assert_eq!(rig.conversation().last().unwrap(), "Tool: -> ok -> ok -> ok");
    }
}

#[test]
fn a_booking_is_not_stopped_half_way_and_the_model_learns_what_came_of_it() {
    let scripts = vec![tool_reply("", "booking", "{}"), reply("One moment."), reply("It is booked.")];
    let mut rig = rig(json!({ "on_interrupt": "keep" }), scripts);
    let actions = vec![ToolAction::SetVariable("who".to_owned(), "a waiter".to_owned())];
    rig.tools.insert("booking".to_owned(), Some((4000, ToolOutcome { actions, ..outcome("booked for eight") })));
    rig.caller_says(3500, 500, "are you still there");
    rig.caller_says(9000, 500, "and now");
    rig.run_until(5500);
    assert_eq!(cancelled(&rig), 0);
    let conversation = rig.conversation();
    assert!(conversation[4].starts_with("Tool: -> running: the caller went on meanwhile."), "{conversation:?}");
    rig.run_until(14_000);
    assert_eq!((cancelled(&rig), started(&rig).len()), (0, 1));
    let conversation = rig.conversation();
    assert_eq!(
        (conversation[0].as_str(), conversation[4].as_str()),
        ("System: You are a waiter.", "Tool: -> booked for eight")
    );
    let returned = rig.only(EventType::ToolReturned);
    assert_eq!((&returned["late"], &returned["output"]), (&json!(true), &json!("booked for eight")));
    assert_eq!(*rig.said().last().unwrap(), "It is booked.");
}

#[test]
fn what_still_runs_is_not_begun_again_by_an_equal_call() {
    let scripts = vec![tool_reply("", "booking", "{}"), tool_reply("", "booking", "{}"), reply("It is booked.")];
    let mut rig = rig(json!({ "on_interrupt": "keep" }), scripts);
    rig.tools.insert("booking".to_owned(), Some((5000, outcome("booked"))));
    rig.caller_says(3500, 500, "yes book it please");
    rig.run_until(14_000);
    assert_eq!((cancelled(&rig), started(&rig).len()), (0, 1));
    assert_eq!(rig.conversation().last().unwrap(), "Tool: -> booked");
    assert_eq!(*rig.said().last().unwrap(), "It is booked.");
}

#[test]
fn an_answer_that_comes_too_late_is_remembered_as_late() {
    let scripts = vec![tool_reply("", "booking", "{}"), reply("I do not know yet."), reply("It is booked after all.")];
    let mut rig = rig(json!({ "on_interrupt": "keep", "timeout_ms": 1000 }), scripts);
    rig.tools.insert("booking".to_owned(), Some((5000, outcome("booked"))));
    rig.caller_says(12_000, 500, "and now");
    rig.run_until(18_000);
    assert_eq!(rig.failures(), [(Failure::ToolTimeout, "record")]);
    assert_eq!(rig.conversation()[4], "Tool: -> late: booked");
    assert_eq!(cancelled(&rig), 0);
    assert_eq!(*rig.said().last().unwrap(), "It is booked after all.");
}

#[test]
fn nothing_runs_on_behind_the_end_of_the_call() {
    let mut rig = rig(json!({ "on_interrupt": "keep" }), vec![tool_reply("", "booking", "{}"), reply("One moment.")]);
    rig.tools.insert("booking".to_owned(), None);
    rig.caller_says(3500, 500, "are you still there");
    rig.caller_hangs_up(7000);
    rig.run_until(8000);
    assert!(rig.call.is_over());
    assert_eq!(cancelled(&rig), 1);
}
