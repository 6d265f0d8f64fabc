//! Survival: a call goes on without providers, by what was rendered beforehand and by keys, and comes back by itself.

use serde_json::{Value, json};
use trunkline_api::words::ProviderKind;
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, Input};
use trunkline_leg::CallTime;

use crate::rig::{Asr, Llm, Rig, Tts, agent};

fn spec(asr: usize, llm: usize, tts: usize, more: Value) -> trunkline_api::AgentSpec {
    let mut spec = json!({
        "survival": { "menu": "lifeboat", "restored": "We are back. How can I help?" },
        "menus": { "lifeboat": {
            "prompt": "Press one to end.", "retries": 1, "timeout_ms": 5000,
            "options": [{ "key": "1", "label": "end", "action": { "action": "hang_up", "text": "Goodbye then." } }],
        } },
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    agent(asr, llm, tts, spec)
}

fn with_prompts(spec: trunkline_api::AgentSpec, replies: &[&str]) -> Rig {
    let texts = spec.fixed_lines();
    let mut rig = Rig::new(spec, replies);
    rig.call.handle(CallTime::ZERO, Input::Prompts { texts });
    rig
}

fn played(rig: &Rig) -> Vec<&str> {
    let text = |command: &'_ Command| matches!(command, Command::Play { .. });
    rig.commands.iter().map(|(_, command)| command).filter(|command| text(command)).map(line).collect()
}

fn line(command: &Command) -> &str {
    match command {
        Command::Play { text, .. } => text,
        _ => "",
    }
}

#[test]
fn with_every_provider_dead_greeting_and_menu_are_heard_and_the_call_ends_orderly() {
    let mut rig = with_prompts(spec(2, 2, 2, json!({})), &[]);
    (rig.asr, rig.llm, rig.tts) = (vec![Asr::Fails; 2], vec![Llm::Fails; 2], vec![Tts::Stalls; 2]);
    rig.caller_presses(6000, '1');
    rig.run_to_end();
    assert_eq!(played(&rig), ["Press one to end.", "Goodbye then."], "the greeting was not said by anybody");
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "agent_hung_up");
    // With what was rendered beforehand always used, the caller hears it at once.
    let survival = json!({ "survival": { "menu": "lifeboat", "prerendered": true } });
    let mut rig = with_prompts(spec(2, 2, 2, survival), &["never"]);
    (rig.asr, rig.llm, rig.tts) = (vec![Asr::Fails; 2], vec![Llm::Fails; 2], vec![Tts::Stalls; 2]);
    rig.caller_presses(9000, '1');
    rig.run_to_end();
    assert_eq!(played(&rig)[..2], ["Hello.", "Press one to end."]);
    assert_eq!(*rig.said().last().unwrap(), "Goodbye then.");
    assert!(rig.longest_silence(0, 1000).0 < 800, "{:?}", rig.longest_silence(0, 1000));
}

#[test]
fn a_menu_stands_in_for_a_conversation_without_models_and_gives_way_to_it_again() {
    let mut rig = with_prompts(spec(1, 1, 1, json!({})), &[]);
    rig.llm = vec![Llm::Fails];
    rig.caller_says(2000, 500, "are you open");
    rig.run_until(5000);
    assert_eq!(rig.only(EventType::SurvivalEntered), &json!({ "kind": "llm", "by": "menu" }));
    assert_eq!(*rig.said().last().unwrap(), "Press one to end.");
    rig.llm = vec![Llm::Replies([crate::rig::reply("Yes, until nine.")].into())];
    rig.tell(14_000, Input::Health { kind: ProviderKind::Llm, provider: "llm-0".to_owned(), up: true });
    rig.run_until(15_500);
    let left = rig.only(EventType::SurvivalLeft);
    assert_eq!(left["kind"], "llm");
    assert!(left["after_ms"].as_u64().unwrap() >= 10_000);
    assert_eq!(*rig.said().last().unwrap(), "We are back. How can I help?");
    rig.caller_says(18_000, 500, "are you open");
    rig.run_until(21_000);
    assert_eq!(*rig.said().last().unwrap(), "Yes, until nine.");
}

#[test]
fn nobody_need_say_that_a_provider_is_back() {
    let mut rig = with_prompts(
        spec(
            1,
            1,
            1,
            json!({ "menus": { "lifeboat": {
        "prompt": "Press one to end.", "retries": 9, "timeout_ms": 5000,
        "options": [{ "key": "1", "label": "end", "action": { "action": "hang_up" } }] } } }),
        ),
        &[],
    );
    rig.llm = vec![Llm::Fails];
    rig.caller_says(2000, 500, "are you open");
    rig.run_until(40_000);
    assert_eq!(rig.all(EventType::SurvivalLeft).len(), 1, "once its rest is over");
}

#[test]
fn when_it_comes_and_goes_it_is_tried_less_and_less_often() {
    let more = json!({ "survival": { "menu": "lifeboat" }, "menus": { "lifeboat": {
        "prompt": "Press one to end.", "retries": 10, "timeout_ms": 10_000,
        "options": [{ "key": "1", "label": "end", "action": { "action": "hang_up" } }] } } });
    let mut rig = with_prompts(spec(1, 1, 1, more), &[]);
    rig.llm = vec![Llm::Fails];
    rig.caller_says(2000, 500, "are you open");
    for second in 3..150 {
        rig.tell(second * 1000, Input::Health { kind: ProviderKind::Llm, provider: "llm-0".to_owned(), up: true });
    }
    rig.run_until(150_000);
    let entered = rig.all(EventType::SurvivalEntered).len();
    assert!((3..=5).contains(&entered), "{entered}");
}

#[test]
fn a_synthesiser_that_dies_in_a_menu_is_stood_in_for_by_what_was_rendered() {
    let mut rig = with_prompts(spec(0, 0, 1, json!({ "start": "menu:lifeboat" })), &[]);
    rig.tts = vec![Tts::Fails];
    rig.caller_presses(6000, '1');
    rig.run_to_end();
    assert_eq!(rig.only(EventType::SurvivalEntered)["kind"], "tts");
    assert_eq!(*played(&rig).last().unwrap(), "Goodbye then.");
}

#[test]
fn who_asks_for_the_agent_is_not_led_to_one_that_nobody_could_hear() {
    let more = json!({ "start": "menu:lifeboat", "menus": { "lifeboat": { "prompt": "Press one for the agent.",
        "options": [{ "key": "1", "label": "agent", "action": { "action": "agent" } }] } } });
    let mut rig = with_prompts(spec(1, 1, 1, more), &[]);
    rig.tts = vec![Tts::Fails];
    rig.caller_presses(4000, '1');
    rig.run_until(5000);
    assert_eq!(rig.all(EventType::MenuOpened).len(), 2);
    assert_eq!(*played(&rig).last().unwrap(), "Press one for the agent.");
    assert!(rig.all(EventType::LlmRequest).is_empty(), "nobody pays for what cannot be heard");
}

#[test]
fn an_agent_without_a_menu_says_that_it_is_not_available() {
    let more = json!({ "survival": { "unavailable": "Please call later." } });
    let mut rig = with_prompts(spec(1, 1, 1, more), &[]);
    rig.tts = vec![Tts::Mute];
    rig.run_to_end();
    assert_eq!(played(&rig), ["Please call later."]);
    assert_eq!(rig.only(EventType::CallEnded)["failure"], "providers_exhausted");
    assert!(rig.failures().contains(&(Failure::ProvidersExhausted, "survive")));
    let mut silent = Rig::new(spec(1, 1, 1, json!({ "survival": {} })), &[]);
    silent.tts = vec![Tts::Mute];
    silent.run_to_end();
    assert!(silent.failures().contains(&(Failure::ProvidersExhausted, "hang_up")), "without prompts as ever");
}

#[test]
fn engines_on_the_premises_take_over_and_give_way() {
    let engines = json!({ "llm": [{ "provider": "local" }] });
    let more = json!({ "survival": { "engines": engines }, "menus": {} });
    let mut rig = Rig::new(spec(1, 1, 1, more), &[]);
    rig.llm = vec![Llm::Fails, Llm::Replies([crate::rig::reply("Local here.")].into())];
    rig.caller_says(2000, 500, "hello");
    rig.run_until(6000);
    assert_eq!(*rig.said().last().unwrap(), "Local here.");
    assert_eq!(rig.only(EventType::SurvivalEntered), &json!({ "kind": "llm", "by": "engines" }));
    rig.llm[0] = Llm::Replies([crate::rig::reply("Back.")].into());
    rig.caller_says(25_000, 500, "hello again");
    rig.run_until(29_000);
    assert_eq!(*rig.said().last().unwrap(), "Back.");
    assert_eq!(rig.only(EventType::SurvivalLeft)["kind"], "llm");
}

#[test]
fn a_human_is_called_where_there_is_no_menu() {
    let more = json!({ "survival": { "transfer_to": "+491" } });
    let mut rig = Rig::new(spec(1, 1, 1, more), &[]);
    rig.llm = vec![Llm::Fails];
    rig.caller_says(2000, 500, "hello");
    rig.run_to_end();
    assert_eq!(rig.only(EventType::SurvivalEntered)["by"], "transfer");
}

#[test]
fn a_rule_of_the_agents_own_is_obeyed_instead() {
    let more = json!({ "failures": { "providers_exhausted": { "action": "hang_up", "text": "No." } } });
    let mut rig = with_prompts(spec(1, 1, 1, more), &[]);
    rig.llm = vec![Llm::Fails];
    rig.caller_says(2000, 500, "hello");
    rig.run_to_end();
    assert!(rig.all(EventType::SurvivalEntered).is_empty());
    assert_eq!(*rig.said().last().unwrap(), "No.");
}

#[test]
fn an_agent_that_has_only_what_was_rendered_can_answer() {
    let mut spec = spec(0, 0, 1, json!({ "start": "menu:lifeboat" }));
    if let trunkline_api::agent::Pipeline::Cascade { tts, .. } = &mut spec.pipeline {
        tts.clear();
    }
    let mut rig = with_prompts(spec, &[]);
    rig.caller_presses(4000, '1');
    rig.run_to_end();
    assert_eq!(played(&rig), ["Hello.", "Press one to end.", "Goodbye then."]);
}

#[test]
fn a_line_whose_sound_is_lost_is_synthesised() {
    let survival = json!({ "survival": { "prerendered": true }, "menus": {} });
    let mut rig = with_prompts(spec(1, 1, 1, survival), &[]);
    rig.prompts_are_lost = true;
    rig.run_until(3000);
    let spoken =
        rig.commands.iter().any(|(_, command)| matches!(command, Command::Speak { text, .. } if text == "Hello."));
    assert!(spoken && rig.all(EventType::PlaybackFinished).len() == 1);
    assert!(rig.failures().is_empty());
}
