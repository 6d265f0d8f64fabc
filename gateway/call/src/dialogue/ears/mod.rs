//! Hearing: when the caller speaks, when a turn is over, and what was said.
//!
//! Voice activity says when somebody speaks, the recogniser what. Neither is believed alone: a turn ends by a silence
//! whose length follows the words, and a recogniser that owes words has a deadline.

mod inputs;
mod words;

use serde_json::json;
use trunkline_api::agent::{ProviderRef, TurnPolicy};
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

pub(crate) use words::{transcript, truncate};

use crate::command::Command;
use crate::dialogue::patience::{self, Expected, Pace};
use crate::effects::Effects;
use crate::input::{AsrEvent, VoiceEdge};
use crate::providers::Providers;
use crate::spoken;
use crate::timers::Reason;

/// Most bytes of words of one turn.
const MAX_WORDS_BYTES: usize = 8 * 1024;
/// Silence after which words that stand still are taken for all there are, when the model may be asked beforehand.
const SPECULATE_MS: u64 = 200;
/// Silence that ends what is nothing but noise or a sign of listening while the agent has more to say: it was stopped for
/// nothing, and words that still come stop it again.
const BRIEF_MS: u64 = 300;
/// A sound shorter than this may be a cough: a recogniser that says nothing to it, once, has not failed.
const COUGH_MS: u64 = 400;
/// Somebody seems to speak and no further word comes: beside the silence that would end the turn, what recognisers are late
/// by; at least; and where interim words are not known to come. It is somebody else, or no voice at all.
const LATE_MS: u64 = 600;
const STILL_MS: u64 = 2000;
const STILL_WITHOUT_WORDS_MS: u64 = 4000;
/// How long words of a turn that has ended without them may still come in; they are no others.
const STALE_MS: u64 = 3000;

/// Where the caller's turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hearing {
    /// Nothing that counts as a turn.
    #[default]
    Quiet,
    /// The caller speaks.
    Speaking,
    /// The caller has stopped, perhaps to breathe.
    Trailing,
    /// The turn is over; the recogniser owes its last words.
    Finalizing,
}

/// When a turn was spoken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// Arrival of its first speech.
    pub(crate) first: Option<CallTime>,
    /// Arrival of the first packet behind it.
    pub(crate) end: CallTime,
    /// The decision that it was over.
    pub(crate) endpoint: CallTime,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Words so far.
    Partial(String),
    /// The turn is over: its words, none if it was noise.
    Words(String),
    /// Words while nobody was being listened to.
    Late(String),
    /// The turn is over, and the engine that heard it has not said its words.
    Wordless(Vec<u32>),
    /// The recogniser failed; `open` says that its session is still there.
    Lost { failure: Failure, detail: String, open: bool },
}

/// The caller's side of the conversation.
#[derive(Debug)]
pub(crate) struct Ears {
    policy: TurnPolicy,
    language: String,
    recognisers: Providers,
    session: Option<u32>,
    /// The provider of the open session.
    index: usize,
    last_session: u32,
    hearing: Hearing,
    /// Voice activity right now.
    speech_on: bool,
    timing: Timing,
    /// When voice activity began.
    since: CallTime,
    /// Voice activity of this turn before that.
    voiced_ms: u64,
    words: String,
    partial: String,
    /// Sound from here on is not in `words` yet.
    words_until: CallTime,
    /// When the caller began or stopped speaking last.
    edge: CallTime,
    /// Finalisations the session has not answered.
    owed: u32,
    /// Until when words belong to a turn that has ended without them.
    stale_until: CallTime,
    /// Sounds in a row that the recogniser said nothing to.
    unanswered: u32,
    pace: Pace,
    /// The agent's last words were a question.
    asked: bool,
    /// The far end cannot be heard.
    deaf: bool,
    expected: Option<Expected>,
    /// What the agent's last words asked for, when they say how many digits it has.
    asked_for: Option<Expected>,
    /// Whether the recogniser in service gives interim words.
    interim: bool,
    /// When the words were others last.
    changed: CallTime,
    engine: Line,
}

/// The way of the caller's sound to an engine, which is a recogniser, too.
#[derive(Debug, Default)]
struct Line {
    session: Option<u32>,
    /// It is to hear what the caller says.
    open: bool,
    /// The input in the making.
    begun: Option<u32>,
    /// The inputs of this turn that were committed and whose words are waited for.
    committed: Vec<u32>,
    last_input: u32,
}

