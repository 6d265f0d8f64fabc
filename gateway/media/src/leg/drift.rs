//! How a leg's ticks lie against its packets, so that it can be served in the phase just after they arrive.

/// Frames over which the place of a leg's ticks is judged.
pub(super) const DRIFT_FRAMES: u32 = 50;
/// Packets that wait this much longer than the jitter buffer wants could be had a phase earlier; packets that wait
/// this much less should get a phase more.
const SLACK_US: i64 = 6_500;
const SCARCE_US: i64 = -3_000;

/// How a leg's ticks lie against its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drift {
    /// An earlier phase would do.
    TickLate,
    /// A later phase is needed.
    TickEarly,
}

/// Judges a second of frames at a time, by the fastest tenth of them: single ticks that were late do not count.
#[derive(Debug, Default)]
pub(super) struct DriftMeter {
    measured: u32,
    slack: u32,
    enough: u32,
}

impl DriftMeter {
    /// Takes note of a frame whose packet waited `delay_us` where `target_us` is aimed for.
    pub(super) fn measure(&mut self, delay_us: u64, target_us: u64) {
        let spare = delay_us as i64 - target_us as i64;
        self.measured += 1;
        self.slack += u32::from(spare > SLACK_US);
        self.enough += u32::from(spare >= SCARCE_US);
    }

    /// The verdict on the last second, once; `None` too until as many frames were measured.
    pub(super) fn take(&mut self) -> Option<Drift> {
        if self.measured < DRIFT_FRAMES {
            return None;
        }
        let Self { slack, enough, .. } = std::mem::take(self);
        if slack >= DRIFT_FRAMES / 10 {
            Some(Drift::TickLate)
        } else if enough < DRIFT_FRAMES / 10 {
            Some(Drift::TickEarly)
        } else {
            None
        }
    }
}
