//! Engines that do not open, stall, break off or go: the next one goes on, or the cascade, in every phase of a call.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, Input};

use crate::rig::engines::{Engine, Say, realtime, says, with_cascade};
use crate::rig::{Llm, Rig, Tts, reply};

/// Two engines: the first has `first`, the second answers.
fn two(first: Vec<Vec<(u64, Say)>>) -> Rig {
    let mut rig = Rig::engines(realtime(2, json!({})), vec![first, vec![says("We close at ten.")]]);
    rig.caller_says(1500, 1000, "when do you close");
    rig
}

/// An engine and a cascade behind it that answers.
fn cascade(first: Vec<Vec<(u64, Say)>>) -> Rig {
    let mut rig = Rig::engines(with_cascade(1, json!({})), vec![first]);
    rig.llm[0] = Llm::Replies(vec![reply("We close at ten.")].into());
    rig.caller_says(1500, 1000, "when do you close");
    rig
}

fn switched(rig: &Rig) -> (String, String) {
    let data = rig.only(EventType::ProviderSwitched);
    assert_eq!(data["kind"], "realtime");
    (data["from"].as_str().unwrap().to_owned(), data["to"].as_str().unwrap().to_owned())
}

#[test]
fn one_that_does_not_open_gives_way_and_the_greeting_is_said_by_the_next() {
    let mut rig = two(vec![]);
    rig.engines.list[0].opens = None;
    rig.run_until(8000);
    assert_eq!(switched(&rig), ("engine-0".to_owned(), "engine-1".to_owned()));
    assert_eq!(rig.failures(), [(Failure::EngineTimeout, "next_provider")]);
    assert_eq!(rig.said().last(), Some(&"We close at ten."));
    assert!(rig.asked_engines().contains(&"close 1".to_owned()));
}

#[test]
fn one_that_refuses_gives_way_at_once() {
    let mut rig = two(vec![]);
    rig.engines.list[0].refuses = true;
    rig.run_until(8000);
    assert_eq!(rig.first_ms(EventType::PlaybackStarted), 5 + 100 + 200);
    assert_eq!(rig.said(), ["Hello.", "We close at ten."]);
    assert_eq!(rig.all(EventType::PlaybackStarted).len(), 2);
}

#[test]
fn one_that_is_silent_when_it_is_to_answer_is_followed_by_one_that_knows_what_was_said() {
    let mut rig = two(vec![]);
    rig.run_until(9000);
    assert_eq!(rig.failures(), [(Failure::EngineTimeout, "next_provider")]);
    assert_eq!(rig.opened_with(), ["Assistant: Hello.", "User: when do you close"]);
    assert_eq!(rig.said().last(), Some(&"We close at ten."));
}

#[test]
fn words_that_only_the_dead_engine_heard_are_heard_again() {
    let mut rig = two(vec![vec![(50, Say::Fails)]]);
    rig.run_until(9000);
    let asked = rig.asked_engines();
    let tail = &asked[asked.len() - 5..];
    assert_eq!(tail, ["open 2 engine-1", "begin 2", "commit 2", "respond 2", "play 2"], "{asked:?}");
    assert_eq!(rig.said().last(), Some(&"We close at ten."));
    assert_eq!(rig.all(EventType::TranscriptFinal).len(), 1);
}

#[test]
fn one_that_breaks_off_is_followed_by_one_that_goes_on_from_there() {
    let broken = vec![
        (200, Say::Item),
        (0, Say::Text("We close on Mondays at nine, ", Some(1400))),
        (0, Say::Sound(1400)),
        (400, Say::Fails),
    ];
    let mut rig = two(vec![broken]);
    rig.run_until(10_000);
    let told = rig.opened_with();
    assert_eq!(told[2], "Assistant: We close on Mondays at nine,");
    assert!(told[3].starts_with("System: Your reply broke off"), "{told:?}");
    let heard = rig.all(EventType::PlaybackFinished).last().unwrap()["text"].clone();
    assert_eq!(heard, "We close on Mondays at nine, We close at ten.");
}

#[test]
fn an_answer_that_was_held_back_when_it_died_is_made_anew() {
    let mut first = says("Never heard.");
    first.push((300, Say::Closes));
    let mut rig = two(vec![first]);
    // A cough, while the engine answers.
    rig.caller_says(3150, 300, "");
    rig.run_until(9000);
    assert_eq!(*rig.said().last().unwrap(), "We close at ten.", "{:?}", rig.asked_engines());
}

