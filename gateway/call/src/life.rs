//! The life of a call: answered, live, closing behind last words, ending, over; and its record, which is closed once.

use serde_json::json;
use trunkline_api::agent::FailureAction;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_leg::{CallTime, EndCause, LegFact, LegId};

use crate::analysis::CallAnalysis;
use crate::call::{Call, set_some};
use crate::command::Command;
use crate::dialogue::action_for;
use crate::effects::{Close, Effects};
use crate::legs::LegNews;
use crate::timers::Reason;

/// Longest time for the last words before a hang-up.
const LAST_WORDS_MS: u64 = 30_000;
/// Longest time a draining gateway lets an utterance go on.
const DRAIN_MS: u64 = 5000;
/// Longest word to whoever was dialled for a caller who has hung up.
const LAST_WORD_MS: u64 = 10_000;
/// Longest wait for the leg to end after it was hung up.
const LEG_END_MS: u64 = 5000;

/// Where a call is in its life.
#[derive(Debug)]
pub(crate) enum Life {
    /// Not answered.
    Ringing,
    /// Answered.
    Live,
    /// A hang-up waits for last words.
    Closing(Closing),
    /// A hang-up was ordered.
    Ending,
    /// The first leg has ended; others have not.
    Parting(Parting),
    /// The leg has ended.
    Over,
}

/// A hang-up that waits for last words.
#[derive(Debug)]
pub(crate) struct Closing {
    reason: EndReason,
    failure: Option<Failure>,
    /// To be said once what is being said has ended.
    line: String,
}

/// What is left of a call whose first leg has ended.
#[derive(Debug)]
pub(crate) struct Parting {
    cause: EndCause,
    at: CallTime,
    /// Whoever was dialled is told.
    speaks: bool,
}

impl Life {
    /// Whether the caller hears the agent and the agent the caller.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }

    /// Whether there is still something to be said.
    pub(crate) const fn speaks(&self) -> bool {
        matches!(self, Self::Live | Self::Closing(_) | Self::Parting(Parting { speaks: true, .. }))
    }

    /// Whether the first leg is there.
    pub(crate) const fn has_line(&self) -> bool {
        matches!(self, Self::Live | Self::Closing(_) | Self::Ending)
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }
}

impl Call {
    /// Carries out an end that a part of the call asked for, and one whose last words were heard.
    pub(crate) fn see_to_the_end(&mut self) {
        if let Some(Close { line, reason, failure, at_once }) = self.fx.take_close() {
            if at_once { self.hang_up_now(reason, failure) } else { self.close(&line, reason, failure) }
        }
        self.part();
        if let Life::Closing(closing) = &mut self.life
            && self.dialogue.is_silent()
        {
            let line = std::mem::take(&mut closing.line);
            self.dialogue.close(&mut self.fx, &line);
            if self.dialogue.is_silent() {
                self.closing_too_long();
            }
        }
    }

    /// Says `line` behind what is being said, then hangs up.
    pub(crate) fn close(&mut self, line: &str, reason: EndReason, failure: Option<Failure>) {
        if !self.life.is_live() {
            return;
        }
        if !self.dialogue.call_off_transfer(&mut self.fx) {
            // The caller would not hear the last words.
            self.hang_up_now(reason, failure);
            return;
        }
        let now = self.dialogue.can_append();
        self.dialogue.close(&mut self.fx, if now { line } else { "" });
        let later = if now { String::new() } else { line.to_owned() };
        self.life = Life::Closing(Closing { reason, failure, line: later });
        self.fx.set_in(Reason::Closing, LAST_WORDS_MS);
    }

    /// A shutdown: what is being said may end.
    pub(crate) fn drain(&mut self) {
        match self.life {
            Life::Live => {
                self.close("", EndReason::Drained, None);
                self.fx.set_in(Reason::Closing, DRAIN_MS);
            }
            Life::Closing(_) => self.fx.set_in(Reason::Closing, DRAIN_MS),
            Life::Ringing => self.hang_up_now(EndReason::Drained, None),
            Life::Over => self.analysed(CallAnalysis::give_up),
            Life::Ending | Life::Parting(_) => {}
        }
    }

    /// Hangs up without further words.
    pub(crate) fn closing_too_long(&mut self) {
        if let Life::Closing(Closing { reason, failure, .. }) = &self.life {
            let (reason, failure) = (*reason, *failure);
            self.hang_up_now(reason, failure);
        }
    }

    pub(crate) fn too_long(&mut self) {
        let failure = Failure::CallTooLong;
        let detail = format!("limits.max_call_s is {}", self.setup.spec.limits.max_call_s);
        self.fx.raise(failure, "", &detail, "hang_up");
        let action = action_for(&self.setup.spec, failure);
        if let FailureAction::HangUp { text } | FailureAction::Say { text } = action
            && !text.is_empty()
        {
            self.close(&text, EndReason::Failed, Some(failure));
        } else {
            self.hang_up_now(EndReason::Failed, Some(failure));
        }
    }

    /// Orders the leg to end.
    pub(crate) fn hang_up_now(&mut self, reason: EndReason, failure: Option<Failure>) {
        if matches!(self.life, Life::Ending | Life::Parting(_) | Life::Over) {
            return;
        }
        self.dialogue.call_off_transfer(&mut self.fx);
        self.dialogue.release(&mut self.fx);
        self.fx.release_all(reason);
        self.fx.clear_timers();
        self.life = Life::Ending;
        self.record.end = Some(reason);
        self.record.failure = failure;
        self.fx.set_in(Reason::LegEnd, LEG_END_MS);
        self.fx.command(Command::HangUp { leg: LegId::FIRST, reason, failure });
    }

