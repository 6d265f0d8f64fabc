//! The tone of a call that rings, for callers whose sound begins before their call is answered.

use super::TICK_MS;
use crate::playback::Played;

/// ITU-T E.180 2.1: 400 to 450 Hz, 425 where there is a choice.
const HZ: f32 = 425.0;
/// E.180 2.2: 0.67 to 1.5 s of tone, 3 to 5 s of silence.
const ON_TICKS: u32 = 1000 / TICK_MS;
const EVERY_TICKS: u32 = 5000 / TICK_MS;
/// -10 dBm0 (E.180 2.3), where a full scale sine has +3.14.
const PEAK: f32 = 7230.0;

/// A tone that lasts a given time.
#[derive(Debug)]
pub(super) struct Ringback {
    tick: u32,
    ticks: u32,
    /// Where the tone is, in turns.
    phase: f32,
}

impl Ringback {
    pub(super) const fn new(ms: u32) -> Self {
        Self { tick: 0, ticks: ms / TICK_MS, phase: 0.0 }
    }

    /// Puts 20 ms of it where nothing is `played`; true while it rings, between its tones as well. Speech ends it.
    pub(super) fn fill(&mut self, played: Played, frame: &mut [i16]) -> bool {
        if self.tick >= self.ticks || frame.is_empty() {
            return false;
        }
        if played != Played::Silence {
            self.tick = self.ticks;
            return false;
        }
        let at = self.tick % EVERY_TICKS;
        self.tick += 1;
        if at >= ON_TICKS {
            frame.fill(0);
            return true;
        }
        let (length, last) = (frame.len(), at == ON_TICKS - 1 || self.tick == self.ticks);
        let step = HZ / (length as f32 * 1000.0 / TICK_MS as f32);
        for (n, sample) in frame.iter_mut().enumerate() {
            // A quarter of a tick to rise and to fall, so that it does not click.
            let edge = match at {
                0 => n,
                _ if last => length - 1 - n,
                _ => length,
            };
            let gain = (4.0 * edge as f32 / length as f32).min(1.0);
            *sample = (PEAK * gain * (self.phase * std::f32::consts::TAU).sin()) as i16;
            self.phase = (self.phase + step).fract();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_one_second_of_five_at_425_hz_and_ends_with_its_time_or_the_first_word() {
        for rate in [8000_usize, 16_000, 48_000] {
            let mut ringback = Ringback::new(12_000);
            let (mut frame, mut loud, mut crossings, mut before) = (vec![0_i16; rate / 50], 0, 0, 0_i16);
            let mut ticks = 0;
            while ringback.fill(Played::Silence, &mut frame) {
                loud += usize::from(frame.iter().any(|sample| sample.unsigned_abs() > 7000));
                for &sample in &frame {
                    crossings += usize::from(before < 0 && sample >= 0);
                    before = sample;
                }
                assert!(frame.iter().all(|sample| sample.unsigned_abs() <= 7230));
                ticks += 1;
            }
            assert_eq!((ticks, loud), (600, 150), "three tones, of a second each");
            assert!((3 * 425 - 6..=3 * 425).contains(&crossings), "{crossings} at {rate}");
            let mut answered = Ringback::new(10_000);
            assert!(answered.fill(Played::Silence, &mut frame));
            frame.fill(5);
            assert!(!answered.fill(Played::Speech { starts: true }, &mut frame) && frame[0] == 5);
            assert!(!answered.fill(Played::Silence, &mut frame), "it does not come back");
            assert!(!Ringback::new(0).fill(Played::Silence, &mut frame));
        }
    }
}
