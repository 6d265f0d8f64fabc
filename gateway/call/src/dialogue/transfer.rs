//! Passing a caller on: announced, dialled, briefed, joined; and back with the agent when nobody takes the call.
//!
//! The conversation is with one leg at a time. While it is with whoever was dialled, the caller is on hold and what they
//! were told is set aside: what is said to the one is no part of what the other heard.

mod briefing;
mod ordering;

use serde_json::json;
use trunkline_api::agent::FailureAction;
use trunkline_api::transfer::{AfterTransfer, TransferFallback, TransferJoin, TransferMode, WhileJoined};
use trunkline_api::usage::EndReason;
use trunkline_api::words::{Message, Role};
use trunkline_api::{EventType, Failure};
use trunkline_leg::{CallTime, EndCause, LegId, ReferralProgress, RefusalCause};

use super::phrases;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::legs::LegNews;
use crate::timers::Reason;

/// A caller is put on hold when it rings at the other end, or after this: a call that is refused at once needs no music.
const HOLD_AFTER_MS: u64 = 600;
/// How much longer than it may ring a transfer by the caller's side may take.
const REFERRAL_SLACK_MS: u64 = 5000;
/// How often whoever was dialled is asked to accept.
const MOST_ASKED: u32 = 3;

/// Who wants the caller passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Model,
    Tool,
    Operator,
    /// A menu or a rule of the agent.
    Author,
    /// Nobody is left who could go on with the call.
    Failure(Failure),
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Tool => "tool",
            Self::Operator => "operator",
            Self::Author => "agent",
            Self::Failure(_) => "failure",
        }
    }
}

/// A transfer as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) target: Option<String>,
    pub(super) to: String,
    pub(super) mode: TransferMode,
    pub(super) briefing: String,
    pub(super) origin: Origin,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Completed,
    Refused(RefusalCause, Option<u16>),
    /// Whoever answered said no.
    Declined,
    /// They neither said yes nor no.
    NotAccepted,
    /// A machine answered.
    Machine,
    /// They hung up before they had accepted.
    HungUp,
    /// The caller spoke before anybody was dialled.
    Interrupted,
    CallerHungUp,
    /// The call ends.
    CalledOff,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused(cause, _) => cause.name(),
            Self::Declined => "declined",
            Self::NotAccepted => "not_accepted",
            Self::Machine => "machine",
            Self::HungUp => "hung_up",
            Self::Interrupted => "interrupted",
            Self::CallerHungUp => "caller_hung_up",
            Self::CalledOff => "called_off",
        }
    }

    /// Whether an operator should look into it.
    const fn is_technical(self) -> bool {
        matches!(
            self,
            Self::Refused(
                RefusalCause::Unreachable | RefusalCause::NotFound | RefusalCause::Failed | RefusalCause::Unsupported,
                _
            )
        )
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What is being said to the caller is to be heard first.
    Announcing,
    /// The caller's side dials, or takes over the call with that leg.
    Referring { replaces: Option<LegId>, accepted: bool },
    /// It is being dialled.
    Ringing { leg: LegId },
    /// It was answered; what is being said to the caller comes to an end.
    Reaching { leg: LegId },
    /// Whoever answered is told what it is about.
    Briefing { leg: LegId, told: bool, asked: u32, until: CallTime },
    /// It was accepted; what is being said comes to an end.
    Joining { leg: LegId },
    /// The two speak with each other.
    Bridged { leg: LegId, listens: bool },
    /// Nobody takes it; what is being said comes to an end.
    Returning { leg: Option<LegId>, outcome: Outcome },
}

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Transfer {
    order: Order,
    stage: Stage,
    began: CallTime,
    /// The caller is on hold.
    on_hold: bool,
    /// Lines said to the caller on hold.
    lines: usize,
    ended: bool,
}

impl Transfer {
    /// Whether what is said may make a turn.
    pub(super) const fn hears(&self) -> bool {
        matches!(self.stage, Stage::Announcing | Stage::Briefing { .. } | Stage::Bridged { listens: true, .. })
    }

