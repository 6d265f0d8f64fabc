//! A call in progress: its state machine, its leg and its plugin sessions, stepped by one agent worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use trunkline_api::event::EventType;
use trunkline_api::usage::EndReason;
use trunkline_api::{Event, Failure, Id};
use trunkline_call::{
    AsrEvent, Call, CallSetup, Command, LlmEvent, Operator, ProviderKind, ToolOutcome, TtsEvent, VoiceEdges,
};
use trunkline_edge_store::{Completion, StoreError, Write};
use trunkline_leg::{AgentEnd, CallTime, EndCause, LegFact, MediaSpec, PlayoutPosition};
use trunkline_media::LegHandle;
use trunkline_sip::{ByeReason, CallHandle};

use crate::counters::count;
use crate::listening::Listening;
use crate::redacting::Redacting;
use crate::serving::Serving;
use crate::session::{Input, Output, Place, Session, ToolContext, is_online, open_asr, open_llm, open_tool, open_tts};
use crate::shared::Shared;
use crate::speaking::{Speaking, Spoken};

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
    /// Its SIP dialog.
    pub(crate) sip: CallHandle,
    /// What it is served by, for as long as it lasts.
    pub(crate) serving: Arc<Serving>,
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
    sip: CallHandle,
    serving: Arc<Serving>,
    place: Place,
    shared: Arc<Shared>,
    edges: VoiceEdges,
    playout: PlayoutPosition,
    listening: Listening,
    speaking: Speaking,
    thinking: Vec<(u32, String, Session)>,
    tools: Vec<(u32, String, Session)>,
    redacting: Redacting,
    backlog: VecDeque<Event>,
    checkpoint: Option<Completion>,
    checkpoint_due: CallTime,
    closing: Option<Completion>,
    bye_sent: bool,
    leg_over: bool,
    lost_inputs: u64,
}

impl Active {
    /// Begins the conversation.
    pub(crate) fn begin(new: NewCall, shared: Arc<Shared>, place: Place) -> Self {
        let redacting = Redacting::new(&new.setup.spec.redaction);
        let mut active = Self {
            id: new.id,
            call: new.call,
            setup: new.setup,
            leg: new.leg,
            handle: new.handle,
            sip: new.sip,
            serving: new.serving,
            place,
            edges: VoiceEdges::default(),
            playout: PlayoutPosition::default(),
            listening: Listening::default(),
            speaking: Speaking::default(),
            thinking: Vec::new(),
            tools: Vec::new(),
            redacting,
            backlog: VecDeque::new(),
            checkpoint: None,
            checkpoint_due: CallTime(shared.config.checkpoint_us),
            closing: None,
            bye_sent: false,
            leg_over: false,
            lost_inputs: 0,
            shared,
        };
        let now = active.now();
        active.call.handle_answered(now);
        active.carry_out(now);
        active
    }

    /// An operator's order.
    pub(crate) fn order(&mut self, order: Operator) {
        let now = self.now();
        self.call.handle_operator(now, order);
        self.carry_out(now);
    }

    /// The gateway drains.
    pub(crate) fn drain(&mut self) {
        let now = self.now();
        self.call.handle_drain(now);
        self.carry_out(now);
    }

    /// The far end ended the dialog.
    pub(crate) fn dialog_ended(&mut self, cause: EndCause) {
        self.bye_sent = true;
        self.handle.end(cause);
    }

    /// A re-INVITE changed the media.
    pub(crate) fn media_changed(&self, spec: MediaSpec) {
        if let Err(error) = self.handle.update(spec) {
            tracing::warn!(call = %self.id, %error, "media could not be changed");
        }
    }

