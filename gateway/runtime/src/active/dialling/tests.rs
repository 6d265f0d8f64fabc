//! A call that dials others and passes its caller on, with its media: by the outbound routes alone, and nobody is left behind.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use serde_json::json;
use trunkline_api::object::{Kind, Object};
use trunkline_api::transfer::TransferMode;
use trunkline_api::usage::CallDirection;
use trunkline_api::{AgentSpec, Id, Prefix};
use trunkline_call::tape::Taped;
use trunkline_call::{CallSetup, Operator};
use trunkline_leg::{Anchor, Codec, MediaSpec};
use trunkline_media::{LegStart, MediaPlane};
use trunkline_sip::CallKey;

use super::*;
use crate::active::NewCall;
use crate::bell::Bell;
use crate::capacity::Amounts;
use crate::directory::CallInfo;
use crate::line::Answering;
use crate::recording::CallRecordings;
use crate::rig::{FakeExchange, FakeLine, SlowStore, Told, plane, shared_with, until};
use crate::session::Place;
use crate::session::pool::SidePool;
use crate::shared::Shared;

/// The leg that is dialled first.
const OTHER: LegId = LegId(2);

struct Call {
    active: Active,
    store: Arc<SlowStore>,
    shared: Arc<Shared>,
    exchange: Arc<FakeExchange>,
    /// The caller's signalling and sound, and where its sound is taken.
    caller: Arc<FakeLine>,
    phone: UdpSocket,
    to: SocketAddr,
    over: bool,
    _plane: MediaPlane,
    _pool: SidePool,
}

