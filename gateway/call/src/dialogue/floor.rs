//! Who has the floor. When the caller speaks up while the agent speaks or thinks, nothing is lost before it is known
//! what was said: sound may be paused and a reply held back, and both go on when it was noise, a cough or "mhm".

use trunkline_api::agent::InterruptionMode;

use super::backchannel;
use super::ears::Heard;
use super::{Dialogue, Effects};

/// What the agent does while it is not clear whether the caller interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// It speaks on.
    Speaking,
    /// It is paused.
    Paused,
    /// It finishes its sentence.
    Finishing,
    /// It was stopped for good.
    Stopped,
    /// It had said nothing yet; its thoughts are held back.
    Thinking,
}

impl Dialogue {
    /// The caller speaks up while the agent speaks.
    pub(super) fn speaks_up(&mut self, fx: &mut Effects) {
        let may = self.listens() && self.spec.interruption.barge_in && !self.ears.pushes_to_talk();
        if !may || !self.ears.speech_on() || !self.ears.is_quiet() || !self.mouth.is_speaking() {
            return;
        }
        if self.mouth.is_protected() {
            self.overheard = true;
            return;
        }
        let overlap = match self.spec.interruption.mode {
            InterruptionMode::IgnoreBackchannel => Overlap::Speaking,
            InterruptionMode::PauseThenResume => {
                self.mouth.pause(fx);
                Overlap::Paused
            }
            InterruptionMode::FinishSentence => {
                self.rest = self.mouth.finish_sentence(fx);
                self.engine_goes_on_unheard(fx);
                Overlap::Finishing
            }
            InterruptionMode::Abort => {
                self.rest = self.mouth.stop(fx);
                self.engine_goes_on_unheard(fx);
                Overlap::Stopped
            }
        };
        self.overlap = Some(overlap);
        if overlap != Overlap::Speaking {
            self.mind.hold(true);
        }
        self.ears.listen(fx);
    }

    /// Speech has lasted as long as the agent's policy asks for, and the agent is silent: what it thinks about is held
    /// back. While it speaks only what signal processing calls an interruption counts, because speech may be its own echo.
    pub(super) fn goes_on(&mut self, fx: &mut Effects) {
        let may = self.listens() && self.ears.speech_on() && self.ears.is_quiet() && !self.ears.pushes_to_talk();
        if !may || self.mouth.is_speaking() {
            return;
        }
        if self.mind.is_thinking() {
            self.overlap = Some(Overlap::Thinking);
            self.mind.hold(true);
        }
        self.ears.listen(fx);
    }

    /// The caller has fallen silent, or words have come, and the agent still has the floor.
    pub(super) fn nothing_yet(&self, fx: &mut Effects) {
        match self.overlap {
            Some(Overlap::Speaking | Overlap::Paused | Overlap::Finishing | Overlap::Stopped) => {
                self.ears.wait_briefly(fx)
            }
            Some(Overlap::Thinking) | None => {}
        }
    }

    /// What the ears found out.
    pub(super) fn heard(&mut self, fx: &mut Effects, heard: Option<Heard>) {
        match heard {
            None => {}
            Some(Heard::Partial(text)) => self.words_so_far(fx, &text),
            Some(Heard::Words(words)) => self.words(fx, &words),
            Some(Heard::Wordless(inputs)) => self.wordless(fx, &inputs),
            Some(Heard::Late(text)) => self.late_words(fx, &text),
            Some(Heard::Lost { failure, detail, open }) => self.recogniser_lost(fx, failure, &detail, open),
        }
    }

    /// The caller has something to say: whatever the agent says or thinks is dropped.
    pub(super) fn yield_floor(&mut self, fx: &mut Effects) {
        let overlap = self.overlap.take();
        self.rest.clear();
        if overlap != Some(Overlap::Finishing) {
            self.mouth.stop(fx);
        }
        self.stop_thinking(fx);
    }

    /// The caller said nothing that asks for an answer: the agent goes on.
    pub(super) fn keep_floor(&mut self, fx: &mut Effects) {
        self.drop_guess(fx);
        match self.overlap.take() {
            Some(Overlap::Paused) => self.mouth.resume(fx),
            Some(Overlap::Stopped) => {
                let spoken = self.mouth.cut_unanswered(fx);
                self.remember_cut(fx, spoken);
            }
            Some(Overlap::Speaking | Overlap::Finishing | Overlap::Thinking) | None => {}
        }
        let rest = std::mem::take(&mut self.rest);
        self.say(fx, &rest, false);
        self.mind.hold(false);
        self.hand_on_sentences(fx);
        self.play_held(fx);
        if self.mind.is_thinking() {
            self.hand_on(fx);
        } else {
            // A line may have been begun while the words were being waited for.
            self.mouth.finish(fx);
        }
        self.turn_over(fx);
    }

    /// Whether words are more than a sign of listening.
    fn interrupts_by(&self, text: &str) -> bool {
        let policy = &self.spec.interruption;
        let enough = backchannel::count(text) >= policy.min_words as usize;
        let listens = backchannel::is_backchannel(text, &self.language, policy);
        backchannel::count(text) > 0 && ((enough && !listens) || self.mouth.asked())
    }

    fn words_so_far(&mut self, fx: &mut Effects, text: &str) {
        self.check_guess(fx);
        if self.closing || !self.tel.hears() || !self.interrupts_by(text) {
            return;
        }
        if self.overlap.is_some() {
            self.yield_floor(fx);
        } else if self.ears.is_quiet()
            && self.ears.speech_on()
            && self.mouth.is_speaking()
            && self.spec.interruption.barge_in
            && !self.mouth.is_protected()
            && !self.ears.pushes_to_talk()
        {
            // Words are surer than voice activity: no need to wait until it has lasted.
            self.ears.listen(fx);
            self.yield_floor(fx);
        }
    }

    /// The caller's turn is over.
    fn words(&mut self, fx: &mut Effects, words: &str) {
        if self.closing || !self.tel.hears() {
            return;
        }
        let Some(text) = self.keys.complete(fx, words) else { return };
        let counts = if self.overlap.is_some() { self.interrupts_by(&text) } else { !text.is_empty() };
        if counts {
            if self.overlap.is_some() {
                self.yield_floor(fx);
            }
            if text == words { self.spoken_input(fx, &text) } else { self.input(fx, &text) }
        } else {
            self.drop_guess(fx);
            self.keep_floor(fx);
        }
    }

    /// Words came while nobody was being listened to. They do not count while the agent speaks and voice activity was not
    /// enough to interrupt it; what was said over words that must be heard is answered afterwards.
    fn late_words(&mut self, fx: &mut Effects, text: &str) {
        if self.closing || !self.tel.hears() {
            return;
        }
        if self.overheard && !self.mouth.is_silent() {
            crate::spoken::join(&mut self.pending, text);
        } else if self.mouth.is_silent() {
            self.stop_thinking(fx);
            self.ears.late_turn(fx, text);
        }
    }
}
