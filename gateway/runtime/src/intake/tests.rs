//! Openings under every order of events: a caller who gives up before the disk has spoken, a disk that refuses, a
//! gateway that is full.

mod holds;
mod proofs;

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};
use trunkline_sip::{OutgoingEvent, Refused};

use super::*;
use crate::ambience::Beds;
use crate::capacity::Amounts;
use crate::offer::Offer;
use crate::outbound::{self, DialOrder, DialRefused};
use crate::rig::{
    FakeExchange, FakeLine, SlowStore, Told, invite, plane, shared_over, shared_with, silent_agent, until,
};

/// Calls the gateway takes in these tests.
const MOST: u32 = 6;

struct Rig {
    intake: Intake,
    store: Arc<SlowStore>,
    shared: Arc<Shared>,
    orders: Receiver<Order>,
    now: Instant,
    lines: Vec<Arc<FakeLine>>,
    /// Conversations that began, by who calls.
    begun: BTreeMap<String, Box<NewCall>>,
    /// Everybody whose conversation ever began.
    answered: Vec<String>,
}

impl Rig {
    fn new(plane: &MediaPlane, capacity: Amounts) -> Self {
        Self::over(plane, capacity, json!({ "name": "rig", "peers": ["127.0.0.1"], "codecs": ["PCMU"] }))
    }

    /// With this trunk.
    fn over(plane: &MediaPlane, capacity: Amounts, trunk: Value) -> Self {
        let store = Arc::new(SlowStore::default());
        let shared = shared_over(Arc::clone(&store) as _, capacity, silent_agent(), trunk);
        Self::of(plane, store, shared)
    }

    fn of(plane: &MediaPlane, store: Arc<SlowStore>, shared: Arc<Shared>) -> Self {
        let (worker, orders) = Worker::new(plane.signal(0));
        let intake = Intake::new(Arc::clone(&shared), plane.clone(), vec![worker], Arc::default());
        Self {
            intake,
            store,
            shared,
            orders,
            now: Instant::now(),
            lines: Vec::new(),
            begun: BTreeMap::new(),
            answered: Vec::new(),
        }
    }

    fn call(&mut self) -> usize {
        let key = self.lines.len();
        let line = FakeLine::new(&name(key), &self.store);
        self.intake.invite(invite(key as u64, &line));
        self.lines.push(line);
        key
    }

    fn settle(&mut self) -> Duration {
        let patience = self.intake.settle(self.now, Waker::noop());
        for order in self.orders.try_iter() {
            if let Order::Begin(new) = order {
                self.answered.push(new.setup.from.clone());
                self.begun.insert(new.setup.from.clone(), new);
            }
        }
        patience
    }

    fn told(&self, key: usize) -> Vec<Told> {
        self.lines[key].told.lock().unwrap().clone()
    }

    /// How often the record of a call that was durable has been closed.
    fn closed(&self, key: usize) -> Option<u32> {
        self.store.durable.lock().unwrap().get(&name(key)).copied()
    }

    fn gives_up(&mut self, key: usize) {
        self.lines[key].gone.store(true, Ordering::Relaxed);
        self.intake.ended(CallKey(key as u64), EndCause::Cancelled);
    }
}

fn name(key: usize) -> String {
    format!("caller-{key}")
}

fn room(calls: u32) -> Amounts {
    let mut room = Amounts::all(u32::MAX);
    room[Pool::Calls] = calls;
    room
}

#[test]
fn openings_wait_for_the_disk_side_by_side_and_hold_up_nobody() {
    let plane = plane(16);
    let mut rig = Rig::new(&plane, room(MOST));
    let (first, second, third) = (rig.call(), rig.call(), rig.call());
    rig.settle();
    assert_eq!(rig.store.opening.lock().unwrap().len(), 3, "all are on their way at once");
    assert!((0..3).all(|key| rig.told(key).is_empty()), "nobody is answered yet");
    rig.store.write(&name(second), true);
    rig.settle();
    assert_eq!(rig.told(second), [Told::Accept]);
    // A BYE of the one that is up is carried out while the others still wait.
    rig.intake.ended(CallKey(second as u64), EndCause::RemoteHangUp);
    assert!(matches!(rig.orders.try_recv(), Ok(Order::DialogEnded(_, EndCause::RemoteHangUp))));
    rig.store.write(&name(first), true);
    rig.store.write(&name(third), false);
    rig.settle();
    assert_eq!(rig.told(first), [Told::Accept]);
    assert_eq!(rig.told(third), [Told::Reject(503, "store_unavailable".to_owned())]);
    assert_eq!(rig.shared.admission.calls(), 2);
}