impl Call {
    fn new() -> Self {
        let agent = json!({
            "name": "operator",
            "pipeline": { "realtime": { "engines": [{ "provider": "scripted-engine", "settings": {
                "name": "operator", "replies": [{ "say": "Fine." }, { "say": "Fine." }, { "say": "Fine." }],
            } }] } },
            "transfer": { "hold_say": "", "mode": "bridge" },
        });
        let spec: AgentSpec = serde_json::from_value(agent.clone()).unwrap();
        let mint = |prefix| Id::mint(prefix, 1, [1; 10]);
        let trunk = json!({
            "name": "carrier", "peers": ["127.0.0.1"], "codecs": ["PCMU"], "server": { "hosts": ["192.0.2.1"] },
        });
        let of = json!({ "name": "rig", "outbound": { "max_calls": 1 } });
        let route = json!({ "name": "home", "destinations": ["+4930*"], "trunks": [mint(Prefix::Trunk)] });
        let store = Arc::new(SlowStore::default());
        store.durable.lock().unwrap().insert("caller".to_owned(), 0);
        let shared = shared_with(Arc::clone(&store) as _, Amounts::all(u32::MAX), agent, trunk, of, Some(route));
        let (plane, pool, began) = (plane(4), SidePool::start(1).unwrap(), std::time::Instant::now());
        let exchange = Arc::new(FakeExchange::default());
        shared.outbound.connect(Arc::clone(&exchange) as _, plane.clone());
        let phone = phone();
        let mut start = LegStart::new(MediaSpec::new(Codec::Pcmu, 0, phone.local_addr().unwrap()), began);
        start.media_timeout_ms = 0;
        let (leg, handle) = plane.attach(plane.allocate().unwrap(), start).unwrap();
        let to = handle.local_addr().unwrap();
        let setup = CallSetup {
            call: mint(Prefix::Call),
            tenant: mint(Prefix::Tenant),
            agent: mint(Prefix::Agent),
            agent_version: 1,
            spec: Arc::new(spec),
            tools: Vec::new(),
            others: Default::default(),
            trunk: None,
            gateway: None,
            direction: CallDirection::Inbound,
            from: "caller".to_owned(),
            to: String::new(),
            variables: Default::default(),
            anchor: Anchor { wall_us: 0, call_us: 0 },
            seed: 1,
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
        let counted = [&mint(Prefix::Trunk), &setup.tenant, &setup.agent];
        let ticket = shared.admission.admit(counted, Amounts::all(1), began).unwrap();
        let (id, serving, call) = (setup.call.clone(), shared.serving.load_full(), Taped::plain(setup.clone()));
        let recordings = CallRecordings::new(id.clone(), setup.spec.recording.clone(), None);
        let caller = FakeLine::new("caller", &store);
        let line = Arc::clone(&caller) as _;
        let place = Place { pool: pool.queue(), bell: Bell::new(leg.slot.mark(), plane.signal(0)), began };
        let (hops, placed) = (70, None);
        let new =
            NewCall { id, call, setup, leg, handle, recordings, line, serving, entry, ticket, began, hops, placed };
        let mut active = Active::new(new, Arc::clone(&shared), place);
        active.begin();
        Self { active, store, shared, exchange, caller, phone, to, over: false, _plane: plane, _pool: pool }
    }

    fn until(&mut self, what: &str, met: impl Fn(&Self) -> bool) {
        until(what, || {
            self.over |= self.active.step();
            met(self)
        });
    }

    fn count(&self, kind: &str) -> usize {
        let events = self.store.events.lock().unwrap();
        events.values().flatten().filter(|(_, event)| event == kind).count()
    }

    /// An operator passes the caller on.
    fn passes_on(&mut self, to: &str, mode: TransferMode) {
        self.active.order(Operator::Transfer { to: to.to_owned(), mode: Some(mode), briefing: String::new() });
    }

    fn dialled(&self) -> usize {
        self.exchange.dialled.lock().unwrap().len()
    }

    fn told(&self, line: &FakeLine) -> Vec<Told> {
        line.told.lock().unwrap().clone()
    }

    /// Somebody is dialled and answers, with sound at `sound`.
    fn answered(&mut self, sound: SocketAddr) -> Arc<FakeLine> {
        self.passes_on("+4930555", TransferMode::Bridge);
        self.until("somebody to be dialled", |call| call.dialled() > 0);
        self.active.leg_news(OTHER, LegNews::Ringing);
        let line = FakeLine::new("callee", &self.store);
        let media = Box::new(MediaSpec::new(Codec::Pcmu, 0, sound));
        self.active.leg_news(OTHER, LegNews::Answered { line: Answering::new(Arc::clone(&line) as _), media });
        self.until("the two to be joined", |call| call.count("transfer.ended") == 1);
        line
    }
}

fn phone() -> UdpSocket {
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.set_nonblocking(true).unwrap();
    phone
}

/// The next packet of a phone that speaks.
fn speech(sequence: &mut u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(*sequence) * 160).to_be_bytes());
    packet.extend(7u32.to_be_bytes());
    packet.extend((0..160).map(|at| if at % 8 < 4 { 0x10 } else { 0x90 }));
    *sequence += 1;
    packet
}

/// Packets that came to a phone in which somebody is heard.
fn heard(phone: &UdpSocket) -> usize {
    let (mut packet, mut sounding) = ([0; 2048], 0);
    while let Ok(length) = phone.recv(&mut packet) {
        sounding += usize::from(length > 12 && packet[12..length].iter().any(|byte| byte & 0x7f < 0x40));
    }
    sounding
}

#[test]
fn whoever_answers_hears_the_caller_and_the_end_of_one_is_the_others_goodbye() {
    let mut call = Call::new();
    let callee = phone();
    let line = call.answered(callee.local_addr().unwrap());
    let (mut sequence, mut sounding) = (1, 0);
    let (from, to) = (call.phone.try_clone().unwrap(), call.to);
    until("the callee to hear the caller", || {
        from.send_to(&speech(&mut sequence), to).unwrap();
        call.over |= call.active.step();
        sounding += heard(&callee);
        sounding > 10
    });
    call.active.dialog_ended(EndCause::RemoteHangUp);
    call.until("the end", |call| call.over);
    assert_eq!(call.told(&line), [Told::Bye], "nobody is left alone");
    assert_eq!(call.told(&call.caller), [], "who has gone gets no goodbye");
}

