//! The noise itself: white noise through an all-pole lattice, whose parameters glide to those of the newest payload.

use super::{ComfortNoise, MAX_ORDER};
use crate::codec::Decoder;
use crate::to_i16;

/// The loudest noise made, in dBov. Louder is no background, and a payload of one byte must not deafen anybody.
pub const LOUDEST_DBOV: f32 = -20.0;

/// Samples between two steps of the glide, and the share of the way taken in one.
const GLIDE: usize = 32;
const GLIDE_SHARE: f32 = 0.4;

/// Makes comfort noise from payloads (RFC 3389).
///
/// As a [`Decoder`], a payload sounds for one frame of 20 ms and [`Decoder::decode_lost`] goes on with the noise for as
/// long as asked: comfort noise is sent rarely and lasts until speech returns.
#[derive(Debug, Clone)]
pub struct ComfortNoiseDecoder {
    rate: u32,
    /// Where the glide goes; `None` before the first payload.
    target: Option<Shape>,
    now: Shape,
    /// Backward prediction errors of the lattice.
    lattice: [f32; MAX_ORDER + 1],
    seed: u32,
    /// Samples left of the step in work.
    left: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    reflection: [f32; MAX_ORDER],
    /// Amplitude of the white noise that drives the lattice.
    drive: f32,
}

impl ComfortNoiseDecoder {
    /// A generator of noise at `rate` Hz, which must be that of the sender. Equal seeds make equal noise.
    #[must_use]
    pub fn new(rate: u32, seed: u32) -> Self {
        let (now, lattice) = (Shape::default(), [0.0; MAX_ORDER + 1]);
        Self { rate, target: None, now, lattice, seed, left: 0 }
    }

    /// Glides to other parameters within about 20 ms; the first ones hold at once.
    pub fn update(&mut self, noise: &ComfortNoise) {
        let reflection = noise.reflection();
        // What the lattice adds to the power of what drives it.
        let gain: f32 = reflection.iter().map(|k| 1.0 - k * k).product();
        let rms = 10.0_f32.powf(noise.level_dbov().min(LOUDEST_DBOV) / 20.0);
        // Uniform noise of amplitude 1 has a mean square of a third.
        let shape = Shape { reflection, drive: rms * (3.0 * gain).sqrt() };
        if self.target.is_none() {
            self.now = shape;
        }
        self.target = Some(shape);
    }

    /// Fills `out` with noise; silence before the first payload.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            if self.left == 0 {
                self.glide();
            }
            self.left -= 1;
            *sample = to_i16(self.next());
        }
    }

    /// Adds noise to what is in `out`; nothing before the first payload.
    pub(crate) fn add(&mut self, out: &mut [i16]) {
        for sample in out {
            if self.left == 0 {
                self.glide();
            }
            self.left -= 1;
            *sample = sample.saturating_add(to_i16(self.next()));
        }
    }

    fn glide(&mut self) {
        self.left = GLIDE;
        let Some(target) = self.target else { return };
        for (now, target) in self.now.reflection.iter_mut().zip(target.reflection) {
            // Between two stable lattices every one is stable.
            *now += (target - *now) * GLIDE_SHARE;
        }
        self.now.drive += (target.drive - self.now.drive) * GLIDE_SHARE;
    }

    fn next(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let white = (self.seed >> 8) as f32 / (1_u32 << 23) as f32 - 1.0;
        let mut forward = white * self.now.drive;
        for m in (0..MAX_ORDER).rev() {
            let k = self.now.reflection[m];
            forward -= k * self.lattice[m];
            self.lattice[m + 1] = self.lattice[m] + k * forward;
        }
        // Far beyond full scale nothing is heard any more, and the lattice comes back to its level.
        forward = forward.clamp(-4.0, 4.0);
        self.lattice[0] = forward;
        forward
    }
}

impl Decoder for ComfortNoiseDecoder {
    fn rate(&self) -> u32 {
        self.rate
    }

    /// One frame of 20 ms, 0 for an empty payload.
    fn samples(&self, payload: &[u8]) -> usize {
        if payload.is_empty() { 0 } else { self.rate as usize / 50 }
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let Some(noise) = ComfortNoise::parse(payload) else { return 0 };
        self.update(&noise);
        let samples = self.samples(payload).min(out.len());
        self.fill(&mut out[..samples]);
        samples
    }

    /// Goes on with the noise over all of `out`; `None` before the first payload.
    fn decode_lost(&mut self, out: &mut [i16]) -> Option<usize> {
        self.target?;
        self.fill(out);
        Some(out.len())
    }

    fn reset(&mut self) {
        *self = Self::new(self.rate, self.seed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ComfortNoiseEncoder;
    use super::*;
    use crate::level::rms_dbfs;

    #[test]
    fn the_noise_has_the_level_and_the_colour_that_the_payload_says() {
        for (level, colour) in [(-30.0, &[-0.7, 0.2][..]), (-50.0, &[0.6, -0.3, 0.1]), (-65.0, &[])] {
            let wanted = ComfortNoise::new(level, colour);
            let mut decoder = ComfortNoiseDecoder::new(8000, 1);
            decoder.update(&wanted);
            let mut pcm = vec![0; 80_000];
            decoder.fill(&mut pcm);
            assert!((rms_dbfs(&pcm[800..]) - level).abs() < 1.0, "{level}: {}", rms_dbfs(&pcm[800..]));
            let mut encoder = ComfortNoiseEncoder::new(8000, 10);
            let mut measured = [0.0; MAX_ORDER];
            for frame in pcm.chunks(160) {
                encoder.observe(frame);
                for (mean, k) in measured.iter_mut().zip(encoder.noise().reflection()) {
                    *mean += k / 500.0;
                }
            }
            for (n, (measured, k)) in measured.iter().zip(wanted.reflection()).enumerate() {
                assert!((measured - k).abs() < 0.08, "{level}: k{} is {measured}, not {k}", n + 1);
            }
        }
    }

    #[test]
    fn no_payload_is_louder_than_the_limit() {
        for code in 0..=255 {
            let mut decoder = ComfortNoiseDecoder::new(8000, 7);
            let mut pcm = vec![0; 16_000];
            decoder.decode(&[0, code, 255 - code, code, 0, 255, 1, code, 254, 2, code, 9], &mut pcm[..160]);
            assert_eq!(decoder.decode_lost(&mut pcm), Some(16_000));
            assert!(rms_dbfs(&pcm) < LOUDEST_DBOV + 4.0, "{code}: {}", rms_dbfs(&pcm));
        }
    }

    #[test]
    fn the_level_glides_and_nothing_sounds_before_the_first_payload() {
        let mut decoder = ComfortNoiseDecoder::new(16000, 7);
        let mut pcm = [3; 320];
        assert_eq!(decoder.decode_lost(&mut pcm), None);
        assert_eq!(decoder.decode(&[], &mut pcm), 0);
        assert_eq!(pcm, [3; 320]);
        assert_eq!(decoder.decode(&[30], &mut pcm), 320);
        decoder.update(&ComfortNoise::new(-60.0, &[]));
        decoder.fill(&mut pcm);
        assert!(rms_dbfs(&pcm[..64]) > -45.0 && rms_dbfs(&pcm[256..]) < -42.0);
        decoder.fill(&mut pcm);
        assert!((rms_dbfs(&pcm) + 60.0).abs() < 4.0, "{}", rms_dbfs(&pcm));
    }
}