#[test]
fn a_background_sound_that_the_disk_does_not_give_holds_up_no_call() {
    let folder = tempfile::tempdir().unwrap();
    // Whoever opens a pipe that nobody writes to waits.
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("stuck.wav")).status().unwrap();
    assert!(made.success());
    let plane = plane(16);
    let sound = json!({ "ambience": { "source": "stuck.wav" } });
    let trunk = json!({ "name": "rig", "peers": ["127.0.0.1"], "codecs": ["PCMU"], "sound": sound });
    let store = Arc::new(SlowStore::default());
    let mut shared = shared_over(Arc::clone(&store) as _, room(MOST), silent_agent(), trunk);
    Arc::get_mut(&mut shared).unwrap().beds = Beds::start(folder.path().to_owned()).unwrap();
    let mut rig = Rig::of(&plane, store, shared);
    let (first, second) = (rig.call(), rig.call());
    for key in [first, second] {
        rig.store.write(&name(key), true);
    }
    assert_eq!(rig.settle(), BED_LOOK, "it is waited for a moment");
    // Whoever gives up meanwhile waits for nothing.
    rig.gives_up(second);
    assert_eq!(rig.settle(), BED_LOOK);
    assert_eq!((rig.told(first), rig.closed(first)), (vec![], Some(0)));
    assert_eq!((rig.told(second), rig.closed(second)), (vec![], Some(1)));
    rig.now = Instant::now() + BED_WAIT;
    rig.settle();
    assert_eq!(rig.told(first), [Told::Accept]);
}

#[test]
fn the_end_of_a_call_is_not_lost_to_a_worker_that_is_swamped() {
    let plane = plane(16);
    let mut rig = Rig::new(&plane, room(MOST));
    let key = rig.call();
    rig.store.write(&name(key), true);
    rig.settle();
    while rig.intake.workers[0].give(Order::Drain).is_ok() {}
    rig.intake.ended(CallKey(key as u64), EndCause::RemoteHangUp);
    assert_eq!(rig.intake.settle(rig.now, Waker::noop()), AGAIN, "it is offered again soon");
    assert!(rig.orders.try_iter().all(|order| matches!(order, Order::Drain)));
    rig.intake.settle(rig.now, Waker::noop());
    assert!(matches!(rig.orders.try_recv(), Ok(Order::DialogEnded(_, EndCause::RemoteHangUp))));
    assert_eq!(rig.intake.settle(rig.now, Waker::noop()), IDLE);
}

#[test]
fn a_caller_who_gives_up_before_the_record_is_durable_is_not_answered_and_leaves_no_open_record() {
    let plane = plane(16);
    let mut rig = Rig::new(&plane, room(MOST));
    let (early, racing) = (rig.call(), rig.call());
    rig.gives_up(early);
    // Signalling knows, the event is still on its way.
    rig.lines[racing].gone.store(true, Ordering::Relaxed);
    rig.store.write(&name(early), true);
    rig.store.write(&name(racing), true);
    rig.settle();
    rig.intake.ended(CallKey(racing as u64), EndCause::Cancelled);
    rig.settle();
    for key in [early, racing] {
        assert_eq!((rig.told(key), rig.closed(key)), (vec![], Some(1)), "{key}");
    }
    assert!(rig.begun.is_empty());
    assert_eq!(rig.shared.admission.calls(), 0);
}

