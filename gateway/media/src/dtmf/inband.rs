//! Digits in the sound itself, where the far end did not agree on telephone-event.

use trunkline_dsp::to_f32;
use trunkline_dsp::tone::{DtmfDetector, DtmfEvent, UnknownRate};
use trunkline_leg::DtmfDigit;

/// Samples converted at a time.
const PIECE: usize = 160;

/// Listens for tones in what is heard.
#[derive(Debug)]
pub(crate) struct InbandDigits {
    rate: u32,
    position: u64,
    detector: DtmfDetector,
}

impl InbandDigits {
    /// Of sound at `rate` Hz: 8000, 16 000 or 48 000.
    pub(crate) fn new(rate: u32) -> Result<Self, UnknownRate> {
        Ok(Self { rate, position: 0, detector: DtmfDetector::new(rate)? })
    }

    /// Listens to the next frame and hands over each digit that was pressed, once, with the time from its beginning to
    /// the end of the frame in microseconds.
    pub(crate) fn listen(&mut self, pcm: &[i16], mut pressed: impl FnMut(DtmfDigit, u64)) {
        let end = self.position + pcm.len() as u64;
        for piece in pcm.chunks(PIECE) {
            let mut samples = [0.0; PIECE];
            for (sample, pcm) in samples.iter_mut().zip(piece) {
                *sample = to_f32(*pcm);
            }
            let rate = u64::from(self.rate);
            self.detector.process(&samples[..piece.len()], |event| {
                if let DtmfEvent::Down { key, at, .. } = event
                    && let Some(digit) = DtmfDigit::from_char(key)
                {
                    pressed(digit, end.saturating_sub(at) * 1_000_000 / rate);
                }
            });
        }
        self.position = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_dsp::tone::DtmfTone;

    #[test]
    fn a_pressed_key_is_told_once_with_its_beginning() {
        let mut digits = InbandDigits::new(8000).unwrap();
        let mut sound = vec![0_i16; 8000];
        // Half a second in, for 200 ms.
        DtmfTone::new('7', 8000, 200).unwrap().fill(&mut sound[4000..5600]);
        let mut heard = Vec::new();
        for (n, frame) in sound.chunks(160).enumerate() {
            digits.listen(frame, |digit, ago_us| heard.push((digit.as_char(), (n as u64 + 1) * 20_000 - ago_us)));
        }
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!(heard[0].0, '7');
        assert!(heard[0].1.abs_diff(500_000) <= 6_000, "{heard:?}");
    }

    #[test]
    fn wideband_sound_is_listened_to_as_well() {
        assert!(InbandDigits::new(11_025).is_err());
        let mut digits = InbandDigits::new(16_000).unwrap();
        let mut sound = vec![0_i16; 3200];
        DtmfTone::new('#', 16_000, 100).unwrap().fill(&mut sound);
        let mut heard = String::new();
        digits.listen(&sound, |digit, _| heard.push(digit.as_char()));
        assert_eq!(heard, "#");
    }
}
