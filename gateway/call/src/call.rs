//! The state machine: what it is told, what it wants done, and when it wants to be woken. The conversation and the life of
//! the call are parts of their own.

use serde_json::{Value, json};
use trunkline_api::agent::FailureAction;
use trunkline_api::usage::{CALL_RECORD_FORMAT, CallDirection, CallRecord, EndReason, ProviderUsage, Units};
use trunkline_api::words::RedactionChannel;
use trunkline_api::{Event, EventType, Failure};
use trunkline_leg::{CallTime, LegFact, LegId};

use crate::analysis::CallAnalysis;
use crate::command::Command;
use crate::dialogue::Dialogue;
use crate::effects::Effects;
use crate::input::{Input, Operator, RecordingFact, Redacted};
use crate::life::Life;
use crate::quality::told;
use crate::redaction::{Redactions, WAIT_MS};
use crate::setup::CallSetup;
use crate::timeline::{Timeline, WITHHELD, redaction_data};
use crate::timers::Reason;

/// Most deadlines handled at once, so that a late wake-up cannot hold up other calls.
const MAX_DUE: usize = 64;

/// One call.
///
/// After every batch of inputs the driver drains [`Self::poll_transmit`] and [`Self::poll_event`] and arms
/// [`Self::poll_timeout`]. Inputs may repeat, come late or not at all: what does not fit is ignored, what is missing
/// has a deadline. Each input makes a bounded number of commands and events. Equal setups and inputs give equal outputs.
#[derive(Debug)]
pub struct Call {
    pub(crate) setup: CallSetup,
    pub(crate) life: Life,
    pub(crate) fx: Effects,
    pub(crate) record: CallRecord,
    pub(crate) answered: Option<CallTime>,
    pub(crate) dialogue: Dialogue,
    /// What is being found out about the call, once it is over.
    pub(crate) analysis: Option<CallAnalysis>,
}

impl Call {
    /// A call that rings.
    #[must_use]
    pub fn new(setup: CallSetup) -> Self {
        let record = CallRecord {
            format: CALL_RECORD_FORMAT,
            call: setup.call.clone(),
            tenant: setup.tenant.clone(),
            agent: setup.agent.clone(),
            agent_version: setup.agent_version,
            handed_to: Vec::new(),
            trunk: setup.trunk.clone(),
            direction: setup.direction,
            from: setup.from.clone(),
            to: setup.to.clone(),
            answered_us: 0,
            ended_us: None,
            end: None,
            failure: None,
            usage: vec![ProviderUsage { provider: String::new(), kind: "call".to_owned(), units: Units::default() }],
            recording: None,
            turns: 0,
            stages: Vec::new(),
        };
        let timeline = Timeline::new(setup.call.clone(), setup.tenant.clone(), setup.anchor, setup.seed);
        let fx = Effects::new(timeline, Redactions::new(&setup.spec.redaction));
        let mut dialogue = Dialogue::new(&setup);
        dialogue.is_of(&setup);
        let mut call = Self { life: Life::Ringing, fx, record, answered: None, dialogue, analysis: None, setup };
        let direction = match call.setup.direction {
            CallDirection::Inbound => "inbound",
            CallDirection::Outbound => "outbound",
        };
        let mut data = json!({
            "agent": call.setup.agent, "agent_version": call.setup.agent_version, "direction": direction,
            "from": call.setup.from, "to": call.setup.to,
        });
        set_some(&mut data, "trunk", call.setup.trunk.as_ref().map(ToString::to_string));
        set_some(&mut data, "gateway", call.setup.gateway.as_ref().map(ToString::to_string));
        call.fx.event(EventType::CallStarted, data);
        call
    }

