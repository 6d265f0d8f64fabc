//! Finds loud onsets after a pause: what marks are recognised by when they come back.

use trunkline_dsp::codec::ulaw_decode;

/// A sample beyond this is loud: -24 dBFS, far above comfort noise and far below the peaks of speech.
pub(crate) const LOUD: i16 = 2000;
/// Silence before an onset that counts, in samples: 400 ms.
const PAUSE: usize = 3200;

/// Follows one sound.
#[derive(Debug)]
pub(crate) struct Onsets {
    quiet: usize,
}

impl Default for Onsets {
    /// Before a sound begins there is silence.
    fn default() -> Self {
        Self { quiet: PAUSE }
    }
}

impl Onsets {
    /// The next samples, in PCMU; where the first loud one after a pause is among them.
    pub(crate) fn handle(&mut self, codes: &[u8]) -> Option<usize> {
        let mut onset = None;
        for (index, code) in codes.iter().enumerate() {
            if ulaw_decode(*code).saturating_abs() < LOUD {
                self.quiet += 1;
                continue;
            }
            if self.quiet >= PAUSE && onset.is_none() {
                onset = Some(index);
            }
            self.quiet = 0;
        }
        onset
    }

    /// Samples that never came.
    pub(crate) const fn skip(&mut self, samples: usize) {
        self.quiet += samples;
    }
}
