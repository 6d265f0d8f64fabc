//! A call in progress: its state machine between the leg it drives and the plugin sessions it asks, stepped by one agent
//! worker.

mod commands;
mod conferring;
mod dialling;
mod engine;
mod legs;
mod ports;
mod sessions;
mod telephone;
mod thinking;
mod wreck;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use trunkline_api::event::EventType;
use trunkline_api::usage::{CallRecord, EndReason, Units};
use trunkline_api::words::ProviderKind;
use trunkline_api::{Event, Failure, Id};
use trunkline_call::tape::Taped;
use trunkline_call::{CallSetup, Input, Operator};
use trunkline_leg::{AgentEnd, CallTime, Codec, DtmfDigit, EndCause, LegId, MediaSpec};
use trunkline_media::LegHandle;

use crate::capacity::Ticket;
use crate::counters::count;
use crate::directory::Entry;
use crate::echo::Echo;
use crate::health::{HealthWatch, LISTED};
use crate::line::Line;
use crate::lookups::Lookups;
use crate::outbound::Placed;
use crate::outbox::Outbox;
use crate::prompts::AgentPrompts;
use crate::recording::{CallRecordings, RecordingOrder, RecordingRefused, RecordingState};
use crate::redacting::Redacting;
use crate::serving::Serving;
use crate::session::Place;
use crate::shared::Shared;
use crate::tool_times::OpenTools;

use engine::EngineSeat;
pub(crate) use legs::{Follower, LegNews};

use legs::Legs;
use ports::Ports;
use sessions::{Sessions, Taken, What};

/// How soon a call that waits for the disk or for its session's next turn is looked at again.
const GRID_US: u64 = 5_000;
/// How long a call that waits for nothing is left alone at most.
const LOOKS_US: u64 = 60_000_000;
/// The same for one whose sound waits for room in a full ring, of which two frames are played meanwhile.
const ROOM_US: u64 = 40_000;
/// How long a call that is over waits for its recordings' last writes before its record is closed without their end.
const LAST_RECORDING_US: u64 = 5_000_000;
/// How long a call that is over waits for what its sessions still report.
const LAST_USAGE_US: u64 = 2_000_000;
/// Commands of one step are bounded by the call itself; this ends a step that is not.
const MAX_COMMANDS: usize = 256;
/// What sessions say in one step is bounded by what they may have in store; this ends a step in which a thread of the side
/// pool is as quick as this one.
const MAX_TAKEN: usize = 1024;

/// A call as intake hands it over.
pub(crate) struct NewCall {
    /// The call.
    pub(crate) id: Id,
    /// Its state machine.
    pub(crate) call: Taped,
    /// What the state machine was told.
    pub(crate) setup: CallSetup,
    /// Its leg, agent side.
    pub(crate) leg: AgentEnd,
    /// Its leg, control.
    pub(crate) handle: LegHandle,
    /// Its recordings.
    pub(crate) recordings: CallRecordings,
    /// Its SIP dialog.
    pub(crate) line: Arc<dyn Line>,
    /// What it is served by, for as long as it lasts.
    pub(crate) serving: Arc<Serving>,
    /// Where operators see it.
    pub(crate) entry: Arc<Entry>,
    /// Its share of what calls use up.
    pub(crate) ticket: Ticket,
    /// Call time zero.
    pub(crate) began: Instant,
    /// Max-Forwards of what it places itself.
    pub(crate) hops: u8,
    /// Its place among calls that leave, when an operator placed it.
    pub(crate) placed: Option<Placed>,
}

/// A call in progress.
pub(crate) struct Active {
    pub(crate) id: Id,
    call: Taped,
    setup: CallSetup,
    ports: Legs,
    sessions: Sessions,
    engine: EngineSeat,
    recordings: CallRecordings,
    serving: Arc<Serving>,
    /// Lines of the agent that were rendered beforehand.
    prompts: AgentPrompts,
    lookups: Lookups,
    entry: Arc<Entry>,
    shared: Arc<Shared>,
    health: HealthWatch,
    open_tools: OpenTools,
    outbox: Outbox,
    /// How long the record waits for the files of its recordings, once the call is over.
    last_recording_by: Option<CallTime>,
    /// How long it waits for what its sessions have used.
    last_usage_by: Option<CallTime>,
    /// The record of a call that has failed in a way that leaves nobody to tell of it.
    wreck: Option<Box<CallRecord>>,
    /// When to look again although nothing arrives.
    due: CallTime,
    /// Somebody is to hear something that is not there yet.
    sound_waits: bool,
    /// How often a call of its own may be passed on.
    hops: u8,
    /// Its place in a conference.
    conference: Option<crate::conferences::Place>,
    /// Given back once the record is durable.
    _ticket: Ticket,
}

