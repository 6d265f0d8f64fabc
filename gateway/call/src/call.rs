//! The state machine: its state, its inputs and its outputs. What it does with them is in the files beside this one,
//! a concern each.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use trunkline_api::agent::Pipeline;
use trunkline_api::usage::{CALL_RECORD_FORMAT, CallDirection, CallRecord, EndReason, ProviderUsage, Units};
use trunkline_api::{Event, EventType, Failure};
use trunkline_leg::{CallTime, LegFact, PlayoutPosition};

use crate::command::Command;
use crate::dtmf::Keys;
use crate::ending::Closing;
use crate::failover::Providers;
use crate::hearing::{Ears, Hearing};
use crate::hold::Hold;
use crate::input::{Operator, ProviderKind, RecordingFact};
use crate::interruption::{Cutting, Interrupted};
use crate::memory::Memory;
use crate::quality::told;
use crate::redaction::Redactions;
use crate::setup::CallSetup;
use crate::speech::Speech;
use crate::thinking::Thinking;
use crate::timeline::{Entry, Timeline, Words};
use crate::timers::{Reason, Timers};
use crate::waterfall::Waterfall;

/// Most deadlines handled at once, so that a late wake-up cannot hold up other calls.
const MAX_DUE: usize = 64;

/// Where a call is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Not answered.
    Ringing,
    /// Answered.
    Live,
    /// A hang-up was ordered.
    Ending,
    /// The leg has ended.
    Over,
}

/// One call.
///
/// After every batch of inputs the driver drains [`Self::poll_transmit`] and [`Self::poll_event`] and arms
/// [`Self::poll_timeout`]. Inputs may repeat, come late or not at all: what does not fit is ignored, what is missing
/// has a deadline. Each input makes a bounded number of commands and events.
#[derive(Debug)]
pub struct Call {
    pub(crate) setup: CallSetup,
    pub(crate) life: Life,
    pub(crate) now: CallTime,
    pub(crate) timers: Timers,
    pub(crate) timeline: Timeline,
    pub(crate) commands: VecDeque<Command>,
    pub(crate) record: CallRecord,
    pub(crate) answered: Option<CallTime>,
    pub(crate) turn: u32,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) memory: Memory,
    pub(crate) redactions: Redactions,
    pub(crate) asr: Providers,
    pub(crate) llm: Providers,
    pub(crate) tts: Providers,
    pub(crate) ears: Ears,
    pub(crate) keys: Keys,
    pub(crate) thinking: Option<Thinking>,
    pub(crate) speech: Option<Speech>,
    pub(crate) cutting: Option<Cutting>,
    pub(crate) interrupted: Option<Interrupted>,
    pub(crate) pending_input: String,
    pub(crate) waterfall: Option<Waterfall>,
    pub(crate) closing: Option<Closing>,
    pub(crate) hold: Hold,
    pub(crate) silence_prompts: u32,
    pub(crate) playout: PlayoutPosition,
    /// What had left the far speaker when playback was cut last.
    pub(crate) heard: PlayoutPosition,
    pub(crate) last_session: u32,
    pub(crate) last_request: u32,
    pub(crate) last_utterance: u32,
    pub(crate) last_invocation: u32,
}

impl Call {
    /// A call that rings.
    #[must_use]
    pub fn new(setup: CallSetup) -> Self {
        let (asr, llm, tts) = match &setup.spec.pipeline {
            Pipeline::Cascade { asr, llm, tts } => (asr.clone(), llm.clone(), tts.clone()),
            Pipeline::Realtime { .. } => Default::default(),
        };
        let record = CallRecord {
            format: CALL_RECORD_FORMAT,
            call: setup.call.clone(),
            tenant: setup.tenant.clone(),
            agent: setup.agent.clone(),
            agent_version: setup.agent_version,
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
        };
        let mut call = Self {
            life: Life::Ringing,
            now: CallTime::ZERO,
            timers: Timers::default(),
            timeline: Timeline::new(setup.call.clone(), setup.tenant.clone(), setup.anchor, setup.seed),
            commands: VecDeque::new(),
            record,
            answered: None,
            turn: 0,
            variables: setup.spec.variables.clone(),
            memory: Memory::default(),
            redactions: Redactions::new(&setup.spec.redaction),
            asr: Providers::new(asr),
            llm: Providers::new(llm),
            tts: Providers::new(tts),
            ears: Ears::default(),
            keys: Keys::default(),
            thinking: None,
            speech: None,
            cutting: None,
            interrupted: None,
            pending_input: String::new(),
            waterfall: None,
            closing: None,
            hold: Hold::default(),
            silence_prompts: 0,
            playout: PlayoutPosition::default(),
            heard: PlayoutPosition::default(),
            last_session: 0,
            last_request: 0,
            last_utterance: 0,
            last_invocation: 0,
            setup,
        };
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
        call.event(EventType::CallStarted, data);
        call
    }

