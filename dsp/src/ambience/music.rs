//! Music for whoever waits: slow broken chords of soft bells, made here, so that nobody's rights are in it.

use std::f32::consts::TAU;

use super::{Bed, seconds};

/// From one note to the next, in seconds: nobody who waits is to be hurried.
const NOTE_S: f32 = 0.5;
/// Notes of a chord, up and down again, as steps of its four tones.
const PATTERN: [usize; 8] = [0, 1, 2, 3, 2, 1, 2, 1];
/// The chords, as semitones above [`ROOT_HZ`]: C with its seventh, A minor, F, G with its sixth.
const CHORDS: [[i32; 4]; 4] = [[0, 4, 7, 11], [-3, 0, 4, 7], [-7, -3, 0, 4], [-5, -1, 2, 4]];
/// The C of the middle: from two thirds to twice of it lies what every telephone passes.
const ROOT_HZ: f32 = 392.0;
/// Time in which a note falls to a third, in seconds, and over which it begins, so that it is no click.
const FALLS_S: f32 = 0.45;
const RISES_S: f32 = 0.012;

impl Bed {
    /// Music on hold. 16 s.
    #[must_use]
    pub fn music(rate: u32) -> Self {
        let mut sound = vec![0.0; seconds(rate, 16)];
        let notes = CHORDS.iter().flat_map(|chord| PATTERN.map(|step| chord[step % chord.len()]));
        for (number, semitones) in notes.enumerate() {
            let hertz = ROOT_HZ * (semitones as f32 / 12.0).exp2();
            let begins = (number as f32 * NOTE_S * rate as f32) as usize;
            // What sounds on beyond the end of the loop is heard at its beginning: the seam goes over into it.
            for (sample, n) in sound.iter_mut().skip(begins).zip(0_u32..) {
                let s = n as f32 / rate as f32;
                let level = (s / RISES_S).min(1.0) * (-s / FALLS_S).exp();
                if level < 1e-4 && n > rate / 10 {
                    break;
                }
                *sample += level * ((TAU * hertz * s).sin() + 0.2 * (2.0 * TAU * hertz * s).sin());
            }
        }
        Self::made(rate, sound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_round_without_a_click_and_is_never_silent_for_long() {
        for rate in [8000, 16_000] {
            let bed = Bed::music(rate);
            let pcm = bed.pcm();
            assert_eq!(pcm.len(), rate as usize * 16, "whole chords");
            let around = pcm.iter().chain(&pcm[..1]).copied().collect::<Vec<_>>();
            let steps = around.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
            assert!(steps < 6000, "{steps}");
            let frames = pcm.chunks(rate as usize / 4);
            assert!(frames.clone().all(|frame| frame.iter().any(|sample| sample.unsigned_abs() > 300)));
            assert!(pcm.iter().all(|sample| sample.unsigned_abs() < i16::MAX as u16), "nothing is cut off");
        }
    }
}
