//! A call in progress: its state machine, its leg and its plugin sessions, stepped by one agent worker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use trunkline_api::agent::Pipeline;
use trunkline_api::event::EventType;
use trunkline_api::usage::EndReason;
use trunkline_api::words::ProviderKind;
use trunkline_api::{AgentSpec, Event, Failure, Id};
use trunkline_call::{AsrEvent, Call, CallSetup, Command, Input, LlmEvent, Operator, ToolOutcome, TtsEvent, VoiceEdge};
use trunkline_leg::{AgentEnd, CallTime, Codec, Direction, EndCause, LegFact, LegId, MediaSpec, PlayoutPosition};
use trunkline_media::LegHandle;
use trunkline_sip::ByeReason;

use crate::capacity::Ticket;
use crate::counters::count;
use crate::directory::Entry;
use crate::echo::Echo;
use crate::line::Line;
use crate::listening::Listening;
use crate::outbox::Outbox;
use crate::recording::{CallRecordings, RecordingOrder, RecordingRefused, RecordingState};
use crate::redacting::Redacting;
use crate::serving::Serving;
use crate::session::{Output, Place, Session, ToolContext, is_online, open_asr, open_llm, open_tool, open_tts};
use crate::shared::Shared;
use crate::speaking::{Report, Speaking, Spoken};

/// How soon a call that waits for the disk or for its session's next turn is looked at again.
const GRID_US: u64 = 5_000;
/// How long a call that waits for nothing is left alone at most.
const LOOKS_US: u64 = 60_000_000;
/// The same for one whose sound waits for room in a full ring, of which two frames are played meanwhile.
const ROOM_US: u64 = 40_000;
/// How long a call that is over waits for its recordings' last writes before its record is closed without their end.
const LAST_RECORDING_US: u64 = 5_000_000;
/// How long a session may wait for a thread before what it owes is late by this host's fault.
const LATE_US: u64 = 100_000;
/// How long a call that is over waits for what its sessions still report.
const LAST_USAGE_US: u64 = 2_000_000;
/// Commands, events and sessions of one step are bounded by the call itself; this ends a step that is not.
const MAX_COMMANDS: usize = 256;

/// A call as intake hands it over.
pub(crate) struct NewCall {
    /// The call.
    pub(crate) id: Id,
    /// Its state machine.
    pub(crate) call: Call,
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
}

/// A call in progress.
pub(crate) struct Active {
    pub(crate) id: Id,
    call: Call,
    setup: CallSetup,
    leg: AgentEnd,
    handle: LegHandle,
    recordings: CallRecordings,
    line: Arc<dyn Line>,
    serving: Arc<Serving>,
    entry: Arc<Entry>,
    place: Place,
    shared: Arc<Shared>,
    playout: PlayoutPosition,
    listening: Listening,
    speaking: Speaking,
    thinking: Vec<(u32, String, Session)>,
    tools: Vec<(u32, String, Session)>,
    /// Sessions that were let go of and may still report what they used.
    parting: Vec<(ProviderKind, String, Session)>,
    /// Kinds of sessions that wait for this host, as the call was told.
    behind: [bool; 4],
    /// Providers that the call was told are dead, and as of when.
    down: Vec<(ProviderKind, String)>,
    health_seen: u64,
    redacting: Redacting,
    echo: Option<Echo>,
    outbox: Outbox,
    /// How long the record waits for the files of its recordings, once the call is over.
    last_recording_by: Option<CallTime>,
    /// How long it waits for what its sessions have used.
    last_usage_by: Option<CallTime>,
    bye_sent: bool,
    leg_over: bool,
    lost_inputs: u64,
    /// When to look again although nothing arrives.
    due: CallTime,
    /// Given back once the record is durable.
    _ticket: Ticket,
}

