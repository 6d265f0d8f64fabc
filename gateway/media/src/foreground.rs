//! Whose voice it is: a caller is close to the telephone, a television or somebody else in the room is not. A detector hears
//! speech in all of them; what lies far below the loudness that this caller has is behind the caller.

/// How fast the caller's loudness is learnt, upwards and downwards, as a share of the difference a frame.
const LEARNS_UP: f32 = 0.1;
const LEARNS_DOWN: f32 = 0.005;
/// Probability of speech from which on a frame is learnt from, and how many such frames it takes to know the caller.
const SURE: f32 = 0.7;
const NEEDED: u32 = 25;
/// Frames in which a syllable of the caller's dies away: it is not somebody else's.
const DIES_AWAY: u32 = 5;
/// Frames of nothing but what is behind the caller after which the caller is believed to have gone further away, and by how
/// many decibels a frame from then on.
const PATIENT: u32 = 300;
const FORGETS_DB: f32 = 0.02;

/// The loudness of one caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreground {
    /// Distance from the caller's loudness from which on a voice is behind the caller, in decibels; 0 for none is.
    behind_db: f32,
    /// Loudness of the caller's louder frames in dBFS.
    caller: f32,
    known: u32,
    /// Frames since one was as loud as the caller.
    faint: u32,
    /// Frames in which speech was heard that is not the caller's, since the caller's was.
    others: u32,
}

impl Foreground {
    /// A voice is behind the caller from `behind_db` decibels on; with 0 none is.
    pub(crate) const fn new(behind_db: u8) -> Self {
        Self { behind_db: behind_db as f32, caller: -96.0, known: 0, faint: 0, others: 0 }
    }

    /// Another distance from now on.
    pub(crate) const fn set(&mut self, behind_db: u8) {
        self.behind_db = behind_db as f32;
    }

    /// Whether a frame of 20 ms at `level_dbfs` may be the caller's: soft syllables are not, and whoever asks holds on over
    /// them. `sure` is the probability that it is speech, `None` where
    /// nobody is asked or where it is the agent's own echo.
    pub(crate) fn hears(&mut self, level_dbfs: f32, sure: Option<f32>) -> bool {
        let loud = self.known < NEEDED || self.behind_db == 0.0 || level_dbfs >= self.caller - self.behind_db;
        self.faint = if loud { 0 } else { self.faint.saturating_add(1) };
        if sure.is_some_and(|sure| sure >= SURE) {
            self.learn(level_dbfs, loud);
        }
        self.faint <= DIES_AWAY
    }

    fn learn(&mut self, level_dbfs: f32, near: bool) {
        if self.known == 0 {
            self.caller = level_dbfs;
        }
        if near {
            self.others = 0;
            self.known = self.known.saturating_add(1).min(NEEDED);
            let away = level_dbfs - self.caller;
            self.caller += away * if away > 0.0 { LEARNS_UP } else { LEARNS_DOWN };
        } else {
            self.others = self.others.saturating_add(1);
            if self.others > PATIENT {
                self.caller -= FORGETS_DB;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs frames of speech at a level, a dip of 15 dB in every fifth; how many of them may be the caller's.
    fn near(foreground: &mut Foreground, frames: usize, dbfs: f32) -> usize {
        let level = |n: usize| if n % 5 == 4 { dbfs - 15.0 } else { dbfs };
        (0..frames).filter(|n| foreground.hears(level(*n), Some(0.95))).count()
    }

    #[test]
    fn a_television_is_not_the_caller_and_the_caller_is_at_once() {
        let mut foreground = Foreground::new(10);
        near(&mut foreground, 100, -22.0);
        assert_eq!(near(&mut foreground, 250, -37.0), 4, "which may be the last syllable");
        assert_eq!(near(&mut foreground, 100, -23.0), 100);
        assert_eq!(near(&mut foreground, 100, -29.0), 100, "a sentence that falls off is the caller's");
    }

    #[test]
    fn nobody_is_behind_a_caller_who_is_not_known_yet() {
        let mut foreground = Foreground::new(10);
        assert_eq!(near(&mut foreground, 20, -45.0), 20);
        assert!(near(&mut foreground, 100, -20.0) >= 80, "and whoever is louder is the caller");
        assert!(near(&mut foreground, 100, -45.0) <= 5);
        assert_eq!(near(&mut Foreground::new(0), 100, -45.0), 100);
    }

    #[test]
    fn a_caller_who_goes_away_from_the_telephone_is_heard_again() {
        let mut foreground = Foreground::new(10);
        near(&mut foreground, 200, -20.0);
        let heard = near(&mut foreground, 1000, -35.0);
        assert!((200..600).contains(&heard), "after some seconds: {heard}");
    }

    #[test]
    fn silence_and_noise_teach_nothing() {
        let mut foreground = Foreground::new(10);
        near(&mut foreground, 100, -25.0);
        (0..1000).for_each(|_| {
            foreground.hears(-10.0, None);
            foreground.hears(-10.0, Some(0.2));
        });
        (0..50).for_each(|_| {
            foreground.hears(-80.0, None);
        });
        assert_eq!(near(&mut foreground, 50, -25.0), 50);
    }
}
