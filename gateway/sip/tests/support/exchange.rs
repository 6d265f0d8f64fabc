//! An endpoint that many of SIPp's scenarios share: what is done in a call is what the number says that was dialled, and what
//! was told of it is kept under that number.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use trunkline_sdp::{answer, offer};
use trunkline_sip::locate::{Server, Transport};
use trunkline_sip::{
    Account, Admission, ByeReason, CallHandle, CallKey, CommandError, IncomingInvite, Kept, Outgoing, OutgoingEvent,
    Refusal, ReofferHandle, Reoffered, SipConfig, SipEndpoint, SipEvent, TrunkToken,
};

use super::{OFFER, eventually, local_media, refusal, start_for};

/// What is done in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is answered, and so is each change.
    Answers,
    /// The same, with sound before.
    SoundsEarly,
    /// It is hung up as soon as it is up.
    HangsUp,
    /// It is hung up at the first key.
    HangsUpOnKey,
    /// A change is answered at the first key.
    Thinks,
    /// It is put on hold, taken back and hung up; an offer that both made at once is made again.
    Holds,
    /// The far end is asked to dial, and hung up once it has.
    Refers,
    /// It rings.
    Rings,
    /// It is taken back once it rings.
    TakesBack,
    /// Nobody has time.
    IsBusy,
}

/// A session that is on hold, and one that is taken back.
const HOLDS: [&str; 2] = [
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 16384 RTP/AVP 0\r\na=sendonly\r\n",
    "v=0\r\no=- 1 3 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 16384 RTP/AVP 0\r\na=sendrecv\r\n",
];

/// 127.0.0.2 is a trunk with a password, the rest of loopback one without.
struct Trunks(Arc<Account>);

impl Admission for Trunks {
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken> {
        let name = if source == IpAddr::from([127, 0, 0, 2]) { "trk_account" } else { "trk_test" };
        source.is_loopback().then(|| TrunkToken(name.into()))
    }

    fn account(&self, trunk: &TrunkToken) -> Option<Arc<Account>> {
        (&*trunk.0 == "trk_account").then(|| Arc::clone(&self.0))
    }
}

/// The endpoint and its driver.
pub(crate) struct Exchange {
    pub(crate) endpoint: SipEndpoint,
    desk: Arc<Mutex<Desk>>,
}

/// What the driver knows.
#[derive(Default)]
struct Desk {
    calls: BTreeMap<CallKey, Served>,
    told: BTreeMap<String, Told>,
}

/// What was told under a number.
#[derive(Default, Clone)]
pub(crate) struct Told {
    /// In order.
    pub(crate) news: Vec<String>,
    /// Headers of the INVITE.
    pub(crate) headers: Vec<(String, String)>,
    /// Value of its From.
    pub(crate) from: String,
    begun: usize,
    over: usize,
}

struct Served {
    number: String,
    role: Role,
    handle: Option<CallHandle>,
    /// A change that waits, and what it is to be answered with.
    waits: Option<(ReofferHandle, String)>,
    /// Offers of ours that were accepted.
    offers: usize,
    /// One of them met one of the far end's.
    collided: bool,
    was_up: bool,
}

impl Exchange {
    pub(crate) fn start(change: impl FnOnce(&mut SipConfig)) -> Self {
        let account = Arc::new(Account::new("carrier", "gw.example", "secret"));
        let (endpoint, mut events) = start_for(Arc::new(Trunks(account)), |config| {
            config.timers.t1 = Duration::from_millis(500);
            change(config);
        });
        let desk = Arc::new(Mutex::new(Desk::default()));
        let driver = Arc::clone(&desk);
        std::thread::spawn(move || {
            while let Some(event) = events.blocking_recv() {
                lock(&driver).serve(event);
            }
        });
        Self { endpoint, desk }
    }

    /// Has SIPp call us; what was told of it.
    pub(crate) fn calling(&self, scenario: &str, role: Role, arguments: &[&str]) -> Told {
        let number = number("calling", scenario, role);
        let folder = tempfile::tempdir().unwrap();
        let mut sipp = sipp(folder.path(), "calling", scenario);
        if !arguments.contains(&"-i") {
            sipp.args(["-i", "127.0.0.1"]);
        }
        sipp.args(arguments).args(["-s", &number]).arg(self.endpoint.local_addr().to_string());
        succeeded(folder.path(), sipp.spawn().unwrap());
        self.told(&number)
    }

