//! The agent hangs up by its tool, after its goodbye was heard.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::usage::EndReason;
use trunkline_call::Command;
use trunkline_leg::CallTime;

use crate::rig::{Rig, agent, tool_reply};

fn hang_up_at(rig: &Rig) -> CallTime {
    rig.commands.iter().find(|(_, command)| matches!(command, Command::HangUp { .. })).unwrap().0
}

#[test]
fn the_goodbye_is_heard_first() {
    let spec = agent(1, 1, 1, json!({ "tools": [{ "name": "hang_up" }] }));
    let mut rig = Rig::new(spec, &[]).scripts(vec![tool_reply("Goodbye and thank you.", "hang_up", "{}")]);
    rig.caller_says(1000, 500, "that is all");
    // The goodbye is not to be interrupted.
    rig.caller_says(3000, 500, "bye");
    rig.run_to_end();
    let finished = rig.all(EventType::PlaybackFinished);
    assert_eq!(finished.last().unwrap()["text"], "Goodbye and thank you.");
    let last = rig.events.iter().rfind(|event| event.kind == "playback.finished").unwrap();
    assert_eq!(hang_up_at(&rig).as_us(), last.at.call_us);
    assert_eq!(rig.call.record().end, Some(EndReason::AgentHungUp));
    assert_eq!(rig.only(EventType::ToolReturned)["is_error"], false);
}

#[test]
fn without_words_it_hangs_up_at_once() {
    let spec = agent(1, 1, 1, json!({ "tools": [{ "name": "hang_up" }] }));
    let mut rig = Rig::new(spec, &[]).scripts(vec![tool_reply("", "hang_up", "{}")]);
    rig.caller_says(1000, 500, "that is all");
    rig.run_to_end();
    assert_eq!(hang_up_at(&rig).as_ms(), 1500 + 600 + 80 + 210);
}

#[test]
fn a_tool_that_is_not_configured_does_nothing() {
    let scripts = vec![tool_reply("", "hang_up", "{}"), crate::rig::reply("Still here.")];
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &[]).scripts(scripts);
    rig.caller_says(1000, 500, "that is all");
    rig.run_until(5000);
    assert!(!rig.call.is_over());
    assert_eq!(rig.only(EventType::ToolReturned)["is_error"], true);
}
