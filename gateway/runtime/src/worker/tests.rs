//! Idle calls cost nothing: a worker looks at a call when it has something and when its own time has come.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};

use serde_json::json;
use trunkline_api::agent::Recording;
use trunkline_api::usage::{CallDirection, Units};
use trunkline_api::words::ProviderKind;
use trunkline_api::{AgentSpec, Prefix};
use trunkline_call::tape::Taped;
use trunkline_call::{CallSetup, Input};
use trunkline_leg::{Anchor, CallTime, Codec, Direction, LegId};
use trunkline_media::{LegStart, MediaPlane};
use trunkline_recording::{Disk, Recorder, RecorderConfig, Track};

use super::*;
use crate::capacity::Amounts;
use crate::directory::CallInfo;
use crate::line::Answering;
use crate::recording::CallRecordings;
use crate::rig::{FakeLine, Puppet, SlowStore, Told, plane, shared, silent_agent, until};
use crate::session::Output;
use crate::session::pool::SidePool;

const IDLE_CALLS: usize = 100;
/// Payload type of telephone events.
const EVENTS: u8 = 101;

/// A call of caller `n` whose sound goes to `phone`.
fn call(
    n: usize,
    shared: &Shared,
    plane: &MediaPlane,
    phone: &UdpSocket,
    line: Arc<FakeLine>,
    limits: u64,
) -> Box<NewCall> {
    let began = Instant::now();
    let mut agent = silent_agent();
    agent["limits"] = json!({ "caller_silence_ms": limits, "silence_prompts": 0 });
    let spec: AgentSpec = serde_json::from_value(agent).unwrap();
    let media = MediaSpec::new(trunkline_leg::Codec::Pcmu, 0, phone.local_addr().unwrap());
    let mut start = LegStart::new(media, began);
    start.media_timeout_ms = 0;
    let (leg, handle) = plane.attach(plane.allocate().unwrap(), start).unwrap();
    let mint = |prefix| Id::mint(prefix, n as u64 + 1, [n as u8; 10]);
    let setup = CallSetup {
        call: mint(Prefix::Call),
        tenant: mint(Prefix::Tenant),
        agent: mint(Prefix::Agent),
        agent_version: 1,
        spec: Arc::new(spec),
        tools: Vec::new(),
        others: std::collections::BTreeMap::new(),
        trunk: None,
        gateway: None,
        direction: CallDirection::Inbound,
        from: format!("caller-{n}"),
        to: String::new(),
        variables: Default::default(),
        anchor: Anchor { wall_us: 0, call_us: 0 },
        seed: n as u64,
        codec: "PCMU".to_owned(),
        sip_call_id: None,
    };
    let info = CallInfo {
        id: setup.call.clone(),
        tenant: setup.tenant.clone(),
        agent: setup.agent.clone(),
        agent_version: 1,
        from: setup.from.clone(),
        to: String::new(),
        trunk: mint(Prefix::Trunk),
        sip_call_id: String::new(),
        answered_us: 0,
        ended: false,
        recording: None,
        recording_state: None,
    };
    let entry = shared.directory.began(info, 0);
    let share = Amounts::all(1);
    let ticket = shared.admission.admit([&mint(Prefix::Trunk), &setup.tenant, &setup.agent], share, began).unwrap();
    let (id, serving, call) = (setup.call.clone(), shared.serving.load_full(), Taped::plain(setup.clone()));
    let recordings = CallRecordings::new(id.clone(), setup.spec.recording.clone(), None);
    Box::new(NewCall {
        id,
        call,
        setup,
        leg,
        handle,
        recordings,
        line,
        serving,
        entry,
        ticket,
        began,
        hops: 70,
        placed: None,
    })
}

