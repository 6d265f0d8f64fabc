//! The signal in which pitch is searched: 24 kHz, flattened by a short linear prediction of its own.

use super::rate::{Rate, TAPS};
use super::vector::Lanes;
use crate::simd::Fused;

/// Samples at 24 kHz: the longest period and a window.
pub(super) const LENGTH: usize = 864;
/// Samples of a step at 24 kHz.
const STEP: usize = 240;

/// From the whole history at 48 kHz.
#[inline(always)]
pub(super) fn halve<const L: usize>(history: &[Lanes<L>], out: &mut [Lanes<L>; LENGTH]) {
    let history = &history[..2 * LENGTH];
    out[0] = (history[1] * 0.5 + history[0]) * 0.5;
    for (out, around) in out[1..].iter_mut().zip(history[1..].windows(3).step_by(2)) {
        *out = ((around[0] + around[2]) * 0.5 + around[1]) * 0.5;
    }
}

/// Moves `past` on by a step and puts the newest step of an 8 or 16 kHz history at its end.
#[inline(always)]
pub(super) fn raise<const L: usize, F: Fused>(rate: &Rate, history: &[Lanes<L>], past: &mut [Lanes<L>]) {
    let past = &mut past[..LENGTH];
    past.copy_within(STEP.., 0);
    let newest = &history[history.len() - rate.step - (TAPS - 1)..];
    let stride = 6 / rate.divisor;
    for (index, out) in past[LENGTH - STEP..].iter_mut().enumerate() {
        let at = index * stride;
        let mut sum = Lanes::ZERO;
        for (sample, tap) in newest[at / 3..at / 3 + TAPS].iter().zip(&rate.up[at % 3]) {
            sum = sum.plus::<F>(*sample, *tap);
        }
        *out = sum;
    }
}

/// A call's flattening filter in each lane; in memory, so that the compiler takes each tap as one vector.
pub(super) type Taps<const L: usize> = [Lanes<L>; 5];

/// Flattens the spectrum of `signal`; `taps` is room.
#[inline(always)]
pub(super) fn whiten<const L: usize, F: Fused>(
    signal: &[Lanes<L>; LENGTH],
    taps: &mut Taps<L>,
    out: &mut [Lanes<L>; LENGTH],
) {
    let correlation = autocorrelation::<L, F>(signal);
    for lane in 0..L {
        let filter = flattening_filter(correlation.map(|sum| sum.0[lane]));
        for (tap, value) in taps.iter_mut().zip(filter) {
            tap.0[lane] = value;
        }
    }
    let past = |at: usize, age: usize| if at < age { Lanes::ZERO } else { signal[at - age] };
    for (at, out) in out[..5].iter_mut().enumerate() {
        *out = signal[at];
        for age in 1..=5 {
            *out = out.plus_product::<F>(taps[age - 1], past(at, age));
        }
    }
    for (out, around) in out[5..].iter_mut().zip(signal.windows(6)) {
        let mut sum = around[5];
        for (tap, past) in taps.iter().zip(around[..5].iter().rev()) {
            sum = sum.plus_product::<F>(*tap, *past);
        }
        *out = sum;
    }
}

#[inline(always)]
fn autocorrelation<const L: usize, F: Fused>(signal: &[Lanes<L>; LENGTH]) -> [Lanes<L>; 5] {
    const FULL: usize = LENGTH - 4;
    let mut sums = [Lanes::ZERO; 5];
    for ahead in signal.windows(5) {
        for lag in 0..5 {
            sums[lag] = sums[lag].plus_product::<F>(ahead[0], ahead[lag]);
        }
    }
    for (lag, sum) in sums.iter_mut().enumerate() {
        let mut rest = Lanes::ZERO;
        for at in lag + FULL..LENGTH {
            rest = rest.plus_product::<F>(signal[at], signal[at - lag]);
        }
        *sum += rest;
    }
    sums
}

/// The five taps after the leading one, from the autocorrelation at lags 0..=4.
#[inline(always)]
fn flattening_filter(mut correlation: [f32; 5]) -> [f32; 5] {
    // A noise floor of -40 dB, and a window over the lags.
    correlation[0] *= 1.0001;
    for (lag, value) in correlation.iter_mut().enumerate().skip(1) {
        *value -= *value * (0.008 * lag as f32) * (0.008 * lag as f32);
    }
    let mut prediction = levinson_durbin(correlation);
    let mut shrink = 1.0;
    for value in &mut prediction {
        shrink *= 0.9;
        *value *= shrink;
    }
    let [a, b, c, d] = prediction;
    [a + 0.8, b + 0.8 * a, c + 0.8 * b, d + 0.8 * c, 0.8 * d]
}

/// Predicts a sample from the four before it; stops early once 30 dB are predicted.
#[inline(always)]
fn levinson_durbin(correlation: [f32; 5]) -> [f32; 4] {
    let mut prediction = [0.0; 4];
    let mut error = correlation[0];
    if error == 0.0 {
        return prediction;
    }
    for order in 0..4 {
        let mut sum = 0.0;
        for past in 0..order {
            sum += prediction[past] * correlation[order - past];
        }
        sum += correlation[order + 1];
        let reflection = -sum / error;
        prediction[order] = reflection;
        for near in 0..order.div_ceil(2) {
            let far = order - 1 - near;
            let (x, y) = (prediction[near], prediction[far]);
            prediction[near] = x + reflection * y;
            prediction[far] = y + reflection * x;
        }
        error -= reflection * reflection * error;
        if error < 0.001 * correlation[0] {
            break;
        }
    }
    prediction
}
