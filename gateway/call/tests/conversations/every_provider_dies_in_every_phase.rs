//! Every kind of provider, killed in every phase of a call, with a word or without. The caller hears a line within a second and
//! a half, or the thinking sound where it is the voice that is gone, and never waits for more than two seconds in silence. In
//! the end there is an answer or a human.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::words::{Content, FinishReason, Message, Role};
use trunkline_call::{Input, LlmEvent, ToolOutcome};
use trunkline_leg::CallTime;

use crate::rig::second_leg::Person;
use crate::rig::{Llm, Mortal, Rig, Tts, agent, tool_reply};

const GREETING: &str = "Hello, how may I help you today?";
const ANSWER: &str = "Yes, we have plenty of it. Would you like some?";
const APOLOGY: &str = "I cannot look that up right now.";
const GOODBYE: &str = "Thank you for calling, and goodbye.";
/// The caller speaks from 3000 to 4000.
const SPEECH_END_MS: u64 = 4000;
/// Before something is heard when a provider is gone.
const BRIDGED_MS: u64 = 1500;
/// The longest silence that anybody waits through.
const SILENT_MS: u64 = 2000;
const MORTALS: [Mortal; 5] = [Mortal::Recogniser, Mortal::Model, Mortal::Voice, Mortal::Tool, Mortal::Redactor];
/// Kinds of which an agent lists several.
const LISTED: [Mortal; 3] = [Mortal::Recogniser, Mortal::Model, Mortal::Voice];

fn text(message: &Message) -> String {
    let text = |content: &Content| match content {
        Content::Text(text) => text.clone(),
        Content::ToolResult { output, .. } => output.clone(),
        Content::ToolCall(_) => String::new(),
    };
    message.content.iter().map(text).collect()
}

/// What is left to say of a text of which some was said: another model may have begun it.
fn rest_of<'t>(line: &'t str, messages: &[Message]) -> &'t str {
    let said = messages.iter().rev().find(|message| message.role == Role::Assistant).map(text).unwrap_or_default();
    let known = (1..=line.len()).rev().filter(|at| line.is_char_boundary(*at)).find(|at| said.ends_with(&line[..*at]));
    line[known.unwrap_or(0)..].trim_start()
}

fn says(text: &str) -> Vec<(u64, LlmEvent)> {
    let mut script: Vec<_> = text.split_inclusive(' ').map(|word| (40, LlmEvent::TextDelta(word.to_owned()))).collect();
    script.push((10, LlmEvent::Finished(FinishReason::Stop)));
    script[0].0 = 500;
    script
}