    /// The leg was answered: the recogniser is opened and the greeting spoken.
    pub fn handle_answered(&mut self, now: CallTime) {
        self.at(now);
        if self.life != Life::Ringing {
            return;
        }
        self.life = Life::Live;
        self.answered = Some(self.now);
        self.record.answered_us = self.setup.anchor.wall_us(self.now);
        let mut data = json!({ "codec": self.setup.codec });
        set_some(&mut data, "sip_call_id", self.setup.sip_call_id.clone());
        self.event(EventType::CallAnswered, data);
        self.timers.set(Reason::MaxCall, self.now.plus_ms(u64::from(self.setup.spec.limits.max_call_s) * 1000));
        if self.tts.is_empty() {
            let detail = "the agent's pipeline has no synthesiser this gateway can use".to_owned();
            self.raise(Failure::UnsupportedFeature, None, detail, "hang_up");
            self.hang_up_now(EndReason::Failed, Some(Failure::UnsupportedFeature));
            return;
        }
        if !self.asr.is_empty() {
            self.open_asr(None);
        }
        let greeting = self.with_variables(&self.setup.spec.greeting);
        self.say(&greeting, false);
        self.finish_speech();
        self.settle();
    }

    /// Something happened on the leg; facts come in the order the leg reported them.
    pub fn handle_leg_fact(&mut self, now: CallTime, fact: LegFact) {
        self.at(now);
        if self.life == Life::Over {
            return;
        }
        match fact {
            LegFact::Dtmf { digit, at } => self.digit(digit, at),
            LegFact::MediaStarted { at } => self.event_at(at, EventType::MediaStarted, None, json!({})),
            LegFact::SoundApplied { denoiser, detector, shed, at } => {
                let data = json!({ "denoiser": denoiser, "detector": detector, "shed": shed });
                self.event_at(at, EventType::SoundApplied, None, data);
            }
            LegFact::Quality { quality, at } => self.event_at(at, EventType::MediaQuality, None, told(&quality)),
            LegFact::SsrcChanged { .. } | LegFact::MarkReached { .. } => {}
            LegFact::PlaybackStarted { utterance, at } => self.playback_started(utterance, at),
            LegFact::PlaybackFinished { utterance, at } => self.playback_finished(utterance, at),
            LegFact::PlaybackCut { utterance, sent_ms, at } => self.playback_cut(utterance, sent_ms, at),
            LegFact::Ended { cause, at } => self.leg_ended(cause, at),
        }
        self.settle();
    }

    /// How far playback has come. Wanted whenever it changed: it is what the caller heard if the leg never says.
    pub fn handle_playout(&mut self, now: CallTime, position: PlayoutPosition) {
        self.at(now);
        if position.utterance >= self.playout.utterance {
            self.playout = position;
        }
    }

    /// What had left the far speaker when [`Command::ClearPlayback`] was carried out, for the timeline.
    pub fn handle_heard(&mut self, now: CallTime, heard: PlayoutPosition) {
        self.at(now);
        self.heard = heard;
    }

    /// Adds what a provider used; also after the end.
    pub fn handle_usage(&mut self, kind: ProviderKind, provider: &str, units: &Units) {
        self.record.add_usage(provider, kind.name(), units);
    }

    /// Something happened to the call's recording. The call's record names the first one.
    pub fn handle_recording(&mut self, now: CallTime, fact: RecordingFact) {
        self.at(now);
        // Its file is complete after the leg is gone.
        if self.life == Life::Over && !matches!(fact, RecordingFact::Ended { .. }) {
            return;
        }
        match fact {
            RecordingFact::Started { path, format, sealed } => {
                self.event(
                    EventType::RecordingStarted,
                    json!({ "path": path.as_str(), "format": format, "sealed": sealed }),
                );
                self.record.recording.get_or_insert(path);
            }
            RecordingFact::Paused { path } => self.event(EventType::RecordingPaused, json!({ "path": path })),
            RecordingFact::Resumed { path } => self.event(EventType::RecordingResumed, json!({ "path": path })),
            RecordingFact::Ended { path, reason, duration_ms, muted_ms, failure } => {
                let data = json!({
                    "path": path, "reason": reason, "duration_ms": duration_ms, "muted_ms": muted_ms,
                });
                self.event(EventType::RecordingEnded, data);
                if let Some(detail) = failure {
                    self.raise(Failure::RecordingFailed, None, detail, "record");
                }
            }
        }
    }

    /// An operator's order.
    pub fn handle_operator(&mut self, now: CallTime, order: Operator) {
        self.at(now);
        match order {
            Operator::HangUp => self.hang_up_now(EndReason::OperatorHungUp, None),
        }
    }

