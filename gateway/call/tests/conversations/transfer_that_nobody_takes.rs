//! Nobody takes the call: the caller, who never waited in silence, is with the agent again, and its model knows why.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_leg::{EndCause, LegId, RefusalCause, ToneKind};

use crate::rig::Rig;
use crate::rig::second_leg::Person;
use crate::transfer_with_a_briefing::rig;

fn goes_on(mut rig: Rig, outcome: &str) -> Rig {
    rig.run_until(70_000);
    assert_eq!(rig.outcomes(), [outcome]);
    let told = format!("User: [The caller could not be passed on to sales: {outcome}.]");
    assert_eq!(*rig.conversation().last().unwrap(), told);
    assert!(rig.said_to(LegId::FIRST).contains(&"Nobody is there."), "{:?}", rig.said());
    assert!(rig.second.open.is_empty(), "a leg was left open");
    let silent_ms = rig.longest_silence_of_caller(3000, rig.first_ms(EventType::TransferEnded) + 1500);
    assert!(silent_ms <= 2500, "{silent_ms} ms of silence");
    rig
}

#[test]
fn they_are_busy_or_do_not_want_it() {
    for (cause, name) in
        [(RefusalCause::Busy, "busy"), (RefusalCause::Rejected, "rejected"), (RefusalCause::NoAnswer, "no_answer")]
    {
        let rig = goes_on(rig(json!({}), &[Person::Refuses(cause, 1500)], "Nobody is there."), name);
        assert_eq!(rig.failures(), []);
    }
}

#[test]
fn a_trunk_that_cannot_dial_is_a_failure_with_a_name() {
    for (cause, name) in [
        (RefusalCause::Unreachable, "unreachable"),
        (RefusalCause::NotFound, "not_found"),
        (RefusalCause::Unsupported, "unsupported"),
    ] {
        let rig = goes_on(rig(json!({}), &[Person::Refuses(cause, 0)], "Nobody is there."), name);
        assert_eq!(rig.failures(), [(Failure::TransferFailed, "record")]);
        // The caller never heard the beginning of any music.
        assert!(!rig.telephone().contains(&"hold 1".to_owned()));
    }
}

#[test]
fn it_rings_for_as_long_as_it_may() {
    let more =
        json!({ "ring_ms": 45_000, "hold_line_every_ms": 10_000, "hold_lines": ["Still trying.", "Bear with me."] });
    let rig = goes_on(rig(more, &[Person::Never], "Nobody is there."), "no_answer");
    let lines = rig.said_to(LegId::FIRST);
    assert_eq!(lines[2..6], ["Still trying.", "Bear with me.", "Still trying.", "Bear with me."]);
    assert!(rig.telephone().contains(&"cancel 2".to_owned()));
}

#[test]
fn who_answers_when_it_was_given_up_is_hung_up() {
    let rig = goes_on(rig(json!({ "ring_ms": 8000 }), &[Person::AnswersTooLate], "Nobody is there."), "no_answer");
    assert!(rig.telephone().contains(&"hang up 2".to_owned()), "{:?}", rig.telephone());
}

#[test]
fn a_mailbox_is_nobody() {
    let mut by_words = rig(json!({}), &[Person::Answers(2000)], "Nobody is there.");
    by_words.caller_says(7000, 2500, "this is the mailbox of Bob please leave a message after the tone");
    goes_on(by_words, "machine");
    let mut by_beep = rig(json!({}), &[Person::Answers(2000)], "Nobody is there.");
    by_beep.tone(8000, LegId(2), ToneKind::Beep);
    goes_on(by_beep, "machine");
}

#[test]
fn they_hang_up_before_they_have_accepted() {
    let mut rig = rig(json!({}), &[Person::Answers(2000)], "Nobody is there.");
    rig.human_hangs_up(8000);
    goes_on(rig, "hung_up");
}

#[test]
fn the_agent_may_hang_up_instead() {
    let more = json!({ "on_failure": { "action": "hang_up", "text": "Nobody is there. Goodbye." } });
    let mut rig = rig(more, &[Person::Refuses(RefusalCause::Busy, 1500)], "");
    rig.run_to_end();
    assert_eq!(*rig.said().last().unwrap(), "Nobody is there. Goodbye.");
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "agent_hung_up");
}

#[test]
fn a_caller_who_is_gone_meanwhile_leaves_nobody_behind() {
    // At each step: while it is announced, rings, is answered, is being told, and is asked.
    for gone_ms in [2700, 3400, 4800, 6000, 7500, 9000, 10_500] {
        let mut rig = rig(json!({}), &[Person::Answers(2000)], "");
        rig.leg_ends(gone_ms, EndCause::RemoteHangUp);
        rig.run_to_end();
        assert!(rig.second.open.is_empty(), "{gone_ms}: {:?}", rig.telephone());
        assert_eq!(rig.only(EventType::CallEnded)["reason"], "caller_hung_up", "{gone_ms}");
        assert_eq!(rig.outcomes(), ["caller_hung_up"], "{gone_ms}");
        assert_eq!(rig.all(EventType::CallEnded).len(), 1);
    }
}

#[test]
fn whoever_is_on_the_line_is_told_that_the_caller_is_gone() {
    let mut rig = rig(json!({}), &[Person::Answers(2000)], "");
    rig.caller_hangs_up(9000);
    rig.run_to_end();
    assert_eq!(*rig.said_to(LegId(2)).last().unwrap(), "The caller has just hung up. Thank you, goodbye.");
    let word = rig.events.iter().rfind(|event| event.kind == EventType::PlaybackFinished.name()).unwrap();
    assert_eq!(word.data["leg"], 2, "it was heard to its end");
    assert_eq!(rig.telephone().last().unwrap(), "hang up 2");
    // The caller's time is the caller's.
    assert_eq!(rig.only(EventType::CallEnded)["duration_ms"], 9000);
}
