//! Deadlines by the reason for them: a fixed table, so that their order never depends on how they were set.

use trunkline_leg::CallTime;

/// Why a call wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The call reached its longest duration.
    MaxCall,
    /// A hang-up was ordered and the leg has not ended.
    LegEnd,
    /// The last words before a hang-up take too long.
    Closing,
    /// The leg has not said what it cut.
    Cut,
    /// Speech has lasted long enough to be more of the turn that is being answered.
    GoesOn,
    /// Silence has lasted long enough to end a turn.
    EndSilence,
    /// The caller has spoken for longer than a turn may last.
    LongSpeech,
    /// The recogniser owes its final words.
    FinalWords,
    /// No further key was pressed.
    DtmfGap,
    /// The redactor owes a text.
    Redactor,
    /// The model owes its first token.
    LlmFirstToken,
    /// The model stopped in the middle.
    LlmStall,
    /// A tool takes long enough that the caller should hear something.
    ToolBridge,
    /// A tool's time is up.
    ToolDeadline,
    /// The synthesiser owes its first sound.
    TtsFirstByte,
    /// The synthesiser stopped in the middle.
    TtsStall,
    /// The leg owes the end of an utterance.
    Playback,
    /// The caller has said nothing for long.
    CallerSilence,
}

const REASONS: [Reason; 18] = [
    Reason::MaxCall,
    Reason::LegEnd,
    Reason::Closing,
    Reason::Cut,
    Reason::GoesOn,
    Reason::EndSilence,
    Reason::LongSpeech,
    Reason::FinalWords,
    Reason::DtmfGap,
    Reason::Redactor,
    Reason::LlmFirstToken,
    Reason::LlmStall,
    Reason::ToolBridge,
    Reason::ToolDeadline,
    Reason::TtsFirstByte,
    Reason::TtsStall,
    Reason::Playback,
    Reason::CallerSilence,
];

/// One deadline per reason.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: [Option<CallTime>; REASONS.len()],
    /// Reasons whose time stands still, and since when it does for the deadline that is set.
    still: [Option<CallTime>; REASONS.len()],
    now: CallTime,
}

impl Timers {
    /// Time has passed.
    pub(crate) const fn at(&mut self, now: CallTime) {
        self.now = now;
    }

    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, reason: Reason, at: CallTime) {
        self.due[reason as usize] = Some(at);
        if let Some(since) = &mut self.still[reason as usize] {
            *since = self.now;
        }
    }

    /// Forgets a deadline.
    pub(crate) fn clear(&mut self, reason: Reason) {
        self.due[reason as usize] = None;
    }

    /// Forgets all of them.
    pub(crate) fn clear_all(&mut self) {
        self.due = Default::default();
    }

    /// Whether a deadline is set, be it one that stands still.
    pub(crate) const fn is_set(&self, reason: Reason) -> bool {
        self.due[reason as usize].is_some()
    }

    /// Lets the time of a reason stand still, or go on: what was left of its deadline is left then.
    pub(crate) fn stand_still(&mut self, reason: Reason, still: bool) {
        let (due, since) = (&mut self.due[reason as usize], &mut self.still[reason as usize]);
        match (still, *since) {
            (true, None) => *since = Some(self.now),
            (false, Some(begun)) => {
                *since = None;
                *due = due.map(|due| due + self.now.since_us(begun));
            }
            _ => {}
        }
    }

    /// The earliest deadline that does not stand still; of equal ones the first in the order of [`Reason`].
    pub(crate) fn next(&self) -> Option<(CallTime, Reason)> {
        let moving = REASONS.iter().filter(|&&reason| self.still[reason as usize].is_none());
        moving.filter_map(|&reason| self.due[reason as usize].map(|at| (at, reason))).min()
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
        timers.stand_still(Reason::Playback, true);
        timers.stand_still(Reason::TtsStall, true);
        timers.at(ms(90_000));
        timers.stand_still(Reason::Playback, true);
        timers.set(Reason::TtsStall, ms(98_000));
        assert!(timers.is_set(Reason::Playback));
        assert_eq!((timers.next(), timers.take_due(ms(100_000))), (None, None));
        timers.at(ms(100_000));
        for reason in [Reason::Playback, Reason::TtsStall, Reason::Playback] {
            timers.stand_still(reason, false);
        }
        assert_eq!(timers.take_due(ms(100_300)), Some(Reason::Playback));
        assert_eq!(timers.next(), Some((ms(108_000), Reason::TtsStall)), "set while it stood still");
    }
}
