//! Deadlines by the reason for them: a fixed table, so that their order never depends on how they were set.

use trunkline_leg::CallTime;

macro_rules! reasons {
    ($($name:ident $doc:literal),+ $(,)?) => {
        /// Why a call wants to be woken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $doc] $name),+ }

        const REASONS: &[Reason] = &[$(Reason::$name),+];
    };
}

// Of deadlines at the same moment the first of this list comes first.
reasons! {
    MaxCall "The call reached its longest duration.",
    LegEnd "A hang-up was ordered and the leg has not ended.",
    OtherLegEnd "A leg beside the first was let go of and has not ended.",
    LegMax "A leg beside the first has lasted for as long as it may.",
    Closing "The last words before a hang-up take too long.",
    Cut "The leg has not said what it cut.",
    GoesOn "Speech has lasted long enough to be more of the turn that is being answered.",
    EndSilence "Silence has lasted long enough to end a turn.",
    LongSpeech "The caller has spoken for longer than a turn may last.",
    StandStill "No word has come for long although somebody seems to speak.",
    FinalWords "The recogniser owes its final words.",
    Speculate "The words have stood still for long enough to guess that they are all.",
    DtmfGap "No further key was pressed.",
    Redactor "The redactor owes a text.",
    LlmFirstToken "The model owes its first token.",
    Hedge "The model is slow, and the next one is asked, too.",
    LlmStall "The model stopped in the middle.",
    ToolDeadline "A tool's time is up.",
    ToolSay "A tool has run for so long that its line is said.",
    Lookup "The knowledge bases owe what they have.",
    Summary "The model owes a summary of what was said.",
    EngineOpen "The engine does not open.",
    TtsFirstByte "The synthesiser owes its first sound.",
    TtsStall "The synthesiser stopped in the middle.",
    Playback "The leg owes the end of an utterance.",
    Transfer "A step of passing the caller on takes too long.",
    HoldLine "A caller on hold is to hear a word.",
    Answering "Something about whoever answered is decided by time.",
    ThinkingSound "The caller has waited for so long that something should be heard.",
    DeadAir "The caller has waited for so long that something should be said meanwhile.",
    Analysis "The analysis of a call that is over takes too long.",
    HostBehind "Sessions have waited for this host for as long as may be.",
    CallerSilence "The caller has said nothing for long.",
    KeysWait "A caller who is to press keys has pressed none for long.",
    Reveal "What was entered in secret is over.",
    Survival "Providers that were gone may be back.",
}

/// One deadline per reason.
#[derive(Debug)]
pub(crate) struct Timers {
    due: [Option<CallTime>; REASONS.len()],
    /// Why the time of a reason stands still, and since when it does for the deadline that is set.
    still: [(u8, CallTime); REASONS.len()],
    now: CallTime,
}

impl Default for Timers {
    fn default() -> Self {
        let nothing = (0, CallTime::ZERO);
        Self { due: [None; REASONS.len()], still: [nothing; REASONS.len()], now: CallTime::ZERO }
    }
}

/// Why the time of a reason stands still; it does while there is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Still {
    /// The far end does not want to hear, or to be heard.
    Hold = 1,
    /// Playback is paused.
    Pause = 2,
    /// The host has not come to it.
    Behind = 4,
}