    const fn leg(&self) -> Option<LegId> {
        match self.stage {
            Stage::Announcing => None,
            Stage::Referring { replaces, .. } => replaces,
            Stage::Ringing { leg }
            | Stage::Reaching { leg }
            | Stage::Briefing { leg, .. }
            | Stage::Joining { leg }
            | Stage::Bridged { leg, .. } => Some(leg),
            Stage::Returning { leg, .. } => leg,
        }
    }
}

impl Dialogue {
    /// Tells the caller, unless the agent is still saying something, and passes the call on.
    pub(super) fn begin_transfer(&mut self, fx: &mut Effects, order: Order, speaks: bool) {
        let mode = match order.mode {
            TransferMode::Blind => "blind",
            TransferMode::Attended => "attended",
            TransferMode::Bridge => "bridge",
        };
        let mut data = json!({ "to": order.to, "mode": mode, "by": order.origin.name() });
        if let Some(target) = &order.target {
            data["target"] = target.as_str().into();
        }
        fx.event(EventType::TransferStarted, data);
        self.tel.asked = None;
        let began = fx.now();
        self.tel.transfer =
            Some(Transfer { order, stage: Stage::Announcing, began, on_hold: false, lines: 0, ended: false });
        if speaks && self.mouth.is_silent() {
            let line = self.spec.transfer.hold_say.clone();
            self.tells(fx, &line);
        } else {
            self.mouth.finish(fx);
        }
        self.transfer_settles(fx);
    }

    /// Goes on with what waits for silence.
    pub(super) fn transfer_settles(&mut self, fx: &mut Effects) {
        let Some(transfer) = &self.tel.transfer else { return };
        if !self.mouth.is_silent() {
            return;
        }
        match transfer.stage {
            Stage::Announcing if self.mind.reply().is_none() && self.ears.is_quiet() => self.reach_out(fx),
            Stage::Reaching { leg } => self.brief(fx, leg),
            Stage::Briefing { leg, told: false, asked, until } if self.ears.is_quiet() => {
                self.briefed(fx, leg, asked, until);
            }
            Stage::Joining { leg } => self.join(fx, leg),
            Stage::Returning { leg, outcome } => self.come_back(fx, leg, outcome),
            // A line was said to the caller on hold.
            Stage::Ringing { .. } if !transfer.on_hold && transfer.lines > 0 => self.hold_on(fx),
            Stage::Announcing
            | Stage::Referring { .. }
            | Stage::Ringing { .. }
            | Stage::Briefing { .. }
            | Stage::Bridged { .. } => {}
        }
    }

    /// News of a leg that was dialled.
    pub(crate) fn other_leg(&mut self, fx: &mut Effects, leg: LegId, news: LegNews) {
        let Some(transfer) = &self.tel.transfer else { return };
        if transfer.leg() != Some(leg) {
            return;
        }
        let waits = matches!(transfer.stage, Stage::Ringing { .. });
        match (news, transfer.stage) {
            (LegNews::Ringing, Stage::Ringing { .. }) if !transfer.on_hold && self.mouth.is_silent() => {
                self.hold_on(fx)
            }
            (LegNews::Answered, Stage::Ringing { .. }) => {
                fx.clear(Reason::Transfer);
                fx.clear(Reason::HoldLine);
                self.enter(Stage::Reaching { leg });
                self.mouth.stop(fx);
                self.transfer_settles(fx);
            }
            (LegNews::Refused(cause, status), _) if waits => self.fails(fx, Outcome::Refused(cause, status)),
            (LegNews::Ended(_), Stage::Bridged { .. }) => self.left_alone(fx, leg),
            // The caller's side has taken the call over.
            (LegNews::Ended(_), Stage::Referring { .. }) => {}
            (LegNews::Ended(cause), _) if waits => {
                let cause = if cause == EndCause::Failed { RefusalCause::Failed } else { RefusalCause::Rejected };
                self.fails(fx, Outcome::Refused(cause, None));
            }
            (LegNews::Ended(_), Stage::Returning { outcome, .. }) => {
                self.enter(Stage::Returning { leg: None, outcome });
            }
            (LegNews::Ended(_), _) => self.fails(fx, Outcome::HungUp),
            (LegNews::Ringing | LegNews::Answered | LegNews::Refused(..), _) => {}
        }
    }