#[test]
fn a_call_rings_for_as_long_as_its_trunk_says_and_whoever_gives_up_meanwhile_leaves_nothing() {
    let plane = plane(16);
    for early_media in [false, true] {
        let ringing = json!({ "ms": 2000, "early_media": early_media });
        let trunk = json!({ "name": "rig", "peers": ["127.0.0.1"], "codecs": ["PCMU"], "ringing": ringing });
        let mut rig = Rig::over(&plane, room(MOST), trunk);
        let (patient, hasty) = (rig.call(), rig.call());
        assert_eq!(rig.settle(), IDLE);
        assert_eq!(rig.told(patient), [], "nothing before the record is durable");
        for key in [patient, hasty] {
            rig.store.write(&name(key), true);
        }
        assert_eq!(rig.settle(), IDLE, "never longer");
        let rings = Told::Ring { described: early_media };
        assert_eq!(rig.told(patient), std::slice::from_ref(&rings));
        assert_eq!(plane.legs(), if early_media { 2 } else { 0 });
        rig.now += Duration::from_millis(1500);
        assert_eq!(rig.settle(), Duration::from_millis(500));
        rig.gives_up(hasty);
        rig.settle();
        assert_eq!((rig.told(hasty), rig.closed(hasty)), (vec![rings.clone()], Some(1)));
        assert_eq!(rig.shared.admission.calls(), 1);
        rig.now += Duration::from_millis(500);
        assert_eq!(rig.settle(), IDLE);
        assert_eq!(rig.told(patient), [rings, Told::Accept]);
        assert_eq!(rig.answered, [name(patient)], "and its agent has begun");
        assert_eq!(rig.closed(patient), Some(0));
        rig.begun.clear();
        until("the legs to go", || plane.legs() == 0);
    }
}

#[test]
fn a_record_that_cannot_be_closed_at_once_is_offered_again_and_counts_until_then() {
    let plane = plane(16);
    let mut rig = Rig::new(&plane, room(MOST));
    let key = rig.call();
    rig.gives_up(key);
    rig.store.write(&name(key), true);
    rig.store.busy.store(true, Ordering::Relaxed);
    assert_eq!(rig.settle(), AGAIN);
    assert_eq!((rig.closed(key), rig.shared.admission.calls()), (Some(0), 1));
    rig.store.busy.store(false, Ordering::Relaxed);
    rig.settle();
    rig.settle();
    assert_eq!((rig.closed(key), rig.shared.admission.calls()), (Some(1), 0));
}

#[test]
fn a_call_is_refused_by_the_pool_that_is_short_before_it_is_answered() {
    let plane = plane(16);
    for (pool, reason) in [
        (Pool::Calls, "gateway_full"),
        (Pool::MediaPorts, "no_media_ports"),
        (Pool::Descriptors, "no_descriptors"),
        (Pool::Memory, "no_memory"),
    ] {
        let mut capacity = Amounts::all(1_000_000);
        capacity[pool] = match pool {
            Pool::Descriptors => 3,
            Pool::Memory => 500,
            _ => 1,
        };
        let mut rig = Rig::new(&plane, capacity);
        let (fits, beyond) = (rig.call(), rig.call());
        rig.store.write(&name(fits), true);
        rig.settle();
        assert_eq!(rig.told(fits), [Told::Accept], "{reason}");
        assert_eq!(rig.told(beyond), [Told::Reject(503, reason.to_owned())]);
        assert_eq!(rig.closed(beyond), None, "nothing was journalled for it");
        // Whoever comes after the end of the first finds room again.
        rig.begun.clear();
        let next = rig.call();
        rig.store.write(&name(next), true);
        rig.settle();
        assert_eq!(rig.told(next), [Told::Accept], "{reason}");
    }
}

