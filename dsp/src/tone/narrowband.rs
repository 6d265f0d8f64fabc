//! Sound of any rate we take, as clean 8 kHz for the analysers.

use super::UnknownRate;
use crate::resample::Resampler;

/// Most input samples taken in one go.
const PIECE: usize = 480;

/// Brings a stream to 8 kHz and makes numbers of whatever it holds.
#[derive(Debug, Clone)]
pub(crate) struct Narrowband {
    factor: u32,
    resampler: Resampler,
}

impl Narrowband {
    pub(crate) fn new(rate: u32) -> Result<Self, UnknownRate> {
        if !matches!(rate, 8000 | 16000 | 48000) {
            return Err(UnknownRate(rate));
        }
        let resampler = Resampler::new(rate, 8000).map_err(|_| UnknownRate(rate))?;
        Ok(Self { factor: rate / 8000, resampler })
    }

    /// Forgets the stream.
    pub(crate) fn reset(&mut self) {
        self.resampler.reset();
    }

    /// Input samples per sample of 8 kHz.
    pub(crate) const fn factor(&self) -> u32 {
        self.factor
    }

    /// Hands the stream over in pieces; how a stream is cut does not change what comes out.
    pub(crate) fn process(&mut self, pcm: &[f32], mut take: impl FnMut(&[f32])) {
        let mut clean = [0.0; PIECE];
        let mut narrow = [0.0; PIECE + 1];
        for piece in pcm.chunks(PIECE) {
            for (clean, sample) in clean.iter_mut().zip(piece) {
                *clean = numeric(*sample);
            }
            let count = self.resampler.process_f32(&clean[..piece.len()], &mut narrow);
            take(&narrow[..count]);
        }
    }
}

/// The sample within -1..=1; what is not a number is silence.
#[inline(always)]
pub(crate) fn numeric(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_samples_are_silence_and_do_not_linger() {
        for rate in [8000, 16000, 48000] {
            let mut narrow = Narrowband::new(rate).unwrap();
            let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, f32::NAN];
            narrow.process(&bad, |_| {});
            let mut last = 1.0;
            narrow.process(&vec![0.0; rate as usize], |piece| {
                assert!(piece.iter().all(|sample| sample.is_finite()));
                last = piece.last().copied().unwrap_or(last);
            });
            assert_eq!(last, 0.0);
        }
        assert_eq!(Narrowband::new(11025).err(), Some(UnknownRate(11025)));
    }
}
