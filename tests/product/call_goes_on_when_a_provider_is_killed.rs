//! A provider is killed in the middle of a call: a model's server while it is asked, a recogniser's plugin while the caller
//! speaks, a voice's in the middle of a sentence. The next of the list takes over, and the caller gets the whole answer.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::live::{Live, instant_agent};
use trunkline_tests::model::{Answer, Model};
use trunkline_tests::tones::tones;
use trunkline_tests::{objects, wait};

const QUESTION: &str = "Are you open?";

fn talk(turns: usize) -> Value {
    let listen = json!({ "wait_for_agent": { "quiet_ms": 900 } });
    let mut steps = vec![listen.clone()];
    for _ in 0..turns {
        steps.extend([json!({ "say": { "text": "are you open" } }), listen.clone()]);
    }
    json!({ "voice": "rms", "steps": steps })
}

/// Who took over from whom.
fn switched(call: &Live) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    call.events_of("provider.switched")
        .map(|event| (text(&event["data"]["from"]), text(&event["data"]["to"])))
        .collect()
}

/// First letters of the words in the caller's ear.
fn heard(call: &Live) -> String {
    tones(&call.report.agent).iter().map(|tone| tone.letter).collect()
}

/// The greeting and what followed it, whatever was said to bridge a gap.
fn ends_with(call: &Live, words: &str) {
    let heard = heard(call);
    assert!(heard.starts_with('h') && heard.ends_with(words), "{heard}: {:#?}", call.events);
}

#[test]
fn a_model_whose_server_is_killed_while_it_is_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let second = |request: &Value| request.to_string().matches(QUESTION).count() > 1;
    let says = |text: &str, hangs: bool| Answer { text: text.to_owned(), hangs, ..Answer::default() };
    let mut first = Model::start(move |request| says("Alpha bravo.", second(request))).unwrap();
    let other = Model::start(move |_| says("Xenon yacht.", false)).unwrap();
    let (primary, backup) = (first.provider(), other.provider());
    let mut agent = instant_agent("Hello.", &[QUESTION], json!({ "provider": "primary" }), json!({}));
    // It is asked for the turn itself, and not for a guess that another request follows.
    agent["turn"] = json!({ "speculate": false });
    agent["pipeline"]["cascade"]["llm"] = json!([{ "provider": "primary" }, { "provider": "backup" }]);
    let providers =
        [("primary", "openai", primary["settings"].clone()), ("backup", "openai", backup["settings"].clone())];
    let objects = objects::with_providers(&objects::answering(&agent).unwrap(), &providers).unwrap();
    let (name, hosts) = Model::granted(&[&first, &other]);
    let gateway = Gateway::standalone(scratch.path(), &objects, Options::default().with(name, &hosts)).unwrap();
    gateway.await_agents(1).unwrap();

    let caller = Caller::call(gateway.sip(), "1000", 1, script(&talk(2)).unwrap()).unwrap();
    wait::until_true("the second question", Duration::from_secs(30), || first.asked().len() > 1).unwrap();
    first.kill();
    let call = Live::of(&gateway, caller.finish().unwrap()).unwrap();
    assert_eq!(switched(&call), [("primary".to_owned(), "backup".to_owned())], "{:#?}", call.events);
    ends_with(&call, "xy");
}

#[test]
fn a_recogniser_that_traps_while_the_caller_speaks() {
    let scratch = tempfile::tempdir().unwrap();
    let llm = json!({ "provider": "scripted", "settings": { "fallback": { "say": "Alpha bravo {heard}." } } });
    let mut agent = instant_agent("Hello.", &[QUESTION], llm, json!({}));
    agent["pipeline"]["cascade"]["asr"] = json!([{ "provider": "primary" }, { "provider": "backup" }]);
    let providers = [
        ("primary", "instant-asr", json!({ "utterances": ["golf"], "dies": "traps", "dies_at": 2 })),
        ("backup", "instant-asr", json!({ "utterances": ["zulu"] })),
    ];
    let objects = objects::with_providers(&objects::answering(&agent).unwrap(), &providers).unwrap();
    let gateway = Gateway::standalone(scratch.path(), &objects, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let call = Live::call(&gateway, "1000", 1, script(&talk(2)).unwrap()).unwrap();
    assert_eq!(switched(&call), [("primary".to_owned(), "backup".to_owned())], "{:#?}", call.events);
    ends_with(&call, "abz");
}

#[test]
fn a_recogniser_that_falls_silent_while_the_caller_speaks() {
    let scratch = tempfile::tempdir().unwrap();
    let llm = json!({ "provider": "scripted", "settings": { "fallback": { "say": "Alpha bravo {heard}." } } });
    let mut agent = instant_agent("Hello.", &[QUESTION], llm, json!({}));
    agent["pipeline"]["cascade"]["asr"] = json!([{ "provider": "primary" }, { "provider": "backup" }]);
    let providers = [
        ("primary", "instant-asr", json!({ "utterances": ["golf"], "dies": "stalls" })),
        ("backup", "instant-asr", json!({ "utterances": ["zulu"] })),
    ];
    let objects = objects::with_providers(&objects::answering(&agent).unwrap(), &providers).unwrap();
    let gateway = Gateway::standalone(scratch.path(), &objects, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let call = Live::call(&gateway, "1000", 1, script(&talk(1)).unwrap()).unwrap();
    assert_eq!(switched(&call), [("primary".to_owned(), "backup".to_owned())], "{:#?}", call.events);
    ends_with(&call, "abz");
}

#[test]
fn a_voice_that_traps_in_the_middle_of_a_sentence() {
    let scratch = tempfile::tempdir().unwrap();
    let llm = json!({ "provider": "scripted", "settings": { "fallback": { "say": "Alpha bravo cigar delta." } } });
    let mut agent = instant_agent("Hello.", &[QUESTION], llm, json!({}));
    agent["pipeline"]["cascade"]["tts"] = json!([{ "provider": "primary" }, { "provider": "backup" }]);
    let providers = [
        // The greeting's word and two more.
        ("primary", "instant-tts", json!({ "word_ms": 350, "dies": "traps", "dies_after": 3 })),
        ("backup", "instant-tts", json!({ "word_ms": 350 })),
    ];
    let objects = objects::with_providers(&objects::answering(&agent).unwrap(), &providers).unwrap();
    let gateway = Gateway::standalone(scratch.path(), &objects, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let call = Live::call(&gateway, "1000", 1, script(&talk(1)).unwrap()).unwrap();
    assert_eq!(switched(&call), [("primary".to_owned(), "backup".to_owned())], "{:#?}", call.events);
    ends_with(&call, "abcd");
}
