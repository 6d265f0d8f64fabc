//! A runtime's parts without its shells, for tests: a store that says when a record is durable, a line that notes what
//! it is told.

mod puppet;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline_api::object::{Kind, Object, Revision};
use trunkline_api::signature::Signed;
use trunkline_api::sync::{EnrolAnswer, Stream, UploadBatch};
use trunkline_api::usage::{CallRecord, RenderingRecord};
use trunkline_api::{Id, Prefix};
use trunkline_edge_store::{
    Completer, Completion, EdgeStore, Health, Position, Retired, StoreError, StoredObjects, Write,
};
use trunkline_media::{MediaConfig, MediaPlane};
use trunkline_plugin_host::PluginRegistry;
use trunkline_recording::{FolderDisk, Recorder, RecorderConfig};
use trunkline_sip::keep::HostStatus;
use trunkline_sip::locate::{Server, Transport};
use trunkline_sip::{ByeReason, CallKey, CommandError, DialError, Kept, Outgoing, Refusal, TrunkStatus, TrunkToken};

use crate::capacity::{Admission, Amounts};
use crate::counters::Counters;
use crate::directory::Directory;
use crate::line::{Invite, Line};
use crate::load::{Gauges, LoadPolicy};
use crate::offer::Offer;
use crate::outbound::{Dialling, Exchange};
use crate::serving::Serving;
use crate::shared::{RuntimeConfig, Shared};

pub(crate) use puppet::{Hold, Puppet, place};

/// A store on no disk. Openings wait until the test has them written; everything else is durable at once.
#[derive(Default)]
pub(crate) struct SlowStore {
    /// Openings that wait, by who calls.
    pub(crate) opening: Mutex<BTreeMap<String, Completer>>,
    /// Openings that are durable, and how often each was closed, by who calls.
    pub(crate) durable: Mutex<BTreeMap<String, u32>>,
    /// The next writes are refused as by a queue that is full.
    pub(crate) busy: AtomicBool,
    /// An event of that type makes whoever stores it panic.
    pub(crate) trap: Mutex<Option<&'static str>>,
    /// Records that were closed.
    pub(crate) closed: Mutex<Vec<CallRecord>>,
    /// What was used in no call.
    pub(crate) used: Mutex<Vec<RenderingRecord>>,
    /// Types of the events that were stored, by call.
    pub(crate) events: Mutex<BTreeMap<Id, Vec<(u64, String)>>>,
}

impl SlowStore {
    /// The disk has spoken about `from`'s opening.
    pub(crate) fn write(&self, from: &str, works: bool) {
        let Some(completer) = self.opening.lock().unwrap().remove(from) else { return };
        if works {
            self.durable.lock().unwrap().insert(from.to_owned(), 0);
        }
        completer.finish(if works { Ok(()) } else { Err(refused()) });
    }
}

fn refused() -> StoreError {
    StoreError::Unavailable { detail: "the test says so".to_owned() }
}

impl EdgeStore for SlowStore {
    fn submit(&self, write: Write) -> Result<Completion, StoreError> {
        if self.busy.load(Ordering::Relaxed) {
            return Err(StoreError::Busy { waiting: 1 });
        }
        let (completer, completion) = Completion::pair();
        match write {
            Write::OpenCall(record) => {
                self.opening.lock().unwrap().insert(record.from, completer);
                return Ok(completion);
            }
            Write::CloseCall(record) => {
                *self.durable.lock().unwrap().get_mut(&record.from).expect("a record that was never opened") += 1;
                self.closed.lock().unwrap().push(*record);
            }
            Write::Event(event) => {
                let mut trap = self.trap.lock().unwrap();
                if trap.is_some_and(|kind| kind == event.kind) {
                    *trap = None;
                    drop(trap);
                    panic!("the test says so");
                }
                let stored = (event.seq, event.kind.clone());
                self.events.lock().unwrap().entry(event.call.clone()).or_default().push(stored);
            }
            Write::Used(record) => self.used.lock().unwrap().push(*record),
            Write::Checkpoint { .. } => {}
        }
        completer.finish(Ok(()));
        Ok(completion)
    }