impl Timers {
    /// Time has passed.
    pub(crate) const fn at(&mut self, now: CallTime) {
        self.now = now;
    }

    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, reason: Reason, at: CallTime) {
        self.due[reason as usize] = Some(at);
        self.still[reason as usize].1 = self.now;
    }

    /// Moves a deadline that is set.
    pub(crate) fn postpone(&mut self, reason: Reason, ms: u64) {
        if let Some(due) = &mut self.due[reason as usize] {
            *due = due.plus_ms(ms);
        }
    }

    /// Forgets a deadline.
    pub(crate) fn clear(&mut self, reason: Reason) {
        self.due[reason as usize] = None;
    }

    /// Forgets all of them, and why they stood still.
    pub(crate) fn clear_all(&mut self) {
        *self = Self { now: self.now, ..Self::default() };
    }

    /// Whether a deadline is set, be it one that stands still.
    pub(crate) const fn is_set(&self, reason: Reason) -> bool {
        self.due[reason as usize].is_some()
    }

    /// Lets the time of a reason stand still, or go on once nothing else holds it: what was left of its deadline is left
    /// then.
    pub(crate) fn stand_still(&mut self, reason: Reason, why: Still, still: bool) {
        let (due, (whys, since)) = (&mut self.due[reason as usize], &mut self.still[reason as usize]);
        let before = *whys;
        *whys = if still { before | why as u8 } else { before & !(why as u8) };
        match (before, *whys) {
            (0, 1..) => *since = self.now,
            (1.., 0) => *due = due.map(|due| due + self.now.since_us(*since)),
            _ => {}
        }
    }

    /// The earliest deadline that does not stand still; of equal ones the first in the order of [`Reason`].
    pub(crate) fn next(&self) -> Option<(CallTime, Reason)> {
        let mut next: Option<(CallTime, Reason)> = None;
        for ((due, (whys, _)), reason) in self.due.iter().zip(&self.still).zip(REASONS) {
            if let Some(due) = *due
                && *whys == 0
                && next.is_none_or(|(earliest, _)| due < earliest)
            {
                next = Some((due, *reason));
            }
        }
        next
    }

    /// Takes a deadline that has passed at `now`.
    pub(crate) fn take_due(&mut self, now: CallTime) -> Option<Reason> {
        let (at, reason) = self.next()?;
        (at <= now).then(|| {
            self.clear(reason);
            reason
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_every_reason_at_its_place() {
        for (place, reason) in REASONS.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
    }

    #[test]
    fn due_deadlines_come_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set(Reason::CallerSilence, CallTime::from_ms(5));
        timers.set(Reason::GoesOn, CallTime::from_ms(5));
        timers.set(Reason::Cut, CallTime::from_ms(9));
        assert_eq!(timers.next(), Some((CallTime::from_ms(5), Reason::GoesOn)));
        assert_eq!(timers.take_due(CallTime::from_ms(5)), Some(Reason::GoesOn));
        assert_eq!(timers.take_due(CallTime::from_ms(5)), Some(Reason::CallerSilence));
        assert_eq!(timers.take_due(CallTime::from_ms(5)), None);
        timers.clear_all();
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_that_stood_still_has_left_what_it_had_left() {
        let mut timers = Timers::default();
        let ms = CallTime::from_ms;
        timers.set(Reason::Playback, ms(500));
        timers.at(ms(200));
        timers.stand_still(Reason::Playback, Still::Hold, true);
        timers.stand_still(Reason::TtsStall, Still::Hold, true);
        timers.at(ms(90_000));
        timers.stand_still(Reason::Playback, Still::Hold, true);
        timers.set(Reason::TtsStall, ms(98_000));
        assert!(timers.is_set(Reason::Playback));
        assert_eq!((timers.next(), timers.take_due(ms(100_000))), (None, None));
        timers.at(ms(100_000));
        for reason in [Reason::Playback, Reason::TtsStall, Reason::Playback] {
            timers.stand_still(reason, Still::Hold, false);
        }
        assert_eq!(timers.take_due(ms(100_300)), Some(Reason::Playback));
        assert_eq!(timers.next(), Some((ms(108_000), Reason::TtsStall)), "set while it stood still");
    }

    #[test]
    fn time_stands_still_while_there_is_any_reason_to() {
        let mut timers = Timers::default();
        let ms = CallTime::from_ms;
        timers.set(Reason::Playback, ms(100));
        timers.stand_still(Reason::Playback, Still::Hold, true);
        timers.at(ms(50));
        timers.stand_still(Reason::Playback, Still::Pause, true);
        timers.at(ms(1000));
        timers.stand_still(Reason::Playback, Still::Hold, false);
        assert_eq!(timers.next(), None);
        timers.at(ms(2000));
        timers.stand_still(Reason::Playback, Still::Pause, false);
        assert_eq!(timers.next(), Some((ms(2100), Reason::Playback)));
    }
}
