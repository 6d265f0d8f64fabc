//! A whole call with an engine: sound goes up to it, its sound comes down, it uses a tool, and is cut at what was heard.

use std::net::UdpSocket;
use std::sync::Arc;

use serde_json::{Value, json};
use trunkline_api::usage::{CallDirection, EndReason};
use trunkline_api::{AgentSpec, Id, Prefix};
use trunkline_call::tape::Taped;
use trunkline_call::{CallSetup, Input, Operator, VoiceEdge};
use trunkline_leg::{Anchor, CallTime, Codec, MediaSpec, UpFrame};
use trunkline_media::{LegStart, MediaPlane};

use crate::active::{Active, NewCall};
use crate::bell::Bell;
use crate::capacity::Amounts;
use crate::directory::CallInfo;
use crate::engines::scripted::notes;
use crate::recording::CallRecordings;
use crate::rig::{FakeLine, SlowStore, plane, shared, until};
use crate::session::Place;
use crate::session::pool::SidePool;

fn agent(name: &str, more: Value) -> Value {
    let mut agent = json!({
        "name": "engines", "greeting": "Hi.", "prompt": "Be brief.",
        "pipeline": { "realtime": { "engines": [{ "provider": "scripted-engine", "settings": {
            "name": name, "heard": ["call me back", "stop it"], "replies": [
                { "tool": "request_callback", "arguments": { "number": "+4930123456" } },
                { "say": "Somebody will call you back tomorrow in the morning, or else in the afternoon." },
                { "say": "Fine." },
            ] } }] } },
        "tools": [{ "name": "request_callback" }],
    });
    for (key, value) in more.as_object().unwrap() {
        agent[key] = value.clone();
    }
    agent
}

struct Call {
    active: Active,
    store: Arc<SlowStore>,
    phone: UdpSocket,
    over: bool,
    frames: u64,
    _plane: MediaPlane,
    _pool: SidePool,
}