    fn recover(&self) -> Result<Vec<CallRecord>, StoreError> {
        Ok(Vec::new())
    }

    fn open_calls(&self) -> Result<Vec<CallRecord>, StoreError> {
        Ok(Vec::new())
    }

    fn pending(&self, _: Stream, _: usize) -> Result<Option<UploadBatch>, StoreError> {
        Ok(None)
    }

    fn acknowledge(&self, _: Stream, _: u64, _: u64) -> Result<(), StoreError> {
        Err(refused())
    }

    fn apply_revision(&self, _: &Revision, _: &Signed) -> Result<(), StoreError> {
        Err(refused())
    }

    fn objects(&self) -> Result<StoredObjects, StoreError> {
        Ok(StoredObjects::default())
    }

    fn revisions(&self) -> Result<Vec<Signed>, StoreError> {
        Ok(Vec::new())
    }

    fn identity(&self) -> Result<Option<EnrolAnswer>, StoreError> {
        Ok(None)
    }

    fn put_identity(&self, _: &EnrolAnswer) -> Result<(), StoreError> {
        Err(refused())
    }

    fn setting(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn put_setting(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Err(refused())
    }

    fn history(
        &self,
        _: Stream,
        _: Option<Position>,
        _: &mut dyn FnMut(Position, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn retire(&self, _: Stream, _: u64) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn retired(&self) -> Result<Retired, StoreError> {
        Ok(Retired::default())
    }

    fn health(&self) -> Health {
        Health { available: true, ..Health::default() }
    }
}

/// What a line was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// 180, or 183 when it has a description.
    Ring { described: bool },
    /// 200.
    Accept,
    /// A refusal of this status and reason.
    Reject(u16, String),
    /// BYE.
    Bye,
    /// REFER to that.
    Refer(String),
    /// A re-INVITE with an offer of that direction.
    Reoffer(String),
}

/// A caller's line.
pub(crate) struct FakeLine {
    from: String,
    store: Arc<SlowStore>,
    /// The caller is gone, as signalling knows before anybody else.
    pub(crate) gone: AtomicBool,
    /// Its far end is changing the session.
    pub(crate) changing: AtomicBool,
    /// What it was told, in order.
    pub(crate) told: Mutex<Vec<Told>>,
    /// After how many seconds it was told to come again.
    pub(crate) retry_after_s: Mutex<Option<u32>>,
    /// The description it was answered with, or offered last.
    pub(crate) answer: Mutex<Option<String>>,
    /// The code of the warning it was refused with.
    pub(crate) warning: Mutex<Option<u16>>,
    /// What its far end says it is reached by.
    pub(crate) contact: Mutex<String>,
}

impl FakeLine {
    /// The line of a caller.
    pub(crate) fn new(from: &str, store: &Arc<SlowStore>) -> Arc<Self> {
        Arc::new(Self {
            from: from.to_owned(),
            store: Arc::clone(store),
            gone: AtomicBool::new(false),
            changing: AtomicBool::new(false),
            told: Mutex::default(),
            retry_after_s: Mutex::default(),
            answer: Mutex::default(),
            warning: Mutex::default(),
            contact: Mutex::new("sip:caller@pbx.example:5070".to_owned()),
        })
    }

    fn tell(&self, told: Told) -> Result<(), CommandError> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(CommandError::Over);
        }
        self.told.lock().unwrap().push(told);
        Ok(())
    }
}

impl Line for FakeLine {
    fn ring(&self, sdp: Option<String>) -> Result<(), CommandError> {
        self.tell(Told::Ring { described: sdp.is_some() })
    }

    fn accept(&self, sdp: String) -> Result<(), CommandError> {
        *self.answer.lock().unwrap() = Some(sdp);
        assert!(self.store.durable.lock().unwrap().contains_key(&self.from), "answered before the record is durable");
        self.tell(Told::Accept)
    }

