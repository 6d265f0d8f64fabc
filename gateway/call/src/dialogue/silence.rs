//! Silence: of an agent that owes an answer, which is bridged, and of a caller, who is asked a few times and then
//! politely left.

use serde_json::json;
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use super::ears::Hearing;
use super::failure::action_name;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::timers::Reason;

/// Fillers of one turn, and the least silence between them: someone who is told to wait every two seconds hangs up.
const MOST_FILLERS: usize = 4;
const BETWEEN_MS: u64 = 4000;
/// What a synthesiser has for its first sound when the caller has waited for long and another could give it.
const VOICE_MS: u64 = 800;
/// An answer that has begun to come has so much longer before a line is said in its place.
const BEGUN_MS: u64 = 400;
/// Silence after which whoever waits hears that somebody is there.
const KNOCKS_AFTER_MS: u64 = 1200;
/// How soon it is looked again whether whoever speaks has any sound left.
const LOOKS_AGAIN_MS: u64 = 100;
/// The last filler's silence grows by this factor each time.
const PATIENCE: u64 = 2;

impl Dialogue {
    /// Arms or disarms what watches over silence, after every input.
    pub(crate) fn settle(&mut self, fx: &mut Effects, live: bool) {
        self.settle_engine(fx);
        self.settle_survival(fx, live);
        self.settle_keypad(fx, live);
        self.telephone_settles(fx, live);
        let waits = live && !self.closing && self.is_idle(fx) && !self.keypad.is_away();
        if !waits {
            fx.clear(Reason::CallerSilence);
        } else if !fx.timers().is_set(Reason::CallerSilence) {
            let wait_ms = u64::from(self.spec.limits.caller_silence_ms).max(1000);
            fx.set_in(Reason::CallerSilence, wait_ms);
        }
        let after_ms = u64::from(self.spec.speech.filler_after_ms);
        if live && after_ms > 0 && !self.tools_want_silence() && self.owes(fx) && self.fillers_said < MOST_FILLERS {
            let wait_ms = match self.fillers_said {
                0 if self.mind.has_begun() => after_ms + BEGUN_MS,
                0 => after_ms,
                said => BETWEEN_MS.max(after_ms) * PATIENCE.pow(u32::try_from(said).unwrap_or(u32::MAX) - 1),
            };
            let since = self.quiet_since.max(self.mouth.sounds_until());
            let mut due = since.plus_ms(wait_ms).max(fx.now().plus_ms(1));
            if let Some(asked) = self.mouth.waits_for_sound(fx.now()) {
                due = due.max(asked.plus_ms(VOICE_MS));
            }
            fx.timers().set(Reason::DeadAir, due);
        } else {
            fx.clear(Reason::DeadAir);
        }
    }

    /// Begins or ends the sound that tells whoever waits that somebody is there; `speaks` while there is still something to be
    /// said, `line` while the first leg is there.
    pub(crate) fn settle_thinking_sound(&mut self, fx: &mut Effects, speaks: bool, line: bool) {
        let due = self.knocks_from(fx).filter(|_| speaks && line && self.spec.speech.thinking_sound);
        // A voice may fall silent without another word: it is looked at once its sound should be over.
        let waits = !self.mouth.owes_sound() || self.mouth.is_mute(fx.now());
        let knocks = waits && due.is_some_and(|due| due <= fx.now());
        match due.filter(|_| !knocks) {
            Some(due) => {
                let again = fx.now().plus_ms(LOOKS_AGAIN_MS);
                fx.timers().set(Reason::ThinkingSound, due.max(again));
            }
            None => fx.clear(Reason::ThinkingSound),
        }
        if std::mem::replace(&mut self.knocks, knocks) != knocks && line {
            fx.command(Command::ThinkingSound { on: knocks });
        }
    }

    /// From when on whoever waits for what the agent or its voice owes should hear that somebody is there, if nothing else is
    /// to be heard until then.
    fn knocks_from(&self, fx: &Effects) -> Option<CallTime> {
        let hears = matches!(self.ears.hearing(), Hearing::Speaking | Hearing::Trailing) || self.ears.speech_on();
        if hears || self.hold.is_mute() || self.tel.is_elsewhere() || self.keypad.is_away() {
            return None;
        }
        // While it is found out whether the caller has said anything the agent keeps its answer back.
        let finds_out = self.ears.hearing() == Hearing::Finalizing && self.mind.is_thinking() && self.mouth.is_silent();
        let owes = (self.owes(fx) || finds_out) && !self.tools_want_silence();
        // Whoever was not waiting for it waits from when it was asked for.
        let asked = if owes { CallTime::ZERO } else { self.mouth.asked_for_sound()? };
        let since = self.quiet_since.max(self.mouth.sounds_until()).max(asked);
        Some(since.plus_ms(KNOCKS_AFTER_MS))
    }

    /// Whether the caller waits for the agent, and hears nothing that is on its way.
    fn owes(&self, fx: &Effects) -> bool {
        let hears = matches!(self.ears.hearing(), Hearing::Speaking | Hearing::Trailing);
        let thinks = self.mind.is_thinking() && !self.mind.is_held();
        if !self.closing && !hears && !self.ears.speech_on() && self.mouth.waits_for_sound(fx.now()).is_some() {
            return true;
        }
        let quiet = self.mouth.is_silent() || self.mouth.waits_for_more();
        let listens = self.ears.hearing() == Hearing::Finalizing && self.overlap.is_none();
        !self.closing && !hears && !self.ears.speech_on() && quiet && (thinks || listens)
    }

    /// The caller has waited for so long that something should be said meanwhile.
    pub(super) fn dead_air(&mut self, fx: &mut Effects) {
        if self.mouth.waits_for_sound(fx.now()).is_some() {
            // A line said meanwhile would be as late: another synthesiser says what there is to say.
            let voiced = self.mouth.overdue("no sound while the caller waits");
            self.voiced(fx, voiced);
            return;
        }
        let fillers = &self.spec.speech.fillers;
        let line = match fillers.len() {
            0 => self.spec.survival.bridge.clone(),
            count => fillers[self.fillers_said % count].clone(),
        };
        self.fillers_said += 1;
        self.say(fx, &line, true);
    }

    pub(super) fn caller_silent(&mut self, fx: &mut Effects) {
        if self.silence_prompts < self.spec.limits.silence_prompts {
            self.silence_prompts += 1;
            fx.turn_event(EventType::CallerSilent, json!({ "prompt": self.silence_prompts }));
            let line = self.spec.survival.still_there.clone();
            self.say(fx, &line, false);
            self.mouth.finish(fx);
            return;
        }
        let failure = Failure::CallerSilent;
        let action = self.action_without_next(failure);
        let detail = format!("asked {} times", self.silence_prompts);
        fx.raise(failure, "", &detail, action_name(&action));
        // An action that lets the call go on begins the count anew.
        self.silence_prompts = 0;
        self.act(fx, failure, action);
    }
}
