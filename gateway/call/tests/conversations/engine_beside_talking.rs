//! What a call does beside talking while an engine serves it: keys, menus, secrets, hold, language, transfer, the end.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_call::{Command, Input, RealtimeEvent};
use trunkline_leg::Direction;

use crate::rig::Rig;
use crate::rig::engines::{calls, realtime, says, with_cascade};

#[test]
fn keys_are_told_to_it_and_answered() {
    let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![says("Fine.")]]);
    rig.caller_presses(1500, '4');
    rig.caller_presses(1700, '2');
    rig.run_until(6000);
    let asked = rig.asked_engines();
    assert_eq!(&asked[asked.len() - 3..], ["append User: [DTMF 42]", "respond 1", "play 2"]);
}

#[test]
fn it_is_opened_first_where_a_call_begins_in_a_menu() {
    let menu = json!({ "main": { "prompt": "One for sales.", "words": true, "options": [
        { "key": "1", "label": "sales", "action": { "action": "agent" } } ] } });
    let spec = realtime(1, json!({ "menus": menu, "start": "menu:main", "greeting": "" }));
    let mut rig = Rig::engines(spec, vec![vec![says("This is sales.")]]);
    rig.caller_says(2500, 800, "sales");
    rig.run_until(9000);
    let asked = rig.asked_engines();
    assert_eq!(&asked[..3], ["open 1 engine-0", "say One for sales.", "play 1"]);
    assert!(asked.contains(&"commit 1".to_owned()), "its words choose: {asked:?}");
    assert_eq!(rig.only(EventType::MenuChosen)["label"], "sales");
}

fn secret() -> trunkline_api::AgentSpec {
    with_cascade(
        2,
        json!({
            "slots": [{ "name": "pin", "kind": { "digits": { "min": 4, "max": 4 } }, "prompt": "Enter your PIN.",
                        "secure": { "tools": ["pay"] } }],
            "tools": [{ "name": "pay" }],
        }),
    )
}

/// Whether an engine learns anything of the caller by that.
fn tells_of_caller(command: &Command) -> bool {
    matches!(
        command,
        Command::OpenRealtime { .. }
            | Command::Update { .. }
            | Command::BeginInput { .. }
            | Command::CommitInput { .. }
            | Command::AppendMessage { .. }
            | Command::ToolResult { .. }
            | Command::CreateResponse { say: None, .. }
            | Command::OpenAsr { .. }
    )
}

fn concealed_at(rig: &Rig) -> (u64, u64) {
    let at = |wanted: bool| {
        let found =
            rig.commands.iter().find(|(_, command)| matches!(command, Command::Conceal { on, .. } if *on == wanted));
        found.unwrap().0.as_ms()
    };
    (at(true), at(false))
}

#[test]
fn nothing_of_the_caller_reaches_it_while_a_secret_is_entered() {
    let script = vec![calls("collect_secure", r#"{"slot":"pin"}"#), says("Thank you.")];
    let mut rig = Rig::engines(secret(), vec![script, vec![]]);
    rig.caller_says(1500, 1000, "I want to pay");
    rig.caller_says(4500, 1500, "it is one two");
    for (at, key) in [(5000, '1'), (5300, '2'), (5600, '3'), (5900, '4')] {
        rig.caller_presses(at, key);
    }
    rig.run_until(10_000);
    let (from, to) = concealed_at(&rig);
    let told: Vec<_> = rig
        .commands
        .iter()
        .filter(|(at, command)| (from..to).contains(&at.as_ms()) && tells_of_caller(command))
        .filter(|(at, command)| at.as_ms() > from || !matches!(command, Command::ToolResult { .. }))
        .collect();
    assert!(told.is_empty(), "{told:#?}");
    assert_eq!(*rig.said().last().unwrap(), "Thank you.");
}

#[test]
fn nobody_is_opened_while_a_secret_is_entered_although_it_fails() {
    let script = vec![calls("collect_secure", r#"{"slot":"pin"}"#)];
    let mut rig = Rig::engines(secret(), vec![script, vec![says("Thank you.")]]);
    rig.caller_says(1500, 1000, "I want to pay");
    rig.tell(4800, Input::Realtime { session: 1, event: RealtimeEvent::Closed });
    for (at, key) in [(5000, '1'), (5300, '2'), (5600, '3'), (5900, '4')] {
        rig.caller_presses(at, key);
    }
    rig.run_until(12_000);
    let (from, to) = concealed_at(&rig);
    assert!((from..to).contains(&4800));
    assert_eq!(rig.asked_at("open 2 engine-1"), to);
    assert_eq!(*rig.said().last().unwrap(), "Thank you.");
}

#[test]
fn on_hold_what_it_says_waits() {
    let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![says("We are open until nine in the evening.")]]);
    rig.caller_says(1500, 1000, "are you open");
    rig.far_end_wants(4000, Direction::RecvOnly);
    rig.far_end_wants(24_000, Direction::SendRecv);
    rig.run_until(30_000);
    assert_eq!(rig.failures(), []);
    assert_eq!(rig.all(EventType::PlaybackFinished).len(), 2);
}

#[test]
fn a_silent_caller_is_asked_by_it() {
    let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![]]);
    rig.run_until(12_000);
    assert!(rig.asked_engines().contains(&"say Are you still there?".to_owned()));
}

