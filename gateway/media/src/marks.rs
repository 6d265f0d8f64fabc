//! What the agent is told of a frame: when somebody speaks, from when on, and whether that interrupts.

use trunkline_dsp::chain::UplinkReport;
use trunkline_dsp::echo::Interruption;
use trunkline_leg::VadMark;

/// Milliseconds of a frame.
const FRAME_MS: u32 = 20;

/// Makes marks of what a chain reports of one leg's frames.
#[derive(Debug, Clone, Copy)]
pub struct SpeechMarks {
    hold_ms: u32,
    /// Milliseconds since the detector lost it, while it is held; and of the mark before.
    held_ms: u32,
    holds: bool,
    /// What the agent was told last, and what it is still to be told.
    told_speech: bool,
    owed_interrupt: bool,
}

impl SpeechMarks {
    /// Speech is held for `hold_ms` after the detector has lost it.
    #[must_use]
    pub const fn new(hold_ms: u32) -> Self {
        Self { hold_ms, held_ms: 0, holds: false, told_speech: false, owed_interrupt: false }
    }

    /// Holds speech for another time from now on.
    pub const fn hold(&mut self, hold_ms: u32) {
        self.hold_ms = hold_ms;
    }

    /// The mark of the next frame of 20 ms. Whoever hands it on says so with [`Self::told`]; what was not handed on comes
    /// with the next.
    pub fn mark(&mut self, report: &UplinkReport) -> VadMark {
        let activity = report.activity;
        let interrupts = report.interruption == Some(Interruption::Confirmed);
        self.owed_interrupt |= interrupts;
        // Whoever interrupts speaks, even where the detector is not sure over the agent's echo.
        let speaks = (activity.speech && !report.echo) || interrupts;
        // The frame with which a hold is over says how long it was.
        let held_ms = if speaks || !self.holds { 0 } else { self.held_ms };
        self.held_ms = if speaks { 0 } else { self.held_ms.saturating_add(FRAME_MS) };
        self.holds = speaks || (self.holds && self.held_ms < self.hold_ms);
        let speech = self.holds || self.owed_interrupt;
        VadMark {
            speech,
            changed: speech != self.told_speech,
            interrupts: self.owed_interrupt,
            echo: report.echo,
            onset_ms: report.onset_ms,
            held_ms,
            confidence: report.certainty.unwrap_or(0.0),
            level_dbfs: activity.level_dbfs,
            noise_dbfs: activity.noise_dbfs,
            speech_ms: report.endpoint.speech_ms,
            silence_ms: report.endpoint.silence_ms,
        }
    }

    /// The agent has the mark.
    pub const fn told(&mut self, mark: &VadMark) {
        self.told_speech = mark.speech;
        self.owed_interrupt = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks of ten frames of speech and twenty of none, all handed on.
    fn marks(hold_ms: u32) -> Vec<VadMark> {
        let mut marks = SpeechMarks::new(hold_ms);
        let mut report = UplinkReport::default();
        let mark = |n| {
            report.activity.speech = n < 10;
            let mark = marks.mark(&report);
            marks.told(&mark);
            mark
        };
        (0..30).map(mark).collect()
    }

    #[test]
    fn the_end_of_speech_says_for_how_long_speech_was_only_held() {
        for (hold_ms, held) in [(0, 0), (20, 0), (100, 4), (200, 9)] {
            let marks = marks(hold_ms);
            let end = marks.iter().position(|mark| !mark.speech).unwrap();
            assert_eq!((end, marks[end].held_ms), (10 + held, held as u32 * 20), "held for {hold_ms} ms");
            assert!(marks[end].changed && marks.iter().filter(|mark| mark.changed).count() == 2);
        }
    }

    #[test]
    fn what_was_not_handed_on_comes_with_the_next() {
        let mut marks = SpeechMarks::new(200);
        let mut report = UplinkReport { interruption: Some(Interruption::Confirmed), ..UplinkReport::default() };
        assert!(marks.mark(&report).interrupts);
        report.interruption = None;
        let next = marks.mark(&report);
        assert!(next.interrupts && next.speech && next.changed);
        marks.told(&next);
        let after = marks.mark(&report);
        assert!(!after.interrupts && !after.changed);
    }
}
