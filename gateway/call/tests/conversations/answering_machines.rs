//! A machine answers: the agent hangs up, or leaves a message after the beep.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_leg::{LegId, ToneKind};

use crate::answering_people::{GREETING, placed, verdicts};
use crate::rig::{Asr, Rig};

const MESSAGE: &str = "This is the dentist. Please call us back.";
const ANNOUNCEMENT: &str = "this is the voicemail of Ann please leave a message after the tone";

fn leaves_a_message() -> Rig {
    let mut rig = placed(json!({ "machine": { "action": "leave_message", "text": MESSAGE } }), &[]);
    rig.caller_says(500, 6000, ANNOUNCEMENT);
    rig
}

fn message_began_ms(rig: &Rig) -> Vec<u64> {
    let said = rig.events.iter().filter(|event| event.kind == EventType::AgentSaid.name());
    said.filter(|event| event.data["text"] == MESSAGE).map(|event| event.at.call_us / 1000).collect()
}

#[test]
fn it_is_known_by_its_words_and_hung_up() {
    let mut rig = placed(json!({}), &[]);
    rig.caller_says(500, 3000, ANNOUNCEMENT);
    rig.run_to_end();
    assert_eq!(verdicts(&rig), [("machine".to_owned(), "words".to_owned())]);
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "agent_hung_up");
    assert!(rig.said().is_empty(), "nobody is greeted: {:?}", rig.said());
}

#[test]
fn or_by_speaking_for_longer_than_anybody_does() {
    let mut rig = placed(json!({}), &[]);
    rig.asr = vec![Asr::Stalls; 8];
    rig.caller_says(500, 9000, "");
    rig.run_to_end();
    assert_eq!(verdicts(&rig), [("machine".to_owned(), "rhythm".to_owned())]);
    assert_eq!(rig.only(EventType::AnswerClassified)["after_ms"], 5000);
}

#[test]
fn or_by_its_beep() {
    let mut rig = placed(json!({ "machine": { "action": "leave_message", "text": MESSAGE } }), &[]);
    rig.asr = vec![Asr::Hears(80); 8];
    rig.caller_says(400, 1200, "Ann and Bob");
    rig.tone(4000, LegId::FIRST, ToneKind::Beep);
    rig.run_to_end();
    assert_eq!(verdicts(&rig).last().unwrap(), &("machine".to_owned(), "tone".to_owned()));
    assert_eq!(message_began_ms(&rig).len(), 1);
    assert!((4000..4250).contains(&message_began_ms(&rig)[0]), "{:?}", message_began_ms(&rig));
}

#[test]
fn the_message_begins_after_the_beep_and_then_the_agent_hangs_up() {
    let mut rig = leaves_a_message();
    rig.tone(8200, LegId::FIRST, ToneKind::Beep);
    rig.run_to_end();
    assert_eq!(message_began_ms(&rig), [8200]);
    assert_eq!(*rig.only(EventType::MessageLeft), json!({ "after_beep": true, "restarts": 0 }));
    let finished = rig.events.iter().rfind(|event| event.kind == EventType::PlaybackFinished.name()).unwrap();
    assert_eq!(finished.data["text"], MESSAGE, "it was heard to its end");
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "agent_hung_up");
}

#[test]
fn without_a_beep_it_begins_after_some_silence() {
    let mut rig = leaves_a_message();
    rig.run_to_end();
    assert_eq!(message_began_ms(&rig).len(), 1);
    let began = message_began_ms(&rig)[0];
    // The announcement ends at 6500 and is understood a moment later.
    assert!((9000..9500).contains(&began), "{began}");
    assert_eq!(rig.only(EventType::MessageLeft)["after_beep"], false);
}

#[test]
fn an_announcement_that_goes_on_after_a_false_beep_is_waited_for_once_more() {
    let mut rig = leaves_a_message();
    rig.tone(7500, LegId::FIRST, ToneKind::Beep);
    rig.caller_says(7900, 2500, "or press the star key");
    rig.tone(11_000, LegId::FIRST, ToneKind::Beep);
    rig.run_to_end();
    assert_eq!(message_began_ms(&rig), [7500, 11_000]);
    assert_eq!(*rig.only(EventType::MessageLeft), json!({ "after_beep": true, "restarts": 1 }));
    let finished = rig.events.iter().rfind(|event| event.kind == EventType::PlaybackFinished.name()).unwrap();
    assert_eq!(finished.data["text"], MESSAGE);
}

#[test]
fn it_is_begun_again_no_more_than_once() {
    let mut rig = leaves_a_message();
    for (beep, talk) in [(7500, 7900), (11_000, 11_400), (14_500, 14_900)] {
        rig.tone(beep, LegId::FIRST, ToneKind::Beep);
        rig.caller_says(talk, 2000, "and so on");
    }
    rig.run_to_end();
    assert_eq!(message_began_ms(&rig).len(), 2);
    assert_eq!(rig.only(EventType::MessageLeft)["restarts"], 1);
}

#[test]
fn a_greeting_that_had_begun_makes_way_for_it() {
    let mut rig = placed(json!({ "machine": { "action": "leave_message", "text": MESSAGE } }), &[]);
    rig.caller_says(400, 900, "hi this is Ann");
    rig.caller_says(3000, 2500, "please leave a message after the beep");
    rig.tone(7000, LegId::FIRST, ToneKind::Beep);
    rig.run_to_end();
    assert_eq!(rig.said()[0], GREETING, "whoever it is, they are greeted at once");
    assert_eq!(verdicts(&rig).last().unwrap().0, "machine");
    assert_eq!(message_began_ms(&rig), [7000]);
}

#[test]
fn an_agent_may_talk_on() {
    let mut rig = placed(json!({ "machine": { "action": "continue" } }), &["I will call again."]);
    rig.caller_says(500, 3000, ANNOUNCEMENT);
    rig.caller_says(9000, 500, "hello");
    rig.run_until(14_000);
    assert_eq!(rig.said(), [GREETING, "I will call again."]);
}

#[test]
fn faxes_and_networks_are_left_at_once() {
    for (tone, kind) in [
        (ToneKind::FaxAnswering, "fax"),
        (ToneKind::SpecialInformation, "unavailable"),
        (ToneKind::Busy, "unavailable"),
    ] {
        let mut rig = placed(json!({ "machine": { "action": "continue" } }), &[]);
        rig.tone(900, LegId::FIRST, tone);
        rig.run_to_end();
        assert_eq!(verdicts(&rig), [(kind.to_owned(), "tone".to_owned())]);
        assert!(rig.said().is_empty());
        assert!(rig.only(EventType::CallEnded)["duration_ms"].as_u64().unwrap() < 1000);
    }
}