    /// Calls SIPp; what was told of it. `change` is made to the call before it is placed.
    pub(crate) fn called(&self, scenario: &str, role: Role, change: impl FnOnce(&mut Outgoing)) -> Told {
        let called = Called::start(scenario);
        self.call(&called, role, change);
        called.succeeded();
        self.told(&number("called", scenario, role))
    }

    /// Places a call to SIPp.
    pub(crate) fn call(&self, called: &Called, role: Role, change: impl FnOnce(&mut Outgoing)) {
        let number = number("called", &called.scenario, role);
        let mut call = Outgoing {
            trunk: TrunkToken("trk_test".into()),
            target: format!("sip:{number}@127.0.0.1:{}", called.port),
            servers: vec![called.server()],
            from: "<sip:100@gw.example>".to_owned(),
            headers: vec![("X-Campaign".to_owned(), "summer".to_owned())],
            offer: OFFER.to_owned(),
            credentials: None,
            max_forwards: 70,
            ring_ms: 30_000,
        };
        change(&mut call);
        // Held, so that the driver knows whose call it is before it is told of it.
        let mut desk = lock(&self.desk);
        let dialled = self.endpoint.dialler().dial(call).unwrap();
        desk.begin(dialled.key(), number.clone(), role, None);
        drop(desk);
        if role == Role::TakesBack {
            let rings = |told: &Told| told.news.iter().any(|news| news.starts_with("ringing"));
            eventually("it rings", || rings(&lock(&self.desk).told[&number]));
            dialled.cancel();
        }
    }

    /// Looks after a trunk whose only server is SIPp, until SIPp has seen all of its scenario; `leave` is called as soon as it
    /// holds, and nobody looks after the trunk from then on.
    pub(crate) fn keeps(&self, scenario: &str, kept: impl FnOnce(Kept) -> Kept, leave: impl Fn(&SipEndpoint) -> bool) {
        let called = Called::start(scenario);
        self.endpoint.dialler().keep(vec![kept(Kept {
            trunk: TrunkToken("trk_test".into()),
            hosts: vec![("127.0.0.1".to_owned(), Some(called.port))],
            domain: "pbx.example".to_owned(),
            transport: Some(Transport::Udp),
            advertised: None,
            ping_ms: None,
            registration: None,
        })]);
        eventually("the trunk to be as it should", || leave(&self.endpoint));
        self.endpoint.dialler().keep(Vec::new());
        called.succeeded();
    }

    /// What was told under a number, once its calls are over.
    fn told(&self, number: &str) -> Told {
        let over = |told: &Told| told.begun == told.over;
        eventually(&format!("{number} is over"), || lock(&self.desk).told.get(number).is_none_or(over));
        lock(&self.desk).told.get(number).cloned().unwrap_or_default()
    }
}

/// SIPp that waits to be called.
pub(crate) struct Called {
    scenario: String,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl Called {
    pub(crate) fn start(scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
        let port = free(0).unwrap().local_addr().unwrap().port();
        let mut sipp = sipp(folder.path(), "called", scenario);
        let process = sipp.args(["-i", "127.0.0.1", "-p", &port.to_string()]).spawn().unwrap();
        eventually("SIPp listens", || free(port).is_err());
        Self { scenario: scenario.to_owned(), port, folder, process }
    }

    pub(crate) fn server(&self) -> Server {
        let address = (Ipv4Addr::LOCALHOST, self.port).into();
        Server { address, transport: Transport::Udp, certificate_name: String::new() }
    }

    pub(crate) fn succeeded(self) {
        succeeded(self.folder.path(), self.process);
    }
}

impl Desk {
    fn begin(&mut self, key: CallKey, number: String, role: Role, handle: Option<CallHandle>) {
        self.told.entry(number.clone()).or_default().begun += 1;
        self.calls.insert(key, Served { number, role, handle, waits: None, offers: 0, collided: false, was_up: false });
    }