impl Active {
    /// A call whose conversation has not begun.
    pub(crate) fn new(mut new: NewCall, shared: Arc<Shared>, place: Place) -> Self {
        new.recordings.wake(place.bell.waker());
        let redacting = Redacting::new(&new.setup.spec.redaction);
        let id = new.id.clone();
        Self {
            id: new.id,
            call: new.call,
            setup: new.setup,
            leg: new.leg,
            handle: new.handle,
            recordings: new.recordings,
            line: new.line,
            serving: new.serving,
            entry: new.entry,
            place,
            playout: PlayoutPosition::default(),
            listening: Listening::default(),
            speaking: Speaking::default(),
            thinking: Vec::new(),
            tools: Vec::new(),
            parting: Vec::new(),
            behind: [false; 4],
            down: Vec::new(),
            health_seen: 0,
            redacting,
            echo: shared.config.echo.then(Echo::default),
            outbox: Outbox::new(id, &shared),
            last_recording_by: None,
            last_usage_by: None,
            bye_sent: false,
            leg_over: false,
            lost_inputs: 0,
            due: CallTime::ZERO,
            _ticket: new.ticket,
            shared,
        }
    }

    /// Begins the conversation.
    pub(crate) fn begin(&mut self) {
        let now = self.now();
        self.call.handle(now, Input::Answered);
        self.carry_out(now);
    }

    /// An operator's order.
    pub(crate) fn order(&mut self, order: Operator) {
        let now = self.now();
        self.call.handle(now, Input::Operator(order));
        self.carry_out(now);
    }

    /// An operator's order about the recording.
    pub(crate) fn record(&mut self, order: RecordingOrder) -> Result<RecordingState, RecordingRefused> {
        let now = self.now();
        let rate = self.setup.codec.parse::<Codec>().map_or(8000, Codec::sample_rate);
        let Shared { recorder, config, .. } = &*self.shared;
        let (state, fact) = self.recordings.order(order, recorder, config, rate, &self.handle)?;
        self.entry.recorded(&state);
        if let Some(fact) = fact {
            self.call.handle(now, Input::Recording(fact));
            self.carry_out(now);
        }
        Ok(state)
    }

    /// The gateway drains.
    pub(crate) fn drain(&mut self) {
        let now = self.now();
        self.call.handle(now, Input::Drain);
        self.carry_out(now);
    }

    /// The far end ended the dialog.
    pub(crate) fn dialog_ended(&mut self, cause: EndCause) {
        self.bye_sent = true;
        self.handle.end(cause);
    }

    /// A re-INVITE changed the media.
    pub(crate) fn media_changed(&mut self, spec: MediaSpec) {
        let now = self.now();
        self.fact(now, LegFact::Direction { direction: direction(&spec), at: now });
        self.carry_out(now);
        if let Err(error) = self.handle.update(spec) {
            tracing::warn!(call = %self.id, %error, "media could not be changed");
        }
    }

    /// A step of it panicked: the far end is told, and the record closed with what is known. Nothing else of the call is
    /// to be trusted.
    pub(crate) fn crashed(&mut self) {
        self.handle.end(EndCause::Failed);
        self.bye(Some(Failure::Internal));
        let now = self.now();
        let mut record = self.call.checkpoint(now).clone();
        record.end = Some(EndReason::Failed);
        record.failure = Some(Failure::Internal);
        record.ended_us.get_or_insert(self.setup.anchor.wall_us(now));
        self.outbox.crashed(&self.setup, &record, now);
        self.shared.counters.failed(Failure::Internal);
        self.shared.directory.ended(&self.id);
    }

    /// When the call began.
    pub(crate) const fn began(&self) -> Instant {
        self.place.began
    }

    /// When it is to be looked at again although nothing arrives, in call time; as of the last step.
    pub(crate) const fn due(&self) -> CallTime {
        self.due
    }

    /// Does whatever is due. True once the call is over and its record durable.
    pub(crate) fn step(&mut self) -> bool {
        count(&self.shared.counters.steps);
        let now = self.now();
        if self.call.is_over() {
            self.due = CallTime(now.0 + GRID_US);
            return self.close(now);
        }
        self.recorded(now);
        self.settle_up();
        self.hear_of_providers(now);
        self.tell_who_waits(now);
        self.redacted(now);
        self.hear(now);
        self.serve(now);
        self.listen(now);
        self.think(now);
        self.run_tools(now);
        self.speak(now);
        while self.call.poll_timeout().is_some_and(|(due, _)| due <= now) {
            self.call.handle(now, Input::Timeout);
            self.carry_out(now);
        }
        self.carry_out(now);
        self.speaking.pump(&mut self.leg);
        self.journal(now);
        // Sessions that were opened or told something in this step run at once; what they say is for the next.
        self.serve(now);
        self.due = self.next_due(now);
        false
    }

