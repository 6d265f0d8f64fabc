//! The agent turned down while it is not clear whether the caller interrupts: at once, and as if nothing had been when it
//! turns out that nobody did.

use super::TICK_MS;

/// After an interruption the agent is cut within this time, or was not to be.
const CUT_WITHIN_MS: u32 = 500;
/// A suspicion of which nothing more is heard, as when its chain has failed, is over after this time.
const KNOWN_WITHIN_MS: u32 = 2000;

/// Turns frames down and up again, each time within one frame.
#[derive(Debug)]
pub(super) struct Duck {
    /// Gain while turned down, 0..=1.
    low: f32,
    gain: f32,
    down: bool,
    /// Time until it is turned up again by itself.
    left_ms: Option<u32>,
}

impl Duck {
    /// By `db` decibels; 0 turns nothing down.
    pub(super) fn new(db: u8) -> Self {
        Self { low: low(db), gain: 1.0, down: false, left_ms: None }
    }

    /// By another measure from now on.
    pub(super) fn set(&mut self, db: u8) {
        self.low = low(db);
    }

    /// Somebody may be interrupting: down, until it is known. False where nothing is ever turned down.
    pub(super) const fn suspect(&mut self) -> bool {
        (self.down, self.left_ms) = (true, Some(KNOWN_WITHIN_MS));
        self.low < 1.0
    }

    /// Somebody is: down, until the agent is cut.
    pub(super) const fn confirm(&mut self) {
        (self.down, self.left_ms) = (true, Some(CUT_WITHIN_MS));
    }

    /// Nobody was, or the agent begins anew. Whether anything was turned down.
    pub(super) const fn release(&mut self) -> bool {
        let was = self.down && self.low < 1.0;
        (self.down, self.left_ms) = (false, None);
        was
    }

    /// Nothing is said in this tick: what follows begins as loud as it is.
    pub(super) const fn rest(&mut self) {
        let _ = self.release();
        self.gain = 1.0;
    }

    /// Takes a frame of what the agent says.
    pub(super) fn apply(&mut self, frame: &mut [i16]) {
        if let Some(left_ms) = &mut self.left_ms {
            *left_ms = left_ms.saturating_sub(TICK_MS);
            if *left_ms == 0 {
                let _ = self.release();
            }
        }
        let goal = if self.down { self.low } else { 1.0 };
        if self.gain == 1.0 && goal == 1.0 {
            return;
        }
        let step = (goal - self.gain) / frame.len().max(1) as f32;
        for sample in frame {
            self.gain += step;
            *sample = (f32::from(*sample) * self.gain).round() as i16;
        }
        self.gain = goal;
    }
}

fn low(db: u8) -> f32 {
    10_f32.powf(-f32::from(db) / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last sample of each frame of a loud sound.
    fn ends(duck: &mut Duck, frames: usize) -> Vec<i16> {
        let mut frame = [0; 160];
        let mut step = || {
            frame = [10_000; 160];
            duck.apply(&mut frame);
            frame[159]
        };
        (0..frames).map(|_| step()).collect()
    }

    #[test]
    fn it_goes_down_and_up_within_a_frame_each_and_leaves_sound_alone_otherwise() {
        let mut duck = Duck::new(20);
        assert_eq!(ends(&mut duck, 2), [10_000, 10_000]);
        duck.suspect();
        assert_eq!(ends(&mut duck, 90), [1000; 90]);
        duck.release();
        let mut frame = [10_000; 160];
        duck.apply(&mut frame);
        assert!(frame.windows(2).all(|pair| (0..=60).contains(&(pair[1] - pair[0]))), "without a click");
        assert_eq!(frame[159], 10_000);
        assert_eq!(ends(&mut duck, 2), [10_000, 10_000]);
    }

    #[test]
    fn a_suspicion_nobody_answers_ends_and_what_follows_a_pause_is_as_loud_as_it_is() {
        let mut duck = Duck::new(20);
        assert!(duck.suspect());
        assert_eq!(ends(&mut duck, 120).iter().filter(|end| **end < 9000).count(), 99);
        assert!(duck.suspect() && duck.release() && !duck.release());
        duck.suspect();
        ends(&mut duck, 5);
        duck.rest();
        let mut frame = [10_000; 160];
        duck.apply(&mut frame);
        assert_eq!(frame, [10_000; 160]);
    }

    #[test]
    fn an_interruption_that_cuts_nobody_is_over_after_half_a_second() {
        let mut duck = Duck::new(20);
        duck.confirm();
        let ends = ends(&mut duck, 30);
        assert_eq!(ends.iter().filter(|end| **end < 9000).count(), 24);
        assert_eq!(ends[29], 10_000);
        let mut never = Duck::new(0);
        assert!(!never.suspect());
        assert_eq!(super::tests::ends(&mut never, 1), [10_000]);
    }
}