    fn serve(&mut self, event: SipEvent) {
        match event {
            SipEvent::Invite(invite) => self.invited(*invite),
            SipEvent::Cancelled { call } => self.end(call, "cancelled"),
            SipEvent::NoAck { call } => self.end(call, "no ack"),
            SipEvent::Failed { call, status } => self.end(call, &format!("failed {status}")),
            SipEvent::Bye { call, reason } => self.end(call, &format!("bye {}", reason.unwrap_or_default())),
            SipEvent::Acked { call, answer } => {
                self.tell(call, if answer.is_some() { "acked with an answer" } else { "acked" });
                self.up(call);
            }
            SipEvent::Digit { call, digit } => {
                self.tell(call, &format!("key {}", digit.as_char()));
                self.pressed(call);
            }
            SipEvent::ReInvite(reoffer) => {
                self.tell(reoffer.call, "change");
                let Some(served) = self.calls.get_mut(&reoffer.call) else { return };
                match met(reoffer.offer.as_deref()) {
                    Ok(made) if served.role == Role::Thinks => served.waits = Some((reoffer.handle, made)),
                    Ok(made) => drop(reoffer.handle.answer(made)),
                    Err(refusal) => reoffer.handle.refuse(&refusal),
                }
            }
            SipEvent::Reoffered { call, outcome } => self.reoffered(call, outcome),
            SipEvent::Referral { call, status } => {
                self.tell(call, &format!("referral {status}"));
                if status >= 200 {
                    self.hang_up(call);
                }
            }
            SipEvent::Outgoing { call, news } => match *news {
                OutgoingEvent::Trying => self.tell(call, "trying"),
                OutgoingEvent::Ringing { fork, status, sdp } => {
                    let sound = if sdp.is_some() { " with sound" } else { "" };
                    self.tell(call, &format!("ringing {status} of {fork}{sound}"));
                }
                OutgoingEvent::Answered { handle, fork, .. } => {
                    self.tell(call, &format!("answered by {fork}"));
                    if let Some(served) = self.calls.get_mut(&call) {
                        served.handle = Some(handle);
                    }
                    self.up(call);
                }
                OutgoingEvent::Refused(refused) => {
                    let reason = refused.reason.unwrap_or_default();
                    self.end(call, format!("refused {} {reason}", refused.status).trim());
                }
            },
            SipEvent::Trunk { .. } => {}
        }
    }

    fn invited(&mut self, invite: IncomingInvite) {
        let handle = invite.handle.clone();
        let role = role(&invite.to_user);
        self.begin(handle.key(), invite.to_user.clone(), role, Some(handle.clone()));
        self.tell(handle.key(), if invite.offer.is_some() { "invite" } else { "invite without an offer" });
        let told = self.told.entry(invite.to_user).or_default();
        (told.headers, told.from) = (invite.headers, invite.from);
        if role == Role::IsBusy {
            handle.reject(&Refusal { q850: Some(17), ..Refusal::status(486) }).unwrap();
            return self.over(handle.key());
        }
        let made = match met(invite.offer.as_deref()) {
            Ok(made) => made,
            Err(refusal) => {
                handle.reject(&refusal).unwrap();
                return self.over(handle.key());
            }
        };
        // A caller who gives up at the same moment has the last word.
        let _ = handle.ring((role == Role::SoundsEarly).then(|| made.clone()));
        if role != Role::Rings {
            let _ = handle.accept(made);
        }
    }

    /// A call is up, or a change of it acknowledged.
    fn up(&mut self, call: CallKey) {
        let Some(served) = self.calls.get_mut(&call) else { return };
        let handle = served.handle.clone().unwrap();
        if std::mem::replace(&mut served.was_up, true) {
            return;
        }
        match served.role {
            Role::HangsUp => self.hang_up(call),
            Role::Holds => reoffer(handle, HOLDS[0]),
            Role::Refers => handle.refer("sip:+4930555@pbx.example").unwrap(),
            _ => {}
        }
    }

    fn pressed(&mut self, call: CallKey) {
        let Some(served) = self.calls.get_mut(&call) else { return };
        if let Some((waits, made)) = served.waits.take() {
            let _ = waits.answer(made);
        }
        if served.role == Role::HangsUpOnKey {
            self.hang_up(call);
        }
    }

