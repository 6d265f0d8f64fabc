//! Every provider, killed in every phase of a call that has a second one: the caller gets the answer all the same and
//! never waits for more than two seconds in silence.

use serde_json::json;
use trunkline_api::words::FinishReason;
use trunkline_api::{EventType, Failure};
use trunkline_call::{AsrEvent, LlmEvent};

use crate::rig::{Asr, Llm, Rig, Tts, agent, reply};

const ANSWER: &str = "Yes, we are open until nine. Is there anything else?";
/// The caller speaks from 2000 to 3000.
const SPEECH_END_MS: u64 = 3000;

/// A call in which one thing goes wrong, and what the agent should have said in the end.
fn call(name: &str) -> Rig {
    let mut rig = Rig::new(agent(2, 2, 2, json!({ "greeting": "Hello, how may I help you?" })), &[ANSWER]);
    let breaks = |end: Option<LlmEvent>| {
        let mut script = vec![(200, LlmEvent::TextDelta("Yes, we are open until nine. Is".to_owned()))];
        script.extend(end.map(|end| (100, end)));
        Llm::Replies(vec![script].into())
    };
    let failed = LlmEvent::Failed { failure: Failure::ProviderProtocol, detail: "cut".to_owned() };
    let rest = Llm::Replies(vec![reply("Is there anything else?")].into());
    match name {
        "recogniser refuses" => rig.asr[0] = Asr::Fails,
        "recogniser dies while nobody speaks" => {
            rig.asr_says(1800, 1, AsrEvent::Ended);
        }
        "recogniser dies in speech" => {
            rig.asr_says(2500, 1, AsrEvent::Failed { failure: Failure::AsrUnavailable, detail: "gone".to_owned() });
        }
        "recogniser owes its words" => rig.asr[0] = Asr::Stalls,
        "model refuses" => rig.llm[0] = Llm::Fails,
        "model gives no token" => rig.llm[0] = Llm::Stalls,
        "model fails in mid-reply" => (rig.llm[0], rig.llm[1]) = (breaks(Some(failed)), rest),
        "model stops in mid-reply" => (rig.llm[0], rig.llm[1]) = (breaks(None), rest),
        "model's answer is filtered" => {
            let filtered = vec![(300, LlmEvent::Finished(FinishReason::ContentFilter))];
            rig.llm[0] = Llm::Replies(vec![filtered].into());
        }
        "synthesiser refuses" => rig.tts[0] = Tts::Fails,
        "synthesiser is mute" => rig.tts[0] = Tts::Mute,
        "synthesiser gives no sound" => rig.tts[0] = Tts::Stalls,
        "synthesiser breaks off" => rig.tts[0] = Tts::BreaksOff(700),
        "synthesiser dies before the answer" | "synthesiser breaks off in the answer" => rig.run_until(1900),
        other => panic!("{other}"),
    }
    match name {
        "synthesiser dies before the answer" => rig.tts[0] = Tts::Stalls,
        "synthesiser breaks off in the answer" => rig.tts[0] = Tts::BreaksOff(700),
        _ => {}
    }
    rig.caller_says(2000, 1000, "are you open");
    rig.run_until(14_000);
    rig
}

#[test]
fn the_caller_is_answered_and_never_waits_long_in_silence() {
    for name in [
        "recogniser refuses",
        "recogniser dies while nobody speaks",
        "recogniser dies in speech",
        "recogniser owes its words",
        "model refuses",
        "model gives no token",
        "model fails in mid-reply",
        "model stops in mid-reply",
        "model's answer is filtered",
        "synthesiser refuses",
        "synthesiser is mute",
        "synthesiser gives no sound",
        "synthesiser breaks off",
        "synthesiser dies before the answer",
        "synthesiser breaks off in the answer",
    ] {
        let rig = call(name);
        assert!(!rig.failures().is_empty(), "{name}: nothing went wrong");
        let texts: Vec<&str> =
            rig.all(EventType::PlaybackFinished).into_iter().filter_map(|data| data["text"].as_str()).collect();
        assert!(texts.join(" ").ends_with(ANSWER), "{name}: {texts:?}");
        let end = rig.events.iter().rfind(|event| event.kind == "playback.finished").unwrap().at.call_us / 1000;
        let (silent_ms, since) = rig.longest_silence(SPEECH_END_MS, end);
        assert!(silent_ms <= 2000, "{name}: silence for {silent_ms} ms from {since} on, said {:?}", rig.said());
    }
}
