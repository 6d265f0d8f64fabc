//! The pitch period, as RNNoise takes it from CELT: a coarse search at 12 kHz in lanes, then per call a fine one at
//! 24 kHz and the test whether the period found is a multiple of the true one.

use super::vector::{Lanes, Mask};
use super::whiten::LENGTH;

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
    correlation: [Lanes<L>; FINE],
    /// Energy of the window at each lag.
    energy: [Lanes<L>; LONGEST + 1],
    /// The flattened signal call by call.
    calls: [[f32; LENGTH]; L],
}

impl<const L: usize> Room<L> {
    pub(super) fn new() -> Self {
        Self {
            sparse: [Lanes::ZERO; LONGEST / 2 + WINDOW / 2],
            correlation: [Lanes::ZERO; FINE],
            energy: [Lanes::ZERO; LONGEST + 1],
            calls: [[0.0; LENGTH]; L],
        }
    }
}

/// The period in samples at 48 kHz and its strength, from the flattened signal and the last step's period and
/// strength; both move on where `run` is set.
#[inline(always)]
pub(super) fn find<const L: usize>(
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
    for (at, sample) in signal.iter().enumerate() {
        for lane in 0..L {
            calls[lane][at] = sample.0[lane];
        }
    }

    correlate_all(sparse, &mut correlation[..COARSE]);
    let coarse = two_best(&correlation[..COARSE], sparse, WINDOW / 2);
    correlation.fill(Lanes::ZERO);
    for lane in 0..L {
        correlate_near(&calls[lane], coarse.0.0[lane] as usize, coarse.1.0[lane] as usize, |lag, value| {
            correlation[lag].0[lane] = value;
        });
    }
    let (fine, _) = two_best(correlation, signal, WINDOW);

    let mut own = Lanes::<L>::ZERO;
    for lane in 0..L {
        let newest = &calls[lane][LONGEST..];
        own.0[lane] = inner_products(newest, [newest])[0];
    }
    energies(signal, own, energy);
    for lane in 0..L {
        if !run.0[lane] {
            continue;
        }
        let best = fine.0[lane] as usize;
        let longest = 2 * (LONGEST - best) as isize + nudge(correlation, best, lane);
        let call = Call {
            signal: &calls[lane],
            energy: &|lag: usize| energy[lag].0[lane],
            last: (period.0[lane] as usize / 2, strength.0[lane]),
        };
        let (found, gain) = call.without_multiples((longest as usize / 2).min(LONGEST - 1));
        period.0[lane] = found as f32;
        strength.0[lane] = gain;
    }
}

/// Correlation of the newest window with each of the oldest lags, one running sum per lag as the reference has it.
#[inline(always)]
fn correlate_all<const L: usize>(signal: &[Lanes<L>], out: &mut [Lanes<L>]) {
    let newest = &signal[LONGEST / 2..LONGEST / 2 + WINDOW / 2];
    for (block, out) in out.chunks_exact_mut(BLOCK).enumerate() {
        let past = &signal[block * BLOCK..block * BLOCK + WINDOW / 2 + BLOCK - 1];
        let mut sums = [Lanes::ZERO; BLOCK];
        for (sample, past) in newest.iter().zip(past.windows(BLOCK)) {
            for lag in 0..BLOCK {
                sums[lag] += *sample * past[lag];
            }
        }
        out.copy_from_slice(&sums);
    }
}

/// The two lags whose correlation, squared over the energy of their window, is largest; as exact floats.
#[inline(always)]
fn two_best<const L: usize>(correlation: &[Lanes<L>], signal: &[Lanes<L>], window: usize) -> (Lanes<L>, Lanes<L>) {
    let mut energy = Lanes::splat(1.0);
    for sample in &signal[..window] {
        energy += *sample * *sample;
    }
    let (mut best, mut best_value, mut best_energy) = (Lanes::<L>::ZERO, Lanes::<L>::splat(-1.0), Lanes::<L>::ZERO);
    let (mut second, mut second_value, mut second_energy) =
        (Lanes::<L>::splat(1.0), Lanes::<L>::splat(-1.0), Lanes::<L>::ZERO);
    for (lag, value) in correlation.iter().enumerate() {
        let square = *value * *value;
        let index = lag as f32;
        for lane in 0..L {
            let (square, energy) = (square.0[lane], energy.0[lane]);
            let beats_second = (value.0[lane] > 0.0) & (square * second_energy.0[lane] > second_value.0[lane] * energy);
            let beats_best = beats_second & (square * best_energy.0[lane] > best_value.0[lane] * energy);
            let pick = |old: f32, first: f32, new: f32| {
                if beats_best {
                    first
                } else if beats_second {
                    new
                } else {
                    old
                }
            };
            second.0[lane] = pick(second.0[lane], best.0[lane], index);
            second_value.0[lane] = pick(second_value.0[lane], best_value.0[lane], square);
            second_energy.0[lane] = pick(second_energy.0[lane], best_energy.0[lane], energy);
            best.0[lane] = if beats_best { index } else { best.0[lane] };
            best_value.0[lane] = if beats_best { square } else { best_value.0[lane] };
            best_energy.0[lane] = if beats_best { energy } else { best_energy.0[lane] };
        }
        if lag + 1 < correlation.len() {
            let (enters, leaves) = (signal[lag + window], signal[lag]);
            energy = (energy + (enters * enters - leaves * leaves)).max(Lanes::splat(1.0));
        }
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
        energy = energy + (enters * enters - leaves * leaves);
        out[lag] = energy.max(Lanes::ZERO);
    }
}

