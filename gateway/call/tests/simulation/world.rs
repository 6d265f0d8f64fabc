//! The world around a call: what is due when, what the call asks for and what comes of it.

mod people;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use trunkline_api::AgentSpec;
use trunkline_api::usage::Units;
use trunkline_api::words::{ProviderKind, ToolAction};
use trunkline_call::tape::Taped;
use trunkline_call::{AsrEvent, Command, Input, LlmEvent, Redacted, ToolOutcome, TtsEvent, VoiceEdge};
use trunkline_leg::{CallTime, Direction, DtmfDigit, EndCause, LegFact, LegId, RefusalCause};

use crate::agents::{lists, setup, specs};
use crate::caller::{Act, Temper};
use crate::capture;
use crate::keypads;
use crate::leg::{Leg, Sound};
use crate::promises::Promises;
use crate::providers::{Ear, Voice, reply};
use crate::random::Random;
use crate::realtime::{Engines, Step};
use crate::thinking;

use people::{People, telephones};

/// Milliseconds of sound a character takes.
pub(crate) const MS_PER_CHAR: u64 = 55;
/// Longest time a leg takes to carry out a clear.
const CLEAR_MS: u64 = 20;

/// What happens at some time.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    Tell(Input),
    Act,
    /// The next key of a secret.
    Secret,
    /// A session with an engine goes on.
    Engine(u32, Step),
    VoiceEnds,
    /// Speech that began then has lasted.
    Lasted(CallTime),
    Unhold,
    Sound {
        utterance: u32,
        part: u32,
        index: usize,
        made_ms: u64,
        done: bool,
    },
    Look,
    Cleared(u32),
    Ends(EndCause),
    Talks {
        leg: LegId,
        words: &'static str,
        for_ms: u64,
    },
    OtherAnswers(LegId),
    OtherRefuses(LegId, RefusalCause),
    OtherEnds(LegId, EndCause),
}

/// A recogniser session.
struct Session {
    ear: Ear,
    hears_from: CallTime,
    open: bool,
}