#[test]
fn a_call_that_would_make_others_late_is_refused_by_name_and_told_when_to_come_again() {
    let plane = plane(16);
    let mut rig = Rig::new(&plane, room(MOST));
    rig.shared.load.pretend(2_000_000, 3);
    let beyond = rig.call();
    assert_eq!(rig.told(beyond), [Told::Reject(503, "gateway_overloaded".to_owned())]);
    let again = rig.lines[beyond].retry_after_s.lock().unwrap().unwrap();
    assert!((3..=120).contains(&again), "{again}");
    let refused = |failure| rig.shared.counters.failures().find(|(other, _)| *other == failure).unwrap().1;
    assert_eq!(refused(Failure::GatewayOverloaded), 1);
    assert_eq!((rig.closed(beyond), rig.shared.admission.calls()), (None, 0), "it has left nothing");
    // It is over.
    rig.shared.load.pretend(0, 3);
    let next = rig.call();
    rig.store.write(&name(next), true);
    rig.settle();
    assert_eq!(rig.told(next), [Told::Accept]);
}

const THEIRS: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

#[test]
fn a_caller_without_an_offer_gets_ours_and_has_sound_once_it_has_answered() {
    let plane = plane(16);
    let mut rig = Rig::new(&plane, room(MOST));
    for (answer, taken) in [(Some(THEIRS), true), (None, false), (Some("v=0\r\n"), false)] {
        let key = rig.lines.len();
        let line = FakeLine::new(&name(key), &rig.store);
        rig.intake.invite(Invite { offer: Offer::Sdp(None), ..invite(key as u64, &line) });
        rig.lines.push(line);
        rig.store.write(&name(key), true);
        rig.settle();
        assert_eq!(rig.told(key), [Told::Accept]);
        let ours = rig.lines[key].answer.lock().unwrap().clone().unwrap();
        assert!(ours.contains("RTP/AVP 0 13 101\r\n") && ours.contains("a=sendrecv\r\n"), "{ours}");
        rig.intake.event(SipEvent::Acked { call: CallKey(key as u64), answer: answer.map(str::to_owned) });
        match rig.orders.try_recv().unwrap() {
            Order::MediaChanged(_, media) => {
                assert!(taken);
                assert_eq!(media.remote, "127.0.0.1:40000".parse().unwrap());
                assert_eq!(media.direction, trunkline_leg::Direction::SendRecv);
            }
            Order::DialogEnded(_, EndCause::Failed) => {
                assert!(!taken);
                assert_eq!(rig.told(key), [Told::Accept, Told::Bye], "there is no sound to have");
            }
            _ => panic!("neither"),
        }
        // The ACK of a refresh, or of the same answer, changes nothing.
        rig.intake.event(SipEvent::Acked { call: CallKey(key as u64), answer: answer.map(str::to_owned) });
        assert!(rig.orders.try_recv().is_err());
    }
}

#[test]
fn keys_told_by_signalling_reach_the_call() {
    let plane = plane(16);
    let mut rig = Rig::new(&plane, room(MOST));
    let key = rig.call();
    rig.store.write(&name(key), true);
    rig.settle();
    let digit = trunkline_leg::DtmfDigit::from_char('#').unwrap();
    rig.intake.event(SipEvent::Digit { call: CallKey(key as u64), digit });
    assert!(matches!(rig.orders.try_recv(), Ok(Order::Pressed(_, pressed)) if pressed == digit));
    rig.intake.event(SipEvent::Digit { call: CallKey(99), digit });
    assert!(rig.orders.try_recv().is_err());
}

#[test]
fn an_offer_that_cannot_be_met_is_refused_with_what_is_wrong_with_it() {
    let plane = plane(16);
    let mut rig = Rig::new(&plane, room(MOST));
    for (media, warning) in [("m=audio 40000 RTP/AVP 18", 305), ("m=image 40000 udptl t38", 304)] {
        let key = rig.lines.len();
        let line = FakeLine::new(&name(key), &rig.store);
        let offer = THEIRS.replace("m=audio 40000 RTP/AVP 0", media);
        rig.intake.invite(Invite { offer: Offer::Sdp(Some(offer)), ..invite(key as u64, &line) });
        assert_eq!(*line.warning.lock().unwrap(), Some(warning));
        rig.lines.push(line);
    }
}

/// xorshift64*: the same events in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % n
    }
}