    /// Does whatever is due. True once the call is over and its record durable.
    pub(crate) fn step(&mut self) -> bool {
        let now = self.now();
        if self.closing.is_some() || self.call.is_over() {
            return self.close(now);
        }
        self.hear(now);
        self.serve(now);
        self.listen(now);
        self.think(now);
        self.run_tools(now);
        self.speak(now);
        while self.call.poll_timeout().is_some_and(|(due, _)| due <= now) {
            self.call.handle_timeout(now);
            self.carry_out(now);
        }
        self.carry_out(now);
        self.speaking.pump(&mut self.leg);
        self.journal(now);
        false
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
            self.call.handle_leg_fact(now, fact);
        }
        while let Ok(frame) = self.leg.up.pop() {
            let edge = self.edges.frame(frame.arrival, frame.vad);
            self.listening.frame(&frame, edge);
            if let Some(edge) = edge {
                self.call.handle_voice(now, edge);
            }
        }
        while self.leg.levels.pop().is_ok() {}
        let playout = self.leg.playout.position();
        if playout != self.playout {
            self.playout = playout;
            self.call.handle_playout(now, playout);
        }
        self.carry_out(now);
    }

    fn serve(&self, now: CallTime) {
        self.listening.serve(&self.place, now.0);
        self.speaking.serve(&self.place, now.0);
        for (_, _, session) in self.thinking.iter().chain(&self.tools) {
            session.serve(&self.place, now.0);
        }
    }

    fn listen(&mut self, now: CallTime) {
        while let Some((session, provider, output)) = self.listening.poll() {
            match output {
                Output::Asr(event) => self.call.handle_asr(now, session, event),
                Output::Usage(units) => self.used(ProviderKind::Asr, &provider, &units),
                Output::Failed { failure, detail } => {
                    self.call.handle_asr(now, session, AsrEvent::Failed { failure, detail });
                }
                Output::Llm(_) | Output::Sound { .. } | Output::ContextDone { .. } | Output::Tool(_) => {}
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
                let (_, _, session) = self.thinking.remove(position);
                // What follows the end is only usage.
                while let Some(Output::Usage(units)) = session.poll() {
                    self.used(ProviderKind::Llm, &provider, &units);
                }
                session.close(&self.place);
            }
            match output {
                Output::Llm(event) => self.call.handle_llm(now, request, event),
                Output::Usage(units) => self.used(ProviderKind::Llm, &provider, &units),
                Output::Failed { failure, detail } => {
                    self.call.handle_llm(now, request, LlmEvent::Failed { failure, detail });
                }
                Output::Asr(_) | Output::Sound { .. } | Output::ContextDone { .. } | Output::Tool(_) => {}
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
                Output::Asr(_) | Output::Llm(_) | Output::Sound { .. } | Output::ContextDone { .. } => continue,
            };
            self.tools.remove(position).2.close(&self.place);
            self.call.handle_tool(now, invocation, outcome);
            self.carry_out(now);
        }
    }

    fn speak(&mut self, now: CallTime) {
        while let Some(spoken) = self.speaking.poll() {
            match spoken {
                Spoken::Report(report) => {
                    self.call.handle_tts(now, report.utterance, report.index, report.event);
                }
                Spoken::Usage(provider, units) => self.used(ProviderKind::Tts, &provider, &units),
            }
            self.carry_out(now);
            self.speaking.pump(&mut self.leg);
        }
    }

    fn used(&mut self, kind: ProviderKind, provider: &str, units: &trunkline_api::usage::Units) {
        self.shared.counters.plugin_us.fetch_add(units.plugin_us, Ordering::Relaxed);
        self.call.handle_usage(kind, provider, units);
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
                let resolved = self.serving.resolve(&provider);
                match self.shared.plugin(&resolved.plugin) {
                    Ok(plugin) => {
                        let continuous = is_online(&plugin);
                        let open = Session::open(&self.place, plugin.is_heavy(), |wake| {
                            open_asr(plugin, resolved.settings, language, wake)
                        });
                        self.listening.open(session, provider.provider, open, continuous, replay_from);
                    }
                    Err((failure, detail)) => {
                        self.call.handle_asr(now, session, AsrEvent::Failed { failure, detail });
                    }
                }
            }
            Command::FinalizeAsr { session } => self.listening.finalize(session),
            Command::CloseAsr { session } => self.listening.close(session, &self.place),
            Command::StartLlm { request, provider, messages, tools, max_tokens, .. } => {
                let resolved = self.serving.resolve(&provider);
                match self.shared.plugin(&resolved.plugin) {
                    Ok(plugin) => {
                        let session = Session::open(&self.place, plugin.is_heavy(), |wake| {
                            open_llm(plugin, resolved.settings, messages, tools, max_tokens, wake)
                        });
                        self.thinking.push((request, provider.provider, session));
                    }
                    Err((failure, detail)) => {
                        self.call.handle_llm(now, request, LlmEvent::Failed { failure, detail });
                    }
                }
            }
            Command::CancelLlm { request } => {
                if let Some(position) = self.thinking.iter().position(|(known, _, _)| *known == request) {
                    let (_, _, session) = self.thinking.remove(position);
                    session.push(Input::Cancel);
                    session.close(&self.place);
                }
            }
            Command::Speak { utterance, part, index, provider, text } => {
                if !self.speaking.has_voice(index) {
                    let resolved = self.serving.resolve(&provider);
                    match self.shared.plugin(&resolved.plugin) {
                        Ok(plugin) => {
                            let language = self.setup.spec.language.clone();
                            let session = Session::open(&self.place, plugin.is_heavy(), |wake| {
                                open_tts(plugin, resolved.settings, language, wake)
                            });
                            self.speaking.add_voice(index, provider.provider, session);
                        }
                        Err((failure, detail)) => {
                            self.call.handle_tts(now, utterance, index, TtsEvent::Failed { failure, detail });
                            return;
                        }
                    }
                }
                self.speaking.speak(&self.leg, utterance, part, index, text);
            }
            Command::EndUtterance { utterance } => self.speaking.end(utterance),
            Command::StopSpeaking { utterance, index } => self.speaking.stop(utterance, index),
            Command::ClearPlayback => {
                if let Some(fact) = self.speaking.clear(&self.leg, now) {
                    self.call.handle_leg_fact(now, fact);
                }
            }
            Command::Redact { ticket, channel, text } => {
                let (result, units) = self.redacting.redact(&self.shared, now.0, channel, &text);
                let redactor = self.setup.spec.redaction.redactor.clone();
                self.used(ProviderKind::Redactor, &redactor, &units);
                self.call.handle_redacted(now, ticket, result);
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
                        self.call.handle_tool(now, invocation, outcome);
                    }
                }
            }
            Command::CancelTool { invocation } => {
                if let Some(position) = self.tools.iter().position(|(known, _, _)| *known == invocation) {
                    let (_, _, session) = self.tools.remove(position);
                    session.push(Input::Cancel);
                    session.close(&self.place);
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
        if let Err(error) = self.sip.bye(&reason) {
            tracing::debug!(call = %self.id, %error, "the dialog was already over");
        }
    }

    /// Stores an event, shows it to operators and counts what metrics count.
    fn tell(&mut self, event: Event) {
        match EventType::from_name(&event.kind) {
            Some(EventType::TurnStarted) => count(&self.shared.counters.turns),
            Some(EventType::PlaybackCut) => count(&self.shared.counters.interruptions),
            Some(EventType::FailureRaised) => {
                if let Some(Ok(failure)) = event.data["failure"].as_str().map(str::parse) {
                    self.shared.counters.failed(failure);
                }
            }
            _ => {}
        }
        self.shared.directory.happened(&event);
        self.backlog.push_back(event);
        self.flush();
    }

    /// Hands events to the store in order; what it has no room for waits here.
    fn flush(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            match self.shared.store.submit(Write::Event(Box::new(event.clone()))) {
                // Durable before the close that follows it, so nobody waits for it.
                Ok(_completion) => {}
                Err(StoreError::Busy { .. }) => {
                    self.backlog.push_front(event);
                    return;
                }
                Err(error) => {
                    count(&self.shared.counters.lost_events);
                    tracing::warn!(call = %self.id, %error, "an event was not stored");
                }
            }
        }
    }

    /// Journals usage now and then.
    fn journal(&mut self, now: CallTime) {
        self.flush();
        if let Some(done) = self.checkpoint.as_ref().and_then(Completion::poll) {
            if let Err(error) = done {
                tracing::warn!(call = %self.id, %error, "a checkpoint was not stored");
            }
            self.checkpoint = None;
        }
        if now >= self.checkpoint_due && self.checkpoint.is_none() {
            self.checkpoint_due = CallTime(now.0 + self.shared.config.checkpoint_us);
            let record = Box::new(self.call.checkpoint(now).clone());
            let at_us = self.setup.anchor.wall_us(now);
            self.checkpoint = self.shared.store.submit(Write::Checkpoint { record, at_us }).ok();
        }
    }

    /// Lets go of everything and waits, step by step, until the record is durable.
    fn close(&mut self, now: CallTime) -> bool {
        self.carry_out(now);
        self.listening.close_all(&self.place);
        self.speaking.close_all(&self.place);
        for (_, _, session) in self.thinking.drain(..).chain(self.tools.drain(..)) {
            session.close(&self.place);
        }
        if !self.leg_over {
            self.handle.end(EndCause::Local);
            self.bye(None);
        }
        self.flush();
        if !self.backlog.is_empty() {
            return false;
        }
        match self.closing.as_ref().map(Completion::poll) {
            Some(Some(Ok(()) | Err(StoreError::AlreadyClosed { .. }))) => {
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
            Some(None) => false,
            // Not tried yet, or refused: the journal still has the call, so it is tried again until it is durable.
            Some(Some(Err(_))) | None => {
                let write = Write::CloseCall(Box::new(self.call.record().clone()));
                self.closing = self.shared.store.submit(write).ok();
                false
            }
        }
    }
}
