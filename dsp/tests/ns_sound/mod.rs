//! Sound for the tests of noise suppression: something like speech, noise, and how much of the one is in the other.
#![allow(dead_code, reason = "each test uses its part")]

/// A small generator of pseudo-random numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number, -1..1.
    pub(crate) fn sample(&mut self) -> f32 {
        (self.below(1 << 24) as f32) / (1 << 23) as f32 - 1.0
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) % limit
    }
}

/// Syllables of a gliding voice with three formants and pauses, at -20 dBFS or so, below 3.4 kHz.
pub(crate) fn speech(rate: u32, seconds: f32, seed: u64) -> Vec<f32> {
    let seed = seed as f64;
    let mut phase = 0.0_f64;
    let samples = (rate as f32 * seconds) as usize;
    let formants = |syllable: f64| {
        [500.0 + 200.0 * (syllable * 1.3 + seed).sin(), 1500.0 + 500.0 * (syllable * 2.1 + seed).cos(), 2600.0]
    };
    (0..samples)
        .map(|n| {
            let time = n as f64 / f64::from(rate);
            let pitch = (110.0 + 17.0 * (seed % 7.0)) * (1.0 + 0.2 * (time * 2.3 + seed).sin());
            phase += pitch / f64::from(rate);
            let syllable = (time * 4.0).floor();
            let formants = formants(syllable);
            let envelope = (std::f64::consts::PI * (time * 4.0).fract()).sin().powi(2);
            let pause = if (syllable as u64 + seed as u64).is_multiple_of(4) { 0.0 } else { 1.0 };
            let mut sum = 0.0;
            let mut order = 1.0;
            while order * pitch < 3400.0 {
                let weight: f64 = formants.iter().map(|f| 1.0 / (1.0 + ((order * pitch - f) / 120.0).powi(2))).sum();
                sum += weight * (std::f64::consts::TAU * phase * order).sin();
                order += 1.0;
            }
            (0.15 * envelope * pause * sum) as f32
        })
        .collect()
}

/// White noise of an amplitude.
pub(crate) fn noise(samples: usize, amplitude: f32, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..samples).map(|_| amplitude * random.sample()).collect()
}

/// The sum of two sounds.
pub(crate) fn mix(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// How many decibels of `heard` are `wanted`, filtered as it fits best, over the rest. The filter has 17 taps, so that a
/// part of a sample of delay does not count as noise.
pub(crate) fn signal_to_rest_db(wanted: &[f32], heard: &[f32]) -> f32 {
    const TAPS: usize = 17;
    let heard = &heard[TAPS / 2..heard.len() - TAPS / 2];
    let shifted: Vec<&[f32]> = (0..TAPS).map(|tap| &wanted[tap..tap + heard.len()]).collect();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    // The normal equations, by elimination; a little is added so that missing frequencies do no harm.
    let mut rows: Vec<Vec<f64>> =
        shifted.iter().map(|a| shifted.iter().chain([&heard]).map(|b| dot(a, b)).collect()).collect();
    for (pivot, row) in rows.iter_mut().enumerate() {
        row[pivot] *= 1.0 + 1e-6;
    }
    for pivot in 0..TAPS {
        let by = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(row, _)| *row != pivot) {
            let factor = row[pivot] / by[pivot];
            row.iter_mut().zip(&by).for_each(|(value, by)| *value -= factor * by);
        }
    }
    let filter: Vec<f64> = (0..TAPS).map(|tap| rows[tap][TAPS] / rows[tap][tap]).collect();
    let (mut signal, mut rest) = (0.0, 0.0);
    for (at, heard) in heard.iter().enumerate() {
        let fitted: f64 = filter.iter().zip(&wanted[at..]).map(|(tap, wanted)| tap * f64::from(*wanted)).sum();
        signal += fitted * fitted;
        rest += (f64::from(*heard) - fitted).powi(2);
    }
    (10.0 * (signal / rest).log10()) as f32
}

/// Level in dBFS.
pub(crate) fn level_db(pcm: &[f32]) -> f32 {
    let energy: f64 = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / pcm.len() as f64;
    (10.0 * energy.max(1e-20).log10()) as f32
}