    /// News of a transfer by the caller's own side.
    pub(crate) fn referral(&mut self, fx: &mut Effects, progress: ReferralProgress) {
        let Some(Transfer { stage: Stage::Referring { replaces, .. }, .. }) = &self.tel.transfer else { return };
        let replaces = *replaces;
        match progress {
            ReferralProgress::Accepted | ReferralProgress::Ringing => {
                self.enter(Stage::Referring { replaces, accepted: true });
            }
            ReferralProgress::Done => {
                self.tell_outcome(fx, Outcome::Completed);
                fx.close("", EndReason::Transferred, None, true);
            }
            ReferralProgress::Refused { cause } => self.not_taken_over(fx, replaces, cause),
        }
    }

    /// The caller's side does not dial, or takes no call over. Whoever has accepted that call is still there then, and the gateway
    /// connects the two by itself.
    fn not_taken_over(&mut self, fx: &mut Effects, replaces: Option<LegId>, cause: RefusalCause) {
        match replaces.filter(|leg| fx.legs().is_answered(*leg)) {
            Some(leg) => {
                let detail = format!("the caller's side did not take the other call over: {}", cause.name());
                fx.raise(Failure::TransferFailed, "", &detail, "bridge");
                fx.clear(Reason::Transfer);
                self.enter(Stage::Joining { leg });
                self.mouth.stop(fx);
                self.transfer_settles(fx);
            }
            None => self.fails(fx, Outcome::Refused(cause, None)),
        }
    }

    /// A step takes too long.
    pub(super) fn transfer_overdue(&mut self, fx: &mut Effects) {
        let Some(transfer) = &self.tel.transfer else { return };
        match transfer.stage {
            Stage::Ringing { .. } => self.fails(fx, Outcome::Refused(RefusalCause::NoAnswer, None)),
            Stage::Referring { replaces, .. } => self.not_taken_over(fx, replaces, RefusalCause::NoAnswer),
            Stage::Briefing { leg, told, asked, until } => {
                if fx.now() < until && told && asked + 1 < MOST_ASKED {
                    self.ask_again(fx, leg, asked + 1, until);
                } else {
                    self.fails(fx, Outcome::NotAccepted);
                }
            }
            Stage::Announcing
            | Stage::Reaching { .. }
            | Stage::Joining { .. }
            | Stage::Bridged { .. }
            | Stage::Returning { .. } => {}
        }
    }

    /// A caller on hold is told that nobody has forgotten them; one who is not yet is put there.
    pub(super) fn hold_line(&mut self, fx: &mut Effects) {
        let lines = &self.spec.transfer.hold_lines;
        let Some(transfer) = &mut self.tel.transfer else { return };
        let dials = matches!(transfer.stage, Stage::Ringing { .. });
        if dials && !transfer.on_hold {
            if self.mouth.is_silent() {
                self.hold_on(fx);
            }
            return;
        }
        if lines.is_empty() || !matches!(transfer.stage, Stage::Ringing { .. } | Stage::Referring { .. }) {
            return;
        }
        let line = lines[transfer.lines % lines.len()].clone();
        transfer.lines += 1;
        if std::mem::take(&mut transfer.on_hold) {
            fx.command(Command::Resume { leg: LegId::FIRST });
        }
        fx.set_in(Reason::HoldLine, u64::from(self.spec.transfer.hold_line_every_ms));
        self.tells(fx, &line);
        if self.mouth.is_silent() {
            // There was nothing to be said.
            self.transfer_settles(fx);
        }
    }

    /// Words while a call is being passed on; true when they are no turn of the caller's.
    pub(super) fn transfer_input(&mut self, fx: &mut Effects, text: &str) -> bool {
        let Some(transfer) = &self.tel.transfer else { return false };
        match transfer.stage {
            // Nobody is there who could answer.
            Stage::Announcing if matches!(transfer.order.origin, Origin::Failure(_)) => true,
            Stage::Announcing => {
                self.tell_outcome(fx, Outcome::Interrupted);
                self.tel.transfer = None;
                let note = "[The caller was not passed on, but spoke first.]";
                crate::spoken::join(&mut self.pending, note);
                self.engine_learns(note);
                false
            }
            Stage::Briefing { leg, told, asked, until } => {
                if phrases::is_machine(text) {
                    self.fails(fx, Outcome::Machine);
                } else if let Some(accepts) = phrases::yes_or_no(text) {
                    if accepts { self.accepted(fx, leg) } else { self.fails(fx, Outcome::Declined) }
                } else if asked < MOST_ASKED && (told || !self.mouth.is_speaking()) {
                    self.ask_again(fx, leg, asked + 1, until);
                }
                true
            }
            Stage::Bridged { listens: true, .. } => {
                self.overhears(text);
                true
            }
            Stage::Referring { .. }
            | Stage::Ringing { .. }
            | Stage::Reaching { .. }
            | Stage::Joining { .. }
            | Stage::Bridged { listens: false, .. }
            | Stage::Returning { .. } => true,
        }
    }

