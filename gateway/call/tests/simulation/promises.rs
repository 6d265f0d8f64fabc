//! What a call promises, checked against what really happened: one utterance at a time, no more remembered than was heard,
//! no silence that nobody bridges, nothing left open or paused, events in order and a record that balances.

use trunkline_api::usage::{CallRecord, Units};
use trunkline_api::words::{Content, Message, Role};
use trunkline_api::{AgentSpec, Event, EventType};
use trunkline_call::{ANALYSIS, AsrEvent, Command, Input};
use trunkline_leg::CallTime;

use crate::leg::Leg;
use crate::thinking;
use crate::world::MS_PER_CHAR;

/// Longest silence in a turn that the caller waits through: the filler's time, or the growing ones after it, and what it
/// takes to make the sound of one when the first synthesisers fail.
const LONGEST_SILENCE_MS: u64 = 22_000;
/// The same when nobody thinks about an answer any more: the caller's own turn may go on meanwhile.
const LOST_ANSWER_MS: u64 = 8000;
/// Longest time in which nothing at all is to be heard of an agent that owes an answer, the thinking sound included: 1.2 s, or
/// what it takes to find out whether a caller who stopped in the middle of a sentence has interrupted.
const NOTHING_HEARD_MS: u64 = 3500;
/// Nobody thinking for so long is no moment between two thoughts.
const A_BREATH_MS: u64 = 1000;
/// A word or two, in milliseconds of sound: to that the agent knows what was heard.
const TWO_WORDS_MS: u64 = 1200;

pub(crate) struct Promises {
    spec: AgentSpec,
    redacts: bool,
    seq: u64,
    ended: bool,
    analysed: bool,
    turns: u64,
    cuts: u64,
    said: Option<u64>,
    used: Units,
    /// What the timeline says was heard, in order.
    heard: String,
    /// What really was, of the utterance that ended last.
    truth: Option<(u32, u64, bool)>,
    paused: bool,
    /// What had been announced when it was.
    paused_in: Option<u64>,
    /// When there was something to be heard last.
    waits: CallTime,
    /// A turn has begun that nothing was said to yet.
    owes: bool,
    /// The engine that heard the caller has died: a recogniser hears it again, and may find no word in it.
    heard_again: bool,
    closing: bool,
    /// The thinking sound is to be heard.
    knocks: bool,
    /// When there was something to be heard last, and be it that.
    audible: CallTime,
    /// Since when nobody thinks of an answer that is owed.
    idle_since: Option<CallTime>,
    /// Nobody waited, when it was looked last.
    spoke: bool,
}

impl Promises {
    pub(crate) fn new(spec: &AgentSpec) -> Self {
        Self {
            spec: spec.clone(),
            redacts: !spec.redaction.redactor.is_empty(),
            seq: 0,
            ended: false,
            analysed: false,
            turns: 0,
            cuts: 0,
            said: None,
            used: Units::default(),
            heard: String::new(),
            truth: None,
            paused: false,
            paused_in: None,
            waits: CallTime::ZERO,
            owes: false,
            heard_again: false,
            closing: false,
            knocks: false,
            audible: CallTime::ZERO,
            idle_since: None,
            spoke: true,
        }
    }

    pub(crate) fn told(&mut self, _: CallTime, input: &Input) {
        if let Input::Usage { units, .. } = input {
            self.used.add(units);
        }
        if let Input::Asr { event: AsrEvent::Final { text, finalized: true, .. }, .. } = input {
            self.owes &= !(self.heard_again && text.is_empty());
        }
    }

    /// The leg is done with an utterance.
    pub(crate) fn utterance_over(&mut self, leg: &Leg) {
        let whole = leg.sounds.iter().all(|sound| sound.done) && leg.played_ms >= leg.ready_ms();
        self.truth = Some((leg.utterance, leg.played_ms, whole));
    }

