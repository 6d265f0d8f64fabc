//! Ten milliseconds of eight calls: RNNoise's whole path from samples to samples.

use super::bands::{self, Bands, Cosines};
use super::group::Asked;
use super::network::{self, GAINS};
use super::rate::{HighPass, LONGEST, Rate};
use super::state::State;
use super::vector::{Complex, Lanes, Mask};
use super::weights::Weights;
use super::whiten::{self, LENGTH};
use super::{features, pitch, spectral};
use crate::ns::FULL_SCALE;
use crate::simd::Fused;

/// Samples of the longest step.
pub(super) const MAX_STEP: usize = 480;

/// One group's step.
pub(super) struct Job<'a, const L: usize> {
    pub(super) rate: &'a Rate,
    /// The group's state.
    pub(super) block: &'a mut [Lanes<L>],
    pub(super) asked: Asked<L>,
    pub(super) room: &'a mut Room<L>,
}

/// Room for a step, shared by all groups.
#[derive(Debug)]
pub(super) struct Room<const L: usize> {
    weights: &'static Weights,
    cosines: Cosines,
    /// The step's samples, -1..1: in, then out.
    pub(super) samples: [Lanes<L>; MAX_STEP],
    window: [Lanes<L>; 2 * MAX_STEP],
    work: [Complex<L>; MAX_STEP],
    sound: [Complex<L>; MAX_STEP + 1],
    lagged: [Complex<L>; MAX_STEP + 1],
    /// At 24 kHz, from 48 kHz.
    halved: [Lanes<L>; LENGTH],
    taps: whiten::Taps<L>,
    flat: [Lanes<L>; LENGTH],
    pitch: pitch::Room<L>,
    network: network::Room<L>,
}

impl<const L: usize> Room<L> {
    pub(super) fn new() -> Self {
        Self {
            weights: Weights::shared(),
            cosines: Cosines::new(),
            samples: [Lanes::ZERO; MAX_STEP],
            window: [Lanes::ZERO; 2 * MAX_STEP],
            work: [Complex::ZERO; MAX_STEP],
            sound: [Complex::ZERO; MAX_STEP + 1],
            lagged: [Complex::ZERO; MAX_STEP + 1],
            halved: [Lanes::ZERO; LENGTH],
            taps: [Lanes::ZERO; 5],
            flat: [Lanes::ZERO; LENGTH],
            pitch: pitch::Room::new(),
            network: network::Room::new(),
        }
    }
}

/// Runs a step in place of `room.samples`.
#[inline(always)]
pub(super) fn run<const L: usize, F: Fused>(job: &mut Job<'_, L>) {
    let Job { rate, block, asked, room } = job;
    let Some(mut state) = State::read(rate, block) else { return };
    take_in::<L, F>(rate, room, &mut state, asked.pitch);
    let cleaned = asked.full.or(asked.light);
    *state.voice = Lanes::ZERO;
    if cleaned.any() {
        let Room { work, sound, .. } = &mut *room;
        let newest = &state.history[state.history.len() - 2 * rate.step..];
        pack(newest, &rate.window, work);
        analyse(rate, work, &mut sound[..=rate.step]);
        if asked.light.any() {
            spectral::suppress::<L, F>(&mut state, &mut room.sound[..=rate.step], asked.light);
        }
        if asked.full.any() {
            clean::<L, F>(rate, room, &mut state, asked.full);
        }
        put_together(rate, room);
    }
    let window = &mut room.window[..2 * rate.step];
    if !cleaned.all() {
        // What is not cleaned is the same window twice, as if the spectrum had gone through as it is.
        let newest = &state.history[state.history.len() - window.len()..];
        for ((out, sample), weight) in window.iter_mut().zip(newest).zip(&rate.window) {
            *out = out.or(cleaned, *sample * *weight * *weight * asked.pass);
        }
    }
    let (first, second) = window.split_at(rate.step);
    for ((out, first), overlap) in room.samples.iter_mut().zip(first).zip(&*state.overlap) {
        *out = (*first + *overlap) * (1.0 / FULL_SCALE);
    }
    state.overlap.copy_from_slice(second);
}