#[test]
fn who_was_muted_in_a_conference_is_heard_by_whom_they_are_connected_with_next() {
    let mut call = Call::new();
    call.active.order(Operator::Join { room: "monday".to_owned() });
    call.active.order(Operator::Mute { on: true });
    let rooms = call.shared.conferences.all();
    assert_eq!((rooms[0].room.as_str(), rooms[0].members[0].muted), ("monday", true));
    call.active.order(Operator::Leave);
    assert_eq!(call.shared.conferences.all(), []);
    let callee = phone();
    call.answered(callee.local_addr().unwrap());
    let (mut sequence, mut sounding) = (1, 0);
    let (from, to) = (call.phone.try_clone().unwrap(), call.to);
    until("the callee to hear the caller", || {
        from.send_to(&speech(&mut sequence), to).unwrap();
        call.over |= call.active.step();
        sounding += heard(&callee);
        sounding > 10
    });
}

#[test]
fn sound_of_who_answers_from_behind_nat_is_taken_from_where_it_is_signalled() {
    let mut call = Call::new();
    let callee = phone();
    // What the far end says of itself cannot be reached.
    call.answered("10.11.12.13:4000".parse().unwrap());
    let offer = call.exchange.dialled.lock().unwrap()[0].offer.clone();
    let port =
        offer.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap().split(' ').next().unwrap().to_owned();
    let (mut sequence, mut spoken, mut sounding) = (1, 1, 0);
    let (from, to) = (call.phone.try_clone().unwrap(), call.to);
    until("the callee to hear the caller", || {
        callee.send_to(&speech(&mut spoken), format!("127.0.0.1:{port}")).unwrap();
        from.send_to(&speech(&mut sequence), to).unwrap();
        call.over |= call.active.step();
        sounding += heard(&callee);
        sounding > 10
    });
}

#[test]
fn who_still_rings_is_let_go_of_when_the_caller_is_gone_and_the_place_is_free() {
    let mut call = Call::new();
    call.passes_on("+4930555", TransferMode::Bridge);
    call.until("somebody to be dialled", |call| call.dialled() == 1);
    call.active.leg_news(OTHER, LegNews::Ringing);
    call.active.dialog_ended(EndCause::RemoteHangUp);
    call.until("the end", |call| call.over);
    assert!(call.exchange.cancelled.lock().unwrap().contains(&CallKey(1000)));
    let late = FakeLine::new("callee", &call.store);
    let media = Box::new(MediaSpec::new(Codec::Pcmu, 0, "127.0.0.1:9".parse().unwrap()));
    call.active.leg_news(OTHER, LegNews::Answered { line: Answering::new(Arc::clone(&late) as _), media });
    assert_eq!(call.told(&late), [Told::Bye], "who answers too late is hung up");
    let Call { active, shared, .. } = call;
    drop(active);
    assert!(shared.outbound.whose(CallKey(1000)).is_none());
}

#[test]
fn whom_no_route_names_is_neither_dialled_nor_are_others_asked_to() {
    let mut call = Call::new();
    for (number, mode) in [TransferMode::Bridge, TransferMode::Blind].into_iter().enumerate() {
        call.passes_on("+49900123", mode);
        call.until("the transfer to end", |call| call.count("transfer.ended") == number + 1);
    }
    assert_eq!(call.dialled(), 0);
    assert_eq!(call.told(&call.caller), [], "the caller goes on with the agent");
    assert!(!call.over);
}

#[test]
fn who_is_busy_leaves_the_caller_with_the_agent_and_another_may_be_dialled() {
    let mut call = Call::new();
    call.passes_on("+4930555", TransferMode::Bridge);
    call.until("somebody to be dialled", |call| call.dialled() == 1);
    call.active.leg_news(OTHER, LegNews::Refused { cause: RefusalCause::Busy, status: Some(486) });
    call.until("the transfer to end", |call| call.count("transfer.ended") == 1);
    assert!(!call.over && call.told(&call.caller).is_empty());
    call.passes_on("+4930556", TransferMode::Bridge);
    // The tenant may have one call out at once.
    call.until("another to be dialled", |call| call.dialled() == 2);
}

