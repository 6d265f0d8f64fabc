//! The silent caller: asked a few times, then a polite hang-up.

use serde_json::json;
use trunkline_api::agent::FailureAction;
use trunkline_api::{EventType, Failure};

use crate::call::{Call, Life};
use crate::failure::action_name;
use crate::timers::Reason;

impl Call {
    /// Arms or disarms the watchdog, after every input.
    pub(crate) fn settle(&mut self) {
        let waiting = self.life == Life::Live && self.closing.is_none() && self.is_idle();
        if !waiting {
            self.timers.clear(Reason::CallerSilence);
        } else if !self.timers.is_set(Reason::CallerSilence) {
            let wait_ms = u64::from(self.setup.spec.limits.caller_silence_ms).max(1000);
            self.timers.set(Reason::CallerSilence, self.now.plus_ms(wait_ms));
        }
    }

    pub(crate) fn caller_silent(&mut self) {
        if self.silence_prompts < self.setup.spec.limits.silence_prompts {
            self.silence_prompts += 1;
            self.turn_event(EventType::CallerSilent, json!({ "prompt": self.silence_prompts }));
            let line = self.setup.spec.survival.still_there.clone();
            self.say(&line, false);
            self.finish_speech();
            return;
        }
        let failure = Failure::CallerSilent;
        let action = self.action_for(failure);
        let detail = format!("asked {} times", self.silence_prompts);
        self.raise(failure, None, detail, action_name(&action));
        // An action that lets the call go on begins the count anew.
        self.silence_prompts = 0;
        let action = match action {
            FailureAction::NextProvider { .. } => FailureAction::Record,
            action => action,
        };
        self.act(failure, action);
    }
}
