//! The sound that tells whoever waits that somebody is there: two soft knocks now and then, where nothing is said.

use std::f32::consts::TAU;

use super::TICK_MS;

/// From one pair of knocks to the next, in milliseconds: less than the silence after which people say "hello?".
const EVERY_MS: u32 = 1400;
/// Of a pair, when each begins in milliseconds, and its pitch in Hz: within what every telephone passes.
const KNOCKS: [(u32, f32); 2] = [(0, 620.0), (160, 520.0)];
/// Length of one, in milliseconds, and the time in which it falls to a third.
const KNOCK_MS: u32 = 120;
const FALLS_MS: f32 = 22.0;
/// Peak, in 16-bit samples: -26 dBFS, well below a voice.
const PEAK: f32 = 1640.0;
/// Over this time it begins, in milliseconds, so that it is no click.
const RISES_MS: f32 = 2.0;

/// The sound on its way to a leg.
#[derive(Debug)]
pub(super) struct ThinkingSound {
    rate: u32,
    /// Milliseconds since the pair in work began; `None` while it is not wanted and nothing sounds.
    at_ms: Option<u32>,
}

impl ThinkingSound {
    /// For a leg of `rate` Hz.
    pub(super) const fn new(rate: u32) -> Self {
        Self { rate, at_ms: None }
    }

    /// Adds 20 ms of it to a frame while it is `wanted`, beginning with a knock; a knock that has begun is heard to its end.
    /// Whether there is any, or will be.
    pub(super) fn mix(&mut self, wanted: bool, frame: &mut [i16]) -> bool {
        let at_ms = match self.at_ms {
            None if !wanted => return false,
            None => 0,
            Some(at_ms) if at_ms >= EVERY_MS => 0,
            Some(at_ms) => at_ms,
        };
        let knock = KNOCKS.iter().find(|(begins, _)| (*begins..begins + KNOCK_MS).contains(&at_ms));
        if !wanted && knock.is_none() {
            self.at_ms = None;
            return false;
        }
        if let Some((begins, hertz)) = knock {
            let from = (at_ms - begins) * self.rate / 1000;
            for (sample, n) in frame.iter_mut().zip(from..) {
                *sample = sample.saturating_add(self.knock(n, *hertz) as i16);
            }
        }
        self.at_ms = Some(at_ms + TICK_MS);
        true
    }

    /// A sample of a knock: a tone that dies away.
    fn knock(&self, n: u32, hertz: f32) -> f32 {
        let ms = n as f32 * 1000.0 / self.rate as f32;
        let level = (ms / RISES_MS).min(1.0) * (-ms / FALLS_MS).exp();
        PEAK * level * (TAU * hertz * ms / 1000.0).sin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loud(frame: &[i16]) -> bool {
        frame.iter().any(|sample| sample.unsigned_abs() > 60)
    }

    #[test]
    fn it_knocks_twice_at_once_and_again_and_never_leaves_two_seconds_of_silence() {
        for rate in [8000_u32, 16_000] {
            let mut sound = ThinkingSound::new(rate);
            let mut frame = vec![0; rate as usize / 50];
            let mut heard = Vec::new();
            for _ in 0..500 {
                frame.fill(0);
                assert!(sound.mix(true, &mut frame));
                heard.push(loud(&frame));
            }
            assert!(heard[0] && heard[8] && heard[70]);
            let longest = heard.split(|loud| *loud).map(<[bool]>::len).max().unwrap();
            assert!(longest * 20 < 1500, "{longest} frames");
        }
    }

    #[test]
    fn a_knock_that_has_begun_is_heard_to_its_end_and_is_no_click() {
        let (mut sound, mut frame) = (ThinkingSound::new(8000), [0; 160]);
        assert!(!sound.mix(false, &mut frame) && frame == [0; 160]);
        let mut line = Vec::new();
        for tick in 0..10 {
            frame.fill(0);
            let sounds = sound.mix(tick < 2, &mut frame);
            assert_eq!(sounds, tick < 6, "tick {tick}");
            line.extend_from_slice(&frame);
        }
        let steps = line.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
        assert!(steps < 1000 && line[1] != 0, "{steps}");
        assert!(line[955..].iter().all(|sample| sample.unsigned_abs() < 20));
    }

    #[test]
    fn what_is_there_stays_under_it() {
        let (mut sound, mut with) = (ThinkingSound::new(8000), [i16::MAX; 160]);
        sound.mix(true, &mut with);
        assert!(with.iter().all(|sample| *sample > 20_000), "no sample wraps");
    }
}
