//! Who or what answered a call that the agent placed. It is found out beside the conversation: whoever answered is greeted
//! at the end of their first words, or after a moment without any, whatever is known by then.
//!
//! Words say most, then tones; how long somebody speaks before the agent does says a little. What is known may be thought
//! better of: a person's greeting may turn out to be the beginning of a recorded one.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::answering::{Answerer, AnsweringPolicy, IvrAction, MachineAction, ScreeningAction};
use trunkline_api::usage::EndReason;
use trunkline_api::words::{Message, RedactionChannel, Role};
use trunkline_leg::{CallTime, LegId, ToneKind};

use super::mouth::Line;
use super::phrases;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::input::{AsrEvent, VoiceEdge};
use crate::spoken;
use crate::timers::Reason;

/// Most bytes of words that are looked at.
const MOST_WORDS_BYTES: usize = 2048;
/// A pause shorter than this is one within a monologue.
const PAUSE_MS: u64 = 700;
/// A person's first words are no longer than this, and then they wait.
const HELLO_WORDS_MS: u64 = 2000;
const WAITS_MS: u64 = 900;
/// A sound of which no words came is waited for this long before the agent greets all the same.
const NO_WORDS_MS: u64 = 1500;
/// How soon it looks again whether the words have come.
const LOOKS_AGAIN_MS: u64 = 300;
/// When it is still unclear, it stays so: a conversation goes on by then.
const UNDECIDED_MS: u64 = 12_000;
/// After that nobody listens for tones any more, unless a message is to be left.
const TONES_MS: u64 = 30_000;
/// Longest way through a menu, or past an assistant.
const MENU_MS: u64 = 300_000;
/// A machine that speaks for this long into a message had not ended its greeting.
const GOES_ON_MS: u64 = 1000;
/// How long an assistant may be away to ask.
const ASKING_MS: u64 = 30_000;

/// What the agent is doing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The call has not been answered.
    Ringing,
    /// Whoever answered is being listened to, beside the conversation.
    Listening,
    /// A machine's greeting is to end.
    AwaitsBeep { since: CallTime },
    /// The message is being said.
    Message { after_beep: bool },
    /// It is known, and may be thought better of.
    Done,
    /// The call ends.
    Over,
}

/// Who or what answered.
#[derive(Debug)]
pub(super) struct Answering {
    policy: AnsweringPolicy,
    stage: Stage,
    answered: CallTime,
    kind: Option<Answerer>,
    /// By nothing but how long they spoke.
    by_rhythm: bool,
    /// The agent has not greeted yet; when it does although nobody has said anything.
    owes_greeting: bool,
    greet_at: CallTime,
    words: String,
    speaks_since: Option<CallTime>,
    /// When the monologue began that goes on, or ended last.
    run_since: CallTime,
    quiet_since: CallTime,
    has_spoken: bool,
    /// The agent's own words came between: how long they speak says nothing any more.
    conversed: bool,
    listens_for_tones: bool,
    restarts: u32,
    /// An assistant has been told who calls.
    told: bool,
    /// The model is to be told of the menu.
    note: bool,
    /// Until when an assistant may be asking.
    asking_until: CallTime,
}

impl Answering {
    pub(super) fn new(policy: AnsweringPolicy) -> Self {
        Self {
            policy,
            stage: Stage::Ringing,
            answered: CallTime::ZERO,
            kind: None,
            by_rhythm: false,
            owes_greeting: false,
            greet_at: CallTime::ZERO,
            words: String::new(),
            speaks_since: None,
            run_since: CallTime::ZERO,
            quiet_since: CallTime::ZERO,
            has_spoken: false,
            conversed: false,
            listens_for_tones: false,
            restarts: 0,
            told: false,
            note: false,
            asking_until: CallTime::ZERO,
        }
    }

    pub(super) const fn kind(&self) -> Option<Answerer> {
        self.kind
    }

    pub(super) const fn policy(&self) -> &AnsweringPolicy {
        &self.policy
    }

    /// Whether what is said may make a turn: a machine's words do not.
    pub(super) const fn hears(&self) -> bool {
        matches!(self.stage, Stage::Ringing | Stage::Listening | Stage::Done)
    }