impl Ears {
    pub(crate) fn new(policy: TurnPolicy, language: String, recognisers: &[ProviderRef]) -> Self {
        Self {
            policy,
            language,
            recognisers: Providers::new(recognisers),
            session: None,
            index: 0,
            last_session: 0,
            hearing: Hearing::Quiet,
            speech_on: false,
            timing: Timing::default(),
            since: CallTime::ZERO,
            voiced_ms: 0,
            words: String::new(),
            partial: String::new(),
            words_until: CallTime::ZERO,
            edge: CallTime::ZERO,
            owed: 0,
            stale_until: CallTime::ZERO,
            unanswered: 0,
            pace: Pace::default(),
            asked: false,
            deaf: false,
            expected: None,
            asked_for: None,
            interim: false,
            changed: CallTime::ZERO,
            engine: Line::default(),
        }
    }

    /// With recognisers that are asked when all of the list have failed.
    pub(crate) fn and_engines(mut self, engines: &[ProviderRef]) -> Self {
        self.recognisers.and_engines(engines);
        self
    }

    /// Whether a session is open.
    pub(crate) const fn is_open(&self) -> bool {
        if self.engine.session.is_some() { self.engine.open } else { self.session.is_some() }
    }

    /// What the caller is being asked for, when it is something that is said in pieces.
    pub(crate) const fn expects(&mut self, expected: Option<Expected>) {
        self.expected = expected;
    }

    /// Another agent listens from now on, by other recognisers or the same. What the caller is saying goes to it.
    pub(crate) fn becomes(
        &mut self,
        fx: &mut Effects,
        policy: &TurnPolicy,
        language: &str,
        (recognisers, engines): (&[ProviderRef], &[ProviderRef]),
        same: bool,
    ) {
        self.policy = policy.clone();
        language.clone_into(&mut self.language);
        self.asked = false;
        if same {
            return;
        }
        self.lost(fx, true);
        self.recognisers = Providers::new(recognisers);
        self.recognisers.and_engines(engines);
        if recognisers.is_empty() {
            self.stop_listening(fx);
        } else if !self.pushes_to_talk() || !self.is_quiet() {
            self.take_over(fx);
        }
    }

    pub(crate) const fn hearing(&self) -> Hearing {
        self.hearing
    }

    pub(crate) const fn is_quiet(&self) -> bool {
        matches!(self.hearing, Hearing::Quiet)
    }

    pub(crate) const fn speech_on(&self) -> bool {
        self.speech_on
    }

    pub(crate) const fn timing(&self) -> Timing {
        self.timing
    }

    /// Whether the agent has no recogniser.
    pub(crate) fn is_deaf_by_choice(&self) -> bool {
        self.recognisers.is_empty() && self.engine.session.is_none()
    }

    /// Whether turns begin and end by a key.
    pub(crate) fn pushes_to_talk(&self) -> bool {
        !self.policy.push_to_talk.is_empty()
    }

    /// Whether that key begins and ends a turn.
    pub(crate) fn is_talk_key(&self, key: char) -> bool {
        self.policy.push_to_talk.chars().eq([key])
    }

    pub(crate) const fn recognisers(&mut self) -> &mut Providers {
        &mut self.recognisers
    }

    /// Whether that is the open session.
    pub(crate) fn is_session(&self, session: u32) -> bool {
        self.session == Some(session)
    }

    /// What the agent said last was a question of yes or no, or was none, and asked for so many digits.
    pub(crate) const fn answers(&mut self, asked: bool, asked_for: Option<Expected>) {
        (self.asked, self.asked_for) = (asked, asked_for);
    }

    /// The turn came from keys.
    pub(crate) fn keyed(&mut self, at: CallTime, now: CallTime) {
        self.timing = Timing { first: None, end: at, endpoint: now };
    }

    /// Opens a session with whoever should be in service, beginning with the sound from `replay_from` on.
    pub(crate) fn open(&mut self, fx: &mut Effects, replay_from: Option<CallTime>) {
        if self.engine.session.is_some() {
            self.engine.open = true;
            return;
        }
        let Some((index, provider)) = self.recognisers.choose(fx.now()) else { return };
        self.last_session += 1;
        let (session, language) = (self.last_session, self.language.clone());
        self.interim &= index == self.index;
        (self.session, self.index, self.owed) = (Some(session), index, 0);
        self.stale_until = CallTime::ZERO;
        fx.command(Command::OpenAsr { session, index, provider, language, replay_from });
    }

