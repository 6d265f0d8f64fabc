//! A recogniser that dies costs no words: the next hears again what the one before owed. A second session that listens all
//! the time beside the first would know the same words no sooner, for what it saves is the opening of a session.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_call::AsrEvent;

use crate::rig::{Asr, Rig, agent};

/// When the turn begins, and its words, with the first recogniser dying at `dies_ms`.
fn turn(dies_ms: Option<u64>) -> (u64, String) {
    let mut rig = Rig::new(agent(2, 1, 1, json!({ "turn": { "adaptive": false, "speculate": false } })), &["Yes."]);
    rig.caller_says(1500, 4000, "I would like a table for two at eight please");
    if let Some(ms) = dies_ms {
        rig.asr[0] = Asr::Stalls;
        let event = AsrEvent::Failed { failure: Failure::AsrUnavailable, detail: "gone".to_owned() };
        rig.asr_says(ms, 1, event);
    }
    rig.run_until(15_000);
    (rig.first_ms(EventType::TurnStarted), rig.only(EventType::TurnStarted)["input"].as_str().unwrap().to_owned())
}

#[test]
fn whenever_it_dies_the_turn_has_all_its_words_and_comes_at_the_same_time() {
    let whole = turn(None);
    assert_eq!(whole.1, "I would like a table for two at eight please");
    // Before, in the middle of the words, in the silence behind them.
    for dies_ms in [500, 1600, 3000, 5400, 5600, 6000] {
        assert_eq!(turn(Some(dies_ms)), whole, "{dies_ms}");
    }
    // While it owes the last words: the next needs the time of its own answer.
    let (late, words) = turn(Some(6150));
    assert_eq!((late - whole.0, words), (50, whole.1));
}
