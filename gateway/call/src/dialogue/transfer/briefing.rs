//! Telling whoever answered what the call is about, and asking whether they take it.

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::transfer::TransferMode;
use trunkline_leg::{CallTime, DtmfDigit, LegId, ToneKind};

use super::{Outcome, Stage, Transfer};
use crate::command::Command;
use crate::dialogue::{Dialogue, Effects};
use crate::timers::Reason;

impl Dialogue {
    /// A key of whoever was dialled; true when it was for the transfer.
    pub(in crate::dialogue) fn accepts_by_key(&mut self, fx: &mut Effects, digit: DtmfDigit) -> bool {
        let Some(Transfer { stage: Stage::Briefing { leg, .. }, .. }) = &self.tel.transfer else { return false };
        let leg = *leg;
        let key = self.spec.transfer.accept_key.chars().next();
        match key {
            Some(key) if key == digit.as_char() => self.accepted(fx, leg),
            Some(_) => self.fails(fx, Outcome::Declined),
            None => {}
        }
        true
    }

    /// A tone on a leg that was dialled: the beep of a machine.
    pub(in crate::dialogue) fn transfer_tone(&mut self, fx: &mut Effects, leg: LegId, kind: ToneKind) {
        let Some(transfer) = &self.tel.transfer else { return };
        if transfer.leg() == Some(leg)
            && matches!(transfer.stage, Stage::Briefing { .. })
            && matches!(kind, ToneKind::Beep | ToneKind::FaxAnswering | ToneKind::SpecialInformation | ToneKind::Busy)
        {
            self.fails(fx, Outcome::Machine);
        }
    }

    /// The conversation is with whoever answered: they are told what it is about.
    pub(super) fn brief(&mut self, fx: &mut Effects, leg: LegId) {
        let Some(transfer) = &self.tel.transfer else { return };
        if transfer.order.mode == TransferMode::Bridge {
            self.join(fx, leg);
            return;
        }
        if !transfer.on_hold {
            self.hold_on(fx);
        }
        fx.clear(Reason::HoldLine);
        self.turn_to(fx, leg);
        if !self.ears.is_deaf_by_choice() && !self.ears.pushes_to_talk() {
            self.ears.open(fx, None);
        }
        let region = self.spec.answering.as_ref().map_or("EU", |policy| policy.region.as_str()).to_owned();
        fx.command(Command::ListenForTones { leg, region: Some(region) });
        let policy = &self.spec.transfer;
        let until = fx.now().plus_ms(u64::from(policy.briefing_ms));
        let briefing = self.tel.transfer.as_ref().map_or("", |transfer| transfer.order.briefing.as_str());
        let line = policy.briefing.replace("{briefing}", briefing).replace("{caller}", &self.tel.caller);
        let question = self.question(fx.now());
        self.enter(Stage::Briefing { leg, told: false, asked: 0, until });
        fx.timers().set(Reason::Transfer, until);
        let line = self.with_variables(fx.now(), &line);
        self.say(fx, &line, false);
        self.say(fx, &question, false);
        self.mouth.finish(fx);
        self.transfer_settles(fx);
    }

    /// What whoever was dialled is asked; nothing when there is no key.
    fn question(&self, now: CallTime) -> String {
        let policy = &self.spec.transfer;
        if policy.accept_key.is_empty() {
            return String::new();
        }
        self.with_variables(now, &policy.accept_say.replace("{key}", &policy.accept_key))
    }

    /// Whoever answered has heard what it is about.
    pub(super) fn briefed(&mut self, fx: &mut Effects, leg: LegId, asked: u32, until: CallTime) {
        if asked == 0 {
            fx.event(EventType::TransferBriefed, json!({ "leg": leg.0 }));
        }
        if self.spec.transfer.accept_key.is_empty() {
            self.join(fx, leg);
            return;
        }
        self.enter(Stage::Briefing { leg, told: true, asked, until });
        let due = fx.now().plus_ms(u64::from(self.spec.transfer.accept_ms)).min(until);
        fx.timers().set(Reason::Transfer, due);
    }

    pub(super) fn ask_again(&mut self, fx: &mut Effects, leg: LegId, asked: u32, until: CallTime) {
        self.enter(Stage::Briefing { leg, told: false, asked, until });
        fx.timers().set(Reason::Transfer, until);
        let question = self.question(fx.now());
        self.say(fx, &question, false);
        self.mouth.finish(fx);
    }

    pub(super) fn accepted(&mut self, fx: &mut Effects, leg: LegId) {
        self.enter(Stage::Joining { leg });
        fx.clear(Reason::Transfer);
        self.mouth.stop(fx);
        self.ears.stop_listening(fx);
        self.transfer_settles(fx);
    }

    /// The conversation is with whoever was dialled; the one with the caller is set aside.
    pub(super) fn turn_to(&mut self, fx: &mut Effects, leg: LegId) {
        self.forget_the_moment(fx);
        fx.attach(Some(leg));
        self.tel.set_aside = Some(std::mem::take(&mut self.memory));
        self.minutes.pause(true);
        self.held(fx, trunkline_leg::Direction::SendRecv);
    }
}
