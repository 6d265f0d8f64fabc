//! From a score to a verdict: hysteresis, attack and hang-over, in steps of 10 ms.

/// How a detector turns its confidence into `speech`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VadConfig {
    /// Speech begins at this confidence, 0..=1.
    pub on: f32,
    /// Speech goes on at this confidence, 0..=1; at most `on`.
    pub off: f32,
    /// Speech begins after this long above `on`, in ms; whole steps of 10 ms, at least one.
    pub attack_ms: u32,
    /// Speech is held for this long after the last step above `off`, in ms; whole steps of 10 ms.
    pub hang_over_ms: u32,
}

impl Default for VadConfig {
    /// What the detector itself says, every step as it comes: speech from a confidence of a half on. The fused detector
    /// and the engines hold speech over short gaps by themselves.
    fn default() -> Self {
        Self { on: 0.5, off: 0.5, attack_ms: 10, hang_over_ms: 0 }
    }
}

impl VadConfig {
    /// For [`SileroBank`](super::SileroBank), as its authors use it: speech goes on a little below where it begins.
    pub const SURE: Self = Self { on: 0.5, off: 0.35, attack_ms: 10, hang_over_ms: 0 };

    /// For what must not lose the end of a word (a recogniser's gate, a recording): held for 200 ms.
    pub const HELD: Self = Self { on: 0.5, off: 0.4, attack_ms: 10, hang_over_ms: 200 };
}

/// One call's verdict so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Verdict {
    speech: bool,
    active_ms: u32,
    held_ms: u32,
}

impl Verdict {
    /// The verdict after a step of `step_ms`.
    pub(crate) fn step(&mut self, config: &VadConfig, confidence: f32, step_ms: u32) -> bool {
        if confidence >= if self.speech { config.off } else { config.on } {
            self.active_ms = self.active_ms.saturating_add(step_ms);
            if self.speech || self.active_ms >= config.attack_ms {
                self.speech = true;
                self.held_ms = config.hang_over_ms;
            }
        } else {
            self.active_ms = 0;
            self.speech = self.speech && self.held_ms >= step_ms;
            self.held_ms = self.held_ms.saturating_sub(step_ms);
        }
        self.speech
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_hysteresis_and_hang_over_are_as_configured() {
        let config = VadConfig { on: 0.6, off: 0.4, attack_ms: 20, hang_over_ms: 50 };
        let mut verdict = Verdict::default();
        let mut said = |confidence| verdict.step(&config, confidence, 10);
        assert!(!said(0.7) && !said(0.5) && !said(0.7));
        assert!(said(0.7) && said(0.45));
        assert!((0..5).all(|_| said(0.39)));
        assert!(!said(0.39) && !said(0.5));
    }

    #[test]
    fn no_hang_over_ends_at_once() {
        let mut verdict = Verdict::default();
        assert!(verdict.step(&VadConfig::default(), 0.5, 10));
        assert!(!verdict.step(&VadConfig::default(), 0.49, 10));
        assert!(!verdict.step(&VadConfig::default(), f32::NAN, 10));
    }
}
