//! A caller interrupts an agent that speaks on and on: behind the decision to stop, as the timeline has it, no more than one
//! packet has any of the agent's voice, seen from the caller's end; and what the caller got is what the gateway says it sent.

use serde_json::json;
use trunkline_caller::Happened;
use trunkline_tests::caller::script;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::live::{Live, WORDS, instant_agent};
use trunkline_tests::objects;

/// Interruptions; a machine that stands still for a moment may spoil one of them.
const INTERRUPTIONS: u64 = 5;
/// A sound's edges are found to within this.
const BLUR_MS: u64 = 30;

#[test]
fn behind_the_decision_there_is_at_most_one_packet_of_the_agents_voice() {
    let scratch = tempfile::tempdir().unwrap();
    let llm = json!({ "provider": "scripted", "settings": { "fallback": { "say": format!("{WORDS}.") } } });
    let asked = "Wait, I have got a question.";
    let agent = instant_agent(&format!("{WORDS}."), &[asked], llm, json!({ "word_ms": 400 }));
    let gateway =
        Gateway::standalone(scratch.path(), &objects::answering(&agent).unwrap(), Options::default()).unwrap();
    gateway.await_agents(1).unwrap();

    let interrupt = |n: u64| json!({ "interrupt": { "after_ms": 900 + 230 * n, "say": { "text": asked } } });
    let mut steps: Vec<_> = (0..INTERRUPTIONS).map(interrupt).collect();
    steps.push(json!({ "pause": { "ms": 300 } }));
    let call = Live::call(&gateway, "1000", 1, script(&json!({ "voice": "rms", "steps": steps })).unwrap()).unwrap();

    let spoke_up = call.report.events.iter().filter(|event| matches!(event.what, Happened::Interrupted { .. })).count();
    let cuts = call.cuts().unwrap();
    assert_eq!((spoke_up as u64, cuts.len() as u64), (INTERRUPTIONS, INTERRUPTIONS), "{:#?}", call.events);
    let late = cuts.iter().filter(|cut| cut.packets_after > 1).count();
    assert!(late <= 1, "packets behind the decisions: {cuts:#?}");
    for cut in &cuts {
        let received: u64 = cut.received.iter().map(|tone| u64::from(tone.ms)).sum();
        assert!(received.abs_diff(cut.sent_ms) <= BLUR_MS, "{received} ms came: {cut:#?}");
    }
}