#[test]
fn only_calls_that_have_something_are_looked_at() {
    let store = Arc::new(SlowStore::default());
    let shared = shared(Arc::clone(&store) as _, Amounts::all(u32::MAX), silent_agent());
    let plane = plane(IDLE_CALLS + 2);
    let pool = SidePool::start(1).unwrap();
    let (worker, thread) =
        Worker::start(0, plane.signal(0), plane.ready(0), Arc::clone(&shared), pool.queue()).unwrap();
    let (quiet, talking) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let long = 3_600_000;
    let line = |n: usize| {
        let from = format!("caller-{n}");
        store.durable.lock().unwrap().insert(from.clone(), 0);
        FakeLine::new(&from, &store)
    };
    for n in 0..IDLE_CALLS {
        assert!(worker.order(Order::Begin(call(n, &shared, &plane, &quiet, line(n), long))));
    }
    let talker = call(IDLE_CALLS, &shared, &plane, &talking, line(IDLE_CALLS), long);
    let to = talker.handle.local_addr().unwrap();
    assert!(worker.order(Order::Begin(talker)));
    let steps = || shared.counters.steps.load(Ordering::Relaxed);
    until("every call to begin", || steps() > IDLE_CALLS as u64);

    // 50 packets a second for one of them.
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let voice = std::thread::spawn(move || {
        let mut packet = [0xff_u8; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        let begun = Instant::now();
        for seq in 0_u32.. {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            packet[2..4].copy_from_slice(&(seq as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&(seq * 160).to_be_bytes());
            talking.send_to(&packet, to).unwrap();
            std::thread::sleep(
                (begun + Duration::from_millis(20) * (seq + 1)).saturating_duration_since(Instant::now()),
            );
        }
    });
    let before = steps();
    until("the talking call to be looked at", || steps() > before + 20);

    // Two seconds by media's own count, a tick of every leg in each four phases.
    let phases = || plane.worker_stats(0).phases;
    let (first_phase, first_step) = (phases(), steps());
    until("two seconds", || phases() > first_phase + 400);
    let (ticks, looks) = ((phases() - first_phase) / 4, steps() - first_step);
    assert!(looks >= ticks / 4, "the call that talks is looked at: {looks} looks in {ticks} ticks");
    // Packets that come late come several at once, and make more than one look a tick.
    let most = ticks * IDLE_CALLS as u64 / 10;
    assert!(looks <= most, "{IDLE_CALLS} idle calls are not: {looks} looks in {ticks} ticks");

    // A call's own deadline still comes: one that hangs up on a silent caller after a second.
    let hanging_up = line(IDLE_CALLS + 1);
    let short = call(IDLE_CALLS + 1, &shared, &plane, &quiet, Arc::clone(&hanging_up), 1000);
    assert!(worker.order(Order::Begin(short)));
    until("a silent caller to be hung up on", || hanging_up.told.lock().unwrap().contains(&Told::Bye));
    until("its record to be closed", || store.durable.lock().unwrap()[&format!("caller-{}", IDLE_CALLS + 1)] == 1);
    until("its share to come back", || shared.admission.calls() as usize == IDLE_CALLS + 1);

    stop.store(true, Ordering::Relaxed);
    voice.join().unwrap();
    assert!(worker.order(Order::Stop));
    thread.join().unwrap();
}

/// A disk that says only when it is let go that it makes no file.
#[derive(Debug, Default)]
struct HeldDisk {
    free: Mutex<bool>,
    let_go: Condvar,
}

impl Disk for HeldDisk {
    fn create(&self, _: &Path) -> io::Result<Box<dyn Track>> {
        drop(self.let_go.wait_while(self.free.lock().unwrap(), |free| !*free).unwrap());
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

#[test]
fn a_recording_that_ends_has_its_call_looked_at_though_nothing_else_happens() {
    let store = Arc::new(SlowStore::default());
    let mut shared = shared(Arc::clone(&store) as _, Amounts::all(u32::MAX), silent_agent());
    // Nor does a checkpoint.
    Arc::get_mut(&mut shared).unwrap().config.checkpoint_us = 3_600_000_000;
    let plane = plane(1);
    let pool = SidePool::start(1).unwrap();
    let (worker, thread) =
        Worker::start(0, plane.signal(0), plane.ready(0), Arc::clone(&shared), pool.queue()).unwrap();
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    store.durable.lock().unwrap().insert("caller-0".to_owned(), 0);
    let mut recorded = call(0, &shared, &plane, &phone, FakeLine::new("caller-0", &store), 3_600_000);

    let disk = Arc::new(HeldDisk::default());
    let recorder = Recorder::start(RecorderConfig::default(), Arc::clone(&disk) as _).unwrap();
    let policy = Recording { enabled: true, ..Recording::default() };
    recorded.recordings = CallRecordings::new(recorded.id.clone(), policy, None);
    let (tap, began) = recorded.recordings.begin_with_call(&recorder, &shared.config, 8000).unwrap().unwrap();
    recorded.handle.tap(tap).unwrap();
    recorded.call.handle(CallTime::ZERO, Input::Recording(began));
    let id = recorded.id.clone();
    assert!(worker.order(Order::Begin(recorded)));
    let told = |kind: &str| {
        shared.directory.timeline(&id).is_some_and(|(_, events)| events.iter().any(|event| event.kind == kind))
    };
    until("the call to begin", || told("recording.started"));
    // A fifth of a second by media's own count, in which whatever the call began with is over.
    let phases = || plane.worker_stats(0).phases;
    let begun = phases();
    until("the call to be quiet", || phases() > begun + 40);
    assert!(!told("recording.ended"));

    *disk.free.lock().unwrap() = true;
    disk.let_go.notify_all();
    until("the recording's end to be told", || told("recording.ended"));
    let state = shared.directory.timeline(&id).unwrap().0.recording_state.unwrap();
    assert_eq!(state.state, "stopped", "nobody ordered it, and operators see it");
    assert!(worker.order(Order::Stop));
    thread.join().unwrap();
}

#[test]
fn an_operators_keys_leave_as_events_and_hold_is_told() {
    let store = Arc::new(SlowStore::default());
    let shared = shared(Arc::clone(&store) as _, Amounts::all(u32::MAX), silent_agent());
    let (plane, pool) = (plane(1), SidePool::start(1).unwrap());
    let (worker, thread) =
        Worker::start(0, plane.signal(0), plane.ready(0), Arc::clone(&shared), pool.queue()).unwrap();
    store.durable.lock().unwrap().insert("caller-0".to_owned(), 0);
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let new = call(0, &shared, &plane, &phone, FakeLine::new("caller-0", &store), 3_600_000);
    let mut media = MediaSpec::new(trunkline_leg::Codec::Pcmu, 0, phone.local_addr().unwrap());
    media.dtmf_payload_type = Some(EVENTS);
    new.handle.update(media).unwrap();
    let id = new.id.clone();
    assert!(worker.order(Order::Begin(new)));
    let told = |kind: &str| {
        let (_, events) = shared.directory.timeline(&id).unwrap();
        events.iter().filter(|event| event.kind == kind).map(|event| event.data.clone()).collect::<Vec<_>>()
    };
    let operate = |order| assert!(worker.order(Order::Operator(id.clone(), order)));

    operate(Operator::SendDtmf { digits: "4#".to_owned() });
    let (mut packet, mut keys) = ([0; 1500], Vec::new());
    while keys != [4, 11] {
        let len = phone.recv(&mut packet).unwrap();
        // An event's first octet is the key (RFC 4733 2.3).
        if len > 12 && packet[1] & 0x7f == EVENTS && keys.last() != Some(&packet[12]) {
            keys.push(packet[12]);
        }
    }
    assert_eq!(told("dtmf.sent"), [json!({ "digits": "4#" })]);

    operate(Operator::Hold);
    until("hold", || told("leg.held").len() == 1);
    let told_to = |way| std::collections::BTreeMap::from([((id.clone(), LegId::FIRST), way)]);
    assert_eq!(shared.redirections.take(), told_to(Direction::SendOnly), "its far end is to be told");
    let mut music = 0;
    while music < 20 {
        let len = phone.recv(&mut packet).unwrap();
        music += usize::from(packet[1] & 0x7f == 0 && packet[12..len].iter().any(|code| code & 0x7f < 0x60));
    }
    operate(Operator::Resume);
    until("resume", || told("leg.resumed").len() == 1);
    assert_eq!(shared.redirections.take(), told_to(Direction::SendRecv));
    operate(Operator::HangUp);
    until("the record to be closed", || store.durable.lock().unwrap()["caller-0"] == 1);
    assert!(worker.order(Order::Stop));
    thread.join().unwrap();
}

/// Both calls of a worker, of which the first panics when it stores an event of that type.
fn one_panics(kind: &'static str, then: impl Fn(&Worker, &NewCallIds)) {
    let store = Arc::new(SlowStore::default());
    let shared = shared(Arc::clone(&store) as _, Amounts::all(u32::MAX), silent_agent());
    let plane = plane(2);
    let pool = SidePool::start(1).unwrap();
    let (worker, thread) =
        Worker::start(0, plane.signal(0), plane.ready(0), Arc::clone(&shared), pool.queue()).unwrap();
    let phones = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let lines = [0, 1].map(|n: usize| {
        let from = format!("caller-{n}");
        store.durable.lock().unwrap().insert(from.clone(), 0);
        FakeLine::new(&from, &store)
    });
    let calls = [0, 1].map(|n| call(n, &shared, &plane, &phones[n], Arc::clone(&lines[n]), 3_600_000));
    let ids = [0, 1].map(|n| calls[n].id.clone());
    let [fails, lives] = calls;
    assert!(worker.order(Order::Begin(lives)));
    // What it says by itself it has said then, and only the call that is to panic comes to the trap.
    let said = |id: &Id, kind| {
        store.events.lock().unwrap().get(id).is_some_and(|events| events.iter().any(|(_, said)| *said == kind))
    };
    let began = |id: &Id| ["call.answered", "sound.applied"].iter().all(|kind| said(id, *kind));
    until("the other call to begin", || began(&ids[1]));
    *store.trap.lock().unwrap() = Some(kind);
    assert!(worker.order(Order::Begin(fails)));
    then(&worker, &ids);
    until("the far end to be told", || lines[0].told.lock().unwrap().contains(&Told::Bye));
    until("its record to be closed", || store.durable.lock().unwrap()["caller-0"] == 1);
    until("its share to come back", || shared.admission.calls() == 1);
    let events = store.events.lock().unwrap()[&ids[0]].clone();
    assert_eq!(events.last().unwrap().1, "call.ended", "{events:?}");
    assert!(events.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{events:?}");
    assert!(lines[1].told.lock().unwrap().is_empty(), "the other call notices nothing");
    assert!(worker.order(Order::Operator(ids[1].clone(), Operator::HangUp)));
    until("the other call to be served still", || lines[1].told.lock().unwrap().contains(&Told::Bye));
    assert!(worker.order(Order::Stop));
    thread.join().unwrap();
}

type NewCallIds = [Id; 2];

#[test]
fn a_call_that_panics_in_a_step_or_an_order_ends_alone_and_in_order() {
    let operate = |order: Operator| {
        move |worker: &Worker, ids: &NewCallIds| {
            assert!(worker.order(Order::Operator(ids[0].clone(), order.clone())));
        }
    };
    // As it begins, in a step, in an order, and at its end.
    one_panics("call.answered", |_, _| {});
    one_panics("sound.applied", |_, _| {});
    one_panics("dtmf.sent", operate(Operator::SendDtmf { digits: "1".to_owned() }));
    one_panics("call.ended", operate(Operator::HangUp));
}

/// A call that is driven by the test, and panics in what `breaks` makes of it: it is hung up, its record closed and its
/// share given back.
fn ends_in_order(makes: impl FnOnce(&mut NewCall), breaks: impl FnOnce(&mut Calls, &Id, usize)) {
    let store = Arc::new(SlowStore::default());
    let shared = shared(Arc::clone(&store) as _, Amounts::all(u32::MAX), silent_agent());
    let (plane, pool) = (plane(1), SidePool::start(1).unwrap());
    store.durable.lock().unwrap().insert("caller-0".to_owned(), 0);
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = FakeLine::new("caller-0", &store);
    let mut new = call(0, &shared, &plane, &phone, Arc::clone(&line), 3_600_000);
    makes(&mut new);
    let (id, number) = (new.id.clone(), new.leg.slot.index());
    let mut calls = Calls::new(0, plane.ready(0), plane.signal(0), Arc::clone(&shared), pool.queue());
    calls.begin(*new);
    breaks(&mut calls, &id, number);
    until("the call to be gone", || {
        calls.look();
        calls.calls[number].is_none()
    });
    assert_eq!(*line.told.lock().unwrap(), [Told::Bye]);
    let closed = store.closed.lock().unwrap();
    assert_eq!((closed.len(), closed[0].failure), (1, Some(trunkline_api::Failure::Internal)));
    assert_eq!(shared.admission.calls(), 0);
}

#[test]
fn a_session_that_panics_where_its_call_is_stepped_ends_that_call_in_order() {
    for kind in [ProviderKind::Asr, ProviderKind::Llm, ProviderKind::Tool, ProviderKind::Redactor] {
        ends_in_order(
            |_| {},
            |calls, id, number| {
                let (puppet, fuse) = Puppet::fused();
                calls.calls[number].as_mut().unwrap().work(kind, "broken", false, puppet);
                fuse.store(true, Ordering::Relaxed);
                calls.with(id, |call| call.order(Operator::SendDtmf { digits: "1".to_owned() }));
            },
        );
    }
}

/// A log whose writer panics at its third line.
struct BrokenTape(u32);

impl trunkline_call::tape::Tape for BrokenTape {
    fn write(&mut self, _: &str) -> bool {
        self.0 += 1;
        assert!(self.0 < 3, "the test says so");
        true
    }
}

#[test]
fn a_capture_that_panics_ends_its_call_in_order() {
    let captured = |new: &mut NewCall| {
        new.call = Taped::captured(new.setup.clone(), "test", false, Box::new(BrokenTape(0)));
    };
    ends_in_order(captured, |_, _, _| {});
}

#[test]
fn a_call_that_panics_settles_what_its_sessions_have_used_wherever_they_run() {
    let store = Arc::new(SlowStore::default());
    let shared = shared(Arc::clone(&store) as _, Amounts::all(u32::MAX), silent_agent());
    let (plane, pool) = (plane(1), SidePool::start(1).unwrap());
    store.durable.lock().unwrap().insert("caller-0".to_owned(), 0);
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let new = call(0, &shared, &plane, &phone, FakeLine::new("caller-0", &store), 3_600_000);
    let (id, number) = (new.id.clone(), new.leg.slot.index());
    let mut calls = Calls::new(0, plane.ready(0), plane.signal(0), Arc::clone(&shared), pool.queue());
    calls.begin(*new);
    let used = |plugin_us| Units { plugin_us, ..Units::default() };
    let active = calls.calls[number].as_mut().unwrap();
    let (here, _says) = Puppet::new(used(7));
    active.work(ProviderKind::Llm, "here", false, here);
    let (elsewhere, says) = Puppet::new(used(30));
    active.work(ProviderKind::Tool, "elsewhere", true, elsewhere);
    active.work(ProviderKind::Asr, "broken", false, Puppet::broken());
    says.lock().unwrap().push(Output::Usage(used(5)));

    *store.trap.lock().unwrap() = Some("call.ended");
    calls.with(&id, |call| call.order(Operator::HangUp));
    until("the call to be gone", || {
        calls.look();
        calls.calls[number].is_none()
    });
    let record = store.closed.lock().unwrap().pop().unwrap();
    let of = |provider: &str| record.usage.iter().find(|usage| usage.provider == provider).map(|usage| usage.units);
    assert_eq!((of("here"), of("elsewhere"), of("broken")), (Some(used(7)), Some(used(35)), None));
    assert_eq!(record.failure, Some(trunkline_api::Failure::Internal));
    assert_eq!(shared.admission.calls(), 0);
}

#[test]
fn whoever_answers_to_a_call_that_is_gone_is_hung_up() {
    let store = Arc::new(SlowStore::default());
    let shared = shared(Arc::clone(&store) as _, Amounts::all(u32::MAX), silent_agent());
    let (plane, pool) = (plane(1), SidePool::start(1).unwrap());
    let (worker, thread) = Worker::start(0, plane.signal(0), plane.ready(0), shared, pool.queue()).unwrap();
    let line = FakeLine::new("callee", &store);
    let media = Box::new(MediaSpec::new(Codec::Pcmu, 0, "127.0.0.1:9".parse().unwrap()));
    let answered = LegNews::Answered { line: Answering::new(Arc::clone(&line) as _), media };
    assert!(worker.order(Order::Leg(Id::mint(Prefix::Call, 1, [9; 10]), LegId(2), answered)));
    until("the goodbye", || line.told.lock().unwrap()[..] == [Told::Bye]);
    assert!(worker.order(Order::Stop));
    thread.join().unwrap();
}
