//! A virtual world around a call: a caller, providers, a redactor and a leg, each of which can misbehave, on virtual
//! time. Every output is checked against the rules that always hold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use trunkline_api::agent::AgentSpec;
use trunkline_api::id::{Id, Prefix};
use trunkline_api::usage::CallDirection;
use trunkline_api::{Event, EventType, Failure};
use trunkline_call::{
    AsrEvent, Call, CallSetup, Command, FinishReason, LlmEvent, Message, Redacted, ToolBinding, ToolCall,
    ToolDefinition, ToolOutcome, TtsEvent, VoiceEdge,
};
use trunkline_leg::{Anchor, CallTime, Direction, DtmfDigit, EndCause, LegFact, PlayoutPosition};

/// Milliseconds of sound a character takes in this world.
pub(crate) const MS_PER_CHAR: u32 = 50;

/// How a recogniser behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Asr {
    /// Answers a finalisation after that many milliseconds.
    Hears(u64),
    /// Never says anything.
    Stalls,
    /// Fails as soon as it is opened.
    Fails,
}

/// How a language model behaves.
#[derive(Debug, Clone)]
pub(crate) enum Llm {
    /// Plays one script a request; each step comes that many milliseconds after the one before.
    Replies(VecDeque<Vec<(u64, LlmEvent)>>),
    /// Never says anything.
    Stalls,
    /// Fails at once.
    Fails,
}

/// How a synthesiser behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tts {
    /// First sound after that many milliseconds, all sound at once.
    Speaks(u64),
    /// Never says anything.
    Stalls,
    /// Ends every part without sound.
    Mute,
    /// Fails at once.
    Fails,
}

/// How a redactor behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Redactor {
    /// Replaces digits.
    Works,
    /// Answers with an error.
    Fails,
    /// Never answers.
    Stalls,
}

/// An input on its way.
#[derive(Debug, Clone)]
enum Input {
    Answered,
    Voice(bool),
    /// Speech that began then has lasted.
    Lasted(CallTime),
    Direction(Direction),
    Fact(LegFact),
    Asr(u32, AsrEvent),
    Llm(u32, LlmEvent),
    Tts(u32, usize, TtsEvent),
    Sound(u32, u32),
    PlaybackEnd(u32),
    Cut,
    Tool(u32, ToolOutcome),
    Redacted(u64, Result<Redacted, String>),
}

/// What the leg plays.
#[derive(Debug, Default)]
struct Leg {
    utterance: u32,
    queued_ms: u64,
    until: CallTime,
    parts: u32,
    parts_done: u32,
    ended: bool,
    playing: bool,
    /// Since when nothing may be sent.
    held: Option<CallTime>,
    /// What comes once something may be.
    waiting: Vec<Input>,
}

impl Leg {
    fn sent_ms(&self, now: CallTime) -> u32 {
        (self.queued_ms - self.until.since_ms(now)) as u32
    }
}

