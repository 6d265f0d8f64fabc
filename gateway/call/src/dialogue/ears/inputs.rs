//! What an engine hears of the caller: inputs that begin, are committed and get their words, in the place of a
//! recogniser's session.

use super::{COUGH_MS, Ears, Hearing, Line};
use crate::command::Command;
use crate::effects::Effects;
use crate::timers::Reason;

impl Ears {
    /// An engine hears the caller from now on, in that session, and what the caller is saying; or none any more.
    pub(crate) fn by_engine(&mut self, fx: &mut Effects, session: Option<u32>, open: bool) {
        self.engine = Line { session, open, last_input: self.engine.last_input, ..Line::default() };
        if session.is_some()
            && let Some(session) = self.session.take()
        {
            self.partial.clear();
            fx.command(Command::CloseAsr { session });
        }
        if session.is_none() || !open {
            return;
        }
        match self.hearing {
            Hearing::Quiet => {}
            Hearing::Speaking | Hearing::Trailing => self.begin_input(fx),
            Hearing::Finalizing => {
                self.begin_input(fx);
                self.finalize(fx);
            }
        }
    }

    /// Whether that is the input in the making, or the one whose words are waited for.
    pub(crate) fn is_input(&self, input: u32) -> bool {
        self.engine.begun == Some(input) || self.is_committed(input)
    }

    /// Whether that input was committed.
    pub(crate) fn is_committed(&self, input: u32) -> bool {
        self.engine.committed.contains(&input)
    }

    /// The words of that input are all there.
    pub(crate) fn has_words_of(&mut self, input: u32) {
        self.engine.committed.retain(|other| *other != input);
    }

    /// The turn is over, its words are not known, and nobody waits for them. Returns the inputs; none when it is not sure
    /// that anything was said.
    pub(crate) fn take_inputs(&mut self, fx: &mut Effects) -> Vec<u32> {
        if self.hearing != Hearing::Finalizing || self.voiced_ms < COUGH_MS || self.engine.committed.is_empty() {
            return Vec::new();
        }
        let inputs = std::mem::take(&mut self.engine.committed);
        self.words_are_not_waited_for(fx);
        inputs
    }

    /// The engine that heard the turn is gone, and nothing of an answer was heard: whoever hears the caller now hears that
    /// turn again.
    /// False when that cannot be.
    pub(crate) fn hears_again(&mut self, fx: &mut Effects) -> bool {
        let Some(first) = self.timing.first.filter(|_| self.is_quiet() && !self.speech_on) else { return false };
        self.hearing = Hearing::Finalizing;
        self.words.clear();
        self.words_until = first;
        fx.set_in(Reason::FinalWords, u64::from(self.policy.final_wait_ms));
        true
    }

    pub(super) fn begin_input(&mut self, fx: &mut Effects) {
        let Some(session) = self.engine.session else { return };
        self.drop_input(fx);
        self.engine.open = true;
        self.engine.last_input += 1;
        let input = self.engine.last_input;
        self.engine.begun = Some(input);
        fx.command(Command::BeginInput { session, input, from: self.words_until });
    }

    pub(super) fn drop_input(&mut self, fx: &mut Effects) {
        if let (Some(session), Some(input)) = (self.engine.session, self.engine.begun.take()) {
            fx.command(Command::DropInput { session, input });
        }
    }

    pub(super) fn words_are_not_waited_for(&mut self, fx: &mut Effects) {
        self.owed = 0;
        self.partial.clear();
        self.complete(fx);
    }
}
