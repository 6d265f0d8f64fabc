//! The pitch period, as RNNoise takes it from CELT: a coarse search at 12 kHz in lanes, then per call a fine one at
//! 24 kHz and the test whether the period found is a multiple of the true one.

use super::vector::{Lanes, Mask};
use super::whiten::LENGTH;
use crate::simd::Fused;

/// Longest period at 24 kHz, and where the newest window of 480 samples begins.
const LONGEST: usize = 384;
const SHORTEST: usize = 30;
const WINDOW: usize = 480;
/// Lags of the coarse and the fine search; they count down from the longest period.
const COARSE: usize = 147;
const FINE: usize = 294;
/// Lags correlated at a time in the coarse search.
const BLOCK: usize = 7;

/// Room for the search.
#[derive(Debug)]
pub(super) struct Room<const L: usize> {
    /// Every second sample of the flattened signal.
    sparse: [Lanes<L>; LONGEST / 2 + WINDOW / 2],
    correlation: [Lanes<L>; COARSE],
    /// Energy of the window at each lag.
    energy: [Lanes<L>; LONGEST + 1],
    /// The flattened signal call by call.
    calls: [[f32; LENGTH]; L],
}

impl<const L: usize> Room<L> {
    pub(super) fn new() -> Self {
        Self {
            sparse: [Lanes::ZERO; LONGEST / 2 + WINDOW / 2],
            correlation: [Lanes::ZERO; COARSE],
            energy: [Lanes::ZERO; LONGEST + 1],
            calls: [[0.0; LENGTH]; L],
        }
    }
}

/// The period in samples at 48 kHz and its strength, from the flattened signal and the last step's period and
/// strength; both move on where `run` is set.
#[inline(always)]
pub(super) fn find<const L: usize, F: Fused>(
    room: &mut Room<L>,
    signal: &[Lanes<L>; LENGTH],
    run: Mask<L>,
    period: &mut Lanes<L>,
    strength: &mut Lanes<L>,
) {
    let Room { sparse, correlation, energy, calls } = room;
    for (sparse, pair) in sparse.iter_mut().zip(signal.chunks_exact(2)) {
        *sparse = pair[0];
    }
    split(signal, calls);

    correlate_all::<L, F>(sparse, correlation);
    past_energies(sparse, WINDOW / 2, &mut energy[..COARSE]);
    let (first, second) = two_best(correlation, &energy[..COARSE]);
    past_energies(signal, WINDOW, &mut energy[..FINE]);
    let mut newest = Lanes::<L>::ZERO;
    let mut longest = [0; L];
    for (lane, call) in calls.iter().enumerate() {
        let coarse = (first.0[lane] as usize, second.0[lane] as usize);
        longest[lane] = fine::<F>(call, coarse, |lag| energy[lag].0[lane]);
        newest.0[lane] = inner_products::<1, F>(&call[LONGEST..], [&call[LONGEST..]])[0];
    }

    energies(signal, newest, energy);
    for (lane, signal) in calls.iter().enumerate().filter(|(lane, _)| run.has(*lane)) {
        let energy = &|lag: usize| energy[lag].0[lane];
        let call = Call { signal, energy, last: (period.0[lane] as usize / 2, strength.0[lane]) };
        let (found, gain) = call.without_multiples::<F>(longest[lane]);
        period.0[lane] = found as f32;
        strength.0[lane] = gain;
    }
}

/// Lays the signal out call by call.
#[inline(always)]
fn split<const L: usize>(signal: &[Lanes<L>; LENGTH], calls: &mut [[f32; LENGTH]; L]) {
    const TILE: usize = 8;
    for (tile, rows) in signal.chunks_exact(TILE).enumerate() {
        for (lane, call) in calls.iter_mut().enumerate() {
            let column: [f32; TILE] = std::array::from_fn(|row| rows[row].0[lane]);
            call[tile * TILE..(tile + 1) * TILE].copy_from_slice(&column);
        }
    }
}

/// Correlation of the newest window with each of the oldest lags, one running sum per lag as the reference has it.
#[inline(always)]
fn correlate_all<const L: usize, F: Fused>(signal: &[Lanes<L>], out: &mut [Lanes<L>]) {
    let newest = &signal[LONGEST / 2..LONGEST / 2 + WINDOW / 2];
    for (block, out) in out.chunks_exact_mut(BLOCK).enumerate() {
        let past = &signal[block * BLOCK..block * BLOCK + WINDOW / 2 + BLOCK - 1];
        let mut sums = [Lanes::ZERO; BLOCK];
        for (sample, past) in newest.iter().zip(past.windows(BLOCK)) {
            for lag in 0..BLOCK {
                sums[lag] = sums[lag].plus_product::<F>(*sample, past[lag]);
            }
        }
        out.copy_from_slice(&sums);
    }
}

