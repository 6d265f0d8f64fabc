//! Hold and resume by offers of ours: what the far end takes is in force, what it refuses changes nothing, and of two wishes the
//! last counts.

use std::sync::atomic::Ordering::Relaxed;

use trunkline_leg::Direction;
use trunkline_sip::Reoffered;

use super::*;
use crate::active::LegNews;

/// A call that is up, and its name.
fn up(rig: &mut Rig) -> (usize, Id) {
    let key = rig.call();
    rig.store.write(&name(key), true);
    rig.settle();
    let call = rig.begun[&name(key)].id.clone();
    rig.lines[key].told.lock().unwrap().clear();
    (key, call)
}

fn wants(rig: &mut Rig, call: &Id, direction: Direction) -> Option<Duration> {
    rig.shared.redirections.want(call, LegId::FIRST, direction);
    rig.intake.turn(Instant::now())
}

/// What the worker was told: directions of media, and what the far end took or refused.
fn news(rig: &Rig) -> Vec<String> {
    let told = |order| match order {
        Order::MediaChanged(_, media) => Some(media.direction.name().to_owned()),
        Order::Leg(_, LegId::FIRST, LegNews::Redirected { direction, refused }) => {
            Some(format!("{} {}", refused.map_or("took".to_owned(), |status| status.to_string()), direction.name()))
        }
        _ => None,
    };
    rig.orders.try_iter().filter_map(told).collect()
}

fn answer(way: &str) -> Reoffered {
    let sdp = format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\na={way}\r\n"
    );
    Reoffered::Accepted { answer: Some(sdp) }
}

fn offered(way: &str) -> Told {
    Told::Reoffer(way.to_owned())
}

#[test]
fn a_far_end_is_put_on_hold_and_taken_back_and_its_media_follow() {
    let plane = plane(8);
    let mut rig = Rig::new(&plane, room(MOST));
    let (key, call) = up(&mut rig);
    wants(&mut rig, &call, Direction::SendOnly);
    assert_eq!(rig.told(key), [offered("sendonly")]);
    let version = |rig: &Rig| {
        let offer = rig.lines[key].answer.lock().unwrap().clone().unwrap();
        let origin = offer.lines().find_map(|line| line.strip_prefix("o=")).unwrap().to_owned();
        origin.split(' ').nth(2).unwrap().parse::<u64>().unwrap()
    };
    let first = version(&rig);
    // It is taken back before the far end has spoken: that is offered behind its answer.
    wants(&mut rig, &call, Direction::SendRecv);
    assert_eq!(rig.told(key).len(), 1, "one offer at a time");
    rig.intake.event(SipEvent::Reoffered { call: CallKey(key as u64), outcome: answer("recvonly") });
    assert_eq!(news(&rig), ["sendonly", "took sendonly"]);
    assert_eq!(rig.intake.turn(Instant::now()), None);
    assert_eq!(rig.told(key)[1..], [offered("sendrecv")]);
    assert_eq!(version(&rig), first + 1, "RFC 3264 8");
    // The far end is on hold of its own by now.
    rig.intake.event(SipEvent::Reoffered { call: CallKey(key as u64), outcome: answer("sendonly") });
    assert_eq!(news(&rig), ["recvonly", "took sendrecv"]);
    wants(&mut rig, &call, Direction::SendRecv);
    assert_eq!(rig.told(key).len(), 2, "it is so already");
}

#[test]
fn who_refuses_or_answers_with_nothing_of_use_keeps_the_session_and_can_change_it_itself() {
    let plane = plane(8);
    let mut rig = Rig::new(&plane, room(MOST));
    let (key, call) = up(&mut rig);
    let unusable = [
        (Reoffered::Refused { status: 488, again_ms: None }, "488 sendonly"),
        (Reoffered::Accepted { answer: None }, "488 sendonly"),
        (Reoffered::Accepted { answer: Some("v=0\r\n".to_owned()) }, "488 sendonly"),
        (Reoffered::Refused { status: 603, again_ms: None }, "603 sendonly"),
    ];
    for (number, (outcome, told)) in unusable.into_iter().enumerate() {
        wants(&mut rig, &call, Direction::SendOnly);
        assert_eq!(rig.told(key).len(), number + 1);
        rig.intake.event(SipEvent::Reoffered { call: CallKey(key as u64), outcome });
        assert_eq!(news(&rig), [told]);
        assert_eq!(rig.intake.turn(Instant::now()), None, "it is not offered again unasked");
        wants(&mut rig, &call, Direction::SendRecv);
        assert_eq!(rig.told(key).len(), number + 1, "what was not taken needs no taking back");
        let dialog = &rig.intake.dialogs[&CallKey(key as u64)];
        assert!(!dialog.sdp.is_offering(), "the far end may offer");
        assert_eq!(dialog.sdp.media().unwrap().direction, Direction::SendRecv);
    }
}

#[test]
fn two_offers_at_once_and_a_far_end_that_is_busy_have_it_offered_again_later() {
    let plane = plane(8);
    let mut rig = Rig::new(&plane, room(MOST));
    let (key, call) = up(&mut rig);
    rig.lines[key].changing.store(true, Relaxed);
    let soon = wants(&mut rig, &call, Direction::SendOnly).unwrap();
    assert!(soon < Duration::from_secs(1) && rig.told(key).is_empty());
    rig.lines[key].changing.store(false, Relaxed);
    assert_eq!(rig.intake.turn(Instant::now() + soon), None, "it is on its way");
    assert_eq!(rig.told(key), [offered("sendonly")]);
    rig.intake.event(SipEvent::Reoffered {
        call: CallKey(key as u64),
        outcome: Reoffered::Refused { status: 491, again_ms: Some(1900) },
    });
    assert!(news(&rig).is_empty(), "nothing came of it yet");
    let pause = rig.intake.turn(Instant::now()).unwrap();
    assert!(pause > Duration::from_millis(1000) && pause <= Duration::from_millis(1900), "{pause:?}");
    assert_eq!(rig.told(key).len(), 1);
    rig.intake.turn(Instant::now() + pause);
    assert_eq!(rig.told(key).len(), 2);
    rig.gives_up(key);
    rig.intake.event(SipEvent::Reoffered { call: CallKey(key as u64), outcome: answer("recvonly") });
    assert_eq!(rig.intake.turn(Instant::now()), None, "who is gone is told nothing more");
}
