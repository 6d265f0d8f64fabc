//! A speech-to-speech engine hears, answers and speaks; turns are the call's own.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::usage::Units;
use trunkline_api::words::ProviderKind;
use trunkline_call::Input;

use crate::rig::Rig;
use crate::rig::engines::{Engine, realtime, says, with_cascade};

#[test]
fn it_is_opened_greets_hears_and_answers() {
    let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![says("We are open until nine.")]]);
    rig.caller_says(1500, 1000, "are you open");
    rig.run_until(6000);
    let asked = rig.asked_engines();
    let expected = ["open 1 engine-0", "say Hello.", "play 1", "begin 1", "commit 1", "respond 1", "play 2"];
    assert_eq!(asked, expected);
    assert_eq!(rig.asked_at("say Hello."), 100, "as soon as it is there");
    assert_eq!(rig.asked_at("respond 1"), 2500 + 600, "the caller's words are not waited for");
    assert_eq!(rig.said(), ["Hello.", "We are open until nine."]);
    let finished: Vec<_> = rig.all(EventType::PlaybackFinished);
    assert_eq!(finished.last().unwrap()["text"], "We are open until nine.");
    assert_eq!(rig.only(EventType::TranscriptFinal)["text"], "are you open");
    assert_eq!(rig.failures(), []);
    let waterfall = rig.only(EventType::TurnWaterfall);
    assert_eq!((waterfall["endpoint_ms"].as_u64(), waterfall["total_ms"].as_u64()), (Some(600), Some(800)));
}

#[test]
fn nothing_is_opened_or_asked_of_a_recogniser_model_or_synthesiser() {
    use trunkline_call::Command;
    let mut rig = Rig::engines(with_cascade(1, json!({})), vec![vec![says("Yes.")]]);
    rig.caller_says(1500, 1000, "are you open");
    rig.run_until(6000);
    let other = |command: &Command| {
        matches!(command, Command::OpenAsr { .. } | Command::StartLlm { .. } | Command::Speak { .. })
    };
    assert!(!rig.commands.iter().any(|(_, command)| other(command)), "{:#?}", rig.commands);
}

#[test]
fn words_that_come_late_take_their_place_in_the_conversation() {
    let mut rig = Rig::engines(realtime(2, json!({})), vec![vec![says("Yes."), says("Fine.")], vec![]]);
    rig.engines.list[0].hears = Some(2500);
    rig.caller_says(1500, 1000, "are you open");
    rig.caller_says(7000, 1000, "good");
    rig.run_until(9500);
    assert_eq!(rig.all(EventType::TurnStarted)[0]["input"], "[speech 1]");
    // The next engine is told what was said.
    let event = trunkline_call::RealtimeEvent::Closed;
    rig.tell(12_500, Input::Realtime { session: 1, event });
    rig.run_until(13_000);
    let told = rig.opened_with();
    assert_eq!(told, ["Assistant: Hello.", "User: are you open", "Assistant: Yes.", "User: good", "Assistant: Fine."]);
}

#[test]
fn words_that_never_come_keep_nobody_waiting() {
    let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![says("Yes."), says("Fine.")]]);
    rig.engines.list[0].hears = None;
    rig.caller_says(1500, 1000, "are you open");
    rig.caller_says(7000, 1000, "good");
    rig.run_until(12_000);
    assert_eq!(rig.said(), ["Hello.", "Yes.", "Fine."]);
    assert_eq!(rig.failures(), []);
}

#[test]
fn a_short_sound_is_answered_only_if_there_were_words() {
    let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![says("Fine.")]]);
    rig.caller_says(1500, 200, "");
    rig.caller_says(5000, 300, "yes");
    rig.run_until(9000);
    assert_eq!(rig.all(EventType::TurnStarted).len(), 1);
    assert_eq!(rig.asked_at("respond 1"), 5300 + 600 + 300, "its words are waited for");
}

#[test]
fn an_engine_that_says_no_lines_leaves_them_to_the_synthesiser() {
    let mut rig = Rig::engines(with_cascade(1, json!({})), vec![vec![says("Yes.")]]);
    rig.engines.list[0] = Engine { says: false, ..rig.engines.list[0].clone() };
    rig.caller_says(1500, 1000, "are you open");
    rig.run_until(6000);
    assert_eq!(rig.said(), ["Hello.", "Yes."]);
    let asked = rig.asked_engines();
    assert!(asked.contains(&"append Assistant: Hello.".to_owned()), "it is told what others said: {asked:?}");
    assert!(!asked.iter().any(|asked| asked.starts_with("say")));
}

#[test]
fn lines_rendered_beforehand_are_not_played_while_an_engine_speaks() {
    let spec = with_cascade(1, json!({ "survival": { "prerendered": true } }));
    let mut rig = Rig::engines(spec, vec![vec![]]);
    rig.call.handle(trunkline_leg::CallTime::ZERO, Input::Prompts { texts: vec!["Hello.".to_owned()] });
    rig.run_until(3000);
    assert!(rig.asked_engines().contains(&"say Hello.".to_owned()));
    assert!(!rig.commands.iter().any(|(_, command)| matches!(command, trunkline_call::Command::Play { .. })));
}

#[test]
fn usage_of_an_engine_is_on_the_record() {
    let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![]]);
    for at in [500, 900] {
        let units = Units { tokens_in: 30, tokens_out: 12, ..Units::default() };
        rig.tell(at, Input::Usage { kind: ProviderKind::Realtime, provider: "engine-0".to_owned(), units });
    }
    rig.caller_hangs_up(1500);
    rig.run_to_end();
    let used = rig.call.record().usage.iter().find(|entry| entry.kind == "realtime").unwrap();
    assert_eq!((used.provider.as_str(), used.units.tokens_in, used.units.tokens_out), ("engine-0", 60, 24));
}
