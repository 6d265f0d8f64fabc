//! A caller is passed on: whoever is dialled is told what it is about, in the agent's voice and without the caller, and
//! both speak with each other once the call was accepted.

use serde_json::{Value, json};
use trunkline_api::{EventType, Failure};
use trunkline_leg::{LegId, RefusalCause};

use crate::rig::second_leg::{Person, Referral};
use crate::rig::{Rig, agent, reply, tool_reply};

const SECOND: LegId = LegId(2);
pub(crate) const ARGUMENTS: &str = r#"{"to":"sales","briefing":"Ann wants to cancel her order."}"#;

/// An agent that passes callers on to sales; `more` is merged over its policy.
pub(crate) fn passing_on(more: Value) -> Value {
    let mut transfer = json!({
        "targets": [{ "name": "sales", "to": "+4930555", "description": "orders and prices" }],
        "hold_say": "One moment.", "briefing": "A caller for you. {briefing}", "accept_say": "Press {key}, or say yes.",
    });
    for (key, value) in more.as_object().unwrap() {
        transfer[key] = value.clone();
    }
    json!({ "tools": [{ "name": "transfer" }], "transfer": transfer, "limits": { "caller_silence_ms": 100_000 } })
}

/// A caller who asks for sales at one second; the transfer begins at about three.
pub(crate) fn rig(more: Value, people: &[Person], then: &str) -> Rig {
    let scripts = vec![tool_reply("", "transfer", ARGUMENTS), reply(then), reply("Fine.")];
    let mut rig = Rig::new(agent(1, 1, 1, passing_on(more)), &[]).scripts(scripts);
    rig.second.people = people.to_vec();
    rig.caller_says(1000, 500, "sales please");
    rig
}

/// When somebody answered.
pub(crate) fn answered_ms(rig: &Rig) -> u64 {
    rig.first_ms(EventType::LegAnswered)
}

#[test]
fn a_key_accepts_the_call_and_the_agent_leaves() {
    let mut rig = rig(json!({}), &[Person::Answers(2000)], "");
    rig.human_presses(11_000, '1');
    rig.run_until(30_000);
    assert_eq!(rig.said_to(LegId::FIRST), ["Hello.", "One moment."]);
    assert_eq!(rig.said_to(SECOND), ["A caller for you. Ann wants to cancel her order.", "Press 1, or say yes."]);
    let expected =
        ["dial 2 +4930555", "hold 1", "attach 2", "attach nobody", "resume 1", "bridge 1 2"].map(str::to_owned);
    assert_eq!(rig.telephone(), expected);
    assert_eq!(rig.outcomes(), ["completed"]);
    assert!(rig.all(EventType::CallerSilent).is_empty() && rig.failures().is_empty());
    rig.caller_hangs_up(31_000);
    rig.run_to_end();
    assert_eq!(rig.telephone().last().unwrap(), "hang up 2");
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "transferred");
    assert!(rig.second.open.is_empty());
}

#[test]
fn a_word_accepts_it_too() {
    let mut rig = rig(json!({}), &[Person::Answers(2000)], "");
    rig.caller_says(12_000, 400, "yes put them through");
    rig.run_until(20_000);
    assert_eq!(rig.outcomes(), ["completed"]);
    let turns: Vec<_> = rig.all(EventType::TurnStarted);
    assert_eq!(turns.len(), 1, "what was said on the other leg is no turn of the caller's");
}

#[test]
fn what_one_was_told_is_no_part_of_what_the_other_heard() {
    let mut rig = rig(json!({}), &[Person::Answers(2000)], "Sales is busy. Can I help?");
    rig.caller_says(12_000, 400, "no not now");
    rig.run_until(30_000);
    assert_eq!(rig.outcomes(), ["declined"]);
    let conversation = rig.conversation().join("\n");
    assert!(!conversation.contains("A caller for you") && !conversation.contains("not now"), "{conversation}");
    assert_eq!(
        rig.conversation()[1..],
        [
            "Assistant: Hello.".to_owned(),
            "User: sales please".to_owned(),
            format!("Assistant: transfer({ARGUMENTS})"),
            "Tool: -> The caller is passed on to sales now.".to_owned(),
            "Assistant: One moment.".to_owned(),
            "User: [The caller could not be passed on to sales: declined.]".to_owned(),
        ]
    );
    assert_eq!(*rig.said_to(LegId::FIRST).last().unwrap(), "Can I help?");
    // The agent hears the caller again.
    rig.caller_says(31_000, 400, "thank you");
    rig.run_until(36_000);
    assert_eq!(*rig.said_to(LegId::FIRST).last().unwrap(), "Fine.");
    assert!(rig.second.open.is_empty());
}

#[test]
fn another_key_declines() {
    let mut rig = rig(json!({}), &[Person::Answers(2000)], "Sorry.");
    rig.human_presses(9000, '2');
    rig.run_until(20_000);
    assert_eq!(rig.outcomes(), ["declined"]);
    assert_eq!(*rig.said_to(LegId::FIRST).last().unwrap(), "Sorry.");
}

