//! The end of a call, whoever ends it: last words, hang-up, the closed record.

use serde_json::json;
use trunkline_api::agent::FailureAction;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_leg::{CallTime, EndCause};

use crate::call::{Call, Life, set_some};
use crate::command::Command;
use crate::timers::Reason;

/// Longest time for the last words before a hang-up.
const LAST_WORDS_MS: u64 = 30_000;
/// Longest time a draining gateway lets an utterance go on.
const DRAIN_MS: u64 = 5000;
/// Longest wait for the leg to end after it was hung up.
const LEG_END_MS: u64 = 5000;

/// A hang-up that waits for last words.
#[derive(Debug)]
pub(crate) struct Closing {
    reason: EndReason,
    failure: Option<Failure>,
    /// To be said once what is being said has ended.
    line: String,
}

impl Call {
    /// Says `line` behind what is being said, then hangs up.
    pub(crate) fn close_call(&mut self, line: &str, reason: EndReason, failure: Option<Failure>) {
        if self.life != Life::Live || self.closing.is_some() {
            return;
        }
        self.pending_input.clear();
        if self.cutting.is_some() {
            self.cut_unanswered();
        }
        self.stop_thinking();
        self.interrupted = None;
        self.stop_hearing();
        let can_append = self.speech.as_ref().is_none_or(|speech| !speech.ended);
        let line_later = if can_append { String::new() } else { line.to_owned() };
        self.closing = Some(Closing { reason, failure, line: line_later });
        self.timers.set(Reason::Closing, self.now.plus_ms(LAST_WORDS_MS));
        if can_append {
            self.say(line, false);
            self.finish_speech();
        }
        self.turn_over();
    }

    /// A shutdown: what is being said may end.
    pub(crate) fn drain(&mut self) {
        match self.life {
            Life::Live => {
                self.close_call("", EndReason::Drained, None);
                if self.life == Life::Live {
                    self.timers.set(Reason::Closing, self.now.plus_ms(DRAIN_MS));
                }
            }
            Life::Ringing => self.hang_up_now(EndReason::Drained, None),
            Life::Ending | Life::Over => {}
        }
    }

    /// Nothing is being said any more: the last line, or the hang-up. False when the call goes on.
    pub(crate) fn close_if_due(&mut self) -> bool {
        let Some(closing) = &mut self.closing else { return false };
        if self.speech.is_none() && self.cutting.is_none() {
            let line = std::mem::take(&mut closing.line);
            self.say(&line, false);
            self.finish_speech();
            if self.speech.is_none() {
                self.closing_too_long();
            }
        }
        true
    }

    /// Hangs up without further words.
    pub(crate) fn closing_too_long(&mut self) {
        if let Some(Closing { reason, failure, .. }) = self.closing.take() {
            self.hang_up_now(reason, failure);
        }
    }

    pub(crate) fn too_long(&mut self) {
        let failure = Failure::CallTooLong;
        let limit = self.setup.spec.limits.max_call_s;
        self.raise(failure, None, format!("limits.max_call_s is {limit}"), "hang_up");
        match self.action_for(failure) {
            FailureAction::HangUp { text } | FailureAction::Say { text } if !text.is_empty() => {
                self.close_call(&text, EndReason::Failed, Some(failure));
            }
            _ => self.hang_up_now(EndReason::Failed, Some(failure)),
        }
    }

    /// Orders the leg to end.
    pub(crate) fn hang_up_now(&mut self, reason: EndReason, failure: Option<Failure>) {
        if matches!(self.life, Life::Ending | Life::Over) {
            return;
        }
        self.release();
        self.life = Life::Ending;
        self.record.end = Some(reason);
        self.record.failure = failure;
        self.timers.set(Reason::LegEnd, self.now.plus_ms(LEG_END_MS));
        self.command(Command::HangUp { reason, failure });
    }

    pub(crate) fn leg_ended(&mut self, cause: EndCause, at: CallTime) {
        if self.life != Life::Ending {
            let (reason, failure) = match cause {
                EndCause::RemoteHangUp | EndCause::Cancelled => (EndReason::CallerHungUp, None),
                EndCause::NoAck => (EndReason::Failed, Some((Failure::Internal, "the answer was never acknowledged"))),
                EndCause::MediaTimeout => (EndReason::Failed, Some((Failure::MediaTimeout, ""))),
                EndCause::Local => (EndReason::Drained, None),
                EndCause::Failed => (EndReason::Failed, Some((Failure::Internal, "the leg failed"))),
            };
            if let Some((failure, detail)) = failure {
                self.raise(failure, None, detail.to_owned(), "hang_up");
            }
            self.record.end = Some(reason);
            self.record.failure = failure.map(|(failure, _)| failure);
            self.release();
        }
        self.over(at, Some(cause));
    }

    /// The last event, and the closed record.
    pub(crate) fn over(&mut self, at: CallTime, cause: Option<EndCause>) {
        if cause.is_none() {
            let detail = format!("the leg did not end within {LEG_END_MS} ms of the hang-up");
            self.raise(Failure::Internal, None, detail, "record");
        }
        let spoken = self.speech.take().or_else(|| self.cutting.take().map(|cutting| cutting.speech));
        if let Some(speech) = spoken {
            let sent_ms = self.sent_ms(speech.utterance);
            self.remember_heard(&speech, sent_ms, at, at);
        }
        self.waterfall_done();
        self.life = Life::Over;
        self.timers.clear_all();
        self.watch_redactor();
        let at = at.min(self.now);
        self.count_time(at);
        self.record.ended_us = Some(self.setup.anchor.wall_us(at));
        let reason = self.record.end.unwrap_or(EndReason::Failed);
        let reason = serde_json::to_value(reason).unwrap_or_default();
        let duration_ms = self.answered.map_or(0, |answered| at.since_ms(answered));
        let mut data = json!({ "reason": reason, "duration_ms": duration_ms });
        set_some(&mut data, "failure", self.record.failure.map(|failure| failure.name().to_owned()));
        self.event_at(at, EventType::CallEnded, None, data);
    }

    /// Connected time up to `at`, in milliseconds.
    pub(crate) fn count_time(&mut self, at: CallTime) {
        let call_ms = self.answered.map_or(0, |answered| at.since_ms(answered));
        if let Some(own) = self.record.usage.first_mut() {
            own.units.call_ms = own.units.call_ms.max(call_ms);
        }
    }

    /// Lets go of every provider.
    fn release(&mut self) {
        self.stop_thinking();
        if let Some(speech) = &self.speech
            && let Some((index, _)) = self.tts.current()
        {
            let utterance = speech.utterance;
            self.command(Command::StopSpeaking { utterance, index });
        }
        self.stop_hearing();
        if let Some(session) = self.ears.session.take() {
            self.command(Command::CloseAsr { session });
        }
        self.closing = None;
        self.interrupted = None;
        self.timers.clear_all();
        self.watch_redactor();
    }
}