    /// Whether nobody is to be asked if they are still there.
    pub(super) fn is_busy(&self) -> bool {
        !self.hears() || self.owes_greeting || self.asking_until > CallTime::ZERO
    }

    /// When something is decided by time.
    fn due(&self, now: CallTime) -> Option<CallTime> {
        let mut due: Vec<CallTime> = Vec::new();
        match self.stage {
            Stage::Ringing | Stage::Over => {}
            Stage::Listening | Stage::Done => {
                if self.owes_greeting && self.speaks_since.is_none() {
                    due.push(self.greet_at);
                }
                if self.stage == Stage::Listening && self.kind.is_none() {
                    match self.speaks_since {
                        Some(_) if !self.conversed => {
                            due.push(self.run_since.plus_ms(u64::from(self.policy.monologue_ms)));
                        }
                        None if self.is_hello() => due.push(self.quiet_since.plus_ms(WAITS_MS)),
                        Some(_) | None => {}
                    }
                    due.push(self.answered.plus_ms(UNDECIDED_MS));
                }
                if self.listens_for_tones {
                    due.push(self.answered.plus_ms(TONES_MS));
                }
                if self.asking_until > CallTime::ZERO {
                    due.push(self.asking_until);
                }
            }
            Stage::AwaitsBeep { since } => {
                due.push(since.plus_ms(u64::from(self.policy.greeting_ms)));
                if self.speaks_since.is_none() {
                    due.push(self.quiet_since.max(since).plus_ms(u64::from(self.policy.no_beep_ms)));
                }
            }
            Stage::Message { .. } => {
                if let Some(since) = self.speaks_since.filter(|_| self.restarts == 0) {
                    due.push(since.plus_ms(GOES_ON_MS));
                }
            }
        }
        due.into_iter().min().map(|due| due.max(now.plus_ms(1)))
    }

    /// Whether words may still tell who answered: somebody who has spoken with the agent for a while is who they were.
    fn believes(&self, now: CallTime) -> bool {
        let longest_ms = match self.kind {
            Some(Answerer::Ivr | Answerer::Screening) => MENU_MS,
            Some(Answerer::Human | Answerer::Machine | Answerer::Fax | Answerer::Unavailable | Answerer::Unknown)
            | None => TONES_MS,
        };
        matches!(self.stage, Stage::Listening | Stage::Done) && now.since_ms(self.answered) < longest_ms
    }

    /// Whether all that was said is what a person answers with.
    fn is_hello(&self) -> bool {
        self.has_spoken && !self.conversed && self.quiet_since.since_ms(self.run_since) <= HELLO_WORDS_MS
    }
}

impl Dialogue {
    /// The call was answered. True when the agent waits for a first word before it greets.
    pub(super) fn answering_begins(&mut self, fx: &mut Effects) -> bool {
        let now = fx.now();
        let deaf = self.ears.is_deaf_by_choice() || self.ears.pushes_to_talk();
        let greets = !self.spec.greeting.trim().is_empty();
        let Some(answering) = &mut self.tel.answering else { return false };
        answering.stage = Stage::Listening;
        (answering.answered, answering.quiet_since, answering.run_since) = (now, now, now);
        answering.greet_at = now.plus_ms(u64::from(answering.policy.hello_ms));
        answering.listens_for_tones = true;
        answering.owes_greeting = greets && !deaf && answering.policy.hello_ms > 0;
        let (waits, region) = (answering.owes_greeting, answering.policy.region.clone());
        fx.command(Command::ListenForTones { leg: LegId::FIRST, region: Some(region) });
        self.answering_watch(fx);
        waits
    }

    /// Whether the first words are answered with the greeting, so that no model needs to be asked.
    pub(super) fn owes_greeting(&self) -> bool {
        self.tel.answering.as_ref().is_some_and(|answering| answering.owes_greeting)
    }

