//! A virtual world around a call: a caller, providers, a redactor and a leg, each of which can misbehave, on virtual
//! time. Every output is checked against the rules that always hold.

mod aside;
mod caller;
mod deaths;
pub(crate) mod engines;
mod playout;
mod providers;
pub(crate) mod second_leg;
mod seen;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trunkline_api::agent::AgentSpec;
use trunkline_api::id::{Id, Prefix};
use trunkline_api::usage::CallDirection;
use trunkline_api::words::ToolDefinition;
use trunkline_api::{Event, EventType};
use trunkline_call::{Call, CallSetup, Command, Input, OtherAgent, ToolBinding, ToolOutcome, VoiceEdge};
use trunkline_leg::{Anchor, CallTime, Direction, EndCause, LegFact, LegId, PlayoutPosition, RefusalCause};

use playout::Leg;
use providers::Session;
use second_leg::SecondLegs;
use seen::text;

pub(crate) use aside::Aside;
pub(crate) use deaths::Mortal;
pub(crate) use providers::{Asr, Llm, MS_PER_CHAR, Redactor, Tts, reply, tool_reply};

/// Tools that are no plugins.
const BUILT_IN: [&str; 6] = ["hang_up", "transfer", "open_menu", "set_language", "send_dtmf", "request_callback"];

/// What happens in the world at some time.
#[derive(Debug, Clone)]
enum Due {
    Tell(Input),
    Voice(bool),
    /// Speech that began then has lasted.
    Lasted(CallTime),
    Direction(Direction),
    /// An engine goes on.
    Engine(engines::Step),
    /// A synthesiser made this much of a part, and nothing more when it is done.
    Sound {
        utterance: u32,
        part: u32,
        index: usize,
        audio_ms: u32,
        done: bool,
    },
    /// The leg looks whether the utterance is over.
    Look,
    /// That utterance is cleared.
    Cleared(u32),
    Ends(EndCause),
    Dies(Mortal, bool),
    OtherAnswers(LegId),
    OtherRefuses(LegId, RefusalCause),
    OtherEnds(LegId, EndCause),
}

/// The world.
pub(crate) struct Rig {
    pub(crate) call: Call,
    pub(crate) now: CallTime,
    pub(crate) events: Vec<Event>,
    pub(crate) commands: Vec<(CallTime, Command)>,
    pub(crate) asr: Vec<Asr>,
    pub(crate) llm: Vec<Llm>,
    pub(crate) tts: Vec<Tts>,
    pub(crate) redactor: Redactor,
    pub(crate) tools: BTreeMap<String, Option<(u64, ToolOutcome)>>,
    queue: BTreeMap<(CallTime, u64), Due>,
    order: u64,
    leg: Leg,
    sessions: BTreeMap<u32, Session>,
    /// Which model each request went to.
    requests: BTreeMap<u32, usize>,
    spoken: Vec<(CallTime, CallTime, String)>,
    cancelled: Vec<u32>,
    ended: bool,
    speaking: Option<u32>,
    speaks_since: Option<CallTime>,
    min_speech_ms: u64,
    position: PlayoutPosition,
    /// Lines that were rendered beforehand have no sound.
    pub(crate) prompts_are_lost: bool,
    /// What the call asks besides, and what it is answered.
    pub(crate) aside: Aside,
    /// Its engines.
    pub(crate) engines: engines::Engines,
    /// Whoever the call dials.
    pub(crate) second: SecondLegs,
    /// Everything the call was told.
    pub(crate) log: Vec<(CallTime, Input)>,
}