#[test]
fn whoever_says_nothing_is_asked_again_and_then_left() {
    let mut rig = rig(json!({ "accept_ms": 4000 }), &[Person::Answers(2000)], "Sorry.");
    rig.run_until(60_000);
    assert_eq!(rig.outcomes(), ["not_accepted"]);
    let asked = rig.said_to(SECOND).into_iter().filter(|line| line.starts_with("Press")).count();
    assert_eq!(asked, 3);
    assert!(rig.said_to(LegId::FIRST).contains(&"Sorry."));
}

#[test]
fn a_question_of_theirs_is_answered_with_the_question() {
    let mut rig = rig(json!({}), &[Person::Answers(2000)], "Sorry.");
    rig.caller_says(11_500, 600, "who is it");
    rig.human_presses(16_000, '1');
    rig.run_until(25_000);
    assert_eq!(rig.outcomes(), ["completed"]);
    let asked = rig.said_to(SECOND).into_iter().filter(|line| line.starts_with("Press")).count();
    assert_eq!(asked, 2);
}

#[test]
fn without_a_key_whoever_has_heard_it_takes_the_call() {
    let mut rig = rig(json!({ "accept_key": "" }), &[Person::Answers(2000)], "");
    rig.run_until(20_000);
    assert_eq!(rig.outcomes(), ["completed"]);
    assert_eq!(rig.said_to(SECOND), ["A caller for you. Ann wants to cancel her order."]);
    assert!(rig.first_ms(EventType::TransferBriefed) > answered_ms(&rig));
}

#[test]
fn the_callers_side_may_take_the_call_over() {
    let mut rig = rig(json!({ "join": "refer" }), &[Person::Answers(2000)], "");
    rig.second.referral = Referral::Works;
    rig.human_presses(11_000, '1');
    rig.run_to_end();
    assert!(rig.telephone().contains(&"refer +4930555 replaces 2".to_owned()), "{:?}", rig.telephone());
    assert_eq!(rig.outcomes(), ["completed"]);
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "transferred");
    assert!(rig.second.open.is_empty());
}

#[test]
fn a_callers_side_that_takes_no_call_over_is_connected_by_the_gateway() {
    for (referral, ms) in [
        (Referral::Fails(RefusalCause::Unsupported), 30_000),
        (Referral::Fails(RefusalCause::Busy), 30_000),
        // It never says what becomes of it.
        (Referral::Silent, 60_000),
    ] {
        let mut rig = rig(json!({ "join": "refer" }), &[Person::Answers(2000)], "");
        rig.second.referral = referral;
        rig.human_presses(11_000, '1');
        rig.run_until(ms);
        let telephone = rig.telephone();
        let refer = telephone.iter().position(|order| order == "refer +4930555 replaces 2").unwrap();
        assert_eq!(telephone[refer + 1..], ["attach nobody", "bridge 1 2"], "{referral:?}");
        assert_eq!(rig.outcomes(), ["completed"]);
        assert_eq!(rig.failures(), [(Failure::TransferFailed, "bridge")]);
        rig.caller_hangs_up(ms + 1000);
        rig.run_to_end();
        assert!(rig.second.open.is_empty());
    }
}

#[test]
fn who_hangs_up_before_the_callers_side_has_dialled_leaves_the_caller_with_the_agent() {
    let mut rig = rig(json!({ "join": "refer" }), &[Person::Answers(2000)], "Sorry.");
    rig.second.referral = Referral::Fails(RefusalCause::Busy);
    rig.human_presses(11_000, '1');
    rig.human_hangs_up(12_000);
    rig.run_until(30_000);
    assert_eq!(rig.outcomes(), ["busy"]);
    assert_eq!(*rig.said_to(LegId::FIRST).last().unwrap(), "Sorry.");
}

#[test]
fn a_bridge_needs_no_briefing() {
    let mut rig = rig(json!({ "mode": "bridge" }), &[Person::Answers(2000)], "");
    rig.run_until(20_000);
    assert_eq!(rig.said_to(SECOND), Vec::<&str>::new());
    assert_eq!(rig.telephone().last().unwrap(), "bridge 1 2");
    assert_eq!(rig.outcomes(), ["completed"]);
}

#[test]
fn a_caller_who_speaks_before_anybody_is_dialled_stays() {
    let more = json!({ "hold_say": "One moment please, I will try to put you through to my colleagues now." });
    let mut rig = rig(more, &[Person::Answers(2000)], "Of course.");
    rig.caller_says(3200, 900, "wait I have one more question");
    rig.run_until(15_000);
    assert_eq!(rig.outcomes(), ["interrupted"]);
    assert_eq!(rig.telephone(), Vec::<String>::new());
    assert_eq!(*rig.said_to(LegId::FIRST).last().unwrap(), "Of course.");
    let asked = rig.conversation().last().unwrap().clone();
    assert_eq!(asked, "User: [The caller was not passed on, but spoke first.] wait I have one more question");
}
