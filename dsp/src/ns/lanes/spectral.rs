//! The economy engine: a spectral suppressor in the same windows and lanes as the network, without its features, its
//! search for pitch and its second transform.
//!
//! The noise of each bin is tracked by how probable it is that the bin holds more than noise (Gerkmann and Hendriks,
//! "Unbiased MMSE-Based Noise Power Estimation with Low Complexity and Low Tracking Delay", 2012); the gain is Wiener's,
//! of a signal-to-noise ratio estimated from this step and the one before (Ephraim and Malah 1984, "decision-directed").

use super::elementary::exp2;
use super::state::State;
use super::vector::{Complex, Lanes, Mask};
use crate::simd::Fused;

/// Signal-to-noise ratio that sound is assumed to have where there is any: 15 dB.
const TYPICAL: f32 = 31.623;
/// What that makes of an excess of power over the noise: an exponent of two.
const EXPONENT: f32 = -TYPICAL / (1.0 + TYPICAL) * std::f32::consts::LOG2_E;
/// How fast the noise follows, and how fast the memory of presence forgets, per step.
const NOISE_KEEP: f32 = 0.85;
const PRESENCE_KEEP: f32 = 0.92;
/// A bin that was surely sound for so long is believed to be noise a little, so that a noise that rises is found.
const STUCK: f32 = 0.99;
/// Weight of the step before in the signal-to-noise ratio.
const PAST: f32 = 0.96;
/// Least signal-to-noise ratio and least gain: 20 dB down, so that what is left of the noise does not twitter.
const LEAST_RATIO: f32 = 0.003;
const LEAST_GAIN: f32 = 0.1;
/// Power of a bin below which there is nothing, far below one 16-bit step.
const NOTHING: f32 = 1e-6;

/// Takes the noise out of `spectrum` where `run` is set.
#[inline(always)]
pub(super) fn suppress<const L: usize, F: Fused>(state: &mut State<'_, L>, spectrum: &mut [Complex<L>], run: Mask<L>) {
    let rows = state.noise.iter_mut().zip(state.clean.iter_mut()).zip(state.presence.iter_mut());
    for (bin, ((noise, clean), presence)) in spectrum.iter_mut().zip(rows) {
        let one = Lanes::splat(1.0);
        let power = bin.re * bin.re + bin.im * bin.im + NOTHING;
        // Nothing is known before the first step: all of it is noise until something stands out.
        let before = power.or(Lanes::splat(NOTHING * 0.5).above(*noise), *noise);
        let excess = power / before;

        let odds = exp2::<L, F>(excess * EXPONENT) * (1.0 + TYPICAL);
        let probable = one / (one + odds);
        let lately = *presence * PRESENCE_KEEP + probable * (1.0 - PRESENCE_KEEP);
        let probable = probable.min(Lanes::splat(STUCK).or(lately.above(Lanes::splat(STUCK)), one));
        let heard = probable * before + (one - probable) * power;
        let now = (before * NOISE_KEEP + heard * (1.0 - NOISE_KEEP)).max(Lanes::splat(NOTHING));

        let fresh = (power / now - 1.0).max(Lanes::ZERO);
        let ratio = (*clean / now * PAST + fresh * (1.0 - PAST)).max(Lanes::splat(LEAST_RATIO));
        let gain = ratio / (ratio + 1.0);
        *clean = (gain * gain * power).or(run, *clean);
        *noise = now.or(run, *noise);
        *presence = lately.or(run, *presence);
        *bin = bin.scaled(gain.max(Lanes::splat(LEAST_GAIN)).or(run, one));
    }
}
