//! The plugin sessions of a call in one table, whatever they are for: who serves them, which of them wait for this host,
//! when they are due, what they have learned, and what they have used, also after they were let go of.

use std::panic::{AssertUnwindSafe, catch_unwind};

use trunkline_api::usage::Units;
use trunkline_api::words::ProviderKind;
use trunkline_call::{AsrEvent, Input, LlmEvent, ToolOutcome, TtsEvent};
use trunkline_leg::CallTime;

use crate::listening::Listening;
use crate::redacting::Redacting;
use crate::session::pool::GIVEN_AT_ONCE_US;
use crate::session::{Output, Place, Session};
use crate::speaking::{Report, Speaking, Spoken};

/// How long a session may wait for a thread before what it owes is late by this host's fault; so it is while it has more
/// sound to come to than anybody is given at once.
const LATE_US: u64 = 100_000;
/// Kinds of sessions that may wait for this host.
const KINDS: [ProviderKind; 5] =
    [ProviderKind::Asr, ProviderKind::Llm, ProviderKind::Tts, ProviderKind::Tool, ProviderKind::Redactor];

/// A session that answers one request, or was let go of.
struct Running {
    kind: ProviderKind,
    /// Names the request among those of its kind.
    number: u32,
    provider: String,
    session: Session,
}

/// Something that a session has learned.
pub(super) struct Taken {
    /// What the session is for.
    pub(super) kind: ProviderKind,
    /// Whose it is.
    pub(super) provider: String,
    /// What.
    pub(super) what: What,
}

/// What a session may say.
pub(super) enum What {
    /// Something the call wants to know, and whether it shows that the provider does its work.
    Learned(Input, bool),
    /// What was used since the last report.
    Used(Units),
}

/// The sessions of one call.
pub(super) struct Sessions {
    place: Place,
    pub(super) listening: Listening,
    pub(super) speaking: Speaking,
    pub(super) redacting: Redacting,
    /// Models and tools at work.
    running: Vec<Running>,
    /// Sessions that were let go of and may still report what they used.
    parting: Vec<Running>,
    /// Kinds of sessions that wait for this host, as the call was told.
    behind: [bool; KINDS.len()],
    lost_inputs: u64,
}

impl Sessions {
    /// No session yet; they are to run at `place`.
    pub(super) fn new(place: Place, redacting: Redacting) -> Self {
        Self {
            place,
            listening: Listening::default(),
            speaking: Speaking::default(),
            redacting,
            running: Vec::new(),
            parting: Vec::new(),
            behind: Default::default(),
            lost_inputs: 0,
        }
    }

    /// Where they run.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Every session that is open, voices apart.
    fn but_voices(&self) -> impl Iterator<Item = (ProviderKind, &Session)> + Clone {
        let asr = self.listening.session().map(|session| (ProviderKind::Asr, session));
        let redactor = self.redacting.session_elsewhere().map(|session| (ProviderKind::Redactor, session));
        asr.into_iter().chain(redactor).chain(self.running.iter().map(|running| (running.kind, &running.session)))
    }

    /// Every session that is open.
    fn each(&self) -> impl Iterator<Item = (ProviderKind, &Session)> {
        self.but_voices().chain(self.speaking.sessions().map(|session| (ProviderKind::Tts, session)))
    }

    /// Has those run that have something to do.
    pub(super) fn serve(&self, now: CallTime) {
        for (_, session) in self.each() {
            session.serve(&self.place, now.0);
        }
    }

    /// A request of `kind` is at work.
    pub(super) fn start(&mut self, kind: ProviderKind, number: u32, provider: String, session: Session) {
        self.running.push(Running { kind, number, provider, session });
    }

    /// A request is of no interest any more.
    pub(super) fn cancel(&mut self, kind: ProviderKind, number: u32) {
        if let Some(at) = self.running.iter().position(|running| running.kind == kind && running.number == number) {
            let running = self.running.remove(at);
            self.part_with(running);
        }
    }

    /// A recogniser is of no interest any more.
    pub(super) fn close_recogniser(&mut self, number: u32) {
        if let Some((provider, session)) = self.listening.close(number) {
            self.part_with(Running { kind: ProviderKind::Asr, number, provider, session });
        }
    }

