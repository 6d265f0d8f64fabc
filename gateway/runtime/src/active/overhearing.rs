//! Two far ends that speak with each other, as one sound for an agent that listens to both: who speaks is told by neither.

use std::collections::VecDeque;

use trunkline_dsp::resample::Resampler;
use trunkline_leg::{LegId, UpFrame, VadMark};

/// Sound of the second that waits for the first at most: five frames of 20 ms at 16 kHz.
const MOST_WAITING: usize = 1600;
/// Samples of a frame at most.
const MOST_SAMPLES: usize = 1920;

/// The second far end.
pub(super) struct Overhearing {
    leg: LegId,
    waits: VecDeque<i16>,
    /// From its rate to the other's.
    resampler: Option<Resampler>,
    /// Rate of the one that it is heard with, in Hz.
    rate: u32,
    /// What its voice does, as its last frame said.
    voice: VadMark,
    /// Whether either of them spoke in the last frame.
    spoke: bool,
}

impl Overhearing {
    /// That leg is heard together with the one of `rate` Hz.
    pub(super) fn new(leg: LegId, rate: u32) -> Self {
        let waits = VecDeque::with_capacity(MOST_WAITING + MOST_SAMPLES);
        Self { leg, waits, resampler: None, rate, voice: VadMark::default(), spoke: false }
    }

    /// Whose sound is taken.
    pub(super) const fn leg(&self) -> LegId {
        self.leg
    }

    /// A frame of it.
    pub(super) fn take(&mut self, frame: &UpFrame) {
        self.voice = frame.vad;
        let mut out = [0; MOST_SAMPLES];
        let made = if frame.rate == self.rate {
            let pcm = frame.pcm();
            let many = pcm.len().min(MOST_SAMPLES);
            out[..many].copy_from_slice(&pcm[..many]);
            many
        } else {
            let fits = self.resampler.as_ref().is_some_and(|resampler| resampler.from() == frame.rate);
            if !fits {
                // One that cannot be had leaves the other to be heard alone.
                self.resampler = Resampler::new(frame.rate, self.rate).ok();
            }
            let room = |resampler: &Resampler| resampler.max_output(frame.pcm().len()) <= MOST_SAMPLES;
            self.resampler
                .as_mut()
                .filter(|resampler| room(resampler))
                .map_or(0, |it| it.process(frame.pcm(), &mut out))
        };
        self.waits.extend(&out[..made]);
        let late = self.waits.len().saturating_sub(MOST_WAITING);
        self.waits.drain(..late);
    }

    /// Adds it to a frame of the first.
    pub(super) fn add_to(&mut self, frame: &mut UpFrame) {
        for sample in frame.pcm_mut() {
            let Some(theirs) = self.waits.pop_front() else { break };
            *sample = sample.saturating_add(theirs);
        }
        let own = frame.vad;
        let speech = own.speech || self.voice.speech;
        // Whose word it was that began or ended the speech of both.
        let whose = if own.speech == speech && (own.changed || self.voice.speech != speech) { own } else { self.voice };
        frame.vad = VadMark {
            speech,
            changed: speech != self.spoke,
            interrupts: false,
            level_dbfs: own.level_dbfs.max(self.voice.level_dbfs),
            ..whose
        };
        self.spoke = speech;
    }
}

#[cfg(test)]
mod tests {
    use trunkline_leg::CallTime;

    use super::*;

    fn frame(rate: u32, level: i16, speech: bool, changed: bool) -> UpFrame {
        let pcm = vec![level; (rate / 50) as usize];
        let mut frame = UpFrame::new(&pcm, rate, 0, CallTime::ZERO).unwrap();
        (frame.vad.speech, frame.vad.changed) = (speech, changed);
        frame
    }

    /// What is heard of both: the sound's last sample, whether somebody speaks, and whether that is new.
    fn both(
        overhearing: &mut Overhearing,
        own: (i16, bool, bool),
        theirs: (u32, i16, bool, bool),
    ) -> (i16, bool, bool) {
        let (rate, level, speech, changed) = theirs;
        overhearing.take(&frame(rate, level, speech, changed));
        let mut heard = frame(8000, own.0, own.1, own.2);
        overhearing.add_to(&mut heard);
        (heard.pcm()[159], heard.vad.speech, heard.vad.changed)
    }

    #[test]
    fn somebody_speaks_from_the_first_of_both_to_the_last() {
        let mut of_two = Overhearing::new(LegId(2), 8000);
        assert_eq!(of_two.leg(), LegId(2));
        assert_eq!(both(&mut of_two, (100, false, false), (8000, 10, false, false)), (110, false, false));
        assert_eq!(both(&mut of_two, (100, false, false), (8000, 10, true, true)), (110, true, true));
        assert_eq!(both(&mut of_two, (100, true, true), (8000, 10, true, false)), (110, true, false));
        assert_eq!(both(&mut of_two, (100, true, false), (8000, 10, false, true)), (110, true, false));
        assert_eq!(both(&mut of_two, (100, false, true), (8000, 10, false, false)), (110, false, true));
        assert_eq!(both(&mut of_two, (30_000, false, false), (8000, 30_000, false, false)).0, i16::MAX);
    }

    #[test]
    fn another_rate_is_brought_to_the_callers_and_what_waits_too_long_is_dropped() {
        let mut of_two = Overhearing::new(LegId(2), 8000);
        let heard: Vec<i16> =
            (0..20).map(|_| both(&mut of_two, (0, false, false), (16_000, 1000, false, false)).0).collect();
        assert!(heard[19].abs_diff(1000) < 50, "{heard:?}");
        for _ in 0..1000 {
            of_two.take(&frame(16_000, 1000, false, false));
        }
        assert!(of_two.waits.len() <= MOST_WAITING);
        // Whoever is not heard any more leaves the other as it is.
        let mut alone = Overhearing::new(LegId(2), 8000);
        let mut heard = frame(8000, 7, false, false);
        alone.add_to(&mut heard);
        assert_eq!(heard.pcm(), [7; 160]);
    }
}
