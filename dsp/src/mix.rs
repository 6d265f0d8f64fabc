//! Mixing: everyone hears everyone but themselves (N-1).
//!
//! The sum of all parties is made once, in 32 bits, and each listener's own sound is taken from it again. A mix beyond
//! full scale is turned down for its listener until the peak fits, and comes back slowly; only the first 32 samples of a
//! frame that is suddenly too loud may clip.

use crate::simd::{Simd, dispatched};

/// The most parties of a conference.
pub const MAX_PARTIES: usize = 64;
/// The longest frame, in samples: 20 ms at 48 kHz.
pub const MAX_FRAME: usize = 960;

/// Samples over which a mix that is too loud is turned down.
const ATTACK: usize = 32;
/// The largest rise of the gain from frame to frame, on the way back to 1.
const RELEASE: f32 = 0.02;

/// The N-1 mixer of one conference of up to [`MAX_PARTIES`].
///
/// Per frame: [`Mixer::begin`], [`Mixer::add`] for every party that is heard, then [`Mixer::mix`] for every listener.
#[derive(Debug, Clone)]
pub struct Mixer {
    simd: Simd,
    /// Sum of all parties; the first `samples` count.
    sum: Box<[i32; MAX_FRAME]>,
    /// One listener's mix.
    own: Box<[i32; MAX_FRAME]>,
    samples: usize,
    parties: usize,
    /// Gain of each listener at the end of the last frame, 0..=1.
    gains: Box<[f32; MAX_PARTIES]>,
}

impl Default for Mixer {
    fn default() -> Self {
        Self::new()
    }
}

impl Mixer {
    /// A mixer with the widest instructions of this processor. Allocates; mixing does not.
    #[must_use]
    pub fn new() -> Self {
        Self::with_simd(Simd::detect())
    }

    /// A mixer with the given instructions; every set gives the same bits.
    #[must_use]
    pub fn with_simd(simd: Simd) -> Self {
        Self {
            simd,
            sum: Box::new([0; MAX_FRAME]),
            own: Box::new([0; MAX_FRAME]),
            samples: 0,
            parties: 0,
            gains: Box::new([1.0; MAX_PARTIES]),
        }
    }

    /// Starts a frame of `samples`, at most [`MAX_FRAME`]: silence.
    pub fn begin(&mut self, samples: usize) {
        self.samples = samples.min(MAX_FRAME);
        self.parties = 0;
        self.sum[..self.samples].fill(0);
    }

    /// Adds a party's frame. A shorter one ends in silence, of a longer one the beginning counts. Parties beyond
    /// [`MAX_PARTIES`] are not heard: `false`.
    pub fn add(&mut self, pcm: &[i16]) -> bool {
        let room = self.parties < MAX_PARTIES;
        if room {
            self.parties += 1;
            accumulate(self.simd, pcm, &mut self.sum[..self.samples]);
        }
        room
    }

    /// Writes what `listener` (0..[`MAX_PARTIES`]) hears: the sum without `own`, the very frame that was added for them;
    /// `None` for one who was not heard. Fills `out` up to the frame's length and returns the samples written.
    pub fn mix(&mut self, listener: usize, own: Option<&[i16]>, out: &mut [i16]) -> usize {
        let samples = self.samples.min(out.len());
        let Some(gain) = self.gains.get_mut(listener) else { return 0 };
        let (sum, out, mix) = (&self.sum[..samples], &mut out[..samples], &mut self.own[..samples]);
        mix.copy_from_slice(sum);
        subtract(self.simd, own.unwrap_or(&[]), mix);
        let loudest = peak(self.simd, mix);
        let fits = if loudest > 32767 { 32767.0 / loudest as f32 } else { 1.0 };
        let next = fits.min(*gain + RELEASE).min(1.0);
        if *gain == 1.0 && next == 1.0 {
            saturate(self.simd, mix, out);
        } else {
            // Down quickly, so that little of the peak is clipped; up over the whole frame.
            let ramp = if next < *gain { ATTACK.min(samples) } else { samples };
            turn(self.simd, mix, *gain, next, ramp, out);
        }
        *gain = next;
        samples
    }

    /// Forgets how far `listener` was turned down: the place is another party's.
    pub fn reset(&mut self, listener: usize) {
        if let Some(gain) = self.gains.get_mut(listener) {
            *gain = 1.0;
        }
    }
}

#[inline(always)]
fn accumulate_kernel(pcm: &[i16], sum: &mut [i32]) {
    // 64 parties of 16 bits fit 22 bits.
    for (sum, sample) in sum.iter_mut().zip(pcm) {
        *sum = sum.wrapping_add(i32::from(*sample));
    }
}
dispatched!(fn accumulate(pcm: &[i16], sum: &mut [i32]) = accumulate_kernel);

#[inline(always)]
fn subtract_kernel(pcm: &[i16], mix: &mut [i32]) {
    for (mix, sample) in mix.iter_mut().zip(pcm) {
        *mix = mix.wrapping_sub(i32::from(*sample));
    }
}
dispatched!(fn subtract(pcm: &[i16], mix: &mut [i32]) = subtract_kernel);