struct Session {
    index: usize,
    hears_from: CallTime,
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
    queue: BTreeMap<(CallTime, u64), Input>,
    order: u64,
    leg: Leg,
    sessions: BTreeMap<u32, Session>,
    spoken: Vec<(CallTime, CallTime, String)>,
    cancelled: Vec<u32>,
    ended: bool,
    speaking: Option<u32>,
    speaks_since: Option<CallTime>,
    min_speech_ms: u64,
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

/// A script: the text in one piece after 200 ms.
pub(crate) fn reply(text: &str) -> Vec<(u64, LlmEvent)> {
    vec![(200, LlmEvent::TextDelta(text.to_owned())), (10, LlmEvent::Finished(FinishReason::Stop))]
}

/// A script: some text, then a call of a tool.
pub(crate) fn tool_reply(text: &str, name: &str, arguments: &str) -> Vec<(u64, LlmEvent)> {
    let call = ToolCall { id: format!("c-{name}"), name: name.to_owned(), arguments: arguments.to_owned() };
    let mut script = vec![(200, LlmEvent::ToolCall(call)), (10, LlmEvent::Finished(FinishReason::ToolCalls))];
    if !text.is_empty() {
        script.insert(0, (100, LlmEvent::TextDelta(text.to_owned())));
    }
    script
}

impl Rig {
    /// A world in which everything works and the model answers with `replies`.
    pub(crate) fn new(spec: AgentSpec, replies: &[&str]) -> Self {
        let tools: Vec<ToolBinding> = spec
            .tools
            .iter()
            .filter(|tool| !["hang_up", "transfer"].contains(&tool.name.as_str()))
            .map(|tool| ToolBinding {
                plugin: tool.name.clone(),
                settings: tool.settings.clone(),
                definition: ToolDefinition {
                    name: tool.name.clone(),
                    description: "a tool".to_owned(),
                    parameters: "{}".to_owned(),
                },
            })
            .collect();
        let id = |prefix| Id::mint(prefix, 1_700_000_000_000, [7; 10]);
        let min_speech_ms = u64::from(spec.interruption.min_speech_ms);
        let call = Call::new(CallSetup {
            call: id(Prefix::Call),
            tenant: id(Prefix::Tenant),
            agent: id(Prefix::Agent),
            agent_version: 3,
            spec: Arc::new(spec),
            tools,
            trunk: Some(id(Prefix::Trunk)),
            gateway: None,
            direction: CallDirection::Inbound,
            from: "+4930123".to_owned(),
            to: "100".to_owned(),
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
            spoken: Vec::new(),
            cancelled: Vec::new(),
            ended: false,
            speaking: None,
            speaks_since: None,
            min_speech_ms,
        };
        rig.push(0, Input::Answered);
        rig
    }

    /// Gives the model scripts.
    pub(crate) fn scripts(mut self, scripts: Vec<Vec<(u64, LlmEvent)>>) -> Self {
        self.llm[0] = Llm::Replies(scripts.into());
        self
    }

    /// The caller speaks from `at_ms` for `for_ms`; empty words are noise.
    pub(crate) fn caller_says(&mut self, at_ms: u64, for_ms: u64, words: &str) {
        self.push(at_ms, Input::Voice(true));
        self.push(at_ms + for_ms, Input::Voice(false));
        let (begin, end) = (CallTime::from_ms(at_ms), CallTime::from_ms(at_ms + for_ms));
        self.spoken.push((begin, end, words.to_owned()));
    }

    /// The far end changes what it sends and hears; the direction is the gateway's.
    pub(crate) fn far_end_wants(&mut self, at_ms: u64, direction: Direction) {
        self.push(at_ms, Input::Direction(direction));
    }

    /// The caller presses a key.
    pub(crate) fn caller_presses(&mut self, at_ms: u64, key: char) {
        let digit = DtmfDigit::from_char(key).unwrap();
        self.push(at_ms, Input::Fact(LegFact::Dtmf { digit, at: CallTime::from_ms(at_ms) }));
    }

    /// The caller hangs up.
    pub(crate) fn caller_hangs_up(&mut self, at_ms: u64) {
        self.leg_ends(at_ms, EndCause::RemoteHangUp);
    }

    /// The leg ends.
    pub(crate) fn leg_ends(&mut self, at_ms: u64, cause: EndCause) {
        self.push(at_ms, Input::Fact(LegFact::Ended { cause, at: CallTime::from_ms(at_ms) }));
    }

    /// A recogniser reports something on its current session.
    pub(crate) fn asr_says(&mut self, at_ms: u64, session: u32, event: AsrEvent) {
        self.push(at_ms, Input::Asr(session, event));
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
                    self.call.handle_timeout(self.now);
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

    /// Names of the events so far.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.events.iter().map(|event| event.kind.as_str()).collect()
    }

    /// Data of every event of a type.
    pub(crate) fn all(&self, kind: EventType) -> Vec<&Value> {
        self.events.iter().filter(|event| event.kind == kind.name()).map(|event| &event.data).collect()
    }

    /// Data of the only event of a type.
    pub(crate) fn only(&self, kind: EventType) -> &Value {
        let all = self.all(kind);
        assert_eq!(all.len(), 1, "{}: {all:?}", kind.name());
        all[0]
    }

    /// Milliseconds of call time of the first event of a type.
    pub(crate) fn first_ms(&self, kind: EventType) -> u64 {
        self.events.iter().find(|event| event.kind == kind.name()).unwrap().at.call_us / 1000
    }

    /// Everything the agent said, in order.
    pub(crate) fn said(&self) -> Vec<&str> {
        self.all(EventType::AgentSaid).into_iter().map(|data| data["text"].as_str().unwrap()).collect()
    }

    /// Failures raised, with their actions.
    pub(crate) fn failures(&self) -> Vec<(Failure, &str)> {
        let failure = |data: &'_ Value| data["failure"].as_str().unwrap().parse().unwrap();
        self.all(EventType::FailureRaised)
            .into_iter()
            .map(|data| (failure(data), data["action"].as_str().unwrap()))
            .collect()
    }

    /// Messages of the last request to a model.
    pub(crate) fn last_messages(&self) -> &[Message] {
        self.commands
            .iter()
            .rev()
            .find_map(|(_, command)| match command {
                Command::StartLlm { messages, .. } => Some(messages.as_slice()),
                _ => None,
            })
            .unwrap()
    }

    /// Texts of the last request's messages, as `role: text`.
    pub(crate) fn conversation(&self) -> Vec<String> {
        self.last_messages().iter().map(|message| format!("{:?}: {}", message.role, text(message))).collect()
    }

    fn push(&mut self, at_ms: u64, input: Input) {
        self.push_at(CallTime::from_ms(at_ms), input);
    }

    fn push_at(&mut self, at: CallTime, input: Input) {
        self.order += 1;
        self.queue.insert((at.max(self.now), self.order), input);
    }

    fn push_in(&mut self, ms: u64, input: Input) {
        self.push_at(self.now.plus_ms(ms), input);
    }

    fn deliver(&mut self, input: Input) {
        let now = self.now;
        match input {
            // The leg keeps what it has, and with its ring full a synthesiser gets no further.
            Input::Tts(_, _, TtsEvent::PartDone { .. }) | Input::Sound(..) | Input::PlaybackEnd(_)
                if self.leg.held.is_some() =>
            {
                self.leg.waiting.push(input);
            }
            Input::Answered => self.call.handle_answered(now),
            Input::Direction(direction) => self.direction(direction),
            Input::Voice(speech) => {
                self.call.handle_voice(now, VoiceEdge { speech, at: now, level_dbfs: -20.0 });
                // What signal processing does: speech that lasts interrupts.
                self.speaks_since = speech.then_some(now);
                if speech {
                    self.push_in(self.min_speech_ms, Input::Lasted(now));
                }
            }
            Input::Lasted(since) => {
                if self.speaks_since == Some(since) {
                    self.call.handle_interruption(now);
                }
            }
            Input::Fact(fact) => {
                if let LegFact::Ended { .. } = fact {
                    if self.ended {
                        return;
                    }
                    self.ended = true;
                    self.position();
                }
                self.call.handle_leg_fact(now, fact);
            }
            Input::Asr(session, event) => self.call.handle_asr(now, session, event),
            Input::Llm(request, event) => {
                if !self.cancelled.contains(&request) {
                    self.call.handle_llm(now, request, event);
                }
            }
            Input::Tts(utterance, index, event) => self.call.handle_tts(now, utterance, index, event),
            Input::Sound(utterance, ms) => self.play(utterance, ms),
            Input::PlaybackEnd(utterance) => {
                let leg = &mut self.leg;
                let over = leg.playing && leg.utterance == utterance && leg.ended;
                if over && leg.parts == leg.parts_done && leg.until <= now {
                    leg.playing = false;
                    self.position();
                    self.call.handle_leg_fact(now, LegFact::PlaybackFinished { utterance, at: now });
                }
            }
            Input::Cut => {
                if self.leg.playing {
                    self.leg.playing = false;
                    self.leg.until = self.leg.until.min(self.leg.until);
                    let (utterance, sent_ms) = (self.leg.utterance, self.leg.sent_ms(now));
                    self.call.handle_leg_fact(now, LegFact::PlaybackCut { utterance, sent_ms, at: now });
                }
            }
            Input::Tool(invocation, outcome) => self.call.handle_tool(now, invocation, outcome),
            Input::Redacted(ticket, result) => self.call.handle_redacted(now, ticket, result),
        }
    }

    fn direction(&mut self, direction: Direction) {
        let sends = matches!(direction, Direction::SendRecv | Direction::SendOnly);
        match (sends, self.leg.held) {
            (false, None) => self.leg.held = Some(self.now),
            (true, Some(since)) => {
                self.leg.held = None;
                self.leg.until = self.leg.until + self.now.since_us(since);
                for input in std::mem::take(&mut self.leg.waiting) {
                    let due = if let Input::PlaybackEnd(_) = input { self.leg.until } else { self.now };
                    self.push_at(due, input);
                }
            }
            _ => {}
        }
        self.call.handle_direction(self.now, direction);
    }

    fn position(&mut self) {
        let position = PlayoutPosition { utterance: self.leg.utterance, sent_ms: self.leg.sent_ms(self.now) };
        self.call.handle_playout(self.now, position);
    }

    fn play(&mut self, utterance: u32, ms: u32) {
        if self.leg.utterance != utterance || (!self.leg.playing && self.leg.queued_ms > 0) {
            return;
        }
        let begin = self.leg.until.max(self.now);
        let first = self.leg.queued_ms == 0;
        self.leg.queued_ms += u64::from(ms);
        self.leg.until = begin.plus_ms(u64::from(ms));
        self.leg.parts_done += 1;
        if first {
            self.leg.playing = true;
            let at = self.now;
            self.push_at(at, Input::Fact(LegFact::PlaybackStarted { utterance, at }));
        }
        self.push_at(self.leg.until, Input::PlaybackEnd(utterance));
    }

    fn drain(&mut self) {
        while let Some(command) = self.call.poll_transmit() {
            if self.ended {
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
            assert_ne!(self.names().last(), Some(&"call.ended"), "an event after the last: {}", event.kind);
            match kind {
                EventType::PlaybackFinished | EventType::PlaybackCut => self.speaking = None,
                _ => {}
            }
            self.events.push(event);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::OpenAsr { session, index, replay_from, .. } => {
                self.sessions.insert(session, Session { index, hears_from: replay_from.unwrap_or(self.now) });
                if self.asr[index] == Asr::Fails {
                    let detail = "refused".to_owned();
                    self.push_in(5, Input::Asr(session, AsrEvent::Failed { failure: Failure::AsrUnavailable, detail }));
                }
            }
            Command::FinalizeAsr { session } => {
                let Session { index, hears_from } = self.sessions[&session];
                if let Asr::Hears(ms) = self.asr[index] {
                    let (now, mut words) = (self.now, Vec::new());
                    self.spoken.retain(|(begin, end, text)| {
                        let heard = *begin >= hears_from && *end <= now;
                        if heard && !text.is_empty() {
                            words.push(text.clone());
                        }
                        !heard
                    });
                    let text = words.join(" ");
                    let event = AsrEvent::Final { text, confidence: Some(0.9), finalized: true };
                    self.push_in(ms, Input::Asr(session, event));
                }
            }
            Command::StartLlm { request, index, .. } => match &mut self.llm[index] {
                Llm::Replies(scripts) => {
                    let mut ms = 0;
                    for (wait, event) in scripts.pop_front().expect("the script has no further reply") {
                        ms += wait;
                        self.push_in(ms, Input::Llm(request, event));
                    }
                }
                Llm::Stalls => {}
                Llm::Fails => {
                    let event = LlmEvent::Failed { failure: Failure::LlmUnavailable, detail: "refused".to_owned() };
                    self.push_in(5, Input::Llm(request, event));
                }
            },
            Command::CancelLlm { request } => self.cancelled.push(request),
            Command::Speak { utterance, part, index, text, .. } => {
                assert!(self.speaking.is_none_or(|now| now == utterance), "two utterances at once");
                self.speaking = Some(utterance);
                if self.leg.utterance != utterance {
                    let (held, waiting) = (self.leg.held, std::mem::take(&mut self.leg.waiting));
                    self.leg = Leg { utterance, held, waiting, ..Leg::default() };
                }
                self.leg.parts = part + 1;
                let audio_ms = text.chars().count() as u32 * MS_PER_CHAR;
                match self.tts[index] {
                    Tts::Speaks(ms) => {
                        self.push_in(ms, Input::Tts(utterance, index, TtsEvent::Audio { part, audio_ms: 20 }));
                        self.push_in(ms, Input::Tts(utterance, index, TtsEvent::PartDone { part, audio_ms }));
                        self.push_in(ms, Input::Sound(utterance, audio_ms));
                    }
                    Tts::Stalls => {}
                    Tts::Mute => {
                        self.push_in(20, Input::Tts(utterance, index, TtsEvent::PartDone { part, audio_ms: 0 }));
                    }
                    Tts::Fails => {
                        let (failure, detail) = (Failure::TtsUnavailable, "refused".to_owned());
                        self.push_in(5, Input::Tts(utterance, index, TtsEvent::Failed { failure, detail }));
                    }
                }
            }
            Command::EndUtterance { utterance } => {
                self.leg.ended = true;
                self.push_at(self.leg.until, Input::PlaybackEnd(utterance));
            }
            Command::ClearPlayback => self.push_in(20, Input::Cut),
            Command::Redact { ticket, text, .. } => {
                let count = text.chars().filter(char::is_ascii_digit).count() as u32;
                let counts = if count > 0 { vec![("digit".to_owned(), count)] } else { Vec::new() };
                let text = text.chars().map(|c| if c.is_ascii_digit() { '*' } else { c }).collect();
                match self.redactor {
                    Redactor::Works => self.push_in(0, Input::Redacted(ticket, Ok(Redacted { text, counts }))),
                    Redactor::Fails => self.push_in(0, Input::Redacted(ticket, Err("trapped".to_owned()))),
                    Redactor::Stalls => {}
                }
            }
            Command::StartTool { invocation, name, .. } => {
                if let Some((ms, outcome)) = self.tools.get(&name).cloned().flatten() {
                    self.push_in(ms, Input::Tool(invocation, outcome));
                }
            }
            Command::HangUp { .. } => {
                let at = self.now.plus_ms(30);
                self.push_at(at, Input::Fact(LegFact::Ended { cause: EndCause::Local, at }));
            }
            Command::CloseAsr { .. } | Command::StopSpeaking { .. } | Command::CancelTool { .. } => {}
        }
    }
}

fn text(message: &Message) -> String {
    use trunkline_call::Content;
    let piece = |content: &Content| match content {
        Content::Text(text) => text.clone(),
        Content::ToolCall(call) => format!("{}({})", call.name, call.arguments),
        Content::ToolResult { output, .. } => format!("-> {output}"),
    };
    message.content.iter().map(piece).collect::<Vec<_>>().join(" ")
}
