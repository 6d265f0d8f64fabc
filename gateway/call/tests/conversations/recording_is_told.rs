//! A recording's beginning, pauses and end stand in the timeline, and its failure is one of the call's failures.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_call::{Input, Operator, RecordingFact};
use trunkline_leg::CallTime;

use crate::rig::{Rig, agent};

#[test]
fn what_happens_to_a_recording_is_in_the_timeline_and_its_first_file_in_the_record() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": "Hello." })), &[]);
    let path = || "recordings/a.wav".to_owned();
    let started = |path: &str| RecordingFact::Started { path: path.to_owned(), format: "wav".into(), sealed: true };
    rig.call.handle(CallTime::ZERO, Input::Recording(started("recordings/a.wav")));
    rig.run_until(500);
    rig.call.handle(CallTime::from_ms(500), Input::Recording(RecordingFact::Paused { path: path() }));
    rig.run_until(700);
    rig.call.handle(CallTime::from_ms(700), Input::Recording(RecordingFact::Resumed { path: path() }));
    rig.run_until(900);
    let failure = Some("the disk is gone".to_owned());
    let ended =
        RecordingFact::Ended { path: path(), reason: "disk_failed".into(), duration_ms: 880, muted_ms: 200, failure };
    rig.call.handle(CallTime::from_ms(900), Input::Recording(ended));
    rig.call.handle(CallTime::from_ms(900), Input::Recording(started("recordings/a-2.wav")));
    rig.tell(1000, Input::Operator(Operator::HangUp));
    rig.run_to_end();
    assert_eq!(rig.all(EventType::RecordingStarted).len(), 2);
    assert_eq!(rig.first_ms(EventType::RecordingPaused), 500);
    assert_eq!(rig.first_ms(EventType::RecordingResumed), 700);
    let told = rig.only(EventType::RecordingEnded);
    assert_eq!((&told["reason"], &told["muted_ms"]), (&json!("disk_failed"), &json!(200)));
    assert_eq!(rig.failures(), [(Failure::RecordingFailed, "record")]);
    assert_eq!(rig.call.record().recording.as_deref(), Some("recordings/a.wav"));
    let count = rig.names().len();
    rig.call.handle(CallTime::from_ms(2000), Input::Recording(RecordingFact::Paused { path: path() }));
    assert_eq!((rig.names().len(), rig.names()[count - 1]), (count, "call.ended"), "nothing follows the end");
}
