//! What the agent is told of a frame: when somebody speaks, from when on, and whether that interrupts.

use trunkline_dsp::chain::UplinkReport;
use trunkline_dsp::echo::Interruption;
use trunkline_leg::VadMark;

use crate::foreground::Foreground;

/// Milliseconds of a frame.
const FRAME_MS: u32 = 20;
/// An interruption by a voice behind the caller is forgotten after so long without any voice.
const OWED_MS: u32 = 400;
/// For so long after echo the caller's level says little: what turns the echo down turns the caller down with it.
const ECHO_MS: u32 = 500;

/// The detector holds on to speech for up to this much longer than there was any sound of it, in milliseconds.
const TRAILS_MS: u32 = 120;
/// What is so far below the loudest that was said just now, or no further above the noise than this, is no sound of speech, in
/// decibels.
const SOFTEST_DB: f32 = 30.0;
const ABOVE_NOISE_DB: f32 = 8.0;
/// The loudest is forgotten by so many decibels a frame.
const FORGETS_DB: f32 = 0.1;

/// Makes marks of what a chain reports of one leg's frames.
#[derive(Debug, Clone, Copy)]
pub struct SpeechMarks {
    hold_ms: u32,
    /// Milliseconds since the detector lost it, while it is held; and of the mark before.
    held_ms: u32,
    holds: bool,
    /// Milliseconds since there was any sound of the speech that the detector still sees, and how loud that is, in dBFS.
    trails_ms: u32,
    loudest_dbfs: f32,
    /// What the agent was told last, and what it is still to be told.
    told_speech: bool,
    owed_interrupt: bool,
    foreground: Foreground,
    /// A voice behind the caller would interrupt: for how many milliseconds it has been silent.
    behind: Option<u32>,
    /// Since the agent's echo was heard last.
    since_echo_ms: u32,
}

impl SpeechMarks {
    /// Speech is held for `hold_ms` after the detector has lost it; a voice that lies `behind_db` decibels below the
    /// caller's is none (0: every voice is).
    #[must_use]
    pub const fn new(hold_ms: u32, behind_db: u8) -> Self {
        let foreground = Foreground::new(behind_db);
        Self {
            hold_ms,
            held_ms: 0,
            holds: false,
            trails_ms: 0,
            loudest_dbfs: -96.0,
            told_speech: false,
            owed_interrupt: false,
            foreground,
            behind: None,
            since_echo_ms: ECHO_MS,
        }
    }

    /// Holds speech for another time, and tells voices apart by another distance, from now on.
    pub const fn change(&mut self, hold_ms: u32, behind_db: u8) {
        self.hold_ms = hold_ms;
        self.foreground.set(behind_db);
    }

    /// The mark of the next frame of 20 ms. Whoever hands it on says so with [`Self::told`]; what was not handed on comes
    /// with the next.
    pub fn mark(&mut self, report: &UplinkReport) -> VadMark {
        let activity = report.activity;
        let near = self.foreground.hears(activity.level_dbfs, report.certainty.filter(|_| !report.echo));
        self.since_echo_ms = if report.echo { 0 } else { self.since_echo_ms.saturating_add(FRAME_MS) };
        let interrupts = self.interrupts(report, near || self.since_echo_ms < ECHO_MS);
        self.owed_interrupt |= interrupts;
        // Whoever interrupts speaks, even where the detector is not sure over the agent's echo.
        let speaks = (activity.speech && !report.echo && near) || interrupts;
        self.trails(speaks, activity.level_dbfs, activity.noise_dbfs);
        // The frame with which a hold is over says how long it was, from the last sound on.
        let held_ms = if speaks || !self.holds { 0 } else { self.held_ms };
        self.held_ms = if speaks { self.trails_ms } else { self.held_ms.saturating_add(FRAME_MS) };
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

    /// Counts how long the detector has held on to speech of which there is no sound any more.
    fn trails(&mut self, speaks: bool, level_dbfs: f32, noise_dbfs: f32) {
        self.loudest_dbfs = (self.loudest_dbfs - FORGETS_DB).max(level_dbfs);
        let least = (self.loudest_dbfs - SOFTEST_DB).max(noise_dbfs + ABOVE_NOISE_DB);
        self.trails_ms = if speaks && level_dbfs < least { (self.trails_ms + FRAME_MS).min(TRAILS_MS) } else { 0 };
    }

    /// Whether the caller interrupts with this frame. Where a voice behind the caller does, the caller does by speaking up
    /// beside it.
    fn interrupts(&mut self, report: &UplinkReport, near: bool) -> bool {
        let confirmed = report.interruption == Some(Interruption::Confirmed);
        if near && (confirmed || self.behind.is_some()) {
            self.behind = None;
            return true;
        }
        if confirmed {
            self.behind = Some(0);
        }
        let silent_ms = |ms: u32| if report.activity.speech { 0 } else { ms + FRAME_MS };
        self.behind = self.behind.map(silent_ms).filter(|ms| *ms < OWED_MS);
        false
    }

    /// The agent has the mark.
    pub const fn told(&mut self, mark: &VadMark) {
        self.told_speech = mark.speech;
        self.owed_interrupt = false;
    }
}

#[cfg(test)]
mod tests {
    use trunkline_dsp::vad::Activity;