    /// The gateway shuts down: what is being said may end, for at most five seconds, then the call hangs up.
    pub fn handle_drain(&mut self, now: CallTime) {
        self.at(now);
        self.drain();
        self.settle();
    }

    /// Handles every deadline that has passed.
    pub fn handle_timeout(&mut self, now: CallTime) {
        self.at(now);
        for _ in 0..MAX_DUE {
            let Some(reason) = self.timers.take_due(self.now) else { break };
            self.due(reason);
        }
        self.settle();
    }

    /// The next command, in the order they are to be carried out.
    pub fn poll_transmit(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next event of the timeline.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.timeline.poll()
    }

    /// When to call [`Self::handle_timeout`], and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(CallTime, Reason)> {
        self.timers.next()
    }

    /// The call's record; `call_ms` is as of the last [`Self::checkpoint`], or final once the call is over.
    #[must_use]
    pub const fn record(&self) -> &CallRecord {
        &self.record
    }

    /// The call's record as of `now`.
    pub fn checkpoint(&mut self, now: CallTime) -> &CallRecord {
        self.at(now);
        if self.life != Life::Over {
            self.count_time(self.now);
        }
        &self.record
    }

    /// Whether the call is over and its last event has been made.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.life == Life::Over && self.timeline.is_settled()
    }

    fn due(&mut self, reason: Reason) {
        match reason {
            Reason::MaxCall => self.too_long(),
            Reason::LegEnd => self.over(self.now, None),
            Reason::Closing => self.closing_too_long(),
            Reason::Cut => self.cut_unanswered(),
            Reason::GoesOn => self.speech_goes_on(),
            Reason::EndSilence | Reason::LongSpeech => self.end_of_speech(),
            Reason::FinalWords => self.final_words_overdue(),
            Reason::DtmfGap => self.digits_complete(),
            Reason::Redactor => self.redactor_overdue(),
            Reason::LlmFirstToken => self.llm_overdue("no token in time"),
            Reason::LlmStall => self.llm_overdue("the reply stopped in the middle"),
            Reason::ToolBridge => self.tool_slow(),
            Reason::ToolDeadline => self.tools_overdue(),
            Reason::TtsFirstByte => self.tts_overdue("no sound in time"),
            Reason::TtsStall => self.tts_overdue("the sound stopped in the middle"),
            Reason::Playback => self.playback_lost(),
            Reason::CallerSilence => self.caller_silent(),
        }
    }

    /// Time never goes back, whatever the driver's clock does.
    pub(crate) fn at(&mut self, now: CallTime) {
        self.now = self.now.max(now);
        self.timers.at(self.now);
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    /// An event of now that belongs to no turn.
    pub(crate) fn event(&mut self, kind: EventType, data: Value) {
        self.event_at(self.now, kind, None, data);
    }

    /// An event of this turn.
    pub(crate) fn turn_event(&mut self, kind: EventType, data: Value) {
        self.event_at(self.now, kind, Some(self.turn), data);
    }

    pub(crate) fn event_at(&mut self, at: CallTime, kind: EventType, turn: Option<u32>, data: Value) {
        self.timeline.push(Entry { at: at.min(self.now), kind, turn, data });
    }

    /// An event of this turn whose `field` holds somebody's words.
    pub(crate) fn words_event(&mut self, kind: EventType, data: Value, field: &'static str, words: Words) {
        let entry = Entry { at: self.now, kind, turn: Some(self.turn), data };
        let (redactions, commands, now) = (&mut self.redactions, &mut self.commands, self.now);
        self.timeline.push_words(entry, field, words, |text| redactions.for_timeline(now, text, commands));
        self.watch_redactor();
    }

    /// Nobody says or thinks anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.thinking.is_none()
            && self.speech.is_none()
            && self.cutting.is_none()
            && self.ears.hearing == Hearing::Quiet
            && !self.ears.speech_on
            && !self.timers.is_set(Reason::DtmfGap)
    }

    /// `{name}` becomes the variable of that name; unknown names stay as they are.
    pub(crate) fn with_variables(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(begin) = rest.find('{') {
            filled.push_str(&rest[..begin]);
            rest = &rest[begin..];
            let value = rest.find('}').and_then(|end| self.variables.get(&rest[1..end]).map(|value| (value, end)));
            match value {
                Some((value, end)) => {
                    filled.push_str(value);
                    rest = &rest[end + 1..];
                }
                None => {
                    filled.push('{');
                    rest = &rest[1..];
                }
            }
        }
        filled.push_str(rest);
        filled
    }
}

/// Sets a field when there is a value.
pub(crate) fn set_some(data: &mut Value, field: &str, value: Option<String>) {
    if let (Value::Object(data), Some(value)) = (data, value) {
        data.insert(field.to_owned(), Value::String(value));
    }
}