    pub(crate) fn asked(&mut self, now: CallTime, command: &Command, leg: &Leg) {
        match command {
            Command::Speak { utterance, text, .. } | Command::Play { utterance, text, .. } => {
                assert!(!text.trim().is_empty(), "nothing is to be said");
                let over = !leg.is_busy() || leg.clearing || leg.is_complete();
                assert!(leg.utterance == *utterance || over, "two utterances at once");
                let announced = self.paused_in == Some(u64::from(*utterance));
                assert!(!leg.paused || leg.utterance == *utterance || announced, "an utterance begins in a pause");
            }
            Command::PlayItem { utterance, .. } => {
                let over = !leg.is_busy() || leg.clearing || leg.is_complete();
                assert!(leg.utterance == *utterance || over, "two utterances at once");
            }
            Command::OpenRealtime { messages, .. } => self.conversation(messages, leg),
            Command::PausePlayback => {
                assert!(!self.paused, "paused twice");
                (self.paused, self.paused_in) = (true, self.said);
            }
            Command::ResumePlayback => {
                assert!(self.paused, "resumed without a pause");
                self.paused = false;
            }
            Command::ThinkingSound { on } => {
                assert_ne!(std::mem::replace(&mut self.knocks, *on), *on, "the thinking sound is told twice");
                self.audible = now;
            }
            Command::StartLlm { request, .. } if *request >= ANALYSIS => {}
            Command::StartLlm { messages, .. } if thinking::is_summary(messages) => {}
            Command::StartLlm { messages, .. } => {
                thinking::fits(messages, &self.spec);
                self.conversation(messages, leg);
            }
            Command::HangUp { leg: trunkline_leg::LegId::FIRST, .. } => self.closing = true,
            _ => {}
        }
    }

    /// What the model is told is well-formed, and what it is told to have said was heard.
    fn conversation(&self, messages: &[Message], leg: &Leg) {
        let mut owed: Vec<&str> = Vec::new();
        let mut said = String::new();
        for message in messages {
            let mut calls = Vec::new();
            for content in &message.content {
                match content {
                    Content::Text(text) if message.role == Role::Assistant => {
                        said.push_str(text);
                    }
                    Content::Text(_) => {}
                    Content::ToolCall(call) => calls.push(call.id.as_str()),
                    Content::ToolResult { call_id, .. } => {
                        let at = owed.iter().position(|id| id == call_id).expect("a result nobody asked for");
                        owed.remove(at);
                    }
                }
            }
            assert!(owed.is_empty(), "a call without a result");
            assert!(!message.content.is_empty(), "an empty message");
            owed = calls;
        }
        assert!(owed.is_empty(), "a call without a result at the end");
        // What is being said may stand there already, and so may what another model has given.
        let goes_on = messages.last().is_some_and(|message| message.role == Role::System) && messages.len() > 1;
        if !self.redacts && !leg.is_busy() && !goes_on && messages.len() < 190 {
            let (said, heard) = (bare(&said), bare(&self.heard));
            if thinking::may_leave_out(&self.spec) {
                let same = thinking::is_what_was_heard(messages, &said, &heard);
                assert!(same, "the memory is not what was heard: {said} of {heard}");
            } else {
                assert_eq!(said, heard, "the memory is not what was heard");
            }
        }
    }

    pub(crate) fn happened(&mut self, event: &Event) {
        let kind = EventType::from_name(&event.kind).unwrap();
        let follows = kind == EventType::CallAnalysed && !std::mem::replace(&mut self.analysed, true);
        assert!(!self.ended || follows, "{} after the last event", event.kind);
        self.seq += u64::from(kind.is_kept());
        assert_eq!(event.seq, self.seq, "a gap before {}", event.kind);
        let utterance = event.data.get("utterance").and_then(serde_json::Value::as_u64);
        match kind {
            EventType::AgentSaid => {
                assert!(self.said.is_none_or(|open| Some(open) == utterance), "two utterances at once");
                self.said = utterance;
                self.owes &= event.data["text"] == "One moment, please.";
            }
            EventType::ProviderSwitched => self.heard_again |= event.data["kind"] == "realtime",
            EventType::FailureRaised => self.owes &= event.data["action"] == "next_provider",
            EventType::PlaybackFinished | EventType::PlaybackCut => {
                assert_eq!(self.said.take(), utterance, "an utterance ended that was not being said");
                let field = if kind == EventType::PlaybackCut { "heard" } else { "text" };
                let text = event.data[field].as_str().unwrap_or_default();
                // What whoever was dialled was told is no part of what the caller heard.
                if event.data.get("leg").is_none() {
                    self.heard.push_str(text);
                    self.heard.push(' ');
                }
                self.check_heard(kind, utterance.unwrap_or_default(), text);
                self.cuts += u64::from(kind == EventType::PlaybackCut);
            }
            EventType::TurnStarted => {
                self.turns += 1;
                (self.owes, self.heard_again) = (true, false);
            }
            EventType::TurnWaterfall => {
                let stages =
                    ["endpoint_ms", "asr_ms", "llm_first_token_ms", "tts_first_byte_ms", "first_packet_out_ms"];
                let reached: Vec<u64> = stages.iter().filter_map(|stage| event.data[*stage].as_u64()).collect();
                assert!(reached.is_sorted(), "a stage before the one in front of it: {}", event.data);
            }
            EventType::AgentHandedOff if event.data["carry"] != "full" => self.heard.clear(),
            // Whoever is passed on hears music, and machines are not answered.
            EventType::TransferStarted | EventType::AnswerClassified => self.owes = false,
            EventType::CallEnded => self.ended = true,
            _ => {}
        }
    }