    /// The call is to end: a caller who is with the agent is so again. False when last words would not be heard.
    pub(crate) fn call_off_transfer(&mut self, fx: &mut Effects) -> bool {
        self.tel.asked = None;
        let Some(transfer) = &mut self.tel.transfer else { return true };
        let with_caller = fx.legs().attached() == Some(LegId::FIRST);
        let on_hold = std::mem::take(&mut transfer.on_hold);
        self.tell_outcome(fx, Outcome::CalledOff);
        self.tel.transfer = None;
        for reason in [Reason::Transfer, Reason::HoldLine] {
            fx.clear(reason);
        }
        fx.release_all(EndReason::AgentHungUp);
        if with_caller && on_hold {
            fx.command(Command::Resume { leg: LegId::FIRST });
        }
        with_caller
    }

    /// The caller is gone. Whoever was dialled and is on the line with the agent hears a word; true when they do.
    pub(crate) fn caller_is_gone(&mut self, fx: &mut Effects) -> bool {
        let Some(transfer) = &self.tel.transfer else { return false };
        let leg = transfer.leg();
        let briefs = matches!(transfer.stage, Stage::Briefing { .. });
        // A caller's side that has accepted to dial ends its call with us.
        let passed_on = matches!(transfer.stage, Stage::Referring { accepted: true, .. });
        self.tell_outcome(fx, if passed_on { Outcome::Completed } else { Outcome::CallerHungUp });
        self.tel.transfer = None;
        let line = self.with_variables(fx.now(), &self.spec.transfer.caller_gone_say);
        let tells = briefs && !line.trim().is_empty() && leg.is_some_and(|leg| fx.legs().is_answered(leg));
        if tells {
            self.closing = true;
            self.pending.clear();
            (self.overlap, self.rejoin) = (None, None);
            self.rest.clear();
            self.stop_thinking(fx);
            self.ears.stop_listening(fx);
            self.ears.close(fx);
            self.mouth.stop(fx);
            self.say(fx, &line, false);
            self.mouth.finish(fx);
        }
        tells
    }

    /// Whether the call goes on without the agent, or is about to.
    pub(crate) fn has_passed_on(&self) -> bool {
        self.tel.transfer.as_ref().is_some_and(|transfer| {
            matches!(transfer.stage, Stage::Bridged { .. } | Stage::Referring { accepted: true, .. })
        })
    }

    /// Everything was heard that the caller should hear first.
    fn reach_out(&mut self, fx: &mut Effects) {
        let policy = &self.spec.transfer;
        let (ring_ms, max_ms) = (policy.ring_ms, u64::from(policy.leg_max_s) * 1000);
        let every_ms = u64::from(policy.hold_line_every_ms);
        let Some(transfer) = &self.tel.transfer else { return };
        let to = transfer.order.to.clone();
        if transfer.order.mode == TransferMode::Blind {
            self.refer(fx, to, None);
            fx.set_in(Reason::HoldLine, every_ms);
            return;
        }
        self.keys.forget(fx);
        self.ears.begin_anew(fx);
        match fx.dial(&to, ring_ms, max_ms, self.handed_over()) {
            Some(leg) => {
                self.enter(Stage::Ringing { leg });
                fx.set_in(Reason::Transfer, u64::from(ring_ms));
                fx.set_in(Reason::HoldLine, HOLD_AFTER_MS);
            }
            None => self.fails(fx, Outcome::Refused(RefusalCause::Failed, None)),
        }
    }

