//! From an INVITE to a call: route, admit, journal, answer, then hand over to the worker of the call's media.
//!
//! The thread that does it waits for SIP and for the disk at once and for neither alone: a call's record is submitted,
//! and the call answered when it is durable, while BYE and CANCEL of any call are taken as they come.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use trunkline_api::ambience::Ambience;
use trunkline_api::object::{MediaSource, Ringing as RingingPolicy};
use trunkline_api::usage::{CALL_RECORD_FORMAT, CallDirection, CallRecord, EndReason};
use trunkline_api::{Failure, Id, Prefix};
use trunkline_call::{CallSetup, Input, RecordingFact};
use trunkline_edge_store::{Completion, Write};
use trunkline_leg::{AgentEnd, Anchor, CallTime, Codec, Direction, EndCause, LegId, MediaSpec, RingSizes, TapEnd};
use trunkline_media::{
    AddressRange, LegHandle, LegSound, LegStart, Link, MediaError, MediaPlane, SourcePolicy, check_change,
};
use trunkline_route::{Request, Source, Target, Trunk};
use trunkline_sdp::Session;
use trunkline_sip::variables::Inbound;
use trunkline_sip::{ByeReason, CallKey, Refusal, Reoffer, SipEvent, SipEvents};

use crate::active::{LegNews, NewCall};
use crate::beats::IntakePulse;
use crate::capacity::{Pool, Ticket};
use crate::counters::count;
use crate::directory::CallInfo;
use crate::line::{Invite, Line};
use crate::offer::Settled;
use crate::openings::{Fate, Openings};
use crate::outbound::Placed;
use crate::recording::CallRecordings;
use crate::refusal::{self, Refused, media_failure, overloaded};
use crate::ringing::Ringing;
use crate::routing;
use crate::serving::{ServedAgent, Serving};
use crate::shared::{Shared, random};
use crate::sound::leg_sound;
use crate::streams::Doorway;
use crate::worker::{Order, Worker};

/// Rings of a call: half a second up, 400 ms down, so that a call costs little memory and a clear drops little.
const UP_FRAMES: usize = 25;
const DOWN_FRAMES: usize = 20;
/// How long intake sleeps when nothing wakes it.
const IDLE: Duration = Duration::from_secs(1);
/// Calls over streams that are taken before others have their turn.
const STREAMS_A_ROUND: usize = 16;
/// After how long a record that the store would not take is offered again.
const AGAIN: Duration = Duration::from_millis(50);
/// How long a call waits for its background sound to be read, which takes a disk some milliseconds and is done once; and how
/// soon it is looked at meanwhile.
const BED_WAIT: Duration = Duration::from_millis(300);
const BED_LOOK: Duration = Duration::from_millis(5);
/// How long the end of the process waits for records of calls that were never answered.
const LAST_RECORDS: Duration = Duration::from_secs(2);

mod holding;
mod leaving;
mod proving;
mod turning;
mod unanswered;

use proving::Proving;
pub use proving::{CallerProof, CertificateFetcher, FetchAnswer};
use turning::Turning;
use unanswered::Unanswered;

struct Dialog {
    call: Id,
    /// Which of its legs.
    leg: LegId,
    worker: usize,
    sdp: Session,
    /// Rate of the leg's sound in Hz, whatever codec comes later.
    rate: u32,
    line: Arc<dyn Line>,
    /// Which ways sound is to go by our own wish, and what was offered last.
    turning: Turning,
    offered: Direction,
}

impl Dialog {
    fn new(call: Id, leg: LegId, worker: usize, sdp: Session, rate: u32, line: Arc<dyn Line>) -> Self {
        let (turning, offered) = (Turning::new(Instant::now()), Direction::SendRecv);
        Self { call, leg, worker, sdp, rate, line, turning, offered }
    }

    fn media_changed(&self, media: MediaSpec) -> Order {
        let (call, media) = (self.call.clone(), Box::new(media));
        match self.leg {
            LegId::FIRST => Order::MediaChanged(call, media),
            leg => Order::Leg(call, leg, LegNews::MediaChanged(media)),
        }
    }

