//! The model calls a tool, reads its answer and goes on in the same breath.

use serde_json::json;
use trunkline_api::words::ToolAction;
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, ToolOutcome};

use crate::rig::{Rig, agent, reply, tool_reply};

fn outcome(output: &str) -> ToolOutcome {
    ToolOutcome { output: output.to_owned(), is_error: false, actions: Vec::new(), failure: None }
}

fn rig(scripts: Vec<Vec<(u64, trunkline_call::LlmEvent)>>, answer: Option<(u64, ToolOutcome)>) -> Rig {
    let spec =
        agent(1, 1, 1, json!({ "tools": [{ "name": "weather" }, { "name": "hang_up" }, { "name": "transfer" }] }));
    let mut rig = Rig::new(spec, &[]).scripts(scripts);
    rig.tools.insert("weather".to_owned(), answer);
    rig.caller_says(1000, 500, "what is the weather");
    rig
}

#[test]
fn the_model_reads_the_result() {
    let scripts = vec![tool_reply("Let me look.", "weather", r#"{"city":"Oslo"}"#), reply("It rains.")];
    let mut rig = rig(scripts, Some((300, outcome("rain"))));
    rig.run_until(9000);
    assert_eq!(rig.said(), ["Hello.", "Let me look.", "It rains."]);
    assert_eq!(
        rig.conversation()[2..],
        ["User: what is the weather", r#"Assistant: Let me look. weather({"city":"Oslo"})"#, "Tool: -> rain"]
    );
    assert_eq!(rig.only(EventType::ToolCalled)["arguments"], r#"{"city":"Oslo"}"#);
    assert_eq!(rig.only(EventType::ToolReturned)["output"], "rain");
    // One utterance, remembered as two messages around the tool.
    assert_eq!(rig.all(EventType::PlaybackFinished)[1]["text"], "Let me look. It rains.");
    let started = rig.commands.iter().find_map(|(_, command)| match command {
        Command::StartTool { plugin, deadline_ms, .. } => Some((plugin.clone(), *deadline_ms)),
        _ => None,
    });
    assert_eq!(started, Some(("weather".to_owned(), 10_000)));
}

#[test]
fn a_slow_tool_is_bridged_and_its_actions_are_done() {
    let actions =
        vec![ToolAction::SetVariable("who".to_owned(), "a sailor".to_owned()), ToolAction::Say("Found it.".to_owned())];
    let scripts = vec![tool_reply("", "weather", "{}"), reply("It rains.")];
    let mut rig = rig(scripts, Some((3000, ToolOutcome { actions, ..outcome("rain") })));
    rig.run_until(12_000);
    assert_eq!(rig.said(), ["Hello.", "One moment, please.", "Found it.", "It rains."]);
    assert_eq!(rig.conversation()[0], "System: You are a sailor.");
}

#[test]
fn an_error_is_told_to_the_model() {
    let scripts = vec![tool_reply("", "weather", "{}"), reply("I cannot see the weather.")];
    let mut rig = rig(scripts, Some((100, ToolOutcome { is_error: true, ..outcome("no such city") })));
    rig.run_until(9000);
    assert_eq!(rig.failures(), [(Failure::ToolFailed, "record")]);
    assert_eq!(rig.conversation().last().unwrap(), "Tool: -> no such city");
}

#[test]
fn a_transfer_to_nobody_and_unknown_tools_are_errors_the_model_can_act_on() {
    let scripts = vec![
        tool_reply("", "transfer", r#"{"to":"+1"}"#),
        tool_reply("", "teleport", "{}"),
        reply("I cannot do that."),
    ];
    let mut rig = rig(scripts, None);
    rig.run_until(9000);
    assert_eq!(rig.failures(), []);
    let returned = rig.all(EventType::ToolReturned);
    assert!(returned.iter().all(|data| data["is_error"] == true));
    assert!(returned[0]["output"].as_str().unwrap().starts_with("there is nobody"));
    assert_eq!(*rig.said().last().unwrap(), "I cannot do that.");
}

#[test]
fn a_model_that_calls_tools_for_ever_is_made_to_answer() {
    let mut scripts: Vec<_> = (0..4).map(|_| tool_reply("", "weather", "{}")).collect();
    scripts.push(reply("It rains."));
    let mut rig = rig(scripts, Some((10, outcome("rain"))));
    rig.run_until(9000);
    let offered: Vec<_> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::StartLlm { tools, .. } => Some(tools.len()),
            _ => None,
        })
        .collect();
    assert_eq!(offered, [3, 3, 3, 3, 0]);
    assert_eq!(*rig.said().last().unwrap(), "It rains.");
}

#[test]
fn a_model_that_calls_tools_it_was_not_offered_has_failed() {
    let scripts = (0..5).map(|_| tool_reply("", "weather", "{}")).collect();
    let mut rig = rig(scripts, Some((10, outcome("rain"))));
    rig.run_to_end();
    let raised: Vec<_> = rig.failures().into_iter().map(|(failure, _)| failure).collect();
    assert_eq!(raised, [Failure::LlmUnavailable, Failure::ProvidersExhausted]);
    assert_eq!(rig.all(EventType::ToolCalled).len(), 4);
}

#[test]
fn words_before_a_tool_that_were_not_heard_are_not_remembered() {
    let before = "I will look that up for you in the big book of weather.";
    let scripts = vec![tool_reply(before, "weather", "{}"), reply("It rains."), reply("Sorry.")];
    let mut rig = rig(scripts, Some((10, outcome("rain"))));
    // The first sentence plays from about 2550; the tool has answered long before it ends.
    rig.caller_says(3500, 500, "too slow");
    rig.run_until(9000);
    let heard = rig.only(EventType::PlaybackCut)["heard"].as_str().unwrap().to_owned();
    assert!(before.starts_with(&heard) && heard.len() < before.len() && !heard.is_empty());
    assert_eq!(
        rig.conversation()[3..],
        [format!("Assistant: {heard} weather({{}})"), "Tool: -> rain".to_owned(), "User: too slow".to_owned()]
    );
}
