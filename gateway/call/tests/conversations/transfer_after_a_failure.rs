//! An agent that cannot go on passes the caller to a human whom its author named.

use serde_json::{Value, json};
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_leg::RefusalCause;

use crate::rig::second_leg::Person;
use crate::rig::{Asr, Llm, Rig, Tts, agent};

fn failing(failure: &str, more: Value, people: &[Person]) -> Rig {
    let mut spec = json!({ "failures": {} });
    spec["failures"][failure] = json!({ "action": "transfer", "to": "+4930999" });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let mut rig = Rig::new(agent(1, 2, 1, spec), &[]);
    rig.llm = vec![Llm::Fails; 2];
    rig.second.people = people.to_vec();
    rig.caller_says(1000, 500, "are you open");
    rig
}

#[test]
fn whoever_answers_has_the_caller_at_once() {
    let mut rig = failing("llm_unavailable", json!({}), &[Person::Answers(3000)]);
    rig.run_until(12_000);
    assert_eq!(rig.failures(), [(Failure::LlmUnavailable, "transfer")]);
    assert_eq!(rig.only(EventType::TransferStarted)["by"], "failure");
    assert_eq!(rig.telephone().last().unwrap(), "bridge 1 2");
    rig.human_hangs_up(20_000);
    rig.run_to_end();
    assert_eq!(rig.call.record().end, Some(EndReason::Transferred));
}

#[test]
fn when_nobody_does_the_caller_is_told() {
    let mut rig = failing("providers_exhausted", json!({}), &[Person::Refuses(RefusalCause::Busy, 1000)]);
    rig.run_to_end();
    assert_eq!(rig.outcomes(), ["busy"]);
    assert!(rig.said().last().unwrap().starts_with("I am sorry"), "{:?}", rig.said());
    let record = rig.call.record();
    assert_eq!((record.end, record.failure), (Some(EndReason::Failed), Some(Failure::ProvidersExhausted)));
}

#[test]
fn it_needs_no_voice() {
    let mut rig = failing("providers_exhausted", json!({}), &[Person::Answers(3000)]);
    rig.tts = vec![Tts::Fails];
    rig.run_until(12_000);
    assert_eq!(rig.telephone().last().unwrap(), "bridge 1 2", "{:?}", rig.failures());
    assert_eq!(rig.outcomes(), ["completed"]);
}

#[test]
fn a_caller_who_speaks_meanwhile_does_not_stop_it() {
    let mut rig = failing("llm_unavailable", json!({}), &[Person::Answers(3000)]);
    rig.caller_says(2400, 500, "hello are you there");
    rig.run_until(14_000);
    assert_eq!(rig.outcomes(), ["completed"]);
    assert_eq!(rig.telephone().last().unwrap(), "bridge 1 2");
}

#[test]
fn a_human_is_reached_when_it_is_the_recogniser_that_is_gone() {
    for asr in [Asr::Stalls, Asr::Fails] {
        let mut rig = failing("providers_exhausted", json!({}), &[Person::Answers(3000)]);
        rig.llm = vec![Llm::Replies([].into()); 2];
        rig.asr = vec![asr];
        rig.caller_says(6000, 1000, "hello");
        rig.run_until(30_000);
        assert_eq!(rig.outcomes(), ["completed"], "{:?}, {:?}", rig.failures(), rig.telephone());
    }
}
