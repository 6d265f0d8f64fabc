//! The caller speaks while an engine does: it is stopped, and knows and remembers what was heard and no more.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_call::ToolOutcome;

use crate::rig::Rig;
use crate::rig::engines::{Say, realtime, says};

/// 50 ms a character: 1000 ms, then 1500 ms more.
const STORY: [(&str, u32); 2] = [("The price is twenty.", 1000), (" And we close at ten tonight.", 2450)];

fn story() -> Vec<(u64, Say)> {
    let [(first, end), (second, all)] = STORY;
    vec![
        (200, Say::Item),
        (0, Say::Text(first, Some(end))),
        (0, Say::Text(second, Some(all))),
        (0, Say::Sound(all)),
        (0, Say::Complete),
        (0, Say::Done),
    ]
}

/// The story sounds from 3300 on.
fn telling(mode: &str) -> Rig {
    let spec = realtime(1, json!({ "interruption": { "mode": mode } }));
    let mut rig = Rig::engines(spec, vec![vec![story(), says("Fine.")]]);
    rig.caller_says(1500, 1000, "tell me");
    rig
}

#[test]
fn it_is_cut_and_truncated_at_what_was_heard() {
    let mut rig = telling("pause_then_resume");
    rig.caller_says(4800, 1000, "stop please");
    rig.run_until(9500);
    let cut = rig.only(EventType::PlaybackCut);
    assert_eq!(cut["sent_ms"], 1580, "paused 80 ms after the caller began");
    assert_eq!(cut["heard"], "The price is twenty. And we");
    let asked = rig.asked_engines();
    assert!(asked.contains(&"truncate 2 at 1580".to_owned()), "{asked:?}");
    let truncated = asked.iter().position(|asked| asked.starts_with("truncate")).unwrap();
    let responds = asked.iter().rposition(|asked| asked.starts_with("respond")).unwrap();
    assert!(truncated < responds, "it answers once it knows what was heard: {asked:?}");
    assert_eq!(*rig.said().last().unwrap(), "Fine.");
}

#[test]
fn its_memory_is_what_was_heard() {
    let mut rig = telling("pause_then_resume");
    rig.engines.list.push(rig.engines.list[0].clone());
    rig.caller_says(4800, 1000, "stop please");
    rig.run_until(9500);
    assert_eq!(rig.call.record().turns, 2);
    let heard: Vec<&str> =
        rig.all(EventType::PlaybackFinished).iter().map(|data| data["text"].as_str().unwrap()).collect();
    assert_eq!(heard, ["Hello.", "Fine."]);
}

#[test]
fn a_sign_of_listening_lets_it_go_on_where_it_stopped() {
    let mut rig = telling("pause_then_resume");
    rig.caller_says(4800, 300, "mhm");
    rig.run_until(9500);
    assert_eq!(rig.all(EventType::PlaybackCut), Vec::<&serde_json::Value>::new());
    let finished = rig.all(EventType::PlaybackFinished);
    assert_eq!(finished.last().unwrap()["text"], "The price is twenty. And we close at ten tonight.");
    assert_eq!(rig.all(EventType::TurnStarted).len(), 1);
}

#[test]
fn noise_lets_it_go_on_although_an_input_was_committed() {
    let mut rig = telling("ignore_backchannel");
    rig.caller_says(4300, 300, "");
    rig.run_until(9500);
    assert_eq!(rig.all(EventType::TurnStarted).len(), 1);
    assert!(rig.asked_engines().contains(&"commit 2".to_owned()));
    assert_eq!(rig.all(EventType::PlaybackFinished).len(), 2);
}

#[test]
fn a_long_interruption_whose_words_never_come_is_one() {
    let mut rig = telling("pause_then_resume");
    rig.run_until(4000);
    rig.engines.list[0].hears = None;
    rig.caller_says(4800, 1000, "stop please");
    rig.run_until(12_000);
    assert_eq!(rig.only(EventType::PlaybackCut)["sent_ms"], 1580);
    assert_eq!(*rig.said().last().unwrap(), "Fine.");
}

#[test]
fn the_sentence_is_finished_where_the_agent_wants_that() {
    let mut rig = telling("finish_sentence");
    rig.caller_says(3800, 1500, "stop please");
    rig.run_until(9500);
    let asked = rig.asked_engines();
    assert!(asked.contains(&"end at 1000".to_owned()), "{asked:?}");
    assert!(asked.contains(&"truncate 2 at 1000".to_owned()), "{asked:?}");
    let finished: Vec<_> = rig.all(EventType::PlaybackFinished).iter().map(|data| data["text"].clone()).collect();
    assert_eq!(finished[1], "The price is twenty.");
    assert_eq!(*rig.said().last().unwrap(), "Fine.");
}

#[test]
fn what_was_dropped_for_nothing_is_said_again_as_a_line() {
    let mut rig = telling("abort");
    rig.caller_says(4800, 300, "mhm");
    rig.run_until(9500);
    let asked = rig.asked_engines();
    assert!(asked.contains(&"say close at ten tonight.".to_owned()), "{asked:?}");
    assert!(asked.contains(&"truncate 2 at 1600".to_owned()), "{asked:?}");
}

