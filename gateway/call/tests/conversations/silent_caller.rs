//! The caller says nothing: asked twice, then a polite hang-up.

use serde_json::json;
use trunkline_api::{EventType, Failure};

use crate::rig::{Rig, agent};

#[test]
fn asked_twice_then_hung_up() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]);
    rig.run_to_end();
    let ask = "Are you still there?";
    assert_eq!(rig.said(), ["Hello.", ask, ask, "I cannot hear you, so I will end the call. Goodbye."]);
    let prompts: Vec<_> = rig.all(EventType::CallerSilent).into_iter().map(|data| data["prompt"].clone()).collect();
    assert_eq!(prompts, [1, 2]);
    assert_eq!(rig.failures(), [(Failure::CallerSilent, "hang_up")]);
    assert_eq!(rig.only(EventType::CallEnded)["failure"], "caller_silent");
    // The greeting ends at 360 ms.
    assert_eq!(rig.first_ms(EventType::CallerSilent), 10_360);
}

#[test]
fn a_word_begins_the_count_anew() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Good."]);
    rig.caller_says(13_000, 500, "I am here");
    rig.run_until(60_000);
    let prompts: Vec<_> = rig.all(EventType::CallerSilent).into_iter().map(|data| data["prompt"].clone()).collect();
    assert_eq!(prompts, [1, 1, 2]);
}
