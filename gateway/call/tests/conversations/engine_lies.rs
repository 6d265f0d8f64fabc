//! Engines that say things twice, late, out of order or of nothing that was asked: none of it is heard or remembered.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::words::FinishReason;
use trunkline_call::{Input, RealtimeEvent};

use crate::rig::Rig;
use crate::rig::engines::{Say, realtime, says};

fn asked(script: Vec<(u64, Say)>) -> Rig {
    let mut rig = Rig::engines(realtime(1, json!({})), vec![vec![script, says("Fine.")]]);
    rig.caller_says(1500, 1000, "are you open");
    rig.caller_says(9000, 1000, "good");
    rig.run_until(13_000);
    assert_eq!((rig.failures(), rig.said().last()), (vec![], Some(&"Fine.")), "{:?}", rig.asked_engines());
    rig
}

fn with(lie: fn(u32) -> RealtimeEvent) -> Rig {
    let mut script = says("Yes.");
    script.push((50, Say::Lies(lie)));
    asked(script)
}

#[test]
fn sound_of_an_item_that_nobody_asked_for_is_not_played() {
    let rig = with(|_| RealtimeEvent::Item { response: 77, item: 700 });
    let asked = rig.asked_engines();
    assert!(asked.contains(&"truncate 700 at 0".to_owned()) && !asked.contains(&"play 700".to_owned()));
}

#[test]
fn sound_after_the_end_of_its_response_is_not_played() {
    let rig = with(|response| RealtimeEvent::Item { response, item: 700 });
    assert!(!rig.asked_engines().contains(&"play 700".to_owned()));
}

#[test]
fn an_end_that_comes_twice_is_one() {
    let rig = with(|response| RealtimeEvent::Done { response, reason: FinishReason::Stop });
    assert_eq!(rig.all(EventType::TurnStarted).len(), 2);
}

#[test]
fn an_item_that_begins_twice_is_played_once() {
    let mut script = says("Yes.");
    script.insert(1, (0, Say::Item));
    // The same number again.
    script[1] = (0, Say::Lies(|response| RealtimeEvent::Item { response, item: 2 }));
    let rig = asked(script);
    assert_eq!(rig.asked_engines().iter().filter(|asked| *asked == "play 2").count(), 1);
}

#[test]
fn words_before_their_sound_are_kept_for_it() {
    let script = vec![
        (200, Say::Lies(|response| RealtimeEvent::Text { response, item: 2, text: "Yes.".to_owned(), until_ms: None })),
        (100, Say::Item),
        (0, Say::Sound(200)),
        (0, Say::Complete),
        (0, Say::Done),
    ];
    let rig = asked(script);
    assert_eq!(rig.all(EventType::PlaybackFinished)[1]["text"], "Yes.");
}

#[test]
fn words_after_all_of_the_sound_was_heard_are_remembered() {
    let script = vec![
        (200, Say::Item),
        (0, Say::Sound(200)),
        (0, Say::Complete),
        (0, Say::Done),
        (900, Say::Lies(|response| RealtimeEvent::Text { response, item: 2, text: "Yes.".to_owned(), until_ms: None })),
    ];
    let mut rig = asked(script);
    rig.engines.list.push(rig.engines.list[0].clone());
    assert_eq!(rig.all(EventType::PlaybackFinished)[1]["text"], "");
    rig.caller_hangs_up(13_500);
    rig.run_to_end();
}

#[test]
fn a_call_of_a_tool_behind_the_end_is_not_carried_out() {
    let rig = with(|response| RealtimeEvent::ToolCall {
        response,
        call: trunkline_api::words::ToolCall {
            id: "c".to_owned(),
            name: "hang_up".to_owned(),
            arguments: "{}".to_owned(),
        },
    });
    assert_eq!(rig.all(EventType::ToolCalled), Vec::<&serde_json::Value>::new());
}

#[test]
fn words_of_an_input_that_there_was_not_are_nobodys() {
    let rig = with(|_| RealtimeEvent::Heard { input: 99, text: "buy ten".to_owned(), is_final: true });
    assert_eq!(rig.all(EventType::TranscriptFinal).len(), 2);
}

#[test]
fn what_a_closed_session_says_is_of_no_interest() {
    let mut rig = Rig::engines(realtime(2, json!({})), vec![vec![], vec![says("Yes.")]]);
    rig.tell(700, Input::Realtime { session: 1, event: RealtimeEvent::Closed });
    for event in
        [RealtimeEvent::Opened { says: true }, RealtimeEvent::Item { response: 1, item: 9 }, RealtimeEvent::Closed]
    {
        rig.tell(800, Input::Realtime { session: 1, event });
    }
    rig.caller_says(1500, 1000, "are you open");
    rig.run_until(6000);
    assert_eq!(rig.said(), ["Hello.", "Yes."]);
    assert_eq!(rig.failures().len(), 1);
}