#[test]
fn the_callers_own_side_is_asked_to_dial_what_a_route_names_and_the_call_ends_once_it_has() {
    let mut call = Call::new();
    call.passes_on("+4930555", TransferMode::Blind);
    call.until("the caller to be asked", |call| !call.told(&call.caller).is_empty());
    assert_eq!(call.told(&call.caller), [Told::Refer("sip:+4930555@pbx.example:5070".to_owned())]);
    assert_eq!(call.dialled(), 0, "nothing leaves from here");
    call.active.leg_news(LegId::FIRST, LegNews::Referral(100));
    call.active.leg_news(LegId::FIRST, LegNews::Referral(180));
    call.active.step();
    assert_eq!(call.count("transfer.ended"), 0);
    call.active.leg_news(LegId::FIRST, LegNews::Referral(200));
    call.until("the end", |call| call.over);
    assert_eq!(call.told(&call.caller)[1..], [Told::Bye]);
    assert_eq!(call.count("transfer.ended"), 1);
}

#[test]
fn a_callers_own_side_is_asked_to_dial_numbers_as_its_own_trunk_writes_them() {
    let mut call = Call::new();
    let (mine, theirs) = (Id::mint(Prefix::Trunk, 1, [1; 10]), Id::mint(Prefix::Trunk, 2, [2; 10]));
    let tenant = Id::mint(Prefix::Tenant, 1, [1; 10]);
    let object = |kind, id, body| Object { kind, id, tenant: tenant.clone(), version: 1, sha256: String::new(), body };
    let trunk =
        |numbering| json!({ "name": "t", "peers": [], "server": { "hosts": ["192.0.2.1"] }, "numbering": numbering });
    let objects = [
        object(Kind::Tenant, tenant.clone(), json!({ "name": "rig" })),
        object(Kind::Trunk, mine.clone(), trunk(json!({}))),
        object(Kind::Trunk, theirs.clone(), trunk(json!({ "country": "49", "send": "dialled" }))),
        object(
            Kind::OutboundRoute,
            Id::mint(Prefix::OutboundRoute, 1, [1; 10]),
            json!({ "name": "home", "destinations": ["+4930*"], "trunks": [mine] }),
        ),
    ];
    let (serving, problems) = crate::serving::Serving::build(&objects);
    assert_eq!(problems, Vec::<String>::new());
    call.shared.serving.store(Arc::new(serving));
    call.active.setup.trunk = Some(theirs);
    assert_eq!(call.active.refer(LegId::FIRST, "+4930555", None), Ok(()));
    assert_eq!(call.told(&call.caller), [Told::Refer("sip:030555@pbx.example:5070".to_owned())]);
}

#[test]
fn a_callers_side_is_referred_to_whom_we_dialled_and_to_nothing_else_that_it_calls_itself() {
    let mut call = Call::new();
    let callee = phone();
    let line = call.answered(callee.local_addr().unwrap());
    for (contact, is_asked) in [
        // Where the answer came from, the trunk's server, and the number that was dialled.
        ("sip:desk@127.0.0.1:5070", true),
        ("sip:127.0.0.1", true),
        ("sip:+4930555@192.0.2.1;user=phone", true),
        // Somebody else's cost.
        ("sip:+1900555000@127.0.0.1", false),
        ("sip:%2B1900555000@127.0.0.1", false),
        // Numbers to whoever leaves out what is too much.
        ("sip:+19005550001234567@127.0.0.1", false),
        ("sip:+0019005550000@127.0.0.1", false),
        ("sip:1900555000!@127.0.0.1", false),
        ("sip:900555000;phone-context=x@127.0.0.1", false),
        ("sip:desk@pbx.example", false),
        ("sip:+4930555@pbx.example", false),
        ("sip:desk@127.0.0.1@pbx.example", false),
        ("tel:+1900555000", false),
    ] {
        *line.contact.lock().unwrap() = contact.to_owned();
        call.caller.told.lock().unwrap().clear();
        let asked = call.active.refer(LegId::FIRST, "+4930555", Some(OTHER));
        let told = if is_asked { vec![Told::Refer(format!("{contact}?Replaces=call"))] } else { vec![] };
        assert_eq!(
            (asked, call.told(&call.caller)),
            (if is_asked { Ok(()) } else { Err(RefusalCause::Rejected) }, told)
        );
    }
    assert_eq!(call.active.refer(LegId::FIRST, "+4930555", Some(LegId(9))), Err(RefusalCause::Failed));
}
