//! Sound that is neither speech nor noise: music on hold, which a denoiser lets through in one moment and not in the
//! next. Nobody can listen to that, and it says nothing; turned down by as much all the time it is what it was, only
//! softer.

/// Power below which nothing is pumped: -58 dBFS.
const QUIET: f32 = 1.6e-6;
/// The denoiser has let sound through, and has taken it out, at these gains: -6 and -15 dB.
const OPEN: f32 = 0.25;
const SHUT: f32 = 0.0316;
/// What is left of a tick in the means, and of a turn, a tick later: four seconds.
const MEMORY: f32 = 0.995;
/// Turns from which on it pumps, and below which it ceases to.
const PUMPS: f32 = 2.5;
const STEADY: f32 = 1.0;
/// Ticks without speech until it may be called so: a second and a half.
const PATIENCE: u32 = 75;
/// Most by which it is turned down: a quarter of the amplitude.
const LEAST: f32 = 0.0625;
/// Share of the levelled sound that a tick adds: it is there after 400 ms, and gone with the second tick of speech.
const ARRIVES: f32 = 0.05;
const LEAVES: f32 = 0.5;

/// How a leg's denoiser has been letting sound through lately.
#[derive(Debug, Clone)]
pub(super) struct Pumping {
    /// Mean powers.
    heard: f32,
    left: f32,
    /// Ticks that they are of.
    known: u32,
    /// It was taken out when last looked at, and how often it was let through after that.
    shut: bool,
    turns: f32,
    since_speech: u32,
    pumps: bool,
    /// Share of the levelled sound in what goes out, and its amplitude.
    share: f32,
    level: f32,
}

/// How a frame is to be blended: shares of the cleaned sound and of that which was heard, at its begin and at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Blend {
    from: [f32; 2],
    to: [f32; 2],
}

impl Pumping {
    pub(super) const fn new() -> Self {
        Self {
            heard: 0.0,
            left: 0.0,
            known: 0,
            shut: false,
            turns: 0.0,
            since_speech: 0,
            pumps: false,
            share: 0.0,
            level: 1.0,
        }
    }

    /// Takes the powers of 20 ms as they were heard and of what the denoiser has left of them, and whether a voice is in
    /// them; how to blend both, unless the cleaned sound is to stay as it is.
    pub(super) fn hear(&mut self, heard: f32, left: f32, voice: bool) -> Option<Blend> {
        if heard > QUIET {
            self.turns *= MEMORY;
            if left < heard * SHUT {
                self.shut = true;
            } else if self.shut && left > heard * OPEN {
                self.shut = false;
                self.turns += 1.0;
            }
            self.known = self.known.saturating_add(1);
            let share = (1.0 / self.known as f32).max(1.0 - MEMORY);
            let towards = |mean: &mut f32, value: f32| *mean += (value - *mean) * share;
            towards(&mut self.heard, heard);
            towards(&mut self.left, left);
        }
        self.since_speech = if voice { 0 } else { self.since_speech.saturating_add(1) };
        let limit = if self.pumps { STEADY } else { PUMPS };
        self.pumps = self.since_speech >= PATIENCE && self.turns > limit;
        let before = [1.0 - self.share, self.share * self.level];
        self.share = if self.pumps { (self.share + ARRIVES).min(1.0) } else { (self.share - LEAVES).max(0.0) };
        self.level = (self.left / self.heard.max(1e-12)).clamp(LEAST, 1.0).sqrt();
        let after = [1.0 - self.share, self.share * self.level];
        Blend::between(before, after)
    }
}

impl Blend {
    /// From one pair of shares (cleaned, heard) to another; `None` where nothing that was heard is in either.
    pub(super) fn between(from: [f32; 2], to: [f32; 2]) -> Option<Self> {
        (from[1] > 0.0 || to[1] > 0.0).then_some(Self { from, to })
    }

    /// Blends into `cleaned` what was `heard`.
    pub(super) fn apply(&self, cleaned: &mut [f32], heard: &[f32]) {
        let step = 1.0 / cleaned.len().max(1) as f32;
        for (n, (out, heard)) in cleaned.iter_mut().zip(heard).enumerate() {
            let at = (n + 1) as f32 * step;
            let share = |which: usize| self.from[which] + (self.to[which] - self.from[which]) * at;
            *out = *out * share(0) + heard * share(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of a steady loud sound goes out when the denoiser lets it through in turns, in dB by tick.
    fn gains(pumping: &mut Pumping, ticks: usize, voice: bool, lets: impl Fn(usize) -> f32) -> Vec<f32> {
        (0..ticks)
            .map(|tick| {
                let gain = lets(tick);
                let (heard, mut out) = ([0.1; 160], [0.1 * gain; 160]);
                if let Some(blend) = pumping.hear(0.01, 0.01 * gain * gain, voice) {
                    blend.apply(&mut out, &heard);
                }
                20.0 * (out[159] / 0.1).log10()
            })
            .collect()
    }

    fn spread(gains: &[f32]) -> f32 {
        gains.iter().fold(f32::MIN, |most, gain| most.max(*gain))
            - gains.iter().fold(f32::MAX, |least, gain| least.min(*gain))
    }

    #[test]
    fn what_is_let_through_in_turns_is_levelled_until_somebody_speaks() {
        let mut pumping = Pumping::new();
        let turns = |tick: usize| if (tick / 20).is_multiple_of(2) { 0.9 } else { 0.01 };
        let found = gains(&mut pumping, 500, false, turns);
        assert!(spread(&found[..60]) > 30.0, "it is not known at once");
        assert!(spread(&found[200..]) < 2.0, "{:?}", &found[200..]);
        assert!((-8.0..0.0).contains(&found[499]), "softer, and there: {}", found[499]);
        let spoken = gains(&mut pumping, 40, true, |_| 0.9);
        assert!((spoken[2] - 20.0 * 0.9_f32.log10()).abs() < 0.01, "a voice is as the denoiser leaves it: {spoken:?}");
    }

    #[test]
    fn steady_noise_stays_out_and_speech_is_never_blended() {
        let mut pumping = Pumping::new();
        let noise = gains(&mut pumping, 500, false, |tick| if tick.is_multiple_of(3) { 0.02 } else { 0.03 });
        assert!(noise.iter().all(|gain| *gain < -30.0), "{noise:?}");
        let mut pumping = Pumping::new();
        let speech = gains(&mut pumping, 500, true, |tick| if (tick / 20).is_multiple_of(2) { 0.9 } else { 0.01 });
        assert!(spread(&speech) > 38.0);
    }
}
