//! Signals that the tests of tones, gain and echo are made of, all from seeds.
#![allow(dead_code, reason = "each test uses its part")]

use std::f32::consts::TAU;

/// A small random generator.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1))
    }

    /// 0..1.
    pub(crate) fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / 16_777_216.0
    }

    pub(crate) fn between(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.unit()
    }

    /// Nearly normal, mean 0, variance 1.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

pub(crate) fn amplitude(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}

/// Noise with this root mean square in dBFS.
pub(crate) fn noise(dbfs: f32, samples: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..samples).map(|_| rng.normal() * amplitude(dbfs)).collect()
}

/// A sine whose root mean square is `dbfs`.
pub(crate) fn sine(hz: f32, dbfs: f32, samples: usize, rate: u32) -> Vec<f32> {
    let peak = amplitude(dbfs) * 2_f32.sqrt();
    (0..samples)
        .map(|n| peak * (f64::from(hz) * n as f64 / f64::from(rate) % 1.0 * f64::from(TAU)).sin() as f32)
        .collect()
}

pub(crate) fn add(a: &mut [f32], b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

/// Adds `what` to `to` at a place.
pub(crate) fn place(to: &mut [f32], at: usize, what: &[f32]) {
    if let Some(to) = to.get_mut(at..) {
        add(to, what);
    }
}

/// Through G.711 mu-law.
pub(crate) fn companded(pcm: &[f32]) -> Vec<f32> {
    use trunkline_dsp::codec::{ulaw_decode, ulaw_encode};
    pcm.iter().map(|s| trunkline_dsp::to_f32(ulaw_decode(ulaw_encode(trunkline_dsp::to_i16(*s))))).collect()
}

/// Root mean square of the frames of 20 ms within 30 dB of the loudest, in dBFS.
pub(crate) fn active_dbfs(pcm: &[f32], rate: u32) -> f32 {
    let frame = rate as usize / 50;
    let powers: Vec<f32> =
        pcm.chunks_exact(frame).map(|f| f.iter().map(|s| s * s).sum::<f32>() / frame as f32).collect();
    let loudest = powers.iter().copied().fold(0.0, f32::max);
    let active: Vec<f32> = powers.into_iter().filter(|power| *power > loudest * 1e-3).collect();
    10.0 * (active.iter().sum::<f32>() / active.len().max(1) as f32).max(1e-12).log10()
}

/// Scales so that the active level is `dbfs`.
pub(crate) fn at_level(mut pcm: Vec<f32>, dbfs: f32, rate: u32) -> Vec<f32> {
    let gain = amplitude(dbfs - active_dbfs(&pcm, rate));
    for sample in &mut pcm {
        *sample = (*sample * gain).clamp(-1.0, 1.0);
    }
    pcm
}

/// A two-pole resonator.
#[derive(Clone, Copy)]
struct Resonator {
    a: f32,
    b: f32,
    gain: f32,
    y: [f32; 2],
}

impl Resonator {
    fn new(hz: f32, width: f32, rate: f32) -> Self {
        let radius = (-std::f32::consts::PI * width / rate).exp();
        let a = 2.0 * radius * (TAU * hz / rate).cos();
        Self { a, b: -radius * radius, gain: 1.0 - radius, y: [0.0; 2] }
    }

    fn next(&mut self, x: f32) -> f32 {
        let y = self.gain * x + self.a * self.y[0] + self.b * self.y[1];
        self.y = [y, self.y[0]];
        y
    }
}

const VOWELS: [[f32; 3]; 8] = [
    [730.0, 1090.0, 2440.0],
    [270.0, 2290.0, 3010.0],
    [300.0, 870.0, 2240.0],
    [530.0, 1840.0, 2480.0],
    [570.0, 840.0, 2410.0],
    [660.0, 1720.0, 2410.0],
    [490.0, 1350.0, 1690.0],
    [250.0, 1200.0, 2200.0],
];

/// Something like speech: syllables of jittered pulses through formants, hisses, short gaps and pauses; about -20 dBFS
/// while it is active. `talk` is the share of phrases over pauses, 0..1.
pub(crate) fn speech(samples: usize, rate: u32, talk: f32, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let ms = rate as usize / 1000;
    let fs = rate as f32;
    let mut out = vec![0.0_f32; samples];
    let base = rng.between(90.0, 240.0);
    let mut at = 0;
    while at < samples {
        let syllables = 3 + (rng.unit() * 9.0) as usize;
        let phrase_from = at;
        for syllable in 0..syllables {
            let loud = rng.between(0.4, 1.0);
            if rng.unit() < 0.35 {
                let length = rng.between(40.0, 110.0) as usize * ms;
                let mut hiss = Resonator::new(rng.between(1800.0, 3500.0).min(fs * 0.45), 900.0, fs);
                for n in 0..length.min(samples.saturating_sub(at)) {
                    let edge = (n.min(length - n) as f32 / (10 * ms) as f32).min(1.0);
                    out[at + n] += 0.12 * loud * edge * hiss.next(rng.normal());
                }
                at += length;
            }
            let length = rng.between(90.0, 260.0) as usize * ms;
            let from = VOWELS[(rng.unit() * 8.0) as usize % 8];
            let to = VOWELS[(rng.unit() * 8.0) as usize % 8];
            let mut pitch = base * rng.between(0.85, 1.25) * (1.1 - 0.2 * syllable as f32 / syllables as f32);
            let glide = rng.between(-0.25, 0.25) / length as f32;
            let mut filters = [0, 1, 2].map(|f| Resonator::new(from[f], 70.0 + 40.0 * f as f32, fs));
            let mut until_pulse = 0.0;
            for n in 0..length.min(samples.saturating_sub(at)) {
                if n % (5 * ms) == 0 {
                    let x = n as f32 / length as f32;
                    for (f, filter) in filters.iter_mut().enumerate() {
                        let hz = from[f] + (to[f] - from[f]) * x;
                        let fresh = Resonator::new(hz, 70.0 + 40.0 * f as f32, fs);
                        (filter.a, filter.b, filter.gain) = (fresh.a, fresh.b, fresh.gain);
                    }
                }
                pitch *= 1.0 + glide;
                let mut source = 0.02 * rng.normal();
                until_pulse -= 1.0;
                if until_pulse <= 0.0 {
                    source += 10.0;
                    until_pulse += fs / pitch * rng.between(0.99, 1.01);
                }
                let edge = (n.min(length - n) as f32 / (25 * ms) as f32).min(1.0);
                let voiced = filters[0].next(source) + 0.6 * filters[1].next(source) + 0.35 * filters[2].next(source);
                out[at + n] += loud * edge * voiced;
            }
            at += length;
            if rng.unit() < 0.4 {
                at += rng.between(20.0, 90.0) as usize * ms;
            }
        }
        let spoken = (at - phrase_from) as f32;
        let pause = spoken * (1.0 - talk) / talk.max(0.05);
        at += (pause * rng.between(0.5, 1.5)) as usize + 150 * ms;
    }
    at_level(out, -20.0, rate)
}

/// Samples of a prompt: a WAV file of 16 bits and one channel.
pub(crate) fn read_wav(path: &std::path::Path) -> Option<Vec<f32>> {
    let bytes = std::fs::read(path).ok()?;
    let data = bytes.windows(4).position(|four| four == b"data")? + 8;
    Some(
        bytes[data..].chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32768.0).collect(),
    )
}

/// Every recorded prompt of the Debian packages `asterisk-core-sounds-*-wav` that is installed.
pub(crate) fn prompts() -> Vec<(std::path::PathBuf, Vec<f32>)> {
    let mut folders = vec![std::path::PathBuf::from("/usr/share/asterisk/sounds")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "wav") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.into_iter().filter_map(|path| read_wav(&path).map(|pcm| (path, pcm))).collect()
}
