//! A captured call replays bit for bit.

use serde_json::json;

use crate::rig::{Llm, Rig, agent, reply, tool_reply};

fn conversation() -> (String, String) {
    let spec = agent(
        2,
        2,
        2,
        json!({
            "tools": [{ "name": "weather" }],
            "redaction": { "redactor": "pii", "channels": ["transcript", "llm-input", "llm-output"] },
        }),
    );
    let scripts = vec![
        tool_reply("Let me see 42.", "weather", "{}"),
        reply("Rain. Then more rain. Then sun."),
        reply("Five."),
        reply("Bye."),
    ];
    let mut rig = Rig::new(spec, &[]).scripts(scripts.clone());
    rig.llm[1] = Llm::Replies(scripts.into());
    rig.tools.insert("weather".to_owned(), None);
    rig.caller_says(1000, 700, "weather for 10115");
    rig.caller_presses(20_000, '5');
    rig.caller_says(30_000, 500, "bye");
    rig.caller_hangs_up(60_000);
    rig.run_to_end();
    (serde_json::to_string(&rig.events).unwrap(), format!("{:?}", rig.commands))
}

#[test]
fn two_runs_are_the_same() {
    let (first, second) = (conversation(), conversation());
    assert!(first.0.len() > 4000, "a conversation of some length");
    assert_eq!(first, second);
}
