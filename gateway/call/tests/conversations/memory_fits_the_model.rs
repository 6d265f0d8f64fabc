//! Two hours of conversation fit a small model: what is old is summed up, or left out where that fails, and never more.

use serde_json::{Value, json};
use trunkline_api::usage::Units;
use trunkline_api::words::{Content, Message, ProviderKind, Role};
use trunkline_api::{EventType, Failure};
use trunkline_call::{Command, Input};

use crate::rig::{Llm, Rig, agent, reply};

const BUDGET: usize = 2000;
const ANSWER: &str =
    "Of course, I have written down that the machine in the second hall was stopped at a quarter past four.";

/// A call in which the caller says something every 20 s.
fn call(turns: u64, more: Value) -> Rig {
    let mut fields = json!({
        "limits": { "max_call_s": 10_000, "max_reply_tokens": 200 }, "context": { "max_tokens": BUDGET },
    });
    for (key, value) in more.as_object().unwrap() {
        fields["context"][key] = value.clone();
    }
    let spec = agent(1, 1, 1, fields);
    let mut rig = Rig::new(spec, &[]);
    rig.llm[0] = Llm::Replies((0..turns).map(|turn| reply(&format!("{turn}: {ANSWER}"))).collect());
    for turn in 0..turns {
        let words =
            format!("This is report number {turn} from the second hall, please write down what I tell you now.");
        rig.caller_says(3000 + turn * 20_000, 3000, &words);
    }
    rig
}

/// Messages of every request for a reply.
fn requests(rig: &Rig) -> Vec<&[Message]> {
    let replies = rig.commands.iter().filter_map(|(_, command)| match command {
        Command::StartLlm { messages, .. } if !text(&messages[0]).starts_with("Sum up") => Some(messages.as_slice()),
        _ => None,
    });
    replies.collect()
}

fn text(message: &Message) -> &str {
    match &message.content[0] {
        Content::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

/// Tokens as English has them, a fifth more than OpenAI's tokeniser counts for these sentences.
fn tokens(messages: &[Message]) -> usize {
    messages.iter().map(|message| 4 + text(message).len() / 4).sum()
}

#[test]
fn two_hours_fit_with_a_summary_of_what_was_before() {
    let mut rig = call(360, json!({ "summarize": true, "summary_tokens": 100 }));
    rig.aside.summary = Some("The caller reports from the second hall.".to_owned());
    rig.aside.summary_ms = 900;
    rig.run_until(7_210_000);
    let requests = requests(&rig);
    assert_eq!(requests.len(), 360);
    let sizes: Vec<usize> = requests.iter().map(|messages| tokens(messages)).collect();
    let (largest, last) = (sizes.iter().max().unwrap(), requests[359]);
    let summaries = rig.all(EventType::ContextSummarised);
    println!("360 turns in 7200 s: {} summaries, largest request {largest} of {BUDGET} tokens", summaries.len());
    assert!(largest + 200 <= BUDGET && *largest > BUDGET / 3, "{largest}");
    assert!((8..60).contains(&summaries.len()), "{}", summaries.len());
    assert_eq!(
        text(&last[0]),
        "You are a clerk.\n\nWhat was said before, in short: The caller reports from the second hall."
    );
    assert_eq!(last[1].role, Role::User);
    // Nothing was left out: each summary begins where the one before ended.
    let transcripts = &rig.aside.transcripts;
    assert!(transcripts[0].starts_with("Agent: Hello.\nCaller: This is report number 0 "));
    for (before, after) in transcripts.iter().zip(&transcripts[1..]) {
        let number = |line: &str| {
            line.split("report number ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse::<u32>().unwrap()
        };
        let last = before.lines().rfind(|line| line.starts_with("Caller")).map(number).unwrap();
        let first = after.lines().find(|line| line.starts_with("Caller")).map(number).unwrap();
        assert_eq!(first, last + 1);
        assert!(after.starts_with("What was said before, in short: The caller reports"));
    }
    assert_eq!(rig.failures(), []);
}

#[test]
fn without_a_summary_the_oldest_exchanges_are_left_out() {
    for more in [json!({}), json!({ "summarize": true, "summary_tokens": 100 })] {
        let mut rig = call(60, more.clone());
        rig.run_until(1_210_000);
        let requests = requests(&rig);
        let largest = requests.iter().map(|messages| tokens(messages)).max().unwrap();
        assert!(largest + 200 <= BUDGET && largest > BUDGET / 2, "{largest}");
        let last = requests.last().unwrap();
        assert_eq!((text(&last[0]), last[1].role), ("You are a clerk.", Role::User));
        assert!(text(last.last().unwrap()).contains("number 59"));
        // A summary that fails is told of, and tried again after a minute.
        let failures = rig.failures();
        assert_eq!(failures.is_empty(), more.get("summarize").is_none());
        assert!(failures.iter().all(|failure| *failure == (Failure::LlmUnavailable, "record")) && failures.len() < 21);
    }
}

#[test]
fn what_the_provider_reports_corrects_the_estimate() {
    let mut rig = call(60, json!({}));
    for turn in 0..60 {
        rig.run_until(8000 + turn * 20_000);
        // Its tokeniser makes twice as much of every text.
        let units = Units { tokens_in: 2 * tokens(requests(&rig).last().unwrap()) as u64, ..Units::default() };
        rig.tell(8000 + turn * 20_000, Input::Usage { kind: ProviderKind::Llm, provider: "llm-0".to_owned(), units });
    }
    rig.run_until(1_210_000);
    let last = tokens(requests(&rig).last().unwrap());
    assert!((600..=900).contains(&last), "{last}");
}

#[test]
fn a_summary_is_asked_for_only_while_the_caller_waits_for_nothing_and_not_after_the_end() {
    let mut rig = call(40, json!({ "summarize": true, "summary_tokens": 100 }));
    (rig.aside.summary, rig.aside.summary_ms) = (Some("Reports.".to_owned()), 14_000);
    rig.run_until(810_000);
    let mut waits = false;
    for event in &rig.events {
        match event.kind.as_str() {
            "turn.started" => waits = true,
            "playback.finished" => waits = false,
            _ => {}
        }
    }
    assert!(!waits && !rig.aside.transcripts.is_empty());
    let started = |at: u64| {
        rig.events.iter().rev().find(|event| event.at.call_us <= at && event.kind.starts_with("playback.")).unwrap()
    };
    for (at, command) in &rig.commands {
        if matches!(command, Command::StartLlm { messages, .. } if text(&messages[0]).starts_with("Sum up")) {
            assert_eq!(started(at.as_us()).kind, "playback.finished");
        }
    }
    // The last one is out when the caller hangs up.
    let mut rig = call(40, json!({ "summarize": true, "summary_tokens": 100 }));
    (rig.aside.summary, rig.aside.summary_ms) = (Some("Reports.".to_owned()), 14_000);
    for ms in (0..700_000).step_by(100) {
        if rig.aside.transcripts.is_empty() {
            rig.run_until(ms);
        }
    }
    let now = rig.now.as_ms();
    rig.caller_hangs_up(now + 1000);
    rig.run_until(now + 60_000);
    assert!(rig.call.is_over());
    assert!(
        matches!(rig.commands.iter().rev().find(|(_, command)| matches!(command, Command::CancelLlm { .. })), Some((at, _)) if at.as_ms() > now)
    );
    assert!(rig.all(EventType::ContextSummarised).is_empty());
}