    fn next_due(&self, now: CallTime) -> CallTime {
        let ahead = self.speaking.is_ahead();
        let heard = self.listening.session().into_iter().chain(self.redacting.session_elsewhere());
        let heard = heard.chain(self.thinking_and_tools());
        let spoken = self.speaking.sessions();
        if self.call.is_over()
            || heard.clone().any(Session::has_output)
            || (!ahead && self.speaking.sessions().any(Session::has_output))
        {
            return now;
        }
        let soon = CallTime(now.0 + GRID_US);
        let room = self.speaking.waits_for_room().then_some(CallTime(now.0 + ROOM_US));
        let disk = self.outbox.due().map(|due| due.max(soon));
        let call = self.call.poll_timeout().map(|(due, _)| due);
        // A session that had its slice and wants more waits for its turn; a voice that is ahead waits for room.
        let voices = spoken.filter_map(|voice| if ahead { voice.timer_us() } else { voice.due_us(now.0) });
        let sessions = heard.filter_map(|session| session.due_us(now.0)).chain(voices);
        let sessions = sessions.map(|due_us| soon.max(CallTime(due_us)));
        let all = [call, room, disk].into_iter().flatten().chain(sessions);
        all.fold(CallTime(now.0 + LOOKS_US), CallTime::min)
    }

    fn thinking_and_tools(&self) -> impl Iterator<Item = &Session> + Clone {
        self.thinking.iter().chain(&self.tools).map(|(_, _, session)| session)
    }

