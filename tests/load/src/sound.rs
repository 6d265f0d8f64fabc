//! What a caller says: PCMU in frames of 20 ms, over and over, with marks that can be found again.

use trunkline_dsp::codec::ulaw_encode;

use crate::onset::LOUD;

/// Samples of a frame at 8 kHz.
pub(crate) const FRAME: usize = 160;
/// Silence in PCMU.
pub(crate) const SILENCE: u8 = 0xff;
/// Silence before a mark, in frames: longer than any pause between words.
const PAUSE: usize = 35;
/// The loudest sample of a caller's speech, about -6 dBFS.
const PEAK: f64 = 16_000.0;
/// A mark begins at a sample this loud against the loudest, so that its onset is no matter of opinion.
const ATTACK: f64 = 0.6;

/// Frames that are said in turn, and at which of them a mark begins.
#[derive(Debug, Clone)]
pub struct Sound {
    frames: Vec<[u8; FRAME]>,
    marks: Vec<bool>,
}

impl Sound {
    /// Utterances at 8 kHz, each after a pause and cut so that it begins loudly: its first sample is a mark.
    ///
    /// # Errors
    /// When none of them has any sound.
    pub fn speech(utterances: &[Vec<i16>]) -> anyhow::Result<Self> {
        let (mut frames, mut marks) = (Vec::new(), Vec::new());
        for utterance in utterances {
            let loudest = utterance.iter().map(|sample| f64::from(*sample).abs()).fold(0.0, f64::max);
            let gain = if loudest > 0.0 { PEAK / loudest } else { continue };
            let attack = |sample: &i16| f64::from(*sample).abs() >= loudest * ATTACK;
            let begin = utterance.iter().position(attack).unwrap_or(0);
            frames.extend([[SILENCE; FRAME]; PAUSE]);
            marks.extend([false; PAUSE]);
            for (index, piece) in utterance[begin..].chunks(FRAME).enumerate() {
                let mut frame = [SILENCE; FRAME];
                for (code, sample) in frame.iter_mut().zip(piece) {
                    *code = ulaw_encode((f64::from(*sample) * gain) as i16);
                }
                frames.push(frame);
                marks.push(index == 0);
            }
        }
        anyhow::ensure!(!frames.is_empty(), "there is no sound in what callers should say");
        Ok(Self { frames, marks })
    }

    /// A steady tone without a seam, which has no marks.
    #[must_use]
    pub fn tone(hz: u32, peak: i16) -> Self {
        let frames = (0..50)
            .map(|frame: u32| {
                std::array::from_fn(|index| {
                    let at = f64::from(frame * 160 + index as u32) / 8000.0;
                    ulaw_encode(((at * f64::from(hz) * std::f64::consts::TAU).sin() * f64::from(peak)) as i16)
                })
            })
            .collect();
        Self { frames, marks: vec![false; 50] }
    }

    /// Number of frames before it begins anew.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True when there is nothing to say, which no constructor makes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Frame `index`, counted on from the last to the first, and whether a mark begins with it.
    pub(crate) fn frame(&self, index: usize) -> (&[u8; FRAME], bool) {
        let index = index % self.frames.len();
        (&self.frames[index], self.marks[index])
    }
}

// What begins loudly must count as loud.
const _: () = assert!(PEAK * ATTACK > 2.0 * LOUD as f64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onset::Onsets;

    #[test]
    fn every_mark_is_an_onset_at_its_first_sample_and_nothing_else_is() {
        let word = |hz: f64| -> Vec<i16> {
            let swell = |n: usize| (n as f64 / 800.0).min(1.0) * 3000.0;
            (0..4000).map(|n| ((n as f64 / 8000.0 * hz * std::f64::consts::TAU).sin() * swell(n)) as i16).collect()
        };
        let sound = Sound::speech(&[word(200.0), word(310.0), vec![0; 800]]).unwrap();
        let mut onsets = Onsets::default();
        let mut found = Vec::new();
        for index in 0..2 * sound.len() {
            let (frame, mark) = sound.frame(index);
            let onset = onsets.handle(frame);
            assert_eq!(onset, mark.then_some(0), "frame {index}");
            found.extend(onset);
        }
        assert_eq!(found.len(), 4);
        assert!(Sound::speech(&[vec![0; 800]]).is_err());
    }

    #[test]
    fn a_tone_has_no_seam() {
        let tone = Sound::tone(450, 8000);
        let last = trunkline_dsp::codec::ulaw_decode(tone.frame(49).0[FRAME - 1]);
        let first = trunkline_dsp::codec::ulaw_decode(tone.frame(50).0[0]);
        assert!((i32::from(last) - i32::from(first)).abs() < 3300, "{last} {first}");
    }
}