#[test]
fn a_response_that_is_still_made_is_cancelled_once_there_are_words() {
    let endless = || {
        let mut script = vec![(200, Say::Item), (0, Say::Text("More and more words. ", None))];
        script.extend((1..40).map(|n| (100, Say::Sound(n * 200))));
        script
    };
    let spec = realtime(1, json!({ "interruption": { "mode": "abort" } }));
    let mut rig = Rig::engines(spec, vec![vec![endless(), says("Fine.")]]);
    rig.caller_says(1500, 1000, "go");
    rig.caller_says(5000, 1000, "stop");
    rig.run_until(9500);
    let asked = rig.asked_engines();
    let place = |wanted: &str| asked.iter().position(|asked| asked.starts_with(wanted));
    assert!(place("cancel 1") < place("truncate 2 at"), "what still grows cannot be cut: {asked:?}");
    assert!(place("truncate 2 at") < place("respond 2"), "{asked:?}");
    assert_eq!(rig.only(EventType::PlaybackCut)["sent_ms"], 1700);
    assert_eq!(*rig.said().last().unwrap(), "Fine.");
}

/// Says two sentences, the second of which is known late, and calls a tool at the end.
fn looks_up() -> Vec<(u64, Say)> {
    vec![
        (200, Say::Item),
        (0, Say::Text("Let me look that up for you.", Some(1400))),
        (0, Say::Sound(1400)),
        (1400, Say::Text(" It takes a moment.", Some(2350))),
        (0, Say::Sound(2350)),
        (0, Say::Complete),
        (0, Say::Tool("weather", "{}")),
        (10, Say::Done),
    ]
}

#[test]
fn a_cough_costs_no_tool_and_no_words_that_come_behind_it() {
    for mode in ["abort", "finish_sentence"] {
        let tools = json!([{ "name": "weather" }]);
        let spec = realtime(1, json!({ "interruption": { "mode": mode }, "tools": tools }));
        let mut rig = Rig::engines(spec, vec![vec![looks_up(), says("It rains.")]]);
        let rain = ToolOutcome { output: "rain".to_owned(), is_error: false, actions: Vec::new(), failure: None };
        rig.tools.insert("weather".to_owned(), Some((300, rain)));
        rig.caller_says(1500, 1000, "how is the weather");
        rig.caller_says(3700, 300, "");
        rig.run_until(14_000);
        let asked = rig.asked_engines();
        assert!(asked.contains(&"result c-weather: rain".to_owned()), "{mode}: {asked:?}");
        assert!(!asked.iter().any(|asked| asked.starts_with("cancel")), "{mode}: {asked:?}");
        let truncated = asked.iter().filter(|asked| asked.starts_with("truncate 2")).count();
        let again = asked.contains(&"say It takes a moment.".to_owned());
        // Where the sentence is finished, nobody knew yet that it was one.
        assert_eq!((truncated, again), if mode == "abort" { (1, true) } else { (0, false) }, "{mode}: {asked:?}");
        assert_eq!(*rig.said().last().unwrap(), "It rains.", "{mode}");
    }
}

#[test]
fn what_is_thought_while_the_caller_goes_on_is_never_heard() {
    let spec = realtime(1, json!({}));
    let mut rig = Rig::engines(spec, vec![vec![story(), says("Fine.")]]);
    rig.caller_says(1500, 1000, "I want");
    // The response is asked for at 3100 and would sound at 3300.
    rig.caller_says(3150, 1000, "a table");
    rig.run_until(9000);
    let asked = rig.asked_engines();
    assert!(!asked.contains(&"play 2".to_owned()) && asked.contains(&"truncate 2 at 0".to_owned()), "{asked:?}");
    assert_eq!(*rig.said().last().unwrap(), "Fine.");
}

#[test]
fn noise_while_it_thinks_costs_nothing() {
    let spec = realtime(1, json!({}));
    let mut rig = Rig::engines(spec, vec![vec![story()]]);
    rig.caller_says(1500, 1000, "tell me");
    rig.caller_says(3150, 300, "");
    rig.run_until(9000);
    assert_eq!(rig.all(EventType::PlaybackFinished).len(), 2);
    assert!(!rig.asked_engines().iter().any(|asked| asked.starts_with("truncate")));
}

#[test]
fn protected_words_are_heard_to_their_end() {
    let spec = realtime(1, json!({ "interruption": { "protected": ["twenty"] } }));
    let mut rig = Rig::engines(spec, vec![vec![story(), says("Fine.")]]);
    rig.caller_says(1500, 1000, "tell me");
    rig.caller_says(4300, 900, "stop please");
    rig.run_until(12_000);
    assert_eq!(rig.all(EventType::PlaybackCut), Vec::<&serde_json::Value>::new());
}

#[test]
fn the_caller_hangs_up_in_mid_speech() {
    let mut rig = telling("pause_then_resume");
    rig.caller_hangs_up(4800);
    rig.run_to_end();
    assert_eq!(rig.only(EventType::PlaybackCut)["heard"], "The price is twenty. And we");
    assert_eq!(rig.asked_engines().last().unwrap(), "close 1");
}
