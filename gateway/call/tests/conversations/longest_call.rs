//! A call that reaches its longest duration.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};

use crate::rig::{Rig, agent};

#[test]
fn ends_by_name() {
    let spec = agent(1, 1, 1, json!({ "limits": { "max_call_s": 5 } }));
    let mut rig = Rig::new(spec, &[]);
    rig.run_to_end();
    assert_eq!(rig.failures(), [(Failure::CallTooLong, "hang_up")]);
    assert_eq!(rig.only(EventType::CallEnded)["duration_ms"], 5030);
    let record = rig.call.record();
    assert_eq!((record.end, record.failure), (Some(EndReason::Failed), Some(Failure::CallTooLong)));
    assert_eq!(record.total().call_ms, 5030);
}

#[test]
fn may_say_a_last_line() {
    let failures = json!({ "call_too_long": { "action": "hang_up", "text": "Our time is up." } });
    let spec = agent(1, 1, 1, json!({ "limits": { "max_call_s": 5 }, "failures": failures }));
    let mut rig = Rig::new(spec, &[]);
    rig.run_to_end();
    assert_eq!(rig.said(), ["Hello.", "Our time is up."]);
    assert_eq!(rig.all(EventType::PlaybackFinished).len(), 2);
}
