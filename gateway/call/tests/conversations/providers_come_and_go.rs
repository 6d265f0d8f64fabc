//! Providers that break off, come back, are slow, or are known to be dead before anybody asks them.

use serde_json::json;
use trunkline_api::words::ProviderKind;
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, Input, ToolOutcome, TtsEvent};

use crate::rig::{Llm, MS_PER_CHAR, Rig, Tts, agent, reply, tool_reply};

const GREETING: &str = "Welcome to the shop. We sell tea and coffee. What would you like?";

fn spoken(rig: &Rig) -> Vec<(usize, &str)> {
    rig.commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::Speak { index, text, .. } => Some((*index, text.as_str())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_synthesiser_that_breaks_off_is_followed_by_one_that_says_the_rest_and_no_more() {
    let mut rig = Rig::new(agent(1, 1, 2, json!({ "greeting": GREETING })), &[]);
    rig.tts[0] = Tts::BreaksOff(1000);
    rig.run_until(15_000);
    assert_eq!(rig.failures(), [(Failure::TtsZeroBytes, "next_provider")]);
    let [(0, GREETING), (1, rest)] = spoken(&rig)[..] else { panic!("{:?}", spoken(&rig)) };
    assert!(GREETING.ends_with(rest) && rest.len() < GREETING.len() && rest.len() > 30, "{rest}");
    let finished = rig.events.iter().find(|event| event.kind == "playback.finished").unwrap();
    assert_eq!(finished.data["text"], GREETING);
    let length = 1000 + rest.chars().count() as u64 * u64::from(MS_PER_CHAR);
    // What there was of the first is over at 1060, and after 1500 ms of silence it is clear that no more comes.
    assert_eq!(finished.at.call_us / 1000, 60 + length + 1500 + 60);
}

#[test]
fn a_second_one_without_sound_is_no_success() {
    let mut rig = Rig::new(agent(1, 1, 3, json!({ "greeting": GREETING })), &[]);
    (rig.tts[0], rig.tts[1]) = (Tts::BreaksOff(1000), Tts::Mute);
    rig.run_until(15_000);
    let raised: Vec<_> = rig.failures().into_iter().map(|(failure, _)| failure).collect();
    assert_eq!(raised, [Failure::TtsZeroBytes, Failure::TtsZeroBytes]);
    assert_eq!(rig.only(EventType::PlaybackFinished)["text"], GREETING);
}

#[test]
fn what_nobody_says_is_not_remembered_as_said() {
    let failures = json!({ "tts_zero_bytes": { "action": "record" } });
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": GREETING, "failures": failures })), &["Yes."]);
    rig.tts[0] = Tts::BreaksOff(1000);
    rig.run_until(4000);
    let said = rig.only(EventType::PlaybackFinished)["text"].as_str().unwrap().to_owned();
    assert!(GREETING.starts_with(&said) && said.len() < 25, "{said}");
    assert_eq!(rig.failures(), [(Failure::TtsZeroBytes, "record")], "and nobody waits for its end");
    rig.tts[0] = Tts::Speaks(60);
    rig.caller_says(5000, 500, "are you open");
    rig.run_until(9000);
    assert_eq!(rig.conversation()[1..], [format!("Assistant: {said}"), "User: are you open".to_owned()]);
}

#[test]
fn a_minute_of_sound_at_once_is_no_stall() {
    let mut rig = Rig::new(agent(1, 1, 2, json!({ "greeting": "long ".repeat(240) })), &[]);
    rig.tts[0] = Tts::Stalls;
    rig.run_until(100);
    // The leg is full for a minute; nothing is heard of the synthesiser until then.
    rig.tell(100, Input::Tts { utterance: 1, index: 0, event: TtsEvent::Audio { part: 0, audio_ms: 60_000 } });
    rig.run_until(55_000);
    assert!(rig.failures().is_empty(), "{:?}", rig.failures());
}

#[test]
fn the_first_model_is_asked_again_when_it_has_rested() {
    let mut rig = Rig::new(agent(1, 2, 1, json!({})), &["One.", "Two.", "Three."]);
    let works = std::mem::replace(&mut rig.llm[0], Llm::Fails);
    rig.caller_says(1000, 500, "one");
    rig.caller_says(6000, 500, "two");
    rig.run_until(10_000);
    rig.llm[0] = works;
    rig.caller_says(25_000, 500, "three");
    rig.run_until(29_000);
    let asked: Vec<_> = rig.all(EventType::LlmRequest).iter().map(|data| data["provider"].clone()).collect();
    assert_eq!(asked, ["llm-0", "llm-1", "llm-1", "llm-0"]);
}

#[test]
fn a_provider_that_other_calls_found_dead_is_not_asked() {
    let mut rig = Rig::new(agent(1, 2, 1, json!({})), &["One.", "Two."]);
    let dead = |up| Input::Health { kind: ProviderKind::Llm, provider: "llm-0".to_owned(), up };
    rig.tell(500, dead(false));
    rig.caller_says(1000, 500, "one");
    rig.tell(5000, dead(true));
    rig.caller_says(6000, 500, "two");
    rig.run_until(9000);
    let asked: Vec<_> = rig.all(EventType::LlmRequest).iter().map(|data| data["provider"].clone()).collect();
    assert_eq!(asked, ["llm-1", "llm-0"]);
    assert!(rig.failures().is_empty());
}

#[test]
fn beside_a_slow_model_the_next_is_asked_and_whoever_answers_first_is_heard() {
    let mut rig = Rig::new(agent(1, 2, 1, json!({ "limits": { "llm_hedge_ms": 400 } })), &["Quick."]);
    rig.llm[0] = Llm::Stalls;
    rig.caller_says(1000, 500, "hello there");
    rig.run_until(6000);
    assert_eq!(rig.said(), ["Hello.", "Quick."]);
    assert!(rig.failures().is_empty());
    let said = rig.events.iter().rfind(|event| event.kind == "agent.said").unwrap();
    assert_eq!(said.at.call_us / 1000, 1500 + 600 + 80 + 400 + 210);
    assert!(rig.commands.iter().any(|(_, command)| *command == Command::CancelLlm { request: 1 }));
}

#[test]
fn noise_during_a_tool_call_and_in_the_round_after_it_costs_nothing() {
    for noise_ms in [2600, 3400] {
        let spec = agent(1, 1, 1, json!({ "tools": [{ "name": "weather" }] }));
        let mut rig = Rig::new(spec, &[]).scripts(vec![tool_reply("", "weather", "{}"), reply("It rains.")]);
        let output = ToolOutcome { output: "rain".to_owned(), is_error: false, actions: Vec::new(), failure: None };
        rig.tools.insert("weather".to_owned(), Some((900, output)));
        rig.caller_says(1000, 500, "what is the weather");
        rig.caller_says(noise_ms, 300, "");
        rig.run_until(7000);
        assert_eq!(rig.said().last(), Some(&"It rains."), "{noise_ms}");
        assert_eq!(rig.all(EventType::ToolCalled).len(), 1);
    }
}

#[test]
fn a_line_behind_what_has_ended_is_said_after_it() {
    let failures = json!({ "asr_unavailable": { "action": "say", "text": "I cannot hear you well." } });
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": GREETING, "failures": failures })), &[]);
    rig.asr_says(
        1000,
        1,
        trunkline_call::AsrEvent::Failed { failure: Failure::AsrUnavailable, detail: "gone".to_owned() },
    );
    rig.run_until(9000);
    let finished: Vec<_> = rig.all(EventType::PlaybackFinished).iter().map(|data| data["text"].clone()).collect();
    assert_eq!(finished, [GREETING, "I cannot hear you well."]);
}

#[test]
fn who_waits_is_told_so_and_not_too_often() {
    let fillers = json!({ "fillers": ["Let me see.", "One second."], "filler_after_ms": 1000 });
    let spec = agent(1, 1, 1, json!({ "speech": fillers, "limits": { "llm_first_token_ms": 20_000 } }));
    let late = vec![(12_000, trunkline_call::LlmEvent::TextDelta("There. ".to_owned()))];
    let mut rig = Rig::new(spec, &[]).scripts(vec![late]);
    rig.caller_says(1000, 500, "look it up");
    rig.run_until(15_000);
    assert_eq!(rig.said(), ["Hello.", "Let me see.", "One second.", "There."]);
    let first = rig.events.iter().filter(|event| event.kind == "agent.said").nth(1).unwrap();
    assert_eq!(first.at.call_us / 1000, 1500 + 1000);
}