/// A model that looks things up, passes callers on and says goodbye, as it is asked.
fn thinks(messages: &[Message]) -> Vec<(u64, LlmEvent)> {
    let asked = messages.iter().rev().find(|message| message.role == Role::User).map(text).unwrap_or_default();
    let results = messages.iter().rev().take_while(|message| message.role != Role::User);
    let result = results.filter(|message| message.role == Role::Tool).map(text).next();
    match result {
        Some(found) if found == "plenty" => says(rest_of(ANSWER, messages)),
        Some(_) => says(rest_of(APOLOGY, messages)),
        None if asked.contains("human") => {
            tool_reply("", "transfer", r#"{"to":"sales","briefing":"Ann wants to cancel her order."}"#)
        }
        None if asked.contains("bye") => {
            let rest = rest_of(GOODBYE, messages);
            let mut script = tool_reply("", "hang_up", "{}");
            script.splice(0..0, says(rest).into_iter().filter(|(_, event)| matches!(event, LlmEvent::TextDelta(_))));
            script
        }
        None => {
            let mut script = tool_reply("", "stock", "{}");
            script[0].0 = 500;
            script
        }
    }
}

fn spec(providers: usize, more: Value) -> trunkline_api::AgentSpec {
    let mut spec = json!({
        "greeting": GREETING,
        "tools": [{ "name": "stock" }, { "name": "hang_up" }, { "name": "transfer" }],
        "redaction": { "redactor": "pii", "channels": ["llm-input"] },
        "transfer": {
            "targets": [{ "name": "sales", "to": "+4930555" }], "hold_say": "One moment, I will put you through.",
            "briefing": "A caller for you. {briefing}", "accept_key": "",
            "on_failure": { "action": "return", "say": "Nobody is there right now." },
        },
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    agent(providers, providers, providers, spec)
}

/// A call in which the caller says that, and all is well.
fn call(spec: trunkline_api::AgentSpec, words: &str) -> Rig {
    let texts = spec.fixed_lines();
    let mut rig = Rig::new(spec, &[]);
    rig.llm.fill(Llm::Thinks(thinks));
    rig.tts.fill(Tts::Streams(60));
    let plenty = ToolOutcome { output: "plenty".to_owned(), is_error: false, actions: Vec::new(), failure: None };
    rig.tools.insert("stock".to_owned(), Some((900, plenty)));
    rig.second.people = vec![Person::Answers(2500)];
    rig.caller_says(3000, SPEECH_END_MS - 3000, words);
    rig.call.handle(CallTime::ZERO, Input::Prompts { texts });
    rig
}

/// Milliseconds of call time of the event of a type that comes first from `from_ms` on.
fn after(rig: &Rig, kind: EventType, from_ms: u64) -> u64 {
    let mut times = rig.events.iter().filter(|event| event.kind == kind.name()).map(|event| event.at.call_us / 1000);
    times.find(|ms| *ms >= from_ms).unwrap_or_else(|| panic!("{} in {:?}", kind.name(), rig.names()))
}

fn last_ms(rig: &Rig, kind: EventType) -> u64 {
    rig.events.iter().rfind(|event| event.kind == kind.name()).map_or(0, |event| event.at.call_us / 1000)
}

/// Phases of a call with a question, and when each of them is in one in which all is well.
fn phases() -> Vec<(&'static str, u64)> {
    let mut rig = call(spec(2, json!({})), "do you have tea");
    rig.run_until(15_000);
    assert_eq!((rig.failures(), *rig.said().last().unwrap()), (vec![], "Would you like some?"));
    let speaks = after(&rig, EventType::AgentSaid, after(&rig, EventType::ToolReturned, 0));
    vec![
        ("before the greeting", 0),
        ("greeting", 700),
        ("nobody speaks", 2500),
        ("listening", 3500),
        ("thinking", after(&rig, EventType::TurnStarted, 0) + 300),
        ("tool", after(&rig, EventType::ToolCalled, 0) + 500),
        ("thinking again", after(&rig, EventType::ToolReturned, 0) + 200),
        ("speaking", speaks + 1000),
    ]
}

/// All that was heard to its end, from the caller's question on.
fn heard(rig: &Rig) -> String {
    let texts =
        rig.events.iter().filter(|event| event.kind == "playback.finished" && event.at.call_us / 1000 > SPEECH_END_MS);
    texts.filter_map(|event| event.data["text"].as_str()).collect::<Vec<_>>().join(" ")
}

/// When the caller had heard what there was to say, in milliseconds.
fn answered_ms(rig: &Rig) -> u64 {
    let mut heard = String::new();
    let finished = rig.events.iter().filter(|event| event.kind == "playback.finished");
    for (at_ms, text) in
        finished.map(|event| (event.at.call_us / 1000, event.data["text"].as_str().unwrap_or_default()))
    {
        if at_ms > SPEECH_END_MS {
            heard = format!("{heard} {text}");
        }
        if [ANSWER, APOLOGY, GOODBYE].iter().any(|answer| heard.contains(answer)) {
            return at_ms;
        }
    }
    panic!("never answered: {heard}")
}

fn bridged(rig: &Rig) -> bool {
    rig.telephone().iter().any(|told| told == "bridge 1 2")
}

/// The caller never waits for long: not for the greeting, nor for the answer. Says how long.
fn never_silent_for_long(rig: &Rig, case: &str, (at_ms, who): (u64, Mortal)) -> u64 {
    let greeted = last_ms_before(rig, SPEECH_END_MS - 1000);
    let until = answered_ms(rig);
    let silences = [rig.longest_silence_of_caller(0, greeted), rig.longest_silence_of_caller(SPEECH_END_MS, until)];
    let longest = silences.into_iter().max().unwrap();
    let told = || format!("said {:?}, {:?}", rig.said(), rig.failures());
    assert!(longest <= SILENT_MS, "{case}: {silences:?} ms of silence, {}", told());
    // Who was speaking, or had been answered, waits for nothing.
    let waits = at_ms.max(SPEECH_END_MS);
    if waits < until {
        let sound_ms = rig.next_sound(waits).map_or(u64::MAX, |at| at - waits);
        assert!(sound_ms <= BRIDGED_MS, "{case}: something is heard after {sound_ms} ms, {}", told());
        let line_ms = rig.next_words(waits).map_or(u64::MAX, |at| at - waits);
        assert!(line_ms <= BRIDGED_MS || who == Mortal::Voice, "{case}: a line after {line_ms} ms, {}", told());
    }
    longest
}

/// The end of what was said before that.
fn last_ms_before(rig: &Rig, ms: u64) -> u64 {
    let times =
        rig.events.iter().filter(|event| event.kind == "playback.finished").map(|event| event.at.call_us / 1000);
    times.filter(|at| *at < ms).max().unwrap_or(0)
}

#[test]
fn with_another_provider_the_caller_is_answered() {
    let mut longest = [0, 0];
    for (phase, at_ms) in phases() {
        for who in MORTALS {
            for says in [true, false] {
                let case = format!("{who:?} dies {} in the phase `{phase}`", if says { "aloud" } else { "silently" });
                let mut rig = call(spec(2, json!({})), "do you have tea");
                rig.dies(at_ms, who, says);
                rig.run_until(30_000);
                assert!(!rig.call.is_over(), "{case}: the call went on");
                let (heard, mute) = (heard(&rig), rig.failures().is_empty());
                assert!(heard.contains(ANSWER) || heard.contains(APOLOGY), "{case}: {heard}, {:?}", rig.failures());
                // Whoever is not asked any more is not missed.
                assert!(!mute || heard.contains(ANSWER), "{case}");
                let silence = never_silent_for_long(&rig, &case, (at_ms, who));
                longest[usize::from(says)] = longest[usize::from(says)].max(silence);
            }
        }
    }
    println!("the longest silence: {} ms when it says so, {} ms when it does not", longest[1], longest[0]);
}

#[test]
fn without_another_provider_the_caller_is_answered_or_gets_a_human() {
    let (mut humans, mut longest) = (0, [0, 0]);
    for (phase, at_ms) in phases() {
        for who in LISTED {
            for says in [true, false] {
                let case = format!("{who:?} dies {} in the phase `{phase}`", if says { "aloud" } else { "silently" });
                let survival = json!({ "survival": { "transfer_to": "+4930123456" } });
                let mut rig = call(spec(1, survival), "do you have tea");
                rig.dies(at_ms, who, says);
                rig.run_until(30_000);
                let heard = heard(&rig);
                assert!(heard.contains(ANSWER) || bridged(&rig), "{case}: {heard}, {:?}", rig.telephone());
                humans += u32::from(!heard.contains(ANSWER));
                let answered = heard.contains(ANSWER);
                let until = if answered { answered_ms(&rig) } else { rig.first_ms(EventType::LegAnswered) };
                let from = if until < SPEECH_END_MS { 0 } else { SPEECH_END_MS };
                let silence = rig.longest_silence_of_caller(from, until);
                let told = (rig.said(), rig.telephone());
                assert!(silence <= SILENT_MS, "{case}: {silence} ms of silence, {told:?}");
                longest[usize::from(says)] = longest[usize::from(says)].max(silence);
            }
        }
    }
    assert!(humans >= 20, "{humans}");
    println!(
        "{humans} humans; the longest silence: {} ms when it says so, {} ms when it does not",
        longest[1], longest[0]
    );
}

#[test]
fn a_caller_who_is_passed_on_gets_there_or_is_told() {
    let spec = || spec(2, json!({}));
    let mut well = call(spec(), "a human please");
    well.run_until(30_000);
    assert_eq!((well.outcomes(), well.failures()), (vec!["completed"], vec![]));
    let told = after(&well, EventType::PlaybackStarted, SPEECH_END_MS) + 300;
    let (dialled, answered) = (well.first_ms(EventType::LegDialled), well.first_ms(EventType::LegAnswered));
    for (phase, at_ms) in [("told", told), ("hold", dialled + 700), ("briefing", answered + 1000)] {
        for who in MORTALS {
            for says in [true, false] {
                let case = format!("{who:?} dies {} in the phase `{phase}`", if says { "aloud" } else { "silently" });
                let mut rig = call(spec(), "a human please");
                rig.dies(at_ms, who, says);
                rig.run_until(60_000);
                assert_eq!(rig.outcomes(), ["completed"], "{case}: {:?}, {:?}", rig.said(), rig.failures());
                let until = after(&rig, EventType::TransferEnded, 0);
                let silence = rig.longest_silence_of_caller(SPEECH_END_MS, until);
                assert!(silence <= SILENT_MS, "{case}: {silence} ms of silence, said {:?}", rig.said());
            }
        }
    }
}

#[test]
fn a_call_that_is_closing_ends_in_order_and_the_goodbye_is_heard() {
    let mut well = call(spec(2, json!({})), "bye then");
    well.run_to_end();
    let over = last_ms(&well, EventType::CallEnded);
    let speaks = after(&well, EventType::PlaybackStarted, SPEECH_END_MS);
    for (phase, at_ms) in [("before the goodbye", speaks - 200), ("goodbye", speaks + 700)] {
        for who in MORTALS {
            for says in [true, false] {
                let case = format!("{who:?} dies {} in the phase `{phase}`", if says { "aloud" } else { "silently" });
                let mut rig = call(spec(2, json!({})), "bye then");
                rig.dies(at_ms, who, says);
                rig.run_to_end();
                assert!(heard(&rig).ends_with(GOODBYE), "{case}: {}", heard(&rig));
                assert_eq!(rig.only(EventType::CallEnded)["reason"], "agent_hung_up", "{case}");
                assert!(last_ms(&rig, EventType::CallEnded) <= over + 5000, "{case}");
                never_silent_for_long(&rig, &case, (at_ms, who));
            }
        }
    }
}
