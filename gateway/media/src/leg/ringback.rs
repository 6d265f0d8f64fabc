//! The tone of a call that rings (ITU-T E.180), for callers whose sound begins before their call is answered.

use trunkline_dsp::fade::fade_out;
use trunkline_dsp::tone::{Meaning, Plan, SupervisoryTone};

use super::TICK_MS;
use crate::playback::Played;

/// A tone that lasts a given time.
#[derive(Debug)]
pub(crate) struct Ringback {
    tone: Option<SupervisoryTone>,
    ticks: u32,
}

impl Ringback {
    /// For `ms` milliseconds on a leg of `rate` Hz.
    pub(super) fn new(ms: u32, rate: u32) -> Self {
        let pattern = Plan::EU.patterns.iter().find(|pattern| pattern.meaning == Meaning::Ringback);
        Self { tone: pattern.map(|pattern| SupervisoryTone::new(pattern, rate)), ticks: ms / TICK_MS }
    }

    /// Puts 20 ms of it where nothing is `played`; true while it rings, between its tones as well. Speech ends it.
    pub(super) fn fill(&mut self, played: Played, frame: &mut [i16]) -> bool {
        let Some(tone) = self.tone.as_mut().filter(|_| self.ticks > 0) else { return false };
        if played != Played::Silence {
            self.ticks = 0;
            return false;
        }
        tone.fill(frame);
        self.ticks -= 1;
        if self.ticks == 0 {
            fade_out(frame);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_one_second_of_five_and_ends_with_its_time_or_the_first_word() {
        for rate in [8000_u32, 16_000] {
            let mut frame = vec![0_i16; rate as usize / 50];
            let loud = |frame: &[i16]| frame.iter().any(|sample| sample.unsigned_abs() > 4000);
            let mut ringback = Ringback::new(10_500, rate);
            let mut rings = Vec::new();
            while ringback.fill(Played::Silence, &mut frame) {
                rings.push(loud(&frame));
            }
            let begins = [0, 250, 500];
            assert_eq!(rings.len(), 525);
            assert!(
                (0..525).all(|tick| rings[tick] == begins.iter().any(|begin| (*begin..begin + 50).contains(&tick)))
            );
            assert!(frame[frame.len() - 1] == 0, "its end is no click");
            let mut answered = Ringback::new(10_000, rate);
            assert!(answered.fill(Played::Silence, &mut frame));
            frame.fill(5);
            assert!(!answered.fill(Played::Speech { starts: true }, &mut frame) && frame[0] == 5);
            assert!(!answered.fill(Played::Silence, &mut frame), "it does not come back");
            assert!(!Ringback::new(0, rate).fill(Played::Silence, &mut frame));
        }
    }
}