    /// Something happened at `now`. Time never goes back: an input that is dated before another one is taken to come with
    /// it.
    pub fn handle(&mut self, now: CallTime, input: Input) {
        self.fx.at(now);
        match input {
            Input::Answered => self.was_answered(),
            Input::Leg { leg, fact } => self.leg_fact(leg, fact),
            Input::Voice(edge) if self.life.is_live() => self.dialogue.voice(&mut self.fx, edge),
            Input::Interrupts if self.life.is_live() => self.dialogue.interrupts(&mut self.fx),
            Input::Voice(_) | Input::Interrupts => {}
            Input::Playout(position) => self.dialogue.played(position),
            Input::Heard(position) => self.dialogue.left_the_speaker(position),
            Input::Asr { session, event } if self.life.speaks() => self.dialogue.asr(&mut self.fx, session, event),
            Input::Llm { request, event } if self.life.speaks() => self.dialogue.llm(&mut self.fx, request, event),
            Input::Tts { utterance, index, event } if self.life.speaks() => {
                self.dialogue.tts(&mut self.fx, utterance, index, event);
            }
            Input::Tool { invocation, outcome } if self.life.speaks() => {
                self.dialogue.tool(&mut self.fx, invocation, outcome);
            }
            Input::Realtime { session, event } if self.life.speaks() => {
                self.dialogue.realtime(&mut self.fx, session, event);
            }
            Input::Behind { kind, behind } if self.life.speaks() => self.dialogue.behind(&mut self.fx, kind, behind),
            Input::Llm { request, event } if self.life.is_over() => {
                self.analysed(|analysis, fx| analysis.llm(fx, request, event))
            }
            Input::Asr { .. }
            | Input::Llm { .. }
            | Input::Realtime { .. }
            | Input::Tts { .. }
            | Input::Tool { .. }
            | Input::Behind { .. } => {}
            Input::Redacted { ticket, result } => self.redacted(ticket, &result),
            Input::Found { ticket, result } => {
                if self.life.is_live() {
                    self.dialogue.found(&mut self.fx, ticket, result);
                }
            }
            Input::Usage { kind, provider, units } => {
                self.dialogue.used(kind, &units);
                self.record.add_usage(&provider, kind.name(), &units);
            }
            Input::Health { kind, provider, up } => {
                let live = self.life.is_live();
                self.dialogue.heard_of(&mut self.fx, kind, &provider, up, live);
            }
            Input::Prompts { texts } => self.dialogue.has_prompts(texts),
            Input::Recording(fact) => self.recording(fact),
            Input::Operator(Operator::HangUp) => self.hang_up_now(EndReason::OperatorHungUp, None),
            Input::Operator(order) if self.life.is_live() => self.dialogue.operator(&mut self.fx, order),
            Input::Operator(_) => {}
            Input::Drain => self.drain(),
            Input::Timeout => self.timeout(),
        }
        self.settle();
    }

    /// The next command, in the order they are to be carried out.
    pub fn poll_transmit(&mut self) -> Option<Command> {
        self.fx.poll_command()
    }