    /// Somebody began or stopped speaking.
    pub(super) fn answering_voice(&mut self, fx: &mut Effects, edge: VoiceEdge) {
        let now = fx.now();
        if fx.legs().attached() != Some(LegId::FIRST) {
            return;
        }
        let agent_speaks = !self.mouth.is_silent();
        let Some(answering) = self.tel.answering.as_mut().filter(|answering| answering.stage != Stage::Ringing) else {
            return;
        };
        let at = edge.at.min(now);
        match (edge.speech, answering.speaks_since) {
            (true, None) => {
                answering.conversed |= agent_speaks;
                if !answering.has_spoken || at.since_ms(answering.quiet_since) >= PAUSE_MS {
                    answering.run_since = at;
                }
                (answering.speaks_since, answering.has_spoken) = (Some(at), true);
            }
            (false, Some(_)) => {
                (answering.speaks_since, answering.quiet_since) = (None, at);
                answering.greet_at = at.plus_ms(u64::from(answering.policy.hello_ms).max(NO_WORDS_MS));
            }
            (true, Some(_)) | (false, None) => {}
        }
        self.answering_watch(fx);
    }

    /// Words, whether they make a turn or not.
    pub(super) fn answering_hears(&mut self, fx: &mut Effects, event: &AsrEvent) {
        let (text, is_final) = match event {
            AsrEvent::Partial { text } => (text, false),
            AsrEvent::Final { text, .. } => (text, true),
            AsrEvent::Ready | AsrEvent::Failed { .. } | AsrEvent::Ended => return,
        };
        let (now, with_caller) = (fx.now(), fx.legs().attached() == Some(LegId::FIRST));
        let Some(answering) = self.tel.answering.as_mut().filter(|answering| answering.believes(now) && with_caller)
        else {
            return;
        };
        if text.trim().is_empty() || answering.words.len() + text.len() > MOST_WORDS_BYTES {
            return;
        }
        let mut words = answering.words.clone();
        spoken::join(&mut words, text);
        if is_final {
            answering.words.clone_from(&words);
        }
        let said = phrases::who_says(&words);
        let somebody = matches!(answering.kind, None | Some(Answerer::Screening | Answerer::Ivr));
        let person = somebody && is_final && phrases::is_hello(&words);
        if let Some((kind, percent)) = said {
            self.classified(fx, kind, percent, "words");
        } else if person {
            self.classified(fx, Answerer::Human, 90, "words");
        }
    }

    /// A tone was heard.
    pub(crate) fn tone(&mut self, fx: &mut Effects, leg: LegId, kind: ToneKind) {
        if leg != LegId::FIRST {
            self.transfer_tone(fx, leg, kind);
            return;
        }
        let Some(answering) = &mut self.tel.answering else { return };
        match (kind, answering.stage) {
            (ToneKind::Beep, Stage::AwaitsBeep { .. }) => self.leave_message(fx, true),
            (ToneKind::Beep, Stage::Message { .. }) if answering.restarts == 0 => {
                // The one before was none.
                self.begin_again(fx);
                self.leave_message(fx, true);
            }
            (ToneKind::Beep, Stage::Listening | Stage::Done) => {
                let spoke = answering.has_spoken;
                self.classified(fx, Answerer::Machine, if spoke { 85 } else { 60 }, "tone");
                // It has begun to record.
                if self.tel.answering.as_ref().is_some_and(|now| matches!(now.stage, Stage::AwaitsBeep { .. })) {
                    self.leave_message(fx, true);
                }
            }
            (ToneKind::FaxCalling | ToneKind::FaxAnswering, _) => self.classified(fx, Answerer::Fax, 95, "tone"),
            (ToneKind::SpecialInformation | ToneKind::Busy | ToneKind::Congestion, _) => {
                self.classified(fx, Answerer::Unavailable, 95, "tone");
            }
            (ToneKind::Beep | ToneKind::Dial | ToneKind::Ringback, _) => {}
        }
    }

