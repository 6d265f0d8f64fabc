//! When speech and echo verdicts add up to an interruption.

/// Decides that the caller interrupts.
///
/// Policy: every frame in which the detector is sure of speech *now* (confidence of at least 0.5 unless chosen
/// otherwise, before hang-over) and that the gate does not call echo earns its length; every other frame costs its length. The caller interrupts when
/// the account reaches `needed_ms`, once; it is armed again when the account is empty. Hang-over must not be counted:
/// echo that ends would go on as speech without echo.
#[derive(Debug, Clone)]
pub struct BargeIn {
    needed_ms: u32,
    sure: f32,
    earned_ms: u32,
    fired: bool,
}

impl BargeIn {
    /// Speech of about `needed_ms` interrupts; 120 is a good value, below 60 a cough does.
    #[must_use]
    pub const fn new(needed_ms: u32) -> Self {
        Self { needed_ms, sure: 0.5, earned_ms: 0, fired: false }
    }

    /// The same for a detector whose confidence in speech over echo begins at `sure`, 0..=1.
    #[must_use]
    pub const fn with_confidence(mut self, sure: f32) -> Self {
        self.sure = sure;
        self
    }

    /// Other thresholds from now on; what was earned stays.
    pub const fn set(&mut self, needed_ms: u32, sure: f32) {
        (self.needed_ms, self.sure) = (needed_ms, sure);
    }

    /// Takes the verdicts on a frame of `frame_ms`; `true` on the frame with which the caller interrupts. `confidence`
    /// is [`crate::vad::Activity::confidence`], `echo` is [`super::Verdict::echo`].
    pub fn handle(&mut self, confidence: f32, echo: bool, frame_ms: u32) -> bool {
        if confidence >= self.sure && !echo {
            self.earned_ms = self.earned_ms.saturating_add(frame_ms).min(self.needed_ms.saturating_mul(2));
        } else {
            self.earned_ms = self.earned_ms.saturating_sub(frame_ms);
            if self.earned_ms == 0 {
                self.fired = false;
            }
        }
        let interrupts = !self.fired && self.earned_ms >= self.needed_ms.max(1);
        self.fired |= interrupts;
        interrupts
    }

    /// Forgets what was earned and arms it again, for a new utterance of the agent.
    pub const fn reset(&mut self) {
        self.earned_ms = 0;
        self.fired = false;
    }
}

impl Default for BargeIn {
    fn default() -> Self {
        Self::new(120)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_interrupts_once_and_echo_or_hang_over_never() {
        let mut barge = BargeIn::default();
        assert!((0..100).all(|_| !barge.handle(0.9, true, 20)));
        assert!((0..100).all(|_| !barge.handle(0.2, false, 20)));
        let fired: Vec<usize> = (0..50).filter(|_| barge.handle(0.9, false, 20)).collect();
        assert_eq!(fired, [5]);
        for _ in 0..20 {
            assert!(!barge.handle(f32::NAN, false, 20));
        }
        assert_eq!((0..50).filter(|_| barge.handle(0.9, false, 20)).count(), 1);
    }
}
