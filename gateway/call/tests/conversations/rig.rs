//! A virtual world around a call: a caller, providers, a redactor and a leg, each of which can misbehave, on virtual
//! time. Every output is checked against the rules that always hold.

mod aside;
pub(crate) mod engines;
pub(crate) mod second_leg;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use trunkline_api::agent::AgentSpec;
use trunkline_api::id::{Id, Prefix};
use trunkline_api::usage::CallDirection;
use trunkline_api::words::{Content, FinishReason, Message, ToolCall, ToolDefinition};
use trunkline_api::{Event, EventType, Failure};
use trunkline_call::{
    AsrEvent, Call, CallSetup, Command, Input, LlmEvent, OtherAgent, Redacted, ToolBinding, ToolOutcome, TtsEvent,
    VoiceEdge,
};
use trunkline_leg::{Anchor, CallTime, Direction, DtmfDigit, EndCause, LegFact, LegId, PlayoutPosition, RefusalCause};

use second_leg::SecondLegs;

pub(crate) use aside::Aside;

/// Tools that are no plugins.
const BUILT_IN: [&str; 6] = ["hang_up", "transfer", "open_menu", "set_language", "send_dtmf", "request_callback"];
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
    /// Stops after that many milliseconds of sound, and says nothing of it.
    BreaksOff(u32),
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
    /// Replaces digits, after so many milliseconds.
    Late(u64),
    /// Never answers.
    Stalls,
}

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
    OtherAnswers(LegId),
    OtherRefuses(LegId, RefusalCause),
    OtherEnds(LegId, EndCause),
}

/// What the leg plays.
#[derive(Debug, Default)]
struct Leg {
    utterance: u32,
    /// Milliseconds of sound of each part, and whether there is no more.
    parts: BTreeMap<u32, (u32, bool)>,
    /// Where parts end sooner than their sound.
    ends: BTreeMap<u32, u32>,
    /// Of each part, whether its synthesiser still counts.
    voices: BTreeMap<u32, usize>,
    played_ms: u64,
    since: CallTime,
    started: bool,
    ended: bool,
    over: bool,
    paused: bool,
    held: bool,
    /// When there was something to be heard, from and to, in milliseconds.
    audible: Vec<(u64, u64)>,
}

impl Leg {
    /// Milliseconds that can be played one after the other.
    fn ready_ms(&self) -> u64 {
        let mut ready = 0;
        for (audio_ms, done) in self.parts.values() {
            ready += u64::from(*audio_ms);
            if !done {
                break;
            }
        }
        ready
    }

    /// Time passes.
    fn play(&mut self, now: CallTime) {
        if self.started && !self.paused && !self.held && !self.over {
            let before = self.played_ms;
            self.played_ms = (before + now.since_ms(self.since)).min(self.ready_ms());
            let (from, to) = (self.since.as_ms(), self.since.as_ms() + self.played_ms - before);
            match self.audible.last_mut() {
                Some(last) if last.1 == from => last.1 = to,
                _ if to > from => self.audible.push((from, to)),
                _ => {}
            }
        }
        self.since = now;
    }

    fn is_complete(&self) -> bool {
        self.ended && self.parts.values().all(|(_, done)| *done) && self.played_ms == self.ready_ms()
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
    queue: BTreeMap<(CallTime, u64), Due>,
    order: u64,
    leg: Leg,
    sessions: BTreeMap<u32, Session>,
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
        Self::with_others(spec, BTreeMap::new(), replies)
    }

    /// The same with agents that the call may be handed to.
    pub(crate) fn with_others(spec: AgentSpec, others: BTreeMap<String, Arc<OtherAgent>>, replies: &[&str]) -> Self {
        Self::build(CallDirection::Inbound, spec, others, replies)
    }

    /// The same of a call that goes that way.
    pub(crate) fn placed(direction: CallDirection, spec: AgentSpec, replies: &[&str]) -> Self {
        Self::build(direction, spec, BTreeMap::new(), replies)
    }