    /// Whatever is decided by time.
    pub(super) fn answering_due(&mut self, fx: &mut Effects) {
        let now = fx.now();
        let Some(answering) = &mut self.tel.answering else { return };
        let since_ms = |then: CallTime| now.since_ms(then);
        if answering.asking_until <= now {
            answering.asking_until = CallTime::ZERO;
        }
        match answering.stage {
            Stage::Ringing | Stage::Over => {}
            Stage::Listening | Stage::Done => {
                if answering.listens_for_tones && since_ms(answering.answered) >= TONES_MS {
                    answering.listens_for_tones = false;
                    fx.command(Command::ListenForTones { leg: LegId::FIRST, region: None });
                }
                if answering.owes_greeting && answering.greet_at <= now && answering.speaks_since.is_none() {
                    if self.ears.is_quiet() {
                        self.greets(fx);
                    } else {
                        answering.greet_at = now.plus_ms(LOOKS_AGAIN_MS);
                    }
                }
                let Some(answering) = &self.tel.answering else { return };
                if answering.stage == Stage::Listening && answering.kind.is_none() {
                    let speaks = answering.speaks_since.is_some();
                    let long = u64::from(answering.policy.monologue_ms);
                    if speaks && !answering.conversed && since_ms(answering.run_since) >= long {
                        self.classified(fx, Answerer::Machine, 60, "rhythm");
                    } else if !speaks && answering.is_hello() && since_ms(answering.quiet_since) >= WAITS_MS {
                        self.classified(fx, Answerer::Human, 75, "rhythm");
                    } else if since_ms(answering.answered) >= UNDECIDED_MS {
                        self.classified(fx, Answerer::Unknown, 0, "silence");
                    }
                }
            }
            Stage::AwaitsBeep { since } => {
                let quiet = answering.speaks_since.is_none()
                    && since_ms(answering.quiet_since.max(since)) >= u64::from(answering.policy.no_beep_ms);
                if quiet || since_ms(since) >= u64::from(answering.policy.greeting_ms) {
                    self.leave_message(fx, false);
                }
            }
            Stage::Message { .. } => {
                if answering.restarts == 0 && answering.speaks_since.is_some_and(|at| since_ms(at) >= GOES_ON_MS) {
                    self.begin_again(fx);
                }
            }
        }
        self.answering_watch(fx);
    }

    /// What was said or pressed makes a turn; true when it is answered already.
    pub(super) fn answering_input(&mut self, fx: &mut Effects, text: &str) -> bool {
        let Some(answering) = &mut self.tel.answering else { return false };
        let kind = answering.kind;
        if !answering.hears() {
            return true;
        }
        if kind == Some(Answerer::Screening)
            && !answering.told
            && let ScreeningAction::Say { text: line } = answering.policy.screening.clone()
        {
            (answering.told, answering.owes_greeting) = (true, false);
            answering.asking_until = fx.now().plus_ms(ASKING_MS);
            self.answers_with(fx, text, &line);
            self.answering_watch(fx);
            return true;
        }
        if std::mem::take(&mut answering.note) {
            let note = "[An automated menu answers. Press its keys with the tool send_dtmf until a person answers.]";
            spoken::join(&mut self.pending, note);
        }
        let Some(answering) = &mut self.tel.answering else { return false };
        // A menu and an assistant want to hear something else than a greeting.
        let greets = answering.owes_greeting && !matches!(kind, Some(Answerer::Ivr | Answerer::Screening));
        answering.owes_greeting = false;
        if greets {
            let line = self.spec.greeting.clone();
            self.answers_with(fx, text, &line);
        }
        greets
    }

    /// A message that was heard to its end is left.
    pub(super) fn answering_settles(&mut self, fx: &mut Effects) {
        let Some(Answering { stage: Stage::Message { after_beep }, restarts, .. }) = &self.tel.answering else {
            return;
        };
        if self.mouth.is_silent() {
            let data = json!({ "after_beep": after_beep, "restarts": restarts });
            fx.event(EventType::MessageLeft, data);
            fx.close("", EndReason::AgentHungUp, None, true);
            if let Some(answering) = &mut self.tel.answering {
                answering.stage = Stage::Over;
            }
        }
    }