/// An agent whose lists have the given lengths; `more` is merged over it.
pub(crate) fn agent(asr: usize, llm: usize, tts: usize, more: Value) -> AgentSpec {
    let list = |kind: &str, count: usize| {
        (0..count).map(|index| json!({ "provider": format!("{kind}-{index}") })).collect::<Vec<_>>()
    };
    let mut spec = json!({
        "name": "test", "greeting": "Hello.", "prompt": "You are {who}.", "variables": { "who": "a clerk" },
        "pipeline": { "cascade": { "asr": list("asr", asr), "llm": list("llm", llm), "tts": list("tts", tts) } },
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let spec: AgentSpec = serde_json::from_value(spec).unwrap();
    assert_eq!(spec.problems(), []);
    spec
}

impl Rig {
    /// A world in which everything works and the model answers with `replies`.
    pub(crate) fn new(spec: AgentSpec, replies: &[&str]) -> Self {
        Self::with_others(spec, BTreeMap::new(), replies)
    }

    /// The same with agents that the call may be handed to.
    pub(crate) fn with_others(spec: AgentSpec, others: BTreeMap<String, Arc<OtherAgent>>, replies: &[&str]) -> Self {
        Self::build(CallDirection::Inbound, spec, others, BTreeMap::new(), replies)
    }

    /// The same of a call with which these variables are handed over.
    pub(crate) fn given(spec: AgentSpec, variables: &[(&str, &str)], replies: &[&str]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = variables.iter().map(owned).collect();
        Self::build(CallDirection::Inbound, spec, BTreeMap::new(), variables, replies)
    }

    /// The same of a call that goes that way.
    pub(crate) fn placed(direction: CallDirection, spec: AgentSpec, replies: &[&str]) -> Self {
        Self::build(direction, spec, BTreeMap::new(), BTreeMap::new(), replies)
    }

    fn build(
        direction: CallDirection,
        spec: AgentSpec,
        others: BTreeMap<String, Arc<OtherAgent>>,
        variables: BTreeMap<String, String>,
        replies: &[&str],
    ) -> Self {
        let tools = bindings(&spec);
        let id = |prefix| Id::mint(prefix, 1_700_000_000_000, [7; 10]);
        let min_speech_ms = u64::from(spec.interruption.min_speech_ms);
        let call = Call::new(CallSetup {
            call: id(Prefix::Call),
            tenant: id(Prefix::Tenant),
            agent: id(Prefix::Agent),
            agent_version: 3,
            spec: Arc::new(spec),
            tools,
            others,
            trunk: Some(id(Prefix::Trunk)),
            gateway: None,
            direction,
            from: "+4930123".to_owned(),
            to: "100".to_owned(),
            variables,
            anchor: Anchor { wall_us: 1_700_000_000_000_000, call_us: 0 },
            seed: 42,
            codec: "PCMU".to_owned(),
            sip_call_id: Some("abc@host".to_owned()),
        });
        let mut rig = Self {
            call,
            now: CallTime::ZERO,
            events: Vec::new(),
            commands: Vec::new(),
            asr: vec![Asr::Hears(80); 8],
            llm: vec![Llm::Replies(replies.iter().map(|text| reply(text)).collect()); 8],
            tts: vec![Tts::Speaks(60); 8],
            redactor: Redactor::Works,
            tools: BTreeMap::new(),
            queue: BTreeMap::new(),
            order: 0,
            leg: Leg::default(),
            sessions: BTreeMap::new(),
            requests: BTreeMap::new(),
            spoken: Vec::new(),
            cancelled: Vec::new(),
            ended: false,
            speaking: None,
            speaks_since: None,
            min_speech_ms,
            position: PlayoutPosition::default(),
            prompts_are_lost: false,
            aside: Aside::default(),
            engines: engines::Engines::default(),
            second: SecondLegs::default(),
            log: Vec::new(),
        };
        rig.push(0, Due::Tell(Input::Answered));
        rig
    }

    /// Runs until `ms`.
    pub(crate) fn run_until(&mut self, ms: u64) {
        let end = CallTime::from_ms(ms);
        self.drain();
        loop {
            let input = self.queue.keys().next().copied();
            let timer = self.call.poll_timeout();
            let next = match (input, timer) {
                (Some((at, _)), Some((due, _))) => at.min(due),
                (Some((at, _)), None) => at,
                (None, Some((due, _))) => due,
                (None, None) => break,
            };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            match input {
                Some(key) if key.0 <= next => {
                    let input = self.queue.remove(&key).unwrap();
                    self.deliver(input);
                }
                _ => {
                    let before = self.call.poll_timeout();
                    self.handle(Input::Timeout);
                    assert_ne!(self.call.poll_timeout(), before, "a deadline did not move");
                }
            }
            self.drain();
        }
        self.now = self.now.max(end);
    }

    /// Runs until the call is over, for at most an hour.
    pub(crate) fn run_to_end(&mut self) {
        for second in self.now.as_ms() / 1000..3700 {
            if self.call.is_over() {
                return;
            }
            self.run_until(second * 1000);
        }
        panic!("the call never ended: {:#?}", self.names());
    }

    fn push(&mut self, at_ms: u64, due: Due) {
        self.push_at(CallTime::from_ms(at_ms), due);
    }

    fn push_at(&mut self, at: CallTime, due: Due) {
        self.order += 1;
        self.queue.insert((at.max(self.now), self.order), due);
    }

    fn push_in(&mut self, ms: u64, due: Due) {
        self.push_at(self.now.plus_ms(ms), due);
    }

    fn tell_in(&mut self, ms: u64, input: Input) {
        self.push_in(ms, Due::Tell(input));
    }

    /// Tells the call of playback and of what happened.
    fn handle(&mut self, input: Input) {
        self.position();
        self.log.push((self.now, input.clone()));
        self.call.handle(self.now, input);
    }

    fn deliver(&mut self, due: Due) {
        let now = self.now;
        match due {
            Due::Tell(Input::Llm { request, .. }) if self.cancelled.contains(&request) => {}
            Due::Tell(input) => self.handle(input),
            Due::Engine(step) => self.engine_step(step),
            Due::Direction(direction) => {
                self.leg.play(now);
                self.leg.held = !matches!(direction, Direction::SendRecv | Direction::SendOnly);
                self.handle(fact(LegFact::Direction { direction, at: now }));
                self.look();
            }
            Due::Voice(speech) => {
                self.handle(Input::Voice(VoiceEdge { speech, at: now, level_dbfs: -20.0 }));
                // What signal processing does: speech that lasts interrupts.
                self.speaks_since = speech.then_some(now);
                if speech {
                    self.push_in(self.min_speech_ms, Due::Lasted(now));
                }
            }
            Due::Lasted(since) => {
                if self.speaks_since == Some(since) {
                    self.handle(Input::Interrupts);
                }
            }
            Due::Ends(cause) => {
                if !self.ended {
                    self.position();
                    self.ended = true;
                    self.handle(fact(LegFact::Ended { cause, at: now }));
                }
            }
            Due::Dies(who, says) => self.died(who, says),
            Due::OtherAnswers(leg) => self.other_answers(leg),
            Due::OtherRefuses(leg, cause) => self.other_refuses(leg, cause),
            Due::OtherEnds(leg, cause) => self.other_ends(leg, cause),
            Due::Sound { utterance, part, index, audio_ms, done } => self.sound(utterance, part, index, audio_ms, done),
            Due::Look => self.look_now(),
            Due::Cleared(utterance) => {
                self.leg.play(now);
                if !self.leg.over && self.leg.utterance > 0 && self.leg.utterance == utterance {
                    (self.leg.over, self.speaking) = (true, None);
                    let (utterance, sent_ms) = (self.leg.utterance, self.leg.played_ms as u32);
                    self.handle(self.of_attached(LegFact::PlaybackCut { utterance, sent_ms, at: now }));
                }
            }
        }
    }

    fn drain(&mut self) {
        while let Some(command) = self.call.poll_transmit() {
            if self.ended && self.second.open.is_empty() {
                assert!(command.closes(), "a command after the leg ended: {command:?}");
            }
            self.commands.push((self.now, command.clone()));
            self.carry_out(command);
        }
        while let Some(event) = self.call.poll_event() {
            let kind = EventType::from_name(&event.kind).unwrap();
            let kept = |event: &&Event| EventType::from_name(&event.kind).is_some_and(EventType::is_kept);
            let before = self.events.iter().filter(kept).count() as u64;
            assert_eq!(event.seq, before + u64::from(kind.is_kept()), "a gap before {}", event.kind);
            assert_eq!(kind.violations(&event.data), Vec::<String>::new());
            let ended = self.names().contains(&"call.ended");
            let may_follow = matches!(kind, EventType::CallAnalysed | EventType::Redacted);
            assert!(!ended || may_follow, "an event after the last: {}", event.kind);
            self.events.push(event);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::StartLlm { request, messages, .. } if aside::is_summary(&messages) => {
                self.sum_up(request, &messages);
            }
            Command::Lookup { ticket, query, .. } => self.look_up(ticket, &query),
            Command::OpenAsr { .. }
            | Command::FinalizeAsr { .. }
            | Command::CloseAsr { .. }
            | Command::StartLlm { .. }
            | Command::CancelLlm { .. }
            | Command::Speak { .. }
            | Command::Redact { .. }
            | Command::StartTool { .. } => self.provide(command),
            Command::Play { .. }
            | Command::Silence { .. }
            | Command::DropParts { .. }
            | Command::EndUtterance { .. }
            | Command::StopSpeaking { .. }
            | Command::PausePlayback
            | Command::ResumePlayback
            | Command::ThinkingSound { .. }
            | Command::ClearPlayback => self.play_out(command),
            Command::HangUp { leg: LegId::FIRST, .. } => self.push_in(30, Due::Ends(EndCause::Local)),
            Command::HandOff { .. } | Command::Conceal { .. } | Command::Record { .. } | Command::CancelTool { .. } => {
            }
            command @ (Command::OpenRealtime { .. }
            | Command::Update { .. }
            | Command::BeginInput { .. }
            | Command::CommitInput { .. }
            | Command::DropInput { .. }
            | Command::AppendMessage { .. }
            | Command::ToolResult { .. }
            | Command::CreateResponse { .. }
            | Command::CancelResponse { .. }
            | Command::PlayItem { .. }
            | Command::EndPart { .. }
            | Command::Truncate { .. }
            | Command::CloseRealtime { .. }) => self.carry_out_engine(command),
            command => self.carry_out_telephone(command),
        }
    }
}

/// The tools of an agent.
pub(crate) fn bindings(spec: &AgentSpec) -> Vec<ToolBinding> {
    let plugins = spec.tools.iter().filter(|tool| !BUILT_IN.contains(&tool.name.as_str()));
    let binding = |tool: &trunkline_api::agent::ToolRef| ToolBinding {
        plugin: tool.name.clone(),
        settings: tool.settings.clone(),
        definition: ToolDefinition {
            name: tool.name.clone(),
            description: "a tool".to_owned(),
            parameters: "{}".to_owned(),
        },
        policy: tool.policy.clone(),
    };
    plugins.map(binding).collect()
}

/// What the caller's leg tells.
fn fact(fact: LegFact) -> Input {
    Input::Leg { leg: LegId::FIRST, fact }
}
