//! Tones of networks and machines in what is heard of a leg, listened for only while somebody wants to know.

use trunkline_dsp::to_f32;
use trunkline_dsp::tone::progress::{Classifier, Progress};
use trunkline_dsp::tone::{Plan, UnknownRate};
use trunkline_leg::{CallTime, LegFact, ToneKind};

/// Samples converted at a time.
const PIECE: usize = 160;

/// Listens for tones: 5 kB that a leg has while it is asked to.
#[derive(Debug)]
pub(crate) struct Tones {
    rate: u64,
    position: u64,
    classifier: Classifier,
}

impl Tones {
    /// Of sound at `rate` Hz, 8000, 16 000 or 48 000, from a network with the tones of `plan`. Allocates its tables once
    /// for the process: not for a media thread.
    pub(crate) fn new(rate: u32, plan: &'static Plan) -> Result<Self, UnknownRate> {
        Ok(Self { rate: u64::from(rate), position: 0, classifier: Classifier::new(rate, plan)? })
    }

    /// Listens to the next frame, whose last sample was heard at `end`, and hands over what became clear in it.
    pub(crate) fn listen(&mut self, pcm: &[i16], end: CallTime, mut heard: impl FnMut(LegFact)) {
        let Self { rate, position, classifier } = self;
        let after = *position + pcm.len() as u64;
        for piece in pcm.chunks(PIECE) {
            let mut samples = [0.0; PIECE];
            for (sample, pcm) in samples.iter_mut().zip(piece) {
                *sample = to_f32(*pcm);
            }
            classifier.process(&samples[..piece.len()], |event| {
                let ago_us = after.saturating_sub(event.at) * 1_000_000 / *rate;
                let at = CallTime(end.as_us().saturating_sub(ago_us));
                if let Some((kind, hz, duration_ms)) = tone(event.progress) {
                    heard(LegFact::Tone { kind, at, duration_ms, hz });
                }
            });
        }
        *position = after;
    }
}

/// A tone as a leg tells of it; voice and quiet are told by others.
fn tone(progress: Progress) -> Option<(ToneKind, u16, u32)> {
    Some(match progress {
        Progress::Dial => (ToneKind::Dial, 0, 0),
        Progress::Ringback => (ToneKind::Ringback, 0, 0),
        Progress::Busy => (ToneKind::Busy, 0, 0),
        Progress::Congestion => (ToneKind::Congestion, 0, 0),
        Progress::Sit(_) => (ToneKind::SpecialInformation, 0, 0),
        Progress::FaxCng => (ToneKind::FaxCalling, 1100, 0),
        Progress::FaxCed => (ToneKind::FaxAnswering, 2100, 0),
        Progress::Beep { hz, duration_ms } => (ToneKind::Beep, hz.round().clamp(0.0, 4000.0) as u16, duration_ms),
        Progress::Voice | Progress::Silence => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beep(rate: u32, hz: f32, from_ms: usize, ms: usize, whole_ms: usize) -> Vec<i16> {
        let per_ms = rate as usize / 1000;
        let mut sound = vec![0_i16; whole_ms * per_ms];
        for (n, sample) in sound.iter_mut().enumerate().skip(from_ms * per_ms).take(ms * per_ms) {
            *sample = (6000.0 * (std::f32::consts::TAU * hz * n as f32 / rate as f32).sin()) as i16;
        }
        sound
    }

    #[test]
    fn a_beep_is_told_once_soon_after_it_is_over() {
        for rate in [8000, 16_000] {
            let mut tones = Tones::new(rate, &Plan::US).unwrap();
            let sound = beep(rate, 1000.0, 1000, 400, 3000);
            let mut heard = Vec::new();
            for (n, frame) in sound.chunks(rate as usize / 50).enumerate() {
                tones.listen(frame, CallTime::from_ms((n as u64 + 1) * 20), |fact| heard.push(fact));
            }
            let [LegFact::Tone { kind: ToneKind::Beep, at, duration_ms, hz }] = heard[..] else { panic!("{heard:?}") };
            assert!((1400..1650).contains(&at.as_ms()), "{at:?}");
            assert!(duration_ms.abs_diff(400) <= 30 && hz.abs_diff(1000) <= 3, "{duration_ms} {hz}");
        }
    }

    #[test]
    fn rates_that_no_analyser_knows_are_refused() {
        assert!(Tones::new(11_025, &Plan::US).is_err());
    }
}