    fn reoffered(&mut self, call: CallKey, outcome: Reoffered) {
        let Some(served) = self.calls.get_mut(&call) else { return };
        let handle = served.handle.clone().unwrap();
        match outcome {
            Reoffered::Accepted { .. } => {
                served.offers += 1;
                let next = HOLDS.get(served.offers).filter(|_| !served.collided);
                match next {
                    Some(next) => reoffer(handle, next),
                    None => self.hang_up(call),
                }
            }
            Reoffered::Refused { status, again_ms } => {
                served.collided = true;
                self.tell(call, &format!("offer refused {status}"));
                if let Some(again_ms) = again_ms {
                    std::thread::spawn(move || {
                        // What RFC 3261 14.1 wants waited for, and the time is the endpoint's to choose.
                        std::thread::sleep(Duration::from_millis(again_ms));
                        reoffer(handle, HOLDS[0]);
                    });
                }
            }
        }
    }

    fn hang_up(&mut self, call: CallKey) {
        if let Some(handle) = self.calls.get(&call).and_then(|served| served.handle.clone()) {
            // The far end may have hung up at the same moment.
            let _ = handle.bye(&ByeReason::normal());
            self.over(call);
        }
    }

    fn tell(&mut self, call: CallKey, news: &str) {
        if let Some(served) = self.calls.get(&call) {
            self.told.entry(served.number.clone()).or_default().news.push(news.to_owned());
        }
    }

    fn end(&mut self, call: CallKey, news: &str) {
        self.tell(call, news);
        self.over(call);
    }

    fn over(&mut self, call: CallKey) {
        if let Some(served) = self.calls.remove(&call) {
            self.told.entry(served.number).or_default().over += 1;
        }
    }
}

/// What answers an offer, or our own where there is none.
fn met(theirs: Option<&str>) -> Result<String, Refusal> {
    match theirs.map(|text| answer(text, &local_media())) {
        Some(Ok(made)) => Ok(made.sdp),
        Some(Err(error)) => Err(refusal(&error)),
        None => Ok(offer(&local_media())),
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Offers another session as soon as that may be done.
fn reoffer(handle: CallHandle, session: &'static str) {
    if handle.reoffer(session.to_owned()) == Err(CommandError::Changing) {
        std::thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(5);
            while handle.reoffer(session.to_owned()) == Err(CommandError::Changing) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    }
}

/// What is dialled for a role in a scenario.
fn number(direction: &str, scenario: &str, role: Role) -> String {
    format!("{role:?}.{direction}.{scenario}")
}

fn role(number: &str) -> Role {
    use Role::{Answers, HangsUp, HangsUpOnKey, Holds, IsBusy, Refers, Rings, SoundsEarly, TakesBack, Thinks};
    let all = [Answers, SoundsEarly, HangsUp, HangsUpOnKey, Thinks, Holds, Refers, Rings, TakesBack, IsBusy];
    let named = |role: &Role| number.split('.').next() == Some(&format!("{role:?}"));
    all.into_iter().find(named).unwrap_or(Answers)
}

/// SIPp with a scenario of `tests/sipp`, one call of it.
fn sipp(folder: &Path, direction: &str, scenario: &str) -> Command {
    let output = |name: &str| Stdio::from(std::fs::File::create(folder.join(name)).unwrap());
    // SIPp with a call open outlives its own -timeout.
    let mut sipp = Command::new("timeout");
    sipp.current_dir(folder)
        .args(["40", "sipp", "-sf"])
        .arg(format!("{}/tests/sipp/{direction}/{scenario}.xml", env!("CARGO_MANIFEST_DIR")))
        .args(["-m", "1", "-nostdin", "-timeout", "30"])
        .args(["-trace_err", "-error_file", "errors.log", "-trace_msg", "-message_file", "messages.log"])
        .stdin(Stdio::null())
        .stdout(output("screen.log"))
        .stderr(output("said.log"));
    sipp
}

/// Waits for SIPp; fails with what it wrote down unless its call succeeded.
fn succeeded(folder: &Path, mut sipp: Child) {
    let status = sipp.wait().unwrap();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
    let text = |name: &str| String::from_utf8_lossy(&read(name)).into_owned();
    assert!(
        status.success(),
        "SIPp: {status}\n{}\n{}\nWhat was said:\n{}",
        text("said.log"),
        text("errors.log"),
        text("messages.log")
    );
}