#[test]
fn its_instructions_follow_what_tools_have_set() {
    use trunkline_api::words::ToolAction;
    use trunkline_call::ToolOutcome;
    let spec = realtime(
        1,
        json!({ "prompt": "Speak with {who}.", "variables": { "who": "them" },
        "tools": [{ "name": "look" }] }),
    );
    let mut rig = Rig::engines(spec, vec![vec![calls("look", "{}"), says("Hello Ann.")]]);
    let actions = vec![ToolAction::SetVariable("who".to_owned(), "Ann".to_owned())];
    let outcome = ToolOutcome { output: "Ann".to_owned(), is_error: false, actions, failure: None };
    rig.tools.insert("look".to_owned(), Some((100, outcome)));
    rig.caller_says(1500, 1000, "it is me");
    rig.run_until(7000);
    let told: Vec<&str> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::OpenRealtime { instructions, .. } | Command::Update { instructions, .. } => {
                Some(instructions.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, ["Speak with them.", "Speak with Ann."]);
}

#[test]
fn the_longest_call_ends_and_lets_go_of_it() {
    let mut rig = Rig::engines(realtime(1, json!({ "limits": { "max_call_s": 5 } })), vec![vec![]]);
    rig.run_to_end();
    assert_eq!(rig.asked_engines().last().unwrap(), "close 1");
    assert_eq!(rig.call.record().failure, Some(trunkline_api::Failure::CallTooLong));
}

#[test]
fn a_call_that_ends_before_it_is_open_lets_go_of_it() {
    for at in [10, 99, 100, 101, 250, 2600, 3150, 3300, 3500] {
        let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![says("We are open.")]]);
        rig.caller_says(1500, 1000, "are you open");
        rig.caller_hangs_up(at);
        rig.run_to_end();
        let closed = rig.asked_engines().iter().filter(|asked| *asked == "close 1").count();
        assert_eq!(closed, 1, "hung up at {at}");
    }
}

#[test]
fn equal_inputs_make_equal_commands() {
    let run = || {
        let mut rig = Rig::engines(realtime(2, json!({})), vec![vec![says("Yes.")], vec![says("No.")]]);
        rig.caller_says(1500, 1000, "are you open");
        rig.caller_says(6000, 1000, "really");
        rig.run_until(14_000);
        (rig.asked_engines(), serde_json::to_string(&rig.events).unwrap())
    };
    assert_eq!(run(), run());
}

#[test]
fn push_to_talk_begins_and_commits_by_the_key() {
    let mut rig = Rig::engines(realtime(1, json!({ "turn": { "push_to_talk": "*" } })), vec![vec![says("Fine.")]]);
    rig.caller_presses(1400, '*');
    rig.caller_says(1500, 1000, "are you open");
    rig.caller_presses(2700, '*');
    rig.run_until(6000);
    assert_eq!((rig.asked_at("begin 1"), rig.asked_at("commit 1")), (1400, 2700));
    assert_eq!(*rig.said().last().unwrap(), "Fine.");
}