/// Whatever comes in whatever order: nobody is answered twice or without a durable record, nobody is left without a
/// final response but who gave up, every record that became durable is either a conversation's or closed once, and
/// everything that was taken is given back.
#[test]
fn every_order_of_events_ends_well() {
    let plane = plane(512);
    for seed in 1..=40_u64 {
        let mut random = Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut rig = Rig::new(&plane, room(MOST));
        let mut late: Vec<usize> = Vec::new();
        for _ in 0..150 {
            let known = rig.lines.len().max(1);
            match random.below(12) {
                0..=3 => {
                    rig.call();
                }
                4 | 5 if !rig.lines.is_empty() => {
                    let key = random.below(known);
                    // Signalling lets nobody cancel who has had a final response.
                    if rig.told(key).is_empty() && !rig.lines[key].gone.swap(true, Ordering::Relaxed) {
                        if random.below(2) == 0 {
                            rig.intake.ended(CallKey(key as u64), EndCause::Cancelled);
                        } else {
                            late.push(key);
                        }
                    }
                }
                6..=8 => {
                    let waiting: Vec<String> = rig.store.opening.lock().unwrap().keys().cloned().collect();
                    if !waiting.is_empty() {
                        rig.store.write(&waiting[random.below(waiting.len())], random.below(5) > 0);
                    }
                }
                9 => rig.store.busy.store(random.below(4) == 0, Ordering::Relaxed),
                10 => {
                    if !late.is_empty() {
                        let key = late.remove(random.below(late.len()));
                        rig.intake.ended(CallKey(key as u64), EndCause::Cancelled);
                    }
                    if let Some(from) = rig.begun.keys().next().cloned() {
                        rig.begun.remove(&from);
                    }
                }
                _ => {
                    rig.settle();
                }
            }
            assert!(rig.shared.admission.calls() <= MOST, "seed {seed}");
        }
        rig.store.busy.store(false, Ordering::Relaxed);
        let waiting: Vec<String> = rig.store.opening.lock().unwrap().keys().cloned().collect();
        waiting.iter().for_each(|from| rig.store.write(from, true));
        late.into_iter().for_each(|key| rig.intake.ended(CallKey(key as u64), EndCause::Cancelled));
        for _ in 0..3 {
            rig.settle();
        }

        for key in 0..rig.lines.len() {
            let (told, gone) = (rig.told(key), rig.lines[key].gone.load(Ordering::Relaxed));
            assert!(told.len() == 1 || (told.is_empty() && gone), "seed {seed}, {key}: {told:?}");
            let accepted = told.contains(&Told::Accept);
            assert_eq!(accepted, rig.answered.contains(&name(key)), "seed {seed}, {key}");
            if let Some(closed) = rig.closed(key) {
                assert_eq!(closed, u32::from(!accepted), "seed {seed}, {key}: {told:?}");
            }
        }
        assert_eq!(rig.shared.admission.calls() as usize, rig.begun.len(), "seed {seed}");
        rig.begun.clear();
        assert!(rig.shared.admission.pools().iter().all(|(_, _, used)| *used == 0), "seed {seed}");
        assert!(rig.intake.openings.is_empty() && rig.intake.unanswered.is_empty(), "seed {seed}");
    }
}

/// Who is shown as calling where an agent calls somebody.
const OURS: &str = "+49301";

/// A gateway that may dial, and what it dials over.
fn dialling(plane: &MediaPlane) -> (Rig, Arc<FakeExchange>) {
    let trunk = Id::mint(Prefix::Trunk, 1, [1; 10]);
    let route = json!({ "name": "home", "destinations": ["+4930*"], "trunks": [trunk] });
    let trunk = json!({
        "name": "carrier", "peers": ["127.0.0.1"], "codecs": ["PCMU"], "server": { "hosts": ["192.0.2.1"] },
    });
    let store = Arc::new(SlowStore::default());
    let of = json!({ "name": "rig" });
    let shared = shared_with(Arc::clone(&store) as _, room(MOST), silent_agent(), trunk, of, Some(route));
    let exchange = Arc::new(FakeExchange::default());
    shared.outbound.connect(Arc::clone(&exchange) as _, plane.clone());
    (Rig::of(plane, store, shared), exchange)
}