    /// Lets go of the session.
    pub(crate) fn close(&mut self, fx: &mut Effects) {
        self.drop_input(fx);
        self.engine.open = false;
        self.engine.committed.clear();
        if let Some(session) = self.session.take() {
            fx.command(Command::CloseAsr { session });
        }
    }

    /// The caller is understood in another language from now on.
    pub(crate) fn speak(&mut self, fx: &mut Effects, language: &str) {
        language.clone_into(&mut self.language);
        if self.session.is_some() {
            self.close(fx);
            self.partial.clear();
            self.take_over(fx);
        }
    }

    /// Between turns: goes back to the first recogniser once it is up again.
    pub(crate) fn return_to_first(&mut self, fx: &mut Effects) {
        let idle = self.is_quiet() && !self.speech_on && !self.deaf;
        if idle && self.session.is_some() && self.recognisers.choice(fx.now()) < self.index {
            self.close(fx);
            self.open(fx, None);
        }
    }

    /// The caller began or stopped speaking; false when that is nothing new.
    pub(crate) fn voice(&mut self, fx: &mut Effects, edge: VoiceEdge, min_speech_ms: u32, listens: bool) -> bool {
        if edge.speech == self.speech_on {
            return false;
        }
        // It may be clear late that somebody speaks, but no word begins before the last one has ended.
        let at = edge.at.max(self.edge).min(fx.now());
        self.edge = at;
        self.speech_on = edge.speech;
        let turn = Some(fx.turn());
        if edge.speech {
            self.since = at;
            let level = serde_json::Number::from_f64(f64::from(edge.level_dbfs));
            fx.event_at(at, EventType::SpeechStarted, turn, json!({ "level_dbfs": level }));
            if listens && !self.pushes_to_talk() {
                let lasted = at.plus_ms(u64::from(min_speech_ms)).max(fx.now());
                fx.timers().set(Reason::GoesOn, lasted);
                self.goes_on_speaking(fx, at);
            }
        } else {
            fx.clear(Reason::GoesOn);
            fx.event_at(at, EventType::SpeechEnded, turn, json!({ "duration_ms": at.since_ms(self.since) }));
            if self.hearing == Hearing::Speaking {
                self.voiced_ms += at.since_ms(self.since.max(self.timing.first.unwrap_or(self.since)));
                if !self.pushes_to_talk() {
                    self.trail(fx, at);
                }
            }
        }
        true
    }

    /// The speech that goes on right now counts as a turn.
    pub(crate) fn listen(&mut self, fx: &mut Effects) {
        let since = if self.pushes_to_talk() && !self.speech_on { fx.now() } else { self.since };
        self.hearing = Hearing::Speaking;
        self.timing = Timing { first: Some(since), end: since, endpoint: since };
        self.words_until = since;
        self.voiced_ms = 0;
        self.words.clear();
        self.watch_length(fx);
        self.watch_words(fx);
        if self.engine.session.is_some() {
            self.begin_input(fx);
        } else if self.session.is_none() {
            self.open(fx, Some(since));
        }
    }

    /// Whatever the caller says is no turn any more.
    pub(crate) fn stop_listening(&mut self, fx: &mut Effects) {
        self.hearing = Hearing::Quiet;
        self.words.clear();
        self.partial.clear();
        self.drop_input(fx);
        self.engine.committed.clear();
        for reason in [Reason::GoesOn, Reason::EndSilence, Reason::Speculate, Reason::LongSpeech, Reason::FinalWords] {
            fx.clear(reason);
        }
        fx.clear(Reason::StandStill);
    }

    /// The conversation is with somebody else, or with nobody: nothing that was heard counts any more.
    pub(crate) fn begin_anew(&mut self, fx: &mut Effects) {
        self.stop_listening(fx);
        self.close(fx);
        (self.speech_on, self.owed, self.voiced_ms) = (false, 0, 0);
        (self.asked, self.asked_for) = (false, None);
        self.pace = Pace::default();
    }

