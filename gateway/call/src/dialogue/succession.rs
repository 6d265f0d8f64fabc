//! Who takes over from whom: the next engine from one that does not open, stalls or fails, the cascade from the last of
//! them, and the first engine from all of these once it is up again. Whoever takes over knows what was said and heard.

use serde_json::json;
use trunkline_api::words::ProviderKind;
use trunkline_api::{EventType, Failure};

use super::failure::Verdict;
use super::mind::Rejoin;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::timers::Reason;

impl Dialogue {
    /// Whether there is a cascade to go on with when every engine has failed.
    pub(super) fn has_cascade(&self) -> bool {
        let pipeline = &self.spec.pipeline;
        pipeline.is_realtime() && !pipeline.providers(ProviderKind::Tts).is_empty() && !self.mind.is_empty()
    }

    /// Every engine has failed, and the cascade takes over.
    pub(super) fn cascade_takes_over(&mut self, fx: &mut Effects, from: &str, failure: Failure) {
        let data = json!({ "kind": "realtime", "from": from, "to": "cascade", "failure": failure.name() });
        fx.turn_event(EventType::ProviderSwitched, data);
        self.engine.engines().try_again();
        self.engine.waits = false;
        self.engine.cascade = true;
    }

    /// The engine owed something for too long.
    pub(super) fn engine_overdue(&mut self, fx: &mut Effects, detail: &str) {
        self.engine_lost(fx, Failure::EngineTimeout, detail, true);
    }

    /// The engine failed; `open` says that its session is still there. The next one, or the cascade, goes on: with what was
    /// being said, with the reply that was owed, and with what the caller is saying.
    pub(super) fn engine_lost(&mut self, fx: &mut Effects, failure: Failure, detail: &str, open: bool) {
        let hears = self.ears.is_open();
        let Some(session) = self.engine.take() else {
            let spoken = self.mouth.give_up(fx);
            self.spoken(fx, spoken);
            return;
        };
        fx.clear(Reason::EngineOpen);
        if open {
            fx.command(Command::CloseRealtime { session: session.id });
        }
        let sounded = self.mouth.has_sound();
        let said = self.mouth.unremembered();
        let owed = self.mind.engine_gone(fx, &said, session.holds_back());
        self.ears.by_engine(fx, None, false);
        self.mouth.by_engine(None, false);
        self.mouth.loses_later(owed);
        // Words that nobody knows are to be heard again.
        let again = owed && !sounded && self.is_wordless() && self.ears.hears_again(fx);
        if again {
            let dropped = self.mind.stop(fx);
            let written = dropped.rejoin.is_some_and(|rejoin| rejoin.written);
            self.rejoin = Some(Rejoin { text: String::new(), written });
        }
        match self.provider_failed(fx, ProviderKind::Realtime, session.index, failure, detail) {
            Verdict::Switched(bridge) => self.goes_on_with_next(fx, hears, (owed, again), &bridge),
            Verdict::Abandoned(line) => {
                self.mind.give_up(fx);
                if !self.engine.engines().fail(fx.now(), session.index) {
                    self.engine.engines().try_again();
                }
                self.say(fx, &line, false);
                let spoken = self.mouth.give_up(fx);
                self.spoken(fx, spoken);
                self.hand_on(fx);
            }
            Verdict::Ending => {
                let spoken = self.mouth.give_up(fx);
                self.spoken(fx, spoken);
            }
        }
    }

    /// Between turns: goes back to the first engine once it is up again.
    pub(super) fn return_to_engine(&mut self, fx: &mut Effects) {
        let now = fx.now();
        let idle = self.is_idle(fx) && self.overlap.is_none() && !self.keypad.is_away() && !self.closing;
        if !idle || self.engine.is_empty() || self.is_concealed() || !self.tel.hears() {
            return;
        }
        let better = match self.engine.index() {
            Some(index) => self.engine.engines().choice(now) < index,
            None => self.engine.cascade && self.engine.engines().any_up(now),
        };
        if better {
            let hears = self.ears.is_open();
            self.close_engine(fx);
            self.engine.cascade = false;
            self.open_engine(fx, false);
            self.engine_hears(fx, hears);
        }
    }

    fn goes_on_with_next(&mut self, fx: &mut Effects, hears: bool, (owed, again): (bool, bool), bridge: &str) {
        if self.engine.cascade {
            if hears {
                self.ears.take_over(fx);
            }
        } else {
            self.open_engine(fx, true);
            self.engine_hears(fx, hears);
        }
        let spoken = self.mouth.goes_on(fx);
        self.spoken(fx, spoken);
        if again || (owed && !self.mouth.has_sound()) {
            self.meanwhile(fx, bridge);
        }
        if again {
            self.answer_at_once(fx);
        } else if owed {
            if self.mind.may_continue() {
                self.ask(fx);
            } else {
                self.mind.give_up(fx);
                self.hand_on(fx);
            }
        }
    }
}