/// An operator has the agent call somebody; the disk writes that down, or not.
fn dial(rig: &Rig, works: bool) -> Result<Id, DialRefused> {
    let order = DialOrder {
        to: "+4930555".to_owned(),
        agent: "silent".to_owned(),
        trunk: None,
        from: Some(OURS.to_owned()),
        ring_ms: 20_000,
    };
    let shared = Arc::clone(&rig.shared);
    let dialling = std::thread::spawn(move || outbound::dial(&shared, false, &order));
    until("the record to be on its way", || rig.store.opening.lock().unwrap().contains_key(OURS));
    rig.store.write(OURS, works);
    dialling.join().unwrap()
}

fn written(rig: &Rig) -> Option<u32> {
    rig.store.durable.lock().unwrap().get(OURS).copied()
}

const TAKEN: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
const NOT_TAKEN: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n";

#[test]
fn a_call_that_is_placed_is_on_record_before_it_rings_and_begins_with_the_answer() {
    let plane = plane(16);
    let (mut rig, exchange) = dialling(&plane);
    let call = dial(&rig, true).unwrap();
    assert_eq!((exchange.dialled.lock().unwrap().len(), rig.shared.admission.calls()), (1, 1));
    let line = FakeLine::new("callee", &rig.store);
    rig.intake.left(CallKey(1000), Arc::clone(&line) as _, TAKEN);
    rig.settle();
    let begun = rig.begun.remove(OURS).unwrap();
    assert_eq!((&begun.id, begun.setup.direction), (&call, CallDirection::Outbound));
    assert_eq!((begun.setup.to.as_str(), begun.setup.codec.as_str()), ("+4930555", "PCMU"));
    // Its end by the far end reaches it.
    rig.intake.ended(CallKey(1000), EndCause::RemoteHangUp);
    assert!(matches!(rig.orders.try_recv(), Ok(Order::DialogEnded(ended, EndCause::RemoteHangUp)) if ended == call));
    assert!(rig.shared.outbound.whose(CallKey(1000)).is_some());
    drop(begun);
    assert!(rig.shared.outbound.whose(CallKey(1000)).is_none(), "its place is free");
    assert_eq!(line.told.lock().unwrap()[..], []);
}

#[test]
fn a_call_that_cannot_be_written_down_does_not_ring() {
    let plane = plane(16);
    let (rig, exchange) = dialling(&plane);
    let refused = dial(&rig, false);
    assert!(matches!(refused, Err(DialRefused::Failed { failure: Failure::StoreUnavailable, .. })), "{refused:?}");
    assert!(exchange.dialled.lock().unwrap().is_empty());
    assert_eq!(rig.shared.admission.calls(), 0);
}

#[test]
fn a_call_that_nobody_answers_or_with_sound_that_cannot_be_had_leaves_no_open_record() {
    let plane = plane(16);
    for unusable in [false, true] {
        let (mut rig, _exchange) = dialling(&plane);
        dial(&rig, true).unwrap();
        let line = FakeLine::new("callee", &rig.store);
        if unusable {
            rig.intake.left(CallKey(1000), Arc::clone(&line) as _, NOT_TAKEN);
            assert_eq!(line.told.lock().unwrap()[..], [Told::Bye]);
        } else {
            let busy = Refused { status: 486, is_theirs: true, ..Refused::default() };
            rig.intake.leaving(CallKey(1000), OutgoingEvent::Refused(busy));
        }
        rig.settle();
        assert_eq!((written(&rig), rig.shared.admission.calls()), (Some(1), 0));
        assert!(rig.begun.is_empty() && rig.shared.outbound.whose(CallKey(1000)).is_none());
        // Who answers now finds nobody.
        let late = FakeLine::new("callee", &rig.store);
        rig.intake.left(CallKey(1000), Arc::clone(&late) as _, TAKEN);
        assert_eq!(late.told.lock().unwrap()[..], [Told::Bye]);
    }
}