    /// The turn is over, by silence, by its length or by a key: the recogniser is asked for its last words. Without one
    /// the words are complete.
    pub(crate) fn end_of_speech(&mut self, fx: &mut Effects) -> Option<Heard> {
        match self.hearing {
            Hearing::Quiet | Hearing::Finalizing => return None,
            Hearing::Speaking => {
                self.timing.end = fx.now();
                if self.speech_on {
                    self.voiced_ms += fx.now().since_ms(self.since);
                }
            }
            Hearing::Trailing => {}
        }
        for reason in [Reason::EndSilence, Reason::Speculate, Reason::LongSpeech, Reason::StandStill] {
            fx.clear(reason);
        }
        self.timing.endpoint = fx.now();
        self.hearing = Hearing::Finalizing;
        if self.finalize(fx) { None } else { Some(self.complete(fx)) }
    }

    /// No word has come for long although somebody seems to speak: a television, music, a room. What the caller said before
    /// is all, and where nothing was said the agent goes on with what it was saying, if it was.
    pub(crate) fn stand_still(&mut self, fx: &mut Effects, over_the_agent: bool) -> Option<Heard> {
        let words = !self.so_far().is_empty();
        if self.hearing != Hearing::Speaking || !(if words { self.interim } else { over_the_agent }) {
            return None;
        }
        let heard = self.end_of_speech(fx);
        self.timing.end = self.changed.max(self.since).min(fx.now());
        heard
    }

    /// The recogniser owed its last words for too long.
    pub(crate) fn overdue(&mut self, fx: &mut Effects) -> Option<Heard> {
        if self.hearing != Hearing::Finalizing {
            return None;
        }
        let partial = std::mem::take(&mut self.partial);
        if !partial.is_empty() {
            transcript(fx, &partial, None);
            spoken::join(&mut self.words, &partial);
        }
        self.owed = 0;
        let inputs = std::mem::take(&mut self.engine.committed);
        if !inputs.is_empty() && self.words.is_empty() && self.voiced_ms >= COUGH_MS {
            // Engines hear sound: words they owe are no reason to keep the caller waiting.
            self.words_are_not_waited_for(fx);
            return Some(Heard::Wordless(inputs));
        }
        if self.engine.session.is_none() && self.words.is_empty() && (self.voiced_ms >= COUGH_MS || self.unanswered > 0)
        {
            let detail = format!("no words within turn.final_wait_ms = {}", self.policy.final_wait_ms);
            return Some(Heard::Lost { failure: Failure::AsrTimeout, detail, open: true });
        }
        if self.words.is_empty() {
            self.unanswered += 1;
        }
        // What it still says of this turn was either promoted already or not worth waiting for.
        self.stale_until = fx.now().plus_ms(STALE_MS);
        Some(self.complete(fx))
    }

    /// The session reports something.
    pub(crate) fn asr(&mut self, fx: &mut Effects, event: AsrEvent) -> Option<Heard> {
        match event {
            AsrEvent::Ready => None,
            AsrEvent::Partial { text } => self.partial(fx, text),
            AsrEvent::Final { text, confidence, finalized } => self.final_words(fx, text.trim(), confidence, finalized),
            AsrEvent::Failed { .. } | AsrEvent::Ended if self.deaf && self.hearing != Hearing::Finalizing => {
                // A recogniser without sound may end its session.
                self.session = None;
                self.partial.clear();
                None
            }
            AsrEvent::Failed { failure, detail } => Some(Heard::Lost { failure, detail, open: false }),
            AsrEvent::Ended => {
                let detail = "the session ended by itself".to_owned();
                Some(Heard::Lost { failure: Failure::AsrUnavailable, detail, open: false })
            }
        }
    }

    /// The session is lost: closes what is left of it. Returns its provider.
    pub(crate) fn lost(&mut self, fx: &mut Effects, open: bool) -> usize {
        if open {
            self.close(fx);
        }
        self.session = None;
        self.owed = 0;
        self.partial.clear();
        fx.clear(Reason::FinalWords);
        self.index
    }

    /// Another recogniser takes over and hears again what the one before owed. True when the turn is over and its words
    /// are waited for.
    pub(crate) fn take_over(&mut self, fx: &mut Effects) -> bool {
        let unheard = if self.is_quiet() { self.since } else { self.words_until };
        let owes = !self.is_quiet() || self.speech_on;
        self.open(fx, owes.then_some(unheard));
        self.hearing == Hearing::Finalizing && self.finalize(fx)
    }