    fn refer(&mut self, fx: &mut Effects, to: String, replaces: Option<LegId>) {
        self.keys.forget(fx);
        self.ears.begin_anew(fx);
        self.enter(Stage::Referring { replaces, accepted: false });
        fx.command(Command::Refer { leg: LegId::FIRST, to, replaces });
        fx.set_in(Reason::Transfer, u64::from(self.spec.transfer.ring_ms) + REFERRAL_SLACK_MS);
    }

    /// The caller is on hold from now on.
    fn hold_on(&mut self, fx: &mut Effects) {
        let Some(transfer) = &mut self.tel.transfer else { return };
        transfer.on_hold = true;
        fx.command(Command::Hold { leg: LegId::FIRST, sound: self.spec.transfer.hold_sound });
        fx.set_in(Reason::HoldLine, u64::from(self.spec.transfer.hold_line_every_ms));
    }

    /// The two are connected, and the agent leaves.
    fn join(&mut self, fx: &mut Effects, leg: LegId) {
        fx.clear(Reason::Transfer);
        fx.clear(Reason::HoldLine);
        let Some(transfer) = &mut self.tel.transfer else { return };
        let to = transfer.order.to.clone();
        let briefed = fx.legs().attached() == Some(leg);
        if briefed {
            fx.command(Command::ListenForTones { leg, region: None });
        }
        if briefed && self.spec.transfer.join == TransferJoin::Refer {
            self.turn_back(fx);
            self.resume_caller(fx);
            self.refer(fx, to, Some(leg));
            return;
        }
        self.turn_away(fx);
        self.resume_caller(fx);
        fx.command(Command::Bridge { a: LegId::FIRST, b: leg });
        // An engine answers whatever it hears.
        let listens = self.spec.transfer.while_joined == WhileJoined::Listen
            && !self.engine.serves()
            && !self.ears.is_deaf_by_choice()
            && !self.ears.pushes_to_talk();
        self.enter(Stage::Bridged { leg, listens });
        if listens {
            fx.attach(Some(LegId::FIRST));
            fx.command(Command::Overhear { leg: Some(leg) });
            self.ears.open(fx, None);
        }
        self.tell_outcome(fx, Outcome::Completed);
    }

    /// One of the two has said something, which is for the other.
    fn overhears(&mut self, text: &str) {
        if self.spec.transfer.after == AfterTransfer::Return {
            let message = format!("[Said while the caller spoke with somebody else: {text}]");
            self.memory.push(Message::text(Role::User, message));
        }
    }

    /// Whoever took the call has hung up.
    fn left_alone(&mut self, fx: &mut Effects, leg: LegId) {
        self.tel.transfer = None;
        if self.spec.transfer.after == AfterTransfer::HangUp {
            fx.close("", EndReason::Transferred, None, true);
            return;
        }
        fx.command(Command::Unbridge { a: LegId::FIRST, b: leg });
        if fx.legs().attached() == Some(LegId::FIRST) {
            fx.command(Command::Overhear { leg: None });
            self.forget_the_moment(fx);
        } else {
            fx.attach(Some(LegId::FIRST));
        }
        self.follow_hold(fx);
        self.is_back(fx, "[The one whom the caller spoke with has hung up, and the caller is with you again.]");
    }

    /// Nobody takes the call.
    fn fails(&mut self, fx: &mut Effects, outcome: Outcome) {
        let Some(transfer) = &self.tel.transfer else { return };
        let leg = transfer.leg();
        if matches!(transfer.stage, Stage::Returning { .. }) {
            return;
        }
        fx.clear(Reason::Transfer);
        fx.clear(Reason::HoldLine);
        self.enter(Stage::Returning { leg, outcome });
        if let Some(leg) = leg.filter(|leg| fx.legs().attached() != Some(*leg)) {
            fx.release(leg, EndReason::AgentHungUp);
        }
        self.ears.stop_listening(fx);
        self.overlap = None;
        self.rest.clear();
        self.mouth.stop(fx);
        self.transfer_settles(fx);
    }