    fn ended(&self, cause: EndCause) -> Order {
        match self.leg {
            LegId::FIRST => Order::DialogEnded(self.call.clone(), cause),
            leg => Order::Leg(self.call.clone(), leg, LegNews::DialogEnded(cause)),
        }
    }
}

/// A call whose record is on its way to the disk.
struct Opening {
    invite: Invite,
    began: Instant,
    wall_us: u64,
    serving: Arc<Serving>,
    agent: ServedAgent,
    target: Target,
    settled: Settled,
    ringing: RingingPolicy,
    source: SourcePolicy,
    sound: LegSound,
    ambience: Option<Ambience>,
    record: CallRecord,
    recordings: CallRecordings,
    /// The recording that begins with the call, and what is told of it.
    recording: Option<(TapEnd, RecordingFact)>,
    ticket: Ticket,
    written: Completion,
}

impl Opening {
    /// Whether its background sound is on its way and worth waiting for at `now`.
    fn awaits_bed(&self, now: Instant, shared: &Shared) -> bool {
        let rate = self.settled.media.codec.sample_rate();
        now.saturating_duration_since(self.began) < BED_WAIT
            && self.ambience.as_ref().is_some_and(|ambience| shared.beds.is_making(ambience, rate))
    }
}

/// A call that is up and has its media.
struct Beginning {
    key: CallKey,
    line: Arc<dyn Line>,
    sip_call_id: String,
    from: String,
    to: String,
    /// What is handed over with it.
    variables: BTreeMap<String, String>,
    hops: u8,
    began: Instant,
    /// When it began, in microseconds since the Unix epoch.
    wall_us: u64,
    serving: Arc<Serving>,
    agent: ServedAgent,
    trunk: Id,
    codec: Codec,
    suite: Option<&'static str>,
    session: Option<Session>,
    record: CallRecord,
    recordings: CallRecordings,
    /// The recording that began with it, and when.
    recording: Option<(CallTime, RecordingFact)>,
    ticket: Ticket,
    leg: AgentEnd,
    handle: LegHandle,
    /// Its place among calls that leave, when it is one.
    placed: Option<Placed>,
}

/// A call that rings, and its leg when that is up already.
struct Rung {
    opening: Opening,
    early: Option<Leg>,
}

/// Both ends of a leg.
type Leg = (AgentEnd, LegHandle);

/// Takes calls.
pub(crate) struct Intake {
    shared: Arc<Shared>,
    plane: MediaPlane,
    workers: Vec<Worker>,
    draining: Arc<AtomicBool>,
    doorway: Arc<Doorway>,
    /// Calls whose caller is verified first; `None` where nobody is believed.
    proving: Option<Proving>,
    openings: Openings<Opening>,
    ringing: Ringing<Rung>,
    unanswered: Vec<Unanswered>,
    /// Orders that a worker was too busy to take, in order: at most two a call.
    late: Vec<(usize, Order)>,
    /// Looked up by key only.
    dialogs: HashMap<CallKey, Dialog>,
    /// Those whose far ends are to be told which ways sound goes.
    turning: Vec<CallKey>,
    /// The objects that calls that leave were told of last.
    told: Weak<Serving>,
}

