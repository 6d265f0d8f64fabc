//! Guardrails: what the model must not see it does not see, what it must not say is not said nor remembered.

use serde_json::{Value, json};
use trunkline_api::usage::EndReason;
use trunkline_api::words::FinishReason;
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, LlmEvent};

use crate::rig::{Rig, agent};

fn rig(guardrails: Value, replies: &[&str]) -> Rig {
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "guardrails": guardrails })), replies);
    rig.caller_says(1500, 500, "my card is 4111 1111");
    rig
}

fn rule(action: Value) -> Value {
    json!([{ "name": "cards", "patterns": [r"\d{4}[ -]\d{4}"], "phrases": ["secret word"], "action": action }])
}

fn requests(rig: &Rig) -> usize {
    rig.commands.iter().filter(|(_, command)| matches!(command, Command::StartLlm { .. })).count()
}

#[test]
fn words_that_are_blocked_are_answered_without_the_model() {
    let mut rig =
        rig(json!({ "input": rule(json!({ "block": { "say": "Please tell me no numbers." } })) }), &["Fine."]);
    rig.caller_says(6000, 500, "all right then");
    rig.run_until(12_000);
    assert_eq!(rig.said(), ["Hello.", "Please tell me no numbers.", "Fine."]);
    assert_eq!(requests(&rig), 1);
    assert_eq!(
        rig.conversation()[2..],
        ["User: [what the caller said is withheld]", "Assistant: Please tell me no numbers.", "User: all right then"]
    );
    assert_eq!(*rig.only(EventType::GuardrailTripped), json!({ "rule": "cards", "side": "input", "action": "block" }));
}

#[test]
fn words_that_are_replaced_are_answered_by_the_model() {
    let mut rig = rig(json!({ "input": rule(json!({ "replace": { "with": "[a card]" } })) }), &["Fine."]);
    rig.run_until(8000);
    assert_eq!(rig.conversation().last().unwrap(), "User: my card is [a card]");
}

#[test]
fn words_can_end_the_call() {
    let mut rig = rig(json!({ "input": rule(json!({ "hang_up": { "text": "I must end this." } })) }), &[]);
    rig.run_to_end();
    assert_eq!((rig.said()[1], requests(&rig)), ("I must end this.", 0));
    assert_eq!(rig.call.record().end, Some(EndReason::AgentHungUp));
}

#[test]
fn a_sentence_that_is_blocked_is_neither_said_nor_remembered_and_ends_the_reply() {
    let guardrails = json!({ "output": rule(json!({ "block": { "say": "I cannot tell you that." } })) });
    let mut rig = rig(guardrails, &["Yes, I know. It is the secret  WORD, of course. And there is more.", "Fine."]);
    rig.caller_says(9000, 500, "all right then");
    rig.run_until(14_000);
    assert_eq!(rig.said(), ["Hello.", "Yes, I know.", "I cannot tell you that.", "Fine."]);
    assert_eq!(rig.conversation()[3], "Assistant: Yes, I know. I cannot tell you that.");
    assert!(rig.events.iter().all(|event| !event.data.to_string().contains("secret")));
}

#[test]
fn a_model_that_goes_on_is_stopped() {
    let guardrails = json!({ "output": rule(json!({ "block": { "say": "No." } })) });
    let script = vec![
        (100, LlmEvent::TextDelta("The secret word is this. ".to_owned())),
        (2000, LlmEvent::TextDelta("And more.".to_owned())),
        (10, LlmEvent::Finished(FinishReason::Stop)),
    ];
    let mut rig = rig(guardrails, &[]).scripts(vec![script]);
    rig.run_until(9000);
    assert_eq!(rig.said(), ["Hello.", "No."]);
    assert!(rig.commands.iter().any(|(_, command)| matches!(command, Command::CancelLlm { .. })));
}

#[test]
fn a_sentence_can_be_mended_or_end_the_call() {
    let mut mended = rig(json!({ "output": rule(json!({ "replace": { "with": "***" } })) }), &["Dial 1234-5678 now."]);
    mended.run_until(8000);
    assert_eq!(mended.said()[1], "Dial *** now.");
    let mut ended =
        rig(json!({ "output": rule(json!({ "hang_up": { "text": "Goodbye." } })) }), &["Dial 1234-5678 now. Or not."]);
    ended.run_to_end();
    assert_eq!(ended.said()[1..], ["Goodbye."]);
    assert_eq!(ended.call.record().end, Some(EndReason::AgentHungUp));
}

#[test]
fn topics_are_left_alone() {
    let guardrails = json!({ "topics": ["election", "share prices"], "refusal": "Let us stay with your order." });
    let mut rig = rig(guardrails, &["Well, the Election was close. I think so."]);
    rig.run_until(9000);
    assert_eq!(rig.said()[1..], ["Let us stay with your order."]);
    assert!(rig.conversation()[0].ends_with("Never speak about: election, share prices."));
    assert_eq!(rig.only(EventType::GuardrailTripped)["rule"], "election");
}

#[test]
fn an_agent_that_says_the_same_again_and_again_is_stopped() {
    let line = "I am sorry, I did not understand that.";
    let mut rig = rig(json!({ "max_repeats": 3 }), &[line, line, line, line]);
    for n in 1..4 {
        rig.caller_says(1500 + n * 8000, 500, "my card is lost");
    }
    rig.run_to_end();
    assert_eq!(rig.said()[1..4], [line, line, line]);
    assert!(rig.said()[4].starts_with("I am sorry, our service is not available"), "{:?}", rig.said());
    assert_eq!(rig.call.record().failure, Some(Failure::AgentRepeats));
}

#[test]
fn a_call_has_so_many_turns_and_no_more() {
    let mut rig = rig(json!({ "max_turns": 2 }), &["One.", "Two."]);
    rig.caller_says(8000, 500, "and now");
    rig.caller_says(14_000, 500, "and now again");
    rig.run_to_end();
    assert_eq!((requests(&rig), rig.call.record().turns), (2, 2));
    assert_eq!(rig.call.record().failure, Some(Failure::TooManyTurns));
}