impl Active {
    /// A call whose conversation has not begun.
    pub(crate) fn new(mut new: NewCall, shared: Arc<Shared>, place: Place) -> Self {
        new.recordings.wake(place.bell.waker());
        let redacting = Redacting::new(&new.setup.spec.redaction);
        let (id, echo) = (new.id, shared.config.echo.then(Echo::default));
        Self {
            call: new.call,
            setup: new.setup,
            ports: Legs::new(
                id.clone(),
                Ports::new(id.clone(), LegId::FIRST, new.leg, new.handle, new.line, echo),
                new.placed,
            ),
            hops: new.hops,
            conference: None,
            sessions: Sessions::new(place, redacting),
            engine: EngineSeat::default(),
            recordings: new.recordings,
            serving: new.serving,
            prompts: AgentPrompts::default(),
            lookups: Lookups::default(),
            entry: new.entry,
            health: HealthWatch::default(),
            open_tools: OpenTools::default(),
            outbox: Outbox::new(id.clone(), &shared),
            last_recording_by: None,
            last_usage_by: None,
            wreck: None,
            due: CallTime::ZERO,
            sound_waits: false,
            _ticket: new.ticket,
            id,
            shared,
        }
    }

    /// Begins the conversation.
    pub(crate) fn begin(&mut self) {
        self.tell_prompts(self.now());
        self.told(Input::Answered);
    }

    /// An operator's order.
    pub(crate) fn order(&mut self, order: Operator) {
        self.told(Input::Operator(order));
    }

    /// An operator's order about the recording.
    pub(crate) fn record(&mut self, order: RecordingOrder) -> Result<RecordingState, RecordingRefused> {
        if self.wreck.is_some() {
            return Err(RecordingRefused::NoCall);
        }
        let rate = self.setup.codec.parse::<Codec>().map_or(8000, Codec::sample_rate);
        let Shared { recorder, config, .. } = &*self.shared;
        let (state, fact) = self.recordings.order(order, recorder, config, rate, self.ports.handle())?;
        self.entry.recorded(&state);
        if let Some(fact) = fact {
            self.told(Input::Recording(fact));
        }
        Ok(state)
    }

    /// Tells the call which of its agent's lines were rendered beforehand.
    fn tell_prompts(&mut self, now: CallTime) {
        let Shared { prompts, plugins, .. } = &*self.shared;
        self.prompts = prompts.of_agent(plugins, &self.serving, &self.setup.tenant, &self.setup.spec);
        self.tell(now, Input::Prompts { texts: self.prompts.texts() });
    }

    /// Records a message that the caller leaves, or ends that.
    fn record_message(&mut self, now: CallTime, on: bool) {
        let rate = self.setup.codec.parse::<Codec>().map_or(8000, Codec::sample_rate);
        let Shared { recorder, config, .. } = &*self.shared;
        let (fact, state) = self.recordings.message(on, recorder, config, rate, self.ports.handle());
        if let Some(state) = state {
            self.entry.recorded(&state);
        }
        if let Some(fact) = fact {
            self.tell(now, Input::Recording(fact));
        }
    }

    /// The gateway drains.
    pub(crate) fn drain(&mut self) {
        self.told(Input::Drain);
    }

    /// The far end ended the dialog.
    pub(crate) fn dialog_ended(&mut self, cause: EndCause) {
        self.ports.dialog_ended(LegId::FIRST, cause);
    }

    /// A re-INVITE changed the media.
    pub(crate) fn media_changed(&mut self, spec: MediaSpec) {
        if let Some(direction) = self.ports.media_changed(LegId::FIRST, spec, self.now()) {
            self.told(direction);
        }
    }

    /// A key that was told by signalling.
    pub(crate) fn pressed(&mut self, digit: DtmfDigit) {
        if let Some(input) = self.ports.pressed(LegId::FIRST, digit, self.now()) {
            self.told(input);
        }
    }