    /// Lets go of all of them.
    pub(super) fn close_all(&mut self) {
        for running in self.all() {
            self.part_with(running);
        }
    }

    /// Lets go of the voices.
    pub(super) fn close_voices(&mut self) {
        for (provider, session) in self.speaking.close_all() {
            self.part_with(Running { kind: ProviderKind::Tts, number: 0, provider, session });
        }
    }

    /// Lets go of all of them although the call has failed, and any of them may have been why: one that panics says no more
    /// than it has said.
    pub(super) fn abandon(&mut self) {
        for running in self.all() {
            let closes = || running.session.close(&self.place);
            if catch_unwind(AssertUnwindSafe(closes)).is_err() {
                running.session.give_up();
            }
            self.parting.push(running);
        }
    }

    /// Takes all of them.
    fn all(&mut self) -> Vec<Running> {
        let of = |kind| move |(provider, session)| Running { kind, number: 0, provider, session };
        let mut all: Vec<Running> = self.listening.close_all().map(of(ProviderKind::Asr)).into_iter().collect();
        all.extend(self.speaking.close_all().into_iter().map(of(ProviderKind::Tts)));
        all.extend(self.redactor());
        all.append(&mut self.running);
        all
    }

    fn redactor(&mut self) -> Option<Running> {
        let (kind, provider) = (ProviderKind::Redactor, self.redacting.plugin().to_owned());
        self.redacting.close().map(|session| Running { kind, number: 0, provider, session })
    }

    /// Cancels a session; what it still reports of what it used is waited for.
    fn part_with(&mut self, running: Running) {
        running.session.close(&self.place);
        self.parting.push(running);
    }

    /// Whether every session that was let go of has said what it used.
    pub(super) const fn is_settled(&self) -> bool {
        self.parting.is_empty()
    }

    /// The next thing that a session which was let go of has used.
    pub(super) fn settle(&mut self) -> Option<Taken> {
        let mut at = 0;
        while let Some(Running { kind, provider, session, .. }) = self.parting.get(at) {
            // Looked at before the outputs: what comes between the two is found the next time.
            let over = session.is_over();
            match session.poll() {
                Some(Output::Usage(units)) => {
                    return Some(Taken { kind: *kind, provider: provider.clone(), what: What::Used(units) });
                }
                Some(_) => {}
                None if over => drop(self.parting.remove(at)),
                None => at += 1,
            }
        }
        None
    }

    /// The next thing that an open session has learned, unless it is a voice that is far enough ahead.
    pub(super) fn take(&mut self) -> Option<Taken> {
        self.redacted().or_else(|| self.heard()).or_else(|| self.answered()).or_else(|| self.spoken())
    }

    fn redacted(&mut self) -> Option<Taken> {
        let kind = ProviderKind::Redactor;
        while let Some(output) = self.redacting.session_elsewhere().and_then(Session::poll) {
            let what = match output {
                Output::Redacted { ticket, result } => What::Learned(Input::Redacted { ticket, result }, false),
                Output::Usage(units) => What::Used(units),
                Output::Failed { .. } => {
                    // Its texts are overdue in a moment; the next one gets another.
                    if let Some(running) = self.redactor() {
                        self.part_with(running);
                    }
                    continue;
                }
                Output::Asr(_)
                | Output::Llm(_)
                | Output::Sound { .. }
                | Output::ContextDone { .. }
                | Output::Tool(_) => continue,
            };
            return Some(Taken { kind, provider: self.redacting.plugin().to_owned(), what });
        }
        None
    }

    fn heard(&mut self) -> Option<Taken> {
        let kind = ProviderKind::Asr;
        while let Some((session, provider, output)) = self.listening.poll() {
            let what = match output {
                Output::Asr(event) => {
                    let works = matches!(event, AsrEvent::Final { .. });
                    What::Learned(Input::Asr { session, event }, works)
                }
                Output::Usage(units) => What::Used(units),
                Output::Failed { failure, detail } => {
                    What::Learned(Input::Asr { session, event: AsrEvent::Failed { failure, detail } }, false)
                }
                Output::Llm(_)
                | Output::Sound { .. }
                | Output::ContextDone { .. }
                | Output::Tool(_)
                | Output::Redacted { .. } => continue,
            };
            return Some(Taken { kind, provider, what });
        }
        None
    }