    /// The next event of the timeline.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.fx.poll_event()
    }

    /// When to tell of [`Input::Timeout`], and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(CallTime, Reason)> {
        self.fx.next_timer()
    }

    /// The call's record; `call_ms` is as of the last [`Self::checkpoint`], or final once the call is over.
    #[must_use]
    pub const fn record(&self) -> &CallRecord {
        &self.record
    }

    /// The call's record as of `now`.
    pub fn checkpoint(&mut self, now: CallTime) -> &CallRecord {
        if !self.life.is_over() {
            self.count_time(now);
        }
        &self.record
    }

    /// Whether the call is over and its last event has been made.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.life.is_over() && self.analysis.is_none() && self.fx.is_settled()
    }

    /// Arguments of a tool as it is to get them: secrets that the agent's policy lets it have are put in the place of what
    /// stands for them in [`Command::StartTool`]. What comes of this belongs to the tool alone.
    #[must_use]
    pub fn tool_arguments(&self, tool: &str, arguments: &str) -> String {
        self.dialogue.with_secrets(tool, arguments)
    }

    /// Whether an input holds what nobody may see: a key of a secret. A log holds [`Input::without_key`] in its place, and
    /// must ask before the input is handled.
    #[must_use]
    pub fn hides(&self, input: &Input) -> bool {
        matches!(input, Input::Leg { fact: LegFact::Dtmf { at, .. }, .. } if self.dialogue.conceals(*at))
    }

    fn was_answered(&mut self) {
        if !matches!(self.life, Life::Ringing) {
            return;
        }
        let now = self.fx.now();
        self.life = Life::Live;
        self.answered = Some(now);
        self.record.answered_us = self.setup.anchor.wall_us(now);
        let mut data = json!({ "codec": self.setup.codec });
        set_some(&mut data, "sip_call_id", self.setup.sip_call_id.clone());
        self.fx.event(EventType::CallAnswered, data);
        self.fx.set_in(Reason::MaxCall, u64::from(self.setup.spec.limits.max_call_s) * 1000);
        if self.dialogue.is_dumb() {
            let detail = "the agent's pipeline has nobody who could speak";
            self.fx.raise(Failure::UnsupportedFeature, "", detail, "hang_up");
            self.hang_up_now(EndReason::Failed, Some(Failure::UnsupportedFeature));
            return;
        }
        self.dialogue.begin(&mut self.fx);
    }

    fn leg_fact(&mut self, leg: LegId, fact: LegFact) {
        if self.life.is_over() {
            return;
        }
        let speaks = self.life.speaks();
        let first = leg == LegId::FIRST;
        let attached = self.fx.legs().attached() == Some(leg);
        match fact {
            LegFact::Dtmf { digit, at } if attached => self.dialogue.digit(&mut self.fx, digit, at),
            LegFact::MediaStarted { at } if first => {
                self.fx.event_at(at, EventType::MediaStarted, None, json!({}));
            }
            LegFact::SoundApplied { denoiser, detector, shed, at } if first => {
                let data = json!({ "denoiser": denoiser, "detector": detector, "shed": shed });
                self.fx.event_at(at, EventType::SoundApplied, None, data);
            }
            LegFact::Quality { quality, at } => {
                let mut data = told(&quality);
                if !first {
                    data["leg"] = leg.0.into();
                }
                self.fx.event_at(at, EventType::MediaQuality, None, data);
            }
            LegFact::Dtmf { .. }
            | LegFact::MediaStarted { .. }
            | LegFact::SoundApplied { .. }
            | LegFact::SsrcChanged { .. }
            | LegFact::MarkReached { .. } => {}
            LegFact::PlaybackStarted { utterance, at } if attached => {
                self.dialogue.playback_started(&mut self.fx, utterance, at);
            }
            LegFact::PlaybackFinished { utterance, at } if speaks && attached => {
                self.dialogue.playback_finished(&mut self.fx, utterance, at);
            }
            LegFact::PlaybackCut { utterance, sent_ms, at } if speaks && attached => {
                self.dialogue.playback_cut(&mut self.fx, utterance, sent_ms, at);
            }
            LegFact::PlaybackCut { utterance, sent_ms, .. } if attached => {
                self.dialogue.played(trunkline_leg::PlayoutPosition { utterance, sent_ms });
            }
            LegFact::PlaybackStarted { .. } | LegFact::PlaybackFinished { .. } | LegFact::PlaybackCut { .. } => {}
            LegFact::Direction { direction, .. } => self.dialogue.direction(&mut self.fx, leg, direction),
            LegFact::Held { at } => self.fx.event_at(at, EventType::LegHeld, None, json!({ "leg": leg.0 })),
            LegFact::NotJoined { .. } if first => self.dialogue.not_joined(&mut self.fx),
            LegFact::NotJoined { .. } => {}
            LegFact::Redirected { direction, refused, at } => {
                let mut data = json!({ "leg": leg.0, "direction": direction.name() });
                if let Some(status) = refused {
                    data["sip_status"] = status.into();
                }
                self.fx.event_at(at, EventType::LegRedirected, None, data);
            }
            LegFact::PassedOn { refused, at } => {
                let mut data = json!({ "leg": leg.0 });
                if let Some(status) = refused {
                    data["sip_status"] = status.into();
                }
                self.fx.event_at(at, EventType::LegPassedOn, None, data);
            }
            LegFact::Resumed { at } => self.fx.event_at(at, EventType::LegResumed, None, json!({ "leg": leg.0 })),
            LegFact::Referral { progress, .. } if first && self.life.is_live() => {
                self.dialogue.referral(&mut self.fx, progress);
            }
            LegFact::Tone { kind, at, duration_ms, hz } => {
                let mut data = json!({ "leg": leg.0, "tone": kind.name() });
                if duration_ms > 0 {
                    data["duration_ms"] = duration_ms.into();
                }
                if hz > 0 {
                    data["hz"] = hz.into();
                }
                self.fx.event_at(at, EventType::ToneDetected, None, data);
                if self.life.is_live() {
                    self.dialogue.tone(&mut self.fx, leg, kind);
                }
            }
            LegFact::Ended { cause, at } if first => self.leg_ended(cause, at),
            LegFact::Ringing { .. }
            | LegFact::Answered { .. }
            | LegFact::Refused { .. }
            | LegFact::Ended { .. }
            | LegFact::Referral { .. } => {
                if !first {
                    self.other_leg(leg, &fact);
                }
            }
        }
    }

    fn recording(&mut self, fact: RecordingFact) {
        // Its file is complete after the leg is gone.
        if self.life.is_over() && !matches!(fact, RecordingFact::Ended { .. }) {
            return;
        }
        match fact {
            RecordingFact::Started { path, format, sealed } => {
                let data = json!({ "path": path.as_str(), "format": format, "sealed": sealed });
                self.fx.event(EventType::RecordingStarted, data);
                self.record.recording.get_or_insert(path);
            }
            RecordingFact::Paused { path } => self.fx.event(EventType::RecordingPaused, json!({ "path": path })),
            RecordingFact::Resumed { path } => self.fx.event(EventType::RecordingResumed, json!({ "path": path })),
            RecordingFact::Ended { path, reason, duration_ms, muted_ms, failure } => {
                let data = json!({
                    "path": path, "reason": reason, "duration_ms": duration_ms, "muted_ms": muted_ms,
                });
                self.fx.event(EventType::RecordingEnded, data);
                if let Some(detail) = failure {
                    self.fx.raise(Failure::RecordingFailed, "", &detail, "record");
                }
            }
        }
    }

    fn redacted(&mut self, ticket: u64, result: &Result<Redacted, String>) {
        let Some(channel) = self.fx.redactions().close(ticket) else { return };
        if channel == RedactionChannel::Transcript {
            self.fx.timeline().handle_redacted(ticket, result.as_ref().ok());
        } else if !self.life.is_over() {
            // Nobody thinks any more once the call is over, and nothing happens after its last event.
            let text = result.as_ref().map_or(WITHHELD, |redacted| redacted.text.as_str()).to_owned();
            if let Ok(Redacted { counts, .. }) = result
                && !counts.is_empty()
            {
                self.fx.turn_event(EventType::Redacted, redaction_data(channel, counts));
            }
            if self.life.is_live() {
                self.dialogue.redacted(&mut self.fx, ticket, text);
            }
        }
        if let Err(why) = result
            && !self.life.is_over()
        {
            let redactor = self.setup.spec.redaction.redactor.clone();
            self.fx.raise(Failure::RedactorFailed, &redactor, why, "fail_closed");
            if let Some(FailureAction::HangUp { text }) = self.setup.spec.failures.get(&Failure::RedactorFailed) {
                self.fx.close(text, EndReason::Failed, Some(Failure::RedactorFailed), false);
            }
        }
        self.fx.watch_redactor();
    }

    fn timeout(&mut self) {
        for _ in 0..MAX_DUE {
            let now = self.fx.now();
            let Some(reason) = self.fx.timers().take_due(now) else { break };
            match reason {
                Reason::MaxCall => self.too_long(),
                Reason::LegEnd => self.never_ended(now),
                Reason::OtherLegEnd => self.fx.forget_legs(),
                Reason::LegMax => self.leg_too_long(),
                Reason::Closing => self.closing_too_long(),
                Reason::Analysis => self.analysed(CallAnalysis::overdue),
                Reason::Redactor => {
                    while let Some(ticket) = self.fx.redactions().overdue(now) {
                        self.redacted(ticket, &Err(format!("no answer within {WAIT_MS} ms")));
                    }
                    self.fx.watch_redactor();
                }
                Reason::Cut
                | Reason::GoesOn
                | Reason::EndSilence
                | Reason::LongSpeech
                | Reason::StandStill
                | Reason::FinalWords
                | Reason::Speculate
                | Reason::DtmfGap
                | Reason::LlmFirstToken
                | Reason::Hedge
                | Reason::LlmStall
                | Reason::ToolDeadline
                | Reason::ToolSay
                | Reason::Lookup
                | Reason::Summary
                | Reason::EngineOpen
                | Reason::TtsFirstByte
                | Reason::TtsStall
                | Reason::Playback
                | Reason::Transfer
                | Reason::HoldLine
                | Reason::Answering
                | Reason::DeadAir
                | Reason::ThinkingSound
                | Reason::HostBehind
                | Reason::CallerSilence
                | Reason::KeysWait
                | Reason::Reveal
                | Reason::Survival => self.dialogue.due(&mut self.fx, reason),
            }
            self.see_to_the_end();
        }
    }

    /// After every input: what was asked for is carried out, and what watches over silence is armed.
    fn settle(&mut self) {
        self.see_to_the_end();
        self.record.turns = self.fx.turn();
        if let Some(stages) = self.dialogue.new_stages() {
            self.record.stages = stages;
        }
        if !self.life.is_over() {
            let live = self.life.is_live();
            self.dialogue.settle(&mut self.fx, live);
            self.see_to_the_end();
            self.dialogue.settle_thinking_sound(&mut self.fx, self.life.speaks(), self.life.has_line());
        }
        self.record.handed_to.extend(self.dialogue.newly_handed_to());
    }
}

/// Sets a field when there is a value.
pub(crate) fn set_some(data: &mut Value, field: &str, value: Option<String>) {
    if let (Value::Object(data), Some(value)) = (data, value) {
        data.insert(field.to_owned(), Value::String(value));
    }
}
