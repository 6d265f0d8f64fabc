//! A far end has us dial somebody who takes its place: the leg goes on with them once they have answered, and with who was
//! there, or nobody, when they do not.

use trunkline_leg::Direction;
use trunkline_sip::{ReferAnswer, Referred, ReferredHandle};

use super::*;
use crate::active::LegNews;

const NEXT: CallKey = CallKey(1000);
const THEIRS: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 41000 RTP/AVP 0\r\n";

/// A call over a trunk whose far end may have numbers in Berlin dialled, two calls over it at once.
fn up(plane: &MediaPlane) -> (Rig, Arc<FakeExchange>, Id) {
    let trunk = json!({
        "name": "rig", "peers": ["127.0.0.1"], "codecs": ["PCMU"], "max_calls": 2,
        "server": { "hosts": ["192.0.2.1"] },
    });
    let route = json!({
        "name": "home", "destinations": ["+4930*"], "trunks": [Id::mint(Prefix::Trunk, 1, [1; 10])], "uses": ["refer"],
    });
    let store = Arc::new(SlowStore::default());
    let shared =
        shared_with(Arc::clone(&store) as _, room(MOST), silent_agent(), trunk, json!({ "name": "rig" }), Some(route));
    let exchange = Arc::new(FakeExchange::default());
    shared.outbound.connect(Arc::clone(&exchange) as _, plane.clone());
    let mut rig = Rig::of(plane, store, shared);
    let key = rig.call();
    rig.store.write(&name(key), true);
    rig.settle();
    let call = rig.begun[&name(key)].id.clone();
    (rig, exchange, call)
}

fn refers(rig: &mut Rig, to: &str) -> ReferAnswer {
    let (handle, answer) = ReferredHandle::pair();
    let (to, replaces) = (to.to_owned(), Some("a;to-tag=1;from-tag=2".to_owned()));
    let by = Some("<sip:caller@pbx.example>".to_owned());
    let referred = Referred { call: CallKey(0), to, is_near: true, replaces, by, handle };
    rig.intake.event(SipEvent::Referred(Box::new(referred)));
    answer
}

fn rings(rig: &mut Rig) {
    rig.intake.leaving(NEXT, OutgoingEvent::Ringing { fork: 0, status: 180, sdp: None });
}

fn refuses(rig: &mut Rig) {
    let busy = Refused { status: 486, is_theirs: true, ..Refused::default() };
    rig.intake.leaving(NEXT, OutgoingEvent::Refused(busy));
}

fn answers(rig: &mut Rig, sdp: &str) -> Arc<FakeLine> {
    let line = FakeLine::new("next", &rig.store);
    rig.intake.followed(NEXT, Arc::clone(&line) as _, sdp);
    line
}

/// What the worker was told.
fn news(rig: &Rig) -> Vec<String> {
    let told = |order| match order {
        Order::MediaChanged(_, media) => media.direction.name().to_owned(),
        Order::DialogEnded(_, cause) => format!("{cause:?}"),
        Order::Leg(_, LegId::FIRST, LegNews::Followed(Ok(follower))) => {
            format!("{} at {}", follower.placed.user, follower.media.remote)
        }
        Order::Leg(_, LegId::FIRST, LegNews::Followed(Err(status))) => format!("nobody, {status}"),
        _ => "another".to_owned(),
    };
    rig.orders.try_iter().map(told).collect()
}

#[test]
fn a_leg_goes_on_with_whom_its_far_end_had_dialled() {
    let plane = plane(8);
    let (mut rig, exchange, call) = up(&plane);
    let mut answer = refers(&mut rig, "sip:+4930555@127.0.0.1");
    assert_eq!((answer.status(), answer.news()), (Some(202), Some(100)));
    {
        let dialled = exchange.dialled.lock().unwrap();
        let port = |sdp: &str| {
            let line = sdp.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap().to_owned();
            line.split(' ').next().unwrap().to_owned()
        };
        let own = rig.lines[0].answer.lock().unwrap().clone().unwrap();
        assert_eq!(port(&dialled[0].offer), port(&own), "it is the leg's own sound");
        let replaces = ("Replaces".to_owned(), "a;to-tag=1;from-tag=2".to_owned());
        assert!(dialled[0].headers.contains(&replaces) && dialled[0].max_forwards == 69, "{:?}", dialled[0].headers);
        assert!(!dialled[0].headers.iter().any(|(name, _)| name == "Referred-By"), "the trunk is none of the house");
    }
    rings(&mut rig);
    assert_eq!((answer.news(), news(&rig)), (Some(180), vec![]));
    let next = answers(&mut rig, THEIRS);
    assert_eq!(answer.news(), Some(200));
    // The placed call lives with the order, as it would with the call.
    let orders: Vec<Order> = rig.orders.try_iter().collect();
    let [Order::Leg(of, LegId::FIRST, LegNews::Followed(Ok(follower)))] = orders.as_slice() else { panic!() };
    assert_eq!((of, follower.media.remote), (&call, "127.0.0.9:41000".parse().unwrap()));
    // Who is gone is gone, and who is there counts.
    rig.intake.ended(CallKey(0), EndCause::RemoteHangUp);
    assert_eq!(news(&rig), Vec::<String>::new());
    assert_eq!(rig.shared.outbound.whose(NEXT).map(|whose| whose.leg), Some(LegId::FIRST));
    rig.intake.ended(NEXT, EndCause::RemoteHangUp);
    assert_eq!(news(&rig), ["RemoteHangUp"]);
    assert_eq!(next.told.lock().unwrap()[..], []);
    drop(orders);
    assert!(rig.shared.outbound.whose(NEXT).is_none(), "its place is free");
}

