//! A caller gives the number of a card, and the model wants to say somebody's address: with the shipped redactor neither the
//! model, nor the voice in the caller's ear, nor the timeline, nor any file of the gateway has them; without it all have.

use std::path::Path;

use serde_json::{Value, json};
use trunkline_tests::caller::script;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::live::{Live, instant_agent};
use trunkline_tests::model::{Answer, Model};
use trunkline_tests::objects;
use trunkline_tests::tones::tones;

const CARD: &str = "4111 1111 1111 1111";
/// Part of it, and all of it without spaces: longer than what a time or an identifier has by chance.
const PARTS: [&str; 2] = ["1111 1111", "4111111111111111"];
const ADDRESS: &str = "jane@example.com";

/// Places a call to an agent with that redaction: the call, what its model was asked, and the gateway's folder.
fn call(scratch: &Path, redaction: Value) -> (Live, String) {
    let model = Model::start(|_| Answer { text: format!("Mail {ADDRESS} now."), ..Answer::default() }).unwrap();
    let said = format!("My card is {CARD}.");
    let mut agent = instant_agent("Hello.", &[&said], model.provider(), json!({}));
    agent["redaction"] = redaction;
    let (name, hosts) = Model::granted(&[&model]);
    let options = Options::default().with(name, &hosts);
    let mut gateway = Gateway::standalone(scratch, &objects::answering(&agent).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();
    let listen = json!({ "wait_for_agent": { "quiet_ms": 500 } });
    let say = json!({ "say": { "text": "my card is four one one one" } });
    let steps = script(&json!({ "voice": "rms", "steps": [listen, say, listen] })).unwrap();
    let call = Live::call(&gateway, "1000", 1, steps).unwrap();
    gateway.stop().unwrap();
    let asked = Value::from(model.asked()).to_string();
    (call, asked)
}

/// First letters of the words in the caller's ear.
fn heard(call: &Live) -> String {
    tones(&call.report.agent).iter().map(|tone| tone.letter).collect()
}

/// Files below a folder that hold a text, but for those with the objects that the test wrote.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "objects") {
                found.extend(files_with(&path, text));
            }
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_card_and_an_address_reach_nobody() {
    let scratch = tempfile::tempdir().unwrap();
    let channels = json!(["llm-input", "llm-output", "transcript"]);
    let (live, asked) = call(scratch.path(), json!({ "redactor": "pii", "channels": channels }));
    let timeline = Value::from(live.events.clone()).to_string();
    assert!(asked.contains("My card is [card-number].") && PARTS.iter().all(|part| !asked.contains(part)), "{asked}");
    assert!(
        timeline.contains("My card is [card-number].") && PARTS.iter().all(|part| !timeline.contains(part)),
        "{timeline}"
    );
    assert!(timeline.contains("[email-address]") && !timeline.contains(ADDRESS), "{timeline}");
    assert_eq!(heard(&live), "hmen", "hello, mail, email-address, now");
    for secret in [CARD, PARTS[0], PARTS[1], ADDRESS] {
        assert_eq!(files_with(scratch.path(), secret), [""; 0], "{secret}");
    }
    for entity in ["card-number", "email-address"] {
        let counted = live.events_of("redaction.applied").any(|event| event["data"]["counts"][entity] == 1);
        assert!(counted, "{entity}: {timeline}");
    }
}

#[test]
fn without_redaction_they_do() {
    let scratch = tempfile::tempdir().unwrap();
    let (live, asked) = call(scratch.path(), json!({}));
    let timeline = Value::from(live.events.clone()).to_string();
    assert!(asked.contains(CARD) && timeline.contains(CARD) && timeline.contains(ADDRESS), "{asked} {timeline}");
    assert_eq!(heard(&live), "hmjaedcn", "hello, mail, jane at example dot com, now");
    assert_ne!(files_with(scratch.path(), ADDRESS), [""; 0]);
}
