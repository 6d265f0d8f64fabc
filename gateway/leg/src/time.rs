//! Time inside a call, so that cores never read a clock.

use std::ops::Add;

use serde::{Deserialize, Serialize};

/// Microseconds since the call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallTime(pub u64);

impl CallTime {
    /// The moment the call began.
    pub const ZERO: Self = Self(0);

    /// A time `ms` milliseconds after the call began.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1000)
    }

    /// Whole milliseconds since the call began.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0 / 1000
    }

    /// Microseconds since the call began.
    #[must_use]
    pub const fn as_us(self) -> u64 {
        self.0
    }

    /// This time moved `ms` milliseconds later; saturates.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    /// Microseconds from `earlier` to `self`, 0 when `earlier` is later.
    #[must_use]
    pub const fn since_us(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds from `earlier` to `self`, 0 when `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.since_us(earlier) / 1000
    }
}

impl Add<u64> for CallTime {
    type Output = Self;

    /// Adds microseconds; saturates.
    fn add(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }
}

/// Ties a call's time to the wall clock, once per call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Microseconds since the Unix epoch, corrected by the control plane's offset.
    pub wall_us: u64,
    /// The call time at that instant.
    pub call_us: u64,
}

impl Anchor {
    /// Wall-clock microseconds at `at`.
    #[must_use]
    pub const fn wall_us(&self, at: CallTime) -> u64 {
        self.wall_us.saturating_sub(self.call_us).saturating_add(at.0)
    }

    /// The call time at wall-clock microseconds `wall_us`; zero for instants before the call.
    #[must_use]
    pub const fn call_time(&self, wall_us: u64) -> CallTime {
        CallTime((wall_us + self.call_us).saturating_sub(self.wall_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchor_maps_both_ways() {
        let anchor = Anchor { wall_us: 1_700_000_000_000_000, call_us: 250 };
        let at = CallTime::from_ms(1500);
        assert_eq!(anchor.call_time(anchor.wall_us(at)), at);
        assert_eq!(anchor.call_time(0), CallTime::ZERO);
    }
}