    /// It became clear who answered, as far as it does.
    fn classified(&mut self, fx: &mut Effects, kind: Answerer, percent: u32, by: &str) {
        let Some(answering) = &mut self.tel.answering else { return };
        let better = match answering.kind {
            None => true,
            Some(known) if known == kind => false,
            Some(Answerer::Human | Answerer::Unknown) => kind != Answerer::Unknown && kind != Answerer::Human,
            // People come to the telephone after all, and menus and assistants end in a mailbox.
            Some(Answerer::Screening | Answerer::Ivr) => !matches!(kind, Answerer::Unknown),
            Some(Answerer::Machine) => answering.by_rhythm && by != "rhythm",
            Some(Answerer::Fax | Answerer::Unavailable) => false,
        };
        if !better || !matches!(answering.stage, Stage::Listening | Stage::Done) {
            return;
        }
        (answering.kind, answering.by_rhythm) = (Some(kind), by == "rhythm");
        // Words of before say nothing of who comes after.
        answering.words.clear();
        let after_ms = fx.now().since_ms(answering.answered);
        let confidence = f64::from(percent) / 100.0;
        let data = json!({ "kind": kind.name(), "confidence": confidence, "after_ms": after_ms, "by": by });
        let policy = answering.policy.clone();
        answering.stage = Stage::Done;
        answering.note = kind == Answerer::Ivr && policy.ivr == IvrAction::Navigate;
        if kind == Answerer::Unknown || kind == Answerer::Human {
            answering.asking_until = CallTime::ZERO;
        }
        fx.event(EventType::AnswerClassified, data);
        let hangs_up = match kind {
            Answerer::Machine => match policy.machine {
                MachineAction::HangUp => true,
                MachineAction::LeaveMessage { .. } => {
                    self.await_beep(fx);
                    false
                }
                MachineAction::Continue => false,
            },
            Answerer::Ivr => policy.ivr == IvrAction::HangUp,
            Answerer::Screening => policy.screening == ScreeningAction::HangUp,
            Answerer::Fax | Answerer::Unavailable => true,
            Answerer::Human | Answerer::Unknown => false,
        };
        if hangs_up {
            self.falls_silent(fx);
            if let Some(answering) = &mut self.tel.answering {
                answering.stage = Stage::Over;
            }
            fx.close("", EndReason::AgentHungUp, None, true);
        }
        self.answering_watch(fx);
    }

    /// The machine's greeting is to end before anything is said.
    fn await_beep(&mut self, fx: &mut Effects) {
        self.falls_silent(fx);
        let now = fx.now();
        if let Some(answering) = &mut self.tel.answering {
            answering.stage = Stage::AwaitsBeep { since: now };
            answering.owes_greeting = false;
        }
    }

    /// The machine went on: the message is said again from its beginning, once.
    fn begin_again(&mut self, fx: &mut Effects) {
        if let Some(answering) = &mut self.tel.answering {
            answering.restarts += 1;
        }
        self.await_beep(fx);
    }

    fn leave_message(&mut self, fx: &mut Effects, after_beep: bool) {
        let Some(answering) = &mut self.tel.answering else { return };
        let MachineAction::LeaveMessage { text } = answering.policy.machine.clone() else { return };
        answering.stage = Stage::Message { after_beep };
        // What is heard from here on is the machine going on.
        answering.speaks_since = None;
        let text = self.with_variables(fx.now(), &text);
        let line = Line { protected: true, ..self.line(&text, false) };
        self.mouth.say(fx, line);
        self.mouth.finish(fx);
        self.answering_watch(fx);
    }

    /// Whatever was being said, heard and thought is nobody's business any more.
    fn falls_silent(&mut self, fx: &mut Effects) {
        self.keys.forget(fx);
        self.ears.stop_listening(fx);
        self.pending.clear();
        self.rest.clear();
        (self.overlap, self.rejoin, self.overheard) = (None, None, false);
        self.stop_thinking(fx);
        self.rejoin = None;
        self.mouth.stop(fx);
    }

    /// Nobody has said anything: the agent does.
    fn greets(&mut self, fx: &mut Effects) {
        if let Some(answering) = &mut self.tel.answering {
            answering.owes_greeting = false;
        }
        let line = self.spec.greeting.clone();
        self.tells(fx, &line);
    }

    /// Answers a turn without the model.
    fn answers_with(&mut self, fx: &mut Effects, text: &str, line: &str) {
        self.drop_guess(fx);
        self.pending.clear();
        self.waterfall_done(fx);
        fx.next_turn();
        fx.words_event(EventType::TurnStarted, json!({}), "input", vec![(text.to_owned(), spoken::WHOLE)]);
        // What the model may not read as it was said is left out: it is a greeting.
        if !fx.redacts(RedactionChannel::LlmInput) {
            self.memory.push(Message::text(Role::User, text));
        }
        self.tells(fx, line);
    }

    fn answering_watch(&self, fx: &mut Effects) {
        let now = fx.now();
        match self.tel.answering.as_ref().and_then(|answering| answering.due(now)) {
            Some(due) => fx.timers().set(Reason::Answering, due),
            None => fx.clear(Reason::Answering),
        }
    }
}