/// The energy of the window at each of the oldest lags, and one; never below 1.
#[inline(always)]
fn past_energies<const L: usize>(signal: &[Lanes<L>], window: usize, out: &mut [Lanes<L>]) {
    let mut energy = Lanes::splat(1.0);
    for sample in &signal[..window] {
        energy += *sample * *sample;
    }
    for ((out, enters), leaves) in out.iter_mut().zip(&signal[window..]).zip(signal) {
        *out = energy;
        energy = (energy + (*enters * *enters - *leaves * *leaves)).max(Lanes::splat(1.0));
    }
}

/// The two lags whose correlation, squared over the energy of their window, is largest; as exact floats.
#[inline(always)]
fn two_best<const L: usize>(correlation: &[Lanes<L>], energy: &[Lanes<L>]) -> (Lanes<L>, Lanes<L>) {
    let (mut best, mut best_value, mut best_energy) = (Lanes::<L>::ZERO, Lanes::<L>::splat(-1.0), Lanes::<L>::ZERO);
    let (mut second, mut second_value, mut second_energy) =
        (Lanes::<L>::splat(1.0), Lanes::<L>::splat(-1.0), Lanes::<L>::ZERO);
    for (lag, (value, energy)) in correlation.iter().zip(energy).enumerate() {
        let square = *value * *value;
        let loud = value.above(Lanes::ZERO);
        let beats_second = loud.and((square * second_energy).above(second_value * *energy));
        let beats_best = beats_second.and((square * best_energy).above(best_value * *energy));
        let index = Lanes::splat(lag as f32);
        second = best.or(beats_best, index.or(beats_second, second));
        second_value = best_value.or(beats_best, square.or(beats_second, second_value));
        second_energy = best_energy.or(beats_best, energy.or(beats_second, second_energy));
        best = index.or(beats_best, best);
        best_value = square.or(beats_best, best_value);
        best_energy = energy.or(beats_best, best_energy);
    }
    (best, second)
}

/// The energy of the window at each lag, from the newest's.
#[inline(always)]
fn energies<const L: usize>(signal: &[Lanes<L>; LENGTH], newest: Lanes<L>, out: &mut [Lanes<L>; LONGEST + 1]) {
    let mut energy = newest;
    out[0] = energy;
    for lag in 1..=LONGEST {
        let (enters, leaves) = (signal[LONGEST - lag], signal[LONGEST + WINDOW - lag]);
        energy += enters * enters - leaves * leaves;
        out[lag] = energy.max(Lanes::ZERO);
    }
}

/// The period at 24 kHz whose correlation is best within two lags of twice each coarse lag.
#[inline(always)]
fn fine<F: Fused>(call: &[f32; LENGTH], (first, second): (usize, usize), energy: impl Fn(usize) -> f32) -> usize {
    let newest = &call[LONGEST..];
    let mut known = [(usize::MAX, 0.0); 10];
    for (half, coarse) in [first.min(second), first.max(second)].into_iter().enumerate() {
        let lags: [usize; 5] = std::array::from_fn(|n| (2 * coarse + n).saturating_sub(2));
        let products = inner_products::<5, F>(newest, lags.map(|lag| &call[lag.min(FINE - 1)..]));
        for n in 0..5 {
            known[5 * half + n] = (lags[n], products[n].max(-1.0));
        }
    }
    let at = |wanted: usize| known.iter().find(|(lag, _)| *lag == wanted).map_or(0.0, |(_, value)| *value);
    let (mut best, mut best_value, mut best_energy) = (0, -1.0, 0.0);
    for (lag, value) in known {
        if lag < FINE && value > 0.0 && value * value * best_energy > best_value * energy(lag) {
            (best, best_value, best_energy) = (lag, value * value, energy(lag));
        }
    }
    // Lags count down and periods up, and yet the reference adds this as it is.
    let nudge = if best > 0 && best < FINE - 1 { lean(at(best - 1), at(best), at(best + 1)) } else { 0 };
    let period = (2 * (LONGEST - best)).saturating_add_signed(nudge);
    (period / 2).min(LONGEST - 1)
}

/// -1 when the maximum leans towards the first, 1 when towards the last of three neighbours.
#[inline(always)]
fn lean(first: f32, middle: f32, last: f32) -> isize {
    if last - first > 0.7 * (middle - first) {
        1
    } else if first - last > 0.7 * (middle - last) {
        -1
    } else {
        0
    }
}

/// What the search for shorter periods looks at.
struct Call<'a, E> {
    signal: &'a [f32; LENGTH],
    energy: &'a E,
    /// Period at 24 kHz and strength of the last step.
    last: (usize, f32),
}