    /// The caller is with the agent again, and told what happened.
    fn come_back(&mut self, fx: &mut Effects, leg: Option<LegId>, outcome: Outcome) {
        self.tell_outcome(fx, outcome);
        if let Some(leg) = leg {
            fx.release(leg, EndReason::AgentHungUp);
        }
        self.turn_back(fx);
        self.resume_caller(fx);
        let Some(Transfer { order, .. }) = self.tel.transfer.take() else { return };
        if outcome.is_technical() {
            let detail = format!("{} could not be reached: {}", order.to, outcome.name());
            fx.raise(Failure::TransferFailed, "", &detail, "record");
        }
        if let Origin::Failure(failure) = order.origin {
            let line = self.spec.survival.unavailable.clone();
            fx.close(&line, EndReason::Failed, Some(failure), false);
            return;
        }
        if let FailureAction::HangUp { text } = self.action_without_next(Failure::TransferFailed)
            && outcome.is_technical()
        {
            fx.close(&text, EndReason::Failed, Some(Failure::TransferFailed), false);
            return;
        }
        match self.spec.transfer.on_failure.clone() {
            TransferFallback::HangUp { text } => {
                let text = self.with_variables(fx.now(), &text);
                fx.close(&text, EndReason::AgentHungUp, None, false);
            }
            TransferFallback::Return { say } => {
                self.tells(fx, &say);
                let to = order.target.unwrap_or(order.to);
                self.is_back(fx, &format!("[The caller could not be passed on to {to}: {}.]", outcome.name()));
            }
        }
    }

    /// The agent has the caller again; its model is told `what` happened and answers.
    fn is_back(&mut self, fx: &mut Effects, what: &str) {
        self.quiet_since = fx.now();
        if let Some(menu) = self.keypad.back_to.take().filter(|_| !self.can_think()) {
            self.open_menu(fx, &menu);
            return;
        }
        if !self.ears.is_deaf_by_choice() && !self.ears.pushes_to_talk() && !self.ears.is_open() {
            self.ears.open(fx, None);
        }
        let now = fx.now();
        self.ears.keyed(now, now);
        if !self.can_think() {
            if self.mouth.is_silent() {
                let line = self.spec.survival.unavailable.clone();
                self.tells(fx, &line);
            }
        } else {
            self.input(fx, what);
        }
    }

    /// The conversation is with the caller again.
    fn turn_back(&mut self, fx: &mut Effects) {
        self.forget_the_moment(fx);
        if let Some(memory) = self.tel.set_aside.take() {
            self.memory = memory;
            self.minutes.pause(false);
            self.engine_begins_anew(fx);
        }
        if fx.legs().attached() != Some(LegId::FIRST) {
            fx.attach(Some(LegId::FIRST));
        }
        self.follow_hold(fx);
    }

    /// The agent speaks with nobody.
    fn turn_away(&mut self, fx: &mut Effects) {
        self.forget_the_moment(fx);
        if let Some(memory) = self.tel.set_aside.take() {
            self.memory = memory;
            self.minutes.pause(false);
            self.engine_begins_anew(fx);
        }
        fx.attach(None);
    }

    /// What was being said and heard belongs to the leg it was said on.
    fn forget_the_moment(&mut self, fx: &mut Effects) {
        self.keys.forget(fx);
        self.ears.begin_anew(fx);
        self.pending.clear();
        self.rest.clear();
        (self.overlap, self.rejoin, self.overheard) = (None, None, false);
        self.waterfall_done(fx);
    }

    fn resume_caller(&mut self, fx: &mut Effects) {
        if let Some(transfer) = &mut self.tel.transfer
            && std::mem::take(&mut transfer.on_hold)
        {
            fx.command(Command::Resume { leg: LegId::FIRST });
        }
    }

    fn enter(&mut self, stage: Stage) {
        if let Some(transfer) = &mut self.tel.transfer {
            transfer.stage = stage;
        }
    }

    /// Writes what became of a transfer into the timeline, once.
    fn tell_outcome(&mut self, fx: &mut Effects, outcome: Outcome) {
        let now = fx.now();
        let Some(transfer) = &mut self.tel.transfer else { return };
        if std::mem::replace(&mut transfer.ended, true) {
            return;
        }
        let after_ms = now.since_ms(transfer.began);
        let mut data = json!({ "outcome": outcome.name(), "to": transfer.order.to, "after_ms": after_ms });
        if let Outcome::Refused(_, Some(status)) = outcome {
            data["sip_status"] = status.into();
        }
        fx.event(EventType::TransferEnded, data);
    }
}