/// Correlates at 24 kHz within two lags of twice each coarse lag.
#[inline(always)]
fn correlate_near(call: &[f32; LENGTH], first: usize, second: usize, mut set: impl FnMut(usize, f32)) {
    let newest = &call[LONGEST..];
    for coarse in [first, second] {
        let low = (2 * coarse).saturating_sub(2);
        let at = |lag: usize| &call[lag..lag + WINDOW];
        let near = inner_products(newest, std::array::from_fn::<_, 5, _>(|n| at((low + n).min(FINE - 1))));
        for (n, value) in near.into_iter().enumerate() {
            let lag = low + n;
            if lag < FINE && lag <= 2 * coarse + 2 {
                set(lag, if value > -1.0 { value } else { -1.0 });
            }
        }
    }
}

/// Which way, in samples at 48 kHz, the true maximum lies from the period found at 24 kHz.
#[inline(always)]
fn nudge<const L: usize>(correlation: &[Lanes<L>; FINE], best: usize, lane: usize) -> isize {
    if best == 0 || best + 1 >= FINE {
        return 0;
    }
    // Lags count down and periods up, and yet the reference adds this as it is.
    lean(correlation[best - 1].0[lane], correlation[best].0[lane], correlation[best + 1].0[lane])
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
    fn at<const N: usize>(&self, lags: [usize; N]) -> [f32; N] {
        let window = |lag: usize| &self.signal[LONGEST - lag..LONGEST - lag + WINDOW];
        inner_products(window(0), lags.map(window))
    }

    /// The true period, at 48 kHz, and its strength, when `longest` at 24 kHz may be a multiple of it.
    #[inline(always)]
    fn without_multiples(&self, longest: usize) -> (usize, f32) {
        let own = (self.energy)(0);
        let [correlation] = self.at([longest]);
        let energy = (self.energy)(longest);
        let first_gain = gain(correlation, own, energy);
        let mut best = (longest, first_gain, correlation, energy);
        for divisor in 2..=15 {
            let period = (2 * longest + divisor) / (2 * divisor);
            if period < SHORTEST {
                break;
            }
            // A second place that must correlate too if this is the period.
            let other = match divisor {
                2 if period + longest > LONGEST => longest,
                2 => longest + period,
                _ => (2 * SECOND[divisor] * longest + divisor) / (2 * divisor),
            };
            let [here, there] = self.at([period, other]);
            let correlation = (here + there) / 2.0;
            let energy = ((self.energy)(period) + (self.energy)(other)) / 2.0;
            let gain = gain(correlation, own, energy);
            if gain > self.threshold(period, longest, divisor, first_gain) {
                best = (period, gain, correlation, energy);
            }
        }
        let (period, gain, correlation, energy) = best;
        let correlation = if correlation > 0.0 { correlation } else { 0.0 };
        let strength = if energy <= correlation { 1.0 } else { correlation / (energy + 1.0) };
        let [shorter, middle, longer] = self.at([period - 1, period, period + 1]);
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

/// For each divisor, the multiple of the shorter period that must correlate too.
const SECOND: [usize; 16] = [0, 0, 3, 2, 3, 2, 5, 2, 3, 2, 3, 2, 5, 2, 3, 2];

#[inline(always)]
fn gain(correlation: f32, own: f32, other: f32) -> f32 {
    correlation / (1.0 + own * other).sqrt()
}

/// Products of one window with `N` others, each in four running sums as the reference has it.
#[inline(always)]
fn inner_products<const N: usize>(window: &[f32], others: [&[f32]; N]) -> [f32; N] {
    let window = &window[..WINDOW];
    let others = others.map(|other| &other[..WINDOW]);
    let mut sums = [[0.0_f32; 4]; N];
    for at in (0..WINDOW).step_by(4) {
        for n in 0..N {
            for part in 0..4 {
                sums[n][part] += window[at + part] * others[n][at + part];
            }
        }
    }
    sums.map(|[a, b, c, d]| a + b + c + d)
}
