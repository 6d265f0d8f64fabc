//! A tool that never answers: its time is up, the model is told, the caller waits in company.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_call::Command;

use crate::rig::{Rig, agent, reply, tool_reply};

fn rig() -> Rig {
    let spec = agent(1, 1, 1, json!({ "tools": [{ "name": "weather" }] }));
    let mut rig = Rig::new(spec, &[]).scripts(vec![tool_reply("", "weather", "{}"), reply("I do not know.")]);
    rig.tools.insert("weather".to_owned(), None);
    rig.caller_says(1000, 500, "what is the weather");
    rig
}

#[test]
fn the_model_is_told_and_goes_on() {
    let mut rig = rig();
    rig.run_until(18_000);
    assert_eq!(rig.failures(), [(Failure::ToolTimeout, "record")]);
    assert!(rig.commands.iter().any(|(_, command)| *command == Command::CancelTool { invocation: 1 }));
    let meanwhile = "One moment, please.";
    assert_eq!(rig.said(), ["Hello.", meanwhile, meanwhile, "I do not know."]);
    assert!(rig.conversation().last().unwrap().starts_with("Tool: -> tool_timeout"));
    let called = rig.first_ms(EventType::ToolCalled);
    assert_eq!(rig.first_ms(EventType::ToolReturned), called + 10_000);
}

#[test]
fn a_caller_who_interrupts_the_wait_is_answered() {
    let mut rig = rig();
    rig.caller_says(8000, 500, "never mind");
    rig.run_until(14_000);
    assert!(rig.commands.iter().any(|(_, command)| *command == Command::CancelTool { invocation: 1 }));
    let conversation = rig.conversation();
    assert!(conversation[4].starts_with("Tool: -> cancelled"), "{conversation:?}");
    assert_eq!(conversation.last().unwrap(), "User: never mind");
}