    /// Has a session work on a request that the call knows nothing of.
    #[cfg(test)]
    pub(crate) fn work(&mut self, kind: ProviderKind, provider: &str, heavy: bool, puppet: crate::rig::Puppet) {
        let session = crate::session::Session::open(self.sessions.place(), heavy, |_| puppet.opener());
        session.serve(self.sessions.place(), 0);
        self.sessions.start(kind, 0, provider.to_owned(), session);
    }

    /// When the call began.
    pub(crate) const fn began(&self) -> Instant {
        self.sessions.place().began
    }

    /// When it is to be looked at again although nothing arrives, in call time; as of the last step.
    pub(crate) const fn due(&self) -> CallTime {
        self.due
    }

    /// Does whatever is due. True once the call is over and its record durable.
    pub(crate) fn step(&mut self) -> bool {
        count(&self.shared.counters.steps);
        let now = self.now();
        if let Some(record) = self.wreck.take() {
            return self.settle_wreck(now, record);
        }
        self.sound_waits = self.ports.change_media(&self.shared.beds);
        if self.call.is_over() {
            self.due = CallTime(now.0 + GRID_US);
            return self.close(now);
        }
        self.recorded(now);
        self.hear_of_providers(now);
        while let Some(input) = self.sessions.waiting(now) {
            self.tell(now, input);
        }
        while let Some(input) = self.ports.hear(&mut self.sessions.listening) {
            self.tell(now, input);
        }
        self.carry_out(now);
        self.found(now);
        self.listen_to_engine(now);
        self.sessions.serve(now);
        self.take(now);
        while self.call.poll_timeout().is_some_and(|(due, _)| due <= now) {
            self.tell(now, Input::Timeout);
            self.carry_out(now);
        }
        self.carry_out(now);
        self.ports.pump(&mut self.sessions.speaking);
        self.journal(now);
        // Sessions that were opened or told something in this step run at once; what they say is for the next.
        self.sessions.serve(now);
        self.due = self.next_due(now);
        false
    }

    fn next_due(&self, now: CallTime) -> CallTime {
        if self.call.is_over() {
            return now;
        }
        let soon = CallTime(now.0 + GRID_US);
        let room = self.sessions.speaking.waits_for_room().then_some(CallTime(now.0 + ROOM_US));
        let disk = self.outbox.due().map(|due| due.max(soon));
        let call = self.call.poll_timeout().map(|(due, _)| due);
        let engine = self.engine.due().map(|due| due.max(soon));
        let others = (self.ports.has_others() || self.sound_waits).then_some(soon);
        let all = [call, room, disk, engine, others, self.sessions.due(now, soon)].into_iter().flatten();
        all.fold(CallTime(now.0 + LOOKS_US), CallTime::min)
    }

