//! How steady a leg's sound is: a horn, a tone or a beep repeats itself exactly for as long as it lasts, a voice never does.
//! A detector that was taught on voices takes either for one.

use crate::Simd;
use crate::simd::dispatched;

/// Samples at 8 kHz: of a frame, and of what came before it.
const FRAME: usize = 160;
const PAST: usize = 320;
/// Distances at which a repetition is looked for: 12 to 40 ms back, in which a voice has moved on and any tone of more
/// than 35 Hz has a whole number of its periods.
const DISTANCES: usize = 224;
/// Power below which nothing is said of a frame: -70 dBFS.
const QUIET: f64 = 1e-7;

/// The last 60 ms of a leg, at 8 kHz.
#[derive(Debug, Clone)]
pub(super) struct Steady {
    sound: Box<[i16; PAST + FRAME]>,
}

impl Steady {
    /// Nothing was heard. Allocates.
    pub(super) fn new() -> Self {
        Self { sound: Box::new([0; PAST + FRAME]) }
    }

    /// Forgets what was heard.
    pub(super) fn clear(&mut self) {
        self.sound.fill(0);
    }

    /// Takes 20 ms at 8 or 16 kHz.
    pub(super) fn hear(&mut self, pcm: &[i16]) {
        self.sound.copy_within(FRAME.., 0);
        let now = &mut self.sound[PAST..];
        if pcm.len() == FRAME {
            now.copy_from_slice(pcm);
        } else {
            for (out, pair) in now.iter_mut().zip(pcm.chunks_exact(2)) {
                *out = i16::midpoint(pair[0], pair[1]);
            }
        }
    }

    /// Share of the frame's power that the best repetition of what came before it accounts for, 0..=1: more than 0.95 for
    /// a tone, less than 0.9 for most of any speech, nothing for noise.
    pub(super) fn share(&self, simd: Simd) -> f32 {
        let sound: [f32; PAST + FRAME] = std::array::from_fn(|n| f32::from(self.sound[n]) / 32_768.0);
        let power = |range: &[f32]| range.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        let own = power(&sound[PAST..]);
        if own < QUIET * FRAME as f64 {
            return 0.0;
        }
        let mut products = [0.0; DISTANCES];
        correlate(simd, &sound, &mut products);
        let (mut best, mut theirs) = (0.0_f64, power(&sound[..FRAME]));
        for (n, product) in products.iter().enumerate() {
            let product = f64::from(product.max(0.0));
            best = best.max(product * product / (own * theirs + 1e-12));
            theirs += f64::from(sound[n + FRAME]).powi(2) - f64::from(sound[n]).powi(2);
        }
        best.min(1.0) as f32
    }
}

dispatched!(fn correlate(sound: &[f32; PAST + FRAME], products: &mut [f32; DISTANCES]) = correlate_kernel);

/// Products of the last frame and what lies `PAST - n` samples before it.
#[inline(always)]
fn correlate_kernel(sound: &[f32; PAST + FRAME], products: &mut [f32; DISTANCES]) {
    for at in 0..FRAME {
        let now = sound[PAST + at];
        for (product, before) in products.iter_mut().zip(&sound[at..at + DISTANCES]) {
            *product += now * before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(sample: impl Fn(usize) -> f32, rate: usize) -> f32 {
        let mut steady = Steady::new();
        let pcm: Vec<i16> = (0..rate / 10).map(|n| (8000.0 * sample(n)) as i16).collect();
        pcm.chunks_exact(rate / 50).for_each(|frame| steady.hear(frame));
        let shares: Vec<f32> = Simd::all().into_iter().map(|simd| steady.share(simd)).collect();
        assert!(shares.windows(2).all(|pair| pair[0] == pair[1]), "the same with every instruction set: {shares:?}");
        shares[0]
    }

    #[test]
    fn tones_and_horns_repeat_themselves_and_glides_and_noise_do_not() {
        let phase = |n: usize, hertz: f32, rate: f32| std::f32::consts::TAU * hertz * n as f32 / rate;
        for rate in [8000, 16_000] {
            let whole = rate as f32;
            assert!(share(|n| phase(n, 440.0, whole).sin(), rate) > 0.99);
            let horn = |n: usize| (1..6).map(|k| phase(n, 230.0 * k as f32, whole).sin() / k as f32).sum::<f32>() / 2.0;
            assert!(share(horn, rate) > 0.95);
            // A voice's pitch moves by a tenth in 100 ms.
            let glide = |n: usize| {
                let t = n as f32 / whole;
                (1..12).map(|k| (std::f32::consts::TAU * k as f32 * (120.0 * t + 60.0 * t * t)).sin()).sum::<f32>()
                    / 6.0
            };
            assert!(share(glide, rate) < 0.9, "{}", share(glide, rate));
            let noise = |n: usize| {
                let mixed = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                (mixed >> 40) as f32 / (1 << 24) as f32 - 0.5
            };
            assert!(share(noise, rate) < 0.5);
        }
        assert_eq!(share(|_| 0.0, 8000), 0.0);
    }
}
