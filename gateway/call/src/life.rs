//! The life of a call: answered, live, closing behind last words, ending, over; and its record, which is closed once.

use serde_json::json;
use trunkline_api::agent::FailureAction;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_leg::{CallTime, EndCause, LegId};

use crate::call::{Call, set_some};
use crate::command::Command;
use crate::dialogue::action_for;
use crate::effects::Close;
use crate::timers::Reason;

/// Longest time for the last words before a hang-up.
const LAST_WORDS_MS: u64 = 30_000;
/// Longest time a draining gateway lets an utterance go on.
const DRAIN_MS: u64 = 5000;
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

impl Life {
    /// Whether the caller hears the agent and the agent the caller.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }

    /// Whether there is still something to be said.
    pub(crate) const fn speaks(&self) -> bool {
        matches!(self, Self::Live | Self::Closing(_))
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
            Life::Ending | Life::Over => {}
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
        if matches!(self.life, Life::Ending | Life::Over) {
            return;
        }
        self.dialogue.release(&mut self.fx);
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
            self.dialogue.release(&mut self.fx);
        }
        self.over(at, Some(cause));
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
    }

    /// Connected time up to `at`, in milliseconds.
    pub(crate) fn count_time(&mut self, at: CallTime) {
        let call_ms = self.answered.map_or(0, |answered| at.since_ms(answered));
        if let Some(own) = self.record.usage.first_mut() {
            own.units.call_ms = own.units.call_ms.max(call_ms);
        }
    }
}