impl<E: Fn(usize) -> f32> Call<'_, E> {
    /// The correlations of the newest window at four lags.
    #[inline(always)]
    fn at<const N: usize, F: Fused>(&self, lags: [usize; N]) -> [f32; N] {
        let window = |lag: usize| &self.signal[LONGEST - lag..LONGEST - lag + WINDOW];
        inner_products::<N, F>(window(0), lags.map(window))
    }

    /// The true period, at 48 kHz, and its strength, when `longest` at 24 kHz may be a multiple of it.
    #[inline(always)]
    fn without_multiples<F: Fused>(&self, longest: usize) -> (usize, f32) {
        let own = (self.energy)(0);
        let [correlation] = self.at::<1, F>([longest]);
        let energy = (self.energy)(longest);
        let first_gain = gain(correlation, own, energy);
        let mut best = (longest, first_gain, correlation, energy);
        for divisors in [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13], [14, 15]] {
            // Two at a time, so that the processor has four sums to work on.
            let [a, b] = divisors.map(|divisor| candidate(longest, divisor));
            if a.0 < SHORTEST {
                break;
            }
            let products = self.at::<4, F>([a.0, a.1, b.0, b.1]);
            for (half, (divisor, (period, other))) in divisors.into_iter().zip([a, b]).enumerate() {
                if period < SHORTEST {
                    break;
                }
                let correlation = (products[2 * half] + products[2 * half + 1]) / 2.0;
                let energy = ((self.energy)(period) + (self.energy)(other)) / 2.0;
                let gain = gain(correlation, own, energy);
                if gain > self.threshold(period, longest, divisor, first_gain) {
                    best = (period, gain, correlation, energy);
                }
            }
        }
        let (period, gain, correlation, energy) = best;
        let correlation = if correlation > 0.0 { correlation } else { 0.0 };
        let strength = if energy <= correlation { 1.0 } else { correlation / (energy + 1.0) };
        let [shorter, middle, longer] = self.at::<3, F>([period - 1, period, period + 1]);
        let found = (2 * period).saturating_add_signed(lean(shorter, middle, longer)).max(2 * SHORTEST);
        (found, if gain < strength { gain } else { strength })
    }

    /// How strong a shorter period must be: weaker when it continues the last step's, stronger when very short.
    #[inline(always)]
    fn threshold(&self, period: usize, longest: usize, divisor: usize, first_gain: f32) -> f32 {
        let (last, strength) = self.last;
        let bonus = match period.abs_diff(last) {
            0 | 1 => strength,
            2 if 5 * divisor * divisor < longest => strength / 2.0,
            _ => 0.0,
        };
        if period < 3 * SHORTEST { (0.85 * first_gain - bonus).max(0.4) } else { (0.7 * first_gain - bonus).max(0.3) }
    }
}

/// The period that `longest` may be `divisor` times of, and a second place that must correlate too if it is.
#[inline(always)]
fn candidate(longest: usize, divisor: usize) -> (usize, usize) {
    let period = (2 * longest + divisor) / (2 * divisor);
    let other = match divisor {
        2 if period + longest > LONGEST => longest,
        2 => longest + period,
        _ => (2 * SECOND[divisor] * longest + divisor) / (2 * divisor),
    };
    (period, other)
}

/// For each divisor, the multiple of the shorter period that must correlate too.
const SECOND: [usize; 16] = [0, 0, 3, 2, 3, 2, 5, 2, 3, 2, 3, 2, 5, 2, 3, 2];

#[inline(always)]
fn gain(correlation: f32, own: f32, other: f32) -> f32 {
    correlation / (1.0 + own * other).sqrt()
}

/// Products of one window with `N` others, each in eight running sums.
#[inline(always)]
fn inner_products<const N: usize, F: Fused>(window: &[f32], others: [&[f32]; N]) -> [f32; N] {
    let others = others.map(eighths);
    let mut sums = [Lanes::<8>::ZERO; N];
    for (at, part) in eighths(window).iter().enumerate() {
        for n in 0..N {
            sums[n] = sums[n].plus_product::<F>(Lanes(*part), Lanes(others[n][at]));
        }
    }
    sums.map(|Lanes([a, b, c, d, e, f, g, h])| ((a + e) + (c + g)) + ((b + f) + (d + h)))
}

/// A window, eight samples at a time.
#[inline(always)]
fn eighths(window: &[f32]) -> &[[f32; 8]; WINDOW / 8] {
    const NONE: [[f32; 8]; WINDOW / 8] = [[0.0; 8]; WINDOW / 8];
    window[..WINDOW].as_chunks().0.first_chunk().unwrap_or(&NONE)
}
