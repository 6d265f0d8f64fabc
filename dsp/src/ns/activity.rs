//! When a call's denoiser may rest: digital silence, muted calls and lines without a microphone need no network.

/// Mean square of a 10 ms step below which there is nothing to clean: -70 dBFS, one step of A-law above silence.
const QUIET: f32 = 1e-7;
/// Steps of 10 ms that must be quiet in a row before the gate closes.
const HANG: u8 = 20;
/// What a closed gate lets through: 12 dB less, so that a faint hiss does not come back when the network rests.
pub(super) const CLOSED_GAIN: f32 = 0.25;

/// Whether a bank may skip its engine for quiet calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gate {
    /// A call whose sound was below -70 dBFS for 200 ms is passed through 12 dB softer, without its engine; the
    /// first 10 ms above it run through the engine again.
    #[default]
    Auto,
    /// The engine always runs: for benches and for comparing engines.
    Open,
}

/// One call's gate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Activity {
    quiet: u8,
}

impl Activity {
    /// Takes the next 10 ms, samples of -1..1, and says whether the engine must run.
    pub(super) fn is_open(&mut self, gate: Gate, mean_square: f32) -> bool {
        // A mean square that is not a number counts as sound.
        self.quiet = if mean_square < QUIET { self.quiet.saturating_add(1) } else { 0 };
        gate == Gate::Open || self.quiet < HANG
    }
}

/// Mean square of samples of -1..1; 0 for none.
pub(super) fn mean_square(pcm: &[f32]) -> f32 {
    pcm.iter().map(|sample| sample * sample).sum::<f32>() / pcm.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_closes_after_200_ms_of_quiet_and_opens_at_once() {
        let mut activity = Activity::default();
        assert!(activity.is_open(Gate::Auto, 0.1));
        let closed_after = (1..).find(|_| !activity.is_open(Gate::Auto, 0.0)).unwrap();
        assert_eq!(closed_after, 20);
        assert!(activity.is_open(Gate::Auto, 1e-6));
        assert!(activity.is_open(Gate::Auto, 0.0), "one quiet step is not 200 ms");
    }

    #[test]
    fn a_forced_gate_never_closes() {
        let mut activity = Activity::default();
        assert!((0..1000).all(|_| activity.is_open(Gate::Open, 0.0)));
    }
}