    /// The timeline claims no more than was heard, give or take a word or two.
    fn check_heard(&self, kind: EventType, utterance: u64, text: &str) {
        let Some((ended, played_ms, _)) = self.truth else { return };
        if u64::from(ended) != utterance || self.redacts {
            return;
        }
        // The signs of markdown take no time.
        let claimed_ms = text.chars().filter(|c| *c != '*').count() as u64 * MS_PER_CHAR;
        assert!(
            claimed_ms <= played_ms + TWO_WORDS_MS,
            "{} claims {claimed_ms} ms of {played_ms} ms that were heard: {text}",
            kind.name()
        );
    }

    /// The caller has heard somebody else, or music, until now.
    pub(crate) const fn hears_others(&mut self, now: CallTime) {
        self.waits = now;
    }

    /// Nobody waited for anything until now.
    pub(crate) fn heard_until(&mut self, now: CallTime) {
        self.waits = self.waits.max(now);
    }

    /// The caller has pressed a key: whoever enters something waits for nothing until the last one.
    pub(crate) fn presses_key(&mut self, now: CallTime) {
        self.heard_until(now);
        self.audible = self.audible.max(now);
    }

    /// Whoever waits for an answer hears something now and then, and gets it in the end.
    pub(crate) fn silence(&mut self, now: CallTime, leg: &Leg, caller_speaks: bool, thinks: bool) {
        if self.knocks {
            assert!(leg.clearing || !leg.sounds_at(now), "the thinking sound under speech");
            assert!(!leg.held, "the thinking sound while nothing may be sent");
        }
        let quiet = !caller_speaks && !leg.held && !leg.paused && !leg.sounds_now();
        if self.closing || self.ended || !quiet || !(self.owes || thinks) {
            self.waits = now.max(leg.sounded);
            (self.audible, self.spoke) = (self.waits, true);
            return;
        }
        let silent_ms = now.since_ms(self.waits.max(leg.sounded));
        let idles = self.idle_since.is_some_and(|since| now.since_ms(since) >= A_BREATH_MS);
        if self.knocks || std::mem::take(&mut self.spoke) || idles {
            self.audible = now;
        }
        // A model may have nothing to say: then nobody thinks, until somebody does again.
        self.idle_since = if thinks { None } else { self.idle_since.or(Some(now)) };
        let still_ms = now.since_ms(self.audible.max(leg.sounded));
        assert!(
            !thinks || !self.owes || still_ms <= NOTHING_HEARD_MS,
            "nothing was heard for {still_ms} ms since {:?}",
            self.audible
        );
        let longest = if thinks || !idles || leg.is_busy() { LONGEST_SILENCE_MS } else { LOST_ANSWER_MS };
        assert!(silent_ms <= longest, "silence for {silent_ms} ms since {:?}, thinks {thinks}", self.waits);
    }

    pub(crate) fn at_the_end(&self, record: &CallRecord) -> (u64, u64) {
        assert!(self.ended, "there was no last event");
        assert_eq!(self.said, None, "an utterance never ended");
        assert!(!self.paused || record.end.is_some(), "playback was left paused");
        assert!(record.end.is_some() && record.ended_us.is_some(), "the record is open");
        let total = record.total();
        assert_eq!((total.tokens_out, total.tts_chars), (self.used.tokens_out, self.used.tts_chars), "usage is lost");
        assert_eq!(u64::from(record.turns), self.turns);
        (self.turns, self.cuts)
    }
}

/// A text without spaces.
fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
