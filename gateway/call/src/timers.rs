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
    /// Speech has lasted long enough to interrupt.
    BargeIn,
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
    Reason::BargeIn,
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
pub(crate) struct Timers([Option<CallTime>; REASONS.len()]);

impl Timers {
    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, reason: Reason, at: CallTime) {
        self.0[reason as usize] = Some(at);
    }

    /// Forgets a deadline.
    pub(crate) fn clear(&mut self, reason: Reason) {
        self.0[reason as usize] = None;
    }

    /// Forgets all of them.
    pub(crate) fn clear_all(&mut self) {
        self.0 = Default::default();
    }

    /// Whether a deadline is set.
    pub(crate) const fn is_set(&self, reason: Reason) -> bool {
        self.0[reason as usize].is_some()
    }

    /// The earliest deadline; of equal ones the first in the order of [`Reason`].
    pub(crate) fn next(&self) -> Option<(CallTime, Reason)> {
        REASONS.iter().filter_map(|&reason| self.0[reason as usize].map(|at| (at, reason))).min()
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
        timers.set(Reason::BargeIn, CallTime::from_ms(5));
        timers.set(Reason::Cut, CallTime::from_ms(9));
        assert_eq!(timers.next(), Some((CallTime::from_ms(5), Reason::BargeIn)));
        assert_eq!(timers.take_due(CallTime::from_ms(5)), Some(Reason::BargeIn));
        assert_eq!(timers.take_due(CallTime::from_ms(5)), Some(Reason::CallerSilence));
        assert_eq!(timers.take_due(CallTime::from_ms(5)), None);
        timers.clear_all();
        assert_eq!(timers.next(), None);
    }
}