impl Call {
    fn new(agent: Value) -> Self {
        let store = Arc::new(SlowStore::default());
        store.durable.lock().unwrap().insert("caller".to_owned(), 0);
        let spec: AgentSpec = serde_json::from_value(agent.clone()).unwrap();
        assert_eq!((spec.problems(), spec.unsupported()), (vec![], vec![]));
        let shared = shared(Arc::clone(&store) as _, Amounts::all(u32::MAX), agent);
        let (plane, pool, began) = (plane(1), SidePool::start(1).unwrap(), std::time::Instant::now());
        let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
        phone.set_nonblocking(true).unwrap();
        let media = MediaSpec::new(Codec::Pcmu, 0, phone.local_addr().unwrap());
        let mut start = LegStart::new(media, began);
        start.media_timeout_ms = 0;
        let (leg, handle) = plane.attach(plane.allocate().unwrap(), start).unwrap();
        let mint = |prefix| Id::mint(prefix, 1, [1; 10]);
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
        let ticket = shared
            .admission
            .admit([&mint(Prefix::Trunk), &setup.tenant, &setup.agent], Amounts::all(1), began)
            .unwrap();
        let (id, serving, call) = (setup.call.clone(), shared.serving.load_full(), Taped::plain(setup.clone()));
        let recordings = CallRecordings::new(id.clone(), setup.spec.recording.clone(), None);
        let line = FakeLine::new("caller", &store);
        let place = Place { pool: pool.queue(), bell: Bell::new(leg.slot.mark(), plane.signal(0)), began };
        let new = NewCall {
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
        };
        let mut active = Active::new(new, shared, place);
        active.begin();
        Self { active, store, phone, over: false, frames: 0, _plane: plane, _pool: pool }
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

    /// The caller speaks for so long; what arrives is 20 ms at a time.
    fn speaks(&mut self, ms: u64) {
        let begin = self.active.now();
        let edge = |speech, at| Input::Voice(VoiceEdge { speech, at, level_dbfs: -20.0 });
        self.active.told(edge(true, begin));
        self.active.told(Input::Interrupts);
        until("the caller to have spoken", || {
            let now = self.active.now();
            while self.frames * 20_000 < now.0 {
                let arrival = CallTime(self.frames * 20_000);
                let frame = UpFrame::new(&[1000; 160], 8000, self.frames * 160, arrival).unwrap();
                self.active.sessions.listening.frame(&frame, None);
                self.frames += 1;
            }
            self.over |= self.active.step();
            now.since_ms(begin) >= ms
        });
        self.active.told(edge(false, self.active.now()));
    }

    /// Packets that the caller got which are no silence.
    fn sounding_packets(&self) -> usize {
        let (mut packet, mut sounding) = ([0; 2048], 0);
        while let Ok(length) = self.phone.recv(&mut packet) {
            sounding += usize::from(length > 12 && packet[12..length].iter().any(|byte| *byte & 0x7f < 0x60));
        }
        sounding
    }
}

#[test]
fn an_engine_takes_a_whole_call() {
    let mut call = Call::new(agent("whole", json!({})));
    call.until("the greeting", |call| call.count("playback.finished") == 1);
    assert!(call.sounding_packets() > 3, "the caller hears it");
    call.speaks(600);
    call.until("the answer to begin", |call| call.count("playback.started") == 2);
    let begun = call.active.now();
    call.until("half a second of it", |call| call.active.now().since_ms(begun) > 500);
    call.speaks(900);
    call.until("the answer to be cut", |call| call.count("playback.cut") == 1);
    call.until("the next answer", |call| call.count("playback.finished") == 2);
    assert!(call.sounding_packets() > 20);
    call.active.order(Operator::HangUp);
    call.until("the end", |call| call.over);

    let asked = notes("whole");
    assert_eq!(&asked[..2], ["open: Be brief.", "respond Hi."]);
    let heard_ms = |note: &str| note.strip_prefix("heard ")?.strip_suffix(" ms")?.parse::<u32>().ok();
    let inputs: Vec<u32> = asked.iter().filter_map(|note| heard_ms(note)).collect();
    assert!(inputs.len() == 2 && inputs[0] >= 500 && inputs[1] >= 800, "{asked:?}");
    assert!(
        asked.contains(&"result c-request_callback: Noted: somebody will call +4930123456.".to_owned()),
        "{asked:?}"
    );
    let cut = asked.iter().find_map(|note| note.strip_prefix("truncate 2 ")).expect("the answer is truncated");
    assert!((1..4000).contains(&cut.parse::<u32>().unwrap()), "{asked:?}");
    assert_eq!(asked.last().unwrap(), "close");

    let record = call.store.closed.lock().unwrap().pop().unwrap();
    assert_eq!((record.turns, record.end), (2, Some(EndReason::OperatorHungUp)));
    let used = record.usage.iter().find(|entry| entry.kind == "realtime").unwrap();
    assert_eq!(
        (used.provider.as_str(), used.units.tokens_out),
        ("scripted-engine", 20),
        "greeting and three responses"
    );
}

#[test]
fn a_name_that_is_no_engines_has_failed() {
    let engines = json!({ "realtime": { "engines": [{ "provider": "nobody" }] } });
    let mut call = Call::new(agent("nobody", json!({ "pipeline": engines })));
    call.until("the end", |call| call.over);
    let record = call.store.closed.lock().unwrap().pop().unwrap();
    assert_eq!(record.failure, Some(trunkline_api::Failure::ProvidersExhausted));
    assert!(call.count("failure.raised") >= 2);
}

#[test]
fn an_item_that_is_made_to_end_has_no_more_sound() {
    let (plane, pool) = (plane(1), SidePool::start(1).unwrap());
    let (_, (leg, _handle)) = crate::rig::place(&plane, pool.queue());
    let mut speaking = crate::speaking::Speaking::default();
    speaking.begin_item(&leg, 1, 0, 9);
    speaking.item_sound(1, 0, 9, 8000, vec![1; 8000]);
    speaking.end_part(1, 0, 400);
    speaking.item_sound(1, 0, 9, 8000, vec![1; 8000]);
    let told: Vec<String> = std::iter::from_fn(|| speaking.poll())
        .map(|spoken| match spoken {
            crate::speaking::Spoken::Report(report) => format!("{:?}", report.event),
            crate::speaking::Spoken::Usage(..) => String::new(),
        })
        .collect();
    assert_eq!(told, ["Audio { part: 0, audio_ms: 1000 }", "PartDone { part: 0, audio_ms: 400 }"]);
}