    use super::*;

    /// Marks of ten frames of speech and twenty of none, all handed on.
    fn marks(hold_ms: u32) -> Vec<VadMark> {
        let mut marks = SpeechMarks::new(hold_ms, 0);
        let mut report = UplinkReport::default();
        (report.activity.level_dbfs, report.activity.noise_dbfs) = (-20.0, -70.0);
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
    fn speech_has_ended_when_its_sound_did_not_when_the_detector_lets_go_of_it() {
        let ends = |trails: usize, noise_dbfs: f32| {
            let mut marks = SpeechMarks::new(200, 0);
            let frames = (0..60).map(|n| {
                let level_dbfs = if n < 20 { -20.0 } else { noise_dbfs };
                let activity = Activity { speech: n < 20 + trails, level_dbfs, noise_dbfs, ..Activity::default() };
                let mark = marks.mark(&UplinkReport { activity, ..UplinkReport::default() });
                marks.told(&mark);
                mark
            });
            let (n, mark) = frames.enumerate().find(|(n, mark)| *n > 0 && mark.changed && !mark.speech).unwrap();
            // The last sound ended before this frame; the edge comes with it.
            (n, n - mark.held_ms as usize / 20)
        };
        assert_eq!(ends(0, -70.0), (29, 20));
        assert_eq!(ends(4, -70.0), (29, 20), "neither the edge nor its time are later");
        assert_eq!(ends(4, -35.0), (29, 20), "in noise");
        assert_eq!(ends(20, -70.0), (43, 34), "a detector that sees more than levels do is believed");
    }

    #[test]
    fn a_television_neither_holds_the_turn_nor_interrupts_and_the_caller_does_both_over_it() {
        let mut marks = SpeechMarks::new(200, 10);
        let mut mark = |frames: usize, level_dbfs: f32, interruption| {
            let activity = Activity { speech: true, level_dbfs, noise_dbfs: -70.0, ..Activity::default() };
            let mut report = UplinkReport { activity, certainty: Some(0.95), interruption, ..UplinkReport::default() };
            let mut last = (false, false);
            for _ in 0..frames {
                let mark = marks.mark(&report);
                marks.told(&mark);
                report.interruption = None;
                last = (mark.speech, last.1 || mark.interrupts);
            }
            last
        };
        assert_eq!(mark(100, -22.0, None), (true, false));
        assert_eq!(mark(14, -40.0, None), (true, false), "as it dies away, and is held over");
        assert_eq!(mark(1, -40.0, None), (false, false));
        assert_eq!(mark(100, -40.0, Some(Interruption::Confirmed)), (false, false));
        assert_eq!(
            mark(1, -23.0, None),
            (true, true),
            "what was confirmed is the caller's as soon as the caller is heard"
        );
        assert_eq!(mark(100, -23.0, None), (true, false));
    }

    #[test]
    fn what_was_not_handed_on_comes_with_the_next() {
        let mut marks = SpeechMarks::new(200, 0);
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
