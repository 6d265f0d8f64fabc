//! Whether a leg's sound has any noise that is worth taking out. Where there is none a denoiser can only do harm.

use super::pumping::Blend;

/// The background is the softest that the sound has been within this many ticks, or twice as many: a second.
const WINDOW: u32 = 50;
/// Power of a background that nobody hears: -62 dBFS.
const INAUDIBLE: f32 = 6.3e-7;
/// Power of speech over that of a background that it drowns: 32 dB.
const DROWNED: f32 = 1585.0;
/// A background counts as noise again at twice the power at which it ceased to.
const AGAIN: f32 = 2.0;
/// Ticks of calm until the denoiser rests: a second.
const PATIENCE: u32 = 50;
/// What is left of the loudest power a tick later: a decibel a second.
const FADES: f32 = 0.9954;
/// Share of a frame in the smoothed power, where it is louder and where it is softer: a glottal stop is no background, and
/// after a word it is heard within 120 ms.
const RISES: f32 = 0.3;
const FALLS: f32 = 0.7;

/// Ticks after which loud sound is no part of what was said before: 300 ms.
const SAYS: u32 = 15;
/// What is left of a loud tick a tick later: five seconds.
const LOUD_FADES: f32 = 0.996;
/// Loud ticks without a voice that are nothing yet, and the share of them that is: keys, doors and cups have no
/// background, and are noise.
const A_FEW: f32 = 6.0;
const MOSTLY: f32 = 0.35;

/// Share of what was heard that a tick adds to what goes out while the denoiser rests: it is all of it after 100 ms, and
/// gone with the second tick of noise.
const ARRIVES: f32 = 0.2;
const LEAVES: f32 = 0.5;

/// What is known of the background, from the sound as it was heard.
#[derive(Debug, Clone)]
pub(super) struct Calm {
    smooth: f32,
    /// The softest of this window and of the one before.
    soft: [f32; 2],
    loud: f32,
    ticks: u32,
    calm: u32,
    /// Since a voice was heard.
    silent: u32,
    /// Loud ticks of a voice, and without any.
    said: f32,
    banged: f32,
    rests: bool,
    /// Share of what was heard in what goes out.
    share: f32,
}

impl Calm {
    pub(super) const fn new() -> Self {
        Self {
            smooth: 0.0,
            soft: [f32::INFINITY; 2],
            loud: 0.0,
            ticks: 0,
            calm: 0,
            silent: u32::MAX,
            said: 0.0,
            banged: 0.0,
            rests: false,
            share: 0.0,
        }
    }

    /// Takes 20 ms of samples of -1..1.
    pub(super) fn hear(&mut self, sound: &[f32]) {
        let power = super::uplink::power(sound);
        self.smooth += (power - self.smooth) * if power > self.smooth { RISES } else { FALLS };
        self.loud = power.max(self.loud * FADES);
        self.soft[0] = self.soft[0].min(self.smooth);
        self.ticks += 1;
        if self.ticks.is_multiple_of(WINDOW) {
            self.soft = [self.smooth, self.soft[0]];
        }
        let background = self.soft[0].min(self.soft[1]);
        let limit = INAUDIBLE.max(self.loud / DROWNED) * if self.rests { AGAIN } else { 1.0 };
        (self.said, self.banged) = (self.said * LOUD_FADES, self.banged * LOUD_FADES);
        if power > limit {
            *if self.silent <= SAYS { &mut self.said } else { &mut self.banged } += 1.0;
        }
        let bangs = self.banged > A_FEW && self.banged > MOSTLY * (self.said + self.banged);
        self.calm = if background < limit && !bangs { self.calm.saturating_add(1) } else { 0 };
        self.rests = self.calm >= PATIENCE;
    }

    /// Whether the 20 ms that were heard last were said by somebody.
    pub(super) const fn judge(&mut self, voice: bool) {
        self.silent = if voice { 0 } else { self.silent.saturating_add(1) };
    }

    /// Whether there is nothing to take out.
    pub(super) const fn rests(&self) -> bool {
        self.rests
    }

    /// How a tick is to be blended: a denoiser that rests still filters a little, and what was heard is better.
    pub(super) fn blend(&mut self, rests: bool) -> Option<Blend> {
        let before = self.share;
        self.share = if rests { (before + ARRIVES).min(1.0) } else { (before - LEAVES).max(0.0) };
        Blend::between([1.0 - before, before], [1.0 - self.share, self.share])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts of a tone like words, with pauses, over a background.
    fn talk(calm: &mut Calm, seconds: usize, background: f32, voice: bool) -> bool {
        for tick in 0..seconds * 50 {
            let says = if tick % 40 < 30 { 0.1 } else { 0.0 };
            let frame: Vec<f32> = (0..160)
                .map(|n| {
                    let at = (tick * 160 + n) as f32;
                    says * (at * 0.3).sin() + background * 1.41 * (at * 1.7).sin()
                })
                .collect();
            calm.hear(&frame);
            calm.judge(voice && tick % 40 < 30);
        }
        calm.rests()
    }

    #[test]
    fn a_quiet_line_rests_and_noise_wakes_it_within_three_seconds() {
        let mut calm = Calm::new();
        assert!(!talk(&mut calm, 0, 0.0, true), "nothing is known at first");
        assert!(talk(&mut calm, 3, 0.0005, true));
        assert!(!talk(&mut calm, 3, 0.01, true), "noise at -40 dBFS, 17 dB below the words");
        assert!(talk(&mut calm, 5, 0.0005, true), "and it rests again");
    }

    #[test]
    fn bangs_over_a_quiet_background_are_noise() {
        let mut calm = Calm::new();
        assert!(!talk(&mut calm, 10, 0.0001, false));
        assert!(talk(&mut calm, 15, 0.0001, true), "and are forgotten");
    }

    #[test]
    fn what_nobody_hears_is_no_noise_however_soft_the_words_are() {
        let mut calm = Calm::new();
        for _ in 0..100 {
            calm.hear(&[0.0003; 160]);
        }
        assert!(calm.rests());
    }
}