    /// No recogniser takes over: the turn is dropped.
    pub(crate) fn give_up(&mut self, fx: &mut Effects) {
        self.stop_listening(fx);
    }

    /// The far end can be heard, or cannot.
    pub(crate) fn set_deaf(&mut self, fx: &mut Effects, deaf: bool, listens: bool) {
        let before = std::mem::replace(&mut self.deaf, deaf);
        if before && !deaf && listens && self.session.is_none() {
            self.open(fx, (self.hearing == Hearing::Speaking).then_some(self.words_until));
        }
    }

    /// The words so far, final and not, while the caller makes a pause.
    pub(crate) fn standing(&self) -> Option<String> {
        let words = self.so_far();
        (self.hearing == Hearing::Trailing && !words.is_empty()).then_some(words)
    }

    /// Nothing that was said so far asks for an answer, and the agent has more to say: the turn is over sooner, if that is
    /// known by words or by how short the sound was.
    pub(crate) fn wait_briefly(&self, fx: &mut Effects) {
        let known = !self.so_far().is_empty() || self.voiced_ms < COUGH_MS;
        if self.hearing == Hearing::Trailing && known {
            let brief = self.timing.end.plus_ms(BRIEF_MS.min(u64::from(self.policy.end_silence_ms))).max(fx.now());
            fx.timers().set(Reason::EndSilence, brief);
            fx.clear(Reason::Speculate);
        }
    }

    fn so_far(&self) -> String {
        let mut words = self.words.clone();
        spoken::join(&mut words, &self.partial);
        words
    }

    /// The answer to a turn came while the caller was still speaking: pauses of this caller are longer than that.
    pub(crate) fn was_not_over(&mut self, said: &str) {
        self.pace.paused(self.since.since_ms(self.timing.end), said);
    }

    fn goes_on_speaking(&mut self, fx: &mut Effects, at: CallTime) {
        match self.hearing {
            Hearing::Quiet | Hearing::Speaking => {}
            Hearing::Trailing | Hearing::Finalizing => {
                let words = self.so_far();
                self.pace.paused(at.since_ms(self.timing.end), &words);
                for reason in [Reason::EndSilence, Reason::Speculate, Reason::FinalWords] {
                    fx.clear(reason);
                }
                let goes_on = std::mem::replace(&mut self.hearing, Hearing::Speaking);
                self.watch_length(fx);
                self.watch_words(fx);
                if goes_on == Hearing::Finalizing && self.engine.session.is_some() {
                    // What was said before was committed.
                    self.words_until = at;
                    self.begin_input(fx);
                }
            }
        }
    }

    /// Arms the time after which no further word is waited for while somebody seems to speak.
    fn watch_words(&mut self, fx: &mut Effects) {
        self.changed = fx.now();
        if self.hearing == Hearing::Speaking && !self.pushes_to_talk() {
            let still = if self.interim { STILL_MS } else { STILL_WITHOUT_WORDS_MS };
            fx.set_in(Reason::StandStill, (self.silence_ms() + LATE_MS).max(still));
        }
    }

    /// The silence that ends a turn with the words so far.
    fn silence_ms(&self) -> u64 {
        let expected = self.expected.or(self.asked_for);
        patience::silence_ms(&self.policy, &self.so_far(), self.asked, &self.pace, expected)
    }

    fn watch_length(&self, fx: &mut Effects) {
        fx.set_in(Reason::LongSpeech, u64::from(self.policy.max_speech_ms));
    }

    fn trail(&mut self, fx: &mut Effects, end: CallTime) {
        self.hearing = Hearing::Trailing;
        self.timing.end = end;
        fx.clear(Reason::StandStill);
        self.wait_for_more(fx);
    }

    /// Arms the silence that ends the turn, by what has been said so far.
    fn wait_for_more(&mut self, fx: &mut Effects) {
        if self.hearing != Hearing::Trailing {
            return;
        }
        let end = self.timing.end;
        let words = self.so_far();
        let due = end.plus_ms(self.silence_ms()).max(fx.now());
        fx.timers().set(Reason::EndSilence, due);
        let guess = end.plus_ms(SPECULATE_MS).max(fx.now());
        if self.policy.speculate && !words.is_empty() && guess < due {
            fx.timers().set(Reason::Speculate, guess);
        } else {
            fx.clear(Reason::Speculate);
        }
    }
}