#[inline(always)]
fn peak_kernel(mix: &[i32]) -> i32 {
    mix.iter().fold(0, |peak, sample| peak.max(sample.wrapping_abs()))
}
dispatched!(fn peak(mix: &[i32]) -> i32 = peak_kernel);

#[inline(always)]
fn saturate_kernel(mix: &[i32], out: &mut [i16]) {
    for (out, sample) in out.iter_mut().zip(mix) {
        *out = (*sample).clamp(-32768, 32767) as i16;
    }
}
dispatched!(fn saturate(mix: &[i32], out: &mut [i16]) = saturate_kernel);

/// Multiplies by a gain that goes from `from` to `to` over `ramp` samples and stays there.
#[inline(always)]
fn turn_kernel(mix: &[i32], from: f32, to: f32, ramp: usize, out: &mut [i16]) {
    let step = (to - from) / ramp.max(1) as f32;
    let (ramp, last) = (ramp.min(mix.len()), to);
    for (n, (out, sample)) in out[..ramp].iter_mut().zip(mix).enumerate() {
        let gain = from + step * (n as i32 + 1) as f32;
        *out = ((*sample as f32 * gain) as i32).clamp(-32768, 32767) as i16;
    }
    for (out, sample) in out[ramp..].iter_mut().zip(&mix[ramp..]) {
        *out = ((*sample as f32 * last) as i32).clamp(-32768, 32767) as i16;
    }
}
dispatched!(fn turn(mix: &[i32], from: f32, to: f32, ramp: usize, out: &mut [i16]) = turn_kernel);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(mixer: &mut Mixer, frames: &[Vec<i16>], samples: usize) -> Vec<Vec<i16>> {
        mixer.begin(samples);
        for frame in frames {
            assert!(mixer.add(frame));
        }
        let mix = |(listener, frame): (usize, &Vec<i16>)| {
            let mut out = vec![0; samples];
            assert_eq!(mixer.mix(listener, Some(frame), &mut out), samples);
            out
        };
        frames.iter().enumerate().map(mix).collect()
    }

    proptest! {
        #[test]
        fn everyone_hears_the_others_and_every_level_gives_the_same_bits(
            parties in 1..=MAX_PARTIES, samples in 0..=MAX_FRAME, seed: u32, loud: bool,
        ) {
            let mut seed = seed;
            let frames: Vec<Vec<i16>> = (0..parties)
                .map(|_| (0..samples).map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let sample = (seed >> 16) as i16;
                    if loud { sample } else { sample / 64 }
                }).collect())
                .collect();
            let (mut narrow, mut wide) = (Mixer::with_simd(Simd::BASELINE), Mixer::new());
            for _ in 0..2 {
                let mixes = heard(&mut wide, &frames, samples);
                prop_assert_eq!(&heard(&mut narrow, &frames, samples), &mixes);
                for (me, mix) in mixes.iter().enumerate().filter(|_| !loud) {
                    for (n, sample) in mix.iter().enumerate() {
                        let sum: i32 = frames.iter().map(|frame| i32::from(frame[n])).sum();
                        prop_assert_eq!(i32::from(*sample), sum - i32::from(frames[me][n]));
                    }
                }
            }
        }
    }

    #[test]
    fn a_mix_beyond_full_scale_is_turned_down_and_comes_back() {
        let wave: Vec<i16> = (0..160).map(|n| if n % 20 < 10 { 30000 } else { -30000 }).collect();
        let (mut mixer, mut out) = (Mixer::new(), [0; 160]);
        for _ in 0..3 {
            mixer.begin(160);
            mixer.add(&wave);
            mixer.add(&wave);
            mixer.mix(5, None, &mut out);
        }
        assert!(out.iter().all(|sample| (32700..=32767).contains(&sample.unsigned_abs())), "turned down, not clipped");
        mixer.begin(160);
        mixer.add(&wave);
        mixer.mix(5, None, &mut out);
        assert!(out[159].unsigned_abs() < 18_000, "comes back slowly");
        for _ in 0..50 {
            mixer.mix(5, None, &mut out);
        }
        assert_eq!(out[..], wave[..]);
        mixer.mix(6, None, &mut out);
        assert_eq!(out[..], wave[..], "others are not turned down with them");
    }

    #[test]
    fn odd_lengths_and_too_many_parties_are_bounded() {
        let mut mixer = Mixer::default();
        mixer.begin(100_000);
        assert!((0..MAX_PARTIES).all(|_| mixer.add(&[i16::MIN; 2000])));
        assert!(!mixer.add(&[1; 10]));
        let mut out = [0; 2000];
        assert_eq!(mixer.mix(0, Some(&[5; 3]), &mut out), MAX_FRAME);
        assert_eq!(mixer.mix(MAX_PARTIES, None, &mut out), 0);
        assert_eq!(mixer.mix(1, None, &mut []), 0);
        mixer.begin(0);
        assert_eq!(mixer.mix(0, None, &mut out), 0);
        mixer.reset(99);
        // A frame shorter than the attack.
        mixer.begin(5);
        mixer.add(&[i16::MAX; 5]);
        mixer.add(&[i16::MAX; 3]);
        assert_eq!(mixer.mix(3, None, &mut out), 5);
    }
}