    pub(crate) fn leg_ended(&mut self, cause: EndCause, at: CallTime) {
        if !matches!(self.life, Life::Ending) {
            let (reason, failure) = match cause {
                EndCause::RemoteHangUp if self.dialogue.has_passed_on() => (EndReason::Transferred, None),
                EndCause::RemoteHangUp | EndCause::Cancelled => (EndReason::CallerHungUp, None),
                EndCause::NoAck => (EndReason::Failed, Some((Failure::NotAcknowledged, ""))),
                EndCause::MediaTimeout => (EndReason::Failed, Some((Failure::MediaTimeout, ""))),
                EndCause::Local => (EndReason::Drained, None),
                EndCause::Failed => (EndReason::Failed, Some((Failure::Internal, "the leg failed"))),
            };
            if let Some((failure, detail)) = failure {
                self.fx.raise(failure, "", detail, "hang_up");
            }
            self.record.end = Some(reason);
            self.record.failure = failure.map(|(failure, _)| failure);
        }
        let ended = matches!(self.life, Life::Ending);
        let speaks = !ended && self.life.is_live() && self.dialogue.caller_is_gone(&mut self.fx);
        if !ended && !speaks {
            self.dialogue.release(&mut self.fx);
        }
        if !self.fx.legs().are_open() {
            self.over(at, Some(cause));
            return;
        }
        let at = at.min(self.fx.now());
        self.count_time(at);
        self.life = Life::Parting(Parting { cause, at, speaks });
        if speaks {
            self.fx.set_in(Reason::LegEnd, LAST_WORD_MS);
        } else {
            self.leave_others();
        }
    }

    /// A leg beside the first tells a fact.
    pub(crate) fn other_leg(&mut self, leg: LegId, fact: &LegFact) {
        let live = self.life.is_live();
        if let Some(news) = self.fx.leg_told(leg, fact)
            && live
        {
            self.dialogue.other_leg(&mut self.fx, leg, news);
        }
    }

    /// A leg that was dialled has lasted for as long as it may.
    pub(crate) fn leg_too_long(&mut self) {
        if let Some(leg) = self.fx.longest_leg() {
            let detail = format!("transfer.leg_max_s is {}", self.setup.spec.transfer.leg_max_s);
            self.fx.raise(Failure::CallTooLong, "", &detail, "record");
            self.fx.release(leg, EndReason::AgentHungUp);
            if self.life.is_live() {
                self.dialogue.other_leg(&mut self.fx, leg, LegNews::Ended(EndCause::Local));
            }
        }
    }

    /// A leg that was to end has not.
    pub(crate) fn never_ended(&mut self, now: CallTime) {
        match &self.life {
            Life::Parting(Parting { speaks: true, .. }) => self.leave_others(),
            Life::Parting(Parting { cause, at, .. }) => {
                let (cause, at) = (*cause, *at);
                self.fx.forget_legs();
                self.over(at, Some(cause));
            }
            Life::Ringing | Life::Live | Life::Closing(_) | Life::Ending | Life::Over => {
                self.fx.forget_legs();
                self.over(now, None);
            }
        }
    }

    /// The last word was said, or the last leg has ended.
    fn part(&mut self) {
        let Life::Parting(Parting { cause, at, speaks }) = &self.life else { return };
        let (cause, at, speaks) = (*cause, *at, *speaks);
        if !self.fx.legs().are_open() {
            if speaks {
                self.dialogue.release(&mut self.fx);
            }
            self.over(at, Some(cause));
        } else if speaks && self.dialogue.is_silent() {
            self.leave_others();
        }
    }

    /// Lets go of whoever was dialled.
    fn leave_others(&mut self) {
        if let Life::Parting(parting) = &mut self.life
            && std::mem::take(&mut parting.speaks)
        {
            self.dialogue.release(&mut self.fx);
        }
        let reason = self.record.end.unwrap_or(EndReason::CallerHungUp);
        self.fx.release_all(reason);
        self.fx.clear_timers();
        self.fx.set_in(Reason::LegEnd, LEG_END_MS);
    }

    /// The last event, and the closed record.
    pub(crate) fn over(&mut self, at: CallTime, cause: Option<EndCause>) {
        if cause.is_none() {
            let detail = format!("the leg did not end within {LEG_END_MS} ms of the hang-up");
            self.fx.raise(Failure::Internal, "", &detail, "record");
        }
        self.dialogue.end(&mut self.fx, at);
        self.life = Life::Over;
        self.fx.clear_timers();
        let at = at.min(self.fx.now());
        self.count_time(at);
        self.record.ended_us = Some(self.setup.anchor.wall_us(at));
        let reason = self.record.end.unwrap_or(EndReason::Failed);
        let reason = serde_json::to_value(reason).unwrap_or_default();
        let duration_ms = self.answered.map_or(0, |answered| at.since_ms(answered));
        let mut data = json!({ "reason": reason, "duration_ms": duration_ms });
        set_some(&mut data, "failure", self.record.failure.map(|failure| failure.name().to_owned()));
        self.fx.event_at(at, EventType::CallEnded, None, data);
        self.analysis = CallAnalysis::begin(&mut self.fx, &self.setup.spec, self.dialogue.minutes());
    }

    /// Goes on with what is being found out about a call that is over.
    pub(crate) fn analysed(&mut self, step: impl FnOnce(&mut CallAnalysis, &mut Effects) -> bool) {
        if let Some(analysis) = &mut self.analysis
            && step(analysis, &mut self.fx)
        {
            self.analysis = None;
        }
    }

    /// Connected time up to `at`, in milliseconds.
    pub(crate) fn count_time(&mut self, at: CallTime) {
        let call_ms = self.answered.map_or(0, |answered| at.since_ms(answered));
        if let Some(own) = self.record.usage.first_mut() {
            own.units.call_ms = own.units.call_ms.max(call_ms);
        }
    }
}