    fn reject(&self, refusal: &Refusal) -> Result<(), CommandError> {
        *self.retry_after_s.lock().unwrap() = refusal.retry_after_s;
        *self.warning.lock().unwrap() = refusal.warning.map(|warning| warning.code);
        self.tell(Told::Reject(refusal.status, refusal.reason.clone().unwrap_or_default()))
    }

    fn bye(&self, _: &ByeReason) -> Result<(), CommandError> {
        self.tell(Told::Bye)
    }

    fn refer(&self, to: &str) -> Result<(), CommandError> {
        self.tell(Told::Refer(to.to_owned()))
    }

    fn reoffer(&self, offer: String) -> Result<(), CommandError> {
        if self.changing.load(Ordering::Relaxed) {
            return Err(CommandError::Changing);
        }
        let ways = ["sendrecv", "sendonly", "recvonly", "inactive"];
        let way = ways.into_iter().find(|way| offer.contains(&format!("a={way}\r\n"))).unwrap_or_default();
        *self.answer.lock().unwrap() = Some(offer);
        self.tell(Told::Reoffer(way.to_owned()))
    }

    fn replacing(&self) -> Option<String> {
        Some(format!("{}?Replaces=call", self.contact.lock().unwrap()))
    }

    fn source(&self) -> Option<IpAddr> {
        Some("127.0.0.1".parse().unwrap())
    }

    fn remote_target(&self) -> Option<String> {
        Some(self.contact.lock().unwrap().clone())
    }
}

/// Takes calls that leave, over a trunk that can always be reached, and notes them.
#[derive(Default)]
pub(crate) struct FakeExchange {
    /// What was to be dialled, in order: the first has the key 1000.
    pub(crate) dialled: Mutex<Vec<Outgoing>>,
    /// What was given up, in order.
    pub(crate) cancelled: Arc<Mutex<Vec<CallKey>>>,
}

/// A call that it took.
struct FakeDialling(CallKey, Arc<Mutex<Vec<CallKey>>>);

impl Exchange for FakeExchange {
    fn dial(&self, call: Outgoing) -> Result<Arc<dyn Dialling>, DialError> {
        let mut dialled = self.dialled.lock().unwrap();
        dialled.push(call);
        let key = CallKey(999 + dialled.len() as u64);
        Ok(Arc::new(FakeDialling(key, Arc::clone(&self.cancelled))))
    }

    fn trunk(&self, trunk: &TrunkToken) -> Option<TrunkStatus> {
        let server = Server {
            address: "192.0.2.1:5060".parse().unwrap(),
            transport: Transport::Udp,
            certificate_name: String::new(),
        };
        let host = HostStatus { host: "192.0.2.1".to_owned(), servers: vec![server], health: None };
        Some(TrunkStatus { trunk: trunk.clone(), hosts: vec![host], registered: None, takes_calls: true })
    }

    fn trunks(&self) -> Vec<TrunkStatus> {
        Vec::new()
    }

    fn keep(&self, _: Vec<Kept>) {}
}

impl Dialling for FakeDialling {
    fn key(&self) -> CallKey {
        self.0
    }

    fn call_id(&self) -> &str {
        "dialled"
    }