#[test]
fn what_an_engine_was_to_say_later_goes_with_it() {
    let broken = vec![
        (200, Say::Item),
        (0, Say::Text("We close on Mondays at nine, ", Some(4000))),
        (0, Say::Sound(4000)),
        (400, Say::Fails),
    ];
    // While that is still being heard the second begins what is to follow it, and fails, too.
    let began = vec![(200, Say::Item), (0, Say::Text("which you never hear. ", Some(900))), (300, Say::Fails)];
    let engines = vec![vec![broken], vec![began], vec![says("We close at ten.")]];
    let protects = json!({ "interruption": { "protected": ["on Mondays"] } });
    let mut rig = Rig::engines(realtime(3, protects), engines);
    rig.caller_says(1500, 1000, "when do you close");
    rig.run_until(14_000);
    let played: Vec<u32> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::PlayItem { session, .. } => Some(*session),
            _ => None,
        })
        .collect();
    assert_eq!(played, [1, 1, 3], "the greeting, what was begun, and what followed");
    let heard: Vec<_> = rig.all(EventType::PlaybackFinished).iter().map(|data| data["text"].clone()).collect();
    assert_eq!(heard[1..].to_vec(), ["We close on Mondays at nine,", "We close at ten."], "{heard:?}");
}

#[test]
fn one_that_closes_in_the_middle_of_its_words_gives_way() {
    let closes = vec![(200, Say::Item), (0, Say::Text("We", Some(100))), (0, Say::Sound(100)), (50, Say::Closes)];
    let mut rig = two(vec![closes]);
    rig.run_until(10_000);
    assert_eq!(rig.failures(), [(Failure::EngineUnavailable, "next_provider")]);
    assert_eq!(rig.said().last(), Some(&"We close at ten."));
}

#[test]
fn sound_that_stops_in_the_middle_is_a_failure() {
    let stalls = vec![(200, Say::Item), (0, Say::Text("We close", Some(400))), (0, Say::Sound(400))];
    let mut rig = two(vec![stalls]);
    rig.run_until(10_000);
    assert_eq!(rig.failures(), [(Failure::EngineTimeout, "next_provider")]);
    assert_eq!(rig.said().last(), Some(&"We close at ten."));
}

#[test]
fn one_that_goes_between_turns_is_replaced_quietly() {
    let mut rig = two(vec![]);
    rig.engines.list[0].opens = Some(50);
    rig.tell(1000, Input::Realtime { session: 1, event: trunkline_call::RealtimeEvent::Closed });
    rig.run_until(8000);
    assert_eq!(rig.said(), ["Hello.", "We close at ten."]);
    assert_eq!(rig.asked_at("open 2 engine-1"), 1000);
}

#[test]
fn what_the_caller_is_saying_goes_to_the_next() {
    let mut rig = two(vec![]);
    rig.tell(2000, Input::Realtime { session: 1, event: trunkline_call::RealtimeEvent::Closed });
    rig.run_until(8000);
    let begun: Vec<_> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::BeginInput { session, from, .. } => Some((*session, from.as_ms())),
            _ => None,
        })
        .collect();
    assert_eq!(begun, [(1, 1500), (2, 1500)], "from the caller's first word");
    assert_eq!(rig.said(), ["Hello.", "We close at ten."]);
}

#[test]
fn an_empty_response_is_a_failure() {
    let mut rig = two(vec![vec![(
        100,
        Say::Lies(|response| trunkline_call::RealtimeEvent::Done {
            response,
            reason: trunkline_api::words::FinishReason::Length,
        }),
    )]]);
    rig.run_until(9000);
    assert_eq!(rig.failures()[0], (Failure::EngineUnavailable, "next_provider"));
    assert_eq!(rig.said().last(), Some(&"We close at ten."));
}

#[test]
fn the_cascade_goes_on_when_no_engine_opens() {
    let mut rig = cascade(vec![]);
    rig.engines.list[0].opens = None;
    rig.run_until(9000);
    assert_eq!(switched(&rig).1, "cascade");
    assert_eq!(rig.said(), ["Hello.", "We close at ten."]);
}

#[test]
fn the_cascade_answers_what_the_engine_did_not() {
    let mut rig = cascade(vec![]);
    rig.run_until(9000);
    assert_eq!(rig.said(), ["Hello.", "One moment, please.", "We close at ten."]);
    let (silence, since) = rig.longest_silence(2500, 6500);
    assert!(silence <= 2700, "{silence} ms from {since}");
    assert_eq!(rig.conversation().last().unwrap(), "User: when do you close");
}

#[test]
fn the_cascade_hears_again_what_only_the_engine_heard() {
    let mut rig = cascade(vec![vec![(50, Say::Fails)]]);
    rig.run_until(9000);
    assert_eq!(rig.conversation().last().unwrap(), "User: when do you close");
    assert_eq!(rig.said().last(), Some(&"We close at ten."));
}

#[test]
fn the_cascade_goes_on_with_a_reply_that_broke_off() {
    let broken =
        vec![(200, Say::Item), (0, Say::Text("We close", Some(1400))), (0, Say::Sound(1400)), (400, Say::Fails)];
    let mut rig = cascade(vec![broken]);
    rig.run_until(9000);
    let told = rig.conversation();
    assert!(told[told.len() - 2].contains("We close") && told.last().unwrap().contains("broke off"), "{told:?}");
}