/// Filters the samples into the history and, where the pitch is looked for, brings the one at 24 kHz up to date.
#[inline(always)]
fn take_in<const L: usize, F: Fused>(rate: &Rate, room: &mut Room<L>, state: &mut State<'_, L>, pitch: bool) {
    state.history.copy_within(rate.step.., 0);
    let kept = state.history.len() - rate.step;
    high_pass(rate.high_pass, &room.samples[..rate.step], state.high_pass, &mut state.history[kept..]);
    if pitch && rate.divisor != 1 {
        whiten::raise::<L, F>(rate, state.history, state.raised);
    }
}

/// The second-order section in double precision with memories in single, as the reference has it.
#[inline(always)]
fn high_pass<const L: usize>(filter: HighPass, input: &[Lanes<L>], memory: &mut [Lanes<L>], out: &mut [Lanes<L>]) {
    /// Memories below this become 0: numbers too small for their exponent slow many processors down.
    const NOTHING: f32 = 1e-20;
    let HighPass { gain, a: [a0, a1] } = filter;
    let (mut near, mut far) = (memory[0], memory[1]);
    for (input, out) in input.iter().zip(out) {
        for lane in 0..L {
            let x = f64::from(input.0[lane] * FULL_SCALE) * gain;
            let y = x + f64::from(near.0[lane]);
            near.0[lane] = (f64::from(far.0[lane]) + (-2.0 * x - a0 * y)) as f32;
            far.0[lane] = (x - a1 * y) as f32;
            out.0[lane] = y as f32;
        }
    }
    let settle = |value: f32| if value.abs() < NOTHING { 0.0 } else { value };
    (memory[0], memory[1]) = (near.map(settle), far.map(settle));
}

/// Lets the network take the noise out of the spectrum in `room.sound` where `open` is set.
#[inline(always)]
fn clean<const L: usize, F: Fused>(rate: &Rate, room: &mut Room<L>, state: &mut State<'_, L>, open: Mask<L>) {
    let length = 2 * rate.step;
    let bins = rate.step + 1;
    let Room { weights, cosines, window, work, sound, lagged, halved, taps, flat, pitch, network, .. } = room;
    let (sound, lagged) = (&mut sound[..bins], &mut lagged[..bins]);

    let energy = bands::correlation(rate, sound, sound);

    let signal = if rate.divisor == 1 {
        whiten::halve(state.history, halved);
        &*halved
    } else {
        let Ok(raised) = (&*state.raised).try_into() else { return };
        raised
    };
    whiten::whiten::<L, F>(signal, taps, flat);
    let [period, strength] = state.pitch else { return };
    pitch::find::<L, F>(pitch, flat, open, period, strength);
    look_back(rate, state.history, *period, &mut window[..length]);
    pack(&window[..length], &rate.window, work);
    analyse(rate, work, lagged);
    delay(rate, *period, lagged);
    let lagged_energy = bands::correlation(rate, lagged, lagged);
    let mut correlation = bands::correlation(rate, sound, lagged);
    for ((value, x), y) in correlation.iter_mut().zip(&energy).zip(&lagged_energy) {
        *value = *value / (*x * *y + 0.001).sqrt();
    }

    let run = features::audible(&energy).and(open);
    if run.any() {
        let features = features::compute::<L, F>(cosines, &energy, &correlation, *period, run, state.cepstra);
        let mut gains = [Lanes::ZERO; GAINS];
        let voice = network::step::<L, F>(weights, network, state.network, run, &features, &mut gains);
        *state.voice = voice.or(run, Lanes::ZERO);
        let untouched = (!run.all()).then(|| {
            work[..rate.step].copy_from_slice(&sound[..rate.step]);
            sound[rate.step]
        });
        comb(rate, &gains, &energy, &lagged_energy, &correlation, lagged, sound);
        for (gain, last) in gains.iter_mut().zip(state.gains.iter_mut()) {
            *gain = gain.max(*last * 0.6);
            *last = gain.or(run, *last);
        }
        bands::scale(rate, &gains, sound);
        if let Some(top) = untouched {
            for (bin, before) in sound.iter_mut().zip(work.iter().take(rate.step).chain([&top])) {
                bin.re = bin.re.or(run, before.re);
                bin.im = bin.im.or(run, before.im);
            }
        }
    }
}

