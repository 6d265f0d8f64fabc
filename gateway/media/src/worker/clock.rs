//! The clocks a worker reads, and its sleep.

use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{Timespec, clock_gettime};

/// The moment a phase is served: both clocks, read once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) mono_us: u64,
    pub(crate) wall_us: u64,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { mono_us: monotonic_us(), wall_us: micros(clock_gettime(rustix::time::ClockId::Realtime)) }
    }
}

/// The monotonic clock in microseconds.
pub(crate) fn monotonic_us() -> u64 {
    micros(clock_gettime(rustix::time::ClockId::Monotonic))
}

fn micros(time: Timespec) -> u64 {
    // Both clocks are past their zero on any running system.
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1000
}

pub(crate) fn sleep_until(us: u64) {
    let time = Timespec { tv_sec: (us / 1_000_000) as i64, tv_nsec: ((us % 1_000_000) * 1000) as _ };
    // A signal ends the sleep early: go on sleeping. Any other error cannot occur with a valid time.
    while clock_nanosleep_absolute(ClockId::Monotonic, &time) == Err(rustix::io::Errno::INTR) {}
}