#[test]
fn the_engine_comes_back_once_it_is_up() {
    let mut rig = cascade(vec![vec![(50, Say::Fails)], says("Good again.")]);
    rig.caller_says(20_000, 1000, "thanks");
    rig.llm[0] = Llm::Replies(vec![reply("We close at ten."), reply("You are welcome.")].into());
    rig.caller_says(26_000, 1000, "still there");
    rig.run_until(32_000);
    assert_eq!(rig.said().last(), Some(&"Good again."), "{:?}", rig.asked_engines());
    assert!(rig.commands.iter().any(|(_, command)| matches!(command, Command::CloseAsr { .. })));
}

#[test]
fn without_engine_and_cascade_the_failure_action_is_taken() {
    let mut rig = Rig::engines(realtime(2, json!({})), vec![vec![], vec![]]);
    rig.engines.list = vec![Engine { opens: None, ..Engine::default() }; 2];
    rig.run_to_end();
    assert_eq!(rig.call.record().end, Some(EndReason::Failed));
    assert_eq!(rig.call.record().failure, Some(Failure::ProvidersExhausted));
}

#[test]
fn a_menu_stands_in_when_every_engine_is_gone() {
    let menu = json!({ "main": { "prompt": "One for sales.", "options": [
        { "key": "1", "label": "sales", "action": { "action": "hang_up", "text": "" } } ] } });
    let spec = realtime(1, json!({ "menus": menu, "survival": { "menu": "main" } }));
    let mut rig = Rig::engines(spec, vec![vec![]]);
    rig.call.handle(trunkline_leg::CallTime::ZERO, Input::Prompts { texts: vec!["One for sales.".to_owned()] });
    rig.engines.list[0].opens = None;
    rig.run_until(6000);
    assert_eq!(rig.only(EventType::SurvivalEntered)["kind"], "realtime");
    assert_eq!(rig.said().last(), Some(&"One for sales."));
}

/// The first engine dies at every tenth of a second of a conversation: the call goes on each time.
#[test]
fn whenever_it_dies_the_conversation_goes_on() {
    for behind in [true, false] {
        for at in (50..7000).step_by(100) {
            let script = || vec![says("We close at ten."), says("You are welcome.")];
            let spec = if behind { with_cascade(1, json!({})) } else { realtime(2, json!({})) };
            let mut rig = Rig::engines(spec, vec![script(), script()]);
            rig.llm[0] = Llm::Replies(["We close at ten.", "You are welcome.", "Bye."].map(reply).into());
            rig.caller_says(1500, 1000, "when do you close");
            rig.caller_says(9000, 1000, "thank you");
            rig.tell(at, Input::Realtime { session: 1, event: trunkline_call::RealtimeEvent::Closed });
            rig.run_until(16_000);
            let said = rig.said();
            assert!(said.contains(&"Hello."), "died at {at}: {said:?}");
            assert!(rig.all(EventType::TurnStarted).len() >= 2, "died at {at}: {said:?}");
            let (silence, since) = rig.longest_silence(11_000, 16_000);
            assert!(silence < 4500, "died at {at}: {silence} ms from {since}, {said:?}");
            rig.caller_hangs_up(16_000);
            rig.run_to_end();
        }
    }
}

/// An engine that takes its time, so that a line is said meanwhile, by a voice that is `dead`.
fn slow(after_ms: u64, dead: Tts) -> Rig {
    let mut answer = says("We close at ten.");
    answer[0].0 = after_ms;
    let mut rig =
        Rig::engines(with_cascade(1, json!({ "limits": { "llm_first_token_ms": 6000 } })), vec![vec![answer]]);
    rig.tts = vec![dead];
    rig.caller_says(1500, 1000, "when do you close");
    rig
}

#[test]
fn an_answer_behind_a_line_that_has_no_voice_is_heard() {
    for dead in [Tts::Stalls, Tts::Fails, Tts::Mute] {
        for after_ms in [1500, 1800, 2200] {
            let mut rig = slow(after_ms, dead);
            rig.run_until(12_000);
            let heard = rig.all(EventType::PlaybackFinished);
            let heard: Vec<_> = heard.iter().filter_map(|data| data["text"].as_str()).collect();
            assert!(heard.contains(&"We close at ten."), "{dead:?} after {after_ms}: {heard:?}, {:?}", rig.failures());
            assert!(!rig.call.is_over());
        }
    }
}

#[test]
fn a_dead_voice_for_lines_said_meanwhile_leaves_the_engine_serving() {
    let mut rig = slow(3000, Tts::Fails);
    let texts = with_cascade(1, json!({})).fixed_lines();
    rig.call.handle(trunkline_leg::CallTime::ZERO, Input::Prompts { texts });
    rig.run_until(12_000);
    assert!(!rig.call.is_over(), "{:?}", rig.failures());
    assert_eq!(rig.said().last(), Some(&"We close at ten."));
}