    fn now(&self) -> CallTime {
        CallTime(u64::try_from(self.place.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Facts, frames and the playout position from media.
    fn hear(&mut self, now: CallTime) {
        while let Ok(fact) = self.leg.facts.pop() {
            if let LegFact::Ended { cause, .. } = fact {
                self.leg_over = true;
                if matches!(cause, EndCause::MediaTimeout | EndCause::Failed) {
                    self.bye(Some(Failure::MediaTimeout));
                }
            }
            if self.echo.is_none() || !Echo::is_own(&fact) {
                self.fact(now, fact);
            }
        }
        while let Ok(frame) = self.leg.up.pop() {
            if let Some(echo) = &mut self.echo {
                echo.hear(&frame, &mut self.leg);
            }
            let vad = frame.vad;
            // The sure detector is late; speech began when the sound did.
            let onset_us = if vad.speech { u64::from(vad.onset_ms) * 1000 } else { 0 };
            let at = CallTime(frame.arrival.0.saturating_sub(onset_us));
            let edge = VoiceEdge { speech: vad.speech, at, level_dbfs: vad.level_dbfs };
            let edge = vad.changed.then_some(edge);
            self.listening.frame(&frame, edge);
            if let Some(edge) = edge {
                self.call.handle(now, Input::Voice(edge));
            }
            if vad.interrupts {
                self.call.handle(now, Input::Interrupts);
            }
        }
        while self.leg.levels.pop().is_ok() {}
        let playout = self.leg.playout.position();
        if playout != self.playout && self.echo.is_none() {
            self.playout = playout;
            self.call.handle(now, Input::Playout(playout));
        }
        self.carry_out(now);
    }

    fn serve(&self, now: CallTime) {
        let sessions = self.listening.session().into_iter().chain(self.speaking.sessions());
        let sessions = sessions.chain(self.redacting.session_elsewhere());
        for session in sessions.chain(self.thinking_and_tools()) {
            session.serve(&self.place, now.0);
        }
    }

    fn listen(&mut self, now: CallTime) {
        while let Some((session, provider, output)) = self.listening.poll() {
            match output {
                Output::Asr(event) => {
                    if matches!(event, AsrEvent::Final { .. }) {
                        self.shared.health.worked(&self.setup.tenant, ProviderKind::Asr, &provider);
                    }
                    self.call.handle(now, Input::Asr { session, event });
                }
                Output::Usage(units) => self.used(ProviderKind::Asr, &provider, &units),
                Output::Failed { failure, detail } => {
                    let event = AsrEvent::Failed { failure, detail };
                    self.call.handle(now, Input::Asr { session, event });
                }
                Output::Llm(_)
                | Output::Sound { .. }
                | Output::ContextDone { .. }
                | Output::Tool(_)
                | Output::Redacted { .. } => {}
            }
            self.carry_out(now);
        }
        let lost = self.listening.dropped_inputs();
        if lost > self.lost_inputs {
            self.shared.counters.dropped_inputs.fetch_add(lost - self.lost_inputs, Ordering::Relaxed);
        }
        self.lost_inputs = lost;
    }

    fn think(&mut self, now: CallTime) {
        let mut position = 0;
        while let Some((request, provider, session)) = self.thinking.get(position) {
            let Some(output) = session.poll() else {
                position += 1;
                continue;
            };
            let (request, provider) = (*request, provider.clone());
            let over =
                matches!(output, Output::Failed { .. } | Output::Llm(LlmEvent::Finished(_) | LlmEvent::Failed { .. }));
            if over {
                let (_, provider, session) = self.thinking.remove(position);
                self.part_with(ProviderKind::Llm, provider, session);
            }
            match output {
                Output::Llm(event) => {
                    if matches!(event, LlmEvent::Finished(_)) {
                        self.shared.health.worked(&self.setup.tenant, ProviderKind::Llm, &provider);
                    }
                    self.call.handle(now, Input::Llm { request, event });
                }
                Output::Usage(units) => self.used(ProviderKind::Llm, &provider, &units),
                Output::Failed { failure, detail } => {
                    let event = LlmEvent::Failed { failure, detail };
                    self.call.handle(now, Input::Llm { request, event });
                }
                Output::Asr(_)
                | Output::Sound { .. }
                | Output::ContextDone { .. }
                | Output::Tool(_)
                | Output::Redacted { .. } => {}
            }
            self.carry_out(now);
        }
    }

    fn run_tools(&mut self, now: CallTime) {
        let mut position = 0;
        while let Some((invocation, plugin, session)) = self.tools.get(position) {
            let Some(output) = session.poll() else {
                position += 1;
                continue;
            };
            let (invocation, plugin) = (*invocation, plugin.clone());
            let outcome = match output {
                Output::Tool(outcome) => outcome,
                Output::Usage(units) => {
                    self.used(ProviderKind::Tool, &plugin, &units);
                    continue;
                }
                Output::Failed { failure, detail } => {
                    ToolOutcome { output: detail, is_error: true, actions: Vec::new(), failure: Some(failure) }
                }
                Output::Asr(_)
                | Output::Llm(_)
                | Output::Sound { .. }
                | Output::ContextDone { .. }
                | Output::Redacted { .. } => continue,
            };
            let (_, plugin, session) = self.tools.remove(position);
            self.part_with(ProviderKind::Tool, plugin, session);
            self.call.handle(now, Input::Tool { invocation, outcome });
            self.carry_out(now);
        }
    }

    fn speak(&mut self, now: CallTime) {
        while let Some(spoken) = self.speaking.poll() {
            match spoken {
                Spoken::Report(report) => {
                    let Report { utterance, index, event } = report;
                    if matches!(event, TtsEvent::PartDone { audio_ms: 1.., .. })
                        && let Some(provider) = self.speaking.provider(index)
                    {
                        self.shared.health.worked(&self.setup.tenant, ProviderKind::Tts, provider);
                    }
                    self.call.handle(now, Input::Tts { utterance, index, event });
                }
                Spoken::Usage(provider, units) => self.used(ProviderKind::Tts, &provider, &units),
            }
            self.carry_out(now);
            self.speaking.pump(&mut self.leg);
        }
    }

    /// Tells the call a fact of its leg.
    fn fact(&mut self, now: CallTime, fact: LegFact) {
        self.call.handle(now, Input::Leg { leg: LegId::FIRST, fact });
    }

    /// Cancels a session and lets go of it; what it still reports of what it used is waited for.
    fn part_with(&mut self, kind: ProviderKind, provider: String, session: Session) {
        session.close(&self.place);
        self.parting.push((kind, provider, session));
        self.settle_up();
    }

    fn part_with_redactor(&mut self) {
        if let Some(session) = self.redacting.close() {
            let redactor = self.redacting.plugin().to_owned();
            self.part_with(ProviderKind::Redactor, redactor, session);
        }
    }

    /// Takes what sessions that were let go of have used.
    fn settle_up(&mut self) {
        for (kind, provider, session) in std::mem::take(&mut self.parting) {
            let over = session.is_over();
            while let Some(output) = session.poll() {
                if let Output::Usage(units) = output {
                    self.used(kind, &provider, &units);
                }
            }
            if !over {
                self.parting.push((kind, provider, session));
            }
        }
    }

    /// Takes what a redactor has that works elsewhere.
    fn redacted(&mut self, now: CallTime) {
        while let Some(output) = self.redacting.session_elsewhere().and_then(Session::poll) {
            match output {
                Output::Redacted { ticket, result } => self.call.handle(now, Input::Redacted { ticket, result }),
                Output::Usage(units) => {
                    let redactor = self.redacting.plugin().to_owned();
                    self.used(ProviderKind::Redactor, &redactor, &units);
                }
                // Its texts are overdue in a moment; the next one gets another.
                Output::Failed { .. } => self.part_with_redactor(),
                Output::Asr(_)
                | Output::Llm(_)
                | Output::Sound { .. }
                | Output::ContextDone { .. }
                | Output::Tool(_) => {}
            }
            self.carry_out(now);
        }
    }

    /// Tells the call which of its providers other calls hold for dead, and which no more.
    fn hear_of_providers(&mut self, now: CallTime) {
        let version = self.shared.health.version();
        if version == self.health_seen {
            return;
        }
        self.health_seen = version;
        for (kind, provider) in providers(&self.setup.spec) {
            let up = self.shared.health.is_up(&self.setup.tenant, kind, provider);
            let known = self.down.iter().position(|(other, name)| *other == kind && name == provider);
            match (up, known) {
                (false, None) => self.down.push((kind, provider.to_owned())),
                (true, Some(at)) => drop(self.down.remove(at)),
                (true, None) | (false, Some(_)) => continue,
            }
            self.call.handle(now, Input::Health { kind, provider: provider.to_owned(), up });
        }
    }

    /// Says which kinds of sessions wait for this host.
    fn tell_who_waits(&mut self, now: CallTime) {
        let late = |session: &Session| session.waits_since_us().is_some_and(|since| now.0 >= since + LATE_US);
        let waits = [
            (ProviderKind::Asr, self.listening.session().is_some_and(late)),
            (ProviderKind::Llm, self.thinking.iter().any(|(_, _, session)| late(session))),
            (ProviderKind::Tts, self.speaking.sessions().any(late)),
            (ProviderKind::Tool, self.tools.iter().any(|(_, _, session)| late(session))),
        ];
        for (at, (kind, behind)) in waits.into_iter().enumerate() {
            if std::mem::replace(&mut self.behind[at], behind) != behind {
                self.call.handle(now, Input::Behind { kind, behind });
            }
        }
    }

    fn used(&mut self, kind: ProviderKind, provider: &str, units: &trunkline_api::usage::Units) {
        self.shared.counters.plugin_us.fetch_add(units.plugin_us, Ordering::Relaxed);
        let now = self.now();
        self.call.handle(now, Input::Usage { kind, provider: provider.to_owned(), units: *units });
    }

    /// Carries out what the call asks, until it asks nothing more, then stores what it tells.
    fn carry_out(&mut self, now: CallTime) {
        for _ in 0..MAX_COMMANDS {
            match self.call.poll_transmit() {
                Some(command) => self.command(now, command),
                None => break,
            }
        }
        while let Some(event) = self.call.poll_event() {
            self.tell(event);
        }
    }

    fn command(&mut self, now: CallTime, command: Command) {
        match command {
            Command::OpenAsr { session, provider, language, replay_from, .. } => {
                let resolved = self.serving.resolve(&self.setup.tenant, &provider);
                match self.shared.plugin(&resolved.plugin) {
                    Ok(plugin) => {
                        let continuous = is_online(&plugin);
                        let open = Session::open(&self.place, plugin.is_heavy(), |wake| {
                            open_asr(plugin, resolved.settings, language, wake)
                        });
                        self.listening.open(session, provider.provider, open, continuous, replay_from);
                    }
                    Err((failure, detail)) => {
                        let event = AsrEvent::Failed { failure, detail };
                        self.call.handle(now, Input::Asr { session, event });
                    }
                }
            }
            Command::FinalizeAsr { session, goes_on } => self.listening.finalize(session, goes_on),
            Command::CloseAsr { session } => {
                if let Some((provider, session)) = self.listening.close(session) {
                    self.part_with(ProviderKind::Asr, provider, session);
                }
            }
            Command::StartLlm { request, provider, messages, tools, max_tokens, .. } => {
                let resolved = self.serving.resolve(&self.setup.tenant, &provider);
                match self.shared.plugin(&resolved.plugin) {
                    Ok(plugin) => {
                        let session = Session::open(&self.place, plugin.is_heavy(), |wake| {
                            open_llm(plugin, resolved.settings, messages, tools, max_tokens, wake)
                        });
                        self.thinking.push((request, provider.provider, session));
                    }
                    Err((failure, detail)) => {
                        let event = LlmEvent::Failed { failure, detail };
                        self.call.handle(now, Input::Llm { request, event });
                    }
                }
            }
            Command::CancelLlm { request } => {
                if let Some(position) = self.thinking.iter().position(|(known, _, _)| *known == request) {
                    let (_, provider, session) = self.thinking.remove(position);
                    self.part_with(ProviderKind::Llm, provider, session);
                }
            }
            Command::Speak { utterance, part, index, provider, text } => {
                if !self.speaking.has_voice(index) {
                    let resolved = self.serving.resolve(&self.setup.tenant, &provider);
                    match self.shared.plugin(&resolved.plugin) {
                        Ok(plugin) => {
                            let language = self.setup.spec.language.clone();
                            let session = Session::open(&self.place, plugin.is_heavy(), |wake| {
                                open_tts(plugin, resolved.settings, language, wake)
                            });
                            self.speaking.add_voice(index, provider.provider, session);
                        }
                        Err((failure, detail)) => {
                            let event = TtsEvent::Failed { failure, detail };
                            self.call.handle(now, Input::Tts { utterance, index, event });
                            return;
                        }
                    }
                }
                self.speaking.speak(&self.leg, utterance, part, index, text);
            }
            Command::EndUtterance { utterance } => self.speaking.end(utterance),
            Command::StopSpeaking { utterance, index } => self.speaking.stop(utterance, index),
            Command::DropParts { utterance, from, cut } => self.speaking.drop_parts(utterance, from, cut),
            Command::PausePlayback => {
                self.leg.playout.pause();
                self.call.handle(now, Input::Heard(self.leg.playout.heard(now)));
            }
            Command::ResumePlayback => self.leg.playout.resume(),
            Command::ClearPlayback => {
                self.call.handle(now, Input::Heard(self.leg.playout.heard(now)));
                if let Some(fact) = self.speaking.clear(&self.leg, now) {
                    self.fact(now, fact);
                }
            }
            Command::Redact { ticket, channel, text }
                if self.redacting.hand_over(&self.shared, &self.place, ticket, channel, &text) => {}
            Command::Redact { ticket, channel, text } => {
                let (result, units) = self.redacting.redact(&self.shared, now.0, channel, &text);
                let redactor = self.setup.spec.redaction.redactor.clone();
                self.used(ProviderKind::Redactor, &redactor, &units);
                self.call.handle(now, Input::Redacted { ticket, result });
            }
            Command::StartTool { invocation, plugin, settings, name, arguments, deadline_ms } => {
                match self.shared.plugin(&plugin) {
                    Ok(loaded) => {
                        let context = self.tool_context(invocation, deadline_ms);
                        let session = Session::open(&self.place, loaded.is_heavy(), |wake| {
                            open_tool(loaded, settings.into(), name, arguments, context, wake)
                        });
                        self.tools.push((invocation, plugin, session));
                    }
                    Err((failure, detail)) => {
                        let outcome =
                            ToolOutcome { output: detail, is_error: true, actions: Vec::new(), failure: Some(failure) };
                        self.call.handle(now, Input::Tool { invocation, outcome });
                    }
                }
            }
            Command::CancelTool { invocation } => {
                if let Some(position) = self.tools.iter().position(|(known, _, _)| *known == invocation) {
                    let (_, plugin, session) = self.tools.remove(position);
                    self.part_with(ProviderKind::Tool, plugin, session);
                }
            }
            Command::HangUp { failure, .. } => {
                self.bye(failure);
                self.handle.end(EndCause::Local);
            }
        }
    }

    fn tool_context(&self, invocation: u32, deadline_ms: u32) -> ToolContext {
        let setup = &self.setup;
        ToolContext {
            tenant: setup.tenant.to_string(),
            agent: setup.agent.to_string(),
            call: setup.call.to_string(),
            language: setup.spec.language.clone(),
            idempotency_key: format!("{}/{invocation}", setup.call),
            deadline_ms,
        }
    }

    fn bye(&mut self, failure: Option<Failure>) {
        if self.bye_sent {
            return;
        }
        self.bye_sent = true;
        let reason = failure.map_or_else(ByeReason::normal, |failure| ByeReason {
            q850: failure.q850_cause(),
            text: failure.name().to_owned(),
        });
        if let Err(error) = self.line.bye(&reason) {
            tracing::debug!(call = %self.id, %error, "the dialog was already over");
        }
    }

    /// Stores an event, shows it to operators and counts what metrics count.
    fn tell(&mut self, event: Event) {
        let kind = EventType::from_name(&event.kind);
        match kind {
            Some(EventType::TurnStarted) => count(&self.shared.counters.turns),
            Some(EventType::PlaybackCut) => count(&self.shared.counters.interruptions),
            Some(EventType::FailureRaised) => {
                if let Some(Ok(failure)) = event.data["failure"].as_str().map(str::parse) {
                    self.shared.counters.failed(failure);
                }
                let provider = event.data["provider"].as_str().unwrap_or_default();
                for (kind, _) in providers(&self.setup.spec).filter(|(_, name)| *name == provider) {
                    self.shared.health.failed(&self.setup.tenant, kind, provider);
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
            self.call.handle(now, Input::Recording(fact));
        }
    }

    /// Lets go of everything and waits, step by step, until the record is durable.
    fn close(&mut self, now: CallTime) -> bool {
        self.carry_out(now);
        if let Some((provider, session)) = self.listening.close_all() {
            self.part_with(ProviderKind::Asr, provider, session);
        }
        for (provider, session) in self.speaking.close_all() {
            self.part_with(ProviderKind::Tts, provider, session);
        }
        for (_, provider, session) in std::mem::take(&mut self.thinking) {
            self.part_with(ProviderKind::Llm, provider, session);
        }
        self.part_with_redactor();
        for (_, plugin, session) in std::mem::take(&mut self.tools) {
            self.part_with(ProviderKind::Tool, plugin, session);
        }
        self.settle_up();
        let patience = *self.last_usage_by.get_or_insert(CallTime(now.0 + LAST_USAGE_US));
        if !self.parting.is_empty() && now < patience {
            return false;
        }
        if !self.leg_over {
            self.handle.end(EndCause::Local);
            self.bye(None);
        }
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

/// The providers of an agent's lists.
fn providers(spec: &AgentSpec) -> impl Iterator<Item = (ProviderKind, &str)> {
    let (asr, llm, tts) = match &spec.pipeline {
        Pipeline::Cascade { asr, llm, tts } => (asr.as_slice(), llm.as_slice(), tts.as_slice()),
        Pipeline::Realtime { .. } => Default::default(),
    };
    let kinds = [(ProviderKind::Asr, asr), (ProviderKind::Llm, llm), (ProviderKind::Tts, tts)];
    kinds.into_iter().flat_map(|(kind, list)| list.iter().map(move |entry| (kind, entry.provider.as_str())))
}

/// Which ways sound goes: hold as before RFC 3264 leaves no address to send to.
fn direction(spec: &MediaSpec) -> Direction {
    let nowhere = spec.remote.ip().is_unspecified() || spec.remote.port() == 0;
    match spec.direction {
        Direction::SendRecv if nowhere => Direction::RecvOnly,
        Direction::SendOnly if nowhere => Direction::Inactive,
        direction => direction,
    }
}