    fn cancel(&self) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// Waits for a condition, for half a minute.
pub(crate) fn until(what: &str, mut met: impl FnMut() -> bool) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// An INVITE of the caller on `line` over the rig's trunk.
pub(crate) fn invite(key: u64, line: &Arc<FakeLine>) -> Invite {
    let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    Invite {
        key: CallKey(key),
        line: Arc::clone(line) as Arc<dyn Line>,
        source: "127.0.0.1".parse().unwrap(),
        trunk: None,
        call_id: format!("call-{key}"),
        from: format!("<sip:{}@127.0.0.1>", line.from),
        from_user: line.from.clone(),
        to_user: "1000".to_owned(),
        hops: 70,
        headers: Vec::new(),
        findings: Vec::new(),
        offer: Offer::Sdp(Some(offer.to_owned())),
    }
}

/// An agent that says and hears nothing: none of its plugins is there.
pub(crate) fn silent_agent() -> Value {
    json!({ "name": "silent", "pipeline": { "cascade": { "tts": [{ "provider": "none" }] } } })
}

/// Media on loopback with one worker.
pub(crate) fn plane(legs: usize) -> MediaPlane {
    let config = MediaConfig { ports: 0..=0, max_legs_per_worker: legs, realtime: false, ..MediaConfig::default() };
    MediaPlane::start(config).unwrap()
}

/// What a runtime shares: one trunk on loopback whose calls `agent` answers.
pub(crate) fn shared(store: Arc<dyn EdgeStore>, capacity: Amounts, agent: Value) -> Arc<Shared> {
    shared_over(store, capacity, agent, json!({ "name": "rig", "peers": ["127.0.0.1"], "codecs": ["PCMU"] }))
}

/// The same over another trunk.
pub(crate) fn shared_over(store: Arc<dyn EdgeStore>, capacity: Amounts, agent: Value, trunk: Value) -> Arc<Shared> {
    shared_with(store, capacity, agent, trunk, json!({ "name": "rig" }), None)
}

/// The same of a tenant with limits, and with an outbound route.
pub(crate) fn shared_with(
    store: Arc<dyn EdgeStore>,
    capacity: Amounts,
    agent: Value,
    trunk: Value,
    of: Value,
    outbound: Option<Value>,
) -> Arc<Shared> {
    let tenant = Id::mint(Prefix::Tenant, 1, [1; 10]);
    let object = |kind, prefix, body| Object {
        kind,
        id: Id::mint(prefix, 1, [1; 10]),
        tenant: tenant.clone(),
        version: 1,
        sha256: String::new(),
        body,
    };
    let route = json!({ "name": "all", "order": 0, "called": "*", "agent": Id::mint(Prefix::Agent, 1, [1; 10]) });
    let objects = [
        object(Kind::Tenant, Prefix::Tenant, of),
        object(Kind::Trunk, Prefix::Trunk, trunk),
        object(Kind::Agent, Prefix::Agent, agent),
        object(Kind::Route, Prefix::Route, route),
    ]
    .into_iter()
    .chain(outbound.map(|body| object(Kind::OutboundRoute, Prefix::OutboundRoute, body)))
    .collect::<Vec<_>>();
    let (serving, problems) = Serving::build(&objects);
    assert_eq!(problems, Vec::<String>::new());
    Arc::new(Shared {
        config: RuntimeConfig {
            gateway: None,
            capacity,
            checkpoint_us: 30_000_000,
            recordings: PathBuf::from("/nowhere"),
            state_dir: PathBuf::from("/nowhere"),
            media_addr: "127.0.0.1".parse().unwrap(),
            media_timeout_ms: 60_000,
            heavy_workers: 1,
            load: LoadPolicy::default(),
            echo: false,
        },
        store,
        plugins: Arc::new(PluginRegistry::new()),
        recorder: Recorder::start(
            RecorderConfig { writers: 2, ..RecorderConfig::default() },
            Arc::new(FolderDisk::open(&std::env::temp_dir()).unwrap()),
        )
        .unwrap(),
        serving: Arc::new(arc_swap::ArcSwap::from_pointee(serving)),
        admission: Admission::new(capacity, Arc::new(|| None)),
        directory: Directory::default(),
        counters: Counters::default(),
        health: crate::health::Health::default(),
        load: Gauges::new(LoadPolicy::default(), 1, None),
        prompts: Arc::default(),
        beds: crate::ambience::Beds::start(PathBuf::from("/nowhere")).unwrap(),
        librarian: crate::lookups::Librarian::start().unwrap(),
        captures: crate::captures::Captures::new(&PathBuf::from("/nowhere")),
        outbound: crate::outbound::Outbound::new(Arc::default()),
        redirections: crate::redirections::Redirections::default(),
        conferences: Arc::default(),
    })
}