/// Makes the window of the spectrum in `room.sound` again, and leaves it in `room.window`.
#[inline(always)]
fn put_together<const L: usize>(rate: &Rate, room: &mut Room<L>) {
    let Room { window, work, sound, .. } = room;
    rate.fft.inverse(&mut sound[..=rate.step], work);
    let length = 2 * rate.step;
    let pairs = window[..length].chunks_exact_mut(2).zip(rate.window.chunks_exact(2));
    for ((out, weights), pair) in pairs.zip(&work[..rate.step]) {
        out[0] = pair.re * weights[0];
        out[1] = pair.im * weights[1];
    }
}

/// Weighs samples by the window and pairs them for the transform.
#[inline(always)]
fn pack<const L: usize>(samples: &[Lanes<L>], window: &[f32], out: &mut [Complex<L>]) {
    for ((out, pair), weights) in out.iter_mut().zip(samples.chunks_exact(2)).zip(window.chunks_exact(2)) {
        *out = Complex { re: pair[0] * weights[0], im: pair[1] * weights[1] };
    }
}

#[inline(always)]
fn analyse<const L: usize>(rate: &Rate, work: &mut [Complex<L>], spectrum: &mut [Complex<L>]) {
    rate.fft.forward(&mut work[..rate.step], spectrum);
    for bin in spectrum {
        bin.re *= Lanes::splat(rate.norm);
        bin.im *= Lanes::splat(rate.norm);
    }
}

/// A period in samples at 48 kHz as whole samples of the rate, and which row of the rate's delays makes up the rest.
#[inline(always)]
fn split_period(rate: &Rate, period: f32) -> (usize, usize) {
    let shifted = (period as usize).min(LONGEST) + rate.divisor / 2;
    (shifted / rate.divisor, shifted % rate.divisor)
}

/// Takes the window that lies each call's own period back.
#[inline(always)]
fn look_back<const L: usize>(rate: &Rate, history: &[Lanes<L>], period: Lanes<L>, out: &mut [Lanes<L>]) {
    for lane in 0..L {
        let (whole, _) = split_period(rate, period.0[lane]);
        let past = &history[history.len() - out.len() - whole..];
        for (out, sample) in out.iter_mut().zip(past) {
            out.0[lane] = sample.0[lane];
        }
    }
}

/// Delays each call's spectrum by what its period has beyond whole samples.
#[inline(always)]
fn delay<const L: usize>(rate: &Rate, period: Lanes<L>, spectrum: &mut [Complex<L>]) {
    if rate.divisor == 1 {
        return;
    }
    let rows: [&[(f32, f32)]; L] = std::array::from_fn(|lane| {
        let first = split_period(rate, period.0[lane]).1 * (rate.step + 1);
        &rate.delays[first..first + rate.step + 1]
    });
    for (at, bin) in spectrum.iter_mut().enumerate() {
        let (mut re, mut im) = (Lanes::ZERO, Lanes::ZERO);
        for (lane, row) in rows.iter().enumerate() {
            (re.0[lane], im.0[lane]) = row[at];
        }
        *bin = Complex { re: bin.re * re - bin.im * im, im: bin.re * im + bin.im * re };
    }
}

/// The pitch filter: adds the sound of a period ago where the voice is periodic and noise lies between its harmonics.
#[inline(always)]
fn comb<const L: usize>(
    rate: &Rate,
    gains: &Bands<L>,
    energy: &Bands<L>,
    lagged_energy: &Bands<L>,
    correlation: &Bands<L>,
    lagged: &[Complex<L>],
    sound: &mut [Complex<L>],
) {
    let one = Lanes::splat(1.0);
    let mut amounts = [Lanes::ZERO; GAINS];
    for band in 0..GAINS {
        let (alike, gain) = (correlation[band], gains[band]);
        let (alike_2, gain_2) = (alike * alike, gain * gain);
        let partly = alike_2 * (one - gain_2) / (gain_2 * (one - alike_2) + 0.001);
        let amount = alike.zip(gain, |alike, gain| if alike > gain { 1.0 } else { 0.0 });
        let amount = amount.max(partly.map(|x| if x > 0.0 { x } else { 0.0 }).min(one)).sqrt();
        amounts[band] = amount * (energy[band] / (lagged_energy[band] + 1e-8)).sqrt();
    }
    bands::add_scaled(rate, &amounts, lagged, sound);
    let raised = bands::correlation(rate, sound, sound);
    for band in 0..GAINS {
        amounts[band] = (energy[band] / (raised[band] + 1e-8)).sqrt();
    }
    bands::scale(rate, &amounts, sound);
}
