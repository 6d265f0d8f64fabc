//! The clocks of this machine, and the core a thread runs on.

use rustix::thread::{ClockId, CpuSet, clock_nanosleep_absolute, sched_setaffinity};
use rustix::time::{Timespec, clock_gettime};

/// Both clocks at one moment, in microseconds: what the kernel stamps packets with is wall time, what is counted with
/// is not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) us: u64,
    wall_us: u64,
}

impl Now {
    /// Reads both.
    pub(crate) fn read() -> Self {
        Self { us: monotonic_us(), wall_us: micros(clock_gettime(ClockId::Realtime)) }
    }

    /// A moment of the wall clock, of the last second, on the monotonic one.
    pub(crate) fn at_wall(self, wall_us: u64) -> u64 {
        self.us.saturating_sub(self.wall_us.saturating_sub(wall_us).min(1_000_000))
    }
}

/// The monotonic clock in microseconds.
pub(crate) fn monotonic_us() -> u64 {
    micros(clock_gettime(ClockId::Monotonic))
}

/// Sleeps until the monotonic clock shows `us`.
pub(crate) fn sleep_until(us: u64) {
    let time = Timespec { tv_sec: (us / 1_000_000) as i64, tv_nsec: ((us % 1_000_000) * 1000) as _ };
    // A signal ends the sleep early: go on sleeping. Any other error cannot occur with a valid time.
    while clock_nanosleep_absolute(ClockId::Monotonic, &time) == Err(rustix::io::Errno::INTR) {}
}

/// Keeps this thread, and the threads and programs it starts from now on, on `cores`, counted from 0.
///
/// # Errors
/// When the machine, or what this process may use of it, has none of them.
pub fn pin(cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).map_err(|error| anyhow::anyhow!("cannot run on cores {cores:?}: {error}"))
}

fn micros(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1000
}