/// Wakes the thread that sleeps.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Intake {
    /// An intake without calls.
    pub(crate) fn new(shared: Arc<Shared>, plane: MediaPlane, workers: Vec<Worker>, draining: Arc<AtomicBool>) -> Self {
        let (openings, ringing) = (Openings::default(), Ringing::default());
        let (doorway, unanswered, late, dialogs) = (Arc::default(), Vec::new(), Vec::new(), HashMap::new());
        let (told, turning, proving) = (Weak::new(), Vec::new(), None);
        Self {
            shared,
            plane,
            workers,
            draining,
            doorway,
            proving,
            openings,
            ringing,
            unanswered,
            late,
            dialogs,
            turning,
            told,
        }
    }

    /// Where calls that come over streams are handed in.
    pub(crate) fn doorway(&self) -> Arc<Doorway> {
        Arc::clone(&self.doorway)
    }

    /// Serves SIP events until the endpoint is gone.
    pub(crate) fn run(mut self, mut events: SipEvents, pulse: &IntakePulse) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        self.doorway.serve();
        self.shared.redirections.serve();
        loop {
            let next = pin!(events.recv()).poll(&mut Context::from_waker(&waker));
            let idle = next.is_pending();
            pulse.begin();
            match next {
                Poll::Ready(Some(event)) => self.event(event),
                Poll::Ready(None) => break,
                Poll::Pending => {}
            }
            for invite in std::iter::from_fn(|| self.doorway.next()).take(STREAMS_A_ROUND).collect::<Vec<_>>() {
                self.invite(invite);
            }
            let patience = self.settle(Instant::now(), &waker).min(self.shared.sample_load());
            let patience = self.turn(Instant::now()).map_or(patience, |due| due.min(patience));
            self.look_after();
            pulse.end();
            if idle && !self.doorway.has_waiting() {
                std::thread::park_timeout(patience);
            }
        }
        self.finish(&waker);
        pulse.end();
    }

    fn event(&mut self, event: SipEvent) {
        match event {
            SipEvent::Invite(invite) => self.invite((*invite).into()),
            SipEvent::ReInvite(reoffer) => self.reoffer(*reoffer),
            SipEvent::Bye { call, .. } => self.ended(call, EndCause::RemoteHangUp),
            SipEvent::Cancelled { call } => self.ended(call, EndCause::Cancelled),
            SipEvent::NoAck { call } => self.ended(call, EndCause::NoAck),
            SipEvent::Failed { call, .. } => self.ended(call, EndCause::Failed),
            SipEvent::Acked { call, answer } => self.acked(call, answer.as_deref()),
            SipEvent::Digit { call, digit } => {
                if let Some(dialog) = self.dialogs.get(&call) {
                    let (call, leg, worker) = (dialog.call.clone(), dialog.leg, dialog.worker);
                    self.order(
                        worker,
                        match leg {
                            LegId::FIRST => Order::Pressed(call, digit),
                            leg => Order::Leg(call, leg, LegNews::Pressed(digit)),
                        },
                    );
                }
            }
            SipEvent::Referral { call, status } => {
                if let Some(dialog) = self.dialogs.get(&call) {
                    let (call, leg, worker) = (dialog.call.clone(), dialog.leg, dialog.worker);
                    self.order(worker, Order::Leg(call, leg, LegNews::Referral(status)));
                }
            }
            SipEvent::Reoffered { call, outcome } => self.reoffered(call, outcome),
            SipEvent::Outgoing { call, news } => self.leaving(call, *news),
            SipEvent::Trunk { trunk, news } => leaving::tell(&trunk, &news),
        }
        // Calls that the agent hung up have no further event; forget them once they are over.
        if self.dialogs.len() > 64 && self.dialogs.len() > 2 * self.shared.directory.active() {
            let shared = Arc::clone(&self.shared);
            self.dialogs.retain(|_, dialog| shared.directory.worker(&dialog.call).is_some());
        }
    }

    /// A new call, whose caller may have to be verified first.
    pub(crate) fn invite(&mut self, invite: Invite) {
        if let Some(invite) = self.prove(invite) {
            self.take(invite);
        }
    }

    /// Its record is submitted, or it is refused.
    fn take(&mut self, invite: Invite) {
        match self.open(&invite) {
            Ok(opening) => self.openings.begin(invite.key, opening),
            Err(refused) => self.refuse(&invite, refused),
        }
    }

    /// Carries out whatever the disk has spoken about, and answers calls that have rung for long enough; says how long it
    /// may be until something is to be done unasked.
    pub(crate) fn settle(&mut self, now: Instant, waker: &Waker) -> Duration {
        let proofs = self.settle_proofs(now, waker);
        let mut beds_wait = false;
        let written = |(key, opening): (CallKey, &Opening)| {
            let outcome = opening.written.poll_with(waker)?;
            let waits = outcome.is_ok() && !self.openings.is_given_up(key) && opening.awaits_bed(now, &self.shared);
            beds_wait |= waits;
            (!waits).then_some((key, outcome))
        };
        let written: Vec<_> = self.openings.iter().filter_map(written).collect();
        for (key, outcome) in written {
            match self.openings.written(key, outcome.is_ok()) {
                Some(Fate::Answer(opening)) => self.ring(now, key, opening),
                Some(Fate::Refuse(opening)) => {
                    tracing::error!(error = ?outcome.err(), "a call cannot be journalled");
                    self.refuse(&opening.invite, Failure::StoreUnavailable);
                }
                Some(Fate::Close(opening, cause)) => {
                    tracing::info!(call = %opening.record.call, ?cause, "the caller was gone before the answer");
                    self.close_unanswered(opening.record, opening.ticket, unanswered_end(cause));
                }
                Some(Fate::Forget(_)) | None => {}
            }
        }
        for rung in self.ringing.take_due(now) {
            self.answer(rung);
        }
        self.give_late_orders();
        self.unanswered.retain_mut(|left| !left.is_done(&self.shared, waker));
        let waits = !self.late.is_empty() || self.unanswered.iter().any(Unanswered::waits_for_room);
        let patience = if waits { AGAIN.min(proofs) } else { proofs };
        let patience = if beds_wait { BED_LOOK } else { patience };
        self.ringing.patience(now).map_or(patience, |due| patience.min(due))
    }

    /// Nobody will ask for anything any more: records that are on their way are seen to their end, for a while.
    fn finish(&mut self, waker: &Waker) {
        let keys: Vec<CallKey> = self.openings.iter().map(|(key, _)| key).chain(self.ringing.keys()).collect();
        keys.into_iter().for_each(|key| self.ended(key, EndCause::Local));
        let until = Instant::now() + LAST_RECORDS;
        while Instant::now() < until {
            let patience = self.settle(Instant::now(), waker);
            if self.openings.is_empty() && self.unanswered.is_empty() {
                return;
            }
            std::thread::park_timeout(patience.min(AGAIN));
        }
    }

    fn refuse(&self, invite: &Invite, refused: impl Into<Refused>) {
        let Refused { failure, retry_after_s, warning } = refused.into();
        count(&self.shared.counters.refused);
        self.shared.counters.failed(failure);
        refusal::tell(failure, invite, &self.shared.serving.load().table);
        let refusal = Refusal {
            q850: Some(failure.q850_cause()),
            reason: Some(failure.name().to_owned()),
            retry_after_s,
            warning,
            ..Refusal::status(failure.sip_status())
        };
        if let Err(error) = invite.line.reject(&refusal) {
            tracing::debug!(%error, "the caller was gone before the refusal");
        }
    }

    /// Everything up to the record's way to the disk: nothing here waits.
    fn open(&self, invite: &Invite) -> Result<Opening, Refused> {
        let began = Instant::now();
        let wall_us = wall_us();
        let shared = &self.shared;
        let serving = shared.serving.load_full();
        let trunk = match &invite.trunk {
            Some(trunk) => serving.table.trunk_by_id(trunk),
            None => serving.table.trunk(invite.source),
        };
        let trunk = trunk.ok_or(Failure::UnknownPeer)?;
        let (called, calling) = (&invite.to_user, &invite.from_user);
        let headers = &[&invite.headers[..], &invite.findings[..]].concat();
        let request = Request { source: Source::Trunk(&trunk.id), called, calling, headers, wall_us };
        let decision = routing::decide(shared, &serving, self.draining.load(Ordering::Acquire), &request);
        tracing::debug!("{decision}");
        let target = decision.outcome?;
        let agent = serving.agent(&target.agent)?.clone();
        let ticket = shared
            .admission
            .admit([&target.trunk, &target.tenant, &target.agent], invite.offer.demand(agent.demand), began)
            .map_err(|pool| {
                tracing::warn!(pool = pool.name(), "a call was refused: the pool is used up");
                pool.failure()
            })?;

        shared.load.admit(agent.demand[Pool::HeavySessions], u32::from_le_bytes(random()?)).map_err(overloaded)?;
        self.plane.check_room().map_err(|error| media_failure(&error))?;
        let settled = invite.offer.settle(trunk, &self.plane, shared, wall_us)?;
        // A stream is connected already.
        let mut ringing = if settled.session.is_some() { trunk.ringing } else { RingingPolicy::default() };
        // Our offer goes out with the answer; before it there is no way for sound.
        ringing.early_media &= settled.session.as_ref().is_none_or(|session| !session.is_offering());
        let call = Id::mint(Prefix::Call, wall_us / 1000, random()?);
        let key = serving.recording_key(&target.tenant).cloned();
        let mut recordings = CallRecordings::new(call.clone(), agent.spec.recording.clone(), key);
        let rate = settled.media.codec.sample_rate();
        let recording = recordings.begin_with_call(&shared.recorder, &shared.config, rate)?;
        let told = recordings.path().map(str::to_owned);
        let record = CallRecord {
            format: CALL_RECORD_FORMAT,
            call,
            tenant: target.tenant.clone(),
            agent: target.agent.clone(),
            agent_version: agent.version,
            handed_to: Vec::new(),
            trunk: Some(target.trunk.clone()),
            direction: CallDirection::Inbound,
            from: invite.from_user.clone(),
            to: invite.to_user.clone(),
            answered_us: wall_us + u64::from(ringing.ms) * 1000,
            ended_us: None,
            end: None,
            failure: None,
            usage: Vec::new(),
            recording: told,
            turns: 0,
            stages: Vec::new(),
        };
        let ambience = agent.spec.sound.over(&trunk.sound).ambience;
        if let Some(ambience) = &ambience {
            shared.beds.prepare(ambience, rate);
        }
        let written = shared.store.submit(Write::OpenCall(Box::new(record.clone()))).map_err(|error| {
            tracing::error!(%error, "a call cannot be journalled");
            Failure::StoreUnavailable
        })?;
        let (source, sound) =
            (sources(trunk), leg_sound(&agent.spec.sound.over(&trunk.sound), &agent.spec.interruption));
        let invite = invite.clone();
        Ok(Opening {
            invite,
            began,
            wall_us,
            agent,
            target,
            settled,
            ringing,
            source,
            sound,
            ambience,
            record,
            recordings,
            recording,
            ticket,
            written,
            serving,
        })
    }

    /// The record is durable: the call is answered, or rings first.
    fn ring(&mut self, now: Instant, key: CallKey, mut opening: Opening) {
        if opening.ringing.ms == 0 {
            return self.answer(Rung { opening, early: None });
        }
        let (mut early, mut described) = (None, None);
        if opening.ringing.early_media {
            match self.attach(&mut opening, None) {
                Ok(leg) => early = Some(leg),
                Err(failure) => return self.fail(opening, failure),
            }
            described = Some(opening.settled.answer.clone());
        }
        if let Err(error) = opening.invite.line.ring(described) {
            return self.gone(opening, &error);
        }
        let due = now + Duration::from_millis(opening.ringing.ms.into());
        self.ringing.begin(key, due, Rung { opening, early });
    }

    /// Media of an opening, with what it is recorded by.
    fn attach(&self, opening: &mut Opening, tap: Option<TapEnd>) -> Result<Leg, Failure> {
        let settled = &mut opening.settled;
        let rate = settled.media.codec.sample_rate();
        let mut start = LegStart::new(settled.media.clone(), opening.began);
        if settled.session.is_some() {
            start.source = opening.source.clone();
        }
        start.signalling_ip = Some(opening.invite.source);
        start.tap = tap;
        start.media_timeout_ms = self.shared.config.media_timeout_ms;
        start.ringback_ms = if opening.ringing.early_media { opening.ringing.ms } else { 0 };
        start.sound = opening.sound;
        start.ambience = opening.ambience.as_ref().and_then(|ambience| self.shared.beds.of(ambience, rate));
        start.rings = RingSizes { up: UP_FRAMES, down: DOWN_FRAMES, rate, ..RingSizes::default() };
        let attached = settled.link.take().ok_or(MediaError::Ended).and_then(|link| self.plane.attach(link, start));
        attached.map_err(|error| media_failure(&error))
    }

    /// An opening that media cannot serve.
    fn fail(&mut self, opening: Opening, failure: Failure) {
        self.refuse(&opening.invite, failure);
        self.close_unanswered(opening.record, opening.ticket, (EndReason::Failed, Some(failure)));
    }

    /// An opening whose caller is gone.
    fn gone(&mut self, opening: Opening, why: &dyn std::fmt::Display) {
        tracing::info!(call = %opening.record.call, %why, "the caller was gone before the answer");
        self.close_unanswered(opening.record, opening.ticket, (EndReason::CallerHungUp, None));
    }

    /// The call has rung for long enough: media, the 200 OK, and the agent.
    fn answer(&mut self, Rung { mut opening, early }: Rung) {
        if early.is_none() && opening.settled.link.as_ref().is_some_and(Link::is_over) {
            return self.gone(opening, &"its stream is over");
        }
        let (tap, recording_began) = opening.recording.take().unzip();
        let attached = match early {
            // What was said while it rang was said to nobody, and is not recorded.
            Some((mut leg, handle)) => {
                while leg.up.pop().is_ok() {}
                tap.map_or(Ok(()), |tap| handle.tap(tap)).map(|()| (leg, handle)).map_err(|error| media_failure(&error))
            }
            None => self.attach(&mut opening, tap),
        };
        let (leg, handle) = match attached {
            Ok(attached) => attached,
            Err(failure) => return self.fail(opening, failure),
        };
        let answer = std::mem::take(&mut opening.settled.answer);
        if let Err(error) = opening.invite.line.accept(answer) {
            return self.gone(opening, &error);
        }
        let ringing = opening.ringing;
        let Opening { invite, began, wall_us, serving, agent, target, settled, record, recordings, ticket, .. } =
            opening;
        let recording = recording_began.map(|began| (CallTime::from_ms(ringing.ms.into()), began));
        let (codec, session) = (settled.media.codec, settled.session);
        let suite = settled.media.srtp.as_ref().map(|srtp| srtp.suite.name());
        let trusted = serving.table.trunk_by_id(&target.trunk).is_some_and(|trunk| trunk.trusted);
        let mut variables = Inbound::read(&invite.from, &invite.headers, trusted).variables();
        variables.extend(invite.findings);
        self.hand_over(Beginning {
            key: invite.key,
            line: invite.line,
            sip_call_id: invite.call_id,
            from: invite.from_user,
            to: invite.to_user,
            variables,
            // A call that was passed on for ever ends some day.
            hops: invite.hops,
            began,
            wall_us,
            serving,
            agent,
            trunk: target.trunk,
            codec,
            suite,
            session,
            record,
            recordings,
            recording,
            ticket,
            leg,
            handle,
            placed: None,
        });
    }

    /// A call that is up goes to the worker of its media.
    fn hand_over(&mut self, beginning: Beginning) {
        let Beginning {
            key,
            line,
            sip_call_id,
            from,
            to,
            variables,
            hops,
            began,
            wall_us,
            serving,
            agent,
            trunk,
            codec,
            suite,
            session,
            record,
            recordings,
            recording,
            ticket,
            leg,
            handle,
            placed,
        } = beginning;
        let (call, tenant, agent_id) = (record.call.clone(), record.tenant.clone(), record.agent.clone());
        let setup = CallSetup {
            call: call.clone(),
            tenant: tenant.clone(),
            agent: agent_id.clone(),
            agent_version: agent.version,
            tools: self.shared.tool_bindings(&agent, &serving),
            others: self.shared.others(&agent, &serving),
            spec: agent.spec,
            trunk: Some(trunk.clone()),
            gateway: self.shared.config.gateway.clone(),
            direction: record.direction,
            from: from.clone(),
            to: to.clone(),
            variables,
            anchor: Anchor { wall_us, call_us: 0 },
            // Event identifiers follow from it; they need not be secret.
            seed: random().map_or(wall_us, u64::from_le_bytes),
            codec: codec.to_string(),
            sip_call_id: Some(sip_call_id.clone()).filter(|id| !id.is_empty()),
        };
        let recording_key = serving.recording_key(&tenant);
        let mut machine = self.shared.captures.call(setup.clone(), &serving, recording_key);
        if let Some((at, began)) = recording {
            // It begins with the answer, as the tap does; the call's time with the INVITE.
            machine.handle(at, Input::Recording(began));
        }
        let worker = handle.worker();
        let info = CallInfo {
            id: call.clone(),
            tenant,
            agent: agent_id,
            agent_version: agent.version,
            from,
            to,
            trunk,
            sip_call_id,
            answered_us: record.answered_us,
            ended: false,
            recording: record.recording.clone(),
            recording_state: recordings.now(),
        };
        let entry = self.shared.directory.began(info, worker);
        count(&self.shared.counters.answered);
        tracing::info!(%call, agent_version = agent.version, codec = setup.codec, srtp = suite, "call answered");
        if let Some(sdp) = session {
            let (call, rate, line) = (call.clone(), codec.sample_rate(), Arc::clone(&line));
            self.dialogs.insert(key, Dialog::new(call, LegId::FIRST, worker, sdp, rate, line));
        }
        let goodbye = Arc::clone(&line);
        let new = NewCall {
            id: call.clone(),
            call: machine,
            setup,
            leg,
            handle,
            recordings,
            line,
            serving,
            entry,
            ticket,
            began,
            hops,
            placed,
        };
        if let Err(Order::Begin(new)) = self.workers[worker].give(Order::Begin(Box::new(new))) {
            tracing::error!(%call, "the agent worker is swamped; the call was given up");
            self.shared.directory.ended(&call);
            let (failure, NewCall { ticket, .. }) = (Failure::GatewayFull, *new);
            self.close_unanswered(record, ticket, (EndReason::Failed, Some(failure)));
            let _ = goodbye.bye(&ByeReason { q850: failure.q850_cause(), text: failure.name().to_owned() });
        }
    }

    /// Closes the record of a call that never had a conversation, so that the journal does not keep it.
    fn close_unanswered(&mut self, mut record: CallRecord, ticket: Ticket, end: (EndReason, Option<Failure>)) {
        record.ended_us = Some(record.answered_us);
        // Nothing was heard, so there is no file.
        record.recording = None;
        (record.end, record.failure) = (Some(end.0), end.1);
        self.unanswered.push(Unanswered::begin(record, ticket, &self.shared));
    }

    fn reoffer(&mut self, reoffer: Reoffer) {
        let Some(dialog) = self.dialogs.get_mut(&reoffer.call) else {
            reoffer.handle.refuse(&Refusal::status(481));
            return;
        };
        let Some(offer) = reoffer.offer.as_deref() else {
            let offer = dialog.sdp.offer();
            if reoffer.handle.answer(offer).is_err() {
                dialog.sdp.withdraw();
            }
            return;
        };
        // Until the far end is told otherwise the session is as it was.
        let mut changed = dialog.sdp.clone();
        let answer = match changed.answer(offer) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(%error, call = %dialog.call, "the new offer cannot be answered; the call goes on as it was");
                let refusal = Refusal { warning: error.warning(), ..Refusal::status(error.sip_status()) };
                return reoffer.handle.refuse(&refusal);
            }
        };
        if let Err(error) = check_change(&answer.media, dialog.rate) {
            tracing::warn!(%error, call = %dialog.call, "media cannot be changed; the call goes on as it was");
            return reoffer.handle.refuse(&Refusal::status(488));
        }
        if let Err(error) = reoffer.handle.answer(answer.sdp) {
            tracing::debug!(%error, "a change of media was no longer waited for");
            return;
        }
        dialog.sdp = changed;
        let (worker, order) = (dialog.worker, dialog.media_changed(answer.media));
        self.order(worker, order);
    }

    /// Our answer was acknowledged; when it carried an offer, theirs comes with the ACK. Without one that can be used a call
    /// has no sound and is ended, but one whose media was settled before goes on as it was.
    fn acked(&mut self, key: CallKey, answer: Option<&str>) {
        let Some(dialog) = self.dialogs.get_mut(&key).filter(|dialog| dialog.sdp.is_offering()) else { return };
        let (call, worker) = (dialog.call.clone(), dialog.worker);
        let taken = dialog.sdp.accept_answer(answer.unwrap_or_default()).cloned();
        let ended = dialog.ended(EndCause::Failed);
        match taken {
            Ok(media) => {
                let order = dialog.media_changed(media);
                self.order(worker, order);
            }
            Err(error) if dialog.sdp.media().is_some() => {
                tracing::info!(%error, %call, "the answer of the ACK cannot be used; the call goes on as it was");
            }
            Err(error) => {
                tracing::info!(%error, %call, "the answer of the ACK cannot be used; the call is ended");
                let failure = Failure::OfferUnacceptable;
                let _ = dialog.line.bye(&ByeReason { q850: failure.q850_cause(), text: failure.name().to_owned() });
                self.dialogs.remove(&key);
                self.order(worker, ended);
            }
        }
    }

    /// The far end is gone, whether the call was answered or not.
    pub(crate) fn ended(&mut self, key: CallKey, cause: EndCause) {
        if self.proving.as_mut().is_some_and(|proving| proving.give_up(key)) {
            tracing::info!(?cause, "the caller was gone before it was known who calls");
        } else if let Some(opening) = self.openings.give_up(key, cause) {
            // Its ports are free at once, its record must be durable before it can be closed.
            opening.settled.link = None;
        } else if let Some(Rung { opening, early }) = self.ringing.give_up(key) {
            drop(early);
            tracing::info!(call = %opening.record.call, ?cause, "the caller was gone before the answer");
            self.close_unanswered(opening.record, opening.ticket, unanswered_end(cause));
        } else if let Some(dialog) = self.dialogs.remove(&key) {
            self.order(dialog.worker, dialog.ended(cause));
        }
    }

    /// Gives an order that must not be lost: the far end was told already that it is carried out.
    fn order(&mut self, worker: usize, order: Order) {
        // Of two changes of a call's media only the last counts.
        if let Order::MediaChanged(call, _) = &order {
            self.late.retain(|(_, late)| !matches!(late, Order::MediaChanged(other, _) if other == call));
        }
        self.late.push((worker, order));
        self.give_late_orders();
    }

    fn give_late_orders(&mut self) {
        for (worker, order) in std::mem::take(&mut self.late) {
            let swamped = self.late.iter().any(|(other, _)| *other == worker);
            let left = if swamped { Err(order) } else { self.workers[worker].give(order) };
            if let Err(order) = left
                && !self.workers[worker].is_gone()
            {
                self.late.push((worker, order));
            }
        }
    }
}

/// How a call ended that was never answered.
const fn unanswered_end(cause: EndCause) -> (EndReason, Option<Failure>) {
    match cause {
        EndCause::Failed | EndCause::Local => (EndReason::Failed, Some(Failure::Internal)),
        _ => (EndReason::CallerHungUp, None),
    }
}

/// Whose RTP is believed on a trunk.
pub(crate) fn sources(trunk: &Trunk) -> SourcePolicy {
    match trunk.source {
        MediaSource::Strict => SourcePolicy::Strict,
        MediaSource::Learn => SourcePolicy::Learn,
        MediaSource::Acl => {
            let ranges = trunk.media_peers.iter().filter_map(|range| AddressRange::new(range.network(), range.bits()));
            SourcePolicy::Acl(ranges.collect())
        }
    }
}

fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