    fn build(
        direction: CallDirection,
        spec: AgentSpec,
        others: BTreeMap<String, Arc<OtherAgent>>,
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

    /// Gives the model scripts.
    pub(crate) fn scripts(mut self, scripts: Vec<Vec<(u64, LlmEvent)>>) -> Self {
        self.llm[0] = Llm::Replies(scripts.into());
        self
    }

    /// Tells the call something.
    pub(crate) fn tell(&mut self, at_ms: u64, input: Input) {
        self.push(at_ms, Due::Tell(input));
    }

    /// The caller speaks from `at_ms` for `for_ms`; empty words are noise.
    pub(crate) fn caller_says(&mut self, at_ms: u64, for_ms: u64, words: &str) {
        self.push(at_ms, Due::Voice(true));
        self.push(at_ms + for_ms, Due::Voice(false));
        let (begin, end) = (CallTime::from_ms(at_ms), CallTime::from_ms(at_ms + for_ms));
        self.spoken.push((begin, end, words.to_owned()));
    }

    /// The far end changes what it sends and hears; the direction is the gateway's.
    pub(crate) fn far_end_wants(&mut self, at_ms: u64, direction: Direction) {
        self.push(at_ms, Due::Direction(direction));
    }

    /// The caller presses a key.
    pub(crate) fn caller_presses(&mut self, at_ms: u64, key: char) {
        let digit = DtmfDigit::from_char(key).unwrap();
        self.push(at_ms, Due::Tell(fact(LegFact::Dtmf { digit, at: CallTime::from_ms(at_ms) })));
    }

    /// The caller hangs up.
    pub(crate) fn caller_hangs_up(&mut self, at_ms: u64) {
        self.leg_ends(at_ms, EndCause::RemoteHangUp);
    }

    /// The leg ends.
    pub(crate) fn leg_ends(&mut self, at_ms: u64, cause: EndCause) {
        self.push(at_ms, Due::Ends(cause));
    }

    /// A recogniser reports something on its current session.
    pub(crate) fn asr_says(&mut self, at_ms: u64, session: u32, event: AsrEvent) {
        self.push(at_ms, Due::Tell(Input::Asr { session, event }));
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

    /// The longest silence of the agent's between two moments, in milliseconds, and when it begins.
    pub(crate) fn longest_silence(&self, from_ms: u64, to_ms: u64) -> (u64, u64) {
        let (mut longest, mut quiet_since) = ((0, from_ms), from_ms);
        for (from, to) in self.leg.audible.iter().filter(|(_, to)| *to > from_ms).chain(&[(to_ms, to_ms)]) {
            longest = longest.max((from.min(&to_ms).saturating_sub(quiet_since), quiet_since));
            quiet_since = quiet_since.max(*to);
        }
        longest
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

    /// An utterance begins when the one before is over; one whose end is known and that has no sound is.
    fn may_begin(&self, utterance: u32) -> bool {
        self.speaking.is_none_or(|now| now == utterance || self.leg.is_complete())
    }

    /// What the leg tells that the agent is with.
    fn of_attached(&self, fact: LegFact) -> Input {
        Input::Leg { leg: self.second.attached.unwrap_or(LegId::FIRST), fact }
    }

    fn position(&mut self) {
        if self.ended && self.second.open.is_empty() {
            return;
        }
        self.leg.play(self.now);
        let position = PlayoutPosition { utterance: self.leg.utterance, sent_ms: self.leg.played_ms as u32 };
        if position != self.position {
            self.position = position;
            self.log.push((self.now, Input::Playout(position)));
            self.call.handle(self.now, Input::Playout(position));
        }
    }

    fn sound(&mut self, utterance: u32, part: u32, index: usize, audio_ms: u32, done: bool) {
        let leg = &mut self.leg;
        leg.play(self.now);
        if leg.utterance != utterance || leg.over || leg.voices.get(&part) != Some(&index) {
            return;
        }
        let (audio_ms, done) = match leg.ends.get(&part) {
            Some(end) if audio_ms >= *end => (*end, true),
            _ => (audio_ms, done),
        };
        if leg.parts.get(&part).is_some_and(|(_, done)| *done) && leg.ends.get(&part).is_none() {
            return;
        }
        leg.parts.insert(part, (audio_ms, done));
        let event = if done { TtsEvent::PartDone { part, audio_ms } } else { TtsEvent::Audio { part, audio_ms } };
        self.handle(Input::Tts { utterance, index, event });
        self.look();
    }

    /// Looks again when what there is will have been played.
    fn look(&mut self) {
        self.leg.play(self.now);
        let may = !self.leg.paused && !self.leg.held && !self.leg.over;
        if may && !self.leg.started && self.leg.ready_ms() > 0 {
            self.leg.started = true;
            let (utterance, at) = (self.leg.utterance, self.now);
            self.tell_in(0, self.of_attached(LegFact::PlaybackStarted { utterance, at }));
        }
        let left = self.leg.ready_ms() - self.leg.played_ms;
        if may && (self.leg.started || self.leg.is_complete()) {
            self.push_in(left, Due::Look);
        }
    }

    fn look_now(&mut self) {
        self.leg.play(self.now);
        if !self.leg.over && !self.leg.paused && !self.leg.held && self.leg.utterance > 0 && self.leg.is_complete() {
            (self.leg.over, self.speaking) = (true, None);
            let (utterance, at) = (self.leg.utterance, self.now);
            self.handle(self.of_attached(LegFact::PlaybackFinished { utterance, at }));
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

    fn begin_utterance(&mut self, utterance: u32) {
        assert!(self.may_begin(utterance), "two utterances at once");
        self.speaking = Some(utterance);
        if self.leg.utterance != utterance {
            let Leg { held, paused, audible, .. } = std::mem::take(&mut self.leg);
            self.leg = Leg { utterance, held, paused, audible, since: self.now, ..Leg::default() };
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::OpenAsr { session, index, replay_from, .. } => {
                self.sessions.insert(session, Session { index, hears_from: replay_from.unwrap_or(self.now) });
                if self.asr[index] == Asr::Fails {
                    let event = AsrEvent::Failed { failure: Failure::AsrUnavailable, detail: "refused".to_owned() };
                    self.tell_in(5, Input::Asr { session, event });
                }
            }
            Command::FinalizeAsr { session, .. } => {
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
                    self.tell_in(ms, Input::Asr { session, event });
                }
            }
            Command::StartLlm { request, messages, .. } if aside::is_summary(&messages) => {
                self.sum_up(request, &messages);
            }
            Command::Lookup { ticket, query, .. } => self.look_up(ticket, &query),
            Command::HandOff { .. } => {}
            Command::StartLlm { request, index, .. } => match &mut self.llm[index] {
                Llm::Replies(scripts) => {
                    let mut ms = 0;
                    for (wait, event) in scripts.pop_front().expect("the script has no further reply") {
                        ms += wait;
                        self.tell_in(ms, Input::Llm { request, event });
                    }
                }
                Llm::Stalls => {}
                Llm::Fails => {
                    let event = LlmEvent::Failed { failure: Failure::LlmUnavailable, detail: "refused".to_owned() };
                    self.tell_in(5, Input::Llm { request, event });
                }
            },
            Command::CancelLlm { request } => self.cancelled.push(request),
            Command::Speak { utterance, part, index, text, .. } => {
                self.begin_utterance(utterance);
                assert!(self.leg.voices.insert(part, index).is_none(), "a part was used twice");
                self.leg.parts.insert(part, (0, false));
                let whole = text.chars().count() as u32 * MS_PER_CHAR;
                let sound = |audio_ms, done| Due::Sound { utterance, part, index, audio_ms, done };
                match self.tts[index] {
                    Tts::Speaks(ms) => {
                        self.push_in(ms, sound(20.min(whole), false));
                        self.push_in(ms, sound(whole, true));
                    }
                    Tts::BreaksOff(after_ms) => self.push_in(60, sound(after_ms.min(whole), false)),
                    Tts::Stalls => {}
                    Tts::Mute => self.push_in(20, sound(0, true)),
                    Tts::Fails => {
                        let event = TtsEvent::Failed { failure: Failure::TtsUnavailable, detail: "refused".to_owned() };
                        self.tell_in(5, Input::Tts { utterance, index, event });
                    }
                }
            }
            Command::Play { utterance, part, text } => {
                self.begin_utterance(utterance);
                let index = trunkline_call::PRERENDERED;
                assert!(self.leg.voices.insert(part, index).is_none(), "a part was used twice");
                self.leg.parts.insert(part, (0, false));
                let audio_ms = if self.prompts_are_lost { 0 } else { text.chars().count() as u32 * MS_PER_CHAR };
                self.push_in(0, Due::Sound { utterance, part, index, audio_ms, done: true });
            }
            Command::Conceal { .. } | Command::Record { .. } => {}
            Command::Silence { utterance, part, ms } => {
                self.begin_utterance(utterance);
                assert!(self.leg.parts.insert(part, (ms, true)).is_none(), "a part was used twice");
                self.look();
            }
            Command::DropParts { utterance, from, cut } => {
                self.leg.play(self.now);
                if self.leg.utterance == utterance {
                    self.leg.parts.retain(|part, _| *part < from);
                    self.leg.voices.retain(|part, _| *part < from);
                    if let (true, Some(mut last)) = (cut, self.leg.parts.last_entry()) {
                        last.get_mut().1 = true;
                    }
                    self.look();
                }
            }
            Command::EndUtterance { utterance } => {
                if self.leg.utterance == utterance {
                    self.leg.ended = true;
                }
                self.look();
            }
            Command::StopSpeaking { utterance, index } => {
                if self.leg.utterance == utterance {
                    let done: Vec<u32> =
                        self.leg.parts.iter().filter(|(_, (_, done))| *done).map(|(part, _)| *part).collect();
                    self.leg.voices.retain(|part, voice| *voice != index || done.contains(part));
                }
            }
            Command::PausePlayback => {
                self.leg.play(self.now);
                self.leg.paused = true;
            }
            Command::ResumePlayback => {
                self.leg.play(self.now);
                self.leg.paused = false;
                self.look();
            }
            Command::ClearPlayback => {
                // Whoever cannot wait for the leg may say something new.
                self.speaking = None;
                self.push_in(20, Due::Cleared(self.leg.utterance));
            }
            Command::Redact { ticket, text, .. } => {
                let count = text.chars().filter(char::is_ascii_digit).count() as u32;
                let counts = if count > 0 { vec![("digit".to_owned(), count)] } else { Vec::new() };
                let text = text.chars().map(|c| if c.is_ascii_digit() { '*' } else { c }).collect();
                let redacted = |result| Input::Redacted { ticket, result };
                match self.redactor {
                    Redactor::Works => self.tell_in(0, redacted(Ok(Redacted { text, counts }))),
                    Redactor::Late(ms) => self.tell_in(ms, redacted(Ok(Redacted { text, counts }))),
                    Redactor::Fails => self.tell_in(0, redacted(Err("trapped".to_owned()))),
                    Redactor::Stalls => {}
                }
            }
            Command::StartTool { invocation, name, .. } => {
                if let Some((ms, outcome)) = self.tools.get(&name).cloned().flatten() {
                    self.tell_in(ms, Input::Tool { invocation, outcome });
                }
            }
            Command::HangUp { leg: LegId::FIRST, .. } => self.push_in(30, Due::Ends(EndCause::Local)),
            Command::CloseAsr { .. } | Command::CancelTool { .. } => {}
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

fn text(message: &Message) -> String {
    let piece = |content: &Content| match content {
        Content::Text(text) => text.clone(),
        Content::ToolCall(call) => format!("{}({})", call.name, call.arguments),
        Content::ToolResult { output, .. } => format!("-> {output}"),
    };
    message.content.iter().map(piece).collect::<Vec<_>>().join(" ")
}
