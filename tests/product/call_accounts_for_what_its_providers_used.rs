//! What a recogniser, a language model and a voice say that they used in a call, the gateway's record of the call says too:
//! recognised time, tokens read, read from a cache and written, and characters, to the unit.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::caller::script;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::live::{Live, instant_agent};
use trunkline_tests::model::{Answer, Model};
use trunkline_tests::{objects, wait};

const GREETING: &str = "Hello and welcome.";
const REPLY: &str = "Alpha bravo charlie.";
/// What the recogniser says that each turn took, in milliseconds, and the model, in tokens.
const HEARD_MS: u64 = 4321;
const TOKENS: (u64, u64, u64) = (1234, 1024, 77);
const TURNS: u64 = 2;

#[test]
fn recognised_time_tokens_and_characters_are_those_that_were_used() {
    let scratch = tempfile::tempdir().unwrap();
    let answer = |_: &Value| Answer { text: REPLY.to_owned(), tokens: TOKENS, ..Answer::default() };
    let model = Model::start(answer).unwrap();
    let mut agent = instant_agent(GREETING, &["Are you open?"], model.provider(), json!({}));
    agent["pipeline"]["cascade"]["asr"][0]["settings"]["bills_ms"] = HEARD_MS.into();
    // A guess that was wrong would be paid for, too.
    agent["turn"] = json!({ "speculate": false });
    let (name, hosts) = Model::granted(&[&model]);
    let options = Options::default().with(name, &hosts);
    let gateway = Gateway::standalone(scratch.path(), &objects::answering(&agent).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();

    let listen = json!({ "wait_for_agent": { "quiet_ms": 400 } });
    let say = json!({ "say": { "text": "are you open" } });
    let steps = json!({ "voice": "rms", "steps": [listen, say, listen, say, listen] });
    let call = Live::call(&gateway, "1000", 1, script(&steps).unwrap()).unwrap();
    assert_eq!(model.asked().len() as u64, TURNS, "{:#?}", call.events);

    let admin = gateway.admin().unwrap();
    let record = wait::until("the record of the call", Duration::from_secs(10), || {
        let usage = admin.get("/v1/usage").ok()?;
        usage["records"].as_array()?.iter().find(|record| record["call"] == call.id.as_str()).cloned()
    })
    .unwrap();
    let used = |kind: &str, provider: &str| {
        let entries = record["usage"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["kind"] == kind && entry["provider"] == provider);
        entry.unwrap_or_else(|| panic!("no {kind} of {provider} in {record:#}"))["units"].clone()
    };
    let (read, cached, written) = TOKENS;
    let characters = GREETING.len() as u64 + TURNS * REPLY.len() as u64;
    assert_eq!(used("asr", "instant-asr")["asr_ms"], TURNS * HEARD_MS, "{record:#}");
    assert_eq!(used("llm", "openai")["tokens_in"], TURNS * read, "{record:#}");
    assert_eq!(used("llm", "openai")["tokens_cached"], TURNS * cached, "{record:#}");
    assert_eq!(used("llm", "openai")["tokens_out"], TURNS * written, "{record:#}");
    assert_eq!(used("tts", "instant-tts")["tts_chars"], characters, "{record:#}");
}
