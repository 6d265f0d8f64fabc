//! The agent listens on while the caller speaks with whoever took the call: both are in the transcript, nobody is answered, and it
//! knows what was said once the caller is with it again.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_leg::LegId;

use crate::rig::second_leg::Person;
use crate::transfer_with_a_briefing::rig;

#[test]
fn what_both_say_is_heard_and_answered_by_nobody() {
    let policy = json!({ "mode": "bridge", "while_joined": "listen", "after": "return" });
    let mut rig = rig(policy, &[Person::Answers(2000)], "Was there anything else?");
    rig.caller_says(8000, 900, "my order is four five six");
    rig.caller_says(12_000, 900, "we will send it on monday");
    rig.run_until(20_000);
    let telephone = rig.telephone();
    assert_eq!(telephone[telephone.len() - 3..], ["bridge 1 2", "attach 1", "overhear 2"].map(str::to_owned));
    assert_eq!(rig.said_to(LegId::FIRST), ["Hello.", "One moment."], "nobody is answered");
    assert_eq!(rig.all(EventType::TurnStarted).len(), 1);
    let words: Vec<_> = rig.all(EventType::TranscriptFinal);
    let words: Vec<&str> = words.iter().filter_map(|data| data["text"].as_str()).collect();
    assert_eq!(words, ["sales please", "my order is four five six", "we will send it on monday"]);
    rig.human_hangs_up(21_000);
    rig.run_until(26_000);
    let telephone = rig.telephone();
    assert_eq!(telephone[telephone.len() - 2..], ["unbridge 1 2", "overhear nobody"].map(str::to_owned));
    assert_eq!(rig.said_to(LegId::FIRST).last(), Some(&"Was there anything else?"));
    let asked = rig.conversation().join("\n");
    assert!(asked.contains("[Said while the caller spoke with somebody else: we will send it on monday]"), "{asked}");
    assert!(rig.failures().is_empty());
}

#[test]
fn who_leaves_hears_nothing_of_it() {
    let mut rig = rig(json!({ "mode": "bridge" }), &[Person::Answers(2000)], "");
    rig.caller_says(8000, 900, "my order is four five six");
    rig.run_until(20_000);
    assert_eq!(rig.all(EventType::TranscriptFinal).len(), 1);
    assert_eq!(rig.telephone().last().unwrap(), "bridge 1 2");
}

#[test]
fn the_caller_may_hang_up_and_the_call_is_over() {
    let policy = json!({ "mode": "bridge", "while_joined": "listen", "after": "return" });
    let mut rig = rig(policy, &[Person::Answers(2000)], "");
    rig.caller_says(8000, 900, "thank you goodbye");
    rig.caller_hangs_up(12_000);
    rig.run_to_end();
    assert_eq!(rig.only(EventType::CallEnded)["reason"], "transferred");
    assert!(rig.second.open.is_empty());
}
