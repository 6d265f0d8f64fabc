//! Sound to measure with: continuous noisy speech made on the spot, the same on every run.

/// A small xorshift generator: the same noise on every run.
pub(crate) struct Noise(u64);

impl Noise {
    /// A generator of its own sequence.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// White noise of -1..1.
    pub(crate) fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// `seconds` of vowels without a pause over noise 10 dB below, as 16-bit samples at `rate` Hz.
///
/// A glottal pulse train whose pitch wanders goes through two resonators whose centres wander too: not intelligible,
/// but pitch, formants and level move as in speech, so that no detector or denoiser has an easy time.
pub(crate) fn noisy_speech(rate: u32, seconds: usize, seed: u64) -> Vec<i16> {
    let rate_hz = rate as f32;
    let mut noise = Noise::new(seed);
    let (mut phase, mut first, mut second) = (0.0_f32, Resonator::default(), Resonator::default());
    (0..rate as usize * seconds)
        .map(|n| {
            let t = n as f32 / rate_hz;
            let pitch = 120.0 + 40.0 * (t * 1.7 + seed as f32).sin() + 8.0 * (t * 11.0).sin();
            phase += pitch / rate_hz;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= phase.floor();
            let low = first.step(pulse, 500.0 + 250.0 * (t * 2.3).sin(), 80.0, rate_hz);
            let high = second.step(pulse, 1600.0 + 600.0 * (t * 3.1).sin(), 120.0, rate_hz);
            let voice = (low + 0.5 * high) * (0.6 + 0.4 * (t * 5.0).sin());
            ((0.25 * voice + 0.02 * noise.next()) * 16_000.0).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect()
}

#[derive(Default)]
struct Resonator {
    before: f32,
    earlier: f32,
}

impl Resonator {
    fn step(&mut self, input: f32, centre_hz: f32, width_hz: f32, rate_hz: f32) -> f32 {
        let radius = (-std::f32::consts::PI * width_hz / rate_hz).exp();
        let turn = 2.0 * radius * (std::f32::consts::TAU * centre_hz / rate_hz).cos();
        let out = input + turn * self.before - radius * radius * self.earlier;
        (self.earlier, self.before) = (self.before, out);
        out
    }
}

/// Frames of 20 ms, taken in turn, so that no block sees one frame again and again.
pub(crate) struct Frames {
    pcm: Vec<i16>,
    length: usize,
    next: usize,
}

impl Frames {
    /// Two seconds of noisy speech at `rate` Hz.
    pub(crate) fn speech(rate: u32, seed: u64) -> Self {
        Self { pcm: noisy_speech(rate, 2, seed), length: rate as usize / 50, next: 0 }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> &[i16] {
        let frame = &self.pcm[self.next..self.next + self.length];
        self.next = (self.next + self.length) % self.pcm.len();
        frame
    }
}
