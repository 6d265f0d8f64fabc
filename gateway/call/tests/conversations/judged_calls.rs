//! Calls of the set that conversations are judged on (`bench/conversation`), as what the ears told of them: when there was
//! speech, and which words by when. What becomes of each is held here, so that no later change undoes it unseen.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_call::{AsrEvent, Command};

use crate::rig::{Asr, Rig, agent};

/// From the end of a word until it is among the interim words.
const INTERIM_MS: u64 = 300;
const HOURS: &str = "We are open from nine to six on weekdays. On Saturdays the desk is open from ten to four. \
    Parking is free behind the building, and the bus stops in front of the door.";

/// A call: what the agent says first, where there is speech, and which words were said from when to when.
struct Judged {
    greeting: &'static str,
    speech: &'static [(u64, u64)],
    words: &'static [(u64, u64, &'static str)],
}

impl Judged {
    fn run(&self) -> Rig {
        let spec = agent(1, 1, 1, json!({ "greeting": self.greeting, "turn": { "speculate": false } }));
        let mut rig = Rig::new(spec, &["All right.", "All right."]);
        rig.asr[0] = Asr::Hears(150);
        for (from, to) in self.speech {
            rig.caller_says(*from, to - from, "");
        }
        let mut so_far = String::new();
        for (from, to, words) in self.words {
            rig.is_understood(*from, *to, words);
            so_far = format!("{so_far} {words}");
            let text = so_far.trim().to_owned();
            rig.asr_says(to + INTERIM_MS, 1, AsrEvent::Partial { text });
        }
        rig.run_until(25_000);
        rig
    }

    /// Turns, and how long after the last word the last of them was over.
    fn turns(&self) -> (Vec<String>, u64) {
        let rig = self.run();
        let text = |data: &&serde_json::Value| data["input"].as_str().unwrap().to_owned();
        let turns = rig.all(EventType::TurnStarted).iter().map(text).collect();
        let last = rig.events.iter().rfind(|event| event.kind == EventType::TurnStarted.name());
        let spoke = self.words.last().map_or(0, |(_, to, _)| *to);
        (turns, last.map_or(u64::MAX, |event| event.at.call_us / 1000 - spoke))
    }

    /// Whether the agent said all of its first words, and for how long it was silent in them.
    fn goes_on(&self) -> (bool, u64) {
        let rig = self.run();
        let at =
            |wanted: Command| rig.commands.iter().find(|(_, command)| *command == wanted).map(|(at, _)| at.as_ms());
        let silent = match (at(Command::PausePlayback), at(Command::ResumePlayback)) {
            (Some(from), Some(to)) => to - from,
            (Some(_), None) => u64::MAX,
            (None, _) => 0,
        };
        let cut = !rig.all(EventType::PlaybackCut).is_empty() || !rig.all(EventType::TurnStarted).is_empty();
        (!cut && rig.said().first() == Some(&self.greeting), silent)
    }
}

fn one(turn: &str, after_ms: u64) -> (Vec<String>, u64) {
    (vec![turn.to_owned()], after_ms)
}

#[test]
fn half_a_sentence_is_waited_for_for_more_than_a_second() {
    let call = Judged {
        greeting: "Hello.",
        speech: &[(1500, 2200), (3600, 4400)],
        words: &[(1500, 2200, "my name is"), (3600, 4400, "Peter Miller")],
    };
    assert_eq!(call.turns(), one("my name is Peter Miller", 600 + 150));
}

#[test]
fn digits_that_were_asked_for_by_their_number_are_over_when_they_are_there_and_not_before() {
    let call = Judged {
        greeting: "What is your six-digit customer number?",
        speech: &[(2500, 3400), (4800, 5700)],
        words: &[(2500, 3400, "four seven one"), (4800, 5700, "two nine three")],
    };
    assert_eq!(call.turns(), one("four seven one two nine three", INTERIM_MS + 150));
    let call = Judged {
        greeting: "Tell me the four digits of your code.",
        speech: &[(2500, 3700)],
        words: &[(2500, 3700, "four seven one two")],
    };
    assert_eq!(call.turns(), one("four seven one two", INTERIM_MS + 150));
    // Nobody said how many: a pause between groups is left.
    let call = Judged {
        greeting: "What is your number?",
        speech: &[(2500, 3400), (4300, 5200)],
        words: &[(2500, 3400, "four seven one"), (4300, 5200, "two nine three")],
    };
    assert_eq!(call.turns(), one("four seven one two nine three", 1020 + 150));
}

#[test]
fn okay_begins_the_answer_to_one_question_and_is_that_to_another() {
    let call = Judged {
        greeting: "What can I do for you?",
        speech: &[(2500, 2900), (3450, 5400)],
        words: &[(2500, 2900, "okay"), (3450, 4300, "so I would like"), (4300, 5400, "to book a table for Friday")],
    };
    assert_eq!(call.turns(), one("okay so I would like to book a table for Friday", 600 + 150));
    let call = Judged { greeting: "Is that correct?", speech: &[(2500, 2900)], words: &[(2500, 2900, "yes")] };
    assert_eq!(call.turns(), one("yes", 300 + 150));
}

#[test]
fn a_television_behind_the_caller_holds_no_turn() {
    let call = Judged {
        greeting: "Hello.",
        speech: &[(1500, 24_000)],
        words: &[(1500, 2600, "are you open"), (2600, 3400, "on Sundays")],
    };
    assert_eq!(call.turns(), one("are you open on Sundays", INTERIM_MS + 2000 + 150));
}

#[test]
fn a_television_over_the_agent_stops_it_for_a_while_only() {
    let call = Judged { greeting: HOURS, speech: &[(1500, 24_000)], words: &[] };
    assert_eq!(call.goes_on(), (true, 4000 + 150));
}

#[test]
fn mhm_coughs_and_knocks_cost_a_moment_and_not_a_word() {
    let call = Judged { greeting: HOURS, speech: &[(3000, 3500)], words: &[(3000, 3500, "mhm")] };
    assert_eq!(call.goes_on(), (true, 500 - 80 + 300 + 150));
    let call = Judged { greeting: HOURS, speech: &[(3000, 3200)], words: &[] };
    assert_eq!(call.goes_on(), (true, 200 - 80 + 300 + 150));
    // Too short to be anything.
    let call = Judged { greeting: HOURS, speech: &[(3000, 3060)], words: &[] };
    assert_eq!(call.goes_on(), (true, 0));
}

#[test]
fn what_begins_like_mhm_and_goes_on_interrupts() {
    let call = Judged {
        greeting: HOURS,
        speech: &[(3000, 5000)],
        words: &[(3000, 3300, "yeah"), (3300, 5000, "but that is the wrong day")],
    };
    assert_eq!(call.turns(), one("yeah but that is the wrong day", 600 + 150));
    assert!(!call.goes_on().0);
}

#[test]
fn a_long_story_is_not_cut_where_the_recogniser_gives_no_interim_words() {
    let spec = agent(1, 1, 1, json!({}));
    let mut rig = Rig::new(spec, &["I see."]);
    rig.caller_says(1500, 9000, "it was a long story");
    rig.run_until(14_000);
    assert_eq!(rig.only(EventType::TurnStarted)["input"], "it was a long story");
    assert_eq!(rig.first_ms(EventType::TurnStarted), 10_500 + 600 + 80);
}
