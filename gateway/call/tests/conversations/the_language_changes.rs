//! A conversation that goes on in another language: it is understood, answered and spoken in it from then on.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::words::Content;
use trunkline_call::Command;

use crate::rig::{Rig, Tts, agent, reply, tool_reply};

fn rig(arguments: &str, then: &str) -> Rig {
    let more = json!({
        "tools": [{ "name": "set_language" }], "greeting": "Hello.",
        "speech": { "voices": { "de": { "provider": "anna" } }, "normalize": "words" },
    });
    let mut rig = Rig::new(agent(2, 1, 1, more), &[]).scripts(vec![
        tool_reply("", "set_language", arguments),
        reply(then),
        reply("Gut."),
    ]);
    rig.tts.resize(600, Tts::Speaks(60));
    rig.caller_says(1500, 400, "deutsch bitte");
    rig
}

#[test]
fn recogniser_voice_and_numbers_are_those_of_the_new_language() {
    let mut rig = rig(r#"{"language":"de-AT"}"#, "Es kostet 3,50 €.");
    rig.run_until(9000);
    let changed = rig.only(EventType::LanguageChanged);
    assert_eq!((&changed["from"], &changed["to"]), (&json!("en"), &json!("de-AT")));
    let opened: Vec<&str> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::OpenAsr { language, .. } => Some(language.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(opened, ["en", "de-AT"]);
    let closed = rig.commands.iter().any(|(_, command)| matches!(command, Command::CloseAsr { session: 1 }));
    assert!(closed, "one recogniser at a time");
    let spoke: Vec<(&str, &str, &str)> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::Speak { provider, language, text, .. } => Some((&*provider.provider, &**language, &**text)),
            _ => None,
        })
        .collect();
    assert_eq!(spoke, [("tts-0", "en", "Hello."), ("anna", "de-AT", "Es kostet drei Euro fünfzig.")]);
    let told = rig.last_messages().iter().flat_map(|message| &message.content);
    let told: Vec<&str> = told
        .filter_map(|content| match content {
            Content::ToolResult { output, .. } => Some(output.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["The conversation is in de-AT from now on. Answer in that language."]);
}

#[test]
fn the_caller_is_heard_and_listens_in_the_new_language() {
    let mut rig =
        rig(r#"{"language":"de"}"#, "Einen Moment, ich sehe das jetzt gleich einmal für Sie nach und melde mich.");
    rig.run_until(2600);
    // "genau" is no interruption in German, and would be one in English.
    rig.caller_says(3500, 300, "genau");
    rig.run_until(12_000);
    assert!(rig.all(EventType::PlaybackCut).is_empty(), "{:?}", rig.names());
    rig.caller_says(12_500, 400, "und jetzt");
    rig.run_until(16_000);
    assert_eq!(rig.all(EventType::TurnStarted).len(), 2, "what is said to the new recogniser is answered");
}

#[test]
fn a_language_that_is_none_is_an_error_for_the_model_and_changes_nothing() {
    for arguments in ["{}", r#"{"language":"German please"}"#, "nonsense", r#"{"language":7}"#] {
        let mut rig = rig(arguments, "Sorry.");
        rig.run_until(9000);
        assert!(rig.all(EventType::LanguageChanged).is_empty(), "{arguments}");
        assert_eq!(rig.only(EventType::ToolReturned)["is_error"], true);
    }
    let mut rig = rig(r#"{"language":"EN"}"#, "Sorry.");
    rig.run_until(9000);
    assert!(rig.all(EventType::LanguageChanged).is_empty(), "it is that already");
}

#[test]
fn a_voice_of_a_language_that_fails_is_followed_by_the_agents_own() {
    let mut rig = rig(r#"{"language":"de"}"#, "Ja gerne.");
    rig.tts[32] = Tts::Fails;
    rig.run_until(9000);
    let switched = rig.only(EventType::ProviderSwitched);
    assert_eq!((&switched["from"], &switched["to"]), (&json!("anna"), &json!("tts-0")));
    assert_eq!(rig.all(EventType::PlaybackFinished)[1]["text"], "Ja gerne.");
}