#[test]
fn only_what_a_route_allows_for_it_is_dialled_and_it_counts_as_a_call() {
    let plane = plane(8);
    let (mut rig, exchange, _) = up(&plane);
    for (to, status) in [("sip:+49900123@127.0.0.1", 403), ("sip:bob@127.0.0.1", 403), ("sip:127.0.0.1", 403)] {
        let mut answer = refers(&mut rig, to);
        assert_eq!(answer.status(), Some(status), "{to}");
        assert_eq!(news(&rig), [format!("nobody, {status}")], "{to}");
    }
    // The call itself and the first fill the trunk.
    let mut first = refers(&mut rig, "sip:+4930555@127.0.0.1");
    assert_eq!(first.status(), Some(202));
    let mut second = refers(&mut rig, "sip:+4930556@127.0.0.1");
    assert_eq!(second.status(), Some(503));
    assert_eq!(exchange.dialled.lock().unwrap().len(), 1);
}

#[test]
fn nobody_who_takes_its_place_leaves_the_far_end_there() {
    let plane = plane(8);
    for unusable in [false, true] {
        let (mut rig, _exchange, _) = up(&plane);
        let mut answer = refers(&mut rig, "sip:+4930555@127.0.0.1");
        assert_eq!(answer.status(), Some(202));
        if unusable {
            let line = answers(&mut rig, NOT_TAKEN);
            assert_eq!(line.told.lock().unwrap()[..], [Told::Bye]);
        } else {
            refuses(&mut rig);
        }
        let status = if unusable { 488 } else { 486 };
        assert_eq!((answer.news(), news(&rig)), (Some(status), vec![format!("nobody, {status}")]));
        assert!(rig.shared.outbound.whose(NEXT).is_none());
        rig.intake.ended(CallKey(0), EndCause::RemoteHangUp);
        assert_eq!(news(&rig), ["RemoteHangUp"]);
    }
}

#[test]
fn who_hangs_up_behind_its_wish_leaves_a_leg_that_waits() {
    let plane = plane(8);
    for comes in [true, false] {
        let (mut rig, _exchange, _) = up(&plane);
        let mut answer = refers(&mut rig, "sip:+4930555@127.0.0.1");
        assert_eq!(answer.status(), Some(202));
        rig.intake.ended(CallKey(0), EndCause::RemoteHangUp);
        assert_eq!(news(&rig), [Direction::Inactive.name()], "it is on hold");
        if comes {
            answers(&mut rig, THEIRS);
            assert_eq!(news(&rig), ["+4930555 at 127.0.0.9:41000"]);
        } else {
            refuses(&mut rig);
            assert_eq!(news(&rig), ["nobody, 486", "RemoteHangUp"]);
        }
    }
}

#[test]
fn a_call_that_is_over_has_nobody_dialled_and_nobody_wait() {
    let plane = plane(8);
    let (mut rig, exchange, call) = up(&plane);
    let mut answer = refers(&mut rig, "sip:+4930555@127.0.0.1");
    assert_eq!(answer.status(), Some(202));
    rig.shared.directory.ended(&call);
    rig.intake.look_after();
    assert_eq!((answer.news(), exchange.cancelled.lock().unwrap().as_slice()), (Some(487), &[NEXT][..]));
    let late = answers(&mut rig, THEIRS);
    assert_eq!(late.told.lock().unwrap()[..], [Told::Bye]);
    let mut answer = refers(&mut rig, "sip:+4930555@127.0.0.1");
    assert_eq!(answer.status(), Some(481));
}
