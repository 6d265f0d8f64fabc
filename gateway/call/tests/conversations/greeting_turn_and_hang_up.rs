//! The plainest call: a greeting, one turn, the caller hangs up.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::usage::{EndReason, Units};
use trunkline_api::words::{FinishReason, ProviderKind};
use trunkline_call::{Input, LlmEvent};

use crate::rig::{MS_PER_CHAR, Rig, agent};

#[test]
fn greets_answers_and_closes_the_record() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Yes. We are open."]);
    rig.caller_says(1000, 900, "are you open");
    rig.run_until(6000);
    let units = Units { tts_chars: 23, ..Units::default() };
    rig.tell(6000, Input::Usage { kind: ProviderKind::Tts, provider: "tts-0".to_owned(), units });
    rig.caller_hangs_up(7000);
    rig.run_to_end();

    let expected = [
        "call.started",
        "call.answered",
        "agent.said",
        "playback.started",
        "playback.finished",
        "speech.started",
        "speech.ended",
        "transcript.final",
        "turn.started",
        "llm.request",
        "agent.said",
        "agent.said",
        "playback.started",
        "turn.waterfall",
        "playback.finished",
        "call.ended",
    ];
    assert_eq!(rig.names(), expected);
    assert_eq!(rig.said(), ["Hello.", "Yes.", "We are open."]);
    assert_eq!(rig.conversation(), ["System: You are a clerk.", "Assistant: Hello.", "User: are you open"]);
    assert_eq!(rig.only(EventType::LlmRequest)["input"], "are you open");
    assert_eq!(rig.only(EventType::CallEnded), &json!({ "reason": "caller_hung_up", "duration_ms": 7000 }));

    let record = rig.call.record();
    assert_eq!((record.end, record.failure, record.turns), (Some(EndReason::CallerHungUp), None, 1));
    assert_eq!((record.total().call_ms, record.total().tts_chars), (7000, 23));
    assert_eq!(record.ended_us, Some(1_700_000_007_000_000));
}

#[test]
fn the_waterfall_adds_up() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Yes."]);
    rig.caller_says(1000, 900, "are you open");
    rig.run_until(4000);
    // Silence 600 ms, recogniser 80, model 210 (the sentence waits for the end), synthesiser 60.
    assert_eq!(
        rig.only(EventType::TurnWaterfall),
        &json!({
            "first_packet_ms": 1000, "speech_end_ms": 1900, "endpoint_ms": 600, "asr_ms": 680,
            "llm_first_token_ms": 880, "tts_first_byte_ms": 950, "first_packet_out_ms": 950, "total_ms": 950,
        })
    );
    assert_eq!(rig.first_ms(EventType::TurnStarted), 1900 + 680);
}

#[test]
fn the_second_request_remembers_the_first_turn() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Yes, we are.", "Until nine."]);
    rig.caller_says(1000, 500, "are you open");
    rig.caller_says(5000, 500, "until when");
    rig.run_until(9000);
    assert_eq!(
        rig.conversation()[1..],
        ["Assistant: Hello.", "User: are you open", "Assistant: Yes, we are.", "User: until when"]
    );
    let turns: Vec<_> = rig.events.iter().filter(|event| event.kind == "turn.started").map(|e| e.turn).collect();
    assert_eq!(turns, [Some(1), Some(2)]);
}

#[test]
fn a_sentence_is_spoken_before_the_reply_is_complete() {
    let script = vec![
        (200, LlmEvent::TextDelta("First sentence. Sec".to_owned())),
        (2000, LlmEvent::TextDelta("ond one.".to_owned())),
        (10, LlmEvent::Finished(FinishReason::Stop)),
    ];
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]).scripts(vec![script]);
    rig.caller_says(1000, 500, "go");
    rig.run_until(9000);
    let said: Vec<_> = rig.events.iter().filter(|event| event.kind == "agent.said").collect();
    assert_eq!(said[1].data["text"], "First sentence.");
    assert_eq!(said[2].data["text"], "Second one.");
    assert_eq!(said[1].data["utterance"], said[2].data["utterance"]);
    assert_eq!(said[2].at.call_us - said[1].at.call_us, 2_010_000);
    let finished = rig.all(EventType::PlaybackFinished);
    assert_eq!(finished[1]["text"], "First sentence. Second one.");
    assert!(u64::from(MS_PER_CHAR) * 15 < 2000, "the first sentence ended before the second came");
}
