//! An engine calls tools: they are run as any model's, and it is told what they answered.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_call::{Command, Input, ToolOutcome};

use crate::rig::Rig;
use crate::rig::engines::{Say, calls, realtime, says};

fn outcome(output: &str) -> ToolOutcome {
    ToolOutcome { output: output.to_owned(), is_error: false, actions: Vec::new(), failure: None }
}

fn asking(then: Vec<Vec<(u64, Say)>>, ms: u64, result: ToolOutcome) -> Rig {
    let spec = realtime(1, json!({ "tools": [{ "name": "weather" }, { "name": "hang_up" }] }));
    let mut scripts = vec![calls("weather", r#"{"day":"today"}"#)];
    scripts.extend(then);
    let mut rig = Rig::engines(spec, vec![scripts]);
    rig.tools.insert("weather".to_owned(), Some((ms, result)));
    rig.caller_says(1500, 1000, "how is the weather");
    rig
}

#[test]
fn what_a_tool_answers_goes_back_and_is_answered() {
    let mut rig = asking(vec![says("It rains.")], 300, outcome("rain"));
    rig.run_until(7000);
    let asked = rig.asked_engines();
    let tail = &asked[asked.len() - 4..];
    assert_eq!(tail, ["respond 1", "result c-weather: rain", "respond 2", "play 2"]);
    assert_eq!(*rig.said().last().unwrap(), "It rains.");
    assert_eq!(rig.only(EventType::ToolCalled)["name"], "weather");
}

#[test]
fn one_that_fails_is_told_of() {
    let failed = ToolOutcome { is_error: true, ..outcome("no such day") };
    let mut rig = asking(vec![says("I could not find out.")], 300, failed);
    rig.run_until(7000);
    assert!(rig.asked_engines().contains(&"result c-weather: no such day".to_owned()));
    assert_eq!(*rig.said().last().unwrap(), "I could not find out.");
}

#[test]
fn one_that_never_answers_has_its_time() {
    let mut rig = asking(vec![says("I do not know.")], 60_000, outcome("rain"));
    rig.run_until(16_000);
    let told = "result c-weather: tool_timeout: the tool did not answer in time".to_owned();
    assert!(rig.asked_engines().contains(&told), "{:?}", rig.asked_engines());
}

#[test]
fn several_of_one_response_are_all_answered_before_it_goes_on() {
    let spec = realtime(1, json!({ "tools": [{ "name": "weather" }, { "name": "trains" }] }));
    let both = vec![(200, Say::Tool("weather", "{}")), (20, Say::Tool("trains", "{}")), (0, Say::Done)];
    let mut rig = Rig::engines(spec, vec![vec![both, says("Rain, and a train.")]]);
    rig.tools.insert("weather".to_owned(), Some((900, outcome("rain"))));
    rig.tools.insert("trains".to_owned(), Some((100, outcome("at ten"))));
    rig.caller_says(1500, 1000, "well");
    rig.run_until(8000);
    let asked = rig.asked_engines();
    let tail = &asked[asked.len() - 4..];
    assert_eq!(tail, ["result c-weather: rain", "result c-trains: at ten", "respond 2", "play 2"]);
}

#[test]
fn one_that_there_is_not_is_answered_with_that() {
    let spec = realtime(1, json!({ "tools": [{ "name": "weather" }] }));
    let mut rig = Rig::engines(spec, vec![vec![calls("teleport", "{}"), says("I cannot.")]]);
    rig.caller_says(1500, 1000, "beam me up");
    rig.run_until(7000);
    assert!(rig.asked_engines().contains(&"result c-teleport: there is no tool named teleport".to_owned()));
    assert_eq!(*rig.said().last().unwrap(), "I cannot.");
}

#[test]
fn it_hangs_up_once_its_goodbye_was_heard() {
    let spec = realtime(1, json!({ "tools": [{ "name": "hang_up" }] }));
    let mut bye = says("Goodbye.");
    bye.insert(5, (0, Say::Tool("hang_up", "{}")));
    let mut rig = Rig::engines(spec, vec![vec![bye]]);
    rig.caller_says(1500, 1000, "bye");
    rig.run_to_end();
    let goodbye = rig.all(EventType::PlaybackFinished).last().unwrap()["text"].clone();
    assert_eq!(goodbye, "Goodbye.");
    assert_eq!(rig.call.record().end, Some(trunkline_api::usage::EndReason::AgentHungUp));
}

#[test]
fn a_tool_of_a_turn_that_was_dropped_gets_a_result_all_the_same() {
    let mut rig = asking(vec![says("Fine.")], 4000, outcome("rain"));
    rig.caller_says(4000, 1000, "never mind");
    rig.run_until(9500);
    let told = "result c-weather: cancelled: the caller interrupted".to_owned();
    assert!(rig.asked_engines().contains(&told), "{:?}", rig.asked_engines());
    assert!(rig.commands.iter().any(|(_, command)| matches!(command, Command::CancelTool { .. })));
    assert_eq!(*rig.said().last().unwrap(), "Fine.");
}

#[test]
fn tools_that_run_while_the_engine_fails_are_told_to_the_next() {
    let spec = realtime(2, json!({ "tools": [{ "name": "weather" }] }));
    let mut first = calls("weather", "{}");
    first.push((100, Say::Fails));
    let mut rig = Rig::engines(spec, vec![vec![first], vec![says("It rains.")]]);
    rig.tools.insert("weather".to_owned(), Some((800, outcome("rain"))));
    rig.caller_says(1500, 1000, "how is the weather");
    rig.run_until(8000);
    let asked = rig.asked_engines();
    let told = ["append Assistant: weather({})", "append Tool: -> rain"];
    assert!(told.iter().all(|told| asked.contains(&(*told).to_owned())), "{asked:?}");
    assert_eq!(*rig.said().last().unwrap(), "It rains.");
}

#[test]
fn tools_that_run_while_everybody_fails_have_their_results_all_the_same() {
    let menu = json!({ "main": { "prompt": "One for sales.", "retries": 9, "options": [
        { "key": "1", "label": "sales", "action": { "action": "hang_up", "text": "" } } ] } });
    let survival = json!({ "menu": "main", "restored": "We are back." });
    let spec = realtime(1, json!({ "menus": menu, "survival": survival, "tools": [{ "name": "weather" }] }));
    let mut script = calls("weather", "{}");
    script.push((100, Say::Fails));
    let mut rig = Rig::engines(spec, vec![vec![script]]);
    rig.call.handle(trunkline_leg::CallTime::ZERO, Input::Prompts { texts: vec!["One for sales.".to_owned()] });
    rig.tools.insert("weather".to_owned(), Some((9000, outcome("rain"))));
    rig.caller_says(1500, 1000, "how is the weather");
    rig.run_until(60_000);
    assert_eq!(rig.all(EventType::SurvivalLeft).len(), 1);
    let told = rig.opened_with();
    let asked = told.iter().position(|told| told == "Assistant: weather({})");
    let answered = told.iter().position(|told| told.starts_with("Tool: -> cancelled"));
    assert!(asked.is_some() && answered == asked.map(|at| at + 1), "{told:?}");
}