pub(crate) struct World {
    pub(crate) call: Taped,
    pub(crate) spec: Arc<AgentSpec>,
    pub(crate) random: Random,
    pub(crate) now: CallTime,
    due: BinaryHeap<Reverse<(CallTime, u64, usize)>>,
    dues: Vec<Option<Due>>,
    order: u64,
    pub(crate) leg: Leg,
    told: trunkline_leg::PlayoutPosition,
    temper: Temper,
    /// Providers of each kind that are ill, by their position.
    ill: [Vec<bool>; 3],
    sessions: BTreeMap<u32, Session>,
    requests: BTreeSet<u32>,
    /// Those of them for which nobody waits.
    summaries: BTreeSet<u32>,
    tools: BTreeSet<u32>,
    /// What was said when, and is in no final yet.
    pub(crate) spoken: Vec<(CallTime, CallTime, &'static str)>,
    speaks_since: Option<CallTime>,
    says: &'static str,
    pub(crate) promises: Promises,
    pub(crate) leg_over: bool,
    /// The caller is being asked for a secret, and the keys of it that are still to be pressed.
    concealed: bool,
    secret: std::str::Chars<'static>,
    pressed_secret: bool,
    people: People,
    pub(crate) engines: Engines,
    trace: bool,
    steps: u32,
}

fn fact(fact: LegFact) -> Input {
    Input::Leg { leg: LegId::FIRST, fact }
}

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let spec = specs(seed);
        // One call in three meets providers that are ill, and of each kind one is well.
        let sick = random.percent(35);
        let mut ill = [8, 8, 8].map(|count| (0..count).map(|_| sick && random.percent(40)).collect::<Vec<bool>>());
        let lists = lists(&spec);
        for (kind, ill) in ill.iter_mut().enumerate() {
            ill[random.below(lists[kind]) as usize] = false;
        }
        let survives = !spec.survival.menu.is_empty();
        keypads::make_ill(survives, keypads::has_prompts(seed), seed, &mut ill);
        let temper = Temper::of(&mut random);
        let mut world = Self {
            call: capture::call(setup(&spec, seed)),
            promises: Promises::new(&spec),
            spec,
            random,
            now: CallTime::ZERO,
            due: BinaryHeap::new(),
            dues: Vec::new(),
            order: 0,
            leg: Leg::default(),
            told: Default::default(),
            temper,
            ill,
            sessions: BTreeMap::new(),
            requests: BTreeSet::new(),
            summaries: BTreeSet::new(),
            tools: BTreeSet::new(),
            spoken: Vec::new(),
            speaks_since: None,
            says: "",
            leg_over: false,
            concealed: false,
            secret: "".chars(),
            pressed_secret: false,
            people: People::default(),
            engines: Engines::new(seed),
            trace,
            steps: 0,
        };
        if keypads::has_prompts(seed) {
            let texts = world.spec.fixed_lines();
            world.call.handle(CallTime::ZERO, Input::Prompts { texts });
        }
        world.tell_in(0, Input::Answered);
        let first = world.random.between(200, 4000);
        world.push_in(first, Due::Act);
        if world.spec.answering.is_some() {
            world.somebody_answers();
        }
        world
    }

    /// Runs the call to its end; turns, interruptions and transfers of it.
    pub(crate) fn run(mut self) -> (u64, u64, u64) {
        while !self.call.is_over() {
            self.steps += 1;
            assert!(self.steps < 20_000 && self.now.as_ms() < 400_000, "the call never ended");
            self.step();
        }
        // Whatever still comes changes nothing.
        for _ in 0..20 {
            if self.due.is_empty() {
                break;
            }
            self.step();
        }
        assert!(self.leg_over, "the call is over and its leg is not");
        assert!(self.people.open.is_empty(), "legs were left open: {:?}", self.people.open);
        assert_eq!(self.call.poll_timeout(), None, "a deadline of a call that is over");
        let open = self.sessions.values().filter(|session| session.open).count();
        assert_eq!(open, 0, "a recogniser was left open");
        assert!(self.requests.is_empty(), "requests were left open: {:?}", self.requests);
        assert!(self.tools.is_empty(), "tools were neither answered nor cancelled: {:?}", self.tools);
        if self.pressed_secret {
            keypads::end_shows_nothing(self.call.call());
        }
        self.engines.are_closed();
        let (turns, cuts) = self.promises.at_the_end(self.call.record());
        (turns, cuts, self.people.transfers)
    }

    fn step(&mut self) {
        let due = self.due.peek().map(|Reverse((at, ..))| *at);
        let timer = self.call.poll_timeout().map(|(at, _)| at);
        let next = match (due, timer) {
            (Some(due), Some(timer)) => due.min(timer),
            (due, timer) => due.or(timer).expect("a call that waits for nothing is not over"),
        };
        self.now = self.now.max(next);
        if due.is_some_and(|due| due <= next)
            && let Some(Reverse((_, _, slot))) = self.due.pop()
        {
            if let Some(due) = self.dues[slot].take() {
                self.deliver(due);
            }
        } else {
            let before = self.call.poll_timeout();
            self.tell(Input::Timeout);
            assert_ne!(self.call.poll_timeout(), before, "a deadline did not move on");
        }
    }

    pub(crate) fn push_in(&mut self, ms: u64, due: Due) {
        self.order += 1;
        self.due.push(Reverse((self.now.plus_ms(ms), self.order, self.dues.len())));
        self.dues.push(Some(due));
    }

    pub(crate) fn tell_in(&mut self, ms: u64, input: Input) {
        self.push_in(ms, Due::Tell(input));
    }

    pub(crate) fn tell(&mut self, input: Input) {
        self.leg.play(self.now);
        self.tell_position();
        if self.trace {
            eprintln!("{:>7} {input:?}", self.now.as_ms());
        }
        self.promises.told(self.now, &input);
        if self.people.entertain() || !self.people.with_caller() {
            self.promises.hears_others(self.now);
        }
        self.call.handle(self.now, input);
        self.drain();
    }

    fn tell_position(&mut self) {
        let position = self.leg.position();
        if position != self.told && self.people.hear(self.leg_over) {
            self.told = position;
            self.call.handle(self.now, Input::Playout(position));
        }
    }

    /// What the leg tells that the agent is with.
    fn of_attached(&self, fact: LegFact) -> Input {
        Input::Leg { leg: self.people.attached.unwrap_or(LegId::FIRST), fact }
    }

    fn drain(&mut self) {
        while let Some(event) = self.call.poll_event() {
            if self.trace {
                eprintln!("{:>7}      {} {}", self.now.as_ms(), event.kind, event.data);
            }
            keypads::event_shows_nothing(&event);
            self.promises.happened(&event);
        }
        let mut count = 0;
        while let Some(command) = self.call.poll_transmit() {
            count += 1;
            assert!(count < 500, "one input made too many commands");
            let line = !self.leg_over || !self.people.open.is_empty();
            assert!(line || command.closes(), "after the end: {command:?}");
            if self.trace {
                eprintln!("{:>7}   -> {command:?}", self.now.as_ms());
            }
            keypads::command_shows_nothing(&command);
            if self.concealed {
                let hears = match &command {
                    Command::OpenAsr { .. } | Command::FinalizeAsr { .. } => true,
                    // What the call was about is asked when it is over.
                    Command::StartLlm { request, .. } => *request < trunkline_call::ANALYSIS,
                    Command::OpenRealtime { .. }
                    | Command::Update { .. }
                    | Command::BeginInput { .. }
                    | Command::CommitInput { .. }
                    | Command::AppendMessage { .. }
                    | Command::ToolResult { .. }
                    | Command::CreateResponse { say: None, .. } => true,
                    _ => false,
                };
                assert!(!hears, "somebody hears of what is concealed: {command:?}");
            }
            self.promises.asked(self.now, &command, &self.leg);
            self.carry_out(command);
        }
        let thinks = !self.requests.is_subset(&self.summaries) || !self.tools.is_empty() || self.engines.think();
        let hears = self.speaks_since.is_some() || self.people.entertain() || !self.people.with_caller();
        self.promises.silence(self.now, &self.leg, hears || self.people.far_held, thinks);
        self.nobody_waits_in_silence();
    }

    fn deliver(&mut self, due: Due) {
        let now = self.now;
        match due {
            Due::Tell(Input::Asr { session, event }) => {
                if self.sessions.get(&session).is_some_and(|session| session.open) {
                    if matches!(event, AsrEvent::Failed { .. } | AsrEvent::Ended) {
                        self.sessions.get_mut(&session).unwrap().open = false;
                    }
                    self.tell(Input::Asr { session, event });
                }
            }
            Due::Tell(Input::Llm { request, event }) => {
                if self.requests.contains(&request) {
                    if matches!(event, LlmEvent::Finished(_) | LlmEvent::Failed { .. }) {
                        self.requests.remove(&request);
                        let units = Units { tokens_out: 7, ..Units::default() };
                        self.tell(Input::Usage { kind: ProviderKind::Llm, provider: "llm".to_owned(), units });
                    }
                    self.tell(Input::Llm { request, event });
                } else if matches!(event, LlmEvent::Finished(_)) {
                    // Said twice, or too late.
                    self.tell(Input::Llm { request, event });
                }
            }
            Due::Tell(Input::Tool { invocation, outcome }) => {
                if self.tools.remove(&invocation) {
                    self.tell(Input::Tool { invocation, outcome });
                }
            }
            Due::Tell(input) => {
                let there = match &input {
                    Input::Leg { leg, .. } if *leg != LegId::FIRST => self.people.open.contains(leg),
                    Input::Leg { .. } => !self.leg_over,
                    _ => self.people.hear(self.leg_over),
                };
                if there || matches!(input, Input::Redacted { .. }) {
                    self.tell(input);
                }
            }
            Due::Engine(session, step) => self.engine_step(session, step),
            Due::Act => self.act(),
            Due::Secret => self.presses_secret(),
            Due::VoiceEnds => self.voice_ends(),
            Due::Lasted(since) => {
                if self.speaks_since == Some(since) {
                    self.tell(Input::Interrupts);
                }
            }
            Due::Unhold => self.direction(Direction::SendRecv),
            Due::Sound { utterance, part, index, made_ms, done } => self.sound(utterance, part, index, made_ms, done),
            Due::Look => self.look_now(),
            Due::Cleared(utterance) => {
                self.leg.play(now);
                if self.leg.is_busy() && self.leg.utterance == utterance {
                    self.leg.over = true;
                    let sent_ms = self.leg.played_ms as u32;
                    self.promises.utterance_over(&self.leg);
                    self.tell(self.of_attached(LegFact::PlaybackCut { utterance, sent_ms, at: now }));
                }
            }
            Due::Ends(cause) => {
                if !self.leg_over {
                    self.leg.play(now);
                    if self.people.with_caller() {
                        self.tell(Input::Playout(self.leg.position()));
                        self.promises.utterance_over(&self.leg);
                    }
                    self.leg_over = true;
                    self.tell(fact(LegFact::Ended { cause, at: now }));
                }
            }
            Due::Talks { leg, words, for_ms } => self.talks(leg, words, for_ms),
            Due::OtherAnswers(leg) => self.other_answers(leg),
            Due::OtherRefuses(leg, cause) => self.other_refuses(leg, cause),
            Due::OtherEnds(leg, cause) => self.other_ends(leg, cause),
        }
    }

    fn act(&mut self) {
        if self.leg_over {
            return;
        }
        self.leg.play(self.now);
        if self.temper.acts == 0 {
            self.push_in(0, Due::Ends(EndCause::RemoteHangUp));
            return;
        }
        let (act, next_ms) = self.temper.act(&mut self.random, self.leg.sounds_now());
        if !matches!(act, Act::Waits) {
            self.temper.acts -= 1;
        }
        self.push_in(next_ms, Due::Act);
        match act {
            // Nobody listens to a caller who is on hold for somebody else.
            Act::Says { .. } | Act::Mumbles { .. } if !self.people.with_caller() => {}
            Act::Says { words, for_ms } => self.voice_begins(words, for_ms),
            Act::Mumbles { for_ms } => self.voice_begins("", for_ms),
            Act::Presses(key) => {
                let digit = DtmfDigit::from_char(key).unwrap();
                self.tell(fact(LegFact::Dtmf { digit, at: self.now }));
            }
            Act::Holds { for_ms } => {
                let ways = [Direction::Inactive, Direction::RecvOnly, Direction::SendOnly];
                let direction = *self.random.pick(&ways);
                self.direction(direction);
                self.push_in(for_ms, Due::Unhold);
            }
            Act::Waits => {}
            Act::HangsUp => self.push_in(0, Due::Ends(EndCause::RemoteHangUp)),
        }
    }

    /// Presses the next key of a secret, whether or not it is still asked for.
    fn presses_secret(&mut self) {
        if self.leg_over || !self.concealed {
            return;
        }
        let Some(key) = self.secret.next() else { return };
        let fact = fact(LegFact::Dtmf { digit: DtmfDigit::from_char(key).unwrap(), at: self.now });
        assert!(self.call.call().hides(&fact), "a log may hold it");
        self.pressed_secret = true;
        self.promises.presses_key(self.now);
        self.tell(fact);
        let ms = self.random.between(20, 900);
        self.push_in(ms, Due::Secret);
    }

    fn direction(&mut self, direction: Direction) {
        if self.leg.held {
            // Nothing happened meanwhile that would have looked.
            self.promises.heard_until(self.now);
        }
        if self.leg_over {
            return;
        }
        self.leg.play(self.now);
        self.people.far_held = !matches!(direction, Direction::SendRecv | Direction::SendOnly);
        self.holds_follow();
        self.tell(fact(LegFact::Direction { direction, at: self.now }));
        self.look();
    }

    fn voice_begins(&mut self, words: &'static str, for_ms: u64) {
        if self.speaks_since.is_some() {
            return;
        }
        (self.speaks_since, self.says) = (Some(self.now), words);
        self.tell(Input::Voice(VoiceEdge { speech: true, at: self.now, level_dbfs: -25.0 }));
        let least = u64::from(self.spec.interruption.min_speech_ms);
        self.push_in(least, Due::Lasted(self.now));
        self.push_in(for_ms, Due::VoiceEnds);
        if words.is_empty() {
            return;
        }
        // Words so far, as the recogniser in service makes them out.
        let open = self.sessions.iter().rev().find(|(_, session)| session.open);
        if let Some((id, Session { ear: Ear::Hears { late_ms, partials: true }, .. })) = open {
            let (session, late_ms) = (*id, *late_ms);
            let first = words.split(' ').next().unwrap_or(words);
            let part = AsrEvent::Partial { text: first.to_owned() };
            self.tell_in(for_ms / 2 + late_ms, Input::Asr { session, event: part });
            let lie = if self.random.percent(10) { "something else" } else { words };
            let whole = AsrEvent::Partial { text: lie.to_owned() };
            self.tell_in(for_ms + late_ms, Input::Asr { session, event: whole });
        }
    }

    fn voice_ends(&mut self) {
        if let Some(since) = self.speaks_since.take() {
            self.spoken.push((since, self.now, self.says));
            if self.people.hear(self.leg_over) {
                self.tell(Input::Voice(VoiceEdge { speech: false, at: self.now, level_dbfs: -60.0 }));
            }
        }
    }

    pub(crate) fn sound(&mut self, utterance: u32, part: u32, index: usize, made_ms: u64, done: bool) {
        self.leg.play(self.now);
        if self.leg.utterance != utterance || self.leg.over || !self.people.hear(self.leg_over) {
            return;
        }
        let Some(sound) =
            self.leg.sounds.iter_mut().find(|sound| sound.part == part && sound.index == index && !sound.done)
        else {
            return;
        };
        let end = self.engines.ends.get(&(utterance, part)).copied();
        let (made_ms, done) = match end {
            Some(end) if made_ms >= end => (end, true),
            _ => (made_ms, done),
        };
        sound.made_ms = sound.made_ms.max(made_ms);
        sound.done = done;
        let (made, audio_ms) = (sound.made_ms, made_ms as u32);
        let event = if done { TtsEvent::PartDone { part, audio_ms } } else { TtsEvent::Audio { part, audio_ms } };
        if done && made > 0 && index < trunkline_call::PRERENDERED {
            let units = Units { tts_chars: 11, ..Units::default() };
            self.tell(Input::Usage { kind: ProviderKind::Tts, provider: "tts".to_owned(), units });
        }
        self.tell(Input::Tts { utterance, index, event });
        self.look();
    }

    /// Looks again when what there is will have been played.
    pub(crate) fn look(&mut self) {
        self.leg.play(self.now);
        if self.leg.may_play() && !self.leg.started && self.leg.ready_ms() > 0 {
            self.leg.started = true;
            let (utterance, at) = (self.leg.utterance, self.now);
            self.tell_in(0, self.of_attached(LegFact::PlaybackStarted { utterance, at }));
        }
        if self.leg.is_busy() && self.leg.may_play() && (self.leg.started || self.leg.is_complete()) {
            self.push_in(self.leg.ready_ms() - self.leg.played_ms, Due::Look);
        }
    }

    fn look_now(&mut self) {
        self.leg.play(self.now);
        if self.leg.is_busy() && self.leg.may_play() && self.leg.is_complete() && self.people.hear(self.leg_over) {
            self.leg.over = true;
            let (utterance, at) = (self.leg.utterance, self.now);
            self.promises.utterance_over(&self.leg);
            self.tell(self.of_attached(LegFact::PlaybackFinished { utterance, at }));
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::OpenAsr { session, index, replay_from, .. } => {
                let ear = Ear::of(&mut self.random, self.ill[0][index]);
                self.sessions.insert(session, Session { ear, hears_from: replay_from.unwrap_or(self.now), open: true });
                if let Ear::Fails(ms) = ear {
                    self.tell_in(ms, Input::Asr { session, event: Ear::failure() });
                }
            }
            Command::FinalizeAsr { session, .. } => self.finalize(session),
            Command::CloseAsr { session } => self.sessions.get_mut(&session).unwrap().open = false,
            Command::StartLlm { request, messages, .. } if thinking::is_summary(&messages) => {
                self.requests.insert(request);
                self.summaries.insert(request);
                for (at, event) in thinking::summary(&mut self.random, &messages) {
                    self.tell_in(at, Input::Llm { request, event });
                }
            }
            Command::Lookup { ticket, .. } => {
                if let Some((ms, result)) = thinking::found(&mut self.random) {
                    self.tell_in(ms, Input::Found { ticket, result });
                }
            }
            Command::HandOff { .. } => {}
            Command::StartLlm { request, index, tools, .. } => {
                self.requests.insert(request);
                let ill = self.ill[1][index];
                let mut at = 0;
                let own = tools.iter().any(|tool| tool.name == "collect");
                let mut script = reply(&mut self.random, ill, !tools.is_empty(), own);
                thinking::also_calls(&mut self.random, &tools, &mut script);
                telephones(&mut self.random, &tools, &mut script);
                for (wait, event) in script {
                    at += wait;
                    self.tell_in(at, Input::Llm { request, event });
                }
            }
            Command::CancelLlm { request } => {
                self.requests.remove(&request);
            }
            Command::Speak { utterance, part, index, text, .. } => {
                if self.leg.utterance != utterance {
                    self.leg.begin(self.now, utterance);
                }
                let whole_ms = text.chars().count() as u64 * MS_PER_CHAR;
                self.leg.sounds.push_back(Sound { part, index, made_ms: 0, done: false, pause: false });
                self.synthesise(utterance, part, index, whole_ms);
            }
            Command::Play { utterance, part, text } => {
                if self.leg.utterance != utterance {
                    self.leg.begin(self.now, utterance);
                }
                let index = trunkline_call::PRERENDERED;
                let made_ms = text.chars().count() as u64 * MS_PER_CHAR;
                self.leg.sounds.push_back(Sound { part, index, made_ms: 0, done: false, pause: false });
                self.push_in(0, Due::Sound { utterance, part, index, made_ms, done: true });
            }
            Command::Conceal { on, .. } => {
                assert_ne!(std::mem::replace(&mut self.concealed, on), on, "concealed twice, or revealed");
                if on && self.random.percent(80) {
                    self.secret = self.random.pick(&keypads::SECRET).chars();
                    let ms = self.random.below(3000);
                    self.push_in(ms, Due::Secret);
                }
            }
            Command::Record { .. } => {}
            Command::Silence { utterance, part, ms } => {
                if self.leg.utterance != utterance {
                    self.leg.begin(self.now, utterance);
                }
                self.leg.play(self.now);
                let made_ms = u64::from(ms);
                self.leg.sounds.push_back(Sound { part, index: usize::MAX, made_ms, done: true, pause: true });
                self.look();
            }
            Command::DropParts { utterance, from, cut } => {
                self.leg.play(self.now);
                if self.leg.utterance == utterance {
                    self.leg.sounds.retain(|sound| sound.part < from);
                    if let (true, Some(last)) = (cut, self.leg.sounds.back_mut()) {
                        last.done = true;
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
                    for sound in self.leg.sounds.iter_mut().filter(|sound| sound.index == index && !sound.done) {
                        sound.index = usize::MAX;
                    }
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
            Command::ThinkingSound { .. } => {}
            Command::ClearPlayback => {
                let ms = self.random.below(CLEAR_MS);
                self.leg.clearing = true;
                self.push_in(ms, Due::Cleared(self.leg.utterance));
            }
            Command::Redact { ticket, text, .. } => {
                let result = if self.random.percent(3) { Err("trapped".to_owned()) } else { Ok(()) };
                let result = result.map(|()| Redacted { text, counts: Vec::new() });
                if !self.random.percent(1) {
                    let ms = self.random.below(20);
                    self.tell_in(ms, Input::Redacted { ticket, result });
                }
            }
            Command::StartTool { invocation, .. } => {
                self.tools.insert(invocation);
                let actions = match self.random.below(12) {
                    0 => vec![ToolAction::Say("I have found it.".to_owned())],
                    1 => vec![ToolAction::SetVariable("x".to_owned(), "y".to_owned())],
                    2 => vec![ToolAction::HangUp(String::new())],
                    _ => Vec::new(),
                };
                let is_error = self.random.percent(10);
                let outcome = ToolOutcome { output: "rain".to_owned(), is_error, actions, failure: None };
                if !self.random.percent(6) {
                    let ms = self.random.between(5, 4000);
                    self.tell_in(ms, Input::Tool { invocation, outcome });
                }
            }
            Command::CancelTool { invocation } => {
                self.tools.remove(&invocation);
            }
            Command::HangUp { leg: LegId::FIRST, .. } => {
                self.tools.clear();
                self.push_in(20, Due::Ends(EndCause::Local));
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

    fn synthesise(&mut self, utterance: u32, part: u32, index: usize, whole_ms: u64) {
        let sound = |made_ms, done| Due::Sound { utterance, part, index, made_ms, done };
        match Voice::of(&mut self.random, self.ill[2][index % 32]) {
            Voice::Speaks { first_ms, rest_ms } => {
                self.push_in(first_ms, sound(whole_ms.min(100), false));
                // A vendor is at most half as quick again as a voice.
                self.push_in(first_ms + rest_ms.min(whole_ms / 2), sound(whole_ms, true));
            }
            Voice::BreaksOff { first_ms, percent } => {
                self.push_in(first_ms, sound((whole_ms * percent / 100).max(1), false));
            }
            Voice::Stalls => {}
            Voice::Mute => self.push_in(50, sound(0, true)),
            Voice::Fails => {
                let event =
                    TtsEvent::Failed { failure: trunkline_api::Failure::TtsUnavailable, detail: "no".to_owned() };
                self.tell_in(10, Input::Tts { utterance, index, event });
            }
        }
    }

    fn finalize(&mut self, session: u32) {
        let now = self.now;
        let Session { ear, hears_from, .. } = self.sessions[&session];
        let (late_ms, twice) = match ear {
            Ear::Hears { late_ms, .. } => (late_ms, false),
            Ear::Late => (1700, true),
            Ear::Stalls | Ear::Fails(_) => return,
        };
        let mut words = Vec::new();
        self.spoken.retain(|(begin, end, text)| {
            let heard = *begin >= hears_from && *end <= now;
            if heard && !text.is_empty() {
                words.push(*text);
            }
            !heard
        });
        let event = AsrEvent::Final { text: words.join(" "), confidence: Some(0.8), finalized: true };
        self.tell_in(late_ms, Input::Asr { session, event: event.clone() });
        if twice {
            self.tell_in(late_ms + 40, Input::Asr { session, event });
        }
    }
}