    /// Of a model or a tool.
    fn answered(&mut self) -> Option<Taken> {
        let mut at = 0;
        while let Some(Running { kind, number, provider, session }) = self.running.get(at) {
            let Some(output) = session.poll() else {
                at += 1;
                continue;
            };
            let (kind, number, provider) = (*kind, *number, provider.clone());
            let (what, over) = match output {
                Output::Usage(units) => (What::Used(units), false),
                Output::Llm(event) => {
                    let finished = matches!(event, LlmEvent::Finished(_));
                    let over = finished || matches!(event, LlmEvent::Failed { .. });
                    (What::Learned(Input::Llm { request: number, event }, finished), over)
                }
                Output::Tool(outcome) => (What::Learned(Input::Tool { invocation: number, outcome }, false), true),
                Output::Failed { failure, detail } if kind == ProviderKind::Tool => {
                    let outcome =
                        ToolOutcome { output: detail, is_error: true, actions: Vec::new(), failure: Some(failure) };
                    (What::Learned(Input::Tool { invocation: number, outcome }, false), true)
                }
                Output::Failed { failure, detail } => {
                    let event = LlmEvent::Failed { failure, detail };
                    (What::Learned(Input::Llm { request: number, event }, false), true)
                }
                Output::Asr(_) | Output::Sound { .. } | Output::ContextDone { .. } | Output::Redacted { .. } => {
                    continue;
                }
            };
            if over {
                let running = self.running.remove(at);
                self.part_with(running);
            }
            return Some(Taken { kind, provider, what });
        }
        None
    }

    fn spoken(&mut self) -> Option<Taken> {
        let kind = ProviderKind::Tts;
        Some(match self.speaking.poll()? {
            Spoken::Report(Report { utterance, index, event }) => {
                let works = matches!(event, TtsEvent::PartDone { audio_ms: 1.., .. });
                let provider = if works { self.speaking.provider(index).unwrap_or_default() } else { "" };
                let (provider, input) = (provider.to_owned(), Input::Tts { utterance, index, event });
                Taken { kind, provider, what: What::Learned(input, works) }
            }
            Spoken::Usage(provider, units) => Taken { kind, provider, what: What::Used(units) },
        })
    }

    /// A kind of sessions that has begun to wait for this host, or waits no more, since this was asked.
    pub(super) fn waiting(&mut self, now: CallTime) -> Option<Input> {
        let late = |session: &Session| {
            session.waits_since_us().is_some_and(|since| now.0 >= since + LATE_US)
                || session.owes_us() > GIVEN_AT_ONCE_US
        };
        let waits = KINDS.map(|kind| self.each().any(|(of, session)| of == kind && late(session)));
        let at = waits.iter().zip(&self.behind).position(|(now, before)| now != before)?;
        self.behind[at] = waits[at];
        Some(Input::Behind { kind: KINDS[at], behind: waits[at] })
    }

    /// When they are to be looked at again, at the earliest; those that want a turn at once have it by `soon`. `None` while
    /// only an arrival brings any of them on.
    pub(super) fn due(&self, now: CallTime, soon: CallTime) -> Option<CallTime> {
        let ahead = self.speaking.is_ahead();
        let voices = self.speaking.sessions();
        if self.but_voices().any(|(_, session)| session.has_output())
            || (!ahead && voices.clone().any(Session::has_output))
        {
            return Some(now);
        }
        // A session that had its slice and wants more waits for its turn; a voice that is ahead waits for room.
        let voices = voices.filter_map(|voice| if ahead { voice.timer_us() } else { voice.due_us(now.0) });
        let sessions = self.but_voices().filter_map(|(_, session)| session.due_us(now.0));
        sessions.chain(voices).min().map(|due_us| soon.max(CallTime(due_us)))
    }

    /// Inputs that a recogniser has lost because it was too slow, since this was asked.
    pub(super) fn newly_lost(&mut self) -> u64 {
        let lost = self.listening.dropped_inputs();
        lost.saturating_sub(std::mem::replace(&mut self.lost_inputs, lost))
    }
}

#[cfg(test)]
mod tests;