    fn now(&self) -> CallTime {
        CallTime(u64::try_from(self.began().elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Tells the call something; everything it ever learns comes through here.
    fn tell(&mut self, now: CallTime, input: Input) {
        self.call.handle(now, input);
    }

    /// Tells the call something that happened just now, and does what it wants done about it.
    fn told(&mut self, input: Input) {
        if self.wreck.is_some() {
            return;
        }
        let now = self.now();
        self.tell(now, input);
        self.carry_out(now);
    }

    /// Tells the call what its sessions have learned, of which each may change what the next is good for.
    fn take(&mut self, now: CallTime) {
        for _ in 0..MAX_TAKEN {
            let Some(Taken { kind, provider, what }) = self.sessions.take() else { break };
            match what {
                What::Learned(input, works) => {
                    if works {
                        self.shared.health.worked(&self.setup.tenant, kind, &provider);
                    }
                    self.tell(now, input);
                }
                What::Used(units) => self.used(now, kind, provider, units),
            }
            self.carry_out(now);
            if kind == ProviderKind::Tts {
                self.ports.pump(&mut self.sessions.speaking);
            }
        }
        self.shared.counters.dropped_inputs.fetch_add(self.sessions.newly_lost(), Ordering::Relaxed);
    }

    fn used(&mut self, now: CallTime, kind: ProviderKind, provider: String, units: Units) {
        self.shared.counters.plugin_us.fetch_add(units.plugin_us, Ordering::Relaxed);
        self.tell(now, Input::Usage { kind, provider, units });
    }

    /// Takes what sessions that were let go of have used.
    fn settle(&mut self, now: CallTime) {
        while let Some(Taken { kind, provider, what }) = self.sessions.settle() {
            match what {
                What::Used(units) => self.used(now, kind, provider, units),
                What::Learned(..) => {}
            }
        }
    }

    /// Carries out what the call asks, until it asks nothing more, then stores what it tells.
    fn carry_out(&mut self, now: CallTime) {
        for _ in 0..MAX_COMMANDS {
            match self.call.poll_transmit() {
                Some(command) => self.command(now, command),
                None => break,
            }
        }
        self.settle(now);
        while let Some(event) = self.call.poll_event() {
            self.publish(event);
        }
    }

    /// Tells the call which of its providers other calls hold for dead, and which no more.
    fn hear_of_providers(&mut self, now: CallTime) {
        let (shared, CallSetup { tenant, spec, .. }) = (&self.shared, &self.setup);
        for (kind, provider, up) in self.health.news(&shared.health, tenant, spec) {
            self.tell(now, Input::Health { kind, provider, up });
        }
    }

    /// Stores an event, shows it to operators and counts what metrics count.
    fn publish(&mut self, event: Event) {
        let kind = EventType::from_name(&event.kind);
        if let Some(kind) = kind {
            self.open_tools.follow(&self.shared.counters.tool_times, kind, &event);
        }
        match kind {
            Some(EventType::TurnStarted) => count(&self.shared.counters.turns),
            Some(EventType::TurnWaterfall) => self.shared.counters.turn_stages.count(&event.data),
            Some(EventType::PlaybackCut) => count(&self.shared.counters.interruptions),
            Some(EventType::CallEnded) if !self.setup.spec.analysis.is_empty() => {
                let now = self.now();
                self.outbox.journal_now(now);
            }
            Some(EventType::FailureRaised) => {
                if let Some(Ok(failure)) = event.data["failure"].as_str().map(str::parse) {
                    self.shared.counters.failed(failure);
                }
                let provider = event.data["provider"].as_str().unwrap_or_default();
                for kind in LISTED {
                    if self.setup.spec.providers(kind).any(|entry| entry.provider == provider) {
                        self.shared.health.failed(&self.setup.tenant, kind, provider);
                    }
                }
            }
            _ => {}
        }
        let event = Arc::new(event);
        self.entry.happened(&event);
        if kind.is_none_or(EventType::is_kept) {
            self.outbox.event(self.now(), event);
        }
    }

    /// Journals usage now and then.
    fn journal(&mut self, now: CallTime) {
        let (call, wall_us) = (&mut self.call, self.setup.anchor.wall_us(now));
        self.outbox.checkpoint(now, wall_us, || call.checkpoint(now).clone());
        self.outbox.flush(now);
    }

    /// Tells of recordings that have ended.
    fn recorded(&mut self, now: CallTime) {
        while let Some((fact, state)) = self.recordings.poll() {
            if let Some(state) = state {
                self.entry.recorded(&state);
            }
            self.tell(now, Input::Recording(fact));
        }
    }

    /// Lets go of everything and waits, step by step, until the record is durable.
    fn close(&mut self, now: CallTime) -> bool {
        self.carry_out(now);
        self.engine.close();
        self.sessions.close_all();
        self.settle(now);
        let patience = *self.last_usage_by.get_or_insert(CallTime(now.0 + LAST_USAGE_US));
        if !self.sessions.is_settled() && now < patience {
            return false;
        }
        self.ports.let_go();
        self.conference = None;
        self.recorded(now);
        self.carry_out(now);
        let patience = *self.last_recording_by.get_or_insert(CallTime(now.0 + LAST_RECORDING_US));
        if !self.recordings.is_settled() && now < patience {
            return false;
        }
        if !self.outbox.close(now, self.call.record()) {
            self.due = self.outbox.due().unwrap_or(self.due).max(CallTime(now.0 + GRID_US));
            return false;
        }
        count(&self.shared.counters.finished);
        self.shared.directory.ended(&self.id);
        let record = self.call.record();
        tracing::info!(
            call = %self.id,
            seconds = record.total().call_ms / 1000,
            turns = record.turns,
            end = ?record.end.unwrap_or(EndReason::Failed),
            failure = record.failure.map(Failure::name),
            "call ended"
        );
        true
    }
}
